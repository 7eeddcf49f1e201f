//! Evaluating expressions.

use super::Evaluation;
use super::delay::Place;
use super::error::{ErrorKind, EvalError};
use super::heap::{Env, Frame};
use super::operator::Sides;
use super::value::{Attrs, Res, Slot, Value};
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::ir::expr::{
    Assert, AttrName, AttrsExpr, BinOp, Call, Closure, Expr, HasAttr, Kind, Let, ListExpr, Select, Var, With,
};

impl<'h> Evaluation<'h> {
    /// Evaluates an expression to weak head normal form.
    pub(super) fn eval(&mut self, e: &'h Expr<'h>, frame: Frame<'h>, env: Env<'h>) -> Res<Value<'h>> {
        match &e.kind {
            Kind::Var(v) => self.var(*v, frame, env).map_err(|err| err.or_at(e.span)),
            Kind::Select1 { base, name, hint, name_span } => {
                let set = self.eval(base, frame, env)?;
                let Value::Attrs(a) = set else { return Err(self.expected("a set", set, base.span)) };
                let Some(slot) = a.get_hinted(*name, hint) else {
                    return Err(super::attrs::missing(*name, a, *name_span).nix_at(e.span));
                };
                match self.force(slot) {
                    Ok(v) => Ok(v),
                    Err(err) => Err(attr_trace(err, a, *name)),
                }
            }
            Kind::Call(Call { func, args, captures }) => {
                let region = (self.heap.mark(), self.frame_writes);
                let f = self.eval(func, frame, env)?;
                let place = Place { frame, env, captures: *captures };
                let r = match self.enter(e.span) {
                    Ok(()) => self.call_delayed(f, args, place, e.span, region),
                    Err(err) => Err(err),
                };
                self.leave();
                r
            }
            Kind::If(i) => {
                let what = "while evaluating a branch condition";
                let yes = self.condition_of(i.cond, what, e.span, frame, env)?;
                let branch = if yes { i.then } else { i.otherwise };
                self.eval(branch, frame, env)
            }
            Kind::Binary(op, l, r) => self.binary(*op, l, r, e.span, frame, env),
            Kind::Str(s) => Ok(Value::Str(s)),
            Kind::Int(n) => Ok(Value::Int(e.span, *n)),
            Kind::Bool(b) => Ok(Value::Bool(*b)),
            Kind::Null => Ok(Value::Null(e.span)),
            Kind::Lambda(Closure { code, captures }) => {
                let block = self.block(*captures, frame, env);
                Ok(Value::Lambda(code.id, block))
            }
            Kind::Attrs(a) => self.attrs_expr(a, e.span, frame, env),
            Kind::List(ListExpr { items, captures }) => {
                let block = self.block(*captures, frame, env);
                let heap = self.heap;
                let slots = heap.new_slots(items.len(), |i| self.delay(&items[i], frame, env, block));
                Ok(heap.list(slots, e.span))
            }
            Kind::Let(l) => self.let_expr(l, frame, env),
            Kind::With(With { subject, captures, slot, body }) => {
                let block = self.block(*captures, frame, env);
                let v = self.delay(subject, frame, env, block);
                frame.set(*slot, v);
                self.eval(body, frame, env)
            }
            Kind::Interp { parts, path } => self.interpolate(parts, *path, e.span, frame, env),
            Kind::Not(x) => match self.condition(x, frame, env) {
                Ok(b) => Ok(Value::Bool(!b)),
                Err(err) => Err(super::operator::negated(err, x)),
            },
            _ => self.eval_rare(e, frame, env),
        }
    }

    #[inline(never)]
    fn eval_rare(&mut self, e: &'h Expr<'h>, frame: Frame<'h>, env: Env<'h>) -> Res<Value<'h>> {
        match &e.kind {
            Kind::Float(x) => Ok(Value::Float(e.span, *x)),
            Kind::Path(p) => Ok(self.heap.path(p)),
            Kind::HomePath(rest) => self.home_path(rest, e.span),
            Kind::SearchPath(p) => self.search_path(p, e.span),
            Kind::WithVar { name, scopes } => self.with_var(*name, scopes, e.span, frame, env),
            Kind::Select(Select { base, path, default }) => {
                match self.select(base, path, default.is_some(), e.span, frame, env)? {
                    Some(v) => Ok(v),
                    None => match default {
                        Some(d) => self.eval(d, frame, env),
                        None => Err(EvalError::other("attribute is missing", e.span)),
                    },
                }
            }
            Kind::HasAttr(HasAttr { base, path }) => {
                let mut v = self.eval(base, frame, env)?;
                for (i, part) in path.iter().enumerate() {
                    let Value::Attrs(a) = v else { return Ok(Value::Bool(false)) };
                    let name = self.attr_name(part, frame, env)?.0;
                    let Some(slot) = a.get(name) else { return Ok(Value::Bool(false)) };
                    if i + 1 < path.len() {
                        v = self.force(slot)?;
                    }
                }
                Ok(Value::Bool(true))
            }
            Kind::Assert(Assert { cond, text, body }) => {
                let what = "in the condition of the assert statement";
                if !self.condition_of(cond, what, e.span, frame, env)? {
                    return Err(self.assertion_failed(cond, text, e.span, frame, env));
                }
                self.eval(body, frame, env)
            }
            Kind::Neg(x) => match self.eval(x, frame, env)? {
                Value::Int(_, n) => n.checked_neg().map(|n| Value::Int(SpanId::NONE, n)).ok_or_else(|| {
                    EvalError::other(format!("integer overflow in subtracting 0 - {n}"), e.span)
                }),
                Value::Float(_, x) => Ok(Value::Float(SpanId::NONE, 0.0 - x)),
                v => Err(self.expected("an integer", v, x.span)),
            },
            Kind::CurPos => Ok(self.position(e.span)),
            _ => Err(EvalError::other("expression of an unknown kind", e.span)),
        }
    }

    #[inline(always)]
    pub(super) fn var(&mut self, v: Var, frame: Frame<'h>, env: Env<'h>) -> Res<Value<'h>> {
        match v {
            Var::Local(i) => self.force(frame.slot(i)),
            Var::Capture(i) => match env.get(i) {
                Value::Ref(slot) => self.force(slot),
                v => Ok(v),
            },
            Var::Global(i) => self.force(&self.globals[i as usize]),
        }
    }

    #[inline(always)]
    pub(super) fn condition(&mut self, e: &'h Expr<'h>, frame: Frame<'h>, env: Env<'h>) -> Res<bool> {
        match self.eval(e, frame, env)? {
            Value::Bool(b) => Ok(b),
            v => Err(self.expected("a Boolean", v, e.span)),
        }
    }

    fn let_expr(&mut self, l: &'h Let<'h>, frame: Frame<'h>, env: Env<'h>) -> Res<Value<'h>> {
        for (i, b) in l.bindings.iter().enumerate() {
            if b.boxed {
                let slot = self.heap.slot(Value::Null(SpanId::NONE));
                slot.set(Value::Blackhole(u32::MAX));
                frame.set(l.first_slot + i as u32, Value::Ref(slot));
            }
        }
        let block = self.block(l.captures, frame, env);
        for (i, b) in l.bindings.iter().enumerate() {
            let at = l.first_slot + i as u32;
            let v = self.delay(&b.value, frame, env, block);
            match (b.boxed, frame.get(at)) {
                (true, Value::Ref(slot)) => slot.set(v),
                _ => frame.set(at, v),
            }
        }
        self.eval(l.body, frame, env)
    }

    fn attrs_expr(
        &mut self,
        a: &'h AttrsExpr<'h>,
        span: SpanId,
        frame: Frame<'h>,
        env: Env<'h>,
    ) -> Res<Value<'h>> {
        let heap = self.heap;
        let values = heap.slots(a.names.len());
        for (i, &slot) in a.rec_slots.iter().enumerate() {
            values[i].set(Value::Blackhole(u32::MAX));
            if slot != u32::MAX {
                frame.set(slot, Value::Ref(&values[i]));
            }
        }
        for i in 0..a.hidden.len() as u32 {
            frame.set(a.hidden_slot + i, Value::Ref(heap.slot(Value::Blackhole(u32::MAX))));
        }
        let block = self.block(a.captures, frame, env);
        for (i, d) in a.hidden.iter().enumerate() {
            let v = self.delay(d, frame, env, block);
            if let Value::Ref(slot) = frame.get(a.hidden_slot + i as u32) {
                slot.set(v);
            }
        }
        for (slot, d) in values.iter().zip(a.values) {
            let v = self.delay(d, frame, env, block);
            slot.set(v);
        }
        let mut set = heap.keep_attrs(Attrs::flat(a.names, a.spans, values, span));
        if let Some(i) = a.overrides {
            set = self.apply_overrides(a, set, i as usize, frame)?;
        }
        if a.dynamic.is_empty() {
            return Ok(Value::Attrs(set));
        }
        let mut extra: Vec<(Symbol, SpanId, Value<'h>)> = Vec::with_capacity(a.dynamic.len());
        for d in a.dynamic {
            let name = match self.eval(d.name, frame, env)? {
                Value::Null(_) => continue,
                Value::Str(s) => {
                    self.no_context(s, d.name.span)?;
                    s.symbol()
                }
                v => {
                    return Err(self
                        .expected("a string", v, d.name.span)
                        .nix_at(d.span)
                        .context("while evaluating the name of a dynamic attribute", d.span));
                }
            };
            let clash =
                set.find(name).map(|x| x.span).or_else(|| extra.iter().find(|x| x.0 == name).map(|x| x.1));
            if let Some(first) = clash {
                let text = format!(
                    "dynamic attribute '{}' already defined at {}",
                    name.text(),
                    super::coerce::show_place(first)
                );
                return Err(EvalError::other(text, d.span));
            }
            let v = self.delay(&d.value, frame, env, block);
            extra.push((name, d.span, v));
        }
        extra.extend(set.to_vec().iter().map(|x| (x.name, x.span, share_element(x.slot))));
        let Value::Attrs(all) = heap.attrs_from(extra) else { return Ok(Value::Attrs(set)) };
        Ok(heap.attrs(Attrs::flat(all.names, all.spans, all.values, span)))
    }

    /// `rec { __overrides = …; }`: the overriding values are seen by the siblings.
    fn apply_overrides(
        &mut self,
        a: &'h AttrsExpr<'h>,
        set: &'h Attrs<'h>,
        at: usize,
        _frame: Frame<'h>,
    ) -> Res<&'h Attrs<'h>> {
        let over = self.force_attrs(&set.values[at], a.spans[at]).map_err(|mut e| {
            e.placeless = true;
            e.context("while evaluating the `__overrides` attribute", SpanId::NONE)
        })?;
        let mut extra = Vec::new();
        for o in over.to_vec() {
            let v = share_element(o.slot);
            match a.names.binary_search(&o.name) {
                Ok(i) => set.values[i].set(v),
                Err(_) => extra.push((o.name, o.span, v)),
            }
        }
        if extra.is_empty() {
            return Ok(set);
        }
        extra.extend(set.to_vec().iter().map(|x| (x.name, x.span, Value::Ref(x.slot))));
        match self.heap.attrs_from(extra) {
            Value::Attrs(all) => {
                Ok(self.heap.keep_attrs(Attrs::flat(all.names, all.spans, all.values, set.origin)))
            }
            _ => Ok(set),
        }
    }

    /// Walks an attribute path; `None` when something on it is missing and there is a default.
    fn select(
        &mut self,
        base: &'h Expr<'h>,
        path: &'h [AttrName<'h>],
        lenient: bool,
        span: SpanId,
        frame: Frame<'h>,
        env: Env<'h>,
    ) -> Res<Option<Value<'h>>> {
        let mut v = self.eval(base, frame, env)?;
        let mut at = base.span;
        // The attribute met last, which Nix names together with the whole path.
        let mut last: Option<(&'h Attrs<'h>, Symbol)> = None;
        for part in path {
            let step = self.attr_name(part, frame, env).and_then(|(name, name_span)| {
                let Value::Attrs(a) = v else {
                    if lenient {
                        return Ok(None);
                    }
                    return Err(self.expected("a set", v, at).context("while selecting an attribute", span));
                };
                let Some(slot) = a.get(name) else {
                    if lenient {
                        return Ok(None);
                    }
                    return Err(super::attrs::missing(name, a, name_span).nix_at(span));
                };
                last = Some((a, name));
                at = name_span;
                self.force(slot).map(Some)
            });
            match step {
                Ok(Some(next)) => v = next,
                Ok(None) => return Ok(None),
                Err(e) => return Err(self.path_trace(e, last, path, frame, env)),
            }
        }
        Ok(Some(v))
    }

    #[cold]
    fn path_trace(
        &mut self,
        e: Box<EvalError>,
        last: Option<(&'h Attrs<'h>, Symbol)>,
        path: &'h [AttrName<'h>],
        frame: Frame<'h>,
        env: Env<'h>,
    ) -> Box<EvalError> {
        let Some(place) = last.and_then(|(a, name)| a.find(name)).map(|a| a.span).filter(|s| !s.is_none())
        else {
            return e;
        };
        let mut shown = Vec::new();
        for part in path {
            let name = match part {
                AttrName::Static(name, _) => Some(*name),
                AttrName::Dynamic(_) => self.attr_name(part, frame, env).ok().map(|found| found.0),
            };
            shown.push(name.map_or_else(|| "\"${…}\"".to_owned(), super::coerce::attr_text));
        }
        e.context(format!("while evaluating the attribute '{}'", shown.join(".")), place)
    }

    fn attr_name(&mut self, part: &'h AttrName<'h>, frame: Frame<'h>, env: Env<'h>) -> Res<(Symbol, SpanId)> {
        match part {
            AttrName::Static(s, span) => Ok((*s, *span)),
            AttrName::Dynamic(e) => match self.eval(e, frame, env)? {
                Value::Str(s) => {
                    self.no_context(s, e.span)?;
                    Ok((s.symbol(), e.span))
                }
                v => {
                    let e_span = e.span;
                    Err(self
                        .expected("a string", v, e_span)
                        .context("while evaluating an attribute name", e_span))
                }
            },
        }
    }

    fn with_var(
        &mut self,
        name: Symbol,
        scopes: &'h [Var],
        span: SpanId,
        frame: Frame<'h>,
        env: Env<'h>,
    ) -> Res<Value<'h>> {
        for &scope in scopes {
            let a = match self.var(scope, frame, env)? {
                Value::Attrs(a) => a,
                v => {
                    return Err(self
                        .expected("a set", v, span)
                        .context("while evaluating the first subexpression of a with expression", span));
                }
            };
            if let Some(slot) = a.get(name) {
                return self.force(slot).map_err(|e| e.or_at(span));
            }
        }
        let mut known = Vec::new();
        for &scope in scopes {
            if let Ok(Value::Attrs(a)) = self.var(scope, frame, env) {
                known.extend(a.to_vec().iter().map(|x| x.name));
            }
        }
        let near = super::attrs::near(name, known.into_iter());
        Err(EvalError::new(ErrorKind::Undefined, format!("undefined variable '{}'", name.text()), span)
            .suggest(near))
    }

    fn binary(
        &mut self,
        op: BinOp,
        l: &'h Expr<'h>,
        r: &'h Expr<'h>,
        span: SpanId,
        frame: Frame<'h>,
        env: Env<'h>,
    ) -> Res<Value<'h>> {
        let sides = Sides { left: l, right: r };
        match op {
            BinOp::And | BinOp::Or | BinOp::Implies => {
                let first = self.condition(l, frame, env).map_err(|e| sides.operand(e, op, true, span))?;
                // What decides alone: false for `&&` and `->`, true for `||`.
                if first == (op == BinOp::Or) {
                    return Ok(Value::Bool(op != BinOp::And));
                }
                let second = self.condition(r, frame, env).map_err(|e| sides.operand(e, op, false, span))?;
                Ok(Value::Bool(second))
            }
            BinOp::Update => {
                let b = self.operand_set(r, frame, env).map_err(|e| sides.operand(e, op, false, span))?;
                let a = self.operand_set(l, frame, env).map_err(|e| sides.operand(e, op, true, span))?;
                Ok(Value::Attrs(self.update(a, b)))
            }
            BinOp::Add | BinOp::Concat | BinOp::Eq | BinOp::Ne => {
                self.binary_of_values(op, sides, span, frame, env)
            }
            _ => self.calculate(op, sides, span, frame, env).map_err(|e| sides.operator(e, op, span)),
        }
    }

    fn operand_set(&mut self, e: &'h Expr<'h>, frame: Frame<'h>, env: Env<'h>) -> Res<&'h Attrs<'h>> {
        match self.eval(e, frame, env)? {
            Value::Attrs(a) => Ok(a),
            v => Err(self.expected("a set", v, e.span)),
        }
    }

    /// The operators that Nix makes calls of builtins of.
    #[inline(always)]
    fn calculate(
        &mut self,
        op: BinOp,
        sides: Sides<'h>,
        span: SpanId,
        frame: Frame<'h>,
        env: Env<'h>,
    ) -> Res<Value<'h>> {
        let (l, r) = (sides.left, sides.right);
        match op {
            BinOp::Gt | BinOp::Le => {
                let b = self.eval(r, frame, env)?;
                let a = self.eval(l, frame, env)?;
                let less = self.less_than(b, a, span)?;
                Ok(Value::Bool(less == (op == BinOp::Gt)))
            }
            _ => {
                let a = self.eval(l, frame, env)?;
                let b = self.eval(r, frame, env)?;
                match (op, a, b) {
                    (BinOp::Sub, Value::Int(_, x), Value::Int(_, y)) if x.checked_sub(y).is_some() => {
                        Ok(Value::Int(SpanId::NONE, x.wrapping_sub(y)))
                    }
                    (BinOp::Lt, Value::Int(_, x), Value::Int(_, y)) => Ok(Value::Bool(x < y)),
                    (BinOp::Ge, Value::Int(_, x), Value::Int(_, y)) => Ok(Value::Bool(x >= y)),
                    (BinOp::Sub, ..) => self.arithmetic(Arith::Sub, a, b, span),
                    (BinOp::Mul, ..) => self.arithmetic(Arith::Mul, a, b, span),
                    (BinOp::Div, ..) => self.arithmetic(Arith::Div, a, b, span),
                    (BinOp::Lt, ..) => Ok(Value::Bool(self.less_than(a, b, span)?)),
                    _ => Ok(Value::Bool(!self.less_than(a, b, span)?)),
                }
            }
        }
    }

    /// `+`, `++`, `==` and `!=`.
    #[inline(always)]
    fn binary_of_values(
        &mut self,
        op: BinOp,
        sides: Sides<'h>,
        span: SpanId,
        frame: Frame<'h>,
        env: Env<'h>,
    ) -> Res<Value<'h>> {
        let (l, r) = (sides.left, sides.right);
        let a = self.eval(l, frame, env)?;
        if op == BinOp::Add
            && !matches!(a, Value::Int(..) | Value::Float(..) | Value::Str(_) | Value::Path(_))
        {
            return self.add_to_coerced(a, sides, span, frame, env);
        }
        let b = self.eval(r, frame, env)?;
        match (op, a, b) {
            (BinOp::Add, Value::Int(_, x), Value::Int(_, y)) if x.checked_add(y).is_some() => {
                return Ok(Value::Int(SpanId::NONE, x.wrapping_add(y)));
            }
            (BinOp::Eq, Value::Int(_, x), Value::Int(_, y)) => return Ok(Value::Bool(x == y)),
            (BinOp::Add, ..) => self.add(a, b, sides, span),
            (BinOp::Eq, ..) => self.equal(a, b, span).map(Value::Bool),
            (BinOp::Ne, ..) => self.equal(a, b, span).map(|same| Value::Bool(!same)),
            _ => self.concat(a, b, l.span, r.span, span),
        }
        .map_err(|e| sides.operator(e, op, span))
    }

    fn concat(&mut self, a: Value<'h>, b: Value<'h>, l: SpanId, r: SpanId, span: SpanId) -> Res<Value<'h>> {
        let during = |e: Box<EvalError>| {
            e.without_place().context("while evaluating one of the elements to concatenate", span)
        };
        let Value::List(x) = a else { return Err(during(self.expected("a list", a, l))) };
        let Value::List(y) = b else { return Err(during(self.expected("a list", b, r))) };
        if x.items.is_empty() {
            return Ok(b);
        }
        if y.items.is_empty() {
            return Ok(a);
        }
        Ok(self.heap.append(x, y.items, span))
    }

    /// Arithmetic of `-`, `*`, `/` and of the builtins of the same meaning.
    pub fn arithmetic(&mut self, op: Arith, a: Value<'h>, b: Value<'h>, span: SpanId) -> Res<Value<'h>> {
        match (a, b) {
            (Value::Int(_, x), Value::Int(_, y)) => {
                let (r, verb, sign) = match op {
                    Arith::Add => (x.checked_add(y), "adding", '+'),
                    Arith::Sub => (x.checked_sub(y), "subtracting", '-'),
                    Arith::Mul => (x.checked_mul(y), "multiplying", '*'),
                    Arith::Div if y == 0 => return Err(EvalError::other("division by zero", span)),
                    Arith::Div => (x.checked_div(y), "dividing", '/'),
                };
                r.map(|n| Value::Int(SpanId::NONE, n)).ok_or_else(|| {
                    EvalError::other(format!("integer overflow in {verb} {x} {sign} {y}"), span)
                })
            }
            _ => {
                // Which operand is complained of, and as what, is Nix's order of checks.
                let float = matches!(a, Value::Float(..)) || matches!(b, Value::Float(..));
                let [first, second] = op.operands(float);
                if op == Arith::Div {
                    match b {
                        Value::Int(_, 0) => return Err(EvalError::other("division by zero", span)),
                        Value::Int(..) | Value::Float(..) => {}
                        b => return Err(self.expected("a float", b, span).context(second, span)),
                    }
                }
                let wanted = if float { "a float" } else { "an integer" };
                let x = self.number(a, wanted, first, span)?;
                let y = self.number(b, wanted, second, span)?;
                let r = match op {
                    Arith::Add => x + y,
                    Arith::Sub => x - y,
                    Arith::Mul => x * y,
                    Arith::Div if y == 0.0 => return Err(EvalError::other("division by zero", span)),
                    Arith::Div => x / y,
                };
                Ok(Value::Float(SpanId::NONE, r))
            }
        }
    }

    fn number(&mut self, v: Value<'h>, wanted: &str, during: &str, span: SpanId) -> Res<f64> {
        match v {
            Value::Int(_, n) => Ok(n as f64),
            Value::Float(_, x) => Ok(x),
            v => Err(self.expected(wanted, v, span).context(during, span)),
        }
    }
}

