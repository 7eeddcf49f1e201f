//! Fetchers: what is on this machine is read; what is on the network is refused.

use std::path::Path;

use super::Builtin;
use super::derivation::need;
use super::flake_ref::{self, Field, FlakeRef};
use super::store::{Adding, add_path, hash_or_empty, resolve_links, store_dir, store_string, wrap};
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::drv::content_address::{ContentAddress, Method};
use crate::drv::hash::{Algo, Hash};
use crate::drv::store_path::{References, StorePath, check_name};
use crate::eval::Evaluation;
use crate::eval::coerce::Coerce;
use crate::eval::error::{ErrorKind, EvalError};
use crate::eval::value::{Attrs, Res, Slot, Value};
use crate::eval::world::Tree;

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[
    Builtin::new("fetchurl", 1, fetch_url, "The store path of a file given by its URL."),
    Builtin::new("fetchTarball", 1, fetch_tarball, "The store path of an unpacked archive."),
    Builtin::new("fetchGit", 1, fetch_git, "The store path of a Git revision."),
    Builtin::new("fetchMercurial", 1, fetch_mercurial, "The store path of a Mercurial revision."),
    Builtin::new("fetchTree", 1, fetch_tree, "The store path of a source tree.").needing("fetch-tree"),
    Builtin::new("getFlake", 1, get_flake, "The outputs of a flake."),
    Builtin::new("parseFlakeRef", 1, parse_flake_ref, "The attributes of a flake reference."),
    Builtin::new("flakeRefToString", 1, flake_ref_to_string, "A flake reference as text."),
];

/// What `fetchurl` and `fetchTarball` are asked for.
struct Download {
    url: Vec<u8>,
    name: Vec<u8>,
    expected: Option<Hash>,
    /// How to get a valid name, should this one not be.
    advice: &'static str,
}

fn lossy(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn download<'h>(
    ev: &mut Evaluation<'h>,
    slot: &Slot<'h>,
    who: &str,
    default_name: &[u8],
    span: SpanId,
) -> Res<Download> {
    let v = ev.force(slot)?;
    let mut wanted = Download {
        url: Vec::new(),
        name: default_name.to_vec(),
        expected: None,
        advice: "Please pass an attribute set with 'url' and 'name' attributes to",
    };
    if let Value::Attrs(attrs) = v {
        wanted.advice = "Please add a valid 'name' attribute to the argument for";
        let mut has_url = false;
        for a in attrs.sorted() {
            let during = |what: &'static str| move |e: Box<EvalError>| e.context(what, a.span);
            match a.name.name() {
                b"url" => {
                    let s = ev.force_str_no_context(a.slot, a.span);
                    wanted.url =
                        s.map_err(during("while evaluating the url we should fetch"))?.bytes.to_vec();
                    has_url = true;
                }
                b"sha256" => {
                    let s = ev
                        .force_str_no_context(a.slot, a.span)
                        .map_err(during("while evaluating the sha256 of the content we should fetch"))?;
                    wanted.expected = Some(hash_or_empty(ev, s.bytes, Some(Algo::Sha256), a.span)?);
                }
                b"name" => {
                    let s = ev.force_str_no_context(a.slot, a.span);
                    wanted.name = s
                        .map_err(during("while evaluating the name of the content we should fetch"))?
                        .bytes
                        .to_vec();
                    wanted.advice = "Please change the value for the 'name' attribute passed to";
                }
                _ => {
                    let text = format!("unsupported argument '{}' to '{who}'", a.name.text());
                    return Err(EvalError::other(text, a.span));
                }
            }
        }
        if !has_url {
            return Err(EvalError::other("'url' argument required", span));
        }
    } else {
        let s = ev
            .force_str_no_context(slot, span)
            .map_err(|e| e.context("while evaluating the url we should fetch", span))?;
        wanted.url = s.bytes.to_vec();
    }
    if wanted.name.is_empty() {
        wanted.name = wanted.url.rsplit(|&b| b == b'/').next().unwrap_or_default().to_vec();
    }
    Ok(wanted)
}

