//! Builtins that read files: `import`, `readFile`, `readDir` and the like.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Builtin;
use super::derivation::{derivation_result, read_derivation};
use super::store::{context_elem, does_not_exist, file_error, resolve_links, store_dir, wrap};
use super::store_view;
use crate::base::source::{Source, SourceName, SpanId};
use crate::base::symbol::Symbol;
use crate::drv::hash::{Algo, Hash};
use crate::drv::hash_text::Base;
use crate::drv::object::Needed;
use crate::drv::store_path::StorePath;
use crate::eval::Evaluation;
use crate::eval::coerce::{Coerce, StringBuilder};
use crate::eval::error::{ErrorKind, EvalError};
use crate::eval::heap::Env;
use crate::eval::io::FileKind;
use crate::eval::value::{Attr, Attrs, Res, Slot, Value};
use crate::ir::text::ContextElem;
use rustc_hash::FxHashMap;

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[
    Builtin::new("import", 1, import, "The value of a Nix file, evaluated once."),
    Builtin::new("scopedImport", 2, scoped_import, "The value of a Nix file, with more global names."),
    Builtin::new("readFile", 1, read_file, "The content of a file."),
    Builtin::new("readDir", 1, read_dir, "The names in a directory and what they are."),
    Builtin::new("readFileType", 1, read_file_type, "What stands at a path."),
    Builtin::new("pathExists", 1, path_exists, "Whether anything stands at a path."),
    Builtin::new("findFile", 2, find_file, "Looks a path up in a search path."),
    Builtin::new("toPath", 1, to_path, "The canonical form of an absolute path, as a string."),
    Builtin::new("baseNameOf", 1, base_name_of, "The last component of a path."),
    Builtin::new("dirOf", 1, dir_of, "A path without its last component."),
    Builtin::new("hashFile", 2, hash_file, "The hash of a file in base 16."),
    Builtin::new("getEnv", 1, get_env, "A variable of the environment."),
];

/// The set that importing a derivation gives.
const IMPORTED: &str = "
attrs@{ drvPath, name, outputs, ... }:
let
  members = map member outputs;
  shared = builtins.listToAttrs members // {
    all = map (m: m.value) members;
    inherit drvPath name;
    type = \"derivation\";
  };
  member = output: {
    name = output;
    value = shared // {
      outPath = builtins.getAttr output attrs;
      outputName = output;
    };
  };
in
(builtins.head members).value
";

/// The path a value stands for, when what it refers to can be read.
fn real_path<'h>(ev: &mut Evaluation<'h>, slot: &Slot<'h>, span: SpanId) -> Res<PathBuf> {
    let during = |e: Box<EvalError>| e.context("while realising the context of a path", span);
    let (path, context) = ev.coerce_to_path(slot, span).map_err(during)?;
    for &c in context {
        check_built(ev, c, span).map_err(during)?;
    }
    Ok(Evaluation::os_path(&path).to_owned())
}

/// Makes what a string refers to be there, by a build or fetch if the world allows it.
fn check_built(ev: &mut Evaluation<'_>, c: &ContextElem, span: SpanId) -> Res<()> {
    let dir = store_dir(ev);
    let needed = match c {
        ContextElem::Built(drv, output) => {
            let path = dir.parse(drv).map_err(|e| wrap(e, span))?;
            let known =
                store_view::derivation(ev, &path).map_or_else(|| read_derivation(ev, &path, span), Ok);
            if let Ok(known) = known
                && let Ok(Some(made)) = known.output_path(&dir, output)
                && matches!(ev.io.lstat(Path::new(&dir.print(&made))), Ok(Some(_)))
            {
                return Ok(());
            }
            Needed::Output(path, String::from_utf8_lossy(output).into_owned())
        }
        ContextElem::Opaque(path) | ContextElem::DrvDeep(path) => {
            let store = dir.parse(path).map_err(|e| wrap(e, span))?;
            // A path that is not there is reported by whoever reads it, unless it can be fetched.
            if !matches!(ev.io.lstat(Evaluation::os_path(path)), Ok(None)) {
                return Ok(());
            }
            Needed::Path(store)
        }
        // Who reads it finds nothing there.
        ContextElem::Dynamic(..) => return Ok(()),
    };
    let objects = store_view::closure(ev, [needed.root().clone()]);
    let world = ev.world.clone();
    world.realise(&dir, objects, &[needed]).map_err(|e| e.at(span))
}

fn import<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let path = real_path(ev, &args[0], span)?;
    if let Some(v) = import_derivation(ev, &path, span)? {
        return Ok(v);
    }
    ev.import(path.as_os_str().as_encoded_bytes(), span)
}

