//! Builtins that put files into the store. Nothing is written: the store path is computed, and the
//! object behind it can be read back through the view of the store.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::Builtin;
use super::store_view::{self, Object, StoreView};
use crate::base::source::SpanId;
use crate::drv::content_address::{ContentAddress, Method};
use crate::drv::disk::Disk;
use crate::drv::hash::{Algo, Hash};
use crate::drv::modulo::ModuloCache;
use crate::drv::nar::{self, FileTree, Node};
use crate::drv::store_path::{References, StoreDir, StorePath};
use crate::eval::Evaluation;
use crate::eval::coerce::StringBuilder;
use crate::eval::error::{ErrorKind, EvalError};
use crate::eval::io::FileKind;
use crate::eval::value::{Res, Slot, Value};
use crate::eval::world;
use crate::ir::text::ContextElem;
use rustc_hash::FxHashMap;

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[
    Builtin::new("toFile", 2, to_file, "Puts a text into the store under a name and gives its path."),
    Builtin::new("path", 1, path, "Copies a file or directory to the store, with a name, filter or hash."),
    Builtin::new("filterSource", 2, filter_source, "Copies to the store what a function selects."),
    Builtin::new("storePath", 1, store_path, "Makes a string of a store path refer to it."),
];

/// What the store builtins remember.
#[derive(Default)]
pub struct StoreCache<'h> {
    /// Store paths of copied files with their contexts, by the files' paths.
    pub copied: FxHashMap<Vec<u8>, (&'h [u8], &'h ContextElem)>,
    /// Context elements made so far.
    pub contexts: FxHashMap<ContextElem, &'h ContextElem>,
    /// Hashes of derivations.
    pub modulo: ModuloCache,
    /// Output names of the derivations made in this evaluation.
    pub outputs: FxHashMap<StorePath, BTreeSet<Vec<u8>>>,
    /// What can be read back.
    pub view: Option<Rc<StoreView>>,
}

/// The store directory of an evaluation.
pub fn store_dir(ev: &Evaluation<'_>) -> StoreDir {
    StoreDir::new(&ev.settings.store_dir)
}

/// A context element on the heap, made once.
pub fn context_elem<'h>(ev: &mut Evaluation<'h>, e: ContextElem) -> &'h ContextElem {
    if let Some(&known) = ev.caches.store.contexts.get(&e) {
        return known;
    }
    let kept = ev.heap.context(e.clone());
    ev.caches.store.contexts.insert(e, kept);
    kept
}

/// An error whose text is that of another layer's error.
#[cold]
pub fn wrap(e: impl std::fmt::Display, span: SpanId) -> Box<EvalError> {
    EvalError::other(e.to_string(), span)
}

/// The error for a file that cannot be read.
#[cold]
pub fn file_error(doing: &str, path: &Path, e: &io::Error, span: SpanId) -> Box<EvalError> {
    match e.kind() {
        io::ErrorKind::NotFound => does_not_exist(path, span),
        _ => crate::eval::import::io_error(doing, path, e, span),
    }
}

/// The error for a path at which there is nothing.
#[cold]
pub fn does_not_exist(path: &Path, span: SpanId) -> Box<EvalError> {
    EvalError::new(ErrorKind::Io, format!("path '{}' does not exist", path.display()), span)
}

/// The store path that a file or directory has when it is copied to the store, and its context.
pub fn copy_to_store<'h>(
    ev: &mut Evaluation<'h>,
    path: &[u8],
    span: SpanId,
) -> Res<(&'h [u8], &'h ContextElem)> {
    if let Some(&known) = ev.caches.store.copied.get(path) {
        return Ok(known);
    }
    if path.ends_with(b".drv") {
        return Err(EvalError::other("file names are not allowed to end in '.drv'", span));
    }
    let real = resolve_links(ev, Evaluation::os_path(path), false, span)?;
    let name = base_name(path).to_vec();
    let store =
        add_path(ev, &Adding { name: &name, source: &real, method: Method::Nar, filter: None }, span)?;
    let text = store_dir(ev).print(&store).into_bytes();
    let elem = context_elem(ev, ContextElem::Opaque(text.as_slice().into()));
    let made = (ev.heap.bytes_from(&text), elem);
    ev.heap.pin();
    ev.caches.store.copied.insert(path.to_vec(), made);
    Ok(made)
}

