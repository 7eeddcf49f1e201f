//! Merging of bindings: `a.b = 1; a = { c = 2; };` is one set.
//!
//! Sets written out merge with each other and with attribute paths. Of two sets the first says
//! whether the result is recursive, even for the attributes of the second; this is what C++ Nix
//! does, and is kept there for compatibility.

use bumpalo::Bump;
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::base::symbol::Symbol;
use crate::syntax::ast::*;

/// Two definitions that cannot be merged.
pub(super) struct Clash {
    pub(super) path: String,
    pub(super) first: Span,
    pub(super) second: Span,
}

/// A set under construction.
pub(super) struct Merger<'a> {
    recursive: bool,
    span: Span,
    attrs: Vec<Slot<'a>>,
    index: HashMap<Symbol, usize, FxBuildHasher>,
    inherit_from: Vec<&'a Expr<'a>>,
    dynamic: Vec<(&'a Expr<'a>, Span, Value<'a>)>,
}

struct Slot<'a> {
    name: Name,
    value: Value<'a>,
}

enum Value<'a> {
    Given(AttrValue<'a>),
    Set(Box<Merger<'a>>),
}

impl<'a> Value<'a> {
    /// The set under construction here, begun from a set written out if need be.
    fn as_set(&mut self) -> Option<&mut Merger<'a>> {
        if let Value::Given(AttrValue::Expr(Expr { span, kind: ExprKind::Attrs(set) })) = *self {
            *self = Value::Set(Box::new(Merger::thaw(set, *span)));
        }
        match self {
            Value::Set(set) => Some(set),
            Value::Given(_) => None,
        }
    }

    fn finish(self, arena: &'a Bump) -> AttrValue<'a> {
        match self {
            Value::Given(value) => value,
            Value::Set(set) => {
                let span = set.span;
                let kind = ExprKind::Attrs(set.finish(arena));
                AttrValue::Expr(arena.alloc(Expr { span, kind }))
            }
        }
    }
}

impl<'a> Merger<'a> {
    pub(super) fn new(recursive: bool, inherit_from: &[&'a Expr<'a>]) -> Self {
        Merger {
            recursive,
            span: Span::default(),
            attrs: Vec::new(),
            index: HashMap::with_hasher(FxBuildHasher),
            inherit_from: inherit_from.to_vec(),
            dynamic: Vec::new(),
        }
    }

    fn nested(span: Span) -> Box<Self> {
        Box::new(Merger { span, ..Merger::new(false, &[]) })
    }

    fn thaw(set: &'a AttrSet<'a>, span: Span) -> Self {
        let mut merger = Merger { span, ..Merger::new(set.recursive, set.inherit_from) };
        for attr in set.attrs {
            merger.push(attr.name, Value::Given(attr.value));
        }
        merger.push_dynamic(set);
        merger
    }

    fn push(&mut self, name: Name, value: Value<'a>) -> &mut Slot<'a> {
        self.index.insert(name.symbol, self.attrs.len());
        self.attrs.push(Slot { name, value });
        let last = self.attrs.len() - 1;
        &mut self.attrs[last]
    }

    fn push_dynamic(&mut self, set: &AttrSet<'a>) {
        self.dynamic
            .extend(set.dynamic.iter().map(|d| (d.name, d.span, Value::Given(AttrValue::Expr(d.value)))));
    }

    /// Adds `name = value;` or an inherited name.
    pub(super) fn add_one(&mut self, attr: Attr<'a>) -> Result<(), Clash> {
        self.add(&mut Vec::new(), attr)
    }

    /// Adds `path = value;`.
    pub(super) fn add_path(
        &mut self,
        path: &[AttrName<'a>],
        span: Span,
        value: &'a Expr<'a>,
    ) -> Result<(), Clash> {
        let whole = Span::new(span.start, value.span.end.max(span.end));
        let mut at = self;
        let mut names = Vec::new();
        let Some((last, before)) = path.split_last() else { return Ok(()) };
        for component in before {
            at = match *component {
                AttrName::Static(Name { symbol, .. }) => {
                    names.push(symbol);
                    at.enter(symbol, &names, span, whole)?
                }
                AttrName::Dynamic(name) => {
                    at.dynamic.push((name, span, Value::Set(Merger::nested(whole))));
                    let Some((_, _, Value::Set(set))) = at.dynamic.last_mut() else { return Ok(()) };
                    set
                }
            };
        }
        match *last {
            AttrName::Static(Name { symbol, .. }) => {
                let attr = Attr { name: Name { symbol, span }, value: AttrValue::Expr(value) };
                at.add(&mut names, attr)
            }
            AttrName::Dynamic(name) => {
                at.dynamic.push((name, span, Value::Given(AttrValue::Expr(value))));
                Ok(())
            }
        }
    }

    /// The set that stands or is begun under a name on a path.
    fn enter(
        &mut self,
        symbol: Symbol,
        names: &[Symbol],
        span: Span,
        whole: Span,
    ) -> Result<&mut Merger<'a>, Clash> {
        let slot = match self.index.get(&symbol) {
            Some(&i) => &mut self.attrs[i],
            None => self.push(Name { symbol, span }, Value::Set(Merger::nested(whole))),
        };
        let first = slot.name.span;
        slot.value.as_set().ok_or_else(|| Clash { path: dotted(names), first, second: span })
    }

    fn add(&mut self, names: &mut Vec<Symbol>, attr: Attr<'a>) -> Result<(), Clash> {
        let Some(&i) = self.index.get(&attr.name.symbol) else {
            self.push(attr.name, Value::Given(attr.value));
            return Ok(());
        };
        names.push(attr.name.symbol);
        let slot = &mut self.attrs[i];
        let (first, second) = (slot.name.span, attr.name.span);
        match (attr.value, slot.value.as_set()) {
            (AttrValue::Expr(Expr { kind: ExprKind::Attrs(later), .. }), Some(set)) => {
                set.absorb(names, later)?;
            }
            _ => return Err(Clash { path: dotted(names), first, second }),
        }
        names.pop();
        Ok(())
    }

    fn absorb(&mut self, names: &mut Vec<Symbol>, later: &AttrSet<'a>) -> Result<(), Clash> {
        let shift = self.inherit_from.len() as u32;
        for attr in later.attrs {
            let mut attr = *attr;
            if let AttrValue::InheritFrom(i) = &mut attr.value {
                *i += shift;
            }
            self.add(names, attr)?;
        }
        self.inherit_from.extend_from_slice(later.inherit_from);
        self.push_dynamic(later);
        Ok(())
    }

    /// The merged set.
    pub(super) fn finish(self, arena: &'a Bump) -> &'a AttrSet<'a> {
        let mut attrs: Vec<Attr<'a>> = self
            .attrs
            .into_iter()
            .map(|slot| Attr { name: slot.name, value: slot.value.finish(arena) })
            .collect();
        attrs.sort_unstable_by_key(|a| a.name.symbol);
        let dynamic: Vec<DynamicAttr<'a>> = self
            .dynamic
            .into_iter()
            .filter_map(|(name, span, value)| match value.finish(arena) {
                AttrValue::Expr(value) => Some(DynamicAttr { name, value, span }),
                AttrValue::Inherit | AttrValue::InheritFrom(_) => None,
            })
            .collect();
        arena.alloc(AttrSet {
            recursive: self.recursive,
            attrs: arena.alloc_slice_copy(&attrs),
            inherit_from: arena.alloc_slice_copy(&self.inherit_from),
            dynamic: arena.alloc_slice_copy(&dynamic),
        })
    }
}

fn dotted(names: &[Symbol]) -> String {
    names.iter().map(|n| n.text()).collect::<Vec<_>>().join(".")
}
