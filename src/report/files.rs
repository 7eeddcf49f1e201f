//! The reports that are written when a run has ended.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::record::Record;
use super::{badge, github as github_text, html, junit};

/// A report that is a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// One HTML page with everything.
    Html,
    /// JUnit XML.
    Junit,
    /// A status badge as SVG.
    Badge,
}

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {error}", path.display())]
pub struct DocumentError {
    path: PathBuf,
    error: io::Error,
}

impl Document {
    /// Writes the report of a run to a file, which is replaced as a whole.
    pub fn write(self, record: &Record, path: &Path) -> Result<(), DocumentError> {
        let text = match self {
            Document::Html => Ok(html::render(record)),
            Document::Junit => junit::render(record).map_err(io::Error::other),
            Document::Badge => Ok(badge::render(record)),
        };
        let written = text.and_then(|text| replace(path, text.as_bytes()));
        written.map_err(|error| DocumentError { path: path.to_path_buf(), error })
    }

    /// Fails now when the file could not be written later.
    pub fn probe(path: &Path) -> Result<(), DocumentError> {
        let probed = fs::OpenOptions::new().append(true).create(true).open(path);
        probed.map(drop).map_err(|error| DocumentError { path: path.to_path_buf(), error })
    }
}

/// Writes beside the file and renames, so that no reader sees half a report. What is no regular file
/// (`/dev/stdout`, a pipe) is written to.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return fs::OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    let done = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if done.is_err() {
        // The first error is the one worth telling.
        let _ = fs::remove_file(&beside);
    }
    done
}

/// What GitHub Actions shows: annotations as text for the log, and the Markdown for the file that
/// `GITHUB_STEP_SUMMARY` names.
pub fn github(record: &Record, summary: Option<&Path>) -> Result<String, DocumentError> {
    if let Some(path) = summary {
        let appended = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(github_text::summary(record).as_bytes()));
        appended.map_err(|error| DocumentError { path: path.to_path_buf(), error })?;
    }
    Ok(github_text::annotations(record))
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn documents_replace_files_and_probing_finds_what_cannot_be_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("junit.xml");
        Document::probe(&path).expect("writable");
        Document::Junit.write(&record(), &path).expect("written");
        assert!(fs::read_to_string(&path).expect("readable").contains("<testsuites"));
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 1);
        assert!(Document::probe(&dir.path().join("no/such/file")).is_err());
    }
}