/// The last component of a path; `source` for the root.
pub fn base_name(path: &[u8]) -> &[u8] {
    match path.rsplit(|&b| b == b'/').next() {
        Some(b"") | None => b"source",
        Some(name) => name,
    }
}

/// Symbolic links followed before a path is taken for a circle.
const MAX_LINKS: u32 = 64;

/// The path without symbolic links in it; the last component stays one unless `last`.
pub fn resolve_links(ev: &mut Evaluation<'_>, path: &Path, last: bool, span: SpanId) -> Res<PathBuf> {
    let mut pending: Vec<Vec<u8>> = components(path).rev().collect();
    let mut real = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = pending.pop() {
        if part == b".." {
            real.pop();
            continue;
        }
        let next = real.join(Evaluation::os_path(&part));
        if pending.is_empty() && !last {
            return Ok(next);
        }
        match ev.io.lstat(&next).map_err(|e| file_error("getting status of", &next, &e, span))? {
            Some(FileKind::Symlink) => {
                links += 1;
                if links > MAX_LINKS {
                    let text = format!("infinite symlink recursion in path '{}'", path.display());
                    return Err(EvalError::new(ErrorKind::Io, text, span));
                }
                let target = ev
                    .io
                    .read_link(&next)
                    .map_err(|e| file_error("reading symbolic link", &next, &e, span))?;
                if target.is_absolute() {
                    real = PathBuf::from("/");
                }
                pending.extend(components(&target).rev());
            }
            _ => real = next,
        }
    }
    Ok(real)
}

fn components(path: &Path) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let parts: Vec<Vec<u8>> =
        bytes.split(|&b| b == b'/').filter(|p| !p.is_empty() && *p != b".").map(<[u8]>::to_vec).collect();
    parts.into_iter()
}

/// A copy to the store.
pub struct Adding<'a, 'h> {
    /// The object's name.
    pub name: &'a [u8],
    /// What is copied, links resolved.
    pub source: &'a Path,
    /// How it is hashed.
    pub method: Method,
    /// Selects what of a directory is copied.
    pub filter: Option<Value<'h>>,
}

/// Computes the store path of a copy and makes it readable there.
pub fn add_path<'h>(ev: &mut Evaluation<'h>, adding: &Adding<'_, 'h>, span: SpanId) -> Res<StorePath> {
    add_path_hashed(ev, adding, span).map(|(path, _)| path)
}

/// Puts a source that was fetched into the store: its store path and the hash of its archive.
pub fn add_tree(
    ev: &mut Evaluation<'_>,
    name: &str,
    tree: world::Tree,
    span: SpanId,
) -> Res<(StorePath, Hash)> {
    let mut files = Disk::without(tree.left_out.clone());
    let (hash, _) = nar::hash(&mut files, &tree.path, Algo::Sha256)
        .map_err(|e| file_error("reading file", &tree.path, &e, span))?;
    let address = ContentAddress { method: Method::Nar, hash };
    let made = store_dir(ev)
        .make_fixed_path(name.as_bytes(), &address, &References::none())
        .map_err(|e| wrap(e, span))?;
    let object = Object::Copy {
        source: tree.path,
        method: Method::Nar,
        left_out: Rc::new(tree.left_out),
        is_local: tree.is_local,
    };
    store_view::register(ev, made.clone(), object, BTreeSet::new());
    Ok((made, hash))
}

/// [`add_path`] with the hash of the content.
pub fn add_path_hashed<'h>(
    ev: &mut Evaluation<'h>,
    adding: &Adding<'_, 'h>,
    span: SpanId,
) -> Res<(StorePath, Hash)> {
    let (hash, left_out) = hash_path(ev, adding, span)?;
    let address = ContentAddress { method: adding.method, hash };
    let made = store_dir(ev)
        .make_fixed_path(adding.name, &address, &References::none())
        .map_err(|e| wrap(e, span))?;
    let object = Object::Copy {
        source: adding.source.to_owned(),
        method: adding.method,
        left_out: Rc::new(left_out),
        is_local: false,
    };
    store_view::register(ev, made.clone(), object, BTreeSet::new());
    Ok((made, hash))
}

