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
use crate::eval::world::{World, WorldError};
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

    fn world(&self) -> Rc<dyn World> {
        self.0.world()
    }

    fn shown(&self, path: &Path) -> PathBuf {
        self.0.shown(path)
    }
}

/// Whether a place is in the user's own files.
pub(super) fn is_users(place: &Place) -> bool {
    place.source.path().is_some_and(|p| !p.starts_with(nixlib::ROOT))
}

/// An evaluation error as a finding: at the innermost place in the user's files.
pub fn diagnostic(e: &EvalError) -> Diagnostic {
    if let Some(first) = e.diagnostics.first() {
        return coded(first);
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
    } else if let Some(help) = missing_argument(&text, &e.suggestions) {
        d = d.help(help);
    } else if !e.suggestions.is_empty() {
        let names: Vec<String> = e.suggestions.iter().map(|s| format!("`{s}`")).collect();
        d = d.help(format!("did you mean {}?", names.join(" or ")));
    }
    d
}

/// The way out when a function misses an argument: `given` are names it was given and does not know.
fn missing_argument(text: &str, given: &[String]) -> Option<String> {
    let rest = text.strip_prefix("function '")?;
    let (function, rest) = rest.split_once("' called without required argument '")?;
    let name = rest.strip_suffix('\'')?;
    if let [given] = given {
        return Some(format!("rename `{given}` to `{name}`"));
    }
    Some(match (function, name) {
        ("mkMatrixJobs", "name") => {
            "add `name = \"test\";`: the jobs are called `test-AXIS-VALUE` then".into()
        }
        ("mkMatrixJobs", "matrix") => "add the axes: `matrix.os = [ \"linux\" \"darwin\" ];`".into(),
        ("anonymous lambda", _) => format!("give it `{name}` as well, or a default: `{name} ? null`"),
        _ => format!("add `{name} = …;` to the arguments of `{function}`"),
    })
}

/// An error of the syntax as a finding: with a code, and without what its labels show.
pub fn coded(d: &Diagnostic) -> Diagnostic {
    let mut d = d.clone();
    if d.code.is_empty() {
        d.code = "NXA000";
    }
    // A label shows the place that the evaluator names.
    if let Some(at) = d.message.find(" already defined at ").filter(|_| !d.secondary.is_empty()) {
        d.message.truncate(at + " already defined".len());
    }
    d
}

/// All findings of an evaluation error: a file may have several syntax errors.
pub fn diagnostics(e: &EvalError) -> Vec<Diagnostic> {
    if e.diagnostics.is_empty() {
        return vec![diagnostic(e)];
    }
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
    Err(EvalError::new(ErrorKind::Throw, no_nixpkgs_text(), SpanId::NONE))
}

fn no_nixpkgs_text() -> String {
    format!("{NO_NIXPKGS}: looked for an input `nixpkgs` in flake.lock, and for `nixpkgs` on the search path")
}

/// Where nixpkgs can be had from, without fetching it: what [`nixpkgs_at`] takes.
fn place_of_nixpkgs<'h>(ev: &mut Evaluation<'h>, dir: &Path, pkgs: Option<&Path>) -> Option<Value<'h>> {
    use std::os::unix::ffi::OsStrExt;
    if let Some(given) = pkgs {
        return Some(ev.heap.path(given.as_os_str().as_bytes()));
    }
    let world = ev.world.clone();
    // A lock file that cannot be read is an error once it matters.
    if !matches!(world.locked_nixpkgs(dir), Ok(None)) {
        return Some(ev.heap.string(dir.as_os_str().as_bytes()));
    }
    let named = ev.settings.search_path.iter().any(|(prefix, _)| prefix == "nixpkgs");
    let here = |ev: &mut Evaluation<'h>| {
        let local = ev.settings.search_path.iter().filter(|(prefix, _)| prefix.is_empty());
        let dirs: Vec<PathBuf> = local.map(|(_, path)| Path::new(path).join("nixpkgs")).collect();
        dirs.iter().any(|d| matches!(ev.io.lstat(d), Ok(Some(_))))
    };
    (named || here(ev)).then_some(Value::Null(SpanId::NONE))
}

/// Where nixpkgs is, as a path, and its arguments. `place` is a path, the name of an input of the lock
/// file as a reference, or null for the search path: fetched, if need be, when it is asked for.
fn nixpkgs_at<'h>(ev: &mut Evaluation<'h>, place: Value<'h>) -> Res<Vec<u8>> {
    match place {
        Value::Path(p) => Ok(p.bytes.to_vec()),
        Value::Str(s) => {
            let failed = |e: WorldError| e.at(SpanId::NONE);
            let dir = Evaluation::os_path(s.bytes).to_owned();
            let world = ev.world.clone();
            let Some(source) = world.locked_nixpkgs(&dir).map_err(failed)? else {
                return Err(EvalError::new(ErrorKind::Throw, no_nixpkgs_text(), SpanId::NONE));
            };
            let tree = world.tree(&source).map_err(|e| {
                failed(e).context("while fetching the input `nixpkgs` of flake.lock", SpanId::NONE)
            })?;
            Ok(tree.path.into_os_string().into_encoded_bytes())
        }
        _ => match ev.search_path(b"nixpkgs", SpanId::NONE)? {
            Value::Path(p) => Ok(p.bytes.to_vec()),
            _ => Err(EvalError::new(ErrorKind::Throw, no_nixpkgs_text(), SpanId::NONE)),
        },
    }
}

fn import_nixpkgs<'h>(
    ev: &mut Evaluation<'h>,
    _: u32,
    place: Value<'h>,
    system: Value<'h>,
) -> Res<Value<'h>> {
    let path = nixpkgs_at(ev, place)?;
    let f = ev.import(&path, SpanId::NONE)?;
    let args = ev.heap.attrs_from(vec![(Symbol::intern("system"), SpanId::NONE, system)]);
    ev.call(f, &[args], SpanId::NONE)
}

fn import_lib<'h>(ev: &mut Evaluation<'h>, _: u32, place: Value<'h>, _: Value<'h>) -> Res<Value<'h>> {
    let lib = [nixpkgs_at(ev, place)?.as_slice(), b"/lib"].concat();
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
    lock_dir: &Path,
    pkgs: Option<&Path>,
) -> Res<Vec<(&'static str, Value<'h>)>> {
    use std::os::unix::ffi::OsStrExt;
    let nothing = Value::Null(SpanId::NONE);
    let system = ev.settings.system.clone();
    let system = ev.heap.string(system.as_bytes());
    let nixpkgs = place_of_nixpkgs(ev, lock_dir, pkgs);
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
