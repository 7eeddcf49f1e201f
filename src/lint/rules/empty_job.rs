//! NXA006 as a hint: a job written as `{ }`, which is left out.

use rnix::SyntaxKind;
use rnix::ast::{self, HasEntry};
use rowan::ast::AstNode;

use crate::diag::{Diagnostic, Severity};
use crate::lint::text::Text;
use crate::syntax::names::static_name;

pub(in crate::lint) fn check(text: &Text, out: &mut Vec<Diagnostic>) {
    for set in text.nodes_of(SyntaxKind::NODE_ATTR_SET).iter().cloned().filter_map(ast::AttrSet::cast) {
        if set.entries().next().is_some() || !is_job(&set) {
            continue;
        }
        let mut d = text.find(
            Severity::Hint,
            "NXA006",
            "a job that is `{ }` is left out of the workflow",
            set.syntax().text_range(),
            "no job comes of this",
        );
        d.help = Some("give it `steps`, or remove it".into());
        out.push(d);
    }
}

/// Whether a set stands under a name in `jobs`.
fn is_job(set: &ast::AttrSet) -> bool {
    let Some(binding) = set.syntax().parent().and_then(ast::AttrpathValue::cast) else { return false };
    let names = |b: &ast::AttrpathValue| -> Vec<Option<String>> {
        b.attrpath().map(|p| p.attrs().map(|a| static_name(&a)).collect()).unwrap_or_default()
    };
    let is_jobs = |n: &Option<String>| n.as_deref() == Some("jobs");
    let path = names(&binding);
    if let [first, _] = &path[..] {
        return is_jobs(first);
    }
    let outer = binding.syntax().parent().and_then(|s| s.parent()).and_then(ast::AttrpathValue::cast);
    path.len() == 1 && outer.is_some_and(|o| names(&o).last().is_some_and(is_jobs))
}
