//! Builtins on lists.

use std::collections::VecDeque;

use super::attrs::required;
use super::key_tree::KeyTree;
use super::{Builtin, during};
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::eval::Evaluation;
use crate::eval::error::EvalError;
use crate::eval::step::share_element;
use crate::eval::value::{Lazy, Res, Slot, Value};

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[
    Builtin::new("all", 2, all, "Whether a predicate holds for all elements."),
    Builtin::new("any", 2, any, "Whether a predicate holds for an element."),
    Builtin::new("concatLists", 1, concat_lists, "The elements of the lists in a list."),
    Builtin::new("concatMap", 2, concat_map, "The elements of the lists that `f` gives for each element."),
    Builtin::new("elem", 2, elem, "Whether a value is in a list."),
    Builtin::new("elemAt", 2, elem_at, "The n-th element, from 0."),
    Builtin::new("filter", 2, filter, "The elements for which a predicate holds."),
    Builtin::new("foldl'", 3, foldl, "Folds a list from the left, strictly."),
    Builtin::new("genList", 2, gen_list, "A list of `f 0`, `f 1`, … of this length."),
    Builtin::new("head", 1, head, "The first element."),
    Builtin::new("length", 1, length, "The number of elements."),
    Builtin::new("map", 2, map, "A list with `f x` for each element."),
    Builtin::new(
        "partition",
        2,
        partition,
        "The elements for which a predicate holds as `right`, the others as `wrong`.",
    ),
    Builtin::new("sort", 2, sort, "A list sorted, stably, by a less-than function."),
    Builtin::new("tail", 1, tail, "All elements but the first."),
    Builtin::new(
        "genericClosure",
        1,
        generic_closure,
        "All items reachable by `operator` from `startSet`, once for each `key`.",
    ),
];

fn list_value<'h>(ev: &Evaluation<'h>, items: Vec<Value<'h>>) -> Value<'h> {
    ev.heap.list(ev.heap.slots_from(items.into_iter()), SpanId::NONE)
}

fn predicate<'h>(ev: &mut Evaluation<'h>, f: Value<'h>, x: Value<'h>, span: SpanId) -> Res<bool> {
    match ev.call(f, &[x], span)? {
        Value::Bool(b) => Ok(b),
        v => Err(ev.expected("a Boolean", v, span)),
    }
}

fn all<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let f = ev.force_function(&args[0], span)?;
    for item in ev.force_list(&args[1], span)?.items {
        if !predicate(ev, f, share_element(item), span)? {
            return Ok(Value::Bool(false));
        }
    }
    Ok(Value::Bool(true))
}

