//! Builtins on attribute sets.

use super::{Builtin, during};
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::eval::Evaluation;
use crate::eval::attrs::missing;
use crate::eval::error::EvalError;
use crate::eval::step::share_element;
use crate::eval::value::{Attr, Attrs, Lazy, Res, Slot, Value};

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[
    Builtin::new("attrNames", 1, attr_names, "The names of a set, sorted."),
    Builtin::new("attrValues", 1, attr_values, "The values of a set, in the order of their names."),
    Builtin::new("getAttr", 2, get_attr, "The attribute of this name in a set."),
    Builtin::new("hasAttr", 2, has_attr, "Whether a set has an attribute of this name."),
    Builtin::new("unsafeGetAttrPos", 2, attr_pos, "Where an attribute was defined, or null."),
    Builtin::new("removeAttrs", 2, remove_attrs, "A set without the attributes of these names."),
    Builtin::new(
        "intersectAttrs",
        2,
        intersect_attrs,
        "The attributes of the second set whose names are in the first.",
    ),
    Builtin::new(
        "catAttrs",
        2,
        cat_attrs,
        "The values of this attribute in those sets of a list that have it.",
    ),
    Builtin::new(
        "listToAttrs",
        1,
        list_to_attrs,
        "A set of `{ name; value; }` pairs; of equal names the first holds.",
    ),
    Builtin::new("mapAttrs", 2, map_attrs, "A set with `f name value` for each attribute."),
    Builtin::new(
        "zipAttrsWith",
        2,
        zip_attrs_with,
        "A set with `f name values` for each name in a list of sets.",
    ),
    Builtin::new("groupBy", 2, group_by, "A set of the lists of elements for which `f` gives the same name."),
];

fn attr_names<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let a = ev
        .force_attrs(&args[0], span)
        .map_err(during("while evaluating the argument passed to builtins.attrNames"))?;
    let heap = ev.heap;
    let sorted = a.sorted();
    Ok(heap.list(heap.slots_from(sorted.iter().map(|x| heap.symbol(x.name))), SpanId::NONE))
}

fn attr_values<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let a = ev
        .force_attrs(&args[0], span)
        .map_err(during("while evaluating the argument passed to builtins.attrValues"))?;
    let heap = ev.heap;
    let sorted = a.sorted();
    Ok(heap.list(heap.slots_from(sorted.iter().map(|x| share_element(x.slot))), SpanId::NONE))
}

fn name_of<'h>(ev: &mut Evaluation<'h>, slot: &Slot<'h>, span: SpanId) -> Res<Symbol> {
    Ok(ev.force_str_no_context(slot, span)?.symbol())
}

fn get_attr<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let name = name_of(ev, &args[0], span)?;
    let a = ev.force_attrs(&args[1], span)?;
    match a.get(name) {
        Some(slot) => ev.force(slot),
        None => Err(missing(name, a, span)),
    }
}

fn has_attr<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let name = name_of(ev, &args[0], span)?;
    let a = ev
        .force_attrs(&args[1], span)
        .map_err(during("while evaluating the second argument passed to builtins.hasAttr"))?;
    Ok(Value::Bool(a.get(name).is_some()))
}

fn attr_pos<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let name = name_of(ev, &args[0], span)?;
    let a = ev
        .force_attrs(&args[1], span)
        .map_err(during("while evaluating the second argument passed to builtins.unsafeGetAttrPos"))?;
    match a.find(name) {
        Some(attr) => Ok(ev.position(attr.span)),
        None => Ok(Value::Null(SpanId::NONE)),
    }
}

fn remove_attrs<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let a = ev
        .force_attrs(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.removeAttrs"))?;
    let list = ev
        .force_list(&args[1], span)
        .map_err(during("while evaluating the second argument passed to builtins.removeAttrs"))?;
    let mut names = Vec::with_capacity(list.items.len());
    for item in list.items {
        names.push(name_of(ev, item, span)?);
    }
    names.sort_unstable();
    if !names.iter().any(|&n| a.get(n).is_some()) {
        return Ok(Value::Attrs(a));
    }
    let kept: Vec<Attr<'h>> =
        a.to_vec().into_iter().filter(|x| names.binary_search(&x.name).is_err()).collect();
    Ok(Value::Attrs(ev.set_of(&kept, a.origin)))
}

fn intersect_attrs<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let a = ev
        .force_attrs(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.intersectAttrs"))?;
    let b = ev
        .force_attrs(&args[1], span)
        .map_err(during("while evaluating the second argument passed to builtins.intersectAttrs"))?;
    let kept: Vec<Attr<'h>> = if a.len() < b.len() {
        a.to_vec().iter().filter_map(|x| b.find(x.name)).collect()
    } else {
        b.to_vec().into_iter().filter(|x| a.get(x.name).is_some()).collect()
    };
    Ok(Value::Attrs(ev.set_of(&kept, b.origin)))
}