/// The value of a derivation in the store; `None` when the path is not one.
fn import_derivation<'h>(ev: &mut Evaluation<'h>, path: &Path, span: SpanId) -> Res<Option<Value<'h>>> {
    let dir = store_dir(ev);
    let Ok(store) = dir.parse(path.as_os_str().as_encoded_bytes()) else { return Ok(None) };
    if !store.is_derivation() || !matches!(ev.io.lstat(path), Ok(Some(_))) {
        return Ok(None);
    }
    let drv = read_derivation(ev, &store, span)?;
    let none = SpanId::NONE;
    let heap = ev.heap;
    let name = drv.env.get(b"name".as_slice()).unwrap_or(&drv.name);
    let outputs = heap.slots_from(drv.outputs.keys().map(|o| heap.string(o)));
    let attrs = vec![
        (ev.words.name, none, heap.string(name)),
        (Symbol::intern("outputs"), none, heap.list(outputs, none)),
    ];
    let set = derivation_result(ev, &store, &drv, attrs, span)?;
    let name = SourceName::Embedded("imported-derivation.nix");
    let f = ev.eval_text(name, IMPORTED.as_bytes(), Path::new("/"))?;
    ev.call(f, &[set], span).map(Some)
}

fn scoped_import<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let scope = ev.force_attrs(&args[0], span).map_err(|e| {
        e.context("while evaluating the first argument passed to builtins.scopedImport", span)
    })?;
    let path = real_path(ev, &args[1], span)?;
    let file = ev.resolve_import(&path, span)?;
    let index = extend_globals(ev, scope);
    let text = ev.io.read_file(&file).map_err(|e| file_error("opening file", &file, &e, span))?;
    let source = Source::new(SourceName::Path(file.clone()), text);
    let module = ev.lower_with(source, file.parent().unwrap_or(Path::new("/")), &index)?;
    let code = ev.heap.adopt(module);
    ev.in_frame(code.frame, code.span, |ev, frame| ev.eval(code.body, frame, Env::empty()))
}

/// Adds the attributes of a set to the table of globals, and gives the names that a file read with
/// them may use. Other files keep seeing the names they were read with, since those are indices.
fn extend_globals<'h>(ev: &mut Evaluation<'h>, scope: &'h Attrs<'h>) -> FxHashMap<Symbol, u32> {
    let mut index: FxHashMap<Symbol, u32> = (*Rc::clone(&ev.global_index)).clone();
    let attrs = scope.to_vec();
    let used = ev.globals.len();
    let slots = ev.heap.slots(used + attrs.len());
    for (new, old) in slots.iter().zip(ev.globals) {
        new.set(match old.get() {
            v @ Value::Ref(_) => v,
            _ => Value::Ref(old),
        });
    }
    for (i, attr) in attrs.iter().enumerate() {
        slots[used + i].set(Value::Ref(attr.slot));
        index.insert(attr.name, (used + i) as u32);
    }
    ev.globals = slots;
    ev.heap.pin();
    index
}

fn read_file<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let path = real_path(ev, &args[0], span)?;
    let real = resolve_links(ev, &path, true, span)?;
    let bytes = ev.io.read_file(&real).map_err(|e| file_error("opening file", &real, &e, span))?;
    if memchr::memchr(0, &bytes).is_some() {
        let text =
            format!("the contents of the file '{}' cannot be represented as a Nix string", path.display());
        return Err(EvalError::other(text, span));
    }
    let context = references_in(ev, &path, &bytes);
    Ok(StringBuilder { bytes: bytes.to_vec(), context }.finish(ev, span))
}

/// Of what a store object refers to, that which a file of it names.
fn references_in<'h>(ev: &mut Evaluation<'h>, path: &Path, bytes: &[u8]) -> Vec<&'h ContextElem> {
    let dir = store_dir(ev);
    let Ok((object, _)) = dir.split(path.as_os_str().as_encoded_bytes()) else { return Vec::new() };
    let Some(references) = store_view::view(ev).references(&object) else { return Vec::new() };
    let named = |p: &&StorePath| memchr::memmem::find(bytes, p.hash_part().as_bytes()).is_some();
    let found: Vec<StorePath> = references.iter().filter(named).cloned().collect();
    let elem = |p: StorePath| context_elem(ev, ContextElem::Opaque(dir.print(&p).into_bytes().into()));
    found.into_iter().map(elem).collect()
}

fn read_dir<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let path = real_path(ev, &args[0], span)?;
    let real = resolve_links(ev, &path, true, span)?;
    let entries = ev.io.read_dir(&real).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => does_not_exist(&real, span),
        _ => {
            let reason = e.to_string();
            let reason = reason.split(" (os error").next().unwrap_or_default();
            let text = format!("cannot read directory \"{}\": {reason}", real.display());
            EvalError::new(ErrorKind::Io, text, span)
        }
    })?;
    let heap = ev.heap;
    let attr = |(name, kind): (Vec<u8>, FileKind)| {
        (Symbol::intern(name), SpanId::NONE, heap.string_of(kind.name().as_bytes()))
    };
    Ok(heap.attrs_from(entries.into_iter().map(attr).collect()))
}

fn read_file_type<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let path = real_path(ev, &args[0], span)?;
    let real = resolve_links(ev, &path, false, span)?;
    match ev.io.lstat(&real).map_err(|e| file_error("getting status of", &real, &e, span))? {
        Some(kind) => Ok(ev.heap.string_of(kind.name().as_bytes())),
        None => Err(does_not_exist(&real, span)),
    }
}

