//! What is kept between runs: entries below the cache directory, found by a key, complete or absent.
//!
//! An entry is made under a temporary name and renamed, so that two runs that make the same one do not
//! meet, and a run that dies leaves none half made. Who reads an entry holds a shared lock on it; the
//! eviction takes the lock for itself alone, so that it never removes what is being read. Layout:
//! `kept/KIND/SCOPE/KEY/` holds `lock`, `about.json` and `content/`; `kept/tmp/` what is being made.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::executor::safe_file_name;
use super::rundir::{create_private, remove_tree};

/// Most bytes that are kept when nobody says otherwise: 10 GiB, as GitHub keeps for a repository.
const LIMIT: u64 = 10 << 30;
/// How long an entry is kept without being used.
const UNUSED: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a half made entry may take; after that its run is taken for dead.
const MAKING: Duration = Duration::from_secs(24 * 60 * 60);

/// The entries of one kind and scope.
pub(super) struct Kept {
    root: PathBuf,
    dir: PathBuf,
}

/// What is written down about an entry.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct About {
    pub(super) key: String,
    pub(super) run: String,
    pub(super) bytes: u64,
    #[serde(default)]
    pub(super) results: super::results::Values,
}

/// An entry, locked against removal while it is held.
pub(super) struct Entry {
    pub(super) about: About,
    pub(super) content: PathBuf,
    _lock: File,
}

/// An entry in the making; dropped without [`Kept::finish`], it is gone.
pub(super) struct Making {
    tmp: PathBuf,
    dest: PathBuf,
    /// Where its files go.
    pub(super) content: PathBuf,
}

impl Drop for Making {
    fn drop(&mut self) {
        // What is left over here is removed with the next eviction.
        let _ = remove_tree(&self.tmp);
    }
}

impl Kept {
    /// Entries below a cache directory.
    pub(super) fn new(cache_root: &Path, kind: &str, scope: &str) -> Kept {
        let root = cache_root.join("kept");
        Kept { dir: root.join(kind).join(safe_file_name(scope)), root }
    }

    /// The entry of a key.
    pub(super) fn exact(&self, key: &str) -> Option<Entry> {
        open(&self.dir.join(safe_file_name(key))).filter(|entry| entry.about.key == key)
    }

    /// The newest entry whose key begins with this.
    pub(super) fn newest(&self, prefix: &str) -> Option<Entry> {
        let mut found: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.dir)
            .ok()?
            .flatten()
            .filter(|entry| read_about(&entry.path()).is_some_and(|about| about.key.starts_with(prefix)))
            .filter_map(|e| {
                Some((fs::metadata(e.path().join("about.json")).ok()?.modified().ok()?, e.path()))
            })
            .collect();
        found.sort();
        found.iter().rev().find_map(|(_, path)| open(path))
    }

    /// Begins an entry.
    pub(super) fn make(&self, key: &str) -> io::Result<Making> {
        use std::hash::{BuildHasher, RandomState};
        let random = RandomState::new().hash_one(key);
        let tmp = self.root.join("tmp").join(format!("{}-{random:016x}", std::process::id()));
        let content = tmp.join("content");
        create_private(&content)?;
        Ok(Making { tmp, dest: self.dir.join(safe_file_name(key)), content })
    }

    /// Puts a made entry in its place; false when another run was first, whose entry stays.
    pub(super) fn finish(&self, making: &Making, about: &About) -> io::Result<bool> {
        fs::write(making.tmp.join("about.json"), serde_json::to_vec(about)?)?;
        File::create(making.tmp.join("lock"))?;
        create_private(&self.dir)?;
        match fs::rename(&making.tmp, &making.dest) {
            Ok(()) => Ok(true),
            Err(_) if making.dest.is_dir() => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Removes what was not used for long, and what was used least lately until the rest is within the
    /// limit. What is being read stays.
    pub(super) fn evict(&self, now: SystemTime) {
        let age = |time: SystemTime| now.duration_since(time).unwrap_or_default();
        for making in fs::read_dir(self.root.join("tmp")).into_iter().flatten().flatten() {
            if making.metadata().and_then(|m| m.modified()).is_ok_and(|t| age(t) > MAKING) {
                let _ = remove_tree(&making.path());
            }
        }
        let entries = entries(&self.root, now);
        let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
        for entry in entries {
            if total <= limit() && age(entry.at) <= UNUSED {
                break;
            }
            if self.remove(&entry.path) {
                total -= entry.bytes;
            }
        }
    }

    fn remove(&self, path: &Path) -> bool {
        let Ok(lock) = File::open(path.join("lock")) else { return false };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return false;
        }
        // Out of the way in one go, so that nobody finds half of it.
        let name = format!("old-{}", path.file_name().unwrap_or_default().to_string_lossy());
        let old = self.root.join("tmp").join(name);
        if create_private(&self.root.join("tmp")).is_err() || fs::rename(path, &old).is_err() {
            return false;
        }
        remove_tree(&old).is_ok()
    }
}

