//! The machine with a notebook: passes every question of an evaluation on, and notes the answers.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::answers::{
    Answers, AtPath, Content, State, kind_number, locked_hash, names_hash, target_hash, text_hash,
    variable_hash,
};
use crate::base::source::SpanId;
use crate::drv::object::{Needed, Objects};
use crate::drv::store_path::StoreDir;
use crate::eval::builtins::flake_ref::FlakeRef;
use crate::eval::io::{EvalIo, FileKind};
use crate::eval::world::{Tree, World, WorldError};
use crate::eval::{Evaluation, Res, Value};

/// What is noted.
pub(super) struct Notes {
    pub(super) answers: Answers,
    /// The values of the variables that were read, which the payload is sealed with.
    pub(super) values: Vec<(String, Option<Vec<u8>>)>,
    salt: [u8; 16],
    /// Something was asked that cannot be asked again, or two answers did not fit together.
    pub(super) spoilt: bool,
}

impl Notes {
    pub(super) fn new(salt: [u8; 16]) -> Notes {
        Notes { answers: Answers::default(), values: Vec::new(), salt, spoilt: false }
    }

    fn at(&mut self, path: &Path) -> &mut AtPath {
        if !self.answers.paths.contains_key(path) {
            self.answers.paths.insert(path.to_owned(), AtPath::default());
        }
        self.answers.paths.get_mut(path).expect("it was inserted if it was not there")
    }

    /// Notes one answer in its place; one that differs from an earlier one spoils all.
    fn note<T: PartialEq>(
        &mut self,
        path: &Path,
        place: fn(&mut AtPath) -> &mut Option<T>,
        answer: T,
        same: fn(&T, &T) -> bool,
    ) {
        let known = place(self.at(path));
        let fits = known.as_ref().is_none_or(|k| same(k, &answer));
        if known.is_none() {
            *known = Some(answer);
        }
        self.spoilt |= !fits;
    }
}

/// Files, environment and world, noted.
pub(super) struct Recorder {
    pub(super) below: Rc<dyn EvalIo>,
    pub(super) notes: Rc<RefCell<Notes>>,
}

fn same_content(a: &Content, b: &Content) -> bool {
    a.hash == b.hash
}

impl EvalIo for Recorder {
    fn read_file(&self, path: &Path) -> io::Result<Arc<[u8]>> {
        // The state is taken first, so that a change while reading shows in it.
        let state = State::at(path);
        let text = self.below.read_file(path);
        let state = state.filter(|s| text.as_ref().is_ok_and(|t| t.len() as u64 == s.size()));
        let content = Content { hash: text_hash(&text), state };
        self.notes.borrow_mut().note(path, |p| &mut p.text, content, same_content);
        text
    }

    fn lstat(&self, path: &Path) -> io::Result<Option<FileKind>> {
        let found = self.below.lstat(path);
        self.notes.borrow_mut().note(path, |p| &mut p.kind, kind_number(&found), u8::eq);
        found
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<(Vec<u8>, FileKind)>> {
        let state = State::at(path);
        let names = self.below.read_dir(path);
        let content = Content { hash: names_hash(&names), state: state.filter(|_| names.is_ok()) };
        self.notes.borrow_mut().note(path, |p| &mut p.names, content, same_content);
        names
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let target = self.below.read_link(path);
        self.notes.borrow_mut().note(path, |p| &mut p.target, target_hash(&target), <[u8; 32]>::eq);
        target
    }

    fn env(&self, name: &str) -> Option<Vec<u8>> {
        let value = self.below.env(name);
        let mut notes = self.notes.borrow_mut();
        if !notes.answers.variables.contains_key(name) {
            let digest = variable_hash(&notes.salt, name, value.as_deref());
            notes.answers.variables.insert(name.to_owned(), digest);
            notes.values.push((name.to_owned(), value.clone()));
        }
        value
    }

    fn world(&self) -> Rc<dyn World> {
        Rc::new(RecordedWorld { below: self.below.world(), notes: self.notes.clone() })
    }

    fn shown(&self, path: &Path) -> PathBuf {
        self.below.shown(path)
    }
}

/// The world, of which little can be asked again.
struct RecordedWorld {
    below: Rc<dyn World>,
    notes: Rc<RefCell<Notes>>,
}

impl RecordedWorld {
    fn spoil(&self) {
        self.notes.borrow_mut().spoilt = true;
    }
}

impl World for RecordedWorld {
    fn realise(&self, dir: &StoreDir, objects: Objects, needed: &[Needed]) -> Result<(), WorldError> {
        self.spoil();
        self.below.realise(dir, objects, needed)
    }

    fn download(&self, url: &str, unpack: bool) -> Result<Tree, WorldError> {
        self.spoil();
        self.below.download(url, unpack)
    }

    fn tree(&self, source: &FlakeRef) -> Result<Tree, WorldError> {
        let got = self.below.tree(source);
        // A source that is locked by its hash is always the same; where it lies is noted as it is read.
        let locked = source.text("narHash").is_some();
        match &got {
            Ok(tree) if locked && !tree.is_local && tree.left_out.is_empty() => {
                let kind = kind_number(&crate::eval::io::System.lstat(&tree.path));
                self.notes.borrow_mut().note(&tree.path, |p| &mut p.kind, kind, u8::eq);
            }
            _ => self.spoil(),
        }
        got
    }

    fn flake<'h>(&self, ev: &mut Evaluation<'h>, source: &FlakeRef, span: SpanId) -> Res<Value<'h>> {
        self.spoil();
        self.below.flake(ev, source, span)
    }

    fn parse_reference(&self, text: &str, here: &Path) -> Result<FlakeRef, WorldError> {
        self.spoil();
        self.below.parse_reference(text, here)
    }

    fn locked_nixpkgs(&self, dir: &Path) -> Result<Option<FlakeRef>, WorldError> {
        let mut notes = self.notes.borrow_mut();
        let hash = locked_hash(&*self.below, dir);
        let known = notes.answers.locked.insert(dir.to_owned(), hash);
        notes.spoilt |= known.is_some_and(|k| k != hash);
        drop(notes);
        self.below.locked_nixpkgs(dir)
    }
}
