//! Forcing: from a delayed value to its weak head normal form, in place.

use super::Evaluation;
use super::error::{ErrorKind, EvalError};
use super::heap::Frame;
use super::step::share_element;
use super::value::{Attr, Attrs, Lazy, List, Res, Slot, Value};
use crate::base::source::SpanId;
use crate::ir::text::Str;

/// Indirections followed before a chain of variables is taken for a circle.
const MAX_HOPS: u32 = 100_000;

impl<'h> Evaluation<'h> {
    /// The value in a slot, evaluated; the slot then holds it.
    #[inline(always)]
    pub fn force(&mut self, slot: &Slot<'h>) -> Res<Value<'h>> {
        match slot.get() {
            Value::Thunk(..) | Value::Lazy(..) | Value::Ref(_) | Value::Blackhole(_) | Value::Failed(_) => {
                self.force_slow(slot)
            }
            v => Ok(v),
        }
    }

    /// A value evaluated. Work on a delayed value that stands in no slot is not shared.
    #[inline]
    pub fn force_value(&mut self, v: Value<'h>) -> Res<Value<'h>> {
        match v {
            Value::Ref(slot) => self.force(slot),
            Value::Thunk(..) | Value::Lazy(..) | Value::Failed(_) | Value::Blackhole(_) => {
                let slot = Slot::new(v);
                self.force_slow(&slot)
            }
            v => Ok(v),
        }
    }

    /// Changes a slot that may be older than the code that runs now.
    #[inline(always)]
    pub(super) fn update_slot(&mut self, slot: &Slot<'h>, v: Value<'h>) {
        if !self.heap.update(slot, v) {
            self.frame_writes = self.frame_writes.wrapping_add(1);
        }
    }

    #[inline(never)]
    fn force_slow(&mut self, start: &Slot<'h>) -> Res<Value<'h>> {
        let mut slot = start;
        let mut hops = 0;
        while let Value::Ref(next) = slot.get() {
            slot = next;
            hops += 1;
            if hops > MAX_HOPS {
                return Err(infinite_recursion(SpanId::NONE));
            }
        }
        let delayed = slot.get();
        let mark = self.heap.mark();
        let result = match delayed {
            Value::Thunk(id, env) => {
                slot.set(Value::Blackhole(id));
                let code = self.heap.code(id);
                if code.frame == 0 {
                    self.eval(code.body, Frame::none(), env)
                } else {
                    self.in_frame(code.frame, code.span, |ev, frame| ev.eval(code.body, frame, env))
                }
            }
            Value::Lazy(i, lazy) => {
                slot.set(Value::Blackhole(u32::MAX));
                self.run_lazy(i, lazy)
            }
            Value::Blackhole(id) => return Err(self.black_hole(id)),
            Value::Failed(f) => return Err(Box::new(self.failures[f.index].clone())),
            v => return Ok(v),
        };
        match result {
            Ok(v) => {
                let v = self.heap.end_region(mark, v);
                self.update_slot(slot, v);
                Ok(v)
            }
            Err(e) => {
                self.remember_failure(slot, delayed, &e);
                Err(e)
            }
        }
    }

    #[cold]
    fn black_hole(&self, id: u32) -> Box<EvalError> {
        infinite_recursion(if id == u32::MAX { SpanId::NONE } else { self.heap.code(id).span })
    }

    #[cold]
    fn remember_failure(&mut self, slot: &Slot<'h>, delayed: Value<'h>, e: &EvalError) {
        if e.kind.transient() {
            slot.set(delayed);
        } else {
            let failed = self.heap.failed(self.failures.len());
            self.update_slot(slot, failed);
            self.failures.push(e.clone());
        }
    }

    /// Runs `f` with a fresh frame of `n` slots.
    #[inline(always)]
    pub(super) fn in_frame<T>(
        &mut self,
        n: u32,
        span: SpanId,
        f: impl FnOnce(&mut Self, Frame<'h>) -> Res<T>,
    ) -> Res<T> {
        let Some(frame) = self.frames.push(n) else {
            return Err(EvalError::new(
                ErrorKind::StackOverflow,
                "stack overflow; max-call-depth exceeded",
                span,
            ));
        };
        let r = self.check_stack(span).and_then(|()| f(self, frame));
        self.frames.pop(n);
        r
    }

    fn run_lazy(&mut self, i: u32, lazy: &'h Lazy<'h>) -> Res<Value<'h>> {
        match lazy {
            Lazy::Map { f, items } => {
                let x = share_element(&items[i as usize]);
                self.call_slot(f, &[x], SpanId::NONE)
            }
            Lazy::GenList { f } => self.call_slot(f, &[Value::Int(SpanId::NONE, i64::from(i))], SpanId::NONE),
            Lazy::MapAttrs { f, names, values } => {
                let name = self.heap.symbol(names[i as usize]);
                self.call_slot(f, &[name, values[i as usize]], SpanId::NONE)
            }
            Lazy::Apply { f, args } => {
                let args: Vec<_> = args.iter().map(share_element).collect();
                self.call_slot(f, &args, SpanId::NONE)
            }
            Lazy::Native { run, a, b } => run(self, i, *a, *b),
        }
    }

    fn call_slot(&mut self, f: &Slot<'h>, args: &[Value<'h>], span: SpanId) -> Res<Value<'h>> {
        let f = self.force(f)?;
        self.call(f, args, span)
    }

    /// What stands for the content of a slot elsewhere: the value itself where copying cannot be
    /// told from sharing (a list is printed as repeated only where its cell is), else a reference, to which the slot is moved if it is not on the heap.
    #[inline]
    pub fn share(&mut self, slot: &Slot<'h>) -> Value<'h> {
        match slot.get() {
            Value::Ref(target) => match target.get() {
                v @ (Value::Null(_)
                | Value::Bool(_)
                | Value::Int(..)
                | Value::Str(_)
                | Value::Path(_)
                | Value::Attrs(_)) => v,
                _ => Value::Ref(target),
            },
            v @ (Value::Null(_)
            | Value::Bool(_)
            | Value::Int(..)
            | Value::Str(_)
            | Value::Path(_)
            | Value::Attrs(_)) => v,
            v => {
                let r = Value::Ref(self.heap.slot(v));
                self.update_slot(slot, r);
                r
            }
        }
    }

    /// Forces a slot to an attribute set.
    pub fn force_attrs(&mut self, slot: &Slot<'h>, span: SpanId) -> Res<&'h Attrs<'h>> {
        match self.force(slot)? {
            Value::Attrs(a) => Ok(a),
            v => Err(self.expected("a set", v, span)),
        }
    }

    /// Forces a slot to a list.
    pub fn force_list(&mut self, slot: &Slot<'h>, span: SpanId) -> Res<&'h List<'h>> {
        match self.force(slot)? {
            Value::List(l) => Ok(l),
            v => Err(self.expected("a list", v, span)),
        }
    }

    /// Forces a slot to a string, which may have a context.
    pub fn force_str(&mut self, slot: &Slot<'h>, span: SpanId) -> Res<&'h Str<'h>> {
        match self.force(slot)? {
            Value::Str(s) => Ok(s),
            v => Err(self.expected("a string", v, span)),
        }
    }

    /// Forces a slot to a string that must not have a context.
    pub fn force_str_no_context(&mut self, slot: &Slot<'h>, span: SpanId) -> Res<&'h Str<'h>> {
        let s = self.force_str(slot, span)?;
        self.no_context(s, span)?;
        Ok(s)
    }

    /// Fails when a string refers to a store path.
    pub fn no_context(&mut self, s: &'h Str<'h>, span: SpanId) -> Res<()> {
        match s.context.first() {
            None => Ok(()),
            Some(c) => {
                let text = format!(
                    "the string '{}' is not allowed to refer to a store path (such as '{}')",
                    String::from_utf8_lossy(s.bytes),
                    c.encoded()
                );
                Err(EvalError::other(text, span))
            }
        }
    }

    /// Forces a slot to an integer.
    pub fn force_int(&mut self, slot: &Slot<'h>, span: SpanId) -> Res<i64> {
        match self.force(slot)? {
            Value::Int(_, n) => Ok(n),
            v => Err(self.expected("an integer", v, span)),
        }
    }

    /// Forces a slot to a boolean.
    pub fn force_bool(&mut self, slot: &Slot<'h>, span: SpanId) -> Res<bool> {
        match self.force(slot)? {
            Value::Bool(b) => Ok(b),
            v => Err(self.expected("a Boolean", v, span)),
        }
    }

    /// Forces a slot to something that can be called.
    pub fn force_function(&mut self, slot: &Slot<'h>, span: SpanId) -> Res<Value<'h>> {
        match self.force(slot)? {
            v @ (Value::Lambda(..) | Value::Builtin(_) | Value::Partial(_)) => Ok(v),
            Value::Attrs(a) if a.get(self.words.functor).is_some() => Ok(Value::Attrs(a)),
            v => Err(self.expected("a function", v, span)),
        }
    }

    /// Forces a value and everything in it.
    pub fn force_deep(&mut self, slot: &Slot<'h>, span: SpanId) -> Res<Value<'h>> {
        let mut seen = std::collections::HashSet::new();
        self.deep(slot, span, &mut seen)
    }

    fn deep(
        &mut self,
        slot: &Slot<'h>,
        span: SpanId,
        seen: &mut std::collections::HashSet<*const ()>,
    ) -> Res<Value<'h>> {
        let v = self.force(slot)?;
        self.nested(span, |ev| {
            match v {
                Value::List(l) if seen.insert(std::ptr::from_ref(l).cast()) => {
                    for (i, s) in l.items.iter().enumerate() {
                        ev.deep(s, span, seen).map_err(|e| {
                            e.context(format!("while evaluating list element at index {i}"), SpanId::NONE)
                        })?;
                    }
                }
                Value::Attrs(a) if seen.insert(std::ptr::from_ref(a).cast()) => {
                    let all = a.sorted();
                    for (i, attr) in all.iter().enumerate() {
                        if let Err(e) = ev.deep_attr(attr, span, seen) {
                            return Err(ev.first_written(attr, &all[i + 1..], e, span, seen));
                        }
                    }
                }
                _ => {}
            }
            Ok(v)
        })
    }

    fn deep_attr(
        &mut self,
        attr: &Attr<'h>,
        span: SpanId,
        seen: &mut std::collections::HashSet<*const ()>,
    ) -> Res<Value<'h>> {
        self.deep(attr.slot, span, seen).map_err(|e| {
            e.context(format!("while evaluating the attribute '{}'", attr.name.text()), attr.span)
        })
    }

    /// Of the errors of a set's attributes, that of the one written first. C++ Nix goes through
    /// attributes in the order in which their names were first read, which mostly is that order.
    #[cold]
    fn first_written(
        &mut self,
        failed: &Attr<'h>,
        rest: &[Attr<'h>],
        e: Box<EvalError>,
        span: SpanId,
        seen: &mut std::collections::HashSet<*const ()>,
    ) -> Box<EvalError> {
        let place = |a: &Attr<'h>| a.span.resolve().map(|p| (std::sync::Arc::as_ptr(&p.source), p.start));
        let Some(here) = place(failed).filter(|_| !e.kind.transient()) else { return e };
        let before = |a: &&Attr<'h>| place(a).is_some_and(|p| p.0 == here.0 && p.1 < here.1);
        let mut earlier: Vec<&Attr<'h>> = rest.iter().filter(before).collect();
        earlier.sort_by_key(|a| place(a).map(|p| p.1));
        earlier.into_iter().find_map(|a| self.deep_attr(a, span, seen).err()).unwrap_or(e)
    }

    /// Runs `f` one level of nesting deeper.
    #[inline(always)]
    pub fn nested<T>(&mut self, span: SpanId, f: impl FnOnce(&mut Self) -> Res<T>) -> Res<T> {
        let r = match self.enter(span) {
            Ok(()) => f(self),
            Err(e) => Err(e),
        };
        self.leave();
        r
    }
}

#[cold]
fn infinite_recursion(span: SpanId) -> Box<EvalError> {
    EvalError::new(ErrorKind::InfiniteRecursion, "infinite recursion encountered", span)
}