/// Checks a request, and gives the store path if its content is pinned and already there.
fn pinned(
    ev: &mut Evaluation<'_>,
    wanted: &Download,
    who: &str,
    method: Method,
    span: SpanId,
) -> Res<Option<StorePath>> {
    check_name(&wanted.name).map_err(|e| {
        let space = if wanted.advice.starts_with("Please pass") { "  " } else { " " };
        let text = format!(
            "invalid store path name when fetching URL '{}': {e}. {} '{who}',{space}so that it can create a valid store path.",
            lossy(&wanted.url),
            wanted.advice
        );
        EvalError::other(text, span)
    })?;
    let Some(hash) = wanted.expected else {
        if ev.settings.pure_eval {
            let text = format!("in pure evaluation mode, '{who}' requires a 'sha256' argument");
            return Err(EvalError::new(ErrorKind::Restricted, text, span));
        }
        return Ok(None);
    };
    let dir = store_dir(ev);
    let address = ContentAddress { method, hash };
    let path = dir.make_fixed_path(&wanted.name, &address, &References::none()).map_err(|e| wrap(e, span))?;
    let there = matches!(ev.io.lstat(Path::new(&dir.print(&path))), Ok(Some(_)));
    Ok(there.then_some(path))
}

#[cold]
fn no_network(what: &[u8], span: SpanId) -> Box<EvalError> {
    let text = format!("cannot fetch '{}': this evaluator does not reach the network", lossy(what));
    EvalError::new(ErrorKind::Restricted, text, span)
}

/// The path of a `file:` URL.
fn file_url(url: &[u8]) -> Option<&[u8]> {
    url.strip_prefix(b"file://").filter(|p| p.starts_with(b"/"))
}

fn fetch_url<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let wanted = download(ev, &args[0], "fetchurl", b"", span)?;
    let path = match pinned(ev, &wanted, "fetchurl", Method::Flat, span)? {
        Some(path) => path,
        None => {
            let real = match file_url(&wanted.url) {
                Some(file) => resolve_links(ev, Evaluation::os_path(file), true, span)?,
                None => {
                    let world = ev.world.clone();
                    world.download(&lossy(&wanted.url), false).map_err(|e| e.at(span))?.path
                }
            };
            let bytes = ev
                .io
                .read_file(&real)
                .map_err(|e| super::store::file_error("opening file", &real, &e, span))?;
            check_hash(&wanted, Hash::sha256(&bytes), span)?;
            let adding = Adding { name: &wanted.name, source: &real, method: Method::Flat, filter: None };
            add_path(ev, &adding, span)?
        }
    };
    Ok(store_string(ev, &path, &[], span))
}

fn check_hash(wanted: &Download, found: Hash, span: SpanId) -> Res<()> {
    match wanted.expected {
        Some(expected) if expected != found => {
            let text = format!(
                "hash mismatch in file downloaded from '{}':\n  specified: {}\n  got:       {}",
                lossy(&wanted.url),
                expected.sri(),
                found.sri()
            );
            Err(EvalError::other(text, span))
        }
        _ => Ok(()),
    }
}

fn fetch_tarball<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let wanted = download(ev, &args[0], "fetchTarball", b"source", span)?;
    match pinned(ev, &wanted, "fetchTarball", Method::Nar, span)? {
        Some(path) => Ok(store_string(ev, &path, &[], span)),
        None => {
            let url = lossy(&wanted.url);
            let channel = url.strip_prefix("channel:");
            let url = match channel {
                Some(name) => format!("https://channels.nixos.org/{name}/nixexprs.tar.xz").into(),
                None => url,
            };
            let world = ev.world.clone();
            let tree = world.download(&url, true).map_err(|e| e.at(span))?;
            let adding = Adding { name: &wanted.name, source: &tree.path, method: Method::Nar, filter: None };
            let (path, hash) = super::store::add_path_hashed(ev, &adding, span)?;
            check_hash(&wanted, hash, span)?;
            Ok(store_string(ev, &path, &[], span))
        }
    }
}

/// Attributes of a Git source.
const GIT_ATTRS: [&str; 19] = [
    "type",
    "url",
    "ref",
    "rev",
    "shallow",
    "submodules",
    "lfs",
    "exportIgnore",
    "lastModified",
    "revCount",
    "narHash",
    "allRefs",
    "name",
    "dirtyRev",
    "dirtyShortRev",
    "verifyCommit",
    "keytype",
    "publicKey",
    "publicKeys",
];

