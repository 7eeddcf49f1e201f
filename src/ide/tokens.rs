//! Semantic tokens: what colours alone, without the tree, cannot tell.

use rnix::{SyntaxElement, SyntaxKind, SyntaxNode, TextRange};

use super::place::Context;
use super::scope::{DefKind, Resolved, attr_name, is_variable};
use super::target::is_need;
use rnix::ast;
use rowan::ast::AstNode;

/// The types of tokens, in the order of their numbers (those of the protocol's
/// `SemanticTokenTypes`).
pub const TYPES: [&str; 10] = [
    "keyword",
    "comment",
    "string",
    "number",
    "variable",
    "parameter",
    "property",
    "function",
    "enumMember",
    "class",
];
/// The modifiers, in the order of their bits.
pub const MODIFIERS: [&str; 3] = ["declaration", "defaultLibrary", "unresolved"];

const KEYWORD: u32 = 0;
const COMMENT: u32 = 1;
const STRING: u32 = 2;
const NUMBER: u32 = 3;
const VARIABLE: u32 = 4;
const PARAMETER: u32 = 5;
const PROPERTY: u32 = 6;
const FUNCTION: u32 = 7;
const ENUM_MEMBER: u32 = 8;
const CLASS: u32 = 9;

const DECLARATION: u32 = 1;
const DEFAULT_LIBRARY: u32 = 2;
const UNRESOLVED: u32 = 4;

/// A token of some type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its place; it may go over several lines.
    pub range: TextRange,
    /// Index into [`TYPES`].
    pub ty: u32,
    /// Bits of [`MODIFIERS`].
    pub modifiers: u32,
}

/// The tokens in a range, in order.
pub fn tokens(context: &Context<'_>, within: TextRange) -> Vec<Token> {
    let mut out = Vec::new();
    below(context, &context.root, within, &mut out);
    out
}

/// The tokens of a node. Children before the range are not walked through: a set may have very many.
fn below(context: &Context<'_>, node: &SyntaxNode, within: TextRange, out: &mut Vec<Token>) {
    let start = TextRange::empty(within.start());
    let first = match node.text_range().contains_range(start) {
        true => node.child_or_token_at_range(start),
        false => node.first_child_or_token(),
    };
    let children = std::iter::successors(first, |e| e.next_sibling_or_token());
    for element in children.take_while(|e| e.text_range().start() < within.end()) {
        let range = element.text_range();
        if range.end() <= within.start() {
            continue;
        }
        let found = match &element {
            SyntaxElement::Node(n) if n.kind() == SyntaxKind::NODE_IDENT => ident(context, n),
            SyntaxElement::Node(n) if n.kind() == SyntaxKind::NODE_STRING && is_need(n) => {
                Some((ENUM_MEMBER, 0))
            }
            SyntaxElement::Node(_) => None,
            SyntaxElement::Token(t) => token(t.kind()).map(|ty| (ty, 0)),
        };
        match (found, element) {
            (Some((ty, modifiers)), _) => out.push(Token { range, ty, modifiers }),
            (None, SyntaxElement::Node(n)) => below(context, &n, within, out),
            (None, SyntaxElement::Token(_)) => {}
        }
    }
}

fn token(kind: SyntaxKind) -> Option<u32> {
    use SyntaxKind::*;
    Some(match kind {
        TOKEN_ASSERT | TOKEN_ELSE | TOKEN_IF | TOKEN_IN | TOKEN_INHERIT | TOKEN_LET | TOKEN_OR
        | TOKEN_REC | TOKEN_THEN | TOKEN_WITH => KEYWORD,
        TOKEN_COMMENT => COMMENT,
        TOKEN_STRING_START | TOKEN_STRING_CONTENT | TOKEN_STRING_END | TOKEN_URI | TOKEN_PATH_ABS
        | TOKEN_PATH_HOME | TOKEN_PATH_REL | TOKEN_PATH_SEARCH => STRING,
        TOKEN_INTEGER | TOKEN_FLOAT => NUMBER,
        TOKEN_CUR_POS => VARIABLE,
        _ => return None,
    })
}

fn ident(context: &Context<'_>, node: &SyntaxNode) -> Option<(u32, u32)> {
    let parent = node.parent()?;
    let bound = match context.scopes.resolve(node) {
        Resolved::Def(d) if d.range == node.text_range() => Some(d),
        _ => None,
    };
    if !is_variable(node) && bound.is_none() {
        return Some(attribute(&parent));
    }
    Some(match context.scopes.resolve(node) {
        Resolved::Def(d) => {
            let modifiers = if d.range == node.text_range() { DECLARATION } else { 0 };
            let function = d.value.is_some_and(|v| v.kind() == SyntaxKind::NODE_LAMBDA);
            match d.kind {
                DefKind::Parameter | DefKind::Formal => (PARAMETER, modifiers),
                DefKind::Rec => (PROPERTY, modifiers),
                _ if function => (FUNCTION, modifiers),
                _ => (VARIABLE, modifiers),
            }
        }
        Resolved::With(_) => (VARIABLE, 0),
        Resolved::Builtin(name) => match name.as_str() {
            "true" | "false" | "null" => (KEYWORD, 0),
            "builtins" => (CLASS, DEFAULT_LIBRARY),
            _ => (FUNCTION, DEFAULT_LIBRARY),
        },
        Resolved::Unknown => (VARIABLE, UNRESOLVED),
    })
}

/// The key of an entry, or a selected attribute.
fn attribute(path: &SyntaxNode) -> (u32, u32) {
    let entry = path.parent().filter(|p| p.kind() == SyntaxKind::NODE_ATTRPATH_VALUE);
    let builtin = path
        .parent()
        .and_then(ast::Select::cast)
        .and_then(|s| s.expr())
        .is_some_and(|e| e.syntax().text() == "builtins");
    let known = builtin
        && ast::Attrpath::cast(path.clone())
            .and_then(|p| p.attrs().next())
            .and_then(|a| attr_name(&a))
            .is_some_and(|n| crate::eval::builtins::all().any(|b| b.name == n));
    match (entry.is_some(), known) {
        (true, _) => (PROPERTY, DECLARATION),
        (_, true) => (FUNCTION, DEFAULT_LIBRARY),
        _ => (PROPERTY, 0),
    }
}
