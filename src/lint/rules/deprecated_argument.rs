//! NXA503: older names of what the library offers.

use rnix::ast;
use rnix::{SyntaxKind, TextRange};
use rowan::ast::AstNode;

use crate::diag::{Applicability, Diagnostic, Fix, Severity};
use crate::lint::text::Text;
use crate::syntax::names::{BindingKind, static_name};

/// Older names of the arguments of a workflow file, and their names now.
const ARGUMENTS: [(&str, &str); 1] = [("platform", "nixactions")];

/// Actions of older versions, and the environment provider that does their work now.
const ACTIONS: [(&str, &str); 6] = [
    ("requireEnv", "required"),
    ("sopsLoad", "sops"),
    ("ageDecrypt", "age"),
    ("vaultLoad", "vault"),
    ("opLoad", "onePassword"),
    ("bwLoad", "bitwarden"),
];

/// An action that is no more, in `actions.NAME`: its name's place and its successor.
fn older_actions(text: &Text) -> impl Iterator<Item = (TextRange, &'static str, &'static str)> + '_ {
    let selects = text.nodes_of(SyntaxKind::NODE_SELECT).iter().cloned().filter_map(ast::Select::cast);
    selects.filter_map(|select| {
        let of_library = match select.expr()? {
            ast::Expr::Ident(i) => i.syntax().text().to_string(),
            _ => return None,
        };
        let names: Vec<ast::Attr> = select.attrpath()?.attrs().collect();
        let path: Vec<String> = names.iter().filter_map(static_name).collect();
        let [.., before, name] = &[&[of_library][..], &path].concat()[..] else { return None };
        let (old, new) = ACTIONS.iter().find(|(old, _)| old == name && before == "actions")?;
        Some((names.last()?.syntax().text_range(), *old, *new))
    })
}

/// NXA503 for actions of older versions. Where evaluation has failed at one, that error says it.
pub(in crate::lint) fn actions(text: &Text, out: &mut Vec<Diagnostic>) {
    for (range, old, new) in older_actions(text) {
        let message = format!("the action `{old}` was replaced by an environment provider");
        let mut d = text.find(Severity::Warning, "NXA503", message, range, "no action any more");
        d.help = Some(instead(new));
        out.push(d);
    }
}

fn instead(new: &str) -> String {
    format!("give `nixactions.envProviders.{new}` in `envFrom` of the step, job or workflow")
}

/// Adds the way out to errors of evaluation about actions that are no more.
pub(in crate::lint) fn help(text: &Text, found: &mut [Diagnostic]) {
    for d in found.iter_mut().filter(|d| d.code == "NXA022") {
        let place = d.primary.as_ref().map(|l| &l.place);
        let Some(place) = place.filter(|p| p.source.name() == text.source().name()) else { continue };
        let at = text.node_at(place.start, place.end).map(|n| n.text_range());
        let Some(older) = older_actions(text).find(|o| Some(o.0) == at) else { continue };
        d.message = format!("the action `{}` was replaced by an environment provider", older.1);
        d.help = Some(instead(older.2));
    }
}

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
            node.and_then(|n| n.parent()).is_some_and(|p| p.kind() != SyntaxKind::NODE_INHERIT)
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