fn hash_path<'h>(
    ev: &mut Evaluation<'h>,
    adding: &Adding<'_, 'h>,
    span: SpanId,
) -> Res<(Hash, HashSet<PathBuf>)> {
    if adding.method == Method::Flat {
        let bytes = ev
            .io
            .read_file(adding.source)
            .map_err(|e| file_error("opening file", adding.source, &e, span))?;
        return Ok((Hash::sha256(&bytes), HashSet::new()));
    }
    let mut tree = Tree { ev, filter: adding.filter, span, content: Arc::new([]), left_out: HashSet::new() };
    let hash = match nar::hash(&mut tree, adding.source, Algo::Sha256) {
        Ok((hash, _)) => hash,
        Err(CopyError::Eval(e)) => return Err(e),
        Err(CopyError::Io(e)) => return Err(file_error("reading file", adding.source, &e, span)),
    };
    Ok((hash, tree.left_out))
}

/// The files of an evaluation, for archives.
struct Tree<'a, 'h> {
    ev: &'a mut Evaluation<'h>,
    filter: Option<Value<'h>>,
    span: SpanId,
    /// The file that was looked at last.
    content: Arc<[u8]>,
    left_out: HashSet<PathBuf>,
}

enum CopyError {
    Io(io::Error),
    Eval(Box<EvalError>),
}

impl From<io::Error> for CopyError {
    fn from(e: io::Error) -> Self {
        CopyError::Io(e)
    }
}

impl FileTree for Tree<'_, '_> {
    type Error = CopyError;

    fn node(&mut self, path: &Path) -> Result<Node, CopyError> {
        let io = self.ev.io.clone();
        let fail = |doing, e: io::Error| CopyError::Eval(file_error(doing, path, &e, self.span));
        Ok(match io.lstat(path).map_err(|e| fail("getting status of", e))? {
            None => return Err(CopyError::Eval(does_not_exist(path, self.span))),
            Some(FileKind::Regular { executable }) => {
                self.content = io.read_file(path).map_err(|e| fail("opening file", e))?;
                Node::Regular { executable, size: self.content.len() as u64 }
            }
            Some(FileKind::Symlink) => {
                let target = io.read_link(path).map_err(|e| fail("reading symbolic link", e))?;
                Node::Symlink { target: target.into_os_string().into_encoded_bytes() }
            }
            Some(FileKind::Directory) => {
                let all = io.read_dir(path).map_err(|e| fail("cannot read directory", e))?;
                Node::Directory { names: all.into_iter().map(|(name, _)| name).collect() }
            }
            Some(FileKind::Unknown) => {
                let text = format!("file '{}' has an unsupported type", path.display());
                return Err(CopyError::Eval(EvalError::new(ErrorKind::Io, text, self.span)));
            }
        })
    }

    fn open(&mut self, _path: &Path) -> Result<Box<dyn Read + '_>, CopyError> {
        Ok(Box::new(&self.content[..]))
    }

    fn includes(&mut self, path: &Path) -> Result<bool, CopyError> {
        let Some(filter) = self.filter else { return Ok(true) };
        let kind = self.ev.io.lstat(path)?.unwrap_or(FileKind::Unknown);
        let heap = self.ev.heap;
        let arguments =
            [heap.string(path.as_os_str().as_encoded_bytes()), heap.string(kind.name().as_bytes())];
        let answer = self.ev.call(filter, &arguments, self.span).map_err(CopyError::Eval)?;
        let included = self.ev.force_bool(&Slot::new(answer), self.span).map_err(|e| {
            CopyError::Eval(
                e.context("while evaluating the return value of the path filter function", self.span),
            )
        })?;
        if !included {
            self.left_out.insert(path.to_owned());
        }
        Ok(included)
    }
}

