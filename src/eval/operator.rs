//! Where and how Nix tells of an operator in a trace: at its sign, which the tree does not keep.

use super::Evaluation;
use super::error::{ErrorKind, EvalError};
use crate::base::source::SpanId;
use crate::ir::expr::{BinOp, Expr, Kind};

/// The two sides of an operator.
#[derive(Clone, Copy)]
pub(super) struct Sides<'h> {
    pub(super) left: &'h Expr<'h>,
    pub(super) right: &'h Expr<'h>,
}

impl Sides<'_> {
    /// The offset of the sign between them.
    fn sign(self) -> Option<u32> {
        let place = self.left.span.resolve()?;
        let text = place.source.text();
        Some(skip(text, place.end as usize, b')') as u32)
    }

    /// The offset at which the right side begins, with its parentheses.
    pub(super) fn right_start(self, sign: &[u8]) -> Option<u32> {
        let place = self.left.span.resolve()?;
        let at = self.sign()? as usize;
        Some(skip(place.source.text(), at + sign.len(), 0) as u32)
    }

    /// Adds that an operand was being evaluated; what Nix says of it stands at the sign.
    #[cold]
    #[inline(never)]
    pub(super) fn operand(self, e: Box<EvalError>, op: BinOp, left: bool, whole: SpanId) -> Box<EvalError> {
        let side = if left { "left" } else { "right" };
        let operand = if left { self.left } else { self.right };
        let name = match op {
            BinOp::And => "AND (&&)",
            BinOp::Or => "OR (||)",
            BinOp::Implies => "IMPL (->)",
            _ => "update (//)",
        };
        let text = format!("in the {side} operand of the {name} operator");
        if op == BinOp::Update {
            let at = position(operand);
            let e = if wrong_type(&e, operand.span) { e.without_place() } else { e };
            return e.context_at(text, at.0, at.1);
        }
        let sign = self.sign();
        let e = if wrong_type(&e, operand.span) { e.nix_at_offset(whole, sign) } else { e };
        e.context_at(text, whole, sign)
    }

    /// Adds the call that Nix makes of an arithmetic or comparing operator; other operators are only moved to
    /// their sign.
    #[cold]
    #[inline(never)]
    pub(super) fn operator(self, e: Box<EvalError>, op: BinOp, whole: SpanId) -> Box<EvalError> {
        let sign = self.sign();
        let name = match op {
            BinOp::Sub => "sub",
            BinOp::Mul => "mul",
            BinOp::Div => "div",
            BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge => "lessThan",
            BinOp::Add => {
                let at = self.right_start(b"+");
                return if e.span == whole && e.untraced() { e.nix_at_offset(whole, at) } else { e };
            }
            BinOp::Eq | BinOp::Ne => return e.unplace(whole),
            _ => return e.move_to(whole, sign),
        };
        let e = e.unplace(whole).of_builtin(whole);
        let e = e.context_at(format!("while calling the '{name}' builtin"), whole, sign);
        match op {
            BinOp::Le | BinOp::Ge => e.context_at("in the argument of the not operator", whole, sign),
            _ => e,
        }
    }

    /// The error for an operand of `+` that is not a string.
    #[cold]
    #[inline(never)]
    pub(super) fn segment(self, e: Box<EvalError>, left: bool, whole: SpanId) -> Box<EvalError> {
        let operand = if left { self.left.span } else { self.right.span };
        let at = match left {
            true => whole.resolve().map(|p| opening(p.source.text(), p.start as usize) as u32),
            false => self.right_start(b"+"),
        };
        if e.kind == ErrorKind::Type && e.placeless && e.untraced() && e.span == operand {
            return e.context_at("while evaluating a path segment", whole, at);
        }
        e.move_to(operand, at)
    }
}