/// What is kept between runs below a cache directory: entries and their size in bytes.
pub fn usage(cache_root: &Path) -> (usize, u64) {
    let entries = entries(&cache_root.join("kept"), SystemTime::now());
    (entries.len(), entries.iter().map(|entry| entry.bytes).sum())
}

/// Removes all that is kept between runs and that no run reads now; how many entries went.
pub fn clear(cache_root: &Path) -> usize {
    let kept = Kept::new(cache_root, "cache", "");
    entries(&kept.root, SystemTime::now()).iter().filter(|entry| kept.remove(&entry.path)).count()
}

/// An entry as the eviction sees it; those used least lately come first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Used {
    at: SystemTime,
    bytes: u64,
    path: PathBuf,
}

fn entries(root: &Path, now: SystemTime) -> Vec<Used> {
    let mut found = Vec::new();
    for kind in ["cache", "unchanged"] {
        for scope in fs::read_dir(root.join(kind)).into_iter().flatten().flatten() {
            for entry in fs::read_dir(scope.path()).into_iter().flatten().flatten() {
                let path = entry.path();
                let Some(about) = read_about(&path) else { continue };
                let at = fs::metadata(path.join("lock")).and_then(|m| m.modified()).unwrap_or(now);
                found.push(Used { at, bytes: about.bytes, path });
            }
        }
    }
    found.sort();
    found
}

/// `$NIXACTIONS_CACHE_LIMIT` in bytes, else the default.
fn limit() -> u64 {
    std::env::var("NIXACTIONS_CACHE_LIMIT").ok().and_then(|text| text.trim().parse().ok()).unwrap_or(LIMIT)
}

fn read_about(path: &Path) -> Option<About> {
    serde_json::from_slice(&fs::read(path.join("about.json")).ok()?).ok()
}

/// Opens an entry and marks it as used.
fn open(path: &Path) -> Option<Entry> {
    let lock = File::options().read(true).write(true).open(path.join("lock")).ok()?;
    flock(&lock, FlockOperation::NonBlockingLockShared).ok()?;
    // Read under the lock: an entry that was removed meanwhile is not there any more.
    let about = read_about(path)?;
    // Only the order of eviction depends on this.
    let _ = lock.set_modified(SystemTime::now());
    Some(Entry { about, content: path.join("content"), _lock: lock })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(key: &str) -> About {
        About { key: key.into(), run: "r".into(), bytes: 10, results: Default::default() }
    }

    #[test]
    fn entries_are_found_by_key_and_by_prefix_and_are_never_replaced() {
        let root = tempfile::tempdir().expect("a directory");
        let kept = Kept::new(root.path(), "cache", "p");
        for (key, text) in [("deps-1", "one"), ("deps-2", "two"), ("deps-2", "again")] {
            let making = kept.make(key).expect("made");
            fs::write(making.content.join("x"), text).expect("written");
            let first = kept.finish(&making, &about(key)).expect("finished");
            assert_eq!(first, text != "again");
            std::thread::sleep(Duration::from_millis(5));
        }
        let read = |e: Entry| fs::read_to_string(e.content.join("x")).expect("read");
        assert_eq!(kept.exact("deps-1").map(read).as_deref(), Some("one"));
        assert_eq!(kept.newest("deps-").map(read).as_deref(), Some("two"));
        assert!(kept.exact("deps-").is_none() && kept.newest("other").is_none());
        assert_eq!(fs::read_dir(root.path().join("kept/tmp")).expect("read").count(), 0);
    }

    #[test]
    fn old_entries_go_and_those_in_use_stay() {
        let root = tempfile::tempdir().expect("a directory");
        let kept = Kept::new(root.path(), "cache", "p");
        for key in ["a", "b"] {
            let making = kept.make(key).expect("made");
            kept.finish(&making, &about(key)).expect("finished");
        }
        let held = kept.exact("a").expect("there");
        kept.evict(SystemTime::now() + UNUSED + Duration::from_secs(60));
        assert!(kept.exact("b").is_none(), "not used for long");
        drop(held);
        assert!(kept.exact("a").is_some(), "was being read");
    }
}
