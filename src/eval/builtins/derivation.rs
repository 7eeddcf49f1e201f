//! `derivationStrict`, and `derivation` around it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Builtin;
use super::store::{context_elem, hash_or_empty, store_dir, wrap};
use super::store_view::{self, Object};
use super::structured::{json_string, normal_json, to_json};
use crate::base::source::{SourceName, SpanId};
use crate::base::symbol::Symbol;
use crate::drv::aterm;
use crate::drv::content_address::{ContentAddress, Method};
use crate::drv::derivation::{Derivation, DerivationError, Output, STRUCTURED_ATTRS};
use crate::drv::hash::Algo;
use crate::drv::placeholder;
use crate::drv::store_path::{StorePath, check_name};
use crate::eval::Evaluation;
use crate::eval::coerce::{Coerce, StringBuilder, show_place};
use crate::eval::error::{ErrorKind, EvalError};
use crate::eval::heap::Heap;
use crate::eval::value::{Attr, Attrs, Lazy, Res, Slot, Value};
use crate::ir::text::ContextElem;

/// The builtins of this family.
pub const TABLE: &[Builtin] =
    &[Builtin::new("derivationStrict", 1, derivation_strict, "Makes a derivation of a set of attributes.")];

/// `derivation`: one set for each output, whose paths are computed when they are asked for.
const WRAPPER: &str = "
attrs@{ outputs ? [ \"out\" ], ... }:
let
  made = derivationStrict attrs;
  members = map member outputs;
  shared = attrs // builtins.listToAttrs members // {
    all = map (m: m.value) members;
    drvAttrs = attrs;
  };
  member = name: {
    inherit name;
    value = shared // {
      outPath = builtins.getAttr name made;
      drvPath = made.drvPath;
      type = \"derivation\";
      outputName = name;
    };
  };
in
(builtins.head members).value
";

/// The global `derivation`, read from its text when it is first used.
pub(super) fn wrapper<'h>(heap: &'h Heap) -> Value<'h> {
    let none = Value::Null(SpanId::NONE);
    Value::Lazy(0, heap.lazy(Lazy::Native { run: read_wrapper, a: none, b: none }))
}

fn read_wrapper<'h>(ev: &mut Evaluation<'h>, _: u32, _: Value<'h>, _: Value<'h>) -> Res<Value<'h>> {
    ev.eval_text(SourceName::Embedded("derivation.nix"), WRAPPER.as_bytes(), Path::new("/"))
}

/// A derivation while its attributes are read.
#[derive(Default)]
struct Draft<'h> {
    drv: Derivation,
    context: Vec<&'h ContextElem>,
    json: Option<BTreeMap<Vec<u8>, Vec<u8>>>,
    ignore_nulls: bool,
    content_addressed: bool,
    impure: bool,
    hash: Option<Vec<u8>>,
    algo: Option<Algo>,
    method: Option<Method>,
    outputs: Option<BTreeSet<Vec<u8>>>,
}

fn derivation_strict<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let attrs = ev
        .force_attrs(&args[0], span)
        .map_err(|e| e.context("while evaluating the argument passed to builtins.derivationStrict", span))?;
    let Some(name) = attrs.find(ev.words.name) else {
        let e = EvalError::new(ErrorKind::MissingAttr, "attribute 'name' missing", span);
        return Err(e.context("in the attrset passed as argument to builtins.derivationStrict", span));
    };
    let text = ev.force_str_no_context(name.slot, span).map_err(|e| {
        e.context("while evaluating the `name` attribute passed to builtins.derivationStrict", span)
            .context("while evaluating the derivation attribute 'name'", name.span)
    })?;
    make(ev, text.bytes, attrs, span).map_err(|e| {
        let what = format!(
            "while evaluating derivation '{}'\n  whose name attribute is located at {}",
            lossy(text.bytes),
            show_place(name.span)
        );
        e.context(what, SpanId::NONE)
    })
}

