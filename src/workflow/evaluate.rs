//! The evaluator as workflows need it: the embedded library as virtual files, the arguments a
//! workflow file may ask for, and evaluation errors as findings.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::nixlib;
use crate::base::source::{Place, SpanId};
use crate::base::symbol::Symbol;
use crate::diag::{Diagnostic, Label};
use crate::eval::error::ErrorKind;
use crate::eval::io::{EvalIo, FileKind};
use crate::eval::value::Lazy;
use crate::eval::{EvalError, Evaluation, Res, Value};

/// What the message says when `pkgs` is asked for and there is none.
const NO_NIXPKGS: &str = "nixpkgs was not found";

/// Files of the system, and those embedded in the program below [`nixlib::ROOT`].
pub struct WithLibrary(pub Rc<dyn EvalIo>);

fn embedded(path: &Path) -> Option<Option<&'static str>> {
    let rest = path.strip_prefix(nixlib::ROOT).ok()?;
    Some(rest.to_str().and_then(nixlib::file).map(|f| f.1))
}

impl EvalIo for WithLibrary {
    fn read_file(&self, path: &Path) -> io::Result<Arc<[u8]>> {
        match embedded(path) {
            Some(Some(text)) => Ok(text.as_bytes().into()),
            Some(None) => Err(io::ErrorKind::NotFound.into()),
            None => self.0.read_file(path),
        }
    }

    fn lstat(&self, path: &Path) -> io::Result<Option<FileKind>> {
        match embedded(path) {
            Some(Some(_)) => Ok(Some(FileKind::Regular { executable: false })),
            Some(None) if path == Path::new(nixlib::ROOT) => Ok(Some(FileKind::Directory)),
            Some(None) => Ok(None),
            None => self.0.lstat(path),
        }
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<(Vec<u8>, FileKind)>> {
        if path == Path::new(nixlib::ROOT) {
            let file = FileKind::Regular { executable: false };
            return Ok(nixlib::FILES.iter().map(|f| (f.0.into(), file)).collect());
        }
        self.0.read_dir(path)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.0.read_link(path)
    }

    fn env(&self, name: &str) -> Option<Vec<u8>> {
        self.0.env(name)
    }
}

/// Whether a place is in the user's own files.
pub(super) fn is_users(place: &Place) -> bool {
    place.source.path().is_some_and(|p| !p.starts_with(nixlib::ROOT))
}

/// An evaluation error as a finding: at the innermost place in the user's files.
pub fn diagnostic(e: &EvalError) -> Diagnostic {
    if let Some(first) = e.diagnostics.first() {
        let mut d = first.clone();
        if d.code.is_empty() {
            d.code = "NXA000";
        }
        return d;
    }
    let text = e.text().into_owned();
    let code = if text.starts_with(NO_NIXPKGS) { "NXA021" } else { "NXA022" };
    let mut lines = text.lines();
    let mut d = Diagnostic::error(code, lines.next().unwrap_or_default().trim_end());
    let rest: Vec<&str> = lines.collect();
    if !rest.is_empty() {
        d = d.note(rest.join("\n"));
    }
    let users = |span: SpanId| span.resolve().filter(is_users);
    let own = users(e.span);
    let place = own.clone().or_else(|| e.trace().filter_map(|f| users(f.span)).last());
    if let Some(place) = place {
        let text = match (e.kind, own.is_some()) {
            (ErrorKind::Throw | ErrorKind::Abort, true) => "thrown here",
            (ErrorKind::InfiniteRecursion, true) => "needs its own value",
            (_, true) => "fails here",
            (_, false) => "while evaluating this",
        };
        d.primary = Some(Label { place, text: text.into() });
    }
    for frame in e.trace().filter(|f| f.user) {
        d = d.note(frame.text.clone());
    }
    if code == "NXA021" {
        d = d.help("give it with `--pkgs PATH`, with `-I nixpkgs=PATH`, or in NIX_PATH");
    } else if !e.suggestions.is_empty() {
        let names: Vec<String> = e.suggestions.iter().map(|s| format!("`{s}`")).collect();
        d = d.help(format!("did you mean {}?", names.join(" or ")));
    }
    d
}

/// All findings of an evaluation error: a file may have several syntax errors.
pub fn diagnostics(e: &EvalError) -> Vec<Diagnostic> {
    if e.diagnostics.is_empty() {
        return vec![diagnostic(e)];
    }
    let coded = |d: &Diagnostic| {
        let mut d = d.clone();
        if d.code.is_empty() {
            d.code = "NXA000";
        }
        d
    };
    e.diagnostics.iter().map(coded).collect()
}

/// A value that is computed when it is asked for.
fn delayed<'h>(
    ev: &Evaluation<'h>,
    run: fn(&mut Evaluation<'h>, u32, Value<'h>, Value<'h>) -> Res<Value<'h>>,
    a: Value<'h>,
    b: Value<'h>,
) -> Value<'h> {
    Value::Lazy(0, ev.heap.lazy(Lazy::Native { run, a, b }))
}

