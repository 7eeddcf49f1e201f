//! Flakes: their lock files, completed in memory where they are missing or out of date, and their
//! outputs. Nothing is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::error::FetchError;
use super::fetch::{self, Fetcher};
use super::lock::{self, Edge, LockFile, Node};
use crate::base::source::{SourceName, SpanId};
use crate::base::symbol::Symbol;
use crate::eval::builtins::flake_ref::{Field, FlakeRef};
use crate::eval::builtins::{self, fetch::tree_value};
use crate::eval::world::Tree;
use crate::eval::{ErrorKind, EvalError, Evaluation, Res, Slot, Value};

/// What a flake says of one of its inputs.
#[derive(Clone, Debug, Deserialize)]
struct Spec {
    flake: bool,
    follows: Option<String>,
    source: Json,
    inputs: BTreeMap<String, Spec>,
}

/// Inputs within inputs, at most.
const DEEPEST: usize = 30;

/// An error of fetching or locking, at a place of the evaluation.
#[cold]
pub(super) fn at(e: &FetchError, span: SpanId) -> Box<EvalError> {
    let kind = match e {
        FetchError::Offline(_) => ErrorKind::Unavailable,
        _ => ErrorKind::Io,
    };
    EvalError::new(kind, e.to_string(), span)
}

/// A fetched source as evaluation takes it.
pub(super) fn tree(fetched: fetch::Fetched) -> Tree {
    Tree {
        path: fetched.path,
        left_out: fetched.left_out,
        info: fetched.info.into_iter().collect(),
        is_local: fetched.is_local,
    }
}

/// The value of a flake: its outputs, inputs and source.
pub(super) fn value<'h>(
    fetcher: &Fetcher,
    ev: &mut Evaluation<'h>,
    source: &FlakeRef,
    span: SpanId,
) -> Res<Value<'h>> {
    let fetched = fetcher.tree(source).map_err(|e| at(&e, span))?;
    let (path, info) = tree_value(ev, tree(fetched), span)?;
    let dir = source.text("dir").unwrap_or_default().to_owned();
    let base = PathBuf::from(path).join(&dir);
    let old = lock_file(ev, &base, span)?;
    let specs = specs(ev, &base, span)?;
    let mut locker = Locker {
        fetcher,
        ev,
        span,
        lock: LockFile { nodes: BTreeMap::new(), root: "root".into(), version: 7 },
        overrides: BTreeMap::new(),
    };
    locker.lock.nodes.insert("root".into(), Node::default());
    let key = old.as_ref().map(|l| l.root.clone());
    let inputs = locker.inputs(&specs, &[], old.as_ref().zip(key.as_deref()), &base)?;
    let mut lock = locker.lock;
    if let Some(root) = lock.nodes.get_mut("root") {
        root.inputs = inputs;
    }
    let json = serde_json::to_string(&lock).map_err(|e| EvalError::other(e.to_string(), span))?;
    let none = SpanId::NONE;
    let call = nix(ev, "call-flake.nix", include_str!("call-flake.nix"))?;
    let parse = nix(ev, "lock.nix", "builtins.fromJSON")?;
    let text = ev.heap.string(json.as_bytes());
    let lock = ev.call(parse, &[text], none)?;
    // Flakes have it, whether or not expressions may call it by name.
    let fetch = builtins::all().find(|b| b.name == "fetchTree").map_or(Value::Null(none), Value::Builtin);
    let dir = ev.heap.string(dir.as_bytes());
    let args = ev.heap.attrs_from(vec![
        (Symbol::intern("lock"), none, lock),
        (Symbol::intern("source"), none, info),
        (Symbol::intern("dir"), none, dir),
        (Symbol::intern("fetch"), none, fetch),
    ]);
    let flake = ev.call(call, &[args], span)?;
    ev.force_value(flake)
}

fn nix<'h>(ev: &mut Evaluation<'h>, name: &'static str, text: &str) -> Res<Value<'h>> {
    ev.eval_text(SourceName::Embedded(name), text.as_bytes(), Path::new("/"))
}

/// The lock file of a flake; `None` when it has none.
fn lock_file(ev: &Evaluation<'_>, base: &Path, span: SpanId) -> Res<Option<LockFile>> {
    let file = base.join("flake.lock");
    match ev.io.lstat(&file) {
        Ok(Some(_)) => {}
        _ => return Ok(None),
    }
    let failed = |e: String| EvalError::new(ErrorKind::Io, e, span);
    let text = ev.io.read_file(&file).map_err(|e| failed(format!("cannot read {}: {e}", file.display())))?;
    LockFile::parse(&text, &file.display().to_string()).map(Some).map_err(|e| failed(e.to_string()))
}