fn lossy(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn make<'h>(ev: &mut Evaluation<'h>, name: &[u8], attrs: &'h Attrs<'h>, span: SpanId) -> Res<Value<'h>> {
    check_name(name).map_err(|e| {
        EvalError::other(format!("invalid derivation name: {e}. Please pass a different 'name'."), span)
    })?;
    let structured = flag(ev, attrs, "__structuredAttrs", span)?;
    let mut draft = Draft {
        json: structured.then(BTreeMap::new),
        ignore_nulls: flag(ev, attrs, "__ignoreNulls", span)?,
        ..Draft::default()
    };
    draft.drv.name = name.to_vec();
    for attr in attrs.sorted() {
        attribute(ev, &mut draft, attr, span).map_err(|e| {
            let what =
                format!("while evaluating attribute '{}' of derivation '{}'", attr.name.text(), lossy(name));
            e.context(what, attr.span)
        })?;
    }
    if let Some(json) = draft.json.take() {
        draft.drv.env.insert(STRUCTURED_ATTRS.to_vec(), json_object(&json));
    }
    add_inputs(ev, &mut draft, span)?;
    add_outputs(ev, &mut draft, span)?;
    finish(ev, draft.drv, span)
}

fn flag<'h>(ev: &mut Evaluation<'h>, attrs: &'h Attrs<'h>, name: &str, span: SpanId) -> Res<bool> {
    let Some(slot) = attrs.get(Symbol::intern(name)) else { return Ok(false) };
    ev.force_bool(slot, span).map_err(|e| {
        let what = format!("while evaluating the `{name}` attribute passed to builtins.derivationStrict");
        e.context(what, span)
    })
}

fn attribute<'h>(ev: &mut Evaluation<'h>, d: &mut Draft<'h>, attr: Attr<'h>, span: SpanId) -> Res<()> {
    let key = attr.name.name();
    if key == b"__ignoreNulls" {
        return Ok(());
    }
    if d.ignore_nulls && matches!(ev.force(attr.slot)?, Value::Null(_)) {
        return Ok(());
    }
    match key {
        b"__contentAddressed" => {
            d.content_addressed = ev.force_bool(attr.slot, span)?;
            if d.content_addressed { need(ev, "ca-derivations", span) } else { Ok(()) }
        }
        b"__impure" => {
            d.impure = ev.force_bool(attr.slot, span)?;
            if d.impure { need(ev, "impure-derivations", span) } else { Ok(()) }
        }
        b"args" => {
            for item in ev.force_list(attr.slot, span)?.items {
                let v = ev.force(item)?;
                let mut out = StringBuilder::default();
                ev.coerce(v, Coerce::More, true, &mut out, span)
                    .map_err(|e| e.context("while evaluating an element of the argument list", span))?;
                d.drv.args.push(out.bytes);
                d.context.extend(out.context);
            }
            Ok(())
        }
        _ if d.json.is_some() => structured_attribute(ev, d, attr, span),
        _ => env_attribute(ev, d, attr, span),
    }
}

/// Fails unless an experimental feature is on.
pub fn need(ev: &Evaluation<'_>, feature: &str, span: SpanId) -> Res<()> {
    need_for(ev, feature, "", span)
}

/// [`need`] with a reason for the message.
fn need_for(ev: &Evaluation<'_>, feature: &str, reason: &str, span: SpanId) -> Res<()> {
    if ev.settings.feature(feature) {
        return Ok(());
    }
    let text = format!(
        "experimental Nix feature '{feature}' is disabled{reason}; add '--extra-experimental-features {feature}' to enable it"
    );
    Err(EvalError::other(text, span))
}

