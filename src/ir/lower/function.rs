//! Functions and their patterns.

use super::emit::Emitter;
use super::strict::strict_parameters;
use crate::base::symbol::Symbol;
use crate::ir::expr::{Captures, Closure, Code, Delay, Formal, Kind, Pattern, Var};
use crate::syntax::ast::{self, ExprKind, Span};

impl<'m> Emitter<'m, '_> {
    /// A function in strict position.
    pub(super) fn strict_lambda(
        &mut self,
        lambda: &ast::Lambda<'_>,
        span: Span,
        name: Option<Symbol>,
    ) -> Kind<'m> {
        let (captures, code) = self.group(|e| e.lambda(lambda, span, name));
        Kind::Lambda(self.arena.alloc(Closure { code, captures }))
    }

    /// The code of a function; `a: b: …` is one function of two parameters.
    pub(super) fn lambda(
        &mut self,
        lambda: &ast::Lambda<'_>,
        span: Span,
        name: Option<Symbol>,
    ) -> &'m Code<'m> {
        self.code(|e| {
            let mut names = 0;
            let mut lambda = lambda;
            let mut innermost = span;
            let body = loop {
                let slot = e.take_slot();
                let ast::Lambda { name: Some(_), pattern: None, body } = lambda else {
                    break None;
                };
                names += 1;
                e.bind(slot);
                match &body.kind {
                    ExprKind::Lambda(inner) => {
                        lambda = inner;
                        innermost = body.span;
                    }
                    _ => break Some(*body),
                }
            };
            let inner = if innermost == span { None } else { Some(e.span(innermost)) };
            let span = e.span(span);
            let inner = inner.unwrap_or(span);
            let (pattern, arity, body) = match body {
                Some(body) => (None, names, e.expr(body)),
                None => {
                    let pattern = e.pattern(lambda, names);
                    let body = match &lambda.body.kind {
                        ExprKind::Lambda(inner) => {
                            let kind = e.strict_lambda(inner, lambda.body.span, name);
                            let span = e.span(lambda.body.span);
                            e.at(span, kind)
                        }
                        _ => e.expr(lambda.body),
                    };
                    (Some(&*e.arena.alloc(pattern)), names + 1, body)
                }
            };
            let mut strict = strict_parameters(body, arity);
            if pattern.is_some() && arity <= 32 {
                strict |= 1 << (arity - 1);
            }
            Code { id: 0, frame: 0, arity, strict, pattern, body, name, span, inner }
        })
    }

    /// The pattern of a function whose argument comes in slot `slot`.
    fn pattern(&mut self, lambda: &ast::Lambda<'_>, slot: u32) -> Pattern<'m> {
        if lambda.name.is_some() {
            self.bind(slot);
        }
        let (formals, ellipsis) =
            lambda.pattern.as_ref().map_or((&[][..], false), |p| (p.formals, p.ellipsis));
        let slots: Vec<u32> = formals
            .iter()
            .map(|_| {
                let slot = self.take_slot();
                self.bind(slot);
                slot
            })
            .collect();
        let (captures, defaults): (_, Vec<Option<Delay<'m>>>) = self
            .group(|e| formals.iter().map(|f| f.default.map(|d| e.delay(d, Some(f.name.symbol)))).collect());
        let boxed = |slot| refers_to(slot, captures, defaults.iter().flatten());
        let mut written: Vec<Formal<'m>> = Vec::with_capacity(formals.len());
        for (i, formal) in formals.iter().enumerate() {
            let (slot, default) = (slots[i], defaults[i]);
            let span = self.span(formal.name.span);
            written.push(Formal { name: formal.name.symbol, span, slot, default, boxed: boxed(slot) });
        }
        written.sort_unstable_by_key(|f| f.name);
        let formals = self.arena.alloc_slice_fill_iter(written);
        let at = lambda.name.map(|_| slot);
        Pattern { formals, ellipsis, at, at_name: lambda.name.map(|n| n.symbol), captures }
    }
}

/// Whether a block or a delayed variable takes a local slot's cell.
fn refers_to<'d, 'm: 'd>(
    slot: u32,
    captures: Captures<'m>,
    mut delays: impl Iterator<Item = &'d Delay<'m>>,
) -> bool {
    let captured = matches!(captures, Captures::New(vars) if vars.contains(&Var::Local(slot)));
    captured || delays.any(|d| matches!(d, Delay::Var(Var::Local(s)) if *s == slot))
}
