//! Whether a Nix file is a workflow file, by the look of its text.

use rnix::ast::{self, HasEntry};
use rowan::ast::AstNode;

use super::text::Text;
use crate::syntax::names::static_name;

/// Files that are workflows by their name.
const NAMES: [&str; 2] = ["nixactions.nix", "ci.nix"];

/// Whether a text gives a workflow when it is evaluated, as far as the text shows: its name is one
/// that a workflow has, it calls `mkWorkflow`, it is a set with `jobs` or with such workflows, or it
/// asks for `nixactions` and gives something else than a set without `jobs`.
pub(super) fn is_workflow(text: &Text) -> bool {
    let file = text.source().path().and_then(|p| p.file_name()).and_then(|n| n.to_str());
    if file.is_some_and(|n| NAMES.contains(&n)) {
        return true;
    }
    let Some(root) = ast::Root::cast(text.root().clone()).and_then(|r| r.expr()) else { return false };
    let mut asks = false;
    let mut at = root;
    loop {
        if let ast::Expr::Lambda(lambda) = &at {
            // A function of a plain argument is called by other files.
            let Some(ast::Param::Pattern(pattern)) = lambda.param() else { return false };
            let named =
                |n: &str| pattern.pat_entries().filter_map(|e| e.ident()).any(|i| i.syntax().text() == n);
            asks |= named("nixactions") || named("platform");
        }
        let Some(inner) = inside(&at) else { break };
        at = inner;
    }
    match &at {
        ast::Expr::AttrSet(set) => {
            let has = |name: &str| {
                let first = |b: &ast::AttrpathValue| b.attrpath().and_then(|p| p.attrs().next());
                set.attrpath_values()
                    .filter_map(|b| first(&b))
                    .any(|a| static_name(&a).as_deref() == Some(name))
            };
            (has("jobs") && (has("name") || asks))
                || set.attrpath_values().filter_map(|b| b.value()).any(|v| makes_workflow(&v))
        }
        other => asks || makes_workflow(other),
    }
}

/// What an expression gives, without what stands around it.
pub(super) fn inside(e: &ast::Expr) -> Option<ast::Expr> {
    match e {
        ast::Expr::Lambda(l) => l.body(),
        ast::Expr::LetIn(l) => l.body(),
        ast::Expr::With(w) => w.body(),
        ast::Expr::Assert(a) => a.body(),
        ast::Expr::Paren(p) => p.expr(),
        _ => None,
    }
}

/// Whether an expression is a call of `mkWorkflow`.
fn makes_workflow(e: &ast::Expr) -> bool {
    let mut at = e.clone();
    while let Some(inner) = inside(&at).filter(|_| !matches!(at, ast::Expr::Lambda(_))) {
        at = inner;
    }
    let ast::Expr::Apply(call) = at else { return false };
    match call.lambda() {
        Some(ast::Expr::Ident(f)) => f.syntax().text() == "mkWorkflow",
        Some(ast::Expr::Select(f)) => {
            let last = f.attrpath().and_then(|p| p.attrs().last());
            last.as_ref().and_then(static_name).as_deref() == Some("mkWorkflow")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::source::{Source, SourceName};

    fn guess(text: &str) -> bool {
        let source = Source::new(SourceName::Path("/p/x.nix".into()), text.as_bytes().to_vec());
        is_workflow(&Text::new(source).expect("UTF-8"))
    }

    #[test]
    fn workflows_and_other_files_are_told_apart() {
        assert!(guess("{ nixactions, ... }: nixactions.mkWorkflow { }"));
        assert!(guess("{ nixactions }: let x = 1; in { a = nixactions.mkWorkflow { }; }"));
        assert!(guess("{ name = \"x\"; jobs.a.steps = [ ]; }"));
        assert!(guess("{ nixactions, ... }@args: import ./lib.nix args"));
        assert!(!guess("{ lib }: { f = n: n.mkWorkflow { }; }"));
        assert!(!guess("{ nixactions }: { lint.steps = [ ]; }"));
        assert!(!guess("nixactions: nixactions.mkWorkflow { }"));
        assert!(!guess("{ pkgs ? import <nixpkgs> { } }: pkgs.hello"));
        assert!(!guess("{"));
    }
}
