//! The store as an evaluation sees it: what it has put there itself can be read back, although
//! nothing is written to the disk.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::drv::aterm;
use crate::drv::content_address::Method;
use crate::drv::derivation::Derivation;
use crate::drv::object::{self, Content, Objects, Text};
use crate::drv::store_path::{StoreDir, StorePath};
use crate::eval::Evaluation;
use crate::eval::io::{EvalIo, FileKind};

/// What stands behind a store path that this evaluation made.
#[derive(Clone)]
pub enum Object {
    /// A text file.
    Text(Arc<[u8]>),
    /// A copy of a file or directory.
    Copy {
        /// What was copied.
        source: PathBuf,
        /// How it was hashed.
        method: Method,
        /// Paths below it that a filter left out.
        left_out: Rc<HashSet<PathBuf>>,
        /// Messages name the source, not the copy: it is what the user knows.
        is_local: bool,
    },
}

struct Entry {
    object: Object,
    references: Rc<BTreeSet<StorePath>>,
}

/// Files and environment, with the store paths made in this evaluation on top.
pub struct StoreView {
    below: Rc<dyn EvalIo>,
    dir: StoreDir,
    entries: RefCell<HashMap<StorePath, Entry>>,
}

enum Place {
    Text(Arc<[u8]>),
    Disk(PathBuf),
    Nowhere,
}

impl StoreView {
    fn place(&self, path: &Path) -> Place {
        let bytes = path.as_os_str().as_encoded_bytes();
        let Ok((object, rest)) = self.dir.split(bytes) else { return Place::Disk(path.to_owned()) };
        let entries = self.entries.borrow();
        match entries.get(&object).map(|e| &e.object) {
            None => Place::Disk(path.to_owned()),
            Some(Object::Text(text)) if rest.is_empty() => Place::Text(text.clone()),
            Some(Object::Text(_)) => Place::Nowhere,
            Some(Object::Copy { source, .. }) if rest.is_empty() => {
                let text = self.dir.split(source.as_os_str().as_encoded_bytes());
                match text.ok().and_then(|(path, _)| Some(&entries.get(&path)?.object)) {
                    Some(Object::Text(text)) => Place::Text(text.clone()),
                    _ => Place::Disk(source.clone()),
                }
            }
            Some(Object::Copy { source, left_out, .. }) => {
                let real = source.join(Evaluation::os_path(&rest[1..]));
                if real.ancestors().any(|a| left_out.contains(a)) {
                    Place::Nowhere
                } else {
                    Place::Disk(real)
                }
            }
        }
    }

    /// A copy of what is in a copy, as one of what is on the disk.
    fn on_disk(&self, object: Object) -> Object {
        let Object::Copy { source, method, left_out, is_local } = object else { return object };
        let entries = self.entries.borrow();
        let split = self.dir.split(source.as_os_str().as_encoded_bytes()).ok();
        let outer = split.as_ref().and_then(|(path, rest)| Some((&entries.get(path)?.object, rest)));
        let Some((Object::Copy { source: outer, left_out: outer_left_out, .. }, rest)) = outer else {
            return Object::Copy { source, method, left_out, is_local };
        };
        let real = match rest.strip_prefix(b"/") {
            Some(rest) => outer.join(Evaluation::os_path(rest)),
            None => outer.clone(),
        };
        let below = outer_left_out.iter().filter(|path| path.starts_with(&real)).cloned();
        let own = left_out.iter().filter_map(|path| Some(real.join(path.strip_prefix(&source).ok()?)));
        let left_out = Rc::new(below.chain(own).collect());
        Object::Copy { source: real, method, left_out, is_local }
    }

    /// The store objects that an object made in this evaluation refers to.
    pub fn references(&self, path: &StorePath) -> Option<Rc<BTreeSet<StorePath>>> {
        self.entries.borrow().get(path).map(|e| e.references.clone())
    }

    /// Whether this evaluation made an object.
    pub fn contains(&self, path: &StorePath) -> bool {
        self.entries.borrow().contains_key(path)
    }
}

