//! A text as the editor has it, with its tree built when somebody first asks.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rnix::{Parse, Root, SyntaxNode, SyntaxToken, TextRange, TextSize, TokenAtOffset};

use crate::base::lines::Lines;

/// Longer texts get no tree: answers that need one are empty.
pub const LONGEST_WITH_TREE: usize = 4 << 20;

/// One version of a text.
pub struct Document {
    path: PathBuf,
    text: Arc<str>,
    lines: Lines,
    tree: OnceLock<Parse<Root>>,
}

impl Document {
    /// A text that stands, or would stand, at this path.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> Document {
        let text = text.into();
        Document { path: path.into(), lines: Lines::new(&text), text, tree: OnceLock::new() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that its relative paths start from.
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Its text.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Its lines.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    fn parse(&self) -> &Parse<Root> {
        self.tree.get_or_init(|| match self.text.len() <= LONGEST_WITH_TREE {
            true => Root::parse(&self.text),
            false => Root::parse(""),
        })
    }

    /// Its tree; whatever the text is, there is one.
    pub fn root(&self) -> SyntaxNode {
        self.parse().syntax()
    }

    /// Whether the tree holds errors.
    pub fn is_broken(&self) -> bool {
        !self.parse().errors().is_empty()
    }

    /// How many errors the tree holds.
    pub fn error_count(&self) -> usize {
        self.parse().errors().len()
    }

    /// The text of a range.
    pub fn slice(&self, range: TextRange) -> &str {
        self.text.get(usize::from(range.start())..usize::from(range.end())).unwrap_or_default()
    }

    /// The token at an offset; between two, the one that is more than blanks, the right one first.
    pub fn token_at(&self, offset: u32) -> Option<SyntaxToken> {
        let root = self.root();
        let offset = TextSize::from(offset).min(root.text_range().end());
        match root.token_at_offset(offset) {
            TokenAtOffset::None => None,
            TokenAtOffset::Single(t) => Some(t),
            TokenAtOffset::Between(left, right) => {
                let wordy = |t: &SyntaxToken| {
                    use rnix::SyntaxKind::*;
                    matches!(
                        t.kind(),
                        TOKEN_IDENT
                            | TOKEN_STRING_CONTENT
                            | TOKEN_PATH_ABS
                            | TOKEN_PATH_HOME
                            | TOKEN_PATH_REL
                            | TOKEN_PATH_SEARCH
                            | TOKEN_OR
                    )
                };
                if wordy(&right) || (!wordy(&left) && !right.kind().is_trivia()) {
                    Some(right)
                } else {
                    Some(left)
                }
            }
        }
    }

    /// The token that ends at, or holds, an offset: what has been typed up to there.
    pub fn token_before(&self, offset: u32) -> Option<SyntaxToken> {
        let root = self.root();
        let offset = TextSize::from(offset).min(root.text_range().end());
        root.token_at_offset(offset).left_biased()
    }
}

/// A range of bytes.
pub fn range(start: u32, end: u32) -> TextRange {
    TextRange::new(start.into(), end.max(start).into())
}