fn env_attribute<'h>(ev: &mut Evaluation<'h>, d: &mut Draft<'h>, attr: Attr<'h>, span: SpanId) -> Res<()> {
    let v = ev.force(attr.slot)?;
    let mut out = StringBuilder::default();
    ev.coerce(v, Coerce::More, true, &mut out, span)?;
    d.context.extend(out.context);
    let (key, text) = (attr.name.name(), out.bytes);
    if key == STRUCTURED_ATTRS {
        warn(
            ev,
            d,
            "setting structured attributes via '__json' is deprecated, and may be disallowed in future \
             versions of Nix. Set '__structuredAttrs = true' instead.",
        );
        let normal = normal_json(&text)
            .map_err(|e| EvalError::other(format!("cannot process __json attribute: {e}"), span))?;
        d.drv.env.insert(key.to_vec(), normal);
        return Ok(());
    }
    match key {
        b"builder" => d.drv.builder = text.clone(),
        b"system" => d.drv.platform = text.clone(),
        b"outputHash" => d.hash = Some(text.clone()),
        b"outputHashAlgo" => d.algo = Algo::from_name(&text),
        b"outputHashMode" => set_method(ev, d, &text, span)?,
        b"outputs" => {
            let names = text.split(|b| b" \t\n\r".contains(b)).filter(|n| !n.is_empty());
            set_outputs(d, names, span)?;
        }
        _ => {}
    }
    d.drv.env.insert(key.to_vec(), text);
    Ok(())
}

fn structured_attribute<'h>(
    ev: &mut Evaluation<'h>,
    d: &mut Draft<'h>,
    attr: Attr<'h>,
    span: SpanId,
) -> Res<()> {
    let key = attr.name.name();
    if key == b"__structuredAttrs" {
        return Ok(());
    }
    let mut out = StringBuilder::default();
    to_json(ev, attr.slot, attr.span, &mut out)?;
    d.context.extend(out.context);
    if let Some(json) = &mut d.json {
        json.insert(key.to_vec(), out.bytes);
    }
    match key {
        b"builder" => {
            let s = ev.force_str(attr.slot, span)?;
            d.context.extend(s.context);
            d.drv.builder = s.bytes.to_vec();
        }
        b"system" => d.drv.platform = ev.force_str_no_context(attr.slot, span)?.bytes.to_vec(),
        b"outputHash" => d.hash = Some(ev.force_str_no_context(attr.slot, span)?.bytes.to_vec()),
        b"outputHashAlgo" => d.algo = Algo::from_name(ev.force_str_no_context(attr.slot, span)?.bytes),
        b"outputHashMode" => {
            let mode = ev.force_str_no_context(attr.slot, span)?;
            set_method(ev, d, mode.bytes, span)?;
        }
        b"outputs" => {
            let mut names = Vec::new();
            for item in ev.force_list(attr.slot, span)?.items {
                names.push(ev.force_str_no_context(item, span)?.bytes);
            }
            set_outputs(d, names.into_iter(), span)?;
        }
        b"allowedReferences"
        | b"allowedRequisites"
        | b"disallowedReferences"
        | b"disallowedRequisites"
        | b"maxSize"
        | b"maxClosureSize" => {
            let name = lossy(key);
            let text = format!(
                "'structuredAttrs' disables the effect of the derivation attribute '{name}'; use 'outputChecks.<output>.{name}' instead"
            );
            warn(ev, d, &text);
        }
        _ => {}
    }
    Ok(())
}

fn warn(ev: &mut Evaluation<'_>, d: &Draft<'_>, text: &str) {
    let line = format!("warning: In derivation '{}': {text}", lossy(&d.drv.name));
    (ev.messages)(line.as_bytes());
}

fn set_method(ev: &Evaluation<'_>, d: &mut Draft<'_>, mode: &[u8], span: SpanId) -> Res<()> {
    let Some(method) = Method::from_mode(mode) else {
        let text = format!("invalid value '{}' for 'outputHashMode' attribute", lossy(mode));
        return Err(EvalError::other(text, span));
    };
    match method {
        Method::Text => {
            let name = lossy(&d.drv.name);
            let reason = format!(" (text-hashed derivation '{name}', outputHashMode = \"text\")");
            need_for(ev, "dynamic-derivations", &reason, span)?;
        }
        Method::Git => need(ev, "git-hashing", span)?,
        Method::Flat | Method::Nar => {}
    }
    d.method = Some(method);
    Ok(())
}

