//! Builtins that look at and change the contexts of strings.

use std::collections::BTreeMap;

use super::Builtin;
use super::store::{context_elem, store_dir, wrap};
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::drv::placeholder;
use crate::eval::Evaluation;
use crate::eval::coerce::{Coerce, StringBuilder, attr_text};
use crate::eval::error::{ErrorKind, EvalError};
use crate::eval::value::{Attr, Res, Slot, Value};
use crate::ir::text::{ContextElem, Str};

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[
    Builtin::new("getContext", 1, get_context, "What a string refers to in the store."),
    Builtin::new("hasContext", 1, has_context, "Whether a string refers to anything in the store."),
    Builtin::new("appendContext", 2, append_context, "Adds references to a string."),
    Builtin::new("unsafeDiscardStringContext", 1, discard_context, "The string without its references."),
    Builtin::new(
        "unsafeDiscardOutputDependency",
        1,
        discard_output_dependency,
        "Makes references to whole derivations refer to their files only.",
    ),
    Builtin::new(
        "addDrvOutputDependencies",
        1,
        add_drv_output_dependencies,
        "Makes a reference to a derivation's file refer to the whole derivation.",
    ),
    Builtin::new("placeholder", 1, placeholder_of, "What stands for an output's path in its own derivation."),
    Builtin::new("outputOf", 2, output_of, "The output of a derivation that another one builds.")
        .needing("dynamic-derivations"),
];

fn lossy(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn coerced<'h>(ev: &mut Evaluation<'h>, slot: &Slot<'h>, name: &str, span: SpanId) -> Res<&'h Str<'h>> {
    let v = ev.force(slot)?;
    ev.coerce_to_str(v, Coerce::Strict, true, span)
        .map_err(|e| e.context(format!("while evaluating the argument passed to builtins.{name}"), span))
}

fn has_context<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let s = ev
        .force_str(&args[0], span)
        .map_err(|e| e.context("while evaluating the argument passed to builtins.hasContext", span))?;
    Ok(Value::Bool(!s.context.is_empty()))
}

fn discard_context<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let s = coerced(ev, &args[0], "unsafeDiscardStringContext", span)?;
    if s.context.is_empty() {
        return Ok(Value::Str(s));
    }
    Ok(ev.heap.string_of(s.bytes))
}

fn discard_output_dependency<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let s = coerced(ev, &args[0], "unsafeDiscardOutputDependency", span)?;
    let mut out = StringBuilder { bytes: s.bytes.to_vec(), context: Vec::new() };
    for &c in s.context {
        out.context.push(match c {
            ContextElem::DrvDeep(p) => context_elem(ev, ContextElem::Opaque(p.clone())),
            _ => c,
        });
    }
    Ok(out.finish(ev, span))
}

fn add_drv_output_dependencies<'h>(
    ev: &mut Evaluation<'h>,
    args: &[Slot<'h>],
    span: SpanId,
) -> Res<Value<'h>> {
    let s = coerced(ev, &args[0], "addDrvOutputDependencies", span)?;
    let &[only] = s.context else {
        let text = format!(
            "context of string '{}' must have exactly one element, but has {}",
            lossy(s.bytes),
            s.context.len()
        );
        return Err(EvalError::other(text, span));
    };
    let deep = match only {
        ContextElem::Opaque(p) if p.ends_with(b".drv") => context_elem(ev, ContextElem::DrvDeep(p.clone())),
        ContextElem::Opaque(p) => {
            return Err(EvalError::other(format!("path '{}' is not a derivation", lossy(p)), span));
        }
        ContextElem::Built(..) | ContextElem::Dynamic(..) => {
            let output = match only {
                ContextElem::Built(_, output) => output.to_vec(),
                ContextElem::Dynamic(_, outputs) => outputs.last().map(|o| o.to_vec()).unwrap_or_default(),
                _ => Vec::new(),
            };
            let text = format!(
                "`addDrvOutputDependencies` can only act on derivations, not on a derivation output such as '{}'",
                lossy(&output)
            );
            return Err(EvalError::other(text, span));
        }
        ContextElem::DrvDeep(_) => only,
    };
    Ok(StringBuilder { bytes: s.bytes.to_vec(), context: vec![deep] }.finish(ev, span))
}

