//! A Nix text as rules see it: the lossless tree, what its names refer to, and edits on it.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use rnix::{NodeOrToken, SyntaxKind, SyntaxNode, SyntaxToken, TextRange, TextSize};

use crate::base::source::{Place, Source, SpanId};
use crate::diag::{Applicability, Diagnostic, Edit, Fix, Label, Severity};
use crate::eval::builtins;
use crate::syntax::names::Names;
use crate::syntax::reparse::Tree;
use crate::syntax::tree;
use crate::workflow::evaluate;

/// A text with its tree. Make it on a large stack: texts may be nested deep.
pub struct Text {
    source: Arc<Source>,
    tree: Tree,
    root: SyntaxNode,
    names: OnceCell<Names>,
    errors: OnceCell<Vec<Diagnostic>>,
    nodes: OnceCell<HashMap<SyntaxKind, Vec<SyntaxNode>>>,
}

impl Text {
    /// The text of a source; `None` when it is not UTF-8.
    pub fn new(source: Arc<Source>) -> Option<Text> {
        let tree = tree::tree(std::str::from_utf8(source.text()).ok()?)?;
        Some(Text::with_tree(source, tree))
    }

    /// The same of a source whose tree is known.
    pub fn with_tree(source: Arc<Source>, tree: Tree) -> Text {
        Text {
            source,
            root: tree.root(),
            tree,
            names: OnceCell::new(),
            errors: OnceCell::new(),
            nodes: OnceCell::new(),
        }
    }

    /// Where the text came from.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The root of the tree.
    pub fn root(&self) -> &SyntaxNode {
        &self.root
    }

    /// What its names refer to.
    pub fn names(&self) -> &Names {
        self.names.get_or_init(|| Names::of(&self.root, &builtins::is_global))
    }

    /// Its syntax errors.
    pub fn errors(&self) -> &[Diagnostic] {
        let errors = || tree::errors_beside(&self.source, &self.tree);
        self.errors.get_or_init(|| errors().iter().map(evaluate::coded).collect())
    }

    /// Notes that the text was evaluated, and so has no syntax errors.
    pub(super) fn was_evaluated(&self) {
        self.errors.get_or_init(Vec::new);
    }

    /// The nodes of a kind, in order. Rules share one walk of the tree, which makes all of them anew.
    pub fn nodes_of(&self, kind: SyntaxKind) -> &[SyntaxNode] {
        let nodes = self.nodes.get_or_init(|| {
            let mut nodes: HashMap<SyntaxKind, Vec<SyntaxNode>> = HashMap::new();
            for node in self.root.descendants() {
                nodes.entry(node.kind()).or_default().push(node);
            }
            nodes
        });
        nodes.get(&kind).map(Vec::as_slice).unwrap_or_default()
    }

    /// The comments, in order.
    pub fn comments(&self) -> impl Iterator<Item = SyntaxToken> {
        let tokens = self.root.descendants_with_tokens().filter_map(NodeOrToken::into_token);
        tokens.filter(|t| t.kind() == SyntaxKind::TOKEN_COMMENT)
    }

    /// The text itself.
    pub fn str(&self) -> &str {
        std::str::from_utf8(self.source.text()).unwrap_or_default()
    }

    /// The place of a range.
    pub fn place(&self, range: TextRange) -> Place {
        Place { source: self.source.clone(), start: range.start().into(), end: range.end().into() }
    }

    /// A finding of this code's severity at a range.
    pub(super) fn find(
        &self,
        severity: Severity,
        code: &'static str,
        message: impl Into<String>,
        range: TextRange,
        label: impl Into<String>,
    ) -> Diagnostic {
        let mut d = Diagnostic::new(severity, code, message);
        d.primary = Some(Label { place: self.place(range), text: label.into() });
        d
    }

    /// A secondary label.
    pub(super) fn label(&self, range: TextRange, text: impl Into<String>) -> Label {
        Label { place: self.place(range), text: text.into() }
    }

    /// An edit that replaces a range.
    pub(super) fn edit(&self, range: TextRange, text: impl Into<String>) -> Edit {
        Edit { place: self.place(range), text: text.into() }
    }

    /// A fix of one edit.
    pub(super) fn fix(&self, title: impl Into<String>, edit: Edit, applicability: Applicability) -> Fix {
        Fix { title: title.into(), edits: vec![edit], applicability }
    }