/// A string of a store path that refers to it, with more context.
pub fn store_string<'h>(
    ev: &mut Evaluation<'h>,
    path: &StorePath,
    more: &[&'h ContextElem],
    span: SpanId,
) -> Value<'h> {
    let text = store_dir(ev).print(path).into_bytes();
    let elem = context_elem(ev, ContextElem::Opaque(text.as_slice().into()));
    let mut out = StringBuilder { bytes: text, context: vec![elem] };
    out.add_context(more);
    out.finish(ev, span)
}

/// A context element in the form that Nix encodes it in, which this one message shows.
fn encoded(c: &ContextElem) -> String {
    let base = |p: &[u8]| String::from_utf8_lossy(base_name(p)).into_owned();
    match c {
        ContextElem::Opaque(p) => base(p),
        ContextElem::DrvDeep(p) => format!("={}", base(p)),
        ContextElem::Built(p, o) => format!("!{}!{}", String::from_utf8_lossy(o), base(p)),
        ContextElem::Dynamic(p, outputs) => outputs
            .iter()
            .fold(base(p), |path, output| format!("!{}!{path}", String::from_utf8_lossy(output))),
    }
}

fn to_file<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let name = ev
        .force_str_no_context(&args[0], span)
        .map_err(|e| e.context("while evaluating the first argument passed to builtins.toFile", span))?;
    let text = ev
        .force_str(&args[1], span)
        .map_err(|e| e.context("while evaluating the second argument passed to builtins.toFile", span))?;
    let dir = store_dir(ev);
    let mut references = BTreeSet::new();
    for c in text.context {
        let ContextElem::Opaque(p) = c else {
            let message = format!(
                "files created by builtins.toFile may not reference derivations, but {} references {}",
                String::from_utf8_lossy(name.bytes),
                encoded(c)
            );
            return Err(EvalError::other(message, span));
        };
        references.insert(dir.parse(p).map_err(|e| wrap(e, span))?);
    }
    let made =
        dir.make_text_path(name.bytes, &Hash::sha256(text.bytes), &references).map_err(|e| wrap(e, span))?;
    store_view::register(ev, made.clone(), Object::Text(text.bytes.into()), references);
    Ok(store_string(ev, &made, &[], span))
}

/// A hash as fetchers and `builtins.path` take it: the empty text stands for zeros.
pub fn hash_or_empty(ev: &mut Evaluation<'_>, text: &[u8], algo: Option<Algo>, span: SpanId) -> Res<Hash> {
    if !text.is_empty() {
        return Hash::parse(text, algo).map_err(|e| wrap(e, span));
    }
    let Some(algo) = algo else {
        return Err(EvalError::other("empty hash requires explicit hash algorithm", span));
    };
    let zero = Hash::zero(algo);
    (ev.messages)(format!("warning: found empty hash, assuming '{}'", zero.sri()).as_bytes());
    Ok(zero)
}

/// A request to copy a path, as `builtins.path` understands it.
struct Request<'h> {
    path: Vec<u8>,
    context: &'h [&'h ContextElem],
    name: Vec<u8>,
    filter: Option<Value<'h>>,
    method: Method,
    expected: Option<Hash>,
}

fn path<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let attrs = ev
        .force_attrs(&args[0], span)
        .map_err(|e| e.context("while evaluating the argument passed to 'builtins.path'", span))?;
    let mut at: Option<(Vec<u8>, &'h [&'h ContextElem])> = None;
    let mut name: &[u8] = b"";
    let (mut filter, mut method, mut expected) = (None, Method::Nar, None);
    for a in attrs.sorted() {
        let during = |what: &'static str| move |e: Box<EvalError>| e.context(what, a.span);
        match a.name.name() {
            b"path" => {
                at = Some(
                    ev.coerce_to_path(a.slot, a.span)
                        .map_err(during("while evaluating the 'path' attribute passed to 'builtins.path'"))?,
                );
            }
            b"name" => {
                let s = ev.force_str_no_context(a.slot, a.span);
                name =
                    s.map_err(during("while evaluating the `name` attribute passed to builtins.path"))?.bytes;
            }
            b"filter" => {
                filter = Some(
                    ev.force_function(a.slot, a.span)
                        .map_err(during("while evaluating the `filter` parameter passed to builtins.path"))?,
                );
            }
            b"recursive" => {
                let all = ev
                    .force_bool(a.slot, a.span)
                    .map_err(during("while evaluating the `recursive` attribute passed to builtins.path"))?;
                method = if all { Method::Nar } else { Method::Flat };
            }
            b"sha256" => {
                let text = ev
                    .force_str_no_context(a.slot, a.span)
                    .map_err(during("while evaluating the `sha256` attribute passed to builtins.path"))?;
                expected = Some(hash_or_empty(ev, text.bytes, Some(Algo::Sha256), a.span)?);
            }
            _ => {
                let text = format!("unsupported argument '{}' to 'builtins.path'", a.name.text());
                return Err(EvalError::other(text, a.span));
            }
        }
    }
    let Some((path, context)) = at else {
        let text = "missing required 'path' attribute in the first argument to 'builtins.path'";
        return Err(EvalError::other(text, span));
    };
    let name = if name.is_empty() { base_name(&path).to_vec() } else { name.to_vec() };
    add_request(ev, &Request { path, context, name, filter, method, expected }, span)
}

