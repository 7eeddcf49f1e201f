//! Builtins that steer evaluation: errors, forcing, tracing.

use super::Builtin;
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::eval::Evaluation;
use crate::eval::coerce::Coerce;
use crate::eval::error::{ErrorKind, EvalError};
use crate::eval::value::{Res, Slot, Value};

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[
    Builtin::new("abort", 1, abort, "Stops evaluation with a message; not caught by `tryEval`."),
    Builtin::new("throw", 1, throw, "Fails with a message; caught by `tryEval`."),
    Builtin::new(
        "tryEval",
        1,
        try_eval,
        "Evaluates shallowly; the result says whether that succeeded without `throw` or a failed assertion.",
    ),
    Builtin::new("seq", 2, seq, "Evaluates the first argument, then gives the second."),
    Builtin::new(
        "deepSeq",
        2,
        deep_seq,
        "Evaluates the first argument and all it contains, then gives the second.",
    ),
    Builtin::new("trace", 2, trace, "Prints the first argument to standard error, then gives the second."),
    Builtin::new("traceVerbose", 2, trace_verbose, "Like `trace`, when `trace-verbose` is on."),
    Builtin::new("warn", 2, warn, "Prints the first argument as a warning, then gives the second."),
    Builtin::new(
        "addErrorContext",
        2,
        add_error_context,
        "Gives the second argument; the first is added to the trace when that fails.",
    ),
    Builtin::new("break", 1, break_, "Gives its argument (there is no debugger to enter)."),
];

fn abort<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let v = ev.force(&args[0])?;
    let s = ev.coerce_to_str(v, Coerce::Strict, true, span)?;
    let text = [b"evaluation aborted with the following error message: '", s.bytes, b"'"].concat();
    Err(EvalError::new(ErrorKind::Abort, text, span))
}

fn throw<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let v = ev.force(&args[0])?;
    let s = ev.coerce_to_str(v, Coerce::Strict, true, span)?;
    Err(EvalError::new(ErrorKind::Throw, s.bytes, span))
}

fn try_eval<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], _: SpanId) -> Res<Value<'h>> {
    let (ok, value) = match ev.force(&args[0]) {
        Ok(_) => (true, ev.share(&args[0])),
        Err(e) if e.kind.catchable() => (false, Value::Bool(false)),
        Err(e) => return Err(e),
    };
    let none = SpanId::NONE;
    Ok(ev.heap.attrs_from(vec![
        (Symbol::intern("success"), none, Value::Bool(ok)),
        (Symbol::intern("value"), none, value),
    ]))
}

fn seq<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], _: SpanId) -> Res<Value<'h>> {
    ev.force(&args[0])?;
    ev.force(&args[1])
}

fn deep_seq<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    ev.force_deep(&args[0], span)?;
    ev.force(&args[1])
}

fn message<'h>(ev: &mut Evaluation<'h>, slot: &Slot<'h>, prefix: &[u8]) -> Res<()> {
    let shown = match ev.force(slot)? {
        Value::Str(s) => s.bytes.to_vec(),
        v => ev.shown_whole(v),
    };
    (ev.messages)(&[prefix, &shown].concat());
    Ok(())
}

fn trace<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], _: SpanId) -> Res<Value<'h>> {
    message(ev, &args[0], b"trace: ")?;
    ev.force(&args[1])
}

fn trace_verbose<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    if ev.settings.trace_verbose { trace(ev, args, span) } else { ev.force(&args[1]) }
}

fn warn<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    ev.force_str(&args[0], span).map_err(|e| {
        e.context("while evaluating the first argument; the message passed to builtins.warn", span)
    })?;
    message(ev, &args[0], b"evaluation warning: ")?;
    if ev.settings.abort_on_warn {
        return Err(EvalError::new(
            ErrorKind::Abort,
            "aborting to reveal stack trace of warning, as abort-on-warn is set",
            span,
        ));
    }
    ev.force(&args[1])
}

fn add_error_context<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    match ev.force(&args[1]) {
        Ok(v) => Ok(v),
        Err(e) => {
            let v = ev.force(&args[0])?;
            let s = ev.coerce_to_str(v, Coerce::Strict, false, span)?;
            Err(e.user_context(String::from_utf8_lossy(s.bytes)))
        }
    }
}

fn break_<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], _: SpanId) -> Res<Value<'h>> {
    ev.force(&args[0])
}
