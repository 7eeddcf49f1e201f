//! The traits through which evaluation touches the world.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::world::{NoWorld, World};

/// What a directory entry is, in Nix's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file; whether it is executable.
    Regular {
        /// Executable by its owner.
        executable: bool,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Anything else.
    Unknown,
}

impl FileKind {
    /// As `builtins.readDir` prints it.
    pub fn name(self) -> &'static str {
        match self {
            FileKind::Regular { .. } => "regular",
            FileKind::Directory => "directory",
            FileKind::Symlink => "symlink",
            FileKind::Unknown => "unknown",
        }
    }
}

/// Files and environment, as evaluation sees them.
pub trait EvalIo {
    /// The bytes of a file.
    fn read_file(&self, path: &Path) -> io::Result<Arc<[u8]>>;
    /// What stands at a path, not following a symbolic link there; `None` if nothing.
    fn lstat(&self, path: &Path) -> io::Result<Option<FileKind>>;
    /// Names and kinds in a directory, in any order.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<(Vec<u8>, FileKind)>>;
    /// The target of a symbolic link.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;
    /// A variable of the environment.
    fn env(&self, name: &str) -> Option<Vec<u8>>;
    /// What else evaluation may ask for: builds, downloads, sources.
    fn world(&self) -> Rc<dyn World> {
        Rc::new(NoWorld)
    }
    /// What messages call a file: where the user wrote it, when this is a copy of that.
    fn shown(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// The real system.
pub struct System;

fn kind(m: &std::fs::Metadata) -> FileKind {
    use std::os::unix::fs::PermissionsExt;
    let t = m.file_type();
    if t.is_symlink() {
        FileKind::Symlink
    } else if t.is_dir() {
        FileKind::Directory
    } else if t.is_file() {
        FileKind::Regular { executable: m.permissions().mode() & 0o100 != 0 }
    } else {
        FileKind::Unknown
    }
}

/// What the metadata of a path, not following links, says of it.
pub fn kind_of(found: Result<&std::fs::Metadata, &io::Error>) -> io::Result<Option<FileKind>> {
    match found {
        Ok(m) => Ok(Some(kind(m))),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e.raw_os_error().map_or_else(|| e.kind().into(), io::Error::from_raw_os_error)),
    }
}

impl EvalIo for System {
    fn read_file(&self, path: &Path) -> io::Result<Arc<[u8]>> {
        use std::io::Read;
        let mut file = std::fs::File::open(path)?;
        let size = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        // Straight into its last place; what does not know its size is read to its end.
        let mut text: Arc<[u8]> = std::iter::repeat_n(0, size).collect();
        let whole = size > 0 && Arc::get_mut(&mut text).is_some_and(|b| file.read_exact(b).is_ok());
        if whole { Ok(text) } else { std::fs::read(path).map(Into::into) }
    }

    fn lstat(&self, path: &Path) -> io::Result<Option<FileKind>> {
        kind_of(std::fs::symlink_metadata(path).as_ref())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<(Vec<u8>, FileKind)>> {
        use std::os::unix::ffi::OsStringExt;
        std::fs::read_dir(path)?
            .map(|e| {
                let e = e?;
                let t = e.file_type()?;
                let k = if t.is_symlink() {
                    FileKind::Symlink
                } else if t.is_dir() {
                    FileKind::Directory
                } else if t.is_file() {
                    kind(&e.metadata()?)
                } else {
                    FileKind::Unknown
                };
                Ok((e.file_name().into_vec(), k))
            })
            .collect()
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::read_link(path)
    }

    fn env(&self, name: &str) -> Option<Vec<u8>> {
        use std::os::unix::ffi::OsStringExt;
        std::env::var_os(name).map(OsStringExt::into_vec)
    }
}
