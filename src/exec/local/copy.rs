//! Copying and removing directory trees: reflinks where the file system can, threads where not.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::io::Errno;

/// Why a tree could not be copied or removed.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The file system is full.
    #[error("no space left on the file system of the workspace, while writing `{}`{}", path.display(), room(*free))]
    NoSpace {
        /// What was being written.
        path: PathBuf,
        /// Bytes that the file system still has.
        free: Option<u64>,
    },
    /// git could not list the project.
    #[error("git cannot list the files of `{}`: {message}", dir.display())]
    Git {
        /// The repository.
        dir: PathBuf,
        /// What git said.
        message: String,
    },
    /// The run was cancelled meanwhile.
    #[error("the copy of the project was cancelled")]
    Cancelled,
    /// Another operation on files failed.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn room(free: Option<u64>) -> String {
    free.map_or_else(String::new, |free| format!(" ({} KiB free)", free / 1024))
}

impl CopyError {
    /// The error for a failed `action` on `path`; a full disk is told apart.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            let free = path.parent().and_then(|dir| rustix::fs::statvfs(dir).ok());
            let free = free.map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
            return Self::NoSpace { path: path.to_path_buf(), free };
        }
        Self::Io { action, path: path.to_path_buf(), source }
    }
}

/// Set once a reflink was refused, so that the other files do not try.
static NO_REFLINK: AtomicBool = AtomicBool::new(false);
/// Fewer files than this are copied by the calling thread alone.
const PARALLEL_FROM: usize = 128;

/// Copies `paths`, relative to `from`, into the existing directory `to`. A path that is gone by
/// now is left out. Setting `stop` ends it early.
pub(super) fn copy_paths(
    from: &Path,
    to: &Path,
    paths: &[PathBuf],
    stop: &AtomicBool,
) -> Result<(), CopyError> {
    make_parents(to, paths)?;
    let copy = |path: &PathBuf| match stop.load(Ordering::Relaxed) {
        true => Err(CopyError::Cancelled),
        false => copy_entry(&from.join(path), &to.join(path)),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    if paths.len() < PARALLEL_FROM || threads == 1 {
        return paths.iter().try_for_each(copy);
    }
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = copy(path) {
                        next.store(paths.len(), Ordering::Relaxed);
                        failure.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(error);
                        return;
                    }
                }
            });
        }
    });
    failure.into_inner().unwrap_or_else(|e| e.into_inner()).map_or(Ok(()), Err)
}

/// Makes the directories above every path. The paths come in order, so neighbours share parents.
fn make_parents(to: &Path, paths: &[PathBuf]) -> Result<(), CopyError> {
    let mut last = Path::new("");
    for path in paths {
        let Some(parent) = path.parent() else { continue };
        if parent != last {
            let dir = to.join(parent);
            fs::create_dir_all(&dir).map_err(|error| CopyError::io("create", &dir, error))?;
            last = parent;
        }
    }
    Ok(())
}

/// Copies one file, symbolic link or (empty) directory with its mode; other kinds are left out.
pub(super) fn copy_entry(from: &Path, to: &Path) -> Result<(), CopyError> {
    let metadata = match fs::symlink_metadata(from) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CopyError::io("read", from, error)),
    };
    let kind = metadata.file_type();
    if kind.is_symlink() {
        let target = fs::read_link(from).map_err(|error| CopyError::io("read", from, error))?;
        return symlink(target, to).map_err(|error| CopyError::io("write", to, error));
    }
    if kind.is_dir() {
        return fs::create_dir_all(to).map_err(|error| CopyError::io("create", to, error));
    }
    if !kind.is_file() {
        return Ok(());
    }
    copy_file(from, to, &metadata)
}

fn copy_file(from: &Path, to: &Path, metadata: &fs::Metadata) -> Result<(), CopyError> {
    let writing = |error| CopyError::io("write", to, error);
    let mut source = File::open(from).map_err(|error| CopyError::io("read", from, error))?;
    let mode = metadata.permissions().mode() & 0o7777;
    let mut target =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(to).map_err(writing)?;
    if metadata.size() > 0 && !reflink(&source, &target).map_err(writing)? {
        io::copy(&mut source, &mut target).map_err(writing)?;
    }
    target.set_permissions(fs::Permissions::from_mode(mode)).map_err(writing)?;
    // Build tools and git compare times; a copy that looks new would be built and hashed again.
    if let Ok(modified) = metadata.modified() {
        target.set_times(fs::FileTimes::new().set_modified(modified)).map_err(writing)?;
    }
    Ok(())
}

