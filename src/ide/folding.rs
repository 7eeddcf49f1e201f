//! Folding: sets, lists, `let`, functions, long strings, comments.

use rnix::{SyntaxKind, SyntaxToken, TextRange, WalkEvent};

use super::document::Document;

/// A range that can be folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// What is hidden, except its first line.
    pub range: TextRange,
    /// Whether it is a comment.
    pub comment: bool,
}

/// All ranges of several lines that can be folded, in order.
pub fn folds(document: &Document) -> Vec<Fold> {
    let lines = document.lines();
    let long = |r: TextRange| lines.line_of(r.start().into()) < lines.line_of(r.end().into());
    let mut out = Vec::new();
    let mut comments: Option<TextRange> = None;
    for event in document.root().preorder_with_tokens() {
        let WalkEvent::Enter(element) = event else { continue };
        match element {
            rnix::NodeOrToken::Node(n) => {
                let folds = matches!(
                    n.kind(),
                    SyntaxKind::NODE_ATTR_SET
                        | SyntaxKind::NODE_LIST
                        | SyntaxKind::NODE_LET_IN
                        | SyntaxKind::NODE_PATTERN
                        | SyntaxKind::NODE_STRING
                        | SyntaxKind::NODE_PAREN
                );
                if folds && long(n.text_range()) {
                    out.push(Fold { range: n.text_range(), comment: false });
                }
            }
            rnix::NodeOrToken::Token(t) => comment(&t, &mut comments, &mut out, &long),
        }
    }
    if let Some(range) = comments.filter(|r| long(*r)) {
        out.push(Fold { range, comment: true });
    }
    out.sort_by_key(|f| f.range.start());
    out
}

/// Comments with only blanks between them fold as one.
fn comment(
    token: &SyntaxToken,
    group: &mut Option<TextRange>,
    out: &mut Vec<Fold>,
    long: &dyn Fn(TextRange) -> bool,
) {
    let ends = match token.kind() {
        SyntaxKind::TOKEN_COMMENT => {
            *group = Some(group.map_or(token.text_range(), |g| g.cover(token.text_range())));
            false
        }
        SyntaxKind::TOKEN_WHITESPACE => token.text().matches('\n').count() > 1,
        _ => true,
    };
    if ends && let Some(range) = group.take().filter(|r| long(*r)) {
        out.push(Fold { range, comment: true });
    }
}
