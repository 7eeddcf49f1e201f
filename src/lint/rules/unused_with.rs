//! NXA014: a `with` from which no name can come.

use rnix::{TextRange, ast};
use rowan::ast::AstNode;

use crate::diag::{Applicability, Diagnostic, Severity};
use crate::lint::text::Text;

pub(in crate::lint) fn check(text: &Text, out: &mut Vec<Diagnostic>) {
    if !text.errors().is_empty() {
        return;
    }
    for w in text.names().withs.iter().filter(|w| !w.used) {
        let Some(with) = ast::With::cast(w.node.clone()) else { continue };
        let (Some(subject), Some(body)) = (with.namespace(), with.body()) else { continue };
        let start = w.node.text_range().start();
        let at = TextRange::new(start, subject.syntax().text_range().end());
        let mut d = text.find(
            Severity::Warning,
            "NXA014",
            "this `with` is redundant: every name inside is bound elsewhere",
            at,
            "no name comes from here",
        );
        let edit = text.edit(TextRange::new(start, body.syntax().text_range().start()), "");
        d.fixes.push(text.fix("remove the `with`", edit, Applicability::Safe));
        out.push(d);
    }
}