impl EvalIo for StoreView {
    fn read_file(&self, path: &Path) -> io::Result<Arc<[u8]>> {
        match self.place(path) {
            Place::Text(text) => Ok(text),
            Place::Disk(real) => self.below.read_file(&real),
            Place::Nowhere => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn lstat(&self, path: &Path) -> io::Result<Option<FileKind>> {
        match self.place(path) {
            Place::Text(_) => Ok(Some(FileKind::Regular { executable: false })),
            Place::Disk(real) => self.below.lstat(&real),
            Place::Nowhere => Ok(None),
        }
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<(Vec<u8>, FileKind)>> {
        match self.place(path) {
            Place::Text(_) => Err(io::ErrorKind::NotADirectory.into()),
            Place::Disk(real) => {
                let mut all = self.below.read_dir(&real)?;
                all.retain(|(name, _)| {
                    !matches!(self.place(&path.join(Evaluation::os_path(name))), Place::Nowhere)
                });
                Ok(all)
            }
            Place::Nowhere => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        match self.place(path) {
            Place::Text(_) => Err(io::ErrorKind::InvalidInput.into()),
            Place::Disk(real) => self.below.read_link(&real),
            Place::Nowhere => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn env(&self, name: &str) -> Option<Vec<u8>> {
        self.below.env(name)
    }

    fn shown(&self, path: &Path) -> PathBuf {
        let bytes = path.as_os_str().as_encoded_bytes();
        let Ok((object, rest)) = self.dir.split(bytes) else { return path.to_owned() };
        match self.entries.borrow().get(&object).map(|e| &e.object) {
            Some(Object::Copy { source, is_local: true, .. }) if rest.is_empty() => source.clone(),
            Some(Object::Copy { source, is_local: true, .. }) => source.join(Evaluation::os_path(&rest[1..])),
            _ => path.to_owned(),
        }
    }
}

/// The view of an evaluation; the first call puts it between the evaluation and its files.
pub fn view(ev: &mut Evaluation<'_>) -> Rc<StoreView> {
    if let Some(view) = &ev.caches.store.view {
        return view.clone();
    }
    let dir = StoreDir::new(&ev.settings.store_dir);
    let view = Rc::new(StoreView { below: ev.io.clone(), dir, entries: RefCell::default() });
    ev.io = view.clone();
    ev.caches.store.view = Some(view.clone());
    view
}

/// The objects among these that this evaluation made, and those that they refer to, directly or
/// through others. What is not among them is in the store already, or nowhere.
pub fn closure(ev: &mut Evaluation<'_>, roots: impl IntoIterator<Item = StorePath>) -> Objects {
    let view = view(ev);
    let entries = view.entries.borrow();
    let mut found = Objects::new();
    let mut pending: Vec<StorePath> = roots.into_iter().collect();
    while let Some(path) = pending.pop() {
        let Some(entry) = entries.get(&path).filter(|_| !found.contains_key(&path)) else { continue };
        let content = match &entry.object {
            Object::Text(text) => Content::Text(Text(text.clone())),
            Object::Copy { source, method, left_out, .. } => Content::Copy {
                source: source.clone(),
                method: *method,
                left_out: left_out.iter().cloned().collect(),
            },
        };
        pending.extend(entry.references.iter().cloned());
        found.insert(path, object::Object { references: (*entry.references).clone(), content });
    }
    found
}

/// A derivation that this evaluation made.
pub fn derivation(ev: &mut Evaluation<'_>, path: &StorePath) -> Option<Derivation> {
    let view = view(ev);
    let entries = view.entries.borrow();
    match entries.get(path).map(|e| &e.object) {
        Some(Object::Text(text)) if path.is_derivation() => aterm::parse_file(text, path, &view.dir).ok(),
        _ => None,
    }
}

/// Makes an object readable under its store path. One that is there already has the same content, and stays: the
/// new one may be a copy of it.
pub fn register(ev: &mut Evaluation<'_>, path: StorePath, object: Object, references: BTreeSet<StorePath>) {
    let view = view(ev);
    let object = view.on_disk(object);
    let entry = Entry { object, references: Rc::new(references) };
    view.entries.borrow_mut().entry(path).or_insert(entry);
}
