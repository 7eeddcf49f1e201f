//! NXA015: `rec` on a set whose attributes do not refer to each other.

use rnix::{NodeOrToken, SyntaxKind, TextRange, ast};
use rowan::ast::AstNode;

use crate::diag::{Applicability, Diagnostic, Severity};
use crate::lint::text::Text;

pub(in crate::lint) fn check(text: &Text, out: &mut Vec<Diagnostic>) {
    if !text.errors().is_empty() {
        return;
    }
    let names = text.names();
    for set in text.nodes_of(SyntaxKind::NODE_ATTR_SET).iter().cloned().filter_map(ast::AttrSet::cast) {
        let Some(rec) = set.rec_token() else { continue };
        let mut own = names.bindings.iter().filter(|b| b.owner == *set.syntax());
        // `__overrides` changes what the others refer to.
        if own.any(|b| !b.uses.is_empty() || b.name == "__overrides") {
            continue;
        }
        let mut d = text.find(
            Severity::Warning,
            "NXA015",
            "this `rec` is redundant: no attribute of the set refers to another",
            rec.text_range(),
            "nothing refers to the set's own attributes",
        );
        let end = match rec.next_sibling_or_token() {
            Some(NodeOrToken::Token(blank)) if blank.kind() == SyntaxKind::TOKEN_WHITESPACE => {
                blank.text_range().end()
            }
            _ => rec.text_range().end(),
        };
        let edit = text.edit(TextRange::new(rec.text_range().start(), end), "");
        d.fixes.push(text.fix("remove the `rec`", edit, Applicability::Safe));
        out.push(d);
    }
}
