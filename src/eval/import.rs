//! Loading files: search path, `import`, and expressions given as text.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Evaluation;
use super::error::{ErrorKind, EvalError};
use super::heap::{Env, Frame};
use super::io::FileKind;
use super::value::{Res, Slot, Value};
use super::world::WorldError;
use crate::base::source::{Source, SourceName, SpanId};
use crate::base::symbol::Symbol;
use crate::ir::lower::{self, LowerOptions};
use crate::ir::module::Module;
use crate::syntax;
use rustc_hash::FxHashMap;

/// The directory in which `<nix/…>` finds what is part of Nix itself, and the only file there.
const CORE: &str = "/__corepkgs__";
const FETCHURL: &str = "/__corepkgs__/fetchurl.nix";

/// Symbolic links followed before a path is taken for a circle.
const MAX_LINKS: u32 = 64;

impl<'h> Evaluation<'h> {
    /// Reads a text without evaluating it, as `nix-instantiate --parse` does.
    pub fn lower_source(&self, source: Arc<Source>, base_dir: &Path) -> Res<Arc<Module>> {
        self.lower_with(source, base_dir, &self.global_index)
    }

    /// [`Evaluation::lower_source`] with other global names.
    pub(super) fn lower_with(
        &self,
        source: Arc<Source>,
        base_dir: &Path,
        globals: &FxHashMap<Symbol, u32>,
    ) -> Res<Arc<Module>> {
        let syntax = self.syntax_options();
        let options = LowerOptions { base_dir, globals, syntax, warn: &*self.warn };
        lower::load(source, &options).map_err(|diagnostics| {
            let first = diagnostics.first().map(|d| d.message.clone()).unwrap_or_default();
            let mut e = EvalError::new(ErrorKind::Syntax, first, SpanId::NONE);
            e.diagnostics = diagnostics.into();
            e
        })
    }

    /// How texts are parsed.
    pub fn syntax_options(&self) -> syntax::Options {
        syntax::Options { pipes: self.settings.feature("pipe-operators"), lints: self.settings.lints }
    }

    /// Evaluates a text as if it stood in a file of directory `base_dir`.
    pub fn eval_source(&mut self, source: Arc<Source>, base_dir: &Path) -> Res<Value<'h>> {
        let module = self.lower_source(source, base_dir)?;
        let code = self.heap.adopt(module);
        self.in_frame(code.frame, code.span, |ev, frame: Frame<'h>| ev.eval(code.body, frame, Env::empty()))
    }