/// What a flake says of its inputs.
fn specs(ev: &mut Evaluation<'_>, base: &Path, span: SpanId) -> Res<BTreeMap<String, Spec>> {
    let file = base.join("flake.nix");
    if !matches!(ev.io.lstat(&file), Ok(Some(_))) {
        let text = format!("{} is no flake: it has no flake.nix", base.display());
        return Err(EvalError::new(ErrorKind::Io, text, span));
    }
    let flake = ev.import(file.as_os_str().as_encoded_bytes(), span)?;
    let spec = nix(ev, "spec.nix", include_str!("spec.nix"))?;
    let json = ev.call(spec, &[flake], span).map_err(|e| {
        e.context(format!("while looking at the inputs of the flake {}", base.display()), span)
    })?;
    let json = ev.force_str(&Slot::new(json), span)?;
    serde_json::from_slice(json.bytes)
        .map_err(|e| EvalError::other(format!("the inputs of {} are wrong: {e}", file.display()), span))
}

struct Locker<'a, 'h> {
    fetcher: &'a Fetcher,
    ev: &'a mut Evaluation<'h>,
    span: SpanId,
    lock: LockFile,
    /// What flakes further up say of inputs of their inputs, by the way to them, and from where
    /// they say it.
    overrides: BTreeMap<Vec<String>, (Spec, Vec<String>)>,
}

impl Locker<'_, '_> {
    /// Locks the inputs of a flake: those that `old` has for the same reference stay as they are.
    fn inputs(
        &mut self,
        specs: &BTreeMap<String, Spec>,
        at: &[String],
        old: Option<(&LockFile, &str)>,
        base: &Path,
    ) -> Res<BTreeMap<String, Edge>> {
        if at.len() > DEEPEST {
            let text = format!("the inputs of the flake go on without end: {}", at.join("/"));
            return Err(EvalError::other(text, self.span));
        }
        let mut edges = BTreeMap::new();
        for (name, spec) in specs {
            let way: Vec<String> = at.iter().chain([name]).cloned().collect();
            for (inner, over) in &spec.inputs {
                let to: Vec<String> = way.iter().chain([inner]).cloned().collect();
                self.overrides.entry(to).or_insert_with(|| (over.clone(), at.to_vec()));
            }
            let (spec, from) = match self.overrides.get(&way) {
                Some((over, from)) if over.follows.is_some() || is_given(&over.source) => {
                    (over.clone(), from.clone())
                }
                _ => (spec.clone(), at.to_vec()),
            };
            let edge = match &spec.follows {
                Some(path) => {
                    let path = path.split('/').filter(|p| !p.is_empty()).map(str::to_owned);
                    Edge::Follows(from.into_iter().chain(path).collect())
                }
                None => Edge::Node(self.node(name, &spec, &way, old, base)?),
            };
            edges.insert(name.clone(), edge);
        }
        Ok(edges)
    }

    fn node(
        &mut self,
        name: &str,
        spec: &Spec,
        way: &[String],
        old: Option<(&LockFile, &str)>,
        base: &Path,
    ) -> Res<String> {
        let source = self.source(name, spec)?;
        let original = lock::attributes(&source);
        let known = old.and_then(|(file, key)| match file.nodes.get(key)?.inputs.get(name)? {
            Edge::Node(key) => Some((file, key.as_str(), file.nodes.get(key)?)),
            Edge::Follows(_) => None,
        });
        if let Some((file, key, node)) = known
            && node.original == original
            && node.flake == spec.flake
        {
            return self.keep(file, key, name, way, &way[..way.len() - 1]);
        }
        let key = self.lock.fresh(name);
        // The name is taken before the inputs of this one look for theirs.
        self.lock.nodes.insert(key.clone(), Node::default());
        let relative =
            source.text("path").filter(|p| source.text("type") == Some("path") && !p.starts_with('/'));
        let parent = way[..way.len() - 1].to_vec();
        let (locked, dir) = match relative.map(str::to_owned) {
            Some(path) => (original.clone(), base.join(path)),
            None => self.fetch(&source)?,
        };
        let mut node = Node { locked, original, flake: spec.flake, ..Node::default() };
        if relative_of(&node.locked) {
            node.parent = Some(parent);
        }
        if spec.flake {
            let specs = specs(self.ev, &dir, self.span)?;
            let own = lock_file(self.ev, &dir, self.span)?;
            let root = own.as_ref().map(|l| l.root.clone());
            node.inputs = self.inputs(&specs, way, own.as_ref().zip(root.as_deref()), &dir)?;
        }
        self.lock.nodes.insert(key.clone(), node);
        Ok(key)
    }