fn any<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let f = ev.force_function(&args[0], span)?;
    for item in ev.force_list(&args[1], span)?.items {
        if predicate(ev, f, share_element(item), span)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn concat_lists<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let mut out = Vec::new();
    for item in ev
        .force_list(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.concatLists"))?
        .items
    {
        let l = ev.force_list(item, span)?;
        out.extend(l.items.iter().map(share_element));
    }
    Ok(list_value(ev, out))
}

fn concat_map<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let f = ev
        .force_function(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.concatMap"))?;
    let mut out = Vec::new();
    for item in ev
        .force_list(&args[1], span)
        .map_err(during("while evaluating the second argument passed to builtins.concatMap"))?
        .items
    {
        match ev.call(f, &[share_element(item)], span)? {
            Value::List(l) => out.extend(l.items.iter().map(share_element)),
            v => return Err(ev.expected("a list", v, span)),
        }
    }
    Ok(list_value(ev, out))
}

fn elem<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let list = ev
        .force_list(&args[1], span)
        .map_err(during("while evaluating the second argument passed to builtins.elem"))?;
    for item in list.items {
        if ev.equal_slots(&args[0], item, span)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn elem_at<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let n = ev
        .force_int(&args[1], span)
        .map_err(during("while evaluating the second argument passed to 'builtins.elemAt'"))?;
    let list = ev
        .force_list(&args[0], span)
        .map_err(during("while evaluating the first argument passed to 'builtins.elemAt'"))?;
    match usize::try_from(n).ok().and_then(|n| list.items.get(n)) {
        Some(item) => ev.force(item),
        None => {
            let text =
                format!("'builtins.elemAt' called with index {n} on a list of size {}", list.items.len());
            Err(EvalError::other(text, span))
        }
    }
}

fn filter<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let list = ev
        .force_list(&args[1], span)
        .map_err(during("while evaluating the second argument passed to builtins.filter"))?;
    if list.items.is_empty() {
        return Ok(Value::List(list));
    }
    let f = ev
        .force_function(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.filter"))?;
    let mut out = Vec::new();
    for item in list.items {
        let x = share_element(item);
        if predicate(ev, f, x, span)? {
            out.push(x);
        }
    }
    if out.len() == list.items.len() {
        return Ok(Value::List(list));
    }
    Ok(list_value(ev, out))
}

fn foldl<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let f = ev
        .force_function(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.foldlStrict"))?;
    let list = ev
        .force_list(&args[2], span)
        .map_err(during("while evaluating the third argument passed to builtins.foldlStrict"))?;
    if list.items.is_empty() {
        return ev.force(&args[1]);
    }
    let mut acc = ev.share(&args[1]);
    for item in list.items {
        acc = ev.call(f, &[acc, share_element(item)], span)?;
    }
    Ok(acc)
}

fn gen_list<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let n = ev
        .force_int(&args[1], span)
        .map_err(during("while evaluating the second argument passed to builtins.genList"))?;
    let Ok(n) = u32::try_from(n) else {
        return Err(EvalError::other(format!("cannot create list of size {n}"), span));
    };
    ev.force_function(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.genList"))?;
    ev.make_room((n as usize).saturating_mul(size_of::<Slot<'h>>()), span)?;
    let heap = ev.heap;
    let f = Slot::new(ev.share(&args[0]));
    let lazy = heap.lazy(Lazy::GenList { f });
    Ok(heap.list(heap.slots_from((0..n).map(|i| Value::Lazy(i, lazy))), SpanId::NONE))
}

fn head<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    match ev
        .force_list(&args[0], span)
        .map_err(during("while evaluating the first argument passed to 'builtins.head'"))?
        .items
        .first()
    {
        Some(item) => ev.force(item),
        None => Err(EvalError::other("'builtins.head' called on an empty list", span)),
    }
}

fn length<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    Ok(Value::Int(
        SpanId::NONE,
        ev.force_list(&args[0], span)
            .map_err(during("while evaluating the first argument passed to builtins.length"))?
            .items
            .len() as i64,
    ))
}

fn map<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let list = ev
        .force_list(&args[1], span)
        .map_err(during("while evaluating the second argument passed to builtins.map"))?;
    if list.items.is_empty() {
        return Ok(Value::List(list));
    }
    ev.force_function(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.map"))?;
    let heap = ev.heap;
    let f = Slot::new(ev.share(&args[0]));
    let lazy = heap.lazy(Lazy::Map { f, items: list.items });
    Ok(heap.list(heap.slots_from((0..list.items.len() as u32).map(|i| Value::Lazy(i, lazy))), list.origin))
}

fn partition<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let f = ev
        .force_function(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.partition"))?;
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for item in ev
        .force_list(&args[1], span)
        .map_err(during("while evaluating the second argument passed to builtins.partition"))?
        .items
    {
        let x = share_element(item);
        if predicate(ev, f, x, span)? { right.push(x) } else { wrong.push(x) }
    }
    let (right, wrong) = (list_value(ev, right), list_value(ev, wrong));
    Ok(ev.heap.attrs_from(vec![
        (Symbol::intern("right"), SpanId::NONE, right),
        (Symbol::intern("wrong"), SpanId::NONE, wrong),
    ]))
}

fn sort<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let list = ev.force_list(&args[1], span)?;
    if list.items.is_empty() {
        return Ok(Value::List(list));
    }
    let f = ev.force_function(&args[0], span)?;
    let mut items = Vec::with_capacity(list.items.len());
    for item in list.items {
        ev.force(item)?;
        items.push(share_element(item));
    }
    let native = matches!(f, Value::Builtin(b) if b.name == "lessThan");
    super::sort::peek_sort(&mut items, &mut |a, b| {
        if native {
            let (a, b) = (ev.force_value(a)?, ev.force_value(b)?);
            return ev.less_than(a, b, span);
        }
        match ev.call(f, &[a, b], span)? {
            Value::Bool(b) => Ok(b),
            v => Err(ev.expected("a Boolean", v, span)),
        }
    })?;
    Ok(list_value(ev, items))
}