    /// Evaluates a text given by name, such as an embedded file or a command line expression.
    pub fn eval_text(&mut self, name: SourceName, text: &[u8], base_dir: &Path) -> Res<Value<'h>> {
        self.eval_source(Source::new(name, text.to_vec()), base_dir)
    }

    /// The value of a file (for a directory, of its `default.nix`), evaluated once.
    pub fn import(&mut self, path: &[u8], span: SpanId) -> Res<Value<'h>> {
        let file = self.resolve_import(Self::os_path(path), span)?;
        if let Some(&slot) = self.files.get(&file) {
            return self.force(slot);
        }
        let slot = self.heap.slot(Value::Blackhole(u32::MAX));
        self.files.insert(file.clone(), slot);
        self.heap.pin();
        let v = self.eval_file(&file, span);
        match v {
            Ok(v) => {
                slot.set(v);
                self.heap.pin();
                Ok(v)
            }
            Err(e) => {
                self.files.remove(&file);
                Err(e)
            }
        }
    }

    /// Forgets the values of the files for which `changed` holds, and all that is known of links, so
    /// that importing reads again.
    pub fn forget_files(&mut self, changed: impl Fn(&Path) -> bool) {
        self.files.retain(|path, _| !changed(path));
        self.resolved.clear();
    }

    /// The value of a file that is not remembered.
    pub fn eval_file(&mut self, file: &Path, span: SpanId) -> Res<Value<'h>> {
        let (source, dir) = self.read_source(file, span)?;
        self.eval_source(source, &dir)
    }

    /// The text of a file, and its directory.
    pub fn read_source(&self, file: &Path, span: SpanId) -> Res<(Arc<Source>, PathBuf)> {
        if file == Path::new(FETCHURL) {
            let text = include_bytes!("builtins/fetchurl.nix").to_vec();
            return Ok((Source::new(SourceName::Embedded("<nix/fetchurl.nix>"), text), PathBuf::from(CORE)));
        }
        let text = self.io.read_file(file).map_err(|e| io_error("opening file", file, &e, span))?;
        let source = Source::new(SourceName::Path(self.io.shown(file)), text);
        Ok((source, file.parent().unwrap_or(Path::new("/")).to_owned()))
    }

    /// The file that importing a path reads: links resolved, `default.nix` added to directories.
    pub fn resolve_import(&mut self, path: &Path, span: SpanId) -> Res<PathBuf> {
        if path == Path::new(FETCHURL) {
            return Ok(path.to_owned());
        }
        if let Some(p) = self.resolved.get(path) {
            return Ok(p.clone());
        }
        let mut real = path.to_owned();
        let mut links = 0;
        let file = loop {
            match self.io.lstat(&real).map_err(|e| io_error("getting status of", &real, &e, span))? {
                Some(FileKind::Symlink) => {
                    links += 1;
                    if links > MAX_LINKS {
                        let text = format!("infinite symlink recursion in path '{}'", path.display());
                        return Err(EvalError::new(ErrorKind::Io, text, span));
                    }
                    let target = self
                        .io
                        .read_link(&real)
                        .map_err(|e| io_error("reading symbolic link", &real, &e, span))?;
                    let joined = real.parent().unwrap_or(Path::new("/")).join(target);
                    real = lexical(&joined);
                }
                Some(FileKind::Directory) => break real.join("default.nix"),
                Some(_) => break real,
                None => {
                    let text = format!("path '{}' does not exist", real.display());
                    return Err(EvalError::new(ErrorKind::Io, text, span));
                }
            }
        };
        self.resolved.insert(path.to_owned(), file.clone());
        Ok(file)
    }

    pub(super) fn home_path(&mut self, rest: &[u8], span: SpanId) -> Res<Value<'h>> {
        if self.settings.pure_eval {
            return Err(EvalError::new(
                ErrorKind::Restricted,
                "the path '~' can not be resolved in pure mode",
                span,
            ));
        }
        let home = self.settings.home.clone().unwrap_or_else(|| PathBuf::from("/root"));
        let mut all = std::os::unix::ffi::OsStrExt::as_bytes(home.as_os_str()).to_vec();
        all.extend_from_slice(rest);
        Ok(self.heap.path(&Self::canonical(&all)))
    }

    /// `<…>`: the first entry of the search path that has it.
    pub fn search_path(&mut self, wanted: &[u8], span: SpanId) -> Res<Value<'h>> {
        let entries = self.settings.search_path.clone();
        let pairs =
            entries.iter().map(|(p, v)| (p.as_bytes().to_vec(), v.as_bytes().to_vec())).collect::<Vec<_>>();
        self.find_file(&pairs, wanted, span)
    }

    /// Looks a path up in a list of (prefix, path), as `builtins.findFile` does.
    pub fn find_file(
        &mut self,
        entries: &[(Vec<u8>, Vec<u8>)],
        wanted: &[u8],
        span: SpanId,
    ) -> Res<Value<'h>> {
        for (prefix, root) in entries {
            let rest: &[u8] = if prefix.is_empty() {
                wanted
            } else {
                match wanted.strip_prefix(prefix.as_slice()) {
                    Some(b"") => b"",
                    Some(r) if r[0] == b'/' => &r[1..],
                    _ => continue,
                }
            };
            let mut full = match std::str::from_utf8(root) {
                Ok(text) if is_remote(text) => match self.remote_entry(text, span)? {
                    Some(path) => path,
                    None => continue,
                },
                _ => root.clone(),
            };
            if full.first() != Some(&b'/') {
                let cwd = std::path::absolute(".").unwrap_or_else(|_| PathBuf::from("/"));
                let mut abs = std::os::unix::ffi::OsStrExt::as_bytes(cwd.as_os_str()).to_vec();
                abs.push(b'/');
                abs.extend_from_slice(&full);
                full = abs;
            }
            if !rest.is_empty() {
                full.push(b'/');
                full.extend_from_slice(rest);
            }
            let full = Self::canonical(&full);
            if matches!(self.io.lstat(Self::os_path(&full)), Ok(Some(_))) {
                return Ok(self.heap.path(&full));
            }
        }
        if let Some(rest) = wanted.strip_prefix(b"nix/") {
            return Ok(self.heap.path(&[CORE.as_bytes(), b"/", rest].concat()));
        }
        let text = format!(
            "file '{}' was not found in the Nix search path (add it using $NIX_PATH or -I)",
            String::from_utf8_lossy(wanted)
        );
        Err(EvalError::new(ErrorKind::Throw, text, span))
    }

    /// The path of an entry of the search path that has to be fetched: a URL of an archive,
    /// `channel:NAME` or `flake:REFERENCE`. One that cannot be had is left out, with a warning, as
    /// by Nix; where nothing may be fetched, nobody can say what it holds.
    fn remote_entry(&mut self, entry: &str, span: SpanId) -> Res<Option<Vec<u8>>> {
        let world = self.world.clone();
        let got = match entry.split_once(':') {
            Some(("flake", reference)) => super::builtins::flake_ref::parse(reference)
                .map_err(|e| WorldError::Failed(e.to_string()))
                .and_then(|source| world.tree(&source)),
            Some(("channel", name)) => {
                world.download(&format!("https://channels.nixos.org/{name}/nixexprs.tar.xz"), true)
            }
            _ => world.download(entry, true),
        };
        match got {
            Ok(tree) => Ok(Some(tree.path.into_os_string().into_encoded_bytes())),
            Err(e @ WorldError::Unavailable(_)) => Err(e.at(span)),
            Err(WorldError::Failed(text)) => {
                let line = format!(
                    "warning: Nix search path entry '{entry}' cannot be downloaded, ignoring: {text}"
                );
                (self.messages)(line.as_bytes());
                Ok(None)
            }
        }
    }

    /// A fresh slot that holds a value, for callers that keep values between calls.
    pub fn slot(&self, v: Value<'h>) -> &'h Slot<'h> {
        self.heap.slot(v)
    }
}

/// Whether an entry of the search path has to be fetched.
fn is_remote(entry: &str) -> bool {
    const SCHEMES: [&str; 7] = ["http", "https", "file", "channel", "git", "s3", "ssh"];
    match entry.split_once(':') {
        Some(("flake", _)) => true,
        Some(("channel", _)) => true,
        Some((scheme, rest)) => SCHEMES.contains(&scheme) && rest.starts_with("//"),
        None => false,
    }
}

/// An error of the system, in Nix's words.
#[cold]
pub fn io_error(doing: &str, path: &Path, e: &std::io::Error, span: SpanId) -> Box<EvalError> {
    let reason = e.to_string();
    let reason = reason.split(" (os error").next().unwrap_or_default();
    EvalError::new(ErrorKind::Io, format!("{doing} '{}': {reason}", path.display()), span)
}

fn lexical(p: &Path) -> PathBuf {
    let bytes = Evaluation::canonical(std::os::unix::ffi::OsStrExt::as_bytes(p.as_os_str()));
    Evaluation::os_path(&bytes).to_owned()
}