    /// The node of this kind at exactly a range.
    pub fn node_at(&self, start: u32, end: u32) -> Option<SyntaxNode> {
        let range = TextRange::new(start.into(), end.into());
        if range.end() > self.root.text_range().end() {
            return None;
        }
        let node = match self.root.covering_element(range) {
            NodeOrToken::Node(n) => n,
            NodeOrToken::Token(t) => t.parent()?,
        };
        node.ancestors()
            .take_while(|n| n.text_range() == range || range.contains_range(n.text_range()))
            .last()
    }

    /// The range to remove with a node, so that no gap stays: its whole lines when it stands alone
    /// on them, otherwise the blanks before it.
    pub(super) fn removal(&self, node: TextRange) -> TextRange {
        let text = self.str();
        let (start, end): (usize, usize) = (node.start().into(), node.end().into());
        let blank = |c: char| c == ' ' || c == '\t';
        let before = text[..start].trim_end_matches(blank);
        let after = text[end..].trim_start_matches(blank);
        let own_lines = (before.is_empty() || before.ends_with('\n')) && after.starts_with('\n');
        let (from, to) = match own_lines {
            true => (before.len(), text.len() - after.len() + 1),
            false if before.ends_with('\n') || before.is_empty() => (start, text.len() - after.len()),
            false => (before.len(), end),
        };
        TextRange::new(TextSize::from(from as u32), TextSize::from(to as u32))
    }
}

/// The texts of the files that a model's places are in, made when they are asked for.
#[derive(Default)]
pub(super) struct Texts {
    made: RefCell<Vec<Made>>,
}

/// A source, and its text when it has one.
type Made = (Arc<Source>, Option<Rc<Text>>);

impl Texts {
    /// Those of which this one is known.
    pub(super) fn with(text: Option<&Rc<Text>>) -> Texts {
        let known = text.map(|t| (t.source().clone(), Some(t.clone())));
        Texts { made: RefCell::new(known.into_iter().collect()) }
    }

    /// The text of a source.
    fn of(&self, source: &Arc<Source>) -> Option<Rc<Text>> {
        let same = |s: &Arc<Source>| {
            Arc::ptr_eq(s, source) || (s.name() == source.name() && s.text() == source.text())
        };
        let known = self.made.borrow().iter().find(|(s, _)| same(s)).map(|(_, t)| t.clone());
        known.unwrap_or_else(|| {
            let text = Text::new(source.clone()).map(Rc::new);
            self.made.borrow_mut().push((source.clone(), text.clone()));
            text
        })
    }

    /// The text of the file that a place is in.
    pub(super) fn text(&self, place: &Place) -> Option<Rc<Text>> {
        place.source.path().and_then(|_| self.of(&place.source))
    }

    /// The binding whose key has this place, when it is one plain `name = value;` of a file.
    pub(super) fn binding(&self, key: SpanId) -> Option<(Rc<Text>, SyntaxNode)> {
        let place = key.resolve().filter(|p| p.source.path().is_some())?;
        let text = self.of(&place.source)?;
        let token = text.root.token_at_offset(place.start.into()).right_biased()?;
        let node = token
            .parent_ancestors()
            .find(|n| matches!(n.kind(), SyntaxKind::NODE_ATTRPATH_VALUE | SyntaxKind::NODE_INHERIT))?;
        let path = node.children().find(|c| c.kind() == SyntaxKind::NODE_ATTRPATH)?;
        let start: u32 = path.text_range().start().into();
        let end: u32 = path.text_range().end().into();
        (start == place.start && end == place.end).then_some((text, node))
    }
}

/// Whether a token is a blank or a comment.
pub(super) fn is_trivia(kind: SyntaxKind) -> bool {
    matches!(kind, SyntaxKind::TOKEN_WHITESPACE | SyntaxKind::TOKEN_COMMENT)
}

/// The next token that is neither blank nor comment.
pub(super) fn next_token(token: &SyntaxToken) -> Option<SyntaxToken> {
    std::iter::successors(token.next_token(), SyntaxToken::next_token).find(|t| !is_trivia(t.kind()))
}

/// The last token before that is neither blank nor comment.
pub(super) fn previous_token(token: &SyntaxToken) -> Option<SyntaxToken> {
    std::iter::successors(token.prev_token(), SyntaxToken::prev_token).find(|t| !is_trivia(t.kind()))
}
