//! Conversion to strings, contexts, and short descriptions of values for messages.

use super::Evaluation;
use super::error::EvalError;
use super::heap::{Env, Frame};
use super::operator::Sides;
use super::step::Arith;
use super::value::{Res, Slot, Value};
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::ir::expr::Expr;
use crate::ir::text::{ContextElem, Str};

/// How far a conversion to a string goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Coerce {
    /// Interpolation and `+`: strings, paths and sets that stand for one.
    Strict,
    /// `toString`: numbers, booleans, null and lists too.
    More,
}

/// A string being put together, with its context.
#[derive(Default)]
pub struct StringBuilder<'h> {
    /// The bytes so far.
    pub bytes: Vec<u8>,
    /// The context so far, in any order.
    pub context: Vec<&'h ContextElem>,
}

impl<'h> StringBuilder<'h> {
    /// Appends a string.
    pub fn push(&mut self, s: &Str<'h>) {
        self.bytes.extend_from_slice(s.bytes);
        self.add_context(s.context);
    }

    /// Adds context elements.
    pub fn add_context(&mut self, c: &[&'h ContextElem]) {
        self.context.extend_from_slice(c);
    }

    /// The string value.
    pub fn finish(mut self, ev: &Evaluation<'h>, origin: SpanId) -> Value<'h> {
        let context = if self.context.is_empty() {
            &[][..]
        } else {
            self.context.sort_unstable();
            self.context.dedup();
            ev.heap.slice(&self.context)
        };
        ev.heap.string_with(&self.bytes, context, origin)
    }
}

impl<'h> Evaluation<'h> {
    /// Appends the string that a value stands for. `copy`: paths become store paths.
    pub fn coerce(
        &mut self,
        v: Value<'h>,
        how: Coerce,
        copy: bool,
        out: &mut StringBuilder<'h>,
        span: SpanId,
    ) -> Res<()> {
        match self.force_value(v)? {
            Value::Str(s) => out.push(s),
            Value::Path(p) if copy => {
                let (path, context) = super::builtins::store::copy_to_store(self, p.bytes, span)
                    .map_err(|e| e.without_place())?;
                out.bytes.extend_from_slice(path);
                out.context.push(context);
            }
            Value::Path(p) => out.bytes.extend_from_slice(p.bytes),
            Value::Attrs(a) => {
                if let Some(f) = a.get(self.words.to_string) {
                    let f = self.force(f)?;
                    let s = self.call(f, &[Value::Attrs(a)], span)?;
                    return self.nested(span, |ev| ev.coerce(s, how, copy, out, span));
                }
                let Some(p) = a.get(self.words.out_path) else {
                    return Err(self.cannot_coerce(Value::Attrs(a), span));
                };
                let p = self.force(p)?;
                return self.nested(span, |ev| ev.coerce(p, how, copy, out, span));
            }
            v if how == Coerce::Strict => return Err(self.cannot_coerce(v, span)),
            Value::Bool(true) => out.bytes.push(b'1'),
            Value::Bool(false) | Value::Null(_) => {}
            Value::Int(_, n) => out.bytes.extend_from_slice(n.to_string().as_bytes()),
            Value::Float(_, x) => out.bytes.extend_from_slice(fixed_float(x).as_bytes()),
            Value::List(l) => {
                for (i, item) in l.items.iter().enumerate() {
                    let v = self.force(item)?;
                    self.nested(span, |ev| ev.coerce(v, how, copy, out, span))?;
                    let empty = matches!(v, Value::List(l) if l.items.is_empty());
                    if i + 1 < l.items.len() && !empty {
                        out.bytes.push(b' ');
                    }
                }
            }
            v => return Err(self.cannot_coerce(v, span)),
        }
        Ok(())
    }

    /// The string that a value stands for.
    pub fn coerce_to_str(&mut self, v: Value<'h>, how: Coerce, copy: bool, span: SpanId) -> Res<&'h Str<'h>> {
        if let Value::Str(s) = v {
            return Ok(s);
        }
        let mut out = StringBuilder::default();
        self.coerce(v, how, copy, &mut out, span)?;
        match out.finish(self, SpanId::NONE) {
            Value::Str(s) => Ok(s),
            v => Err(self.cannot_coerce(v, span)),
        }
    }

    /// The absolute path that a value stands for, with the context of the string it was.
    pub fn coerce_to_path(&mut self, slot: &Slot<'h>, span: SpanId) -> Res<(Vec<u8>, &'h [&'h ContextElem])> {
        let v = self.force(slot)?;
        if let Value::Path(p) = v {
            return Ok((p.bytes.to_vec(), &[]));
        }
        let s = self.coerce_to_str(v, Coerce::Strict, false, span)?;
        if s.bytes.first() != Some(&b'/') {
            let text =
                format!("string '{}' doesn't represent an absolute path", String::from_utf8_lossy(s.bytes));
            return Err(EvalError::other(text, span));
        }
        Ok((Self::canonical(s.bytes), s.context))
    }

    /// `a + b`
    pub(super) fn add(
        &mut self,
        a: Value<'h>,
        b: Value<'h>,
        sides: Sides<'h>,
        span: SpanId,
    ) -> Res<Value<'h>> {
        let (l, r) = (sides.left.span, sides.right.span);
        if let (Value::Str(x), Value::Str(y)) = (a, b)
            && y.context.is_empty()
        {
            return Ok(self.heap.append_str(x, y, span));
        }
        match a {
            Value::Int(..) | Value::Float(..) => match (a, b) {
                (_, Value::Int(..) | Value::Float(..)) => self.arithmetic(Arith::Add, a, b, span),
                _ => {
                    let mut text = b"cannot add ".to_vec();
                    text.extend_from_slice(&self.describe(b));
                    text.extend_from_slice(if matches!(a, Value::Int(..)) {
                        b" to an integer"
                    } else {
                        b" to a float"
                    });
                    Err(EvalError::type_error(text, r).nix_at_offset(span, sides.right_start(b"+")))
                }
            },
            Value::Path(p) => {
                let s = self
                    .coerce_to_str(b, Coerce::Strict, false, r)
                    .map_err(|e| sides.segment(e, false, span))?;
                self.path_of(&[p.bytes, s.bytes], s.context, span)
            }
            _ => {
                let mut out = StringBuilder::default();
                self.coerce(a, Coerce::Strict, true, &mut out, l)
                    .map_err(|e| sides.segment(e, true, span))?;
                self.coerce(b, Coerce::Strict, true, &mut out, r)
                    .map_err(|e| sides.segment(e, false, span))?;
                self.make_room(out.bytes.len(), span)?;
                Ok(out.finish(self, span))
            }
        }
    }

    /// `a + …` where `a` must be converted: that happens, or fails, before the right side is looked at, and
    /// paths are not copied to the store.
    #[cold]
    pub(super) fn add_to_coerced(
        &mut self,
        a: Value<'h>,
        sides: Sides<'h>,
        span: SpanId,
        frame: Frame<'h>,
        env: Env<'h>,
    ) -> Res<Value<'h>> {
        let mut out = StringBuilder::default();
        let (l, r) = (sides.left, sides.right);
        self.coerce(a, Coerce::Strict, false, &mut out, l.span).map_err(|e| sides.segment(e, true, span))?;
        let b = self.eval(r, frame, env)?;
        self.coerce(b, Coerce::Strict, false, &mut out, r.span).map_err(|e| sides.segment(e, false, span))?;
        self.make_room(out.bytes.len(), span)?;
        Ok(out.finish(self, span))
    }

    fn path_of(&mut self, parts: &[&[u8]], context: &[&ContextElem], span: SpanId) -> Res<Value<'h>> {
        if !context.is_empty() {
            return Err(EvalError::other(
                "a string that refers to a store path cannot be appended to a path",
                span,
            ));
        }
        let all = parts.concat();
        Ok(self.heap.path(&Self::canonical(&all)))
    }