/// Shares the blocks of `source` with `target`; false where the file system cannot.
fn reflink(source: &File, target: &File) -> io::Result<bool> {
    if NO_REFLINK.load(Ordering::Relaxed) {
        return Ok(false);
    }
    match rustix::fs::ioctl_ficlone(target, source) {
        Ok(()) => Ok(true),
        Err(Errno::NOSPC) => Err(Errno::NOSPC.into()),
        // Every other refusal is about this pair of files or file systems: copy instead.
        Err(error) => {
            if matches!(error, Errno::OPNOTSUPP | Errno::XDEV | Errno::NOTTY | Errno::NOSYS) {
                NO_REFLINK.store(true, Ordering::Relaxed);
            }
            Ok(false)
        }
    }
}

/// Removes a tree whatever modes its directories have; one that is not there is no error.
pub(super) fn remove_tree(path: &Path) -> Result<(), CopyError> {
    let mut tries = 0;
    loop {
        match fs::remove_dir_all(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if tries == 3 => return Err(CopyError::io("remove", path, error)),
            // A process that is only now dying may still add a file: try again.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(_) => unlock(path),
        }
        tries += 1;
    }
}

/// Makes every directory of a tree writable by its owner, as far as that is allowed.
fn unlock(path: &Path) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if !metadata.is_dir() {
        return;
    }
    let mode = metadata.permissions().mode();
    if mode & 0o700 != 0o700 {
        // A directory that is not ours stays as it is; the removal then reports it.
        let _refused = fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o700));
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        unlock(&entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_modes_links_times_and_many_files() {
        let from = tempfile::tempdir().unwrap();
        let to = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for index in 0..300 {
            let path = PathBuf::from(format!("d{}/f{index:03}", index / 50));
            fs::create_dir_all(from.path().join(path.parent().unwrap())).unwrap();
            fs::write(from.path().join(&path), format!("{index}")).unwrap();
            paths.push(path);
        }
        let tool = from.path().join("tool");
        fs::write(&tool, "#!/bin/sh").unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o555)).unwrap();
        symlink("nowhere/at all", from.path().join("link")).unwrap();
        paths.extend(["tool".into(), "link".into(), "gone".into()]);
        let stop = AtomicBool::new(false);
        copy_paths(from.path(), to.path(), &paths, &stop).unwrap();
        stop.store(true, Ordering::Relaxed);
        let cancelled = copy_paths(from.path(), to.path(), &paths, &stop);
        assert!(matches!(cancelled, Err(CopyError::Cancelled)));
        assert_eq!(fs::read_to_string(to.path().join("d3/f151")).unwrap(), "151");
        let copied = fs::metadata(to.path().join("tool")).unwrap();
        assert_eq!(copied.permissions().mode() & 0o7777, 0o555);
        assert_eq!(copied.modified().unwrap(), fs::metadata(&tool).unwrap().modified().unwrap());
        assert_eq!(fs::read_link(to.path().join("link")).unwrap(), Path::new("nowhere/at all"));
        assert!(!to.path().join("gone").exists());
    }

    #[test]
    fn removes_read_only_directories() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        fs::create_dir_all(top.join("locked/deep")).unwrap();
        fs::write(top.join("locked/deep/f"), "").unwrap();
        for path in ["locked/deep", "locked"] {
            fs::set_permissions(top.join(path), fs::Permissions::from_mode(0o500)).unwrap();
        }
        unlock(&top);
        assert_eq!(fs::metadata(top.join("locked")).unwrap().permissions().mode() & 0o700, 0o700);
        fs::set_permissions(top.join("locked"), fs::Permissions::from_mode(0o500)).unwrap();
        remove_tree(&top).unwrap();
        assert!(!top.exists());
        remove_tree(&top).unwrap();
    }

    #[test]
    fn a_full_file_system_is_told_apart() {
        let error = CopyError::io("write", Path::new("/dev/full"), Errno::NOSPC.into());
        assert!(error.to_string().starts_with("no space left"), "{error}");
    }
}