fn cat_attrs<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let name = name_of(ev, &args[0], span)?;
    let list = ev
        .force_list(&args[1], span)
        .map_err(during("while evaluating the second argument passed to builtins.catAttrs"))?;
    let mut found = Vec::new();
    for item in list.items {
        if let Some(slot) = ev.force_attrs(item, span)?.get(name) {
            found.push(share_element(slot));
        }
    }
    let heap = ev.heap;
    Ok(heap.list(heap.slots_from(found.into_iter()), SpanId::NONE))
}

fn list_to_attrs<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let list = ev
        .force_list(&args[0], span)
        .map_err(during("while evaluating the argument passed to builtins.listToAttrs"))?;
    let (w_name, w_value) = (ev.words.name, ev.words.value);
    let mut pairs: Vec<(Symbol, u32, &'h Attrs<'h>)> = Vec::with_capacity(list.items.len());
    for (i, item) in list.items.iter().enumerate() {
        let a = ev.force_attrs(item, span)?;
        let Some(n) = a.get(w_name) else { return Err(missing(w_name, a, span)) };
        pairs.push((name_of(ev, n, span)?, i as u32, a));
    }
    pairs.sort_unstable_by_key(|p| (p.0, p.1));
    pairs.dedup_by_key(|p| p.0);
    let mut all = Vec::with_capacity(pairs.len());
    for &(name, _, a) in &pairs {
        let Some(v) = a.find(w_value) else { return Err(missing(w_value, a, span)) };
        all.push(Attr { name, span: v.span, slot: v.slot });
    }
    Ok(Value::Attrs(ev.set_of(&all, SpanId::NONE)))
}

fn map_attrs<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let a = ev
        .force_attrs(&args[1], span)
        .map_err(during("while evaluating the second argument passed to builtins.mapAttrs"))?;
    let heap = ev.heap;
    let f = Slot::new(ev.share(&args[0]));
    let (names, values) = if a.base.is_none() {
        (a.names, heap.values(a.values.iter().map(share_element)))
    } else {
        let all = a.to_vec();
        (heap.slice_from(all.iter().map(|x| x.name)), heap.values(all.iter().map(|x| share_element(x.slot))))
    };
    let lazy = heap.lazy(Lazy::MapAttrs { f, names, values });
    let slots = heap.slots_from((0..names.len() as u32).map(|i| Value::Lazy(i, lazy)));
    Ok(heap.attrs(Attrs::flat(names, &[], slots, a.origin)))
}

fn zip_attrs_with<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    ev.force_function(&args[0], span)?;
    let list = ev.force_list(&args[1], span)?;
    let heap = ev.heap;
    let mut all: Vec<(Symbol, Value<'h>)> = Vec::new();
    for item in list.items {
        let a = ev.force_attrs(item, span)?;
        all.extend(a.to_vec().iter().map(|x| (x.name, share_element(x.slot))));
    }
    all.sort_by_key(|x| x.0);
    let mut out = Vec::new();
    let mut lists = Vec::new();
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        out.push(group[0].0);
        lists.push(heap.list(heap.slots_from(group.iter().map(|x| x.1)), SpanId::NONE));
    }
    let names = heap.slice(&out);
    let f = Slot::new(ev.share(&args[0]));
    let lazy = heap.lazy(Lazy::MapAttrs { f, names, values: heap.values(lists.into_iter()) });
    let slots = heap.slots_from((0..names.len() as u32).map(|i| Value::Lazy(i, lazy)));
    Ok(heap.attrs(Attrs::flat(names, &[], slots, SpanId::NONE)))
}

fn group_by<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let f = ev
        .force_function(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.groupBy"))?;
    let list = ev
        .force_list(&args[1], span)
        .map_err(during("while evaluating the second argument passed to builtins.groupBy"))?;
    let heap = ev.heap;
    let mut groups: Vec<(Symbol, Value<'h>)> = Vec::with_capacity(list.items.len());
    for item in list.items {
        let v = share_element(item);
        let key = ev.call(f, &[v], span)?;
        let Value::Str(s) = key else { return Err(ev.expected("a string", key, span)) };
        ev.no_context(s, span)?;
        groups.push((s.symbol(), v));
    }
    groups.sort_by_key(|g| g.0);
    let mut out = Vec::new();
    for g in groups.chunk_by(|a, b| a.0 == b.0) {
        out.push((g[0].0, SpanId::NONE, heap.list(heap.slots_from(g.iter().map(|x| x.1)), SpanId::NONE)));
    }
    Ok(heap.attrs_from(out))
}

/// The attribute of a set that a builtin requires.
///
/// # Errors
/// When it is missing, in Nix's words.
pub fn required<'h>(a: &'h Attrs<'h>, name: &str, span: SpanId) -> Result<&'h Slot<'h>, Box<EvalError>> {
    let name = Symbol::intern(name);
    a.get(name).ok_or_else(|| missing(name, a, span).suggest(Vec::new()))
}