fn filter_source<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let (path, context) = ev.coerce_to_path(&args[1], span).map_err(|e| {
        let what =
            "while evaluating the second argument (the path to filter) passed to 'builtins.filterSource'";
        e.context(what, span)
    })?;
    let filter = ev.force_function(&args[0], span).map_err(|e| {
        e.context("while evaluating the first argument passed to builtins.filterSource", span)
    })?;
    let name = base_name(&path).to_vec();
    let request = Request { path, context, name, filter: Some(filter), method: Method::Nar, expected: None };
    add_request(ev, &request, span)
}

fn add_request<'h>(ev: &mut Evaluation<'h>, r: &Request<'h>, span: SpanId) -> Res<Value<'h>> {
    let shown = || format!("while adding path '{}'", String::from_utf8_lossy(&r.path));
    let made = add_checked(ev, r, span).map_err(|e| e.context(shown(), span))?;
    Ok(store_string(ev, &made, r.context, span))
}

fn add_checked<'h>(ev: &mut Evaluation<'h>, r: &Request<'h>, span: SpanId) -> Res<StorePath> {
    let expected = match r.expected {
        None => None,
        Some(hash) => {
            let address = ContentAddress { method: r.method, hash };
            let made = store_dir(ev).make_fixed_path(&r.name, &address, &References::none());
            Some(made.map_err(|e| wrap(e, span))?)
        }
    };
    if let Some(known) = &expected {
        let on_disk = store_dir(ev).print(known);
        if matches!(ev.io.lstat(Path::new(&on_disk)), Ok(Some(_))) {
            return Ok(known.clone());
        }
    }
    let source = resolve_links(ev, Evaluation::os_path(&r.path), true, span)?;
    let adding = Adding { name: &r.name, source: &source, method: r.method, filter: r.filter };
    let made = add_path(ev, &adding, span)?;
    if expected.is_some_and(|e| e != made) {
        let text = format!(
            "store path mismatch in (possibly filtered) path added from '{}'",
            String::from_utf8_lossy(&r.path)
        );
        return Err(EvalError::other(text, span));
    }
    Ok(made)
}

fn store_path<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    if ev.settings.pure_eval {
        let text = "'builtins.storePath' is not allowed in pure evaluation mode";
        return Err(EvalError::new(ErrorKind::Restricted, text, span));
    }
    let (mut path, context) = ev
        .coerce_to_path(&args[0], span)
        .map_err(|e| e.context("while evaluating the first argument passed to 'builtins.storePath'", span))?;
    let dir = store_dir(ev);
    if dir.parse(&path).is_err() {
        let real = resolve_links(ev, Evaluation::os_path(&path), true, span)?;
        path = real.into_os_string().into_encoded_bytes();
    }
    let (object, _) = dir.split(&path).map_err(|e| wrap(e, span))?;
    let elem = context_elem(ev, ContextElem::Opaque(dir.print(&object).into_bytes().into()));
    let mut out = StringBuilder { bytes: path, context: vec![elem] };
    out.add_context(context);
    Ok(out.finish(ev, span))
}
