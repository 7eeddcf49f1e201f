//! Selection ranges: from the word at an offset outwards, construct by construct.

use rnix::{SyntaxKind, TextRange};

use super::document::Document;

/// The ranges around an offset, innermost first, each larger than the one before.
pub fn ranges(document: &Document, offset: u32) -> Vec<TextRange> {
    let Some(token) = document.token_at(offset) else { return vec![TextRange::empty(offset.into())] };
    let mut out = vec![];
    if !token.kind().is_trivia() || token.kind() == SyntaxKind::TOKEN_COMMENT {
        out.push(token.text_range());
    }
    for node in token.parent_ancestors() {
        // The inside of quotes and brackets before these themselves.
        if matches!(node.kind(), SyntaxKind::NODE_STRING | SyntaxKind::NODE_ATTR_SET | SyntaxKind::NODE_LIST)
            && let (Some(first), Some(last)) = (node.first_token(), node.last_token())
            && first.text_range().end() <= last.text_range().start()
        {
            let start = match node.kind() == SyntaxKind::NODE_ATTR_SET {
                true => node.children_with_tokens().find(|t| t.kind() == SyntaxKind::TOKEN_L_BRACE),
                false => None,
            };
            let start = start.map_or(first.text_range().end(), |t| t.text_range().end());
            out.push(TextRange::new(start.min(last.text_range().start()), last.text_range().start()));
        }
        out.push(node.text_range());
    }
    let mut growing: Vec<TextRange> = Vec::with_capacity(out.len());
    for r in out {
        let larger = growing.last().is_none_or(|l| r.contains_range(*l) && r != *l);
        if larger && r.contains_inclusive(offset.into()) {
            growing.push(r);
        }
    }
    if growing.is_empty() { vec![TextRange::empty(offset.into())] } else { growing }
}
