//! NXA311: an axis of a matrix that the job does not look at.

use rnix::ast::{self, HasEntry};
use rnix::{NodeOrToken, SyntaxKind, SyntaxNode};
use rowan::ast::AstNode;

use crate::diag::{Diagnostic, Severity};
use crate::lint::text::Text;
use crate::syntax::names::static_name;

/// Keys of a matrix that are not axes.
const OPTIONS: [&str; 4] = ["include", "exclude", "failFast", "maxParallel"];

pub(in crate::lint) fn check(text: &Text, out: &mut Vec<Diagnostic>) {
    for binding in
        text.nodes_of(SyntaxKind::NODE_ATTRPATH_VALUE).iter().cloned().filter_map(ast::AttrpathValue::cast)
    {
        let path: Vec<_> = binding.attrpath().map(|p| p.attrs().collect()).unwrap_or_default();
        let named = path.len() == 1 && static_name(&path[0]).as_deref() == Some("matrix");
        let (true, Some(ast::Expr::AttrSet(matrix))) = (named, binding.value()) else { continue };
        let Some(job) = binding.syntax().parent().and_then(ast::AttrSet::cast) else { continue };
        let others: Vec<SyntaxNode> =
            job.entries().map(|e| e.syntax().clone()).filter(|n| n != binding.syntax()).collect();
        // What is written elsewhere cannot be looked through.
        if others.iter().any(|o| !is_whole(o)) {
            continue;
        }
        for axis in matrix.attrpath_values() {
            let names: Vec<_> = axis.attrpath().map(|p| p.attrs().collect()).unwrap_or_default();
            let [attr] = &names[..] else { continue };
            let Some(name) = static_name(attr).filter(|n| !OPTIONS.contains(&n.as_str())) else { continue };
            if others.iter().any(|o| mentions(o, &name)) {
                continue;
            }
            let mut d = text.find(
                Severity::Warning,
                "NXA311",
                format!("the axis `{name}` makes copies of the job that are all alike"),
                attr.syntax().text_range(),
                "the job does not use it",
            );
            d.help = Some(format!(
                "use it, as an argument of a field (`steps = {{ {name}, ... }}: …`) or as `$MATRIX_{}`, or remove it",
                name.to_ascii_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_")
            ));
            out.push(d);
        }
    }
}

/// Whether all that a field depends on is written in it: no name comes from outside but the
/// library, and no function takes the whole combination on.
fn is_whole(field: &SyntaxNode) -> bool {
    if field.kind() == SyntaxKind::NODE_INHERIT {
        return false;
    }
    let own: Vec<String> = field
        .descendants()
        .filter(|n| {
            matches!(
                n.kind(),
                SyntaxKind::NODE_IDENT_PARAM | SyntaxKind::NODE_PAT_ENTRY | SyntaxKind::NODE_PAT_BIND
            )
        })
        .filter_map(|n| n.children().find(|c| c.kind() == SyntaxKind::NODE_IDENT))
        .map(|n| n.text().to_string())
        .collect();
    field.descendants().filter_map(ast::Ident::cast).all(|ident| {
        let node = ident.syntax();
        let in_path = node.parent().is_some_and(|p| {
            matches!(
                p.kind(),
                SyntaxKind::NODE_ATTRPATH | SyntaxKind::NODE_PAT_ENTRY | SyntaxKind::NODE_IDENT_PARAM
            )
        });
        let name = node.text().to_string();
        let known =
            ["nixactions", "platform", "pkgs", "lib", "builtins", "true", "false", "null", "toString", "map"];
        // A parameter used by itself, not as `vars.axis`, goes on whole.
        let selected = node.parent().is_some_and(|p| p.kind() == SyntaxKind::NODE_SELECT);
        let whole = own.contains(&name) && !selected && is_plain_parameter(field, &name);
        in_path || ((known.contains(&name.as_str()) || own.contains(&name)) && !whole)
    })
}

fn is_plain_parameter(field: &SyntaxNode, name: &str) -> bool {
    let plain = |k| matches!(k, SyntaxKind::NODE_IDENT_PARAM | SyntaxKind::NODE_PAT_BIND);
    field.descendants().filter(|n| plain(n.kind())).any(|n| n.text().to_string().contains(name))
}

/// Whether a name, or its variable, occurs in a field.
fn mentions(field: &SyntaxNode, name: &str) -> bool {
    let variable: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    let variable = format!("MATRIX_{variable}");
    field.descendants_with_tokens().filter_map(NodeOrToken::into_token).any(|t| {
        t.text() == name
            || (t.kind() == SyntaxKind::TOKEN_STRING_CONTENT
                && (t.text().contains(&variable) || t.text() == name))
    })
}