fn tail<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    match ev
        .force_list(&args[0], span)
        .map_err(during("while evaluating the first argument passed to 'builtins.tail'"))?
        .items
        .split_first()
    {
        Some((_, rest)) => Ok(ev.heap.list(rest, SpanId::NONE)),
        None => Err(EvalError::other("'builtins.tail' called on an empty list", span)),
    }
}

fn generic_closure<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let a = ev.force_attrs(&args[0], span).map_err(|e| {
        e.context("while evaluating the first argument passed to builtins.genericClosure", SpanId::NONE)
    })?;
    let inside = during("in the attrset passed as argument to builtins.genericClosure");
    let start = required(a, "startSet", span).map_err(&inside)?;
    let start = ev.force_list(start, span).map_err(|e| {
        let what = "while evaluating the 'startSet' attribute passed as argument to builtins.genericClosure";
        e.context(what, SpanId::NONE)
    })?;
    if start.items.is_empty() {
        return Ok(Value::List(start));
    }
    let operator = required(a, "operator", span).map_err(&inside)?;
    let operator = ev.force_function(operator, span).map_err(|e| {
        let what = "while evaluating the 'operator' attribute passed as argument to builtins.genericClosure";
        e.context(what, SpanId::NONE)
    })?;
    let mut queue: VecDeque<Value<'h>> = start.items.iter().map(share_element).collect();
    let mut seen = KeyTree::default();
    let mut out = Vec::new();
    while let Some(item) = queue.pop_front() {
        let key = closure_key(ev, item, span)?;
        match seen.insert(key, item, &mut |a, b| ev.less_than(a, b, span)) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(e) => return Err(closure_conflict(ev, &seen, key, item, e, span)),
        }
        out.push(item);
        let next = ev.call(operator, &[item], span).and_then(|list| {
            let what =
                "while evaluating the return value of the `operator` passed to builtins.genericClosure";
            let Value::List(l) = list else {
                return Err(ev.expected("a list", list, span).context(what, SpanId::NONE));
            };
            for next in l.items {
                ev.force(next)?;
                queue.push_back(share_element(next));
            }
            Ok(())
        });
        next.map_err(|e| {
            let shown = String::from_utf8_lossy(&ev.preview(item)).into_owned();
            e.context(format!("while calling operator on genericClosure element {shown}"), SpanId::NONE)
        })?;
    }
    Ok(list_value(ev, out))
}

fn closure_key<'h>(ev: &mut Evaluation<'h>, item: Value<'h>, span: SpanId) -> Res<Value<'h>> {
    let key = ev.force_value(item).and_then(|v| {
        let Value::Attrs(e) = v else { return Err(ev.expected("a set", v, span)) };
        required(e, "key", span)
    });
    let key = key.map_err(|e| {
        let shown = String::from_utf8_lossy(&ev.preview(item)).into_owned();
        e.context(format!("in genericClosure element {shown}"), SpanId::NONE)
    })?;
    ev.force(key)
}

/// The error of two keys that cannot be compared, with the elements they belong to.
#[cold]
fn closure_conflict<'h>(
    ev: &mut Evaluation<'h>,
    seen: &KeyTree<'h>,
    key: Value<'h>,
    item: Value<'h>,
    e: Box<EvalError>,
    span: SpanId,
) -> Box<EvalError> {
    let other = seen.in_order().into_iter().find(|(k, _)| ev.less_than(key, *k, span).is_err());
    let shown = |v| String::from_utf8_lossy(&ev.preview(v)).into_owned();
    match other {
        Some((_, other)) => e
            .context(format!("with element {}", shown(other)), SpanId::NONE)
            .context(format!("while comparing element {}", shown(item)), SpanId::NONE),
        None => e.context(format!("while checking key of element {}", shown(item)), SpanId::NONE),
    }
}