    pub(super) fn interpolate(
        &mut self,
        parts: &'h [&'h Expr<'h>],
        path: bool,
        span: SpanId,
        frame: Frame<'h>,
        env: Env<'h>,
    ) -> Res<Value<'h>> {
        let mut out = StringBuilder::default();
        for (i, part) in parts.iter().enumerate() {
            let v = self.eval(part, frame, env)?;
            if let (true, 0, Value::Path(p)) = (path, i, v) {
                out.bytes.extend_from_slice(p.bytes);
                continue;
            }
            self.coerce(v, Coerce::Strict, !path, &mut out, part.span)
                .map_err(|e| super::operator::hole(e, part.span))?;
        }
        if path {
            return self.path_of(&[&out.bytes], &out.context, span);
        }
        self.make_room(out.bytes.len(), span)?;
        Ok(out.finish(self, span))
    }

    #[cold]
    fn cannot_coerce(&mut self, v: Value<'h>, span: SpanId) -> Box<EvalError> {
        let mut text = b"cannot coerce ".to_vec();
        text.extend_from_slice(&self.describe(v));
        text.extend_from_slice(b" to a string");
        let shown = self.preview(v);
        if !matches!(v, Value::Lambda(..) | Value::Builtin(_) | Value::Partial(_)) || !shown.is_empty() {
            text.extend_from_slice(b": ");
            text.extend_from_slice(&shown);
        }
        let mut e = EvalError::type_error(text, span);
        e.placeless = true;
        e
    }

    /// The error for a value of a wrong type: `expected a set but found an integer: 1`.
    #[cold]
    pub fn expected(&mut self, wanted: &str, v: Value<'h>, span: SpanId) -> Box<EvalError> {
        let mut text = format!("expected {wanted} but found ").into_bytes();
        text.extend_from_slice(&self.describe(v));
        text.extend_from_slice(b": ");
        text.extend_from_slice(&self.preview(v));
        EvalError::type_error(text, span)
    }

    /// A value's type as messages name it: `a string`, `the partially applied built-in function 'map'`.
    pub fn describe(&self, v: Value<'h>) -> Vec<u8> {
        match v {
            Value::Str(s) if !s.context.is_empty() => b"a string with context".to_vec(),
            Value::Builtin(b) => format!("the built-in function '{}'", b.name).into_bytes(),
            Value::Partial(p) => match p.func {
                Value::Builtin(b) => {
                    format!("the partially applied built-in function '{}'", b.name).into_bytes()
                }
                _ => b"a function".to_vec(),
            },
            v => format!("{} {}", if matches!(v, Value::Int(..)) { "an" } else { "a" }, type_words(v))
                .replace("a null", "null")
                .into_bytes(),
        }
    }
}