/// The source that `fetchTree` or `fetchGit` is asked for.
fn source_ref<'h>(ev: &mut Evaluation<'h>, slot: &Slot<'h>, who: &str, span: SpanId) -> Res<FlakeRef> {
    let kind = (who == "fetchGit").then_some("git");
    let v = ev.force(slot)?;
    let Value::Attrs(attrs) = v else {
        let text = ev
            .coerce_to_str(v, Coerce::Strict, false, span)
            .map_err(|e| e.context(format!("while evaluating the first argument passed to '{who}'"), span))?;
        let text = lossy(text.bytes);
        if let Some(kind) = kind {
            let mut found = FlakeRef::default();
            found.set("type", Field::Text(kind.into()));
            found.set("url", Field::Text(text.into_owned()));
            return Ok(found);
        }
        if !ev.settings.feature("flakes") {
            let text =
                format!("passing a string argument to '{who}' requires the 'flakes' experimental feature");
            return Err(EvalError::other(text, span));
        }
        return flake_ref::parse(&text).map_err(|e| wrap(e, span));
    };
    let mut found = FlakeRef::default();
    match (kind, attrs.find(ev.words.type_)) {
        (Some(_), Some(_)) => return Err(EvalError::other("unexpected argument 'type'", span)),
        (Some(kind), None) => found.set("type", Field::Text(kind.into())),
        (None, Some(a)) => {
            let kind = ev.force_str_no_context(a.slot, a.span).map_err(|e| {
                e.context(format!("while evaluating the `type` argument passed to '{who}'"), a.span)
            })?;
            found.set("type", Field::Text(lossy(kind.bytes).into_owned()));
        }
        (None, None) => {
            let text = format!("argument 'type' is missing in call to '{who}'");
            return Err(EvalError::other(text, span));
        }
    }
    for a in attrs.sorted().into_iter().filter(|a| a.name.name() != b"type") {
        let name = a.name.text();
        let field = match ev.force(a.slot)? {
            Value::Str(s) => Field::Text(lossy(s.bytes).into_owned()),
            Value::Path(p) => Field::Text(lossy(p.bytes).into_owned()),
            Value::Bool(b) => Field::Bool(b),
            Value::Int(_, n) if n >= 0 => Field::Int(n),
            Value::Int(_, n) => {
                let text = format!("negative value given for '{who}' argument '{name}': {n}");
                return Err(EvalError::other(text, span));
            }
            v => {
                let text = format!(
                    "argument '{name}' to '{who}' is {} while a string, Boolean or integer is expected",
                    lossy(&ev.describe(v))
                );
                return Err(EvalError::type_error(text, span));
            }
        };
        found.set(&name, field);
    }
    if kind.is_none() && attrs.get(ev.words.name).is_some() {
        let text = format!("argument 'name' isn’t supported in call to '{who}'");
        return Err(EvalError::other(text, span));
    }
    if found.text("type") == Some("git") {
        if let Some((name, _)) = found.fields().find(|(name, _)| !GIT_ATTRS.contains(&name.as_str())) {
            let text = format!("input attribute '{name}' not supported by scheme 'git'");
            return Err(EvalError::other(text, span));
        }
        if found.text("url").is_none() {
            return Err(EvalError::other("input attribute 'url' is missing", span));
        }
    }
    Ok(found)
}

/// The reference that a set of attributes means to `flakeRefToString`.
fn flake_attrs<'h>(ev: &mut Evaluation<'h>, attrs: &'h Attrs<'h>, span: SpanId) -> Res<FlakeRef> {
    let mut found = FlakeRef::default();
    for a in attrs.sorted() {
        let name = a.name.text();
        let field = match ev.force(a.slot)? {
            Value::Str(s) => Field::Text(lossy(s.bytes).into_owned()),
            Value::Bool(b) => Field::Bool(b),
            Value::Int(_, n) if n >= 0 => Field::Int(n),
            Value::Int(_, n) => {
                let text = format!("negative value given for flake ref attr {name}: {n}");
                return Err(EvalError::other(text, span));
            }
            v => {
                let text = format!(
                    "flake reference attribute sets may only contain integers, Booleans, and strings, but attribute '{name}' is {}",
                    lossy(&ev.describe(v))
                );
                return Err(EvalError::type_error(text, span));
            }
        };
        found.set(&name, field);
    }
    Ok(found)
}

