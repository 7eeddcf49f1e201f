//! Which parameters a function is sure to look at, and which expressions are cheap.
//!
//! Both together let a call evaluate an argument at once where nobody can tell the difference: the
//! function would have evaluated it in any case, and it can neither fail nor take long.

use crate::ir::expr::{BinOp, Delay, Expr, Kind, Var};

/// Nodes that a cheap expression may have.
const CHEAP: u32 = 6;

/// Whether an expression is made of few steps of arithmetic and selection.
pub(super) fn is_cheap(e: &Expr<'_>) -> bool {
    cost(e) <= CHEAP
}

fn cost(e: &Expr<'_>) -> u32 {
    match &e.kind {
        Kind::Int(_) | Kind::Var(_) => 1,
        Kind::Binary(BinOp::Add | BinOp::Sub | BinOp::Mul, l, r) => 1 + cost(l) + cost(r),
        Kind::Select1 { base, .. } => 1 + cost(base),
        _ => CHEAP + 1,
    }
}

/// The parameters (bit `i` for slot `i`, of the first 32) that evaluating this body evaluates, unless
/// it fails before.
pub(super) fn strict_parameters(body: &Expr<'_>, parameters: u32) -> u32 {
    let all = if parameters >= 32 { u32::MAX } else { (1 << parameters) - 1 };
    looked_at(body, 40) & all
}

fn looked_at(e: &Expr<'_>, depth: u32) -> u32 {
    if depth == 0 {
        return 0;
    }
    let go = |e: &Expr<'_>| looked_at(e, depth - 1);
    match &e.kind {
        Kind::Var(Var::Local(i)) if *i < 32 => 1 << i,
        Kind::Select1 { base, .. } => go(base),
        Kind::Select(s) => go(s.base),
        Kind::HasAttr(h) => go(h.base),
        Kind::Call(c) => go(c.func),
        Kind::Let(l) => go(l.body),
        Kind::With(w) => go(w.body),
        Kind::If(i) => go(i.cond) | (go(i.then) & go(i.otherwise)),
        Kind::Assert(a) => go(a.cond) | go(a.body),
        Kind::Not(x) | Kind::Neg(x) => go(x),
        Kind::Binary(BinOp::And | BinOp::Or | BinOp::Implies, l, _) => go(l),
        Kind::Binary(_, l, r) => go(l) | go(r),
        Kind::Interp { parts, .. } => parts.iter().fold(0, |all, p| all | go(p)),
        _ => 0,
    }
}

/// The same arguments, those that are cheap marked so.
pub(super) fn mark_cheap(args: &mut [Delay<'_>]) {
    for arg in args {
        if let Delay::Thunk(code) = *arg
            && code.frame == 0
            && is_cheap(code.body)
        {
            *arg = Delay::Cheap(code);
        }
    }
}