fn set_outputs<'a>(d: &mut Draft<'_>, names: impl Iterator<Item = &'a [u8]>, span: SpanId) -> Res<()> {
    let mut outputs = BTreeSet::new();
    for name in names {
        if outputs.contains(name) {
            return Err(EvalError::other(format!("duplicate derivation output '{}'", lossy(name)), span));
        }
        if name == b"drvPath" {
            return Err(EvalError::other("invalid derivation output name 'drvPath'", span));
        }
        outputs.insert(name.to_vec());
    }
    if outputs.is_empty() {
        return Err(EvalError::other("derivation cannot have an empty set of outputs", span));
    }
    d.outputs = Some(outputs);
    Ok(())
}

/// Everything that the attributes' strings refer to becomes an input.
fn add_inputs<'h>(ev: &mut Evaluation<'h>, d: &mut Draft<'h>, span: SpanId) -> Res<()> {
    let dir = store_dir(ev);
    let mut context = std::mem::take(&mut d.context);
    context.sort_unstable();
    context.dedup();
    for c in context {
        match c {
            ContextElem::Opaque(p) => {
                d.drv.input_srcs.insert(dir.parse(p).map_err(|e| wrap(e, span))?);
            }
            ContextElem::Built(p, output) => {
                let path = dir.parse(p).map_err(|e| wrap(e, span))?;
                d.drv.add_input(path, [&**output]);
            }
            ContextElem::Dynamic(p, outputs) => {
                let path = dir.parse(p).map_err(|e| wrap(e, span))?;
                d.drv.add_input(path, outputs.iter().map(|o| &**o));
            }
            ContextElem::DrvDeep(p) => {
                let path = dir.parse(p).map_err(|e| wrap(e, span))?;
                add_closure(ev, &mut d.drv, path, span)?;
            }
        }
    }
    Ok(())
}

/// A derivation that is used with everything it refers to, so that its graph can be looked at.
fn add_closure(ev: &mut Evaluation<'_>, drv: &mut Derivation, root: StorePath, span: SpanId) -> Res<()> {
    let view = store_view::view(ev);
    let mut pending = vec![root];
    let mut seen = BTreeSet::new();
    while let Some(path) = pending.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        drv.input_srcs.insert(path.clone());
        if path.is_derivation() {
            let known = ev.caches.store.outputs.get(&path).cloned();
            let (outputs, references) = match (known, view.references(&path)) {
                (Some(outputs), Some(references)) => (outputs, (*references).clone()),
                _ => {
                    let read = read_derivation(ev, &path, span)?;
                    (read.outputs.keys().cloned().collect(), read.references())
                }
            };
            drv.input_drvs.entry(path).or_default().extend(outputs);
            pending.extend(references);
        } else if let Some(references) = view.references(&path) {
            pending.extend(references.iter().cloned());
        }
    }
    Ok(())
}

/// Reads a derivation that this evaluation did not make from the store.
pub fn read_derivation(ev: &Evaluation<'_>, path: &StorePath, span: SpanId) -> Res<Derivation> {
    let dir = store_dir(ev);
    let file = dir.print(path);
    let text = ev
        .io
        .read_file(Path::new(&file))
        .map_err(|_| EvalError::new(ErrorKind::Io, format!("path '{file}' is not valid"), span))?;
    aterm::parse_file(&text, path, &dir)
        .map_err(|e| EvalError::other(format!("error parsing derivation '{file}': {e}"), span))
}

