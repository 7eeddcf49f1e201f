//! Texts that take the place of files: standard input, and files with fixes not yet written. It
//! also remembers what was read.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::cli::changes::{State, state};
use crate::cli::machine::{Machine, Reach};
use crate::eval::io::{EvalIo, FileKind, System};
use crate::eval::world::World;

/// Texts by absolute path, and the files that were read.
#[derive(Default)]
pub(super) struct Overlay {
    texts: Mutex<HashMap<PathBuf, Arc<[u8]>>>,
    read: Mutex<BTreeMap<PathBuf, State>>,
}

impl Overlay {
    /// Puts a text in the place of a file.
    pub(super) fn put(&self, file: PathBuf, text: impl Into<Arc<[u8]>>) {
        self.texts.lock().unwrap_or_else(|e| e.into_inner()).insert(file, text.into());
    }

    /// Whether a text is in the place of any file.
    pub(super) fn is_used(&self) -> bool {
        !self.texts.lock().unwrap_or_else(|e| e.into_inner()).is_empty()
    }

    /// The text that is in the place of a file.
    pub(super) fn get(&self, file: &Path) -> Option<Arc<[u8]>> {
        self.texts.lock().unwrap_or_else(|e| e.into_inner()).get(file).cloned()
    }

    /// Notes that a file is about to be read.
    fn note(&self, path: &Path) {
        let mut read = self.read.lock().unwrap_or_else(|e| e.into_inner());
        if !read.contains_key(path) {
            read.insert(path.to_path_buf(), state(path));
        }
    }

    /// Every file and directory that was read or looked for, with its state before that.
    pub(super) fn read(&self) -> Vec<(PathBuf, State)> {
        let read = self.read.lock().unwrap_or_else(|e| e.into_inner());
        read.iter().map(|(p, s)| (p.clone(), *s)).collect()
    }
}

/// The system's files below an overlay.
pub(super) struct Files(pub(super) Arc<Overlay>);

impl EvalIo for Files {
    fn read_file(&self, path: &Path) -> io::Result<Arc<[u8]>> {
        if let Some(text) = self.0.get(path) {
            return Ok(text);
        }
        self.0.note(path);
        System.read_file(path)
    }

    fn lstat(&self, path: &Path) -> io::Result<Option<FileKind>> {
        match self.0.get(path) {
            Some(_) => Ok(Some(FileKind::Regular { executable: false })),
            None => System.lstat(path),
        }
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<(Vec<u8>, FileKind)>> {
        self.0.note(path);
        System.read_dir(path)
    }

    fn world(&self) -> std::rc::Rc<dyn World> {
        let store = std::env::var("NIX_STORE_DIR").unwrap_or_else(|_| "/nix/store".into());
        Machine::new(Reach::AtHand, &store, true).world()
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        System.read_link(path)
    }

    fn env(&self, name: &str) -> Option<Vec<u8>> {
        System.env(name)
    }
}