fn type_words(v: Value<'_>) -> &'static str {
    match v {
        Value::Null(_) => "null",
        Value::Bool(_) => "Boolean",
        Value::Int(..) => "integer",
        Value::Float(..) => "float",
        Value::Str(_) => "string",
        Value::Path(_) => "path",
        Value::List(_) => "list",
        Value::Attrs(_) => "set",
        Value::Lambda(..) | Value::Partial(_) | Value::Builtin(_) => "function",
        _ => "thunk",
    }
}

/// What `builtins.typeOf` says.
pub fn type_name(v: Value<'_>) -> &'static str {
    match v {
        Value::Bool(_) => "bool",
        Value::Int(..) => "int",
        Value::Lambda(..) | Value::Partial(_) | Value::Builtin(_) => "lambda",
        v => type_words(v),
    }
}

/// A float as `toString` writes it: six digits after the point.
pub fn fixed_float(x: f64) -> String {
    if x.is_nan() {
        return if x.is_sign_negative() { "-nan".into() } else { "nan".into() };
    }
    if x.is_infinite() {
        return if x < 0.0 { "-inf".into() } else { "inf".into() };
    }
    format!("{x:.6}")
}

/// A context element as messages show it.
pub fn show_context(c: &ContextElem) -> String {
    let lossy = String::from_utf8_lossy;
    match c {
        ContextElem::Opaque(p) => lossy(p).into_owned(),
        ContextElem::DrvDeep(p) => format!("{} (deep)", lossy(p)),
        ContextElem::Built(..) | ContextElem::Dynamic(..) => c.encoded(),
    }
}

/// A place as messages show it: `file:line:column`.
pub fn show_place(span: SpanId) -> String {
    match span.resolve() {
        Some(p) => {
            let (line, column) = p.line_col();
            format!("{}:{line}:{column}", p.source.name())
        }
        None => "«none»:0".to_owned(),
    }
}

/// An attribute name as it is written: quoted where it is not an identifier.
pub fn attr_text(name: Symbol) -> String {
    if is_identifier(name.name()) {
        return name.text().into_owned();
    }
    let mut out = Vec::new();
    super::print::quote(name.name(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether a name can be written without quotes.
pub fn is_identifier(name: &[u8]) -> bool {
    const KEYWORDS: [&[u8]; 9] =
        [b"assert", b"else", b"if", b"in", b"inherit", b"let", b"rec", b"then", b"with"];
    let Some((&first, rest)) = name.split_first() else { return false };
    (first.is_ascii_alphabetic() || first == b'_')
        && rest.iter().all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'\'' | b'-'))
        && !KEYWORDS.contains(&name)
}
