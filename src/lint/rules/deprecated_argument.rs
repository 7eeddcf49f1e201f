//! NXA503: older names of what the library offers.

use rnix::ast;
use rowan::ast::AstNode;

use crate::diag::{Applicability, Diagnostic, Fix, Severity};
use crate::lint::text::Text;
use crate::syntax::names::BindingKind;

/// Older names of the arguments of a workflow file, and their names now.
const ARGUMENTS: [(&str, &str); 1] = [("platform", "nixactions")];

pub(in crate::lint) fn check(text: &Text, out: &mut Vec<Diagnostic>) {
    let root = ast::Root::cast(text.root().clone()).and_then(|r| r.expr());
    let Some(ast::Expr::Lambda(lambda)) = root else { return };
    let names = text.names();
    for b in &names.bindings {
        if b.kind != BindingKind::Formal || b.owner != *lambda.syntax() || b.value.is_some() {
            continue;
        }
        let Some((_, new)) = ARGUMENTS.iter().find(|(old, _)| *old == b.name) else { continue };
        let mut d = text.find(
            Severity::Warning,
            "NXA503",
            format!("`{}` is the older name of the argument `{new}`", b.name),
            b.range,
            format!("now called `{new}`"),
        );
        // Uses as `inherit platform;` name an attribute as well.
        let only_names = b.uses.iter().all(|&u| {
            let at = names.uses[u].range;
            let node = text.node_at(at.start().into(), at.end().into());
            node.and_then(|n| n.parent()).is_some_and(|p| p.kind() != rnix::SyntaxKind::NODE_INHERIT)
        });
        if only_names && names.bindings.iter().all(|other| other.name != *new) {
            let all = std::iter::once(b.range).chain(b.uses.iter().map(|&u| names.uses[u].range));
            d.fixes.push(Fix {
                title: format!("rename `{}` to `{new}`", b.name),
                edits: all.map(|r| text.edit(r, *new)).collect(),
                applicability: Applicability::Safe,
            });
        }
        out.push(d);
    }
}