fn no_nixpkgs<'h>(_: &mut Evaluation<'h>, _: u32, _: Value<'h>, _: Value<'h>) -> Res<Value<'h>> {
    let text = format!("{NO_NIXPKGS}: looked for `nixpkgs` on the search path");
    Err(EvalError::new(ErrorKind::Throw, text, SpanId::NONE))
}

fn import_nixpkgs<'h>(ev: &mut Evaluation<'h>, _: u32, path: Value<'h>, system: Value<'h>) -> Res<Value<'h>> {
    let Value::Path(p) = path else { return Ok(path) };
    let f = ev.import(p.bytes, SpanId::NONE)?;
    let args = ev.heap.attrs_from(vec![(Symbol::intern("system"), SpanId::NONE, system)]);
    ev.call(f, &[args], SpanId::NONE)
}

fn import_lib<'h>(ev: &mut Evaluation<'h>, _: u32, path: Value<'h>, _: Value<'h>) -> Res<Value<'h>> {
    let Value::Path(p) = path else { return Ok(path) };
    let lib = [p.bytes, b"/lib"].concat();
    ev.import(&lib, SpanId::NONE)
}

/// The value of an embedded file.
pub(super) fn library<'h>(ev: &mut Evaluation<'h>, name: &str) -> Res<Value<'h>> {
    ev.import(format!("{}/{name}", nixlib::ROOT).as_bytes(), SpanId::NONE)
}

/// The arguments that every workflow file may name: `nixactions platform pkgs lib system`.
pub(super) fn offered<'h>(
    ev: &mut Evaluation<'h>,
    project_dir: &Path,
    pkgs: Option<&Path>,
) -> Res<Vec<(&'static str, Value<'h>)>> {
    use std::os::unix::ffi::OsStrExt;
    let nothing = Value::Null(SpanId::NONE);
    let system = ev.settings.system.clone();
    let system = ev.heap.string(system.as_bytes());
    let nixpkgs = match pkgs {
        Some(p) => Some(ev.heap.path(p.as_os_str().as_bytes())),
        None => ev.search_path(b"nixpkgs", SpanId::NONE).ok(),
    };
    let found = nixpkgs.map(|p| delayed(ev, import_nixpkgs, p, system));
    let project = ev.heap.path(project_dir.as_os_str().as_bytes());
    let args = ev.heap.attrs_from(vec![
        (Symbol::intern("system"), SpanId::NONE, system),
        (Symbol::intern("pkgs"), SpanId::NONE, found.unwrap_or(nothing)),
        (Symbol::intern("projectDir"), SpanId::NONE, project),
    ]);
    let make = library(ev, "default.nix")?;
    let nixactions = ev.call(make, &[args], SpanId::NONE)?;
    let lib = match nixpkgs {
        Some(p) => delayed(ev, import_lib, p, nothing),
        None => library(ev, "lib.nix")?,
    };
    let pkgs = found.unwrap_or_else(|| delayed(ev, no_nixpkgs, nothing, nothing));
    Ok(vec![
        ("nixactions", nixactions),
        ("platform", nixactions),
        ("pkgs", pkgs),
        ("lib", lib),
        ("system", system),
    ])
}