fn add_outputs(ev: &mut Evaluation<'_>, d: &mut Draft<'_>, span: SpanId) -> Res<()> {
    if d.drv.builder.is_empty() {
        return Err(EvalError::other("required attribute 'builder' missing", span));
    }
    if d.drv.platform.is_empty() {
        return Err(EvalError::other("required attribute 'system' missing", span));
    }
    let outputs = d.outputs.take().unwrap_or_else(|| BTreeSet::from([b"out".to_vec()]));
    let only_out = outputs.len() == 1 && outputs.contains(b"out".as_slice());
    if d.drv.name.ends_with(b".drv") && !(d.method == Some(Method::Text) && only_out) {
        let text =
            "derivation names are allowed to end in '.drv' only if they produce a single derivation file";
        return Err(EvalError::other(text, span));
    }
    if let Some(text) = &d.hash {
        if !only_out {
            let text = "multiple outputs are not supported in fixed-output derivations";
            return Err(EvalError::other(text, span));
        }
        let hash = hash_or_empty(ev, text, d.algo, span)?;
        let output = Output::Fixed(ContentAddress { method: d.method.unwrap_or(Method::Flat), hash });
        let dir = store_dir(ev);
        if let Some(path) = output.path(&dir, &d.drv.name, b"out").map_err(|e| wrap(e, span))? {
            d.drv.env.insert(b"out".to_vec(), dir.print(&path).into_bytes());
        }
        d.drv.outputs.insert(b"out".to_vec(), output);
        return Ok(());
    }
    if d.content_addressed && d.impure {
        let text = "derivation cannot be both content-addressed and impure";
        return Err(EvalError::other(text, span));
    }
    let (method, algo) = (d.method.unwrap_or(Method::Nar), d.algo.unwrap_or(Algo::Sha256));
    for name in outputs {
        let (output, value) = if d.content_addressed {
            (Output::Floating { method, algo }, placeholder::own_output(&name))
        } else if d.impure {
            (Output::Impure { method, algo }, placeholder::own_output(&name))
        } else {
            (Output::Deferred, String::new())
        };
        d.drv.env.insert(name.clone(), value.into_bytes());
        d.drv.outputs.insert(name, output);
    }
    Ok(())
}

/// What goes wrong while derivations are hashed.
enum HashingError {
    Derivation(DerivationError),
    Eval(Box<EvalError>),
}

impl From<DerivationError> for HashingError {
    fn from(e: DerivationError) -> Self {
        HashingError::Derivation(e)
    }
}

impl HashingError {
    fn at(self, span: SpanId) -> Box<EvalError> {
        match self {
            HashingError::Derivation(e) => wrap(e, span),
            HashingError::Eval(e) => e,
        }
    }
}

fn finish<'h>(ev: &mut Evaluation<'h>, mut drv: Derivation, span: SpanId) -> Res<Value<'h>> {
    let dir = store_dir(ev);
    let mut cache = std::mem::take(&mut ev.caches.store.modulo);
    let mut read = |path: &StorePath| read_derivation(ev, path, span).map_err(HashingError::Eval);
    let mut made = Ok(());
    if drv.outputs.values().all(|o| *o == Output::Deferred) {
        made = cache.fill_outputs(&dir, &mut drv, &mut read);
    }
    let made = made.and_then(|()| cache.add(&dir, &drv, &mut read));
    ev.caches.store.modulo = cache;
    let (path, text) = made.map_err(|e| e.at(span))?;
    ev.caches.store.outputs.insert(path.clone(), drv.outputs.keys().cloned().collect());
    store_view::register(ev, path.clone(), Object::Text(text.into()), drv.references());
    derivation_result(ev, &path, &drv, Vec::new(), span)
}

/// The set of a derivation's path and its outputs' paths, with other attributes.
pub fn derivation_result<'h>(
    ev: &mut Evaluation<'h>,
    path: &StorePath,
    drv: &Derivation,
    mut attrs: Vec<(Symbol, SpanId, Value<'h>)>,
    span: SpanId,
) -> Res<Value<'h>> {
    let dir = store_dir(ev);
    let text: Box<[u8]> = dir.print(path).into_bytes().into();
    let deep = context_elem(ev, ContextElem::DrvDeep(text.clone()));
    let value = StringBuilder { bytes: text.to_vec(), context: vec![deep] }.finish(ev, SpanId::NONE);
    attrs.push((ev.words.drv_path, SpanId::NONE, value));
    for (name, output) in &drv.outputs {
        let bytes = match output.path(&dir, &drv.name, name).map_err(|e| wrap(e, span))? {
            Some(known) => dir.print(&known),
            None => placeholder::unknown_output(path, name),
        };
        let built = context_elem(ev, ContextElem::Built(text.clone(), name.as_slice().into()));
        let value = StringBuilder { bytes: bytes.into_bytes(), context: vec![built] };
        attrs.push((Symbol::intern(name), SpanId::NONE, value.finish(ev, SpanId::NONE)));
    }
    Ok(ev.heap.attrs_from(attrs))
}

