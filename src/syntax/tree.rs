//! All syntax errors of a text, for people and tools.
//!
//! The direct parser decides whether a text is accepted and says what is wrong first, in Nix's
//! words; it stops there. The lossless tree goes on after an error and adds what else is wrong.

use std::sync::Arc;

use bumpalo::Bump;
use rnix::{Root, SyntaxKind};

use super::error::ParseError;
use super::parser::{Options, parse};
use super::reparse::Tree;
use crate::base::source::{Place, Source};
use crate::diag::diagnostic::{Diagnostic, Label};

/// Whether a text is a Nix expression.
pub fn accepts(text: &[u8]) -> bool {
    parse(text, &Bump::new(), Options::default()).is_ok()
}

/// Nesting of brackets up to which a lossless tree is built: the cost of building one grows with the
/// square of the depth.
const DEEPEST_TREE: usize = 2_000;

/// Whether brackets are nested deeper than tools look into. Those in strings count too, which can
/// only make the answer yes for texts that nobody wrote.
fn too_deep(text: &[u8]) -> bool {
    let mut depth = 0usize;
    text.iter().any(|b| {
        match b {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEEPEST_TREE
    })
}

/// The tree of a text for tools; `None` for texts nested too deep for one.
pub fn tree(text: &str) -> Option<Tree> {
    (!too_deep(text.as_bytes())).then(|| Tree::of(text))
}

/// The lossless, error-tolerant tree of a text, and whether it stands for the text: it does not if
/// the text is not UTF-8 or nested too deep.
pub fn lossless(text: &[u8]) -> (rnix::Parse<Root>, bool) {
    if too_deep(text) {
        return (Root::parse(""), false);
    }
    match std::str::from_utf8(text) {
        Ok(text) => (Root::parse(text), true),
        Err(_) => (Root::parse(&String::from_utf8_lossy(text)), false),
    }
}

/// All syntax errors of a source, in the order of places; empty exactly if it is accepted.
pub fn syntax_diagnostics(source: &Arc<Source>) -> Vec<Diagnostic> {
    match parse(source.text(), &Bump::new(), Options::default()) {
        Ok(_) => Vec::new(),
        Err(first) => syntax_errors(source, &first),
    }
}

/// The error the parser stopped at, and those that follow it.
pub fn syntax_errors(source: &Arc<Source>, first: &ParseError) -> Vec<Diagnostic> {
    let (tree, same_offsets) = lossless(source.text());
    let others = if same_offsets { tree.errors() } else { &[] };
    with_others(source, first, others)
}

/// All syntax errors of a source whose tree is known.
pub fn errors_beside(source: &Arc<Source>, tree: &Tree) -> Vec<Diagnostic> {
    match parse(source.text(), &Bump::new(), Options::default()) {
        Ok(_) => Vec::new(),
        Err(first) => with_others(source, &first, tree.errors()),
    }
}

fn with_others(source: &Arc<Source>, first: &ParseError, others: &[rnix::ParseError]) -> Vec<Diagnostic> {
    let mut last_line = source.line_col(first.span.start).0;
    let mut found = vec![first.diagnostic(source)];
    for error in others {
        let Some((start, end, message)) = describe(error) else { continue };
        let line = source.line_col(start).0;
        // What the tree says before and right at the first error is the same error in other words,
        // and errors on the same line or the next mostly follow from the one before.
        if start > first.span.start && line > last_line + 1 {
            last_line = line;
            let place = Place { source: source.clone(), start, end };
            let mut diagnostic = Diagnostic::error("NXA000", message);
            diagnostic.primary = Some(Label { place, text: String::new() });
            found.push(diagnostic);
        }
    }
    found
}

/// Place and message of an error of the tree; none for errors at the end of the text, which
/// follow from earlier ones.
fn describe(error: &rnix::ParseError) -> Option<(u32, u32, String)> {
    use rnix::ParseError as E;
    let (range, message) = match error {
        E::Unexpected(range) => (range, "syntax error".to_owned()),
        E::UnexpectedExtra(range) => (range, "syntax error, expecting end of file".to_owned()),
        E::UnexpectedWanted(got, range, wanted) => {
            let mut message = format!("syntax error, unexpected {}", kind_name(*got));
            if !wanted.is_empty() && wanted.len() <= 4 {
                let wanted: Vec<_> = wanted.iter().map(|&k| kind_name(k)).collect();
                message += &format!(", expecting {}", wanted.join(" or "));
            }
            (range, message)
        }
        E::UnexpectedDoubleBind(range) => (range, "a pattern can have only one name with `@`".to_owned()),
        E::DuplicatedArgs(range, name) => (range, format!("duplicate formal function argument '{name}'")),
        E::UnexpectedEOF | E::UnexpectedEOFWanted(_) | E::RecursionLimitExceeded => return None,
        _ => return None,
    };
    Some((range.start().into(), range.end().into(), message))
}

fn kind_name(kind: SyntaxKind) -> &'static str {
    use SyntaxKind::*;
    match kind {
        TOKEN_IDENT => "identifier",
        TOKEN_INTEGER => "integer",
        TOKEN_FLOAT => "floating-point literal",
        TOKEN_URI => "URI",
        TOKEN_STRING_START | TOKEN_STRING_END => "'\"'",
        TOKEN_PATH_ABS | TOKEN_PATH_REL | TOKEN_PATH_HOME | TOKEN_PATH_SEARCH => "path",
        TOKEN_ASSERT => "'assert'",
        TOKEN_ELSE => "'else'",
        TOKEN_IF => "'if'",
        TOKEN_IN => "'in'",
        TOKEN_INHERIT => "'inherit'",
        TOKEN_LET => "'let'",
        TOKEN_OR => "'or'",
        TOKEN_REC => "'rec'",
        TOKEN_THEN => "'then'",
        TOKEN_WITH => "'with'",
        TOKEN_L_BRACE => "'{'",
        TOKEN_R_BRACE => "'}'",
        TOKEN_L_BRACK => "'['",
        TOKEN_R_BRACK => "']'",
        TOKEN_L_PAREN => "'('",
        TOKEN_R_PAREN => "')'",
        TOKEN_ASSIGN => "'='",
        TOKEN_AT => "'@'",
        TOKEN_COLON => "':'",
        TOKEN_COMMA => "','",
        TOKEN_DOT => "'.'",
        TOKEN_ELLIPSIS => "'...'",
        TOKEN_QUESTION => "'?'",
        TOKEN_SEMICOLON => "';'",
        TOKEN_INTERPOL_START => "'${'",
        TOKEN_INTERPOL_END => "'}'",
        TOKEN_ERROR => "invalid token",
        _ => "token",
    }
}
