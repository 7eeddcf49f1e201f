//! The files of this machine, as archives see them.

use std::collections::HashSet;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::nar::{FileTree, Node};

/// The files of this machine, without what a filter left out.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    left_out: HashSet<PathBuf>,
}

impl Disk {
    /// Everything.
    pub fn whole() -> Disk {
        Disk::default()
    }

    /// Everything but these paths, and what is below them.
    pub fn without(left_out: HashSet<PathBuf>) -> Disk {
        Disk { left_out }
    }
}

impl FileTree for Disk {
    type Error = io::Error;

    fn node(&mut self, path: &Path) -> io::Result<Node> {
        let found = std::fs::symlink_metadata(path)?;
        if found.is_symlink() {
            let target = std::fs::read_link(path)?.into_os_string().into_encoded_bytes();
            return Ok(Node::Symlink { target });
        }
        if found.is_dir() {
            let names = std::fs::read_dir(path)?.map(|e| Ok(e?.file_name().into_encoded_bytes()));
            return Ok(Node::Directory { names: names.collect::<io::Result<_>>()? });
        }
        if !found.is_file() {
            let text = format!("{} is neither a file, a directory nor a symbolic link", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(Node::Regular { executable: found.permissions().mode() & 0o100 != 0, size: found.len() })
    }

    fn open(&mut self, path: &Path) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(std::fs::File::open(path)?))
    }

    fn includes(&mut self, path: &Path) -> io::Result<bool> {
        Ok(!self.left_out.contains(path))
    }
}
