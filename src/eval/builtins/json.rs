//! Builtins on JSON.

use super::json_lexer::{Lexer, Token};
use super::strings::no_nul;
use super::{Builtin, during};
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
    let s = ev
        .force_str_no_context(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.fromJSON"))?;
    let mut reader = Reader { lexer: Lexer::new(s.bytes), span };
    reader.whole(ev)
}

struct Reader<'t> {
    lexer: Lexer<'t>,
    span: SpanId,
}

impl Reader<'_> {
    #[cold]
    fn unexpected(&self, token: &Token, context: &str, expected: Option<&str>) -> Box<EvalError> {
        let e = EvalError::other(self.lexer.unexpected(token, context, expected), self.span);
        during("while decoding a JSON string")(e)
    }

    fn whole<'h>(&mut self, ev: &mut Evaluation<'h>) -> Res<Value<'h>> {
        let first = self.lexer.token();
        let v = self.value(ev, first)?;
        match self.lexer.token() {
            Token::End => Ok(v),
            other => Err(self.unexpected(&other, "value", Some("end of input"))),
        }
    }

    /// The value that begins with this token. Nesting is bounded by the machine stack, which the
    /// evaluation watches.
    fn value<'h>(&mut self, ev: &mut Evaluation<'h>, first: Token) -> Res<Value<'h>> {
        match first {
            Token::Null => Ok(Value::Null(SpanId::NONE)),
            Token::Bool(b) => Ok(Value::Bool(b)),
            Token::Str(bytes) => {
                no_nul(&bytes, self.span)?;
                Ok(ev.heap.string(&bytes))
            }
            Token::Number => self.number(),
            Token::Sign(b'[') => {
                ev.check_stack(self.span)?;
                self.array(ev)
            }
            Token::Sign(b'{') => {
                ev.check_stack(self.span)?;
                self.object(ev)
            }
            Token::Wrong(_) => Err(self.unexpected(&first, "value", None)),
            _ => Err(self.unexpected(&first, "value", Some("'[', '{', or a literal"))),
        }
    }

    fn array<'h>(&mut self, ev: &mut Evaluation<'h>) -> Res<Value<'h>> {
        let mut items = Vec::new();
        let mut token = self.lexer.token();
        while token != Token::Sign(b']') {
            items.push(self.value(ev, token)?);
            token = match self.lexer.token() {
                Token::Sign(b',') => self.lexer.token(),
                Token::Sign(b']') => break,
                other => return Err(self.unexpected(&other, "array", Some("']'"))),
            };
            if token == Token::Sign(b']') {
                return Err(self.unexpected(&token, "value", Some("'[', '{', or a literal")));
            }
        }
        Ok(ev.heap.list(ev.heap.slots_from(items.into_iter()), SpanId::NONE))
    }

    fn object<'h>(&mut self, ev: &mut Evaluation<'h>) -> Res<Value<'h>> {
        let mut members = Vec::new();
        let mut token = self.lexer.token();
        if token != Token::Sign(b'}') {
            loop {
                let Token::Str(name) = token else {
                    return Err(self.unexpected(&token, "object key", Some("string literal")));
                };
                no_nul(&name, self.span)?;
                match self.lexer.token() {
                    Token::Sign(b':') => {}
                    other => return Err(self.unexpected(&other, "object separator", Some("':'"))),
                }
                let first = self.lexer.token();
                let v = self.value(ev, first)?;
                members.push((Symbol::intern(&name), SpanId::NONE, v));
                token = match self.lexer.token() {
                    Token::Sign(b',') => self.lexer.token(),
                    Token::Sign(b'}') => break,
                    other => return Err(self.unexpected(&other, "object", Some("'}'"))),
                };
            }
        }
        // Of equal names the last holds in JSON, the first in `attrs_from`.
        members.reverse();
        Ok(ev.heap.attrs_from(members))
    }

    fn number<'h>(&self) -> Res<Value<'h>> {
        let text = self.lexer.number_text();
        if !text.contains(['.', 'e', 'E']) {
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
}
