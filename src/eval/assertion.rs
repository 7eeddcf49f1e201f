//! What a failed `assert a == b` says: the first difference between the two.

use super::Evaluation;
use super::error::{ErrorKind, EvalError};
use super::heap::{Env, Frame};
use super::value::{Attrs, List, Res, Slot, Value};
use crate::base::source::SpanId;
use crate::ir::expr::{BinOp, Expr, Kind};

impl<'h> Evaluation<'h> {
    /// The error of an assertion whose condition was false.
    #[cold]
    #[inline(never)]
    pub(super) fn assertion_failed(
        &mut self,
        cond: &'h Expr<'h>,
        text: &[u8],
        span: SpanId,
        frame: Frame<'h>,
        env: Env<'h>,
    ) -> Box<EvalError> {
        if let Kind::Binary(BinOp::Eq, l, r) = &cond.kind {
            let difference = self.eval(l, frame, env).and_then(|l| {
                let r = self.eval(r, frame, env)?;
                // Nix gives the comparison no place.
                self.assert_equal(&Slot::new(l), &Slot::new(r), SpanId::NONE)
            });
            match difference {
                Err(e) if e.kind == ErrorKind::Assertion => {
                    let what = format!(
                        "while evaluating the condition of the assertion '{}'",
                        String::from_utf8_lossy(text)
                    );
                    return e.context(what, span);
                }
                Err(e) => return e,
                Ok(()) => {}
            }
        }
        let message = [b"assertion '", text, b"' failed"].concat();
        EvalError::new(ErrorKind::Assertion, message, span)
    }

    /// Fails where the two differ; goes through them as [`Evaluation::equal`] does.
    fn assert_equal(&mut self, a: &Slot<'h>, b: &Slot<'h>, span: SpanId) -> Res<()> {
        self.nested(span, |ev| ev.assert_equal_inside(a, b, span))
    }

    fn assert_equal_inside(&mut self, a: &Slot<'h>, b: &Slot<'h>, span: SpanId) -> Res<()> {
        let (x, y) = (self.force(a)?, self.force(b)?);
        if super::compare::same_cell(a, b) || super::compare::same_set(x, y) {
            return Ok(());
        }
        let number = |v| matches!(v, Value::Int(..) | Value::Float(..));
        match (x, y) {
            (x, y) if number(x) && number(y) && type_changes(x, y) => self.differ_with(x, y, "with", span),
            (Value::Float(..), Value::Float(..)) => self.differ_with(x, y, "with", span),
            (x, y) if type_changes(x, y) => Err(self.of_other_type(x, y)),
            (Value::Int(_, p), Value::Int(_, q)) if p != q => {
                let text = format!("an integer with value '{p}' is not equal to an integer with value '{q}'");
                Err(failed(text))
            }
            (Value::Bool(p), Value::Bool(q)) if p != q => Err(self.unlike("boolean", x, y)),
            (Value::Str(p), Value::Str(q)) if p.bytes != q.bytes => Err(self.unlike("string", x, y)),
            (Value::Path(p), Value::Path(q)) if p.bytes != q.bytes => Err(self.unlike("path", x, y)),
            (Value::List(p), Value::List(q)) => self.assert_lists(p, q, span),
            (Value::Attrs(p), Value::Attrs(q)) => self.assert_sets(p, q, span),
            (Value::Lambda(..) | Value::Builtin(_) | Value::Partial(_), _) => Err(failed(
                "distinct functions and immediate comparisons of identical functions compare as unequal",
            )),
            _ => Ok(()),
        }
    }

    fn assert_lists(&mut self, p: &'h List<'h>, q: &'h List<'h>, span: SpanId) -> Res<()> {
        if p.items.len() != q.items.len() {
            let mut text = format!(
                "list of size '{}' is not equal to list of size '{}', left hand side is '",
                p.items.len(),
                q.items.len()
            )
            .into_bytes();
            text.extend_from_slice(&self.preview(Value::List(p)));
            text.extend_from_slice(b"', right hand side is '");
            text.extend_from_slice(&self.preview(Value::List(q)));
            text.push(b'\'');
            return Err(failed(text));
        }
        for (i, (a, b)) in p.items.iter().zip(q.items).enumerate() {
            self.assert_equal(a, b, span)
                .map_err(|e| e.context(format!("while comparing list element {i}"), span))?;
        }
        Ok(())
    }

    fn assert_sets(&mut self, p: &'h Attrs<'h>, q: &'h Attrs<'h>, span: SpanId) -> Res<()> {
        let (x, y) = (Value::Attrs(p), Value::Attrs(q));
        if self.is_derivation(x)? && self.is_derivation(y)? {
            let out = self.words.out_path;
            if let (Some(a), Some(b)) = (p.get(out), q.get(out)) {
                return self
                    .assert_equal(a, b, span)
                    .map_err(|e| e.context("while comparing a derivation by its 'outPath' attribute", span));
            }
        }
        if p.len() != q.len() {
            return Err(self.sentence(
                b"attribute names of attribute set '",
                x,
                b"' differs from attribute set '",
                y,
            ));
        }
        for (a, b) in p.sorted().into_iter().zip(q.sorted()) {
            if a.name != b.name {
                let (name, before, between) = match q.get(a.name) {
                    None => (a.name, "is contained in", "', but not in '"),
                    Some(_) => (b.name, "is missing in", "', but is contained in '"),
                };
                let before = format!("attribute name '{}' {before} '", name.text());
                return Err(self.sentence(before.as_bytes(), x, between.as_bytes(), y));
            }
            self.assert_equal(a.slot, b.slot, span).map_err(|mut e| {
                for (span, side) in [(b.span, "right"), (a.span, "left")] {
                    if !span.is_none() {
                        e = e.context(format!("where {side} hand side is"), span);
                    }
                }
                e.context(format!("while comparing attribute '{}'", a.name.text()), span)
            })?;
        }
        Ok(())
    }

    fn differ_with(&mut self, x: Value<'h>, y: Value<'h>, word: &str, span: SpanId) -> Res<()> {
        if self.equal(x, y, span)? { Ok(()) } else { Err(self.typed(x, y, word)) }
    }

    fn of_other_type(&self, x: Value<'h>, y: Value<'h>) -> Box<EvalError> {
        self.typed(x, y, "of")
    }

    /// `an integer with value '1' is not equal to a float with value '1.1'`
    fn typed(&self, x: Value<'h>, y: Value<'h>, word: &str) -> Box<EvalError> {
        let value = format!(" {word} value '").into_bytes();
        let before = [self.describe(x), value.clone()].concat();
        let between = [b"' is not equal to ".to_vec(), self.describe(y), value].concat();
        self.sentence(&before, x, &between, y)
    }

    fn unlike(&self, kind: &str, x: Value<'h>, y: Value<'h>) -> Box<EvalError> {
        let before = format!("{kind} '");
        let between = format!("' is not equal to {kind} '");
        self.sentence(before.as_bytes(), x, between.as_bytes(), y)
    }

    fn sentence(&self, before: &[u8], x: Value<'h>, between: &[u8], y: Value<'h>) -> Box<EvalError> {
        failed([before, &*self.preview(x), between, &self.preview(y), b"'"].concat())
    }
}

fn failed(text: impl AsRef<[u8]>) -> Box<EvalError> {
    EvalError::new(ErrorKind::Assertion, text, SpanId::NONE)
}

/// Whether the two are of different types; all functions are of one.
fn type_changes(x: Value<'_>, y: Value<'_>) -> bool {
    super::coerce::type_name(x) != super::coerce::type_name(y)
}
