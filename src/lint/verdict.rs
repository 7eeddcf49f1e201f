//! What `shellcheck` prints about scripts (format `json1`), apart by script.

use std::sync::Arc;

use serde::Deserialize;

/// Says what `shellcheck` says of scripts: by running it, or from what it said before.
pub trait ShellCheck: Sync {
    /// One verdict for each script, in their order; `None` for a script that could not be checked.
    fn check(&self, scripts: &[&str]) -> Vec<Option<Verdict>>;
}

/// Arguments of `shellcheck`, before the files. The excluded checks judge values that are filled in,
/// variables of other steps, and files that are not there.
pub const ARGUMENTS: [&str; 7] = [
    "--norc",
    "--format=json1",
    "--shell=bash",
    "--exclude=SC1091,SC2034,SC2043,SC2050,SC2153,SC2154,SC2157,SC2194",
    "--external-sources",
    "--severity=style",
    "--",
];

/// What is said of one script. Copies are cheap.
#[derive(Clone, Debug, Default)]
pub struct Verdict(Arc<[Comment]>);

impl Verdict {
    /// Reads the output of `shellcheck` with [`ARGUMENTS`] on files named `0.sh`, `1.sh`, …, as many
    /// as there are scripts; `None` if it is not that.
    pub fn read(output: &[u8], scripts: usize) -> Option<Vec<Verdict>> {
        let report = serde_json::from_slice::<Report>(output).ok()?;
        let mut of: Vec<Vec<Comment>> = (0..scripts).map(|_| Vec::new()).collect();
        for comment in report.comments {
            let name = comment.file.rsplit('/').next().unwrap_or_default();
            let index = name.strip_suffix(".sh").and_then(|n| n.parse::<usize>().ok());
            if let Some(list) = index.and_then(|i| of.get_mut(i)) {
                list.push(comment);
            }
        }
        Some(of.into_iter().map(|list| Verdict(list.into())).collect())
    }

    pub(super) fn comments(&self) -> &[Comment] {
        &self.0
    }
}

#[derive(Deserialize)]
struct Report {
    comments: Vec<Comment>,
}

/// One remark. Lines and columns count from 1, columns in characters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Comment {
    file: String,
    pub(super) line: usize,
    pub(super) end_line: usize,
    pub(super) column: usize,
    pub(super) end_column: usize,
    pub(super) level: String,
    pub(super) code: u32,
    pub(super) message: String,
    pub(super) fix: Option<Replacements>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Replacements {
    pub(super) replacements: Vec<Replacement>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Replacement {
    pub(super) line: usize,
    pub(super) end_line: usize,
    pub(super) column: usize,
    pub(super) end_column: usize,
    pub(super) replacement: String,
}