fn json_object(members: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    let mut out = b"{".to_vec();
    for (i, (key, value)) in members.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json_string(key, &mut out);
        out.push(b':');
        out.extend_from_slice(value);
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::eval::io::System;
    use crate::eval::{Limits, Settings, on_big_stack};

    fn settings() -> Settings {
        Settings {
            system: "x86_64-linux".into(),
            store_dir: "/nix/store".into(),
            search_path: Vec::new(),
            features: Vec::new(),
            pure_eval: false,
            trace_verbose: false,
            abort_on_warn: false,
            lints: Default::default(),
            home: None,
            now: 0,
            limits: Limits::default(),
        }
    }

    fn eval(text: &str) -> String {
        on_big_stack(|| {
            let heap = Heap::new();
            let mut ev = Evaluation::new(&heap, settings(), Rc::new(System)).unwrap();
            let result = ev
                .eval_text(SourceName::String, text.as_bytes(), Path::new("/"))
                .and_then(|v| ev.force_str(&Slot::new(v), SpanId::NONE));
            match result {
                Ok(s) => lossy(s.bytes).into_owned(),
                Err(e) => e.text().into_owned(),
            }
        })
    }

    fn assert_drv(attributes: &str, path: &str) {
        let text = format!("(derivation {{ system = \"s\"; builder = \"b\"; {attributes} }}).drvPath");
        assert_eq!(eval(&text), path);
    }

    #[test]
    fn paths() {
        assert_drv(r#"name = "a";"#, "/nix/store/pn5w9v350w6b152fg17i8iinyi3g0di4-a.drv");
        assert_drv(
            r#"name = "f"; outputHash = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="; outputHashAlgo = "sha256"; outputHashMode = "recursive";"#,
            "/nix/store/3b6myba28hk2vcyc00cjfnb639ibq5hm-f.drv",
        );
        assert_drv(
            r#"name = "s"; __structuredAttrs = true; outputs = [ "out" "bin" ]; a = { b = [ 1 2.5 null true "x\n" 1.0e-7 ]; };"#,
            "/nix/store/smf8qgavjbwb9b9dlbq795ivyy6kkqxw-s.drv",
        );
        assert_drv(
            r#"name = "i"; __ignoreNulls = true; x = null; l = [ 1 [ ] 2 "z" ]; args = [ "-c" 1 null [ "x" true ] ];"#,
            "/nix/store/njwxs99qhh9aiqkq84509gcx3ypbap0g-i.drv",
        );
        assert_drv(
            r#"name = "u"; x = derivation { name = "d"; system = "s"; builder = "b"; };"#,
            "/nix/store/9kmpf2j10a7x1val4rmdmq0nyhdcch3k-u.drv",
        );
    }

    #[test]
    fn messages() {
        for (attributes, message) in [
            ("name = \"a\"; system = \"s\";", "required attribute 'builder' missing"),
            ("name = \"a\"; builder = \"s\";", "required attribute 'system' missing"),
            ("builder = \"s\";", "attribute 'name' missing"),
            ("name = \"a\"; outputs = [ ];", "derivation cannot have an empty set of outputs"),
            ("name = \"a\"; outputs = [ \"x\" \"x\" ];", "duplicate derivation output 'x'"),
        ] {
            assert_eq!(eval(&format!("(derivationStrict {{ {attributes} }}).drvPath")), message);
        }
    }
}
