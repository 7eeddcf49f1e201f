//! The builtin on TOML 1.0.

use super::Builtin;
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::eval::Evaluation;
use crate::eval::error::EvalError;
use crate::eval::value::{Res, Slot, Value};

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[Builtin::new("fromTOML", 1, from_toml, "The value of a TOML text.")];

fn from_toml<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let s = ev.force_str_no_context(&args[0], span)?;
    let failed = |why: String| EvalError::other(format!("while parsing TOML: {why}"), span);
    let text = std::str::from_utf8(s.bytes).map_err(|e| failed(e.to_string()))?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| failed(e.message().to_owned()))?;
    value(ev, &toml::Value::Table(table), span)
}

fn value<'h>(ev: &mut Evaluation<'h>, v: &toml::Value, span: SpanId) -> Res<Value<'h>> {
    let none = SpanId::NONE;
    Ok(match v {
        toml::Value::String(s) if s.contains('\0') => {
            return Err(EvalError::other(
                "input string contains a NUL byte, which is not allowed in Nix strings",
                span,
            ));
        }
        toml::Value::String(s) => ev.heap.string(s.as_bytes()),
        toml::Value::Integer(n) => Value::Int(none, *n),
        toml::Value::Float(x) => Value::Float(none, *x),
        toml::Value::Boolean(b) => Value::Bool(*b),
        toml::Value::Datetime(d) => {
            if !ev.settings.feature("parse-toml-timestamps") {
                return Err(EvalError::other("while parsing TOML: Dates and times are not supported", span));
            }
            let (kind, text) = (ev.heap.string(b"timestamp"), ev.heap.string(d.to_string().as_bytes()));
            ev.heap.attrs_from(vec![
                (Symbol::intern("_type"), none, kind),
                (Symbol::intern("value"), none, text),
            ])
        }
        toml::Value::Array(items) => {
            let items = items.iter().map(|v| value(ev, v, span)).collect::<Res<Vec<_>>>()?;
            ev.heap.list(ev.heap.slots_from(items.into_iter()), none)
        }
        toml::Value::Table(t) => {
            let mut members = Vec::with_capacity(t.len());
            for (name, v) in t {
                members.push((Symbol::intern(name.as_bytes()), none, value(ev, v, span)?));
            }
            ev.heap.attrs_from(members)
        }
    })
}
