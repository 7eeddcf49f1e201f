//! The run's own directory: private, locked while the run lives, removed afterwards.
//!
//! `$XDG_CACHE_HOME/nixactions/runs/ID/` holds `lock`, `artifacts/` and `ws/NAME/` (one for each
//! executor). A directory whose lock nobody holds was left behind, and `nixactions clean` removes it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};

/// A live run's directory; the lock goes with the value.
#[derive(Debug)]
pub struct RunDir {
    id: String,
    path: PathBuf,
    _lock: File,
}

/// A run directory found on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The run's identifier.
    pub id: String,
    /// Its directory.
    pub path: PathBuf,
    /// Whether a run uses it now.
    pub live: bool,
}

/// The directory below which all caches lie: `$XDG_CACHE_HOME/nixactions`, else
/// `~/.cache/nixactions`, else one below the temporary directory.
pub fn cache_root() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("nixactions"))
        .unwrap_or_else(|| {
            std::env::temp_dir().join(format!("nixactions-{}", rustix::process::getuid().as_raw()))
        })
}

/// Creates a directory and its parents, all those made being private.
pub fn create_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

impl RunDir {
    /// Makes the directory of a new run below `root` (see [`cache_root`]).
    pub fn create(root: &Path) -> io::Result<RunDir> {
        let runs = root.join("runs");
        create_private(&runs)?;
        for _ in 0..64 {
            let id = new_id();
            let path = runs.join(&id);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(e),
            }
            let lock = File::create(path.join("lock"))?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            DirBuilder::new().mode(0o700).create(path.join("artifacts"))?;
            DirBuilder::new().mode(0o700).create(path.join("ws"))?;
            return Ok(RunDir { id, path, _lock: lock });
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "no free run identifier"))
    }

    /// Takes over the directory of a run that is no longer going; makes what is missing of it.
    /// [`io::ErrorKind::WouldBlock`] tells that it is going after all.
    pub fn reopen(root: &Path, id: &str) -> io::Result<RunDir> {
        let path = root.join("runs").join(id);
        create_private(&path)?;
        let lock = File::create(path.join("lock"))?;
        // A process that was being started when the runner died holds the lock until it has begun.
        let mut patience = 100;
        while let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            patience -= 1;
            if patience == 0 {
                return Err(error.into());
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        remove_tree(&path.join("ws"))?;
        create_private(&path.join("artifacts"))?;
        create_private(&path.join("ws"))?;
        Ok(RunDir { id: id.to_owned(), path, _lock: lock })
    }

    /// The run's identifier.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where artifacts are kept.
    pub fn artifacts(&self) -> PathBuf {
        self.path.join("artifacts")
    }

    /// Removes the directory with all that is in it.
    pub fn remove(self) -> io::Result<()> {
        remove_tree(&self.path)
    }
}

/// Run directories below `root`, oldest first.
pub fn list(root: &Path) -> io::Result<Vec<Found>> {
    let entries = match fs::read_dir(root.join("runs")) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let path = entry.path();
        let live = is_live(&path);
        found.push(Found { id: entry.file_name().to_string_lossy().into_owned(), path, live });
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

/// Whether a run uses this directory now.
pub fn is_live(path: &Path) -> bool {
    match File::open(path.join("lock")) {
        Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err(),
        // Between the directory's and the lock's creation, or a torn one: young ones are let be.
        Err(_) => {
            let modified = fs::metadata(path).and_then(|meta| meta.modified());
            modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age.as_secs() < 60))
        }
    }
}

/// Removes a tree, read-only directories included; one that is not there is no error.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) if e.kind() != io::ErrorKind::PermissionDenied => return Err(e),
        Err(_) => {}
    }
    make_removable(path)?;
    fs::remove_dir_all(path)
}

fn make_removable(root: &Path) -> io::Result<()> {
    let mut pending = vec![root.to_path_buf()];
    while let Some(dir) = pending.pop() {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    Ok(())
}

/// An identifier that sorts by time: `20261124-014012-1f3a9c07`.
fn new_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let time = super::event::Timestamp(seconds * 1_000_000).to_string();
    let digits: String = time.chars().take(19).filter(|c| c.is_ascii_digit()).collect();
    let random = RandomState::new().hash_one(std::process::id()) as u32;
    format!("{}-{}-{random:08x}", &digits[..8], &digits[8..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_directory_is_private_locked_and_goes() {
        let root = tempfile::tempdir().expect("tempdir");
        let run = RunDir::create(root.path()).expect("created");
        let mode = fs::metadata(run.path()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(list(root.path()).expect("listed")[0].live);
        let sub = run.artifacts().join("ro");
        fs::create_dir(&sub).expect("made");
        fs::write(sub.join("x"), "x").expect("written");
        fs::set_permissions(&sub, fs::Permissions::from_mode(0o500)).expect("set");
        run.remove().expect("removed");
        assert_eq!(list(root.path()).expect("listed"), vec![]);
    }

    #[test]
    fn a_directory_without_its_run_is_not_live() {
        let root = tempfile::tempdir().expect("tempdir");
        drop(RunDir::create(root.path()).expect("created"));
        assert!(!list(root.path()).expect("listed")[0].live);
    }
}
