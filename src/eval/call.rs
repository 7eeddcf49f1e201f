//! Calling functions: lambdas, builtins, functors, partial application.

use super::Evaluation;
use super::error::{ErrorKind, EvalError};
use super::heap::{Env, Frame, Mark};
use super::step::share_element;
use super::value::{Attrs, Partial, Res, Value};
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::ir::expr::{Code, Delay, Param, Pattern};

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
            f = match f {
                Value::Lambda(id, env) => {
                    let code = self.heap.code(id);
                    let n = code.arity as usize;
                    if args.len() < n {
                        return Ok(self.partial(f, &[], args));
                    }
                    let (now, later) = args.split_at(n);
                    args = later;
                    self.run_lambda(code, env, span, |_, frame| {
                        for (i, &a) in now.iter().enumerate() {
                            frame.set(i as u32, a);
                        }
                        None
                    })?
                }
                Value::Builtin(b) => {
                    if args.len() < b.arity {
                        return Ok(self.partial(f, &[], args));
                    }
                    let (now, later) = args.split_at(b.arity);
                    args = later;
                    self.run_builtin(b, span, |frame| {
                        for (i, &a) in now.iter().enumerate() {
                            frame.set(i as u32, a);
                        }
                    })?
                }
                Value::Partial(p) => {
                    let mut all: Vec<Value<'h>> = p.args.iter().map(share_element).collect();
                    all.extend_from_slice(args);
                    return self.apply(p.func, &all, span);
                }
                Value::Attrs(a) => {
                    let Some(functor) = a.get(self.words.functor) else {
                        return Err(self.not_callable(f, span));
                    };
                    let functor = self.force(functor).map_err(|e| {
                        e.context(
                            "while calling a functor (an attribute set with a '__functor' attribute)",
                            span,
                        )
                    })?;
                    let (first, later) = args.split_at(1);
                    args = later;
                    self.call(functor, &[f, first[0]], span)?
                }
                _ => return Err(self.not_callable(f, span)),
            };
        }
        Ok(f)
    }

    fn partial(&mut self, func: Value<'h>, had: &[Value<'h>], args: &[Value<'h>]) -> Value<'h> {
        let slots = self.heap.slots(had.len() + args.len());
        for (s, &v) in slots.iter().zip(had.iter().chain(args)) {
            s.set(v);
        }
        self.heap.partial(func, slots)
    }

    /// Evaluates a call expression: function first, arguments delayed.
    #[inline]
    pub(super) fn call_delayed(
        &mut self,
        f: Value<'h>,
        args: &'h [Delay<'h>],
        frame: Frame<'h>,
        env: Env<'h>,
        block: Env<'h>,
        span: SpanId,
        begun: (Mark, u32),
    ) -> Res<Value<'h>> {
        match f {
            Value::Lambda(id, callee_env) => {
                let code = self.heap.code(id);
                if args.len() == code.arity as usize {
                    return self.run_lambda(code, callee_env, span, |ev, callee| {
                        for (i, d) in args.iter().enumerate() {
                            let v = ev.delay(d, frame, env, block);
                            callee.set(i as u32, v);
                        }
                        Some(ev.region(begun))
                    });
                }
            }
            Value::Builtin(b) if args.len() == b.arity => {
                let Some(callee) = self.frames.push(b.arity as u32) else {
                    return Err(EvalError::new(
                        ErrorKind::StackOverflow,
                        "stack overflow; max-call-depth exceeded",
                        span,
                    ));
                };
                for (i, d) in args.iter().enumerate() {
                    let v = self.delay(d, frame, env, block);
                    callee.set(i as u32, v);
                }
                let region = self.region(begun);
                let r = (b.run)(self, callee.slots(b.arity), span);
                self.frames.pop(b.arity as u32);
                return match r {
                    Ok(v) => Ok(self.heap.end_region(region, v)),
                    Err(e) => Err(builtin_trace(e, b.name, span)),
                };
            }
            _ => {}
        }
        let mut values = Vec::with_capacity(args.len());
        for d in args {
            values.push(self.delay(d, frame, env, block));
        }
        let region = self.region(begun);
        let v = self.apply(f, &values, span)?;
        Ok(self.heap.end_region(region, v))
    }

    /// The region of a call. It holds the arguments too, unless making them moved something out of
    /// the caller's frame: then the frame refers into it.
    #[inline(always)]
    fn region(&self, (mark, frame_writes): (Mark, u32)) -> Mark {
        if self.frame_writes == frame_writes { mark } else { self.heap.mark() }
    }

    fn run_builtin(
        &mut self,
        b: &'static super::builtins::Builtin,
        span: SpanId,
        fill: impl FnOnce(Frame<'h>),
    ) -> Res<Value<'h>> {
        let n = b.arity as u32;
        self.in_frame(n, span, |ev, frame| {
            fill(frame);
            (b.run)(ev, frame.slots(b.arity), span)
        })
        .map_err(|e| builtin_trace(e, b.name, span))
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
            return Err(EvalError::new(
                ErrorKind::StackOverflow,
                "stack overflow; max-call-depth exceeded",
                span,
            ));
        };
        let region = fill(self, frame);
        let bound = match &code.param {
            Param::Pattern(p) => self.bind_pattern(code, p, frame, env, span),
            _ => Ok(()),
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
        match &code.param {
            Param::Pattern(p) if given + 1 == code.arity as usize => Some(p),
            _ => None,
        }
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

/// The error for a slot that is not a set and so on is worded by the caller; this adds the frame.
#[cold]
#[inline(never)]
fn call_trace<'h>(e: Box<EvalError>, code: &'h Code<'h>, span: SpanId) -> Box<EvalError> {
    let what = match code.name {
        Some(n) => format!("while calling '{}'", n.text()),
        None => "while calling anonymous lambda".to_owned(),
    };
    let e = e.context(what, code.span);
    if span.is_none() { e } else { e.context("from call site", span) }
}

#[cold]
#[inline(never)]
fn builtin_trace(e: Box<EvalError>, name: &str, span: SpanId) -> Box<EvalError> {
    e.or_at(span).context(format!("while calling the '{name}' builtin"), span)
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
    EvalError::new(ErrorKind::Argument, text, code.span)
        .suggest(super::attrs::near(name, near.into_iter()))
        .context("from call site", span)
}

#[cold]
fn unexpected_argument(code: &Code<'_>, attrs: &Attrs<'_>, p: &Pattern<'_>, span: SpanId) -> Box<EvalError> {
    let stranger = attrs.sorted().into_iter().find(|a| !p.formals.iter().any(|f| f.name == a.name));
    let name = stranger.map(|a| a.name).unwrap_or(Symbol(0));
    let text =
        format!("function '{}' called with unexpected argument '{}'", function_name(code), name.text());
    EvalError::new(ErrorKind::Argument, text, code.span)
        .suggest(super::attrs::near(name, p.formals.iter().map(|f| f.name)))
        .context("from call site", span)
}
