//! NXA406: a value from outside pasted into a script.

use rnix::ast;
use rowan::ast::AstNode;

use super::script_strings;
use crate::diag::{Diagnostic, Severity};
use crate::lint::text::Text;
use crate::syntax::names::{BindingKind, Target, static_name};

pub(in crate::lint) fn check(text: &Text, out: &mut Vec<Diagnostic>) {
    for script in script_strings(text) {
        for hole in script.syntax().children().filter_map(ast::Interpol::cast) {
            let Some(what) = hole.expr().and_then(|e| from_outside(text, &e)) else { continue };
            let mut d = text.find(
                Severity::Warning,
                "NXA406",
                format!("{what} becomes part of the script"),
                hole.syntax().text_range(),
                "whoever sets it can run any command",
            );
            d.help = Some(
                "pass it as a variable, `env.NAME = …;` and \"$NAME\", or quote it with `lib.escapeShellArg`"
                    .into(),
            );
            out.push(d);
        }
    }
}

/// What a value from outside is called: an input of the workflow, or a variable of the environment.
fn from_outside(text: &Text, e: &ast::Expr) -> Option<String> {
    match e {
        ast::Expr::Paren(p) => from_outside(text, &p.expr()?),
        ast::Expr::Select(select) => {
            let ast::Expr::Ident(base) = select.expr()? else { return None };
            let Target::Binding(b) = text.names().use_at(base.syntax().text_range())?.target else {
                return None;
            };
            let binding = &text.names().bindings[b];
            let is_argument = binding.kind == BindingKind::Formal && binding.name == "inputs";
            let of_file = binding.owner.parent().is_some_and(|p| p.kind() == rnix::SyntaxKind::NODE_ROOT);
            let name = select.attrpath()?.attrs().next().as_ref().and_then(static_name)?;
            (is_argument && of_file).then(|| format!("the workflow input `{name}`"))
        }
        ast::Expr::Apply(call) => {
            let f = call.lambda()?.syntax().text().to_string();
            (f == "builtins.getEnv").then(|| "a variable of the environment".into())
        }
        _ => None,
    }
}
