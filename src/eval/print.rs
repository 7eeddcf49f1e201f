//! Printing values as Nix prints them: short in messages, whole as the result of `eval`.

use std::collections::HashSet;

use super::Evaluation;
use super::coerce::is_identifier;
use super::value::{Partial, Res, Slot, Value};

/// Items of lists, and attributes of sets, that a message shows.
const PREVIEW_ITEMS: usize = 10;
/// Nesting that a message shows.
const PREVIEW_DEPTH: usize = 10;
/// Bytes of a string that a message shows.
const PREVIEW_STRING: usize = 1024;

/// How much of a value is shown, and what has been so far.
#[derive(Default)]
struct Preview {
    /// Whether long strings, wide lists and sets, and deep nesting are cut.
    limited: bool,
    items: usize,
    attrs: usize,
    seen: HashSet<*const ()>,
    out: Vec<u8>,
}

impl<'h> Evaluation<'h> {
    /// A value as messages show it, without forcing anything.
    pub fn preview(&self, v: Value<'h>) -> Vec<u8> {
        self.shown(v, true)
    }

    /// A value as `builtins.trace` shows it: as much as is evaluated.
    pub fn shown_whole(&self, v: Value<'h>) -> Vec<u8> {
        self.shown(v, false)
    }

    fn shown(&self, v: Value<'h>, limited: bool) -> Vec<u8> {
        let mut preview = Preview { limited, ..Preview::default() };
        self.preview_into(&Slot::new(v), 0, &mut preview);
        preview.out
    }

    fn preview_into(&self, slot: &Slot<'h>, depth: usize, p: &mut Preview) {
        let slot = end(slot);
        match slot.get() {
            // C++ Nix makes a thunk of a function inside a list or set and shows it as one.
            Value::Lambda(..) if depth > 0 => p.out.extend_from_slice("«thunk»".as_bytes()),
            Value::Str(s) if p.limited && s.bytes.len() > PREVIEW_STRING => {
                quote(&s.bytes[..PREVIEW_STRING], &mut p.out);
                let elided = format!(" «{} elided»", count(s.bytes.len() - PREVIEW_STRING, "byte"));
                p.out.extend_from_slice(elided.as_bytes());
            }
            Value::List(l) => {
                if !l.items.is_empty() && !p.seen.insert(std::ptr::from_ref(slot).cast()) {
                    return p.out.extend_from_slice("«repeated»".as_bytes());
                }
                if p.limited && depth >= PREVIEW_DEPTH {
                    return p.out.extend_from_slice(b"[ ... ]");
                }
                p.out.extend_from_slice(b"[ ");
                for (i, item) in l.items.iter().enumerate() {
                    if p.limited && p.items >= PREVIEW_ITEMS {
                        let elided = format!("«{} elided» ", count(l.items.len() - i, "item"));
                        p.out.extend_from_slice(elided.as_bytes());
                        break;
                    }
                    self.preview_into(item, depth + 1, p);
                    p.out.push(b' ');
                    p.items += 1;
                }
                p.out.push(b']');
            }
            Value::Attrs(a) => {
                // All empty sets are one to Nix.
                let set = if a.is_empty() { std::ptr::null() } else { std::ptr::from_ref(a).cast() };
                if !p.seen.insert(set) {
                    return p.out.extend_from_slice("«repeated»".as_bytes());
                }
                if p.limited && depth >= PREVIEW_DEPTH {
                    return p.out.extend_from_slice(b"{ ... }");
                }
                p.out.extend_from_slice(b"{ ");
                let mut all = a.sorted();
                if p.limited {
                    // What says the most about a set comes first.
                    all.sort_by_key(|a| !matches!(a.name.name(), b"type" | b"_type"));
                }
                for (i, attr) in all.iter().enumerate() {
                    if p.limited && p.attrs >= PREVIEW_ITEMS {
                        let elided = format!("«{} elided» ", count(all.len() - i, "attribute"));
                        p.out.extend_from_slice(elided.as_bytes());
                        break;
                    }
                    attr_name(attr.name.name(), &mut p.out);
                    p.out.extend_from_slice(b" = ");
                    self.preview_into(attr.slot, depth + 1, p);
                    p.out.extend_from_slice(b"; ");
                    p.attrs += 1;
                }
                p.out.push(b'}');
            }
            Value::Thunk(..) | Value::Lazy(..) | Value::Failed(_) => {
                p.out.extend_from_slice("«thunk»".as_bytes());
            }
            Value::Blackhole(_) => p.out.extend_from_slice("«potential infinite recursion»".as_bytes()),
            v @ (Value::Lambda(..) | Value::Partial(_)) => match (self.lambda_code(v), v) {
                (Some(code), _) => {
                    let name = code.name.map(|n| format!("{} ", n.text())).unwrap_or_default();
                    let place = super::coerce::show_place(code.span);
                    p.out.extend_from_slice(format!("«lambda {name}@ {place}»").as_bytes());
                }
                (None, Value::Partial(Partial { func: Value::Builtin(b), .. })) => {
                    let text = format!("«partially applied primop {}»", b.name);
                    p.out.extend_from_slice(text.as_bytes());
                }
                _ => p.out.extend_from_slice("«partially applied primop»".as_bytes()),
            },
            Value::Builtin(b) => p.out.extend_from_slice(format!("«primop {}»", b.name).as_bytes()),
            v => scalar(v, &mut p.out),
        }
    }

