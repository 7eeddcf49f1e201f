//! The JSON text of structured attributes.

use std::collections::BTreeMap;

use crate::base::source::SpanId;
use crate::eval::Evaluation;
use crate::eval::coerce::{Coerce, StringBuilder};
use crate::eval::error::EvalError;
use crate::eval::value::{Res, Slot, Value};

/// Appends the JSON text of a value; paths are copied to the store.
pub(super) fn to_json<'h>(
    ev: &mut Evaluation<'h>,
    slot: &Slot<'h>,
    span: SpanId,
    out: &mut StringBuilder<'h>,
) -> Res<()> {
    let v = ev.force(slot)?;
    ev.nested(span, |ev| match v {
        Value::Null(_) => literal(out, "null"),
        Value::Bool(b) => literal(out, if b { "true" } else { "false" }),
        Value::Int(_, n) => literal(out, &n.to_string()),
        Value::Float(_, x) => literal(out, &json_float(x)),
        Value::List(l) => {
            out.bytes.push(b'[');
            for (i, item) in l.items.iter().enumerate() {
                if i > 0 {
                    out.bytes.push(b',');
                }
                to_json(ev, item, span, out)
                    .map_err(|e| e.context(format!("while evaluating list element at index {i}"), span))?;
            }
            literal(out, "]")
        }
        Value::Attrs(a) if a.get(ev.words.to_string).is_none() => {
            if let Some(path) = a.get(ev.words.out_path) {
                return to_json(ev, path, span, out);
            }
            out.bytes.push(b'{');
            for (i, attr) in a.sorted().into_iter().enumerate() {
                if i > 0 {
                    out.bytes.push(b',');
                }
                utf8(attr.name.name(), span)?;
                json_string(attr.name.name(), &mut out.bytes);
                out.bytes.push(b':');
                to_json(ev, attr.slot, attr.span, out).map_err(|e| {
                    e.context(format!("while evaluating attribute '{}'", attr.name.text()), attr.span)
                })?;
            }
            literal(out, "}")
        }
        Value::Str(_) | Value::Path(_) | Value::Attrs(_) => {
            let mut text = StringBuilder::default();
            ev.coerce(v, Coerce::Strict, true, &mut text, span)?;
            out.add_context(&text.context);
            utf8(&text.bytes, span)?;
            json_string(&text.bytes, &mut out.bytes);
            Ok(())
        }
        v => {
            let mut text = b"cannot convert ".to_vec();
            text.extend_from_slice(&ev.describe(v));
            text.extend_from_slice(b" to JSON");
            Err(EvalError::type_error(text, span))
        }
    })
}

fn literal(out: &mut StringBuilder<'_>, text: &str) -> Res<()> {
    out.bytes.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Fails, in the words of Nix's JSON library, if a text is not UTF-8.
fn utf8(text: &[u8], span: SpanId) -> Res<()> {
    let Err(e) = std::str::from_utf8(text) else { return Ok(()) };
    let start = e.valid_up_to();
    let what = match e.error_len() {
        None => format!("incomplete UTF-8 string; last byte: 0x{:02X}", text.last().unwrap_or(&0)),
        Some(n) => {
            // The byte that cannot follow, after the beginning of a character that could have.
            let at = if (0xc2..=0xf4).contains(&text[start]) { start + n } else { start };
            format!("invalid UTF-8 byte at index {at}: 0x{:02X}", text[at])
        }
    };
    let what = format!("JSON serialization error: [json.exception.type_error.316] {what}");
    Err(EvalError::other(what, span))
}

/// Appends a JSON string.
pub(super) fn json_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &b in text {
        match b {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            b if b < 0x20 => out.extend_from_slice(format!("\\u{b:04x}").as_bytes()),
            b => out.push(b),
        }
    }
    out.push(b'"');
}

/// The largest and smallest position of the decimal point that is written without an exponent.
const POINT: std::ops::RangeInclusive<i32> = -3..=15;

/// A float with the fewest digits that read back the same, laid out as Nix's JSON library does.
fn json_float(x: f64) -> String {
    if !x.is_finite() {
        return "null".into();
    }
    if x == 0.0 {
        return if x.is_sign_negative() { "-0.0".into() } else { "0.0".into() };
    }
    let scientific = format!("{:e}", x.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let point = exponent + 1;
    let sign = if x < 0.0 { "-" } else { "" };
    if !POINT.contains(&point) {
        let tail = if digits.len() > 1 { format!(".{}", &digits[1..]) } else { String::new() };
        let direction = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{}{tail}e{direction}{:02}", &digits[..1], exponent.abs());
    }
    if point <= 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(point.unsigned_abs() as usize));
    }
    let point = point as usize;
    if digits.len() <= point {
        return format!("{sign}{digits}{}.0", "0".repeat(point - digits.len()));
    }
    format!("{sign}{}.{}", &digits[..point], &digits[point..])
}

/// A JSON text as Nix prints it after reading it: without spaces, keys sorted.
pub(super) fn normal_json(text: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let parsed: BTreeMap<String, serde_json::Value> = serde_json::from_slice(text)?;
    let mut out = Vec::new();
    let members: Vec<_> = parsed.iter().collect();
    print_object(members, &mut out);
    Ok(out)
}

fn print_object(mut members: Vec<(&String, &serde_json::Value)>, out: &mut Vec<u8>) {
    members.sort_unstable_by_key(|m| m.0);
    out.push(b'{');
    for (i, (key, value)) in members.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json_string(key.as_bytes(), out);
        out.push(b':');
        print(value, out);
    }
    out.push(b'}');
}

fn print(v: &serde_json::Value, out: &mut Vec<u8>) {
    match v {
        serde_json::Value::Object(o) => print_object(o.iter().collect(), out),
        serde_json::Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                print(item, out);
            }
            out.push(b']');
        }
        serde_json::Value::String(s) => json_string(s.as_bytes(), out),
        serde_json::Value::Number(n) => match n.as_f64() {
            Some(x) if n.is_f64() => out.extend_from_slice(json_float(x).as_bytes()),
            _ => out.extend_from_slice(n.to_string().as_bytes()),
        },
        v => out.extend_from_slice(v.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats() {
        for (x, text) in [
            (1.0, "1.0"),
            (2.5, "2.5"),
            (1e14, "100000000000000.0"),
            (1e15, "1e+15"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (-1.25e100, "-1.25e+100"),
            (-0.0, "-0.0"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(json_float(x), text);
        }
    }

    #[test]
    fn normal_form() {
        let text = br#" { "b" : [ 1 , 2.50 , null ], "a" : { "z" : "\u00e9\n", "y" : true } } "#;
        let expected = "{\"a\":{\"y\":true,\"z\":\"é\\n\"},\"b\":[1,2.5,null]}";
        assert_eq!(normal_json(text).unwrap(), expected.as_bytes());
    }
}
