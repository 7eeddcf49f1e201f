//! NXA017: a URL without quotes.

use rnix::{SyntaxKind, SyntaxNode};

use crate::diag::{Applicability, Diagnostic, Severity};
use crate::lint::text::Text;

pub(in crate::lint) fn check(text: &Text, out: &mut Vec<Diagnostic>) {
    let first = |literal: &SyntaxNode| literal.first_token().filter(|t| t.kind() == SyntaxKind::TOKEN_URI);
    for token in text.nodes_of(SyntaxKind::NODE_LITERAL).iter().filter_map(first) {
        let mut d = text.find(
            Severity::Warning,
            "NXA017",
            "a URL without quotes is an old form of a string",
            token.text_range(),
            "a string",
        );
        // No character of a URL means anything in a string.
        let edit = text.edit(token.text_range(), format!("\"{}\"", token.text()));
        d.fixes.push(text.fix("put it in quotes", edit, Applicability::Safe));
        out.push(d);
    }
}
