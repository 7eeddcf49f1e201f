//! Builtins on versions and package names.

use std::cmp::Ordering;

use super::{Builtin, during};
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::eval::Evaluation;
use crate::eval::value::{Res, Slot, Value};

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[
    Builtin::new(
        "compareVersions",
        2,
        compare_versions,
        "-1, 0 or 1, as the first version is older than, equal to or newer than the second.",
    ),
    Builtin::new("splitVersion", 1, split_version, "The components of a version."),
    Builtin::new("parseDrvName", 1, parse_drv_name, "The name and the version in a package name."),
];

/// Takes the next component of a version: separators are skipped, and a component ends at one or
/// where digits meet others.
fn component<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let skip = rest.iter().take_while(|&&b| b == b'.' || b == b'-').count();
    *rest = &rest[skip..];
    let Some(first) = rest.first() else { return &[] };
    let digits = first.is_ascii_digit();
    let n = rest.iter().take_while(|&&b| b != b'.' && b != b'-' && b.is_ascii_digit() == digits).count();
    let (part, after) = rest.split_at(n);
    *rest = after;
    part
}

/// A component as the number it is; C++ Nix reads 32 bits.
fn number(part: &[u8]) -> Option<i32> {
    if part.is_empty() || !part.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(part).ok()?.parse().ok()
}

fn older(a: &[u8], b: &[u8]) -> bool {
    match (number(a), number(b)) {
        (Some(x), Some(y)) => return x < y,
        (n, m) => {
            if a.is_empty() && m.is_some() {
                return true;
            }
            if a == b"pre" && b != b"pre" {
                return true;
            }
            if b == b"pre" {
                return false;
            }
            if m.is_some() {
                return true;
            }
            if n.is_some() {
                return false;
            }
        }
    }
    a < b
}

fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    while !a.is_empty() || !b.is_empty() {
        let (x, y) = (component(&mut a), component(&mut b));
        if older(x, y) {
            return Ordering::Less;
        }
        if older(y, x) {
            return Ordering::Greater;
        }
    }
    Ordering::Equal
}

fn compare_versions<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let a = ev
        .force_str_no_context(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.compareVersions"))?;
    let b = ev
        .force_str_no_context(&args[1], span)
        .map_err(during("while evaluating the second argument passed to builtins.compareVersions"))?;
    Ok(Value::Int(SpanId::NONE, compare(a.bytes, b.bytes) as i64))
}

fn split_version<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let s = ev
        .force_str_no_context(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.splitVersion"))?;
    let mut rest = s.bytes;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let part = component(&mut rest);
        if part.is_empty() {
            break;
        }
        parts.push(ev.heap.string_of(part));
    }
    Ok(ev.heap.list(ev.heap.slots_from(parts.into_iter()), SpanId::NONE))
}

fn parse_drv_name<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let s = ev
        .force_str_no_context(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.parseDrvName"))?
        .bytes;
    let dash = s.windows(2).position(|w| w[0] == b'-' && !w[1].is_ascii_alphabetic());
    let (name, version) = match dash {
        Some(i) => (&s[..i], &s[i + 1..]),
        None => (s, &s[..0]),
    };
    let heap = ev.heap;
    Ok(heap.attrs_from(vec![
        (Symbol::intern("name"), SpanId::NONE, heap.string_of(name)),
        (Symbol::intern("version"), SpanId::NONE, heap.string_of(version)),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_order() {
        let order = ["1.0pre1", "1.0", "1.0a", "1.0.1", "1.1", "2", "10"];
        for w in order.windows(2) {
            assert_eq!(compare(w[0].as_bytes(), w[1].as_bytes()), Ordering::Less, "{w:?}");
            assert_eq!(compare(w[1].as_bytes(), w[0].as_bytes()), Ordering::Greater, "{w:?}");
        }
        assert_eq!(compare(b"4294967296", b"5"), Ordering::Less);
    }
}
