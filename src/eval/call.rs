//! Calling functions: lambdas, builtins, functors, partial application.

use super::Evaluation;
use super::delay::{LazyBlock, Place};
use super::error::{ErrorKind, EvalError};
use super::heap::{Env, Frame, Mark};
use super::step::share_element;
use super::value::{Attrs, Partial, Res, Slot, Value};
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::ir::expr::{Code, Delay, Pattern};

impl<'h> Evaluation<'h> {
    /// Calls a function with arguments, which may be delayed; those that stand in no slot are shared
    /// by the callee only.
    pub fn call(&mut self, f: Value<'h>, args: &[Value<'h>], span: SpanId) -> Res<Value<'h>> {
        let mark = self.heap.mark();
        let v = self.nested(span, |ev| ev.apply(f, args, span))?;
        Ok(self.heap.end_region(mark, v))
    }

    /// [`Evaluation::call`] without counting a level.
    pub(super) fn apply(&mut self, f: Value<'h>, mut args: &[Value<'h>], span: SpanId) -> Res<Value<'h>> {
        let mut f = f;
        while !args.is_empty() {
            let (func, had): (_, &'h [Slot<'h>]) = match f {
                Value::Partial(p) => (p.func, p.args),
                f => (f, &[]),
            };
            let given = had.len() + args.len();
            f = match func {
                Value::Lambda(id, env) => {
                    let code = self.heap.code(id);
                    let n = code.arity as usize;
                    if given < n {
                        return Ok(self.partial(func, had, args.iter().copied()));
                    }
                    let (now, later) = args.split_at(n - had.len());
                    args = later;
                    self.run_lambda(code, env, span, |_, frame| {
                        fill(frame, had, now);
                        None
                    })?
                }
                Value::Builtin(b) => {
                    if given < b.arity {
                        return Ok(self.partial(func, had, args.iter().copied()));
                    }
                    let (now, later) = args.split_at(b.arity - had.len());
                    args = later;
                    self.run_builtin(b, span, |_, frame| {
                        fill(frame, had, now);
                        None
                    })?
                }
                Value::Attrs(a) => {
                    let functor = self.functor(a, f, span)?;
                    let (first, later) = args.split_at(1);
                    args = later;
                    self.call(functor, &[f, first[0]], span)?
                }
                _ => return Err(self.not_callable(f, span)),
            };
        }
        Ok(f)
    }

    fn functor(&mut self, a: &'h Attrs<'h>, f: Value<'h>, span: SpanId) -> Res<Value<'h>> {
        let Some(functor) = a.get(self.words.functor) else {
            return Err(self.not_callable(f, span));
        };
        self.force(functor).map_err(|e| {
            e.context("while calling a functor (an attribute set with a '__functor' attribute)", span)
        })
    }

    fn partial(
        &mut self,
        func: Value<'h>,
        had: &'h [Slot<'h>],
        args: impl ExactSizeIterator<Item = Value<'h>>,
    ) -> Value<'h> {
        let slots = self.heap.slots(had.len() + args.len());
        for (s, v) in slots.iter().zip(had.iter().map(share_element).chain(args)) {
            s.set(v);
        }
        self.heap.partial(func, slots)
    }

    /// Evaluates a call expression whose function is known: arguments are delayed, straight into the
    /// frame of what is called.
    #[inline]
    pub(super) fn call_delayed(
        &mut self,
        f: Value<'h>,
        args: &'h [Delay<'h>],
        place: Place<'h>,
        span: SpanId,
        begun: (Mark, u32),
    ) -> Res<Value<'h>> {
        match f {
            Value::Lambda(id, env) => {
                let code = self.heap.code(id);
                if args.len() == code.arity as usize {
                    return self.run_lambda(code, env, span, |ev, callee| {
                        ev.delay_arguments(args, code.strict, callee, place);
                        Some(ev.region(begun))
                    });
                }
            }
            Value::Builtin(b) if args.len() == b.arity => {
                return self.run_builtin(b, span, |ev, callee| {
                    ev.delay_arguments(args, 0, callee, place);
                    Some(ev.region(begun))
                });
            }
            _ => {}
        }
        self.call_uneven(f, args, place, span, begun)
    }

    /// A call of a function that takes more or fewer arguments than it is given, or has some already.
    #[inline(never)]
    fn call_uneven(
        &mut self,
        f: Value<'h>,
        mut args: &'h [Delay<'h>],
        place: Place<'h>,
        span: SpanId,
        begun: (Mark, u32),
    ) -> Res<Value<'h>> {
        let mut f = f;
        while !args.is_empty() {
            let (func, had): (_, &'h [Slot<'h>]) = match f {
                Value::Partial(p) => (p.func, p.args),
                f => (f, &[]),
            };
            let (arity, had_len) = match func {
                Value::Lambda(id, _) => (self.heap.code(id).arity as usize, had.len()),
                Value::Builtin(b) => (b.arity, had.len()),
                _ => (1, 0),
            };
            let wanted = arity - had_len;
            if args.len() < wanted {
                let mut block = LazyBlock::new(place);
                let args: Vec<_> = args.iter().map(|d| self.delay_one(d, place, &mut block)).collect();
                return Ok(self.partial(func, had, args.into_iter()));
            }
            let (now, later) = args.split_at(wanted);
            args = later;
            let last = args.is_empty();
            let fill = |ev: &mut Self, callee: Frame<'h>| {
                for (i, s) in had.iter().enumerate() {
                    callee.set(i as u32, share_element(s));
                }
                let mut block = LazyBlock::new(place);
                for (i, d) in now.iter().enumerate() {
                    callee.set((had_len + i) as u32, ev.delay_one(d, place, &mut block));
                }
                last.then(|| ev.region(begun))
            };
            f = match func {
                Value::Lambda(id, env) => self.run_lambda(self.heap.code(id), env, span, fill)?,
                Value::Builtin(b) => self.run_builtin(b, span, fill)?,
                Value::Attrs(a) => {
                    let functor = self.functor(a, f, span)?;
                    let x = self.delay_one(&now[0], place, &mut LazyBlock::new(place));
                    self.call(functor, &[f, x], span)?
                }
                _ => return Err(self.not_callable(f, span)),
            };
        }
        Ok(f)
    }

    /// Puts the arguments of a call into the frame of what is called. Those that it is sure to look
    /// at and that cost no more than a thunk would are evaluated now.
    #[inline(always)]
    fn delay_arguments(&mut self, args: &'h [Delay<'h>], strict: u32, callee: Frame<'h>, place: Place<'h>) {
        let mut block = LazyBlock::new(place);
        for (i, d) in args.iter().enumerate() {
            let v = match d {
                Delay::Cheap(code) if strict & (1 << (i & 31)) != 0 => match self.at_once(code.body, place) {
                    Some(v) => v,
                    None => Value::Thunk(code.id, block.get(self)),
                },
                d => self.delay_one(d, place, &mut block),
            };
            callee.set(i as u32, v);
        }
    }

    /// The region of a call. It holds the arguments too, unless making them moved something out of
    /// the caller's frame: then the frame refers into it.
    #[inline(always)]
    fn region(&self, (mark, frame_writes): (Mark, u32)) -> Mark {
        if self.frame_writes == frame_writes { mark } else { self.heap.mark() }
    }

    #[inline(always)]
    fn run_builtin(
        &mut self,
        b: &'static super::builtins::Builtin,
        span: SpanId,
        fill: impl FnOnce(&mut Self, Frame<'h>) -> Option<Mark>,
    ) -> Res<Value<'h>> {
        let n = b.arity as u32;
        let Some(frame) = self.frames.push(n) else {
            return Err(self.no_frame(span));
        };
        let region = fill(self, frame);
        let r = match self.check_stack(span) {
            Ok(()) => {
                let slots = frame.slots(b.arity);
                (b.run)(self, slots, span).map_err(|e| builtin_trace(e, b.name, slots, span))
            }
            Err(e) => Err(e),
        };
        self.frames.pop(n);
        match (r, region) {
            (Ok(v), Some(region)) => Ok(self.heap.end_region(region, v)),
            (Ok(v), None) => Ok(v),
            (Err(e), _) => Err(e),
        }
    }

    #[cold]
    fn no_frame(&self, span: SpanId) -> Box<EvalError> {
        EvalError::new(ErrorKind::StackOverflow, "stack overflow; max-call-depth exceeded", span)
    }

    #[inline(always)]
    fn run_lambda(
        &mut self,
        code: &'h Code<'h>,
        env: Env<'h>,
        span: SpanId,
        fill: impl FnOnce(&mut Self, Frame<'h>) -> Option<Mark>,
    ) -> Res<Value<'h>> {
        let Some(frame) = self.frames.push(code.frame) else {
            return Err(self.no_frame(span));
        };
        let region = fill(self, frame);
        let bound = match code.pattern {
            Some(p) => self.bind_pattern(code, p, frame, env, span),
            None => Ok(()),
        };
        let r = match bound {
            Ok(()) => self.eval(code.body, frame, env).map_err(|e| call_trace(e, code, span)),
            Err(e) => Err(e),
        };
        self.frames.pop(code.frame);
        match (r, region) {
            (Ok(v), Some(region)) => Ok(self.heap.end_region(region, v)),
            (r, _) => r,
        }
    }

    fn bind_pattern(
        &mut self,
        code: &'h Code<'h>,
        p: &'h Pattern<'h>,
        frame: Frame<'h>,
        env: Env<'h>,
        span: SpanId,
    ) -> Res<()> {
        let arg = frame.slot(code.arity - 1);
        let attrs = match self.force(arg) {
            Ok(Value::Attrs(a)) => a,
            Ok(v) => {
                return Err(self
                    .expected("a set", v, span)
                    .context("while evaluating the value passed for the lambda argument", span));
            }
            Err(e) => return Err(e.context("from call site", span)),
        };
        if let Some(slot) = p.at {
            frame.set(slot, Value::Attrs(attrs));
        }
        let mut found = 0;
        let mut defaults = false;
        for f in p.formals {
            match attrs.get(f.name) {
                Some(s) => {
                    found += 1;
                    frame.set(f.slot, share_element(s));
                }
                None if f.default.is_some() => {
                    defaults = true;
                    if f.boxed {
                        frame.set(f.slot, Value::Ref(self.heap.slot(Value::Blackhole(u32::MAX))));
                    }
                }
                None => return Err(missing_argument(code, f.name, attrs, p, span)),
            }
        }
        if !p.ellipsis && found != attrs.len() {
            return Err(unexpected_argument(code, attrs, p, span));
        }
        if defaults {
            let block = self.block(p.captures, frame, env);
            for f in p.formals {
                if let (None, Some(d)) = (attrs.get(f.name), f.default.as_ref()) {
                    let v = self.delay(d, frame, env, block);
                    match (f.boxed, frame.get(f.slot)) {
                        (true, Value::Ref(s)) => s.set(v),
                        _ => frame.set(f.slot, v),
                    }
                }
            }
        }
        Ok(())
    }

    #[cold]
    fn not_callable(&mut self, f: Value<'h>, span: SpanId) -> Box<EvalError> {
        let mut text = b"attempt to call something which is not a function but ".to_vec();
        text.extend_from_slice(&self.describe(f));
        text.extend_from_slice(b": ");
        text.extend_from_slice(&self.preview(f));
        EvalError::type_error(text, span)
    }

    /// The code of a user function, also when it has some arguments already.
    pub fn lambda_code(&self, v: Value<'h>) -> Option<&'h Code<'h>> {
        match v {
            Value::Lambda(id, _) => Some(self.heap.code(id)),
            Value::Partial(Partial { func: Value::Lambda(id, _), .. }) => Some(self.heap.code(*id)),
            _ => None,
        }
    }

    /// The formals of a function that takes a pattern as its next argument.
    pub fn pattern_of(&self, v: Value<'h>) -> Option<&'h Pattern<'h>> {
        let (code, given) = match v {
            Value::Lambda(id, _) => (self.heap.code(id), 0),
            Value::Partial(Partial { func: Value::Lambda(id, _), args }) => (self.heap.code(*id), args.len()),
            _ => return None,
        };
        code.pattern.filter(|_| given + 1 == code.arity as usize)
    }

    /// Calls a function, or a set with `__functor`, giving it of these arguments those that its
    /// pattern names, as `nix-instantiate --arg` does; anything else is returned as it is.
    pub fn auto_call(&mut self, v: Value<'h>, args: &[(Symbol, Value<'h>)], span: SpanId) -> Res<Value<'h>> {
        let mut f = v;
        if let Value::Attrs(a) = v
            && let Some(functor) = a.get(self.words.functor)
        {
            let functor = self.force(functor)?;
            f = self.call(functor, &[v], span)?;
            return self.auto_call(f, args, span);
        }
        let Some(p) = self.pattern_of(f) else { return Ok(f) };
        let given: Vec<_> = args
            .iter()
            .filter(|(n, _)| p.ellipsis || p.formals.iter().any(|f| f.name == *n))
            .map(|&(n, v)| (n, SpanId::NONE, v))
            .collect();
        for formal in p.formals {
            if formal.default.is_none() && !given.iter().any(|g| g.0 == formal.name) {
                let text = format!(
                    "cannot evaluate a function that has an argument without a value ('{}')\nNix attempted to evaluate a function as a top level expression; in\nthis case it must have its arguments supplied either by default\nvalues, or passed explicitly with '--arg' or '--argstr'. See\nhttps://nix.dev/manual/nix/stable/language/syntax.html#functions.",
                    formal.name.text()
                );
                return Err(EvalError::new(ErrorKind::Argument, text, formal.span));
            }
        }
        let set = self.heap.attrs_from(given);
        self.call(f, &[set], span)
    }
}

