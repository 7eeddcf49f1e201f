//! Sets and `let`.

use super::emit::{Emitter, select1};
use super::resolve::{BindingId, has_overrides};
use crate::ir::expr::{AttrsExpr, Captures, Delay, DynamicAttr, Kind, Let, LetBinding, Var};
use crate::syntax::ast::{Attr, AttrSet, AttrValue, Expr, ExprKind};

/// `{ }`
pub(super) fn empty<'m>() -> AttrsExpr<'m> {
    AttrsExpr {
        captures: Captures::Same,
        hidden: &[],
        hidden_slot: 0,
        names: &[],
        spans: &[],
        values: &[],
        rec_slots: &[],
        dynamic: &[],
        overrides: None,
    }
}

/// The delayed parts of a set.
struct Parts<'m> {
    /// In the order of the attributes.
    values: Vec<Delay<'m>>,
    /// The slot of each attribute that has one, for recursive sets.
    slots: Vec<u32>,
    hidden: Vec<Delay<'m>>,
    hidden_slot: u32,
    dynamic: Vec<Delay<'m>>,
}

/// Which attributes of a set get a slot.
#[derive(Clone, Copy, PartialEq)]
enum Slots {
    None,
    Used,
    All,
}

impl<'m> Emitter<'m, '_> {
    pub(super) fn attrs(&mut self, set: &AttrSet<'_>) -> Kind<'m> {
        let mark = self.frame_mark();
        let which = if set.recursive { Slots::Used } else { Slots::None };
        let (captures, parts) = self.group(|e| e.parts(set, which));
        let mut dynamic = Vec::with_capacity(set.dynamic.len());
        for (attr, value) in set.dynamic.iter().zip(parts.dynamic) {
            let name = self.expr(attr.name);
            dynamic.push(DynamicAttr { name, value, span: self.span(attr.span) });
        }
        let spans: Vec<_> = set.attrs.iter().map(|a| self.span(a.name.span)).collect();
        self.frame_reset(mark);
        let arena = self.arena;
        let names = &*arena.alloc_slice_fill_iter(set.attrs.iter().map(|a| a.name.symbol));
        let overrides = has_overrides(set, self.overrides)
            .then(|| names.binary_search(&self.overrides).ok().map(|i| i as u32))
            .flatten();
        Kind::Attrs(arena.alloc(AttrsExpr {
            captures,
            hidden: arena.alloc_slice_copy(&parts.hidden),
            hidden_slot: parts.hidden_slot,
            names,
            spans: arena.alloc_slice_copy(&spans),
            values: arena.alloc_slice_copy(&parts.values),
            rec_slots: arena.alloc_slice_copy(&parts.slots),
            dynamic: arena.alloc_slice_copy(&dynamic),
            overrides,
        }))
    }

    pub(super) fn let_in(&mut self, set: &AttrSet<'_>, body: &Expr<'_>) -> Kind<'m> {
        let mark = self.frame_mark();
        let (captures, parts) = self.group(|e| e.parts(set, Slots::All));
        let body = self.expr(body);
        self.frame_reset(mark);
        let names = set.attrs.iter().map(|a| Some(a.name.symbol)).chain(parts.hidden.iter().map(|_| None));
        let values = parts.values.iter().chain(&parts.hidden);
        let mut bindings: Vec<_> =
            values.zip(names).map(|(&value, name)| LetBinding { value, boxed: false, name }).collect();
        let mut take = |var: Var| {
            if let Var::Local(slot) = var
                && let Some(binding) = slot.checked_sub(mark).and_then(|i| bindings.get_mut(i as usize))
            {
                binding.boxed = true;
            }
        };
        // A sibling's cell is taken by the block, or by a binding that is just its name.
        if let Captures::New(vars) = captures {
            vars.iter().for_each(|&var| take(var));
        }
        for value in parts.values.iter().chain(&parts.hidden) {
            if let Delay::Var(var) = value {
                take(*var);
            }
        }
        let bindings = self.arena.alloc_slice_copy(&bindings);
        Kind::Let(self.arena.alloc(Let { captures, first_slot: mark, bindings, body }))
    }

    fn parts(&mut self, set: &AttrSet<'_>, which: Slots) -> Parts<'m> {
        let mut inherited = Vec::new();
        for attr in set.attrs {
            if let AttrValue::Inherit = attr.value {
                inherited.push(self.delay_variable(attr.name.symbol, attr.name.span));
            }
        }
        let mut slots = Vec::new();
        if which != Slots::None {
            slots.reserve(set.attrs.len());
            for _ in set.attrs {
                let wanted = which == Slots::All || self.next_is_used();
                let slot = if wanted { self.take_slot() } else { u32::MAX };
                self.bind(slot);
                slots.push(slot);
            }
        }
        let hidden_slot = self.frame_mark();
        let subjects: Vec<BindingId> = set
            .inherit_from
            .iter()
            .map(|_| {
                let slot = self.take_slot();
                self.bind(slot)
            })
            .collect();
        let hidden = set.inherit_from.iter().map(|subject| self.delay(subject, None)).collect();
        let mut inherited = inherited.into_iter();
        // Where `__overrides` may replace a sibling, a variable is looked at late.
        let late = which == Slots::Used && has_overrides(set, self.overrides);
        let mut values = Vec::with_capacity(set.attrs.len());
        for attr in set.attrs {
            let value = match attr.value {
                AttrValue::Inherit => inherited.next(),
                AttrValue::Expr(value) => Some(match &value.kind {
                    ExprKind::Var(name) if late => {
                        Delay::Thunk(self.thunk_code(|e| e.variable(*name, value.span)))
                    }
                    _ => self.delay(value, Some(attr.name.symbol)),
                }),
                AttrValue::InheritFrom(i) => Some(self.inherit_from(attr, subjects[i as usize])),
            };
            values.extend(value);
        }
        let dynamic = set.dynamic.iter().map(|attr| self.delay(attr.value, None)).collect();
        Parts { values, slots, hidden, hidden_slot, dynamic }
    }

    /// `name` of the hidden subject of an `inherit (e) name;`.
    fn inherit_from(&mut self, attr: &Attr<'_>, subject: BindingId) -> Delay<'m> {
        Delay::Thunk(self.thunk_code(|e| {
            let span = e.span(attr.name.span);
            let var = e.reach(subject);
            let base = e.at(span, Kind::Var(var));
            e.at(span, select1(base, attr.name.symbol, span))
        }))
    }
}
