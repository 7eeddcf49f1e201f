//! Delaying expressions, and evaluating at once those for which a thunk would cost as much.

use super::Evaluation;
use super::heap::{Env, Frame};
use super::value::{Attrs, Value};
use crate::base::source::SpanId;
use crate::ir::expr::{BinOp, Captures, Delay, Expr, Kind, Var};

/// Where a construct with delayed parts stands: the frame and environment of the code around it, and
/// what its parts capture of them.
#[derive(Clone, Copy)]
pub(super) struct Place<'h> {
    pub(super) frame: Frame<'h>,
    pub(super) env: Env<'h>,
    pub(super) captures: Captures<'h>,
}

/// The block of a construct, made when the first of its parts needs it.
pub(super) struct LazyBlock<'h> {
    place: Place<'h>,
    made: Option<Env<'h>>,
}

impl<'h> LazyBlock<'h> {
    /// Nothing made yet.
    #[inline(always)]
    pub(super) fn new(place: Place<'h>) -> Self {
        LazyBlock { place, made: None }
    }

    /// The block.
    #[inline(always)]
    pub(super) fn get(&mut self, ev: &mut Evaluation<'h>) -> Env<'h> {
        match self.made {
            Some(block) => block,
            None => {
                let block = ev.block(self.place.captures, self.place.frame, self.place.env);
                self.made = Some(block);
                block
            }
        }
    }
}

impl<'h> Evaluation<'h> {
    /// What stands for a delayed expression.
    #[inline(always)]
    pub(super) fn delay(
        &mut self,
        d: &Delay<'h>,
        frame: Frame<'h>,
        env: Env<'h>,
        block: Env<'h>,
    ) -> Value<'h> {
        match d {
            Delay::Thunk(code) | Delay::Cheap(code) => Value::Thunk(code.id, block),
            Delay::Var(v) => self.share_var(*v, frame, env),
            Delay::Lambda(code) => Value::Lambda(code.id, block),
            Delay::Const(e) => self.constant(e),
        }
    }

    /// The same, with a block that is made only if it is needed.
    #[inline(always)]
    pub(super) fn delay_one(
        &mut self,
        d: &Delay<'h>,
        place: Place<'h>,
        block: &mut LazyBlock<'h>,
    ) -> Value<'h> {
        match d {
            Delay::Thunk(code) | Delay::Cheap(code) => Value::Thunk(code.id, block.get(self)),
            Delay::Var(v) => self.share_var(*v, place.frame, place.env),
            Delay::Lambda(code) => Value::Lambda(code.id, block.get(self)),
            Delay::Const(e) => self.constant(e),
        }
    }

    fn constant(&mut self, e: &'h Expr<'h>) -> Value<'h> {
        match &e.kind {
            Kind::Int(n) => Value::Int(e.span, *n),
            Kind::Str(s) => Value::Str(s),
            Kind::Bool(b) => Value::Bool(*b),
            Kind::Null => Value::Null(e.span),
            Kind::Float(x) => Value::Float(e.span, *x),
            Kind::Path(p) => self.heap.path(p),
            Kind::List(_) => self.heap.list(&[], e.span),
            _ => self.heap.attrs(Attrs::flat(&[], &[], &[], e.span)),
        }
    }

    /// The environment of a construct's delayed parts.
    #[inline(always)]
    pub(super) fn block(&mut self, c: Captures<'h>, frame: Frame<'h>, env: Env<'h>) -> Env<'h> {
        match c {
            Captures::Same => env,
            Captures::New(vars) => {
                let heap = self.heap;
                Env::of(heap.row(vars.len(), |i| self.share_var(vars[i], frame, env)))
            }
        }
    }

    /// A variable's content, shared.
    #[inline(always)]
    pub(super) fn share_var(&mut self, v: Var, frame: Frame<'h>, env: Env<'h>) -> Value<'h> {
        match v {
            Var::Local(i) => self.share(frame.slot(i)),
            Var::Capture(i) => env.get(i),
            Var::Global(i) => Value::Ref(&self.globals[i as usize]),
        }
    }

    /// The value of a thunk's expression, if all it needs is evaluated already and it cannot fail.
    /// The expression knows variables as the thunk's block would hold them.
    pub(super) fn at_once(&self, e: &'h Expr<'h>, place: Place<'h>) -> Option<Value<'h>> {
        match &e.kind {
            Kind::Var(v) => self.known(*v, place),
            Kind::Int(n) => Some(Value::Int(e.span, *n)),
            Kind::Binary(op, l, r) => {
                let Value::Int(_, x) = self.at_once(l, place)? else { return None };
                let Value::Int(_, y) = self.at_once(r, place)? else { return None };
                let number = match op {
                    BinOp::Add => x.checked_add(y),
                    BinOp::Sub => x.checked_sub(y),
                    BinOp::Mul => x.checked_mul(y),
                    _ => None,
                }?;
                Some(Value::Int(SpanId::NONE, number))
            }
            Kind::Select1 { base, name, hint, .. } => match self.at_once(base, place)? {
                Value::Attrs(a) => evaluated(a.get_hinted(*name, hint)?.get()),
                _ => None,
            },
            _ => None,
        }
    }

    #[inline(always)]
    fn known(&self, v: Var, place: Place<'h>) -> Option<Value<'h>> {
        let outer = match (v, place.captures) {
            (Var::Capture(i), Captures::New(vars)) => *vars.get(i as usize)?,
            (v, _) => v,
        };
        evaluated(match (outer, place.captures) {
            (Var::Local(i), Captures::New(_)) => place.frame.get(i),
            (Var::Local(_), Captures::Same) => return None,
            (Var::Capture(i), _) => place.env.get(i),
            (Var::Global(i), _) => self.globals.get(i as usize)?.get(),
        })
    }
}

/// A value that is evaluated already, also behind a reference.
#[inline(always)]
fn evaluated(v: Value<'_>) -> Option<Value<'_>> {
    let v = match v {
        Value::Ref(slot) => slot.get(),
        v => v,
    };
    match v {
        Value::Thunk(..) | Value::Lazy(..) | Value::Ref(_) | Value::Blackhole(_) | Value::Failed(_) => None,
        v => Some(v),
    }
}