fn path_exists<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let directory = matches!(ev.force(&args[0])?,
        Value::Str(s) if s.bytes.ends_with(b"/") || s.bytes.ends_with(b"/."));
    let path = real_path(ev, &args[0], span)?;
    let Ok(real) = resolve_links(ev, &path, directory, span) else { return Ok(Value::Bool(false)) };
    Ok(Value::Bool(match ev.io.lstat(&real) {
        Ok(Some(kind)) => !directory || kind == FileKind::Directory,
        _ => false,
    }))
}

fn find_file<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let list = ev
        .force_list(&args[0], span)
        .map_err(|e| e.context("while evaluating the first argument passed to builtins.findFile", span))?;
    let mut entries = Vec::with_capacity(list.items.len());
    for item in list.items {
        let entry = ev.force_attrs(item, span).map_err(|e| {
            e.context("while evaluating an element of the list passed to builtins.findFile", span)
        })?;
        entries.push(search_entry(ev, entry, span)?);
    }
    let wanted = ev
        .force_str_no_context(&args[1], span)
        .map_err(|e| e.context("while evaluating the second argument passed to builtins.findFile", span))?;
    ev.find_file(&entries, wanted.bytes, span)
}

fn search_entry<'h>(ev: &mut Evaluation<'h>, entry: &'h Attrs<'h>, span: SpanId) -> Res<(Vec<u8>, Vec<u8>)> {
    let mut prefix = Vec::new();
    if let Some(slot) = entry.get(ev.words.prefix) {
        let s = ev.force_str_no_context(slot, span).map_err(|e| {
            let what = "while evaluating the `prefix` attribute of an element of the list passed to builtins.findFile";
            e.context(what, span)
        })?;
        prefix = s.bytes.to_vec();
    }
    let Some(Attr { slot, .. }) = entry.find(ev.words.path) else {
        let e = EvalError::new(ErrorKind::MissingAttr, "attribute 'path' missing", span);
        return Err(e.context("in an element of the __nixPath", span));
    };
    let v = ev.force(slot)?;
    let path = ev.coerce_to_str(v, Coerce::Strict, false, span).map_err(|e| {
        let what =
            "while evaluating the `path` attribute of an element of the list passed to builtins.findFile";
        e.context(what, span)
    })?;
    for &c in path.context {
        check_built(ev, c, span)?;
    }
    Ok((prefix, path.bytes.to_vec()))
}

fn to_path<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let (path, context) = ev
        .coerce_to_path(&args[0], span)
        .map_err(|e| e.context("while evaluating the first argument passed to builtins.toPath", span))?;
    Ok(ev.heap.string_with(&path, context, span))
}

fn base_name_of<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let v = ev.force(&args[0])?;
    let s = ev
        .coerce_to_str(v, Coerce::Strict, false, span)
        .map_err(|e| e.context("while evaluating the first argument passed to builtins.baseNameOf", span))?;
    let bytes = match s.bytes {
        [head @ .., b'/'] if !head.is_empty() => head,
        all => all,
    };
    let start = memchr::memrchr(b'/', bytes).map_or(0, |i| i + 1);
    Ok(ev.heap.string_with(&bytes[start..], s.context, span))
}

fn dir_of<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let v = ev.force(&args[0])?;
    if let Value::Path(p) = v {
        let end = memchr::memrchr(b'/', p.bytes).unwrap_or(0);
        return Ok(ev.heap.path(if end == 0 { b"/" } else { &p.bytes[..end] }));
    }
    let s = ev
        .coerce_to_str(v, Coerce::Strict, false, span)
        .map_err(|e| e.context("while evaluating the first argument passed to 'builtins.dirOf'", span))?;
    let dir: &[u8] = match memchr::memrchr(b'/', s.bytes) {
        None => b".",
        Some(0) => b"/",
        Some(i) => &s.bytes[..i],
    };
    Ok(ev.heap.string_with(dir, s.context, span))
}

fn hash_file<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let name = ev
        .force_str_no_context(&args[0], span)
        .map_err(|e| e.context("while evaluating the first argument passed to builtins.hashFile", span))?;
    let algo = Algo::parse(name.bytes).map_err(|e| wrap(e, span))?;
    let path = real_path(ev, &args[1], span)?;
    let real = resolve_links(ev, &path, true, span)?;
    let bytes = ev.io.read_file(&real).map_err(|e| file_error("opening file", &real, &e, span))?;
    Ok(ev.heap.string(Hash::of(algo, &bytes).bare(Base::Base16).as_bytes()))
}

fn get_env<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let name = ev
        .force_str_no_context(&args[0], span)
        .map_err(|e| e.context("while evaluating the first argument passed to builtins.getEnv", span))?;
    if ev.settings.pure_eval {
        return Ok(ev.heap.string(b""));
    }
    let value = std::str::from_utf8(name.bytes).ok().and_then(|n| ev.io.env(n)).unwrap_or_default();
    Ok(ev.heap.string(&value))
}
