//! An entry as a file: read whole, written beside and renamed, the oldest removed when there are too
//! many.
//!
//! Bytes: the magic with the version of the format; the BLAKE3 hash of all that follows; a salt; the
//! answers; the payload, sealed with what the request and the environment said, so that a value that
//! came from there cannot be read from the file without knowing it.

use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use super::answers::Answers;
use super::bytes::{In, Out};

const MAGIC: &[u8; 8] = b"NXAEVAL1";
/// A larger entry is not written.
const LARGEST: usize = 16 << 20;
/// Bytes that all entries may take together.
const ALL: u64 = 128 << 20;
/// Age at which a temporary file is nobody's any more.
const ABANDONED: Duration = Duration::from_secs(3600);
/// How often the use of an entry is noted in its time.
const NOTED: Duration = Duration::from_secs(6 * 3600);

/// An entry.
pub(super) struct Entry {
    /// Random.
    pub(super) salt: [u8; 16],
    /// What was asked.
    pub(super) answers: Answers,
    /// The outcome, sealed.
    pub(super) payload: Vec<u8>,
}

/// Random bytes for an entry.
pub(super) fn salt() -> [u8; 16] {
    let random = || RandomState::new().hash_one(std::process::id()).to_le_bytes();
    let mut salt = [0; 16];
    salt[..8].copy_from_slice(&random());
    salt[8..].copy_from_slice(&random());
    salt
}

/// Seals a payload, or opens one that was sealed with the same secrets.
pub(super) fn seal(payload: &mut [u8], salt: &[u8; 16], secrets: &[u8]) {
    let mut hasher = blake3::Hasher::new_derive_key("nixactions evaluation cache: payload, version 1");
    hasher.update(salt);
    hasher.update(secrets);
    let mut stream = hasher.finalize_xof();
    let mut pad = [0u8; 4096];
    for chunk in payload.chunks_mut(pad.len()) {
        let pad = &mut pad[..chunk.len()];
        stream.fill(pad);
        chunk.iter_mut().zip(pad).for_each(|(byte, pad)| *byte ^= *pad);
    }
}

/// Reads an entry; `None` if there is none, or if it is not whole.
pub(super) fn read(path: &Path) -> Option<Entry> {
    let bytes = fs::read(path).ok()?;
    let rest = bytes.strip_prefix(MAGIC)?;
    let (sum, rest) = rest.split_at_checked(32)?;
    if blake3::hash(rest).as_bytes() != sum {
        return None;
    }
    let mut input = In(rest);
    let salt = input.raw(16)?.try_into().ok()?;
    let answers = Answers::read(&mut input)?;
    let payload = input.text()?.to_vec();
    input.0.is_empty().then_some(Entry { salt, answers, payload })
}

/// Writes an entry. A cache that cannot be written is none: nobody is told.
pub(super) fn write(path: &Path, entry: &Entry) {
    let mut out = Out::default();
    out.raw(&entry.salt);
    entry.answers.write(&mut out);
    out.text(&entry.payload);
    if out.0.len() > LARGEST {
        return;
    }
    let Some(dir) = path.parent() else { return };
    if fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).is_err() {
        return;
    }
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let new =
        dir.join(format!("tmp-{}-{number}-{:016x}", std::process::id(), RandomState::new().hash_one(0)));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(MAGIC)?;
        file.write_all(blake3::hash(&out.0).as_bytes())?;
        file.write_all(&out.0)?;
        fs::rename(&new, path)
    })();
    if written.is_err() {
        // It may not be there at all.
        let _ = fs::remove_file(&new);
    }
    prune(dir, ALL);
}

/// Notes that an entry was used, so that it outlives others.
pub(super) fn touch(path: &Path) {
    let now = SystemTime::now();
    let modified = fs::metadata(path).and_then(|m| m.modified());
    if modified.is_ok_and(|m| now.duration_since(m).is_ok_and(|age| age > NOTED))
        && let Ok(file) = OpenOptions::new().append(true).open(path)
    {
        // It only orders what is removed.
        let _ = file.set_modified(now);
    }
}

/// Files of the cache, with times and sizes.
fn files(dir: &Path) -> Vec<(SystemTime, u64, PathBuf)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let file = |e: fs::DirEntry| {
        let m = e.metadata().ok().filter(fs::Metadata::is_file)?;
        Some((m.modified().ok()?, m.len(), e.path()))
    };
    entries.filter_map(file).collect()
}

/// Removes the entries used longest ago until the rest fits, and what was never finished.
fn prune(dir: &Path, most: u64) {
    let mut all = files(dir);
    let now = SystemTime::now();
    all.retain(|(modified, _, path)| {
        let unfinished = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"tmp-"));
        if unfinished && now.duration_since(*modified).is_ok_and(|age| age > ABANDONED) {
            // Another process may have been faster.
            let _ = fs::remove_file(path);
        }
        !unfinished
    });
    let mut size: u64 = all.iter().map(|f| f.1).sum();
    if size <= most {
        return;
    }
    all.sort();
    for (_, len, path) in all {
        if size <= most {
            return;
        }
        if fs::remove_file(&path).is_ok() {
            size -= len;
        }
    }
}

/// Number and bytes of what is kept.
pub(super) fn usage(dir: &Path) -> (usize, u64) {
    let all = files(dir);
    (all.len(), all.iter().map(|f| f.1).sum())
}

/// Removes all entries; how many went.
pub(super) fn clear(dir: &Path) -> usize {
    files(dir).into_iter().filter(|f| fs::remove_file(&f.2).is_ok()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(payload: &[u8]) -> Entry {
        Entry { salt: salt(), answers: Answers::default(), payload: payload.to_vec() }
    }

    #[test]
    fn a_torn_entry_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("e");
        write(&path, &entry(b"payload"));
        assert_eq!(read(&path).expect("an entry").payload, b"payload");
        let whole = fs::read(&path).expect("bytes");
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).expect("written");
            assert!(read(&path).is_none(), "{len} bytes of {}", whole.len());
        }
        for at in 0..whole.len() {
            let mut wrong = whole.clone();
            wrong[at] ^= 0x10;
            fs::write(&path, wrong).expect("written");
            assert!(read(&path).is_none(), "byte {at} differs");
        }
    }

    #[test]
    fn the_payload_opens_only_with_its_secrets() {
        let salt = salt();
        let mut payload = vec![7u8; 10_000];
        seal(&mut payload, &salt, b"TOKEN=1");
        assert!(!payload.windows(16).any(|w| w == [7; 16]));
        let sealed = payload.clone();
        seal(&mut payload, &salt, b"TOKEN=2");
        assert_ne!(payload, vec![7; 10_000]);
        payload = sealed;
        seal(&mut payload, &salt, b"TOKEN=1");
        assert_eq!(payload, vec![7; 10_000]);
    }

    #[test]
    fn the_oldest_go_first() {
        let dir = tempfile::tempdir().expect("a directory");
        for age in 0..5u64 {
            let path = dir.path().join(format!("{age}"));
            fs::write(&path, [0; 100]).expect("written");
            let file = OpenOptions::new().append(true).open(&path).expect("open");
            file.set_modified(SystemTime::now() - Duration::from_secs(age * 100)).expect("a time");
        }
        prune(dir.path(), 250);
        let mut left: Vec<_> = files(dir.path()).into_iter().map(|f| f.2).collect();
        left.sort();
        assert_eq!(left, [dir.path().join("0"), dir.path().join("1")]);
    }
}
