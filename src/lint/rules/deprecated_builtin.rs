//! NXA018: builtins that have a better successor.

use rnix::SyntaxKind;
use rnix::ast;
use rowan::ast::AstNode;

use crate::diag::{Applicability, Diagnostic, Severity};
use crate::lint::text::Text;
use crate::syntax::names::{Target, static_name};

pub(in crate::lint) fn check(text: &Text, out: &mut Vec<Diagnostic>) {
    let global = |ident: &ast::Ident, name: &str| {
        let range = ident.syntax().text_range();
        ident.syntax().text() == name
            && text.names().use_at(range).is_some_and(|u| u.target == Target::Global)
    };
    for apply in text.nodes_of(SyntaxKind::NODE_APPLY).iter().cloned().filter_map(ast::Apply::cast) {
        let Some(ast::Expr::Ident(f)) = apply.lambda() else { continue };
        if !global(&f, "isNull") {
            continue;
        }
        let mut d = text.find(
            Severity::Hint,
            "NXA018",
            "`isNull` is deprecated",
            f.syntax().text_range(),
            "compare with `null`",
        );
        d.help = Some("write `value == null`".into());
        if let Some(argument) = apply.argument() {
            let new = format!("({} == null)", argument.syntax().text());
            let edit = text.edit(apply.syntax().text_range(), new);
            d.fixes.push(text.fix("compare with `null`", edit, Applicability::Safe));
        }
        out.push(d);
    }
    for select in text.nodes_of(SyntaxKind::NODE_SELECT).iter().cloned().filter_map(ast::Select::cast) {
        let (Some(ast::Expr::Ident(base)), Some(path)) = (select.expr(), select.attrpath()) else { continue };
        let names: Vec<_> = path.attrs().map(|a| static_name(&a)).collect();
        if global(&base, "builtins") && names.first().and_then(Option::as_deref) == Some("toPath") {
            let mut d = text.find(
                Severity::Warning,
                "NXA018",
                "`builtins.toPath` is deprecated",
                select.syntax().text_range(),
                "keeps its argument a string",
            );
            d.help = Some("write `/. + text` for a path, or a path literal".into());
            out.push(d);
        }
    }
}
