//! The direct parser against the lossless tree: both accept the same texts and mean the same.
//!
//! The tree is written out again with every operation in parentheses and every string in its
//! plainest form; what the direct parser makes of that must be what it makes of the text itself.

mod deep;
mod lowering;

use bumpalo::Bump;
use nixactions::syntax::show::{show, write_string};
use nixactions::syntax::{Options, parse};
use rnix::ast::{AstNode, InterpolPart, Str};
use rnix::{NodeOrToken, Root, SyntaxKind, SyntaxNode};

fn direct(text: &[u8]) -> Result<String, String> {
    let arena = Bump::new();
    match parse(text, &arena, Options { pipes: true, ..Options::default() }) {
        Ok(e) => Ok(String::from_utf8_lossy(&show(e, b"/base")).into_owned()),
        Err(e) => Err(e.to_string()),
    }
}

// The bounds bring the methods of the tree library's trait, which is not imported, into scope.
fn cast<T: AstNode>(node: &SyntaxNode) -> Option<T> {
    T::cast(node.clone())
}

fn syntax<T: AstNode>(node: &T) -> &SyntaxNode {
    node.syntax()
}

fn rewritten(node: &SyntaxNode, out: &mut Vec<u8>) {
    use SyntaxKind::*;
    if let Some(string) = cast::<Str>(node) {
        return rewritten_string(&string, out);
    }
    let operation = matches!(
        node.kind(),
        NODE_APPLY
            | NODE_ASSERT
            | NODE_BIN_OP
            | NODE_HAS_ATTR
            | NODE_IF_ELSE
            | NODE_LAMBDA
            | NODE_LET_IN
            | NODE_SELECT
            | NODE_UNARY_OP
            | NODE_WITH
    );
    if operation {
        out.push(b'(');
    }
    for child in node.children_with_tokens() {
        match child {
            NodeOrToken::Node(inner) => rewritten(&inner, out),
            NodeOrToken::Token(token) if token.kind() == TOKEN_COMMENT => out.push(b' '),
            NodeOrToken::Token(token) => out.extend_from_slice(token.text().as_bytes()),
        }
    }
    if operation {
        out.push(b')');
    }
}

fn rewritten_string(string: &Str, out: &mut Vec<u8>) {
    out.push(b'"');
    for part in string.normalized_parts() {
        match part {
            InterpolPart::Literal(text) => {
                let mut quoted = Vec::new();
                write_string(&mut quoted, text.as_bytes());
                // A dollar at the end would join a hole that follows.
                let inside = &quoted[1..quoted.len() - 1];
                match inside.strip_suffix(b"$") {
                    Some(before) => {
                        out.extend_from_slice(before);
                        out.extend_from_slice(b"\\$");
                    }
                    None => out.extend_from_slice(inside),
                }
            }
            InterpolPart::Interpolation(hole) => {
                out.extend_from_slice(b"${");
                for child in syntax(&hole).children() {
                    rewritten(&child, out);
                }
                out.push(b'}');
            }
        }
    }
    out.push(b'"');
}

/// The texts of a corpus file of expressions and results, with or without holes in lines.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = include_str!("snippets.txt")
        .lines()
        .filter(|l| !l.starts_with('\t') && !l.starts_with("# "))
        .map(str::to_owned)
        .collect();
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lang");
    for entry in std::fs::read_dir(dir).expect("the language corpus is there").flatten() {
        let bytes = std::fs::read(entry.path()).expect("a corpus file can be read");
        let text = String::from_utf8_lossy(&bytes);
        let single = text.lines().filter_map(|l| l.strip_prefix("> ")).filter(|l| !l.contains('\u{fffd}'));
        texts.extend(single.map(str::to_owned));
    }
    texts
}

/// Whether the tree is known to say something else than Nix, which the direct parser follows.
fn tree_differs(text: &str) -> bool {
    // Carriage returns end comments and become newlines in strings.
    text.contains('\r') || DIFFERENCES.contains(&text)
}

const DIFFERENCES: &[&str] = &[
    "./a${\"x\"}//b",
    "1.e",
    ".../a",
    "-!a",
    "-!a + b",
    "a * !b + c",
    "f rec { a = 1; } let { body = 1; }",
    "[ let { body = 1; } rec { } ]",
    "0.a or 9",
    "let { body = x; x = y; y = 2; }.a",
    "let { body = { a = 3; }; }.a",
];

#[test]
fn both_accept_the_same_and_mean_the_same() {
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for text in texts() {
        let tree = Root::parse(&text);
        let ours = direct(text.as_bytes());
        match (&ours, tree.errors().is_empty()) {
            (Ok(ours), true) => {
                let mut plain = Vec::new();
                rewritten(&tree.syntax(), &mut plain);
                compared += 1;
                let theirs = direct(&plain);
                if theirs.as_ref() != Ok(ours) && !tree_differs(&text) {
                    let plain = String::from_utf8_lossy(&plain);
                    wrong.push(format!("{text}\n  direct {ours}\n  tree   {theirs:?}\n  as     {plain}"));
                }
            }
            (Ok(_), false) if !tree_differs(&text) => {
                wrong.push(format!("{text}\n  only the tree rejects it: {:?}", tree.errors()));
            }
            _ => {}
        }
    }
    assert!(compared > 1000, "only {compared} texts were compared");
    assert!(wrong.is_empty(), "{} of {compared} differ:\n{}", wrong.len(), wrong.join("\n"));
}
