//! NXA016: the old form `let { …; body = …; }`.

use rnix::ast::{self, HasEntry};
use rnix::{SyntaxKind, TextRange};
use rowan::ast::AstNode;

use crate::diag::{Applicability, Diagnostic, Severity};
use crate::lint::text::Text;
use crate::syntax::names::static_name;

pub(in crate::lint) fn check(text: &Text, out: &mut Vec<Diagnostic>) {
    for node in text.nodes_of(SyntaxKind::NODE_LEGACY_LET).iter().cloned().filter_map(ast::LegacyLet::cast) {
        let Some(word) = node.let_token() else { continue };
        let mut d = text.find(
            Severity::Warning,
            "NXA016",
            "`let { … }` is an old form that most tools no longer read",
            word.text_range(),
            "the old form",
        );
        d.help = Some("write `let … in body`".into());
        if let Some((range, new)) = modern(text, &node) {
            let edit = text.edit(range, new);
            d.fixes.push(text.fix("write `let … in`", edit, Applicability::Unsafe));
        }
        out.push(d);
    }
}

/// The same as `let … in body`, when `body` is one plain binding that nothing else refers to.
fn modern(text: &Text, node: &ast::LegacyLet) -> Option<(TextRange, String)> {
    let names = text.names();
    let body = names.bindings.iter().find(|b| b.owner == *node.syntax() && b.name == "body")?;
    let is_body = |a: &ast::AttrpathValue| {
        let path: Vec<_> = a.attrpath().map(|p| p.attrs().collect()).unwrap_or_default();
        path.len() == 1 && path.first().and_then(static_name).as_deref() == Some("body")
    };
    let binding = node.attrpath_values().find(is_body)?;
    // The one use is that of the `let` itself.
    if body.uses.len() != 1 || body.entries.len() != 1 {
        return None;
    }
    let value = binding.value()?.syntax().text().to_string();
    let mut inside = String::new();
    for child in node.syntax().children_with_tokens() {
        let own =
            |k| matches!(k, SyntaxKind::TOKEN_LET | SyntaxKind::TOKEN_L_BRACE | SyntaxKind::TOKEN_R_BRACE);
        if own(child.kind()) || child.as_node() == Some(binding.syntax()) {
            continue;
        }
        inside.push_str(&child.to_string());
    }
    Some((node.syntax().text_range(), format!("(let {} in {value})", inside.trim())))
}
