//! Printing values as Nix prints them: short in messages, whole as the result of `eval`.

use std::collections::HashSet;

use super::Evaluation;
use super::coerce::is_identifier;
use super::value::{Res, Slot, Value};

/// Items and attributes that a message shows.
const PREVIEW_ITEMS: usize = 10;
/// Bytes of a string that a message shows.
const PREVIEW_STRING: usize = 1024;

impl<'h> Evaluation<'h> {
    /// A value as messages show it, without forcing anything.
    pub fn preview(&self, v: Value<'h>) -> Vec<u8> {
        let mut out = Vec::new();
        self.preview_into(v, 0, &mut PREVIEW_ITEMS.clone(), &mut out);
        out
    }

    fn preview_into(&self, v: Value<'h>, depth: usize, items: &mut usize, out: &mut Vec<u8>) {
        match settled(v) {
            // C++ Nix makes a thunk of a function inside a list or set and shows it as one.
            Value::Lambda(..) if depth > 0 => out.extend_from_slice("«thunk»".as_bytes()),
            Value::Str(s) if s.bytes.len() > PREVIEW_STRING => {
                quote(&s.bytes[..PREVIEW_STRING], out);
                out.extend_from_slice(
                    format!(" «{} bytes elided»", s.bytes.len() - PREVIEW_STRING).as_bytes(),
                );
            }
            Value::List(l) if l.items.is_empty() => out.extend_from_slice(b"[ ]"),
            Value::List(l) => {
                out.extend_from_slice(b"[ ");
                for (i, item) in l.items.iter().enumerate() {
                    if *items == 0 || depth > 10 {
                        elided(l.items.len() - i, "item", out);
                        break;
                    }
                    *items -= 1;
                    self.preview_into(item.get(), depth + 1, items, out);
                    out.push(b' ');
                }
                out.push(b']');
            }
            Value::Attrs(a) if a.is_empty() => out.extend_from_slice(b"{ }"),
            Value::Attrs(a) => {
                out.extend_from_slice(b"{ ");
                let all = a.sorted();
                for (i, attr) in all.iter().enumerate() {
                    if *items == 0 || depth > 10 {
                        elided(all.len() - i, "attribute", out);
                        break;
                    }
                    *items -= 1;
                    attr_name(attr.name.name(), out);
                    out.extend_from_slice(b" = ");
                    self.preview_into(attr.slot.get(), depth + 1, items, out);
                    out.extend_from_slice(b"; ");
                }
                out.push(b'}');
            }
            Value::Thunk(..) | Value::Lazy(..) | Value::Blackhole(_) | Value::Failed(_) => {
                out.extend_from_slice("«thunk»".as_bytes());
            }
            v @ (Value::Lambda(..) | Value::Partial(_)) => match self.lambda_code(v) {
                Some(code) => {
                    let name = code.name.map(|n| format!("{} ", n.text())).unwrap_or_default();
                    let place = super::coerce::show_place(code.span);
                    out.extend_from_slice(format!("«lambda {name}@ {place}»").as_bytes());
                }
                None => out.extend_from_slice("«partially applied primop»".as_bytes()),
            },
            Value::Builtin(b) => out.extend_from_slice(format!("«primop {}»", b.name).as_bytes()),
            v => scalar(v, out),
        }
    }

    /// A value as `nix-instantiate --eval` prints it, without forcing anything.
    pub fn print(&self, slot: &Slot<'h>, out: &mut Vec<u8>) -> Res<()> {
        self.print_into(slot, &mut HashSet::new(), out);
        Ok(())
    }

    fn print_into(&self, slot: &Slot<'h>, seen: &mut HashSet<*const ()>, out: &mut Vec<u8>) {
        match settled(slot.get()) {
            Value::List(l) => {
                if !l.items.is_empty() && !seen.insert(std::ptr::from_ref(l).cast()) {
                    return out.extend_from_slice("«repeated»".as_bytes());
                }
                out.extend_from_slice(b"[ ");
                for item in l.items {
                    self.print_into(item, seen, out);
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
                    self.print_into(attr.slot, seen, out);
                    out.extend_from_slice(b"; ");
                }
                out.push(b'}');
            }
            Value::Lambda(..) => out.extend_from_slice(b"<LAMBDA>"),
            Value::Builtin(_) => out.extend_from_slice(b"<PRIMOP>"),
            Value::Partial(p) if matches!(p.func, Value::Builtin(_)) => {
                out.extend_from_slice(b"<PRIMOP-APP>")
            }
            Value::Partial(_) => out.extend_from_slice(b"<LAMBDA>"),
            Value::Thunk(..) | Value::Lazy(..) | Value::Blackhole(_) | Value::Failed(_) => {
                out.extend_from_slice(b"<CODE>");
            }
            v => scalar(v, out),
        }
    }
}

/// The content at the end of references.
fn settled(mut v: Value<'_>) -> Value<'_> {
    while let Value::Ref(s) = v {
        v = s.get();
    }
    v
}

fn elided(n: usize, what: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("«{n} {what}{} elided» ", if n == 1 { "" } else { "s" }).as_bytes());
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
