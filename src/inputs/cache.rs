//! The cache of fetched sources: objects by the hashes of their archives, and what each name (a URL,
//! a revision) stood for when it was fetched. Everything is written beside its place and then
//! renamed, so that nothing half-written is ever found.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::error::FetchError;
use crate::drv::base32;
use crate::drv::disk::Disk;
use crate::drv::hash::{Algo, Hash};
use crate::drv::nar;

/// After this time what a killed program left behind is removed.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// The cache.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// What a name stood for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    /// Hash of the object's archive, as SRI.
    pub(super) nar_hash: String,
    /// When it was fetched, in seconds since 1970.
    pub(super) fetched: u64,
    /// What the server calls this state of it.
    #[serde(default)]
    pub(super) etag: Option<String>,
    /// More about it (revision, time of the last change).
    #[serde(default)]
    pub(super) info: std::collections::BTreeMap<String, serde_json::Value>,
}

/// An object that is being made; removed when it is given up.
pub(super) struct Making {
    pub(super) path: PathBuf,
}

impl Drop for Making {
    fn drop(&mut self) {
        // After a success nothing is left here.
        let _ = remove(&self.path);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(m) if m.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

impl Cache {
    /// A cache in this directory.
    pub fn new(root: impl Into<PathBuf>) -> Cache {
        Cache { root: root.into() }
    }

    /// The cache of this user: `fetch` below `$XDG_CACHE_HOME/nixactions`.
    pub fn of_user(env: impl Fn(&str) -> Option<String>) -> Cache {
        let set = |name: &str| env(name).filter(|v| v.starts_with('/')).map(PathBuf::from);
        let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        Cache::new(base.unwrap_or_else(std::env::temp_dir).join("nixactions/fetch"))
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn failed(&self) -> impl Fn(io::Error) -> FetchError + '_ {
        |error| FetchError::Cache { path: self.root.clone(), error }
    }

    fn name_file(&self, name: &str) -> PathBuf {
        let hash = Hash::sha256(name.as_bytes());
        self.root.join("names").join(format!("{}.json", base32::encode(hash.as_bytes())))
    }

    /// What is noted under a name, whether or not an object belongs to it.
    pub(super) fn note(&self, name: &str) -> Option<Entry> {
        let text = std::fs::read(self.name_file(name)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// What a name stood for when it was fetched, if its object is still there.
    pub(super) fn find(&self, name: &str) -> Option<(Entry, PathBuf)> {
        let entry = self.note(name)?;
        let object = self.object(&Hash::parse_sri(entry.nar_hash.as_bytes()).ok()?)?;
        Some((entry, object))
    }

    /// The object with this hash.
    pub(super) fn object(&self, hash: &Hash) -> Option<PathBuf> {
        let path = self.object_path(hash);
        path.symlink_metadata().is_ok().then_some(path)
    }

    fn object_path(&self, hash: &Hash) -> PathBuf {
        self.root.join("objects").join(base32::encode(hash.as_bytes()))
    }

    /// Remembers what a name stands for.
    pub(super) fn remember(&self, name: &str, entry: &Entry) -> Result<(), FetchError> {
        let file = self.name_file(name);
        let write = || {
            let making = self.make()?;
            std::fs::write(&making.path, serde_json::to_vec(entry)?)?;
            std::fs::create_dir_all(self.root.join("names"))?;
            std::fs::rename(&making.path, &file)
        };
        write().map_err(self.failed())
    }

    /// A place for an object in the making; nothing is there yet.
    pub(super) fn begin(&self) -> Result<Making, FetchError> {
        self.make().map_err(self.failed())
    }

    fn make(&self) -> io::Result<Making> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir = self.root.join("tmp");
        std::fs::create_dir_all(&dir)?;
        self.sweep(&dir);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let making = Making { path: dir.join(format!("{}-{number}", std::process::id())) };
        remove(&making.path)?;
        Ok(making)
    }

    fn sweep(&self, dir: &Path) {
        let old = |e: &std::fs::DirEntry| {
            let age = e.metadata().and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
            age.is_some_and(|age| age > STALE)
        };
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten().filter(old) {
            // Another process may be sweeping as well.
            let _ = remove(&entry.path());
        }
    }

    /// Takes a finished object in: its hash, and where it now is.
    pub(super) fn finish(&self, making: Making) -> Result<(Hash, PathBuf), FetchError> {
        let (hash, _) = nar::hash(&mut Disk::whole(), &making.path, Algo::Sha256)
            .map_err(|error| FetchError::Read { path: making.path.clone(), error })?;
        let to = self.object_path(&hash);
        let place = || {
            std::fs::create_dir_all(self.root.join("objects"))?;
            match std::fs::rename(&making.path, &to) {
                // Somebody was faster, with the same content.
                Err(_) if to.symlink_metadata().is_ok() => Ok(()),
                done => done,
            }
        };
        place().map_err(self.failed())?;
        Ok((hash, to))
    }

    /// Where a bare clone of a repository is kept.
    pub(super) fn repository(&self, url: &str) -> PathBuf {
        self.root.join("git").join(base32::encode(Hash::sha256(url.as_bytes()).as_bytes()))
    }

    /// An error about this cache.
    pub(super) fn error(&self, error: io::Error) -> FetchError {
        FetchError::Cache { path: self.root.clone(), error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path());
        assert!(cache.find("url x").is_none());
        let making = cache.begin().unwrap();
        std::fs::create_dir(&making.path).unwrap();
        std::fs::write(making.path.join("f"), "1").unwrap();
        let (hash, path) = cache.finish(making).unwrap();
        assert_eq!(cache.object(&hash).as_ref(), Some(&path));
        let entry = Entry { nar_hash: hash.sri(), fetched: now(), ..Entry::default() };
        cache.remember("url x", &entry).unwrap();
        assert_eq!(cache.find("url x"), Some((entry, path)));
        let given_up = cache.begin().unwrap();
        std::fs::write(&given_up.path, "half").unwrap();
        drop(given_up);
        assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }
}