/// Puts arguments into a frame: those that a partial application has, then new ones.
#[inline(always)]
fn fill<'h>(frame: Frame<'h>, had: &'h [Slot<'h>], args: &[Value<'h>]) {
    for (i, s) in had.iter().enumerate() {
        frame.set(i as u32, share_element(s));
    }
    for (i, &a) in args.iter().enumerate() {
        frame.set((had.len() + i) as u32, a);
    }
}

/// The error for a slot that is not a set and so on is worded by the caller; this adds the frame.
#[cold]
#[inline(never)]
fn call_trace<'h>(e: Box<EvalError>, code: &'h Code<'h>, span: SpanId) -> Box<EvalError> {
    let what = match code.name {
        Some(n) => format!("while calling '{}'", n.text()),
        None => "while calling anonymous lambda".to_owned(),
    };
    let e = e.context(what, code.inner);
    if span.is_none() { e } else { e.context("from call site", span) }
}

#[cold]
#[inline(never)]
fn builtin_trace(e: Box<EvalError>, name: &str, slots: &[Slot<'_>], span: SpanId) -> Box<EvalError> {
    let e = super::builtins::arguments::trace(e.unplace(span).of_builtin(span), name, slots);
    // What `addErrorContext` adds says enough.
    if name == "addErrorContext" { e } else { e.context(format!("while calling the '{name}' builtin"), span) }
}

fn function_name(code: &Code<'_>) -> String {
    code.name.map_or_else(|| "anonymous lambda".to_owned(), |n| n.text().into_owned())
}

#[cold]
fn missing_argument(
    code: &Code<'_>,
    name: Symbol,
    attrs: &Attrs<'_>,
    p: &Pattern<'_>,
    span: SpanId,
) -> Box<EvalError> {
    let text =
        format!("function '{}' called without required argument '{}'", function_name(code), name.text());
    let known: Vec<Symbol> = p.formals.iter().map(|f| f.name).collect();
    let near = attrs.to_vec().iter().map(|a| a.name).filter(|n| !known.contains(n)).collect::<Vec<_>>();
    EvalError::new(ErrorKind::Argument, text, code.inner)
        .suggest(super::attrs::near(name, near.into_iter()))
        .context("from call site", span)
}

#[cold]
fn unexpected_argument(code: &Code<'_>, attrs: &Attrs<'_>, p: &Pattern<'_>, span: SpanId) -> Box<EvalError> {
    let stranger = attrs.sorted().into_iter().find(|a| !p.formals.iter().any(|f| f.name == a.name));
    let name = stranger.map(|a| a.name).unwrap_or(Symbol(0));
    let text =
        format!("function '{}' called with unexpected argument '{}'", function_name(code), name.text());
    EvalError::new(ErrorKind::Argument, text, code.inner)
        .suggest(super::attrs::near(name, p.formals.iter().map(|f| f.name)))
        .context("from call site", span)
}
