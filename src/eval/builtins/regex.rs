//! Builtins on regular expressions.

use std::collections::HashMap;
use std::rc::Rc;

use super::Builtin;
use crate::base::source::SpanId;
use crate::eval::Evaluation;
use crate::eval::error::EvalError;
use crate::eval::regex::{Groups, Regex};
use crate::eval::value::{Res, Slot, Value};

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[
    Builtin::new(
        "match",
        2,
        match_,
        "The groups of a regular expression that matches a whole string, or null.",
    ),
    Builtin::new(
        "split",
        2,
        split,
        "The parts of a string between matches of a regular expression, and the groups of each match.",
    ),
];

/// Compiled expressions, by their text.
pub type Compiled = HashMap<Vec<u8>, Rc<Regex>>;

fn compiled(ev: &mut Evaluation<'_>, pattern: &[u8], span: SpanId) -> Res<Rc<Regex>> {
    if let Some(re) = ev.caches.regexes.get(pattern) {
        return Ok(re.clone());
    }
    let re = Regex::new(pattern).map_err(|_| {
        let text = format!("invalid regular expression '{}'", String::from_utf8_lossy(pattern));
        EvalError::other(text, span)
    })?;
    let re = Rc::new(re);
    ev.caches.regexes.insert(pattern.to_vec(), re.clone());
    Ok(re)
}

fn groups_value<'h>(ev: &Evaluation<'h>, text: &'h [u8], groups: &Groups) -> Value<'h> {
    let heap = ev.heap;
    let values = groups.iter().map(|g| match *g {
        Some((a, b)) => heap.string_of(&text[a..b]),
        None => Value::Null(SpanId::NONE),
    });
    heap.list(heap.slots_from(values), SpanId::NONE)
}

fn match_<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let pattern = ev.force_str_no_context(&args[0], span)?;
    let re = compiled(ev, pattern.bytes, span)?;
    let text = ev.force_str(&args[1], span)?;
    Ok(match re.match_all(text.bytes) {
        Some(groups) => groups_value(ev, text.bytes, &groups),
        None => Value::Null(SpanId::NONE),
    })
}

fn split<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let pattern = ev.force_str_no_context(&args[0], span)?;
    let re = compiled(ev, pattern.bytes, span)?;
    let s = ev.force_str(&args[1], span)?;
    let (text, heap) = (s.bytes, ev.heap);
    let mut parts = Vec::new();
    let (mut from, mut after) = (0, 0);
    while from <= text.len() {
        let Some(((start, end), groups)) = re.find(text, from) else { break };
        parts.push(heap.string_of(&text[after..start]));
        parts.push(groups_value(ev, text, &groups));
        after = end;
        // After an empty match the search goes on one byte further, as std::regex_iterator does.
        from = if end > start { end } else { end + 1 };
    }
    if parts.is_empty() {
        return Ok(heap.list(heap.slots_from(std::iter::once(Value::Str(s))), SpanId::NONE));
    }
    parts.push(heap.string_of(&text[after..]));
    Ok(heap.list(heap.slots_from(parts.into_iter()), SpanId::NONE))
}
