//! Builtins that ask for the type of a value.

use super::Builtin;
use crate::base::source::SpanId;
use crate::eval::Evaluation;
use crate::eval::coerce::type_name;
use crate::eval::error::EvalError;
use crate::eval::value::{Res, Slot, Value};

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[
    Builtin::new(
        "typeOf",
        1,
        type_of,
        "The type of a value, as a string: `int`, `bool`, `string`, `path`, `null`, `set`, `list`, `lambda` or `float`.",
    ),
    Builtin::new("isAttrs", 1, is_attrs, "Whether a value is an attribute set."),
    Builtin::new("isBool", 1, is_bool, "Whether a value is a boolean."),
    Builtin::new("isFloat", 1, is_float, "Whether a value is a float."),
    Builtin::new("isFunction", 1, is_function, "Whether a value is a function."),
    Builtin::new("isInt", 1, is_int, "Whether a value is an integer."),
    Builtin::new("isList", 1, is_list, "Whether a value is a list."),
    Builtin::new("isNull", 1, is_null, "Whether a value is null."),
    Builtin::new("isPath", 1, is_path, "Whether a value is a path."),
    Builtin::new("isString", 1, is_string, "Whether a value is a string."),
    Builtin::new(
        "functionArgs",
        1,
        function_args,
        "The names of a function's formal arguments, each with whether it has a default.",
    ),
];

fn type_of<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], _: SpanId) -> Res<Value<'h>> {
    let v = ev.force(&args[0])?;
    Ok(ev.heap.string_of(type_name(v).as_bytes()))
}

fn test<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], f: fn(Value<'h>) -> bool) -> Res<Value<'h>> {
    Ok(Value::Bool(f(ev.force(&args[0])?)))
}

fn is_attrs<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], _: SpanId) -> Res<Value<'h>> {
    test(ev, args, |v| matches!(v, Value::Attrs(_)))
}

fn is_bool<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], _: SpanId) -> Res<Value<'h>> {
    test(ev, args, |v| matches!(v, Value::Bool(_)))
}

fn is_float<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], _: SpanId) -> Res<Value<'h>> {
    test(ev, args, |v| matches!(v, Value::Float(..)))
}

fn is_function<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], _: SpanId) -> Res<Value<'h>> {
    test(ev, args, |v| matches!(v, Value::Lambda(..) | Value::Partial(_) | Value::Builtin(_)))
}

fn is_int<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], _: SpanId) -> Res<Value<'h>> {
    test(ev, args, |v| matches!(v, Value::Int(..)))
}

fn is_list<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], _: SpanId) -> Res<Value<'h>> {
    test(ev, args, |v| matches!(v, Value::List(_)))
}

fn is_null<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], _: SpanId) -> Res<Value<'h>> {
    test(ev, args, |v| matches!(v, Value::Null(_)))
}

fn is_path<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], _: SpanId) -> Res<Value<'h>> {
    test(ev, args, |v| matches!(v, Value::Path(_)))
}

fn is_string<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], _: SpanId) -> Res<Value<'h>> {
    test(ev, args, |v| matches!(v, Value::Str(_)))
}

fn function_args<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let f = ev.force(&args[0])?;
    match f {
        Value::Lambda(..) | Value::Partial(_) => {
            let formals = ev.pattern_of(f).map_or(&[][..], |p| p.formals);
            let list = formals.iter().map(|f| (f.name, f.span, Value::Bool(f.default.is_some()))).collect();
            Ok(ev.heap.attrs_from(list))
        }
        Value::Builtin(_) => Ok(ev.heap.attrs_from(Vec::new())),
        _ => Err(EvalError::type_error("'functionArgs' requires a function", span)),
    }
}