    /// A value as `nix-instantiate --eval --strict` prints it, without forcing anything.
    pub fn print(&self, slot: &Slot<'h>, out: &mut Vec<u8>) -> Res<()> {
        self.print_into(slot, false, &mut HashSet::new(), out);
        Ok(())
    }

    /// A value as `nix-instantiate --eval` prints it: what it holds need not be evaluated.
    pub fn print_lazily(&self, slot: &Slot<'h>, out: &mut Vec<u8>) -> Res<()> {
        match end(slot).get() {
            Value::Lambda(..) => out.extend_from_slice(b"<LAMBDA>"),
            _ => self.print_into(slot, true, &mut HashSet::new(), out),
        }
        Ok(())
    }

    /// With `lazy`, functions written inside of a list or set count as not evaluated: to C++ Nix they
    /// are not.
    fn print_into(&self, slot: &Slot<'h>, lazy: bool, seen: &mut HashSet<*const ()>, out: &mut Vec<u8>) {
        let slot = end(slot);
        match slot.get() {
            // As with Nix, a list is the same one when its cell is; a set wherever it is copied to.
            Value::List(l) => {
                if !l.items.is_empty() && !seen.insert(std::ptr::from_ref(slot).cast()) {
                    return out.extend_from_slice("«repeated»".as_bytes());
                }
                out.extend_from_slice(b"[ ");
                for item in l.items {
                    self.print_into(item, lazy, seen, out);
                    out.push(b' ');
                }
                out.push(b']');
            }
            Value::Attrs(a) => {
                if !a.is_empty() && !seen.insert(std::ptr::from_ref(a).cast()) {
                    return out.extend_from_slice("«repeated»".as_bytes());
                }
                out.extend_from_slice(b"{ ");
                for attr in a.sorted() {
                    attr_name(attr.name.name(), out);
                    out.extend_from_slice(b" = ");
                    self.print_into(attr.slot, lazy, seen, out);
                    out.extend_from_slice(b"; ");
                }
                out.push(b'}');
            }
            Value::Lambda(..) if lazy => out.extend_from_slice(b"<CODE>"),
            Value::Lambda(..) => out.extend_from_slice(b"<LAMBDA>"),
            Value::Builtin(_) => out.extend_from_slice(b"<PRIMOP>"),
            Value::Partial(p) if matches!(p.func, Value::Builtin(_)) => {
                out.extend_from_slice(b"<PRIMOP-APP>")
            }
            Value::Partial(_) => out.extend_from_slice(b"<LAMBDA>"),
            Value::Thunk(..) | Value::Lazy(..) | Value::Failed(_) => out.extend_from_slice(b"<CODE>"),
            Value::Blackhole(_) => out.extend_from_slice("«potential infinite recursion»".as_bytes()),
            v => scalar(v, out),
        }
    }
}

/// The cell at the end of references.
fn end<'a, 'h>(slot: &'a Slot<'h>) -> &'a Slot<'h> {
    let mut s = slot;
    while let Value::Ref(next) = s.get() {
        s = next;
    }
    s
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn attr_name(name: &[u8], out: &mut Vec<u8>) {
    if is_identifier(name) { out.extend_from_slice(name) } else { quote(name, out) }
}

fn scalar(v: Value<'_>, out: &mut Vec<u8>) {
    match v {
        Value::Null(_) => out.extend_from_slice(b"null"),
        Value::Bool(b) => out.extend_from_slice(if b { b"true" } else { b"false" }),
        Value::Int(_, n) => out.extend_from_slice(n.to_string().as_bytes()),
        Value::Float(_, x) => out.extend_from_slice(short_float(x).as_bytes()),
        Value::Str(s) => quote(s.bytes, out),
        Value::Path(p) => out.extend_from_slice(p.bytes),
        _ => {}
    }
}

/// A string literal with these bytes.
pub(crate) fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for (i, &b) in bytes.iter().enumerate() {
        match b {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'$' if bytes.get(i + 1) == Some(&b'{') => out.extend_from_slice(b"\\$"),
            b => out.push(b),
        }
    }
    out.push(b'"');
}

/// A float as C's `%g` writes it: six significant digits.
pub(crate) fn short_float(x: f64) -> String {
    if !x.is_finite() {
        return super::coerce::fixed_float(x);
    }
    if x == 0.0 {
        return if x.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    let scientific = format!("{x:.5e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |s: &str| -> String {
        if s.contains('.') { s.trim_end_matches('0').trim_end_matches('.').to_owned() } else { s.to_owned() }
    };
    if (-4..6).contains(&exponent) {
        trim(&format!("{x:.*}", (5 - exponent).max(0) as usize))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
    }
}