/// Adds to the trace which attribute was evaluated, at the place where it was written.
#[cold]
#[inline(never)]
fn attr_trace(e: Box<EvalError>, set: &Attrs<'_>, name: Symbol) -> Box<EvalError> {
    match set.find(name).map(|a| a.span) {
        Some(span) if !span.is_none() => {
            let shown = super::coerce::attr_text(name);
            e.context(format!("while evaluating the attribute '{shown}'"), span)
        }
        _ => e,
    }
}

/// The arithmetic operators.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Arith {
    Add,
    Sub,
    Mul,
    Div,
}

impl Arith {
    /// What Nix says it evaluates while it looks at each operand.
    fn operands(self, float: bool) -> [&'static str; 2] {
        match self {
            Arith::Add => [
                "while evaluating the first argument of the addition",
                "while evaluating the second argument of the addition",
            ],
            Arith::Sub => [
                "while evaluating the first argument of the subtraction",
                "while evaluating the second argument of the subtraction",
            ],
            Arith::Mul if float => [
                "while evaluating the first of the multiplication",
                "while evaluating the second argument of the multiplication",
            ],
            Arith::Mul => [
                "while evaluating the first argument of the multiplication",
                "while evaluating the second argument of the multiplication",
            ],
            Arith::Div => [
                "while evaluating the first operand of the division",
                "while evaluating the second operand of the division",
            ],
        }
    }
}

/// What stands for an element of a list (a slot on the heap) in another list.
#[inline(always)]
pub fn share_element<'h>(slot: &'h Slot<'h>) -> Value<'h> {
    match slot.get() {
        v @ (Value::Null(_)
        | Value::Bool(_)
        | Value::Int(..)
        | Value::Str(_)
        | Value::Path(_)
        | Value::Attrs(_)
        | Value::Ref(_)) => v,
        _ => Value::Ref(slot),
    }
}
