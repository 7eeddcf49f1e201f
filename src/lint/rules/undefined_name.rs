//! NXA011: a name that nothing defines, in files that are not evaluated.

use crate::base::suggest;
use rnix::ast;
use rnix::{SyntaxKind, SyntaxNode};
use rowan::ast::AstNode;

use crate::diag::{Diagnostic, Severity};
use crate::lint::programs;
use crate::lint::text::Text;
use crate::syntax::names::Target;

pub(in crate::lint) fn check(text: &Text, out: &mut Vec<Diagnostic>) {
    let names = text.names();
    for u in names.uses.iter().filter(|u| u.target == Target::Undefined) {
        let in_scope = names.bindings.iter().filter(|b| b.owner.text_range().contains_range(u.range));
        let near = suggest::did_you_mean(&u.name, in_scope.map(|b| b.name.as_str()));
        let message = format!("undefined variable '{}'", u.name);
        let mut d = text.find(Severity::Error, "NXA011", message, u.range, "");
        d.help = near;
        out.push(d);
    }
}

/// Adds a way out to the findings of this code that have none, whoever made them.
pub(in crate::lint) fn help(text: &Text, found: &mut [Diagnostic]) {
    for d in found.iter_mut().filter(|d| d.code == "NXA011" && d.help.is_none()) {
        let place = d.primary.as_ref().map(|l| &l.place);
        let Some(place) = place.filter(|p| p.source.name() == text.source().name()) else { continue };
        d.help = text.node_at(place.start, place.end).and_then(|node| of_name(text, &node));
    }
}

fn of_name(text: &Text, node: &SyntaxNode) -> Option<String> {
    let name = node.text().to_string();
    let hole = node.ancestors().find(|n| n.kind() == SyntaxKind::NODE_INTERPOL);
    if let Some(hole) = hole.filter(|h| h.text() == format!("${{{name}}}").as_str()) {
        let string = hole.parent()?.first_token()?;
        let escaped = if string.text() == "''" { "''${" } else { "\\${" };
        return Some(format!(
            "Nix fills in `${{{name}}}`; for a variable of the shell write `{escaped}{name}}}` or `${name}`"
        ));
    }
    if ["nixactions", "pkgs", "lib", "inputs"].contains(&name.as_str()) {
        let root = ast::Root::cast(text.root().clone()).and_then(|r| r.expr());
        let takes =
            matches!(&root, Some(ast::Expr::Lambda(l)) if matches!(l.param(), Some(ast::Param::Pattern(_))));
        let more = if name == "nixactions" { String::new() } else { format!("{name}, ") };
        return Some(match takes {
            true => format!("add `{name}` to the arguments at the top of the file"),
            false => format!("begin the file with its arguments: `{{ nixactions, {more}... }}:`"),
        });
    }
    let package =
        programs::package_of(&name).filter(|_| name != "python").or_else(|| programs::attribute(&name))?;
    Some(format!("packages are members of `pkgs`: `pkgs.{package}`"))
}
