//! The builtin on TOML 1.0.

use super::Builtin;
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::eval::Evaluation;
use crate::eval::error::EvalError;
use crate::eval::toml::{self, Item};
use crate::eval::value::{Res, Slot, Value};

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[Builtin::new("fromTOML", 1, from_toml, "The value of a TOML text.")];

fn from_toml<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let s = ev
        .force_str_no_context(&args[0], span)
        .map_err(|e| e.context("while evaluating the argument passed to builtins.fromTOML", span))?;
    let failed = |why: String| EvalError::other(format!("while parsing TOML: {why}"), span);
    let table = toml::parse(s.bytes).map_err(failed)?;
    value(ev, &Item::Table(table), span)
}

fn no_nul(bytes: &[u8], span: SpanId) -> Res<()> {
    super::strings::no_nul(bytes, span)
        .map_err(|e| EvalError::other(format!("while parsing TOML: error: {}", e.text()), span))
}

fn value<'h>(ev: &mut Evaluation<'h>, v: &Item, span: SpanId) -> Res<Value<'h>> {
    let none = SpanId::NONE;
    Ok(match v {
        Item::Str(s) => {
            no_nul(s, span)?;
            ev.heap.string(s)
        }
        Item::Int(n) => Value::Int(none, *n),
        Item::Float(x) => Value::Float(none, *x),
        Item::Bool(b) => Value::Bool(*b),
        Item::Time(text) => {
            if !ev.settings.feature("parse-toml-timestamps") {
                return Err(EvalError::other("while parsing TOML: Dates and times are not supported", span));
            }
            let (kind, text) = (ev.heap.string(b"timestamp"), ev.heap.string(text.as_bytes()));
            ev.heap.attrs_from(vec![
                (Symbol::intern("_type"), none, kind),
                (Symbol::intern("value"), none, text),
            ])
        }
        Item::Array(array) => {
            let items = array.items.iter().map(|v| value(ev, v, span)).collect::<Res<Vec<_>>>()?;
            ev.heap.list(ev.heap.slots_from(items.into_iter()), none)
        }
        Item::Table(table) => {
            let mut members = Vec::with_capacity(table.members.len());
            for (name, v) in &table.members {
                no_nul(name, span)?;
                members.push((Symbol::intern(name), none, value(ev, v, span)?));
            }
            ev.heap.attrs_from(members)
        }
    })
}
