//! Builtins on JSON.

use super::Builtin;
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::eval::Evaluation;
use crate::eval::coerce::StringBuilder;
use crate::eval::error::EvalError;
use crate::eval::value::{Res, Slot, Value};

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[
    Builtin::new("toJSON", 1, to_json, "A value as JSON text."),
    Builtin::new("fromJSON", 1, from_json, "The value of a JSON text."),
];

fn to_json<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let mut out = StringBuilder::default();
    super::structured::to_json(ev, &args[0], span, &mut out)?;
    Ok(out.finish(ev, SpanId::NONE))
}

fn from_json<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let s = ev.force_str_no_context(&args[0], span)?;
    let mut reader = Reader { text: s.bytes, at: 0, span };
    reader.space();
    let v = reader.value(ev)?;
    reader.space();
    if reader.at != s.bytes.len() {
        return Err(reader.error("unexpected text after the value"));
    }
    Ok(v)
}

struct Reader<'h> {
    text: &'h [u8],
    at: usize,
    span: SpanId,
}

impl<'h> Reader<'h> {
    #[cold]
    fn error(&self, what: &str) -> Box<EvalError> {
        let before = &self.text[..self.at.min(self.text.len())];
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|&&b| b != b'\n').count() + 1;
        EvalError::other(
            format!("[json.exception.parse_error.101] parse error at line {line}, column {column}: {what}"),
            self.span,
        )
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, b: u8) -> Res<()> {
        self.space();
        if self.peek() == Some(b) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.error(&format!("syntax error - expected '{}'", b as char)))
        }
    }

    fn word(&mut self, word: &[u8], v: Value<'h>) -> Res<Value<'h>> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(v)
        } else {
            Err(self.error("syntax error while parsing value - invalid literal"))
        }
    }

    /// One value. Nesting is bounded by the machine stack, which the evaluation watches.
    fn value(&mut self, ev: &mut Evaluation<'h>) -> Res<Value<'h>> {
        match self.peek() {
            Some(b'n') => self.word(b"null", Value::Null(SpanId::NONE)),
            Some(b't') => self.word(b"true", Value::Bool(true)),
            Some(b'f') => self.word(b"false", Value::Bool(false)),
            Some(b'"') => {
                let bytes = self.string()?;
                Ok(ev.heap.string(&bytes))
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'[') => {
                ev.check_stack(self.span)?;
                self.array(ev)
            }
            Some(b'{') => {
                ev.check_stack(self.span)?;
                self.object(ev)
            }
            Some(_) => Err(self.error("syntax error while parsing value - invalid literal")),
            None => Err(self.error("syntax error while parsing value - unexpected end of input")),
        }
    }

    fn array(&mut self, ev: &mut Evaluation<'h>) -> Res<Value<'h>> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                self.space();
                items.push(self.value(ev)?);
                self.space();
                if self.peek() == Some(b',') {
                    self.at += 1;
                    continue;
                }
                self.expect(b']')?;
                break;
            }
        }
        Ok(ev.heap.list(ev.heap.slots_from(items.into_iter()), SpanId::NONE))
    }

    fn object(&mut self, ev: &mut Evaluation<'h>) -> Res<Value<'h>> {
        self.at += 1;
        let mut members = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                self.space();
                if self.peek() != Some(b'"') {
                    return Err(self.error("syntax error while parsing object key - expected string literal"));
                }
                let name = self.string()?;
                self.expect(b':')?;
                self.space();
                let v = self.value(ev)?;
                members.push((Symbol::intern(&name), SpanId::NONE, v));
                self.space();
                if self.peek() == Some(b',') {
                    self.at += 1;
                    continue;
                }
                self.expect(b'}')?;
                break;
            }
        }
        // Of equal names the last holds in JSON, the first in `attrs_from`.
        members.reverse();
        Ok(ev.heap.attrs_from(members))
    }

    fn number(&mut self) -> Res<Value<'h>> {
        let start = self.at;
        let digits = |r: &mut Self| {
            let from = r.at;
            while r.peek().is_some_and(|b| b.is_ascii_digit()) {
                r.at += 1;
            }
            r.at - from
        };
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let leading_zero = self.peek() == Some(b'0');
        let n = digits(self);
        if n == 0 || (leading_zero && n > 1) {
            return Err(self.error("syntax error while parsing value - invalid number"));
        }
        let mut float = false;
        if self.peek() == Some(b'.') {
            float = true;
            self.at += 1;
            if digits(self) == 0 {
                return Err(
                    self.error("syntax error while parsing value - invalid number; expected digit after '.'")
                );
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            float = true;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if digits(self) == 0 {
                return Err(self.error(
                    "syntax error while parsing value - invalid number; expected digit after exponent sign",
                ));
            }
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).unwrap_or_default();
        if !float {
            if let Ok(n) = text.parse::<i64>() {
                return Ok(Value::Int(SpanId::NONE, n));
            }
            if let Ok(n) = text.parse::<u64>() {
                return Err(EvalError::other(
                    format!("unsigned json number {n} outside of Nix integer range"),
                    self.span,
                ));
            }
        }
        match text.parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(Value::Float(SpanId::NONE, x)),
            _ => Err(EvalError::other(
                format!("[json.exception.out_of_range.406] number overflow parsing '{text}'"),
                self.span,
            )),
        }
    }

    fn string(&mut self) -> Res<Vec<u8>> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let rest = &self.text[self.at..];
            let n = rest.iter().take_while(|&&b| b != b'"' && b != b'\\' && b >= 0x20).count();
            out.extend_from_slice(&rest[..n]);
            self.at += n;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    break;
                }
                Some(b'\\') => self.escape(&mut out)?,
                Some(_) => return Err(self.error(
                    "syntax error while parsing value - invalid string: control character must be escaped",
                )),
                None => {
                    return Err(self
                        .error("syntax error while parsing value - invalid string: missing closing quote"));
                }
            }
        }
        if std::str::from_utf8(&out).is_err() {
            return Err(
                self.error("syntax error while parsing value - invalid string: ill-formed UTF-8 byte")
            );
        }
        if out.contains(&0) {
            return Err(EvalError::other(
                "input string contains a NUL byte, which is not allowed in Nix strings",
                self.span,
            ));
        }
        Ok(out)
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Res<()> {
        self.at += 1;
        let Some(b) = self.peek() else { return Err(self.error("invalid string: missing closing quote")) };
        self.at += 1;
        let c =
            match b {
                b'"' | b'\\' | b'/' => b as char,
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => self.unicode()?,
                _ => return Err(self.error(
                    "syntax error while parsing value - invalid string: forbidden character after backslash",
                )),
            };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn hex4(&mut self) -> Res<u32> {
        let digits = self.text.get(self.at..self.at + 4).and_then(|d| std::str::from_utf8(d).ok());
        let n = digits
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|d| u32::from_str_radix(d, 16).ok());
        let Some(n) = n else {
            return Err(self.error(
                "syntax error while parsing value - invalid string: '\\u' must be followed by 4 hex digits",
            ));
        };
        self.at += 4;
        Ok(n)
    }

    fn unicode(&mut self) -> Res<char> {
        let mut n = self.hex4()?;
        if (0xd800..0xdc00).contains(&n) && self.text[self.at..].starts_with(b"\\u") {
            self.at += 2;
            let low = self.hex4()?;
            if (0xdc00..0xe000).contains(&low) {
                n = 0x10000 + ((n - 0xd800) << 10) + (low - 0xdc00);
            }
        }
        char::from_u32(n).ok_or_else(|| {
            self.error("syntax error while parsing value - invalid string: surrogate must be followed by its other half")
        })
    }
}