    fn source(&self, name: &str, spec: &Spec) -> Res<FlakeRef> {
        let wrong = |e: String| EvalError::other(format!("the input `{name}` of the flake: {e}"), self.span);
        match &spec.source {
            Json::String(url) if url.starts_with("./") || url.starts_with("../") || url == "." => {
                let mut found = FlakeRef::default();
                found.set("type", Field::Text("path".into()));
                found.set("path", Field::Text(url.clone()));
                Ok(found)
            }
            Json::String(url) => fetch::parse(url, Path::new("/")).map_err(|e| wrong(e.to_string())),
            Json::Object(attrs) if attrs.is_empty() => {
                let mut found = FlakeRef::default();
                found.set("type", Field::Text("indirect".into()));
                found.set("id", Field::Text(name.to_owned()));
                Ok(found)
            }
            Json::Object(attrs) => {
                let mut found = lock::reference(attrs);
                if found.text("type").is_none() {
                    found.set("type", Field::Text("indirect".into()));
                }
                Ok(found)
            }
            _ => Err(wrong("its `url` must be a string".into())),
        }
    }

    /// Fetches an input: its locked attributes, and the directory of its flake.
    fn fetch(&mut self, source: &FlakeRef) -> Res<(Map<String, Json>, PathBuf)> {
        let span = self.span;
        let fetched = self.fetcher.tree(source).map_err(|e| at(&e, span))?;
        let mut locked = lock::attributes(&fetched.locked);
        for (name, field) in &fetched.info {
            if matches!(name.as_str(), "rev" | "revCount" | "lastModified") {
                let value = match field {
                    Field::Text(s) => Json::from(s.as_str()),
                    Field::Int(n) => Json::from(*n),
                    Field::Bool(b) => Json::from(*b),
                };
                locked.insert(name.clone(), value);
            }
        }
        let is_local = fetched.is_local;
        let nar_hash = fetched.nar_hash;
        let (path, _) = tree_value(self.ev, tree(fetched), span)?;
        if let Some(hash) = nar_hash.filter(|_| !is_local) {
            locked.insert("narHash".into(), Json::from(hash.sri()));
        }
        let dir = source.text("dir").unwrap_or_default();
        if !dir.is_empty() {
            locked.insert("dir".into(), Json::from(dir));
        }
        Ok((locked, PathBuf::from(path).join(dir)))
    }

    /// Takes a node of a lock file over, with all that it needs. Ways in that file start at its own
    /// root, which here is the flake at `root`.
    fn keep(
        &mut self,
        file: &LockFile,
        key: &str,
        name: &str,
        way: &[String],
        root: &[String],
    ) -> Res<String> {
        let Some(node) = file.nodes.get(key) else {
            return Err(EvalError::other(format!("the lock file has no node `{key}`"), self.span));
        };
        if way.len() > DEEPEST {
            let text = format!("the inputs of the lock file go on without end: {}", way.join("/"));
            return Err(EvalError::other(text, self.span));
        }
        let new = self.lock.fresh(name);
        self.lock.nodes.insert(new.clone(), Node::default());
        let mut kept = node.clone();
        let rooted = |path: &[String]| root.iter().chain(path).cloned().collect::<Vec<_>>();
        for (inner, edge) in &mut kept.inputs {
            let to: Vec<String> = way.iter().chain([inner]).cloned().collect();
            let over = self.overrides.get(&to).and_then(|(over, from)| {
                let path = over.follows.as_ref()?.split('/').filter(|p| !p.is_empty()).map(str::to_owned);
                Some(from.iter().cloned().chain(path).collect::<Vec<String>>())
            });
            *edge = match (over, &*edge) {
                (Some(path), _) => Edge::Follows(path),
                (None, Edge::Node(key)) => Edge::Node(self.keep(file, key, inner, &to, root)?),
                (None, Edge::Follows(path)) => Edge::Follows(rooted(path)),
            };
        }
        kept.parent = kept.parent.as_deref().map(rooted);
        self.lock.nodes.insert(new.clone(), kept);
        Ok(new)
    }
}

fn is_given(source: &Json) -> bool {
    match source {
        Json::String(_) => true,
        Json::Object(attrs) => !attrs.is_empty(),
        _ => false,
    }
}

fn relative_of(locked: &Map<String, Json>) -> bool {
    let text = |name| locked.get(name).and_then(Json::as_str);
    text("type") == Some("path") && text("path").is_some_and(|p| !p.starts_with('/'))
}
