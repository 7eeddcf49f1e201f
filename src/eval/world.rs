//! What evaluation asks of the world beyond files: builds, downloads, sources, flakes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::Evaluation;
use super::builtins::flake_ref::{self, Field, FlakeRef};
use super::error::{ErrorKind, EvalError};
use super::value::{Res, Value};
use crate::base::source::SpanId;
use crate::drv::object::{Needed, Objects};
use crate::drv::store_path::StoreDir;

/// Why the world does not give what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorldError {
    /// Nothing may be built or fetched here: what depends on it is not known.
    Unavailable(String),
    /// It went wrong.
    Failed(String),
}

impl WorldError {
    /// The error of evaluation that it becomes.
    pub fn at(self, span: SpanId) -> Box<EvalError> {
        match self {
            WorldError::Unavailable(text) => EvalError::new(ErrorKind::Unavailable, text, span),
            WorldError::Failed(text) => EvalError::new(ErrorKind::Io, text, span),
        }
    }
}

/// A source that is on this machine.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Its file or directory, without symbolic links in the path.
    pub path: PathBuf,
    /// What below it does not belong to it.
    pub left_out: HashSet<PathBuf>,
    /// What else is known: revision, time of the last change.
    pub info: Vec<(String, Field)>,
    /// It is the user's own directory, which messages should name.
    pub is_local: bool,
}

/// The world.
pub trait World {
    /// Makes store paths exist: outputs of derivations, and paths as they are. `objects` are those
    /// that this evaluation made and that are needed for it.
    fn realise(&self, dir: &StoreDir, objects: Objects, needed: &[Needed]) -> Result<(), WorldError>;

    /// A file by its URL, or an archive, unpacked.
    fn download(&self, url: &str, unpack: bool) -> Result<Tree, WorldError>;

    /// The source that a reference means.
    fn tree(&self, source: &FlakeRef) -> Result<Tree, WorldError>;

    /// The flake that a reference means, with its outputs.
    fn flake<'h>(&self, ev: &mut Evaluation<'h>, source: &FlakeRef, span: SpanId) -> Res<Value<'h>>;

    /// A reference as text, in which a path may be relative to a directory.
    fn parse_reference(&self, text: &str, here: &Path) -> Result<FlakeRef, WorldError>;

    /// The input `nixpkgs` of the nearest lock file, looked for from a directory upwards; `None`
    /// when there is none. Fetches nothing.
    fn locked_nixpkgs(&self, dir: &Path) -> Result<Option<FlakeRef>, WorldError>;
}

/// A world in which nothing is built or fetched.
pub struct NoWorld;

fn refused<T>(what: &str) -> Result<T, WorldError> {
    Err(WorldError::Unavailable(format!("cannot fetch '{what}': this evaluator does not reach the network")))
}

impl World for NoWorld {
    fn realise(&self, dir: &StoreDir, _: Objects, needed: &[Needed]) -> Result<(), WorldError> {
        let Some(Needed::Output(drv, output)) = needed.first() else { return Ok(()) };
        Err(WorldError::Unavailable(format!(
            "cannot build '{}^{output}' during evaluation because the option 'allow-import-from-derivation' is disabled",
            dir.print(drv)
        )))
    }

    fn download(&self, url: &str, _: bool) -> Result<Tree, WorldError> {
        refused(url)
    }

    fn tree(&self, source: &FlakeRef) -> Result<Tree, WorldError> {
        refused(&source.show())
    }

    fn flake<'h>(&self, _: &mut Evaluation<'h>, source: &FlakeRef, span: SpanId) -> Res<Value<'h>> {
        refused(&source.show()).map_err(|e| e.at(span))
    }

    fn parse_reference(&self, text: &str, _: &Path) -> Result<FlakeRef, WorldError> {
        flake_ref::parse(text).map_err(|e| WorldError::Failed(e.to_string()))
    }

    fn locked_nixpkgs(&self, _: &Path) -> Result<Option<FlakeRef>, WorldError> {
        Ok(None)
    }
}