#[derive(Default)]
struct Use {
    path: bool,
    all: bool,
    outputs: Vec<Vec<u8>>,
}

fn get_context<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let s = ev
        .force_str(&args[0], span)
        .map_err(|e| e.context("while evaluating the argument passed to builtins.getContext", span))?;
    let mut uses: BTreeMap<&[u8], Use> = BTreeMap::new();
    for c in s.context {
        match c {
            ContextElem::Opaque(p) => uses.entry(p).or_default().path = true,
            ContextElem::DrvDeep(p) => uses.entry(p).or_default().all = true,
            ContextElem::Built(p, o) => uses.entry(p).or_default().outputs.push(o.to_vec()),
            ContextElem::Dynamic(..) => {
                let text = format!(
                    "cannot build '{}' during evaluation because the option 'allow-import-from-derivation' is disabled",
                    c.encoded()
                );
                return Err(EvalError::new(ErrorKind::Restricted, text, span));
            }
        }
    }
    let heap = ev.heap;
    let none = SpanId::NONE;
    let mut list = Vec::new();
    for (path, mut used) in uses {
        let mut attrs = Vec::new();
        if used.path {
            attrs.push((Symbol::intern("path"), none, Value::Bool(true)));
        }
        if used.all {
            attrs.push((Symbol::intern("allOutputs"), none, Value::Bool(true)));
        }
        if !used.outputs.is_empty() {
            used.outputs.sort_unstable();
            let items = heap.slots_from(used.outputs.iter().map(|o| heap.string(o)));
            attrs.push((Symbol::intern("outputs"), none, heap.list(items, none)));
        }
        list.push((Symbol::intern(path), none, heap.attrs_from(attrs)));
    }
    Ok(heap.attrs_from(list))
}

fn append_context<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let s = ev.force_str(&args[0], span).map_err(|e| {
        e.context("while evaluating the first argument passed to builtins.appendContext", span)
    })?;
    let more = ev.force_attrs(&args[1], span).map_err(|e| {
        e.context("while evaluating the second argument passed to builtins.appendContext", span)
    })?;
    let mut out = StringBuilder::default();
    out.push(s);
    for attr in more.sorted() {
        append_one(ev, attr, &mut out)?;
    }
    Ok(out.finish(ev, span))
}

fn append_one<'h>(ev: &mut Evaluation<'h>, attr: Attr<'h>, out: &mut StringBuilder<'h>) -> Res<()> {
    let name = attr.name.name();
    if store_dir(ev).parse(name).is_err() {
        let text = format!("context key '{}' is not a store path", attr_text(attr.name));
        return Err(EvalError::other(text, attr.span));
    }
    let is_drv = name.ends_with(b".drv");
    let info = ev
        .force_attrs(attr.slot, attr.span)
        .map_err(|e| e.context("while evaluating the value of a string context", attr.span))?;
    if let Some(a) = info.find(Symbol::intern("path")) {
        let what = "while evaluating the `path` attribute of a string context";
        if ev.force_bool(a.slot, a.span).map_err(|e| e.context(what, a.span))? {
            out.context.push(context_elem(ev, ContextElem::Opaque(name.into())));
        }
    }
    if let Some(a) = info.find(Symbol::intern("allOutputs")) {
        let what = "while evaluating the `allOutputs` attribute of a string context";
        if ev.force_bool(a.slot, a.span).map_err(|e| e.context(what, a.span))? {
            if !is_drv {
                let text = format!(
                    "tried to add all-outputs context of {}, which is not a derivation, to a string",
                    attr_text(attr.name)
                );
                return Err(EvalError::other(text, attr.span));
            }
            out.context.push(context_elem(ev, ContextElem::DrvDeep(name.into())));
        }
    }
    if let Some(a) = info.find(Symbol::intern("outputs")) {
        let what = "while evaluating the `outputs` attribute of a string context";
        let list = ev.force_list(a.slot, a.span).map_err(|e| e.context(what, a.span))?;
        if !list.items.is_empty() && !is_drv {
            let text = format!(
                "tried to add derivation output context of {}, which is not a derivation, to a string",
                attr_text(attr.name)
            );
            return Err(EvalError::other(text, attr.span));
        }
        for item in list.items {
            let output = ev
                .force_str_no_context(item, a.span)
                .map_err(|e| e.context("while evaluating an output name within a string context", a.span))?;
            let elem = ContextElem::Built(name.into(), output.bytes.into());
            out.context.push(context_elem(ev, elem));
        }
    }
    Ok(())
}