/// Adds that the hole of a string was being evaluated, at its `${`.
#[cold]
#[inline(never)]
pub(super) fn hole(e: Box<EvalError>, part: SpanId) -> Box<EvalError> {
    let at = part.resolve().and_then(|p| {
        let before = &p.source.text()[..p.start as usize];
        memchr::memmem::rfind(before, b"${").map(|i| i as u32)
    });
    match e.kind {
        ErrorKind::Type if e.placeless && e.untraced() && e.span == part => {
            e.context_at("while evaluating a path segment", part, at)
        }
        _ => e.move_to(part, at),
    }
}

/// An error that says that a value is not of the type wanted, and nothing else yet.
fn wrong_type(e: &EvalError, span: SpanId) -> bool {
    e.kind == ErrorKind::Type && e.span == span && e.untraced() && e.message.starts_with(b"expected ")
}

/// The place of an expression for Nix: none for literals, the sign for operators.
fn position(e: &Expr<'_>) -> (SpanId, Option<u32>) {
    match &e.kind {
        Kind::Int(_) | Kind::Float(_) | Kind::Str(_) | Kind::Path(_) | Kind::Let(_) => (SpanId::NONE, None),
        Kind::Not(inner) => position(inner),
        Kind::HasAttr(has) => position(has.base),
        Kind::Binary(BinOp::Eq | BinOp::Ne, ..) => (SpanId::NONE, None),
        Kind::Binary(_, left, right) => (e.span, Sides { left, right }.sign()),
        Kind::List(list) if list.items.is_empty() => (SpanId::NONE, None),
        Kind::Interp { path: false, .. } => (
            e.span,
            e.span
                .resolve()
                .map(|p| p.start + u32::from(p.source.text().get(p.start as usize) == Some(&b'"'))),
        ),
        _ => (e.span, None),
    }
}

/// The first offset from `at` that is neither blank, comment nor `also`.
fn skip(text: &[u8], mut at: usize, also: u8) -> usize {
    while let Some(&c) = text.get(at) {
        match c {
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b'#' => {
                at += text[at..].iter().position(|&c| matches!(c, b'\n' | b'\r')).unwrap_or(text.len() - at)
            }
            b'/' if text.get(at + 1) == Some(&b'*') => {
                at += 2 + memchr::memmem::find(&text[at + 2..], b"*/").map_or(text.len() - at - 2, |n| n + 2);
            }
            c if c == also => at += 1,
            _ => break,
        }
    }
    at.min(text.len())
}

/// The offset of the outermost parenthesis that opens right before `at`.
fn opening(text: &[u8], mut at: usize) -> usize {
    let mut found = at;
    while at > 0 && matches!(text[at - 1], b' ' | b'\t' | b'\n' | b'\r' | b'(') {
        at -= 1;
        if text[at] == b'(' {
            found = at;
        }
    }
    found
}

impl<'h> Evaluation<'h> {
    /// A condition that a construct asks for in words of its own: `what`, at the construct.
    #[inline(always)]
    pub(super) fn condition_of(
        &mut self,
        cond: &'h Expr<'h>,
        what: &'static str,
        whole: SpanId,
        frame: super::heap::Frame<'h>,
        env: super::heap::Env<'h>,
    ) -> super::value::Res<bool> {
        match self.condition(cond, frame, env) {
            Ok(b) => Ok(b),
            Err(e) => Err(condition_trace(e, cond, what, whole)),
        }
    }
}

#[cold]
#[inline(never)]
fn condition_trace(e: Box<EvalError>, cond: &Expr<'_>, what: &'static str, whole: SpanId) -> Box<EvalError> {
    let e = if wrong_type(&e, cond.span) { e.nix_at(whole) } else { e };
    e.context(what, whole)
}

/// The error of `!`, whose place is that of its operand.
#[cold]
#[inline(never)]
pub(super) fn negated(e: Box<EvalError>, operand: &Expr<'_>) -> Box<EvalError> {
    let at = position(operand);
    let e = match wrong_type(&e, operand.span) {
        true if at.0.is_none() => e.without_place(),
        true => e.nix_at_offset(at.0, at.1),
        false => e,
    };
    e.context_at("in the argument of the not operator", at.0, at.1)
}