/// Puts a source into the store: its path there, and the set that describes it.
pub fn tree_value<'h>(ev: &mut Evaluation<'h>, tree: Tree, span: SpanId) -> Res<(String, Value<'h>)> {
    let info = tree.info.clone();
    let (store, hash) = super::store::add_tree(ev, "source", tree, span)?;
    let value = described(ev, &store, hash, &info, span);
    Ok((store_dir(ev).print(&store), value))
}

/// The set that describes a source, in the form of Nix's fetchers.
fn described<'h>(
    ev: &mut Evaluation<'h>,
    store: &StorePath,
    hash: Hash,
    info: &[(String, Field)],
    span: SpanId,
) -> Value<'h> {
    let none = SpanId::NONE;
    let out = store_string(ev, store, &[], span);
    let heap = ev.heap;
    let mut attrs = vec![
        (ev.words.out_path, none, out),
        (Symbol::intern("narHash"), none, heap.string(hash.sri().as_bytes())),
    ];
    for (name, field) in info {
        let value = match field {
            Field::Text(s) => heap.string(s.as_bytes()),
            Field::Bool(b) => Value::Bool(*b),
            Field::Int(n) => Value::Int(none, *n),
        };
        attrs.push((Symbol::intern(name), none, value));
        match field {
            Field::Text(rev) if name == "rev" => {
                let short = &rev.as_bytes()[..rev.len().min(7)];
                attrs.push((Symbol::intern("shortRev"), none, heap.string(short)));
            }
            Field::Int(seconds) if name == "lastModified" => {
                let date = date_text(*seconds);
                attrs.push((Symbol::intern("lastModifiedDate"), none, heap.string(date.as_bytes())));
            }
            _ => {}
        }
    }
    heap.attrs_from(attrs)
}

/// A time in UTC as `YYYYMMDDHHMMSS`; `seconds` since 1970.
fn date_text(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days of the Gregorian calendar in eras of 400 years that begin in March.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}{month:02}{date:02}{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The tree of a reference, as fetchers give it.
fn fetched_tree<'h>(ev: &mut Evaluation<'h>, source: &FlakeRef, span: SpanId) -> Res<Value<'h>> {
    let local = source.text("type") == Some("path");
    let tree = match (local, source.text("path")) {
        (true, Some(path)) if !path.starts_with('/') => {
            let text = format!("cannot fetch input '{}' because it uses a relative path", source.show());
            return Err(EvalError::other(text, span));
        }
        // A path needs no fetching, and may be one that only this evaluation sees.
        (true, Some(path)) => {
            let real = resolve_links(ev, Path::new(path), true, span)?;
            let adding = Adding { name: b"source", source: &real, method: Method::Nar, filter: None };
            let (store, hash) = super::store::add_path_hashed(ev, &adding, span)?;
            check_tree(source, hash, span)?;
            return Ok(described(ev, &store, hash, &[], span));
        }
        _ => {
            let world = ev.world.clone();
            world.tree(source).map_err(|e| e.at(span))?
        }
    };
    let info = tree.info.clone();
    let (store, hash) = super::store::add_tree(ev, source.text("name").unwrap_or("source"), tree, span)?;
    check_tree(source, hash, span)?;
    Ok(described(ev, &store, hash, &info, span))
}

fn check_tree(source: &FlakeRef, hash: Hash, span: SpanId) -> Res<()> {
    let Some(expected) = source.text("narHash") else { return Ok(()) };
    let expected = Hash::parse(expected.as_bytes(), Some(Algo::Sha256)).map_err(|e| wrap(e, span))?;
    if expected == hash {
        return Ok(());
    }
    let text = format!(
        "NAR hash mismatch in input '{}', expected '{}' but got '{}'",
        source.show(),
        expected.sri(),
        hash.sri()
    );
    Err(EvalError::other(text, span))
}

fn fetch_tree<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let source = source_ref(ev, &args[0], "fetchTree", span)?;
    if let (Some("tarball"), Some(url)) = (source.text("type"), source.text("url"))
        && let Some(path) = url.strip_prefix("file:")
        && !path.starts_with('/')
    {
        let text = format!(
            "tarball '{url}' must use an absolute path. The 'file' scheme does not support relative paths."
        );
        return Err(EvalError::other(text, span));
    }
    fetched_tree(ev, &source, span)
}

