//! A text as the editor has it, with its tree built when somebody first asks.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use rnix::{SyntaxNode, SyntaxToken, TextRange, TextSize, TokenAtOffset};

use crate::base::lines::Lines;
use crate::syntax::reparse::{Change, Tree};
use crate::syntax::tree;

/// Longer texts get no tree: answers that need one are empty.
pub const LONGEST_WITH_TREE: usize = 4 << 20;

/// One version of a text.
pub struct Document {
    path: PathBuf,
    text: Arc<str>,
    lines: Lines,
    tree: OnceLock<Option<Tree>>,
    /// The tree of an earlier version and what has changed since, until this version has its own.
    earlier: Mutex<Option<(Tree, Change)>>,
}

impl Document {
    /// A text that stands, or would stand, at this path.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> Document {
        let text = text.into();
        Document {
            path: path.into(),
            lines: Lines::new(&text),
            text,
            tree: OnceLock::new(),
            earlier: Mutex::default(),
        }
    }

    /// The next version of this text, in which one stretch is another.
    #[must_use]
    pub fn edited(&self, text: impl Into<Arc<str>>, change: Change) -> Document {
        let text = text.into();
        let of_own = || self.tree.get().cloned().flatten().map(|tree| (tree, change));
        let earlier = of_own().or_else(|| {
            let before = self.earlier().clone();
            // It may have been built in between.
            before.map(|(tree, first)| (tree, first.then(change))).or_else(of_own)
        });
        Document {
            path: self.path.clone(),
            lines: self.lines.edited(&text, change.start, change.old_end, change.new_end),
            text,
            tree: OnceLock::new(),
            earlier: Mutex::new(earlier),
        }
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

    fn earlier(&self) -> MutexGuard<'_, Option<(Tree, Change)>> {
        self.earlier.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Its tree, built now if it was not before; `None` for texts that are too long or nested too deep.
    /// Needs a large stack.
    pub fn tree(&self) -> Option<&Tree> {
        let tree = self.tree.get_or_init(|| {
            if self.text.len() > LONGEST_WITH_TREE {
                return None;
            }
            let earlier = self.earlier().clone();
            let reparsed = earlier.and_then(|(tree, change)| tree.reparsed(&self.text, change));
            reparsed.or_else(|| tree::tree(&self.text))
        });
        // Done with; taken outside of the closure, so that `edited` always finds one of the two.
        drop(self.earlier().take());
        tree.as_ref()
    }

    /// The root of its tree; whatever the text is, there is one.
    pub fn root(&self) -> SyntaxNode {
        self.tree().map_or_else(|| Tree::of("").root(), Tree::root)
    }

    /// Whether the tree holds errors.
    pub fn is_broken(&self) -> bool {
        self.error_count() > 0
    }

    /// How many errors the tree holds.
    pub fn error_count(&self) -> usize {
        // Without a tree there is one: nothing stands where an expression should.
        self.tree().map_or(1, |t| t.errors().len())
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
