//! NXA010: attributes defined twice. Evaluation stops at the first; this finds all.

use std::collections::HashMap;

use rnix::ast::{self, HasEntry};
use rnix::{SyntaxKind, SyntaxNode, TextRange};
use rowan::ast::AstNode;

use crate::diag::{Diagnostic, Severity};
use crate::lint::text::Text;
use crate::syntax::names::static_name;

pub(in crate::lint) fn check(text: &Text, out: &mut Vec<Diagnostic>) {
    // A text without errors has none.
    if text.errors().is_empty() {
        return;
    }
    type Entries = fn(SyntaxNode) -> Vec<ast::Entry>;
    let kinds: [(SyntaxKind, Entries); 3] = [
        (SyntaxKind::NODE_ATTR_SET, entries_of::<ast::AttrSet>),
        (SyntaxKind::NODE_LET_IN, entries_of::<ast::LetIn>),
        (SyntaxKind::NODE_LEGACY_LET, entries_of::<ast::LegacyLet>),
    ];
    for (kind, entries) in kinds {
        text.nodes_of(kind).iter().for_each(|node| one_set(text, &entries(node.clone()), out));
    }
}

fn entries_of<T: HasEntry + AstNode<Language = rnix::NixLanguage>>(node: SyntaxNode) -> Vec<ast::Entry> {
    T::cast(node).map(|n| n.entries().collect()).unwrap_or_default()
}

fn one_set(text: &Text, entries: &[ast::Entry], out: &mut Vec<Diagnostic>) {
    // Where a name stands, and whether what is bound to it can be merged with more.
    let mut seen: HashMap<String, (TextRange, bool)> = HashMap::new();
    for entry in entries {
        let names: Vec<(ast::Attr, bool)> = match entry {
            ast::Entry::Inherit(i) => i.attrs().map(|a| (a, false)).collect(),
            ast::Entry::AttrpathValue(b) => {
                let path: Vec<_> = b.attrpath().map(|p| p.attrs().collect()).unwrap_or_default();
                let merges = path.len() > 1 || matches!(b.value(), Some(ast::Expr::AttrSet(_)));
                path.into_iter().take(1).map(|a| (a, merges)).collect()
            }
        };
        for (attr, merges) in names {
            let Some(name) = static_name(&attr) else { continue };
            let range = attr.syntax().text_range();
            match seen.get(&name) {
                Some(&(_, true)) if merges => {}
                Some(&(first, _)) => {
                    let message = format!("attribute '{name}' is already defined");
                    let mut d = text.find(Severity::Error, "NXA010", message, range, "defined again here");
                    d.secondary.push(text.label(first, "first defined here"));
                    out.push(d);
                }
                None => {
                    seen.insert(name, (range, merges));
                }
            }
        }
    }
}
