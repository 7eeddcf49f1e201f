//! Where a value was written that carries no place of its own: a boolean or a function.
//!
//! Such values are plain words in the evaluator. The place is looked for only when a finding needs
//! it, in the text: from the key whose value it is to the expression bound there, through `inherit`
//! and names bound in the file.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rnix::ast::{self, HasEntry};
use rnix::{SyntaxKind, SyntaxNode, TextRange};
use rowan::ast::AstNode;

use super::evaluate::is_users;
use crate::base::source::{Place, Source, SpanId};
use crate::eval::builtins;
use crate::syntax::names::{Names, Target, static_name};
use crate::syntax::tree;

/// Names that stand for names that stand for names.
const LONGEST_CHAIN: usize = 32;

/// The expression that gives the value of a key, or an item of it when that is a list written out.
pub(super) fn of_key(key: SpanId, item: Option<usize>) -> Option<Place> {
    let place = key.resolve().filter(is_users)?;
    let file = file(&place.source)?;
    let start = rnix::TextSize::from(place.start);
    let token = file.root.token_at_offset(start).right_biased()?;
    let attr = token.parent_ancestors().find_map(ast::Attr::cast)?;
    let value = file.value_of(&attr)?;
    let value = match item {
        Some(i) => file.item(&value, i)?,
        None => value,
    };
    let range = value.text_range();
    Some(Place { source: place.source, start: range.start().into(), end: range.end().into() })
}

/// The name that is meant in an attribute path, for a place that covers the path: the key in
/// `jobs.test.needs` is one text for the evaluator. The last name that `is_meant` is taken.
pub(super) fn name_in_path(place: &Place, is_meant: &dyn Fn(&str) -> bool) -> Option<Place> {
    let text = place.source.text().get(place.range())?;
    if !text.contains(&b'.') || text.contains(&b'\n') {
        return None;
    }
    let file = file(&place.source)?;
    let range = TextRange::new(place.start.into(), place.end.into());
    let path = file
        .root
        .token_at_offset(range.start())
        .right_biased()?
        .parent_ancestors()
        .take_while(|n| n.text_range().start() == range.start())
        .find_map(ast::Attrpath::cast)?;
    let inside = path.attrs().filter(|a| range.contains_range(a.syntax().text_range()));
    let meant = inside.filter(|a| static_name(a).is_some_and(|n| is_meant(&n))).last()?;
    let range = meant.syntax().text_range();
    Some(Place { source: place.source.clone(), start: range.start().into(), end: range.end().into() })
}

struct File {
    source: Arc<Source>,
    root: SyntaxNode,
    names: Names,
}

thread_local! {
    /// The last file: findings come in the order of places.
    static LAST: RefCell<Option<Rc<File>>> = const { RefCell::new(None) };
}

fn file(source: &Arc<Source>) -> Option<Rc<File>> {
    let last = LAST.with_borrow(Clone::clone).filter(|f| Arc::ptr_eq(&f.source, source));
    if last.is_some() {
        return last;
    }
    let (parse, true) = tree::lossless(source.text()) else { return None };
    let root = parse.syntax();
    let names = Names::of(&root, &builtins::is_global);
    let file = Rc::new(File { source: source.clone(), root, names });
    LAST.set(Some(file.clone()));
    Some(file)
}

impl File {
    /// The expression bound to a name in an attribute path or `inherit` list.
    fn value_of(&self, attr: &ast::Attr) -> Option<SyntaxNode> {
        let parent = attr.syntax().parent()?;
        if let Some(inherit) = ast::Inherit::cast(parent.clone()) {
            return match inherit.from().and_then(|f| f.expr()) {
                Some(from) => {
                    let set = self.follow(from.syntax().clone());
                    let found = static_name(attr).and_then(|name| self.member(&set, &name));
                    Some(found.unwrap_or_else(|| attr.syntax().clone()))
                }
                None => Some(self.name(attr.syntax().text_range()).unwrap_or_else(|| attr.syntax().clone())),
            };
        }
        let binding = parent.parent().and_then(ast::AttrpathValue::cast)?;
        let last = binding.attrpath()?.attrs().last()?;
        (last.syntax() == attr.syntax()).then(|| binding.value())?.map(|v| self.follow(v.syntax().clone()))
    }

    /// What an expression stands for, as far as the text shows.
    fn follow(&self, mut at: SyntaxNode) -> SyntaxNode {
        for _ in 0..LONGEST_CHAIN {
            let next = match at.kind() {
                SyntaxKind::NODE_PAREN => {
                    ast::Paren::cast(at.clone()).and_then(|p| p.expr()).map(|e| e.syntax().clone())
                }
                SyntaxKind::NODE_IDENT => self.name(at.text_range()),
                SyntaxKind::NODE_SELECT => self.select(&at),
                _ => None,
            };
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }

    /// The expression a name is bound to by `let` or `rec`.
    fn name(&self, range: TextRange) -> Option<SyntaxNode> {
        match self.names.use_at(range)?.target {
            // The default of a formal is one of its values only.
            Target::Binding(i) if self.names.bindings[i].value.as_ref()?.kind() != SyntaxKind::NODE_ERROR => {
                let binding = &self.names.bindings[i];
                let bound = binding.entries.first()?.kind() == SyntaxKind::NODE_ATTRPATH_VALUE;
                bound.then(|| binding.value.clone())?
            }
            _ => None,
        }
    }

    fn select(&self, node: &SyntaxNode) -> Option<SyntaxNode> {
        let select = ast::Select::cast(node.clone())?;
        let mut at = self.follow(select.expr()?.syntax().clone());
        for attr in select.attrpath()?.attrs() {
            let member = self.member(&at, &static_name(&attr)?)?;
            at = self.follow(member);
        }
        Some(at)
    }

    /// The value of an attribute in a set that is written out.
    fn member(&self, set: &SyntaxNode, name: &str) -> Option<SyntaxNode> {
        let set = ast::AttrSet::cast(set.clone())?;
        let binding = set.attrpath_values().find(|b| {
            let path: Vec<_> = b.attrpath().map(|p| p.attrs().collect()).unwrap_or_default();
            path.len() == 1 && path.first().and_then(static_name).as_deref() == Some(name)
        })?;
        binding.value().map(|v| v.syntax().clone())
    }

    fn item(&self, list: &SyntaxNode, i: usize) -> Option<SyntaxNode> {
        let item = ast::List::cast(list.clone())?.items().nth(i)?;
        Some(self.follow(item.syntax().clone()))
    }
}
