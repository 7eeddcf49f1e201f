//! Arithmetic builtins.

use super::Builtin;
use crate::base::source::SpanId;
use crate::eval::Evaluation;
use crate::eval::error::EvalError;
use crate::eval::step::Arith;
use crate::eval::value::{Res, Slot, Value};

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[
    Builtin::new("add", 2, add, "The sum of two numbers."),
    Builtin::new("sub", 2, sub, "The difference of two numbers."),
    Builtin::new("mul", 2, mul, "The product of two numbers."),
    Builtin::new("div", 2, div, "The quotient of two numbers; of integers, rounded towards zero."),
    Builtin::new("lessThan", 2, less_than, "Whether the first value is less than the second."),
    Builtin::new("bitAnd", 2, bit_and, "The bitwise and of two integers."),
    Builtin::new("bitOr", 2, bit_or, "The bitwise or of two integers."),
    Builtin::new("bitXor", 2, bit_xor, "The bitwise exclusive or of two integers."),
    Builtin::new("ceil", 1, ceil, "The least integer that is not less than a number."),
    Builtin::new("floor", 1, floor, "The greatest integer that is not greater than a number."),
];

fn arith<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId, op: Arith) -> Res<Value<'h>> {
    let a = ev.force(&args[0])?;
    let b = ev.force(&args[1])?;
    ev.arithmetic(op, a, b, span)
}

fn add<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    arith(ev, args, span, Arith::Add)
}

fn sub<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    arith(ev, args, span, Arith::Sub)
}

fn mul<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    arith(ev, args, span, Arith::Mul)
}

fn div<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    ev.force(&args[0])?;
    let b = ev.force(&args[1])?;
    if matches!(b, Value::Int(_, 0)) || matches!(b, Value::Float(_, x) if x == 0.0) {
        return Err(EvalError::other("division by zero", span));
    }
    arith(ev, args, span, Arith::Div)
}

fn less_than<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let a = ev.force(&args[0])?;
    let b = ev.force(&args[1])?;
    Ok(Value::Bool(ev.less_than(a, b, span)?))
}

fn bits<'h>(
    ev: &mut Evaluation<'h>,
    args: &[Slot<'h>],
    span: SpanId,
    f: fn(i64, i64) -> i64,
) -> Res<Value<'h>> {
    let a = ev.force_int(&args[0], span)?;
    let b = ev.force_int(&args[1], span)?;
    Ok(Value::Int(SpanId::NONE, f(a, b)))
}

fn bit_and<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    bits(ev, args, span, |a, b| a & b)
}

fn bit_or<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    bits(ev, args, span, |a, b| a | b)
}

fn bit_xor<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    bits(ev, args, span, |a, b| a ^ b)
}

/// Integers beyond 2^53 are refused: they would not survive the way through a float.
fn rounded<'h>(
    ev: &mut Evaluation<'h>,
    args: &[Slot<'h>],
    span: SpanId,
    name: &str,
    f: fn(f64) -> f64,
) -> Res<Value<'h>> {
    let v = ev.force(&args[0])?;
    let x = match v {
        Value::Int(_, n) => {
            let rounded = n as f64;
            let consequence = if rounded >= 2f64.powi(63) {
                format!("the NixInt argument {n} caused undefined behavior in previous Nix versions.")
            } else if rounded as i64 != n {
                format!(
                    "a loss of precision occurred in previous Nix versions because the NixInt argument {n} was rounded to {}.",
                    rounded as i64
                )
            } else {
                return Ok(Value::Int(SpanId::NONE, n));
            };
            let text = format!(
                "Due to a bug (see https://github.com/NixOS/nix/issues/12899) {consequence}\n\tFuture Nix versions might implement the correct behavior."
            );
            return Err(EvalError::other(text, span));
        }
        Value::Float(_, x) => x,
        v => return Err(ev.expected("a float", v, span)),
    };
    let r = f(x);
    if r >= -(2f64.powi(63)) && r < 2f64.powi(63) {
        Ok(Value::Int(SpanId::NONE, r as i64))
    } else {
        let text =
            format!("NixFloat argument {} is not in the range of NixInt", crate::eval::print::short_float(x));
        Err(EvalError::other(text, span).context(format!("while calling '{name}'"), span))
    }
}

fn ceil<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    rounded(ev, args, span, "ceil", f64::ceil)
}

fn floor<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    rounded(ev, args, span, "floor", f64::floor)
}
