//! The file system as the editor sees it: open texts over what is on disk.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::eval::io::{EvalIo, FileKind, System};

/// The open texts by path.
pub type Texts = Arc<HashMap<PathBuf, Arc<str>>>;

/// Largest file that is read: a language server has no use for more.
const LARGEST: u64 = 64 << 20;

/// Open texts over the real system, noting what is read.
#[derive(Default)]
pub struct Overlay {
    texts: RefCell<Texts>,
    read: RefCell<BTreeSet<PathBuf>>,
}

impl Overlay {
    /// Takes other open texts, and begins to note anew.
    pub fn replace(&self, texts: Texts) {
        *self.texts.borrow_mut() = texts;
        self.read.borrow_mut().clear();
    }

    /// The files that were read, or looked for, since.
    pub fn seen(&self) -> BTreeSet<PathBuf> {
        self.read.borrow().clone()
    }
}

impl EvalIo for Overlay {
    fn read_file(&self, path: &Path) -> io::Result<Arc<[u8]>> {
        self.read.borrow_mut().insert(path.to_owned());
        if let Some(text) = self.texts.borrow().get(path) {
            return Ok(text.clone().into());
        }
        let meta = std::fs::metadata(path)?;
        if !meta.is_file() && !meta.is_dir() {
            // A pipe or device may never end.
            return Err(io::Error::new(io::ErrorKind::Unsupported, "not a regular file"));
        }
        if meta.len() > LARGEST {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is larger than 64 MiB"));
        }
        System.read_file(path)
    }

    fn lstat(&self, path: &Path) -> io::Result<Option<FileKind>> {
        self.read.borrow_mut().insert(path.to_owned());
        match System.lstat(path) {
            Ok(None) if self.texts.borrow().contains_key(path) => {
                Ok(Some(FileKind::Regular { executable: false }))
            }
            other => other,
        }
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<(Vec<u8>, FileKind)>> {
        System.read_dir(path)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        System.read_link(path)
    }

    fn env(&self, name: &str) -> Option<Vec<u8>> {
        System.env(name)
    }
}