fn placeholder_of<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let output = ev
        .force_str_no_context(&args[0], span)
        .map_err(|e| e.context("while evaluating the first argument passed to builtins.placeholder", span))?;
    Ok(ev.heap.string(placeholder::own_output(output.bytes).as_bytes()))
}

fn output_of<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let drv = ev
        .force_str(&args[0], span)
        .map_err(|e| e.context("while evaluating the first argument to builtins.outputOf", span))?;
    let output = ev
        .force_str_no_context(&args[1], span)
        .map_err(|e| e.context("while evaluating the second argument to builtins.outputOf", span))?;
    let &[only] = drv.context else {
        let text = format!(
            "string '{}' has {} entries in its context. It should only have exactly one entry",
            lossy(drv.bytes),
            drv.context.len()
        );
        return Err(EvalError::other(text, span));
    };
    let expected = stands_for(ev, only, drv.bytes, span)?;
    if expected.as_bytes() != drv.bytes {
        let shown = lossy(drv.bytes);
        let text = match only {
            ContextElem::Built(path, output) => format!(
                "string '{shown}' has context with the output '{}' from derivation '{}', but the string is not the right placeholder for this derivation output. It should be '{expected}'",
                lossy(output),
                lossy(path)
            ),
            _ => format!("path string '{shown}' has context with the different path '{expected}'"),
        };
        return Err(EvalError::other(text, span));
    }
    let elem = match only {
        ContextElem::Built(path, before) => {
            ContextElem::Dynamic(path.clone(), [before.clone(), output.bytes.into()].into())
        }
        ContextElem::Dynamic(path, before) => {
            let all = before.iter().cloned().chain([output.bytes.into()]);
            ContextElem::Dynamic(path.clone(), all.collect())
        }
        ContextElem::Opaque(path) | ContextElem::DrvDeep(path) => {
            ContextElem::Built(path.clone(), output.bytes.into())
        }
    };
    let bytes = stands_for(ev, &elem, drv.bytes, span)?.into_bytes();
    let elem = context_elem(ev, elem);
    Ok(StringBuilder { bytes, context: vec![elem] }.finish(ev, span))
}

/// The text that stands for what a context element refers to: a path, or a placeholder for one.
fn stands_for(ev: &Evaluation<'_>, elem: &ContextElem, text: &[u8], span: SpanId) -> Res<String> {
    let dir = store_dir(ev);
    let parse = |path: &[u8]| dir.parse(path).map_err(|e| wrap(e, span));
    Ok(match elem {
        ContextElem::Opaque(path) => dir.print(&parse(path)?),
        ContextElem::DrvDeep(_) => {
            let text = format!(
                "string '{}' has a context which refers to a complete source and binary closure. This is not supported at this time",
                lossy(text)
            );
            return Err(EvalError::other(text, span));
        }
        ContextElem::Built(path, output) => {
            let store = parse(path)?;
            let drv = super::derivation::read_derivation(ev, &store, span)?;
            if !drv.outputs.contains_key(&**output) {
                let text = format!("derivation '{}' does not have output '{}'", lossy(path), lossy(output));
                return Err(EvalError::other(text, span));
            }
            match drv.output_path(&dir, output).map_err(|e| wrap(e, span))? {
                Some(known) => dir.print(&known),
                None => placeholder::unknown_output(&store, output),
            }
        }
        ContextElem::Dynamic(path, outputs) => {
            placeholder::dynamic_output(&parse(path)?, outputs.iter().map(|o| &**o))
        }
    })
}
