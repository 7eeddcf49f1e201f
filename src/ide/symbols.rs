//! The outline of a file, and the jobs of many files.

use rnix::ast;
use rnix::{SyntaxKind, SyntaxNode, TextRange};
use rowan::ast::AstNode;

use super::document::Document;
use super::place::path_names;
use super::target::jobs_written;

/// What a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    /// A job.
    Job,
    /// A step.
    Step,
    /// An attribute whose value is a set.
    Set,
    /// An attribute whose value is a list.
    List,
    /// An attribute whose value is a function.
    Function,
    /// Any other attribute.
    Attribute,
    /// A name bound by `let`.
    Variable,
}

/// A symbol and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: SymbolKind,
    /// The whole.
    pub range: TextRange,
    /// The name's place.
    pub selection: TextRange,
    /// What is inside.
    pub children: Vec<Symbol>,
}

/// Nesting that the outline shows.
const DEEPEST: u32 = 8;

/// The outline of a file.
pub fn outline(document: &Document) -> Vec<Symbol> {
    let root = document.root();
    let jobs: Vec<TextRange> = jobs_written(&root).into_iter().map(|j| j.range).collect();
    inside(&root, &jobs, 0)
}

fn inside(node: &SyntaxNode, jobs: &[TextRange], depth: u32) -> Vec<Symbol> {
    if depth > DEEPEST {
        return Vec::new();
    }
    // Walks on through what gives no symbol of its own, without recursion.
    let mut out = Vec::new();
    let mut open: Vec<SyntaxNode> = children(node);
    while let Some(n) = open.pop() {
        match n.kind() {
            SyntaxKind::NODE_ATTRPATH_VALUE => out.extend(entry(&n, jobs, depth)),
            SyntaxKind::NODE_ATTR_SET if is_step(&n) => {
                let children = inside(&n, jobs, depth + 1);
                let selection = TextRange::at(n.text_range().start(), 1.into());
                let name = step_name(&n).unwrap_or_else(|| "step".into());
                out.push(Symbol { name, kind: SymbolKind::Step, range: n.text_range(), selection, children });
            }
            _ => open.extend(children(&n)),
        }
    }
    out.sort_by_key(|s| s.range.start());
    out
}

fn children(node: &SyntaxNode) -> Vec<SyntaxNode> {
    let skip = [SyntaxKind::NODE_ATTRPATH, SyntaxKind::NODE_STRING, SyntaxKind::NODE_PATTERN];
    node.children().filter(|c| !skip.contains(&c.kind())).collect()
}

fn entry(node: &SyntaxNode, jobs: &[TextRange], depth: u32) -> Option<Symbol> {
    let entry = ast::AttrpathValue::cast(node.clone())?;
    let path = entry.attrpath()?;
    let selection = path.syntax().text_range();
    let name = path.syntax().text().to_string();
    let value = entry.value();
    let in_let = node.parent().is_some_and(|p| p.kind() == SyntaxKind::NODE_LET_IN);
    let kind = match &value {
        _ if path.attrs().any(|a| jobs.contains(&a.syntax().text_range())) => SymbolKind::Job,
        Some(ast::Expr::Lambda(_)) => SymbolKind::Function,
        _ if in_let => SymbolKind::Variable,
        Some(ast::Expr::AttrSet(_)) => SymbolKind::Set,
        Some(ast::Expr::List(_)) => SymbolKind::List,
        _ => SymbolKind::Attribute,
    };
    let children = value.map(|v| match v.syntax().kind() {
        SyntaxKind::NODE_STRING => Vec::new(),
        _ => inside(v.syntax(), jobs, depth + 1),
    });
    let children = children.unwrap_or_default();
    Some(Symbol { name, kind, range: node.text_range(), selection, children })
}

/// A set in a list `steps`.
fn is_step(set: &SyntaxNode) -> bool {
    let list = set.ancestors().skip(1).find(|n| {
        !matches!(n.kind(), SyntaxKind::NODE_LIST | SyntaxKind::NODE_BIN_OP | SyntaxKind::NODE_PAREN)
    });
    let in_list = set.parent().is_some_and(|p| p.kind() == SyntaxKind::NODE_LIST);
    let names = list.and_then(|n| path_names(&n));
    let last = names.and_then(|n| n.last().cloned());
    in_list && last.is_some_and(|l| l == "steps" || l == "actions")
}

fn step_name(set: &SyntaxNode) -> Option<String> {
    let named = set.children().find(|e| path_names(e).is_some_and(|n| n == ["name"]))?;
    super::scope::plain_string(ast::AttrpathValue::cast(named)?.value()?.syntax())
}

/// The jobs of a file whose names hold the letters of a query, in order.
pub fn matching_jobs(document: &Document, query: &str) -> Vec<(String, TextRange)> {
    let jobs = jobs_written(&document.root()).into_iter().filter(|j| matches(&j.name, query));
    jobs.map(|j| (j.name, j.range)).collect()
}

/// Whether the letters of a query occur in a name, in order and in any case.
pub fn matches(name: &str, query: &str) -> bool {
    let mut letters = name.chars().flat_map(char::to_lowercase);
    query.chars().flat_map(char::to_lowercase).all(|q| letters.any(|l| l == q))
}