fn fetch_git<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let mut source = source_ref(ev, &args[0], "fetchGit", span)?;
    let url = source.text("url").unwrap_or_default().to_owned();
    if ev.settings.pure_eval && source.text("rev").is_none() && source.text("narHash").is_none() {
        let text = "in pure evaluation mode, 'fetchGit' requires a 'rev' argument";
        return Err(EvalError::new(ErrorKind::Restricted, text, span));
    }
    if url.starts_with('/') {
        source.set("url", Field::Text(format!("file://{url}")));
    }
    let world = ev.world.clone();
    let mut tree = world.tree(&source).map_err(|e| e.at(span))?;
    let has = |name: &str, tree: &Tree| tree.info.iter().any(|(n, _)| n == name);
    // What a working tree with changes says of its revision.
    if !has("rev", &tree) {
        tree.info.push(("rev".into(), Field::Text("0".repeat(40))));
    }
    if !has("revCount", &tree) {
        tree.info.push(("revCount".into(), Field::Int(0)));
    }
    if !has("lastModified", &tree) {
        tree.info.push(("lastModified".into(), Field::Int(0)));
    }
    let submodules = source.fields().any(|(n, f)| n == "submodules" && *f == Field::Bool(true));
    tree.info.push(("submodules".into(), Field::Bool(submodules)));
    let info = tree.info.clone();
    let (store, hash) = super::store::add_tree(ev, source.text("name").unwrap_or("source"), tree, span)?;
    check_tree(&source, hash, span)?;
    Ok(described(ev, &store, hash, &info, span))
}

fn fetch_mercurial<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let url = match ev.force(&args[0])? {
        Value::Attrs(attrs) => match attrs.get(Symbol::intern("url")) {
            Some(url) => url,
            None => return Err(EvalError::other("'url' argument required", span)),
        },
        _ => &args[0],
    };
    let url = match ev.force(url)? {
        Value::Path(p) => p.bytes,
        _ => ev.force_str_no_context(url, span)?.bytes,
    };
    refuse_repository(url, "Mercurial", span)
}

fn refuse_repository<'h>(url: &[u8], system: &str, span: SpanId) -> Res<Value<'h>> {
    if url.starts_with(b"/") || file_url(url).is_some() {
        let text =
            format!("cannot fetch '{}': this evaluator does not read {system} repositories", lossy(url));
        return Err(EvalError::new(ErrorKind::Restricted, text, span));
    }
    Err(no_network(url, span))
}

fn get_flake<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let s = ev
        .force_str_no_context(&args[0], span)
        .map_err(|e| e.context("while evaluating the argument passed to builtins.getFlake", span))?;
    need(ev, "flakes", span)?;
    let source = flake_ref::parse(&lossy(s.bytes)).map_err(|e| wrap(e, span))?;
    let world = ev.world.clone();
    world.flake(ev, &source, span)
}

fn parse_flake_ref<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let s = ev
        .force_str_no_context(&args[0], span)
        .map_err(|e| e.context("while evaluating the argument passed to builtins.parseFlakeRef", span))?;
    let parsed = flake_ref::parse(&lossy(s.bytes)).map_err(|e| wrap(e, span))?;
    need_for_scheme(ev, parsed.text("type"), span)?;
    let heap = ev.heap;
    let attr = |(name, field): (&String, &Field)| {
        let value = match field {
            Field::Text(s) => heap.string(s.as_bytes()),
            Field::Bool(b) => Value::Bool(*b),
            Field::Int(n) => Value::Int(SpanId::NONE, *n),
        };
        (Symbol::intern(name), SpanId::NONE, value)
    };
    Ok(heap.attrs_from(parsed.fields().map(attr).collect()))
}

fn flake_ref_to_string<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let attrs = ev
        .force_attrs(&args[0], span)
        .map_err(|e| e.context("while evaluating the argument passed to builtins.flakeRefToString", span))?;
    let source = flake_attrs(ev, attrs, span)?;
    if source.text("type").is_none() {
        return Err(EvalError::other(
            "'type' attribute to specify input scheme is required but not provided",
            span,
        ));
    }
    need_for_scheme(ev, source.text("type"), span)?;
    Ok(ev.heap.string(source.show().as_bytes()))
}

/// Schemes that exist only with flakes.
fn need_for_scheme(ev: &Evaluation<'_>, scheme: Option<&str>, span: SpanId) -> Res<()> {
    match scheme {
        Some("github" | "gitlab" | "sourcehut" | "indirect" | "path") => need(ev, "flakes", span),
        _ => Ok(()),
    }
}
