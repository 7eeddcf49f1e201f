//! The lossless tree of a text that is being edited: after a change only the bindings around it are
//! parsed again, and put into the tree that was there.
//!
//! The result is the tree that parsing the whole text gives, errors included (`tests/ide/reparse.rs`
//! compares the two). It rests on this: the parser reads the bindings of a set or `let` in a loop, and
//! a binding that ends with its own `;` leaves it in the state it was in before. So bindings that
//! parse, alone, to whole bindings are the same bindings where they stood, whatever is around.

use rnix::{NodeOrToken, ParseError, Root, SyntaxElement, SyntaxKind, SyntaxNode, TextRange, TextSize};
use rowan::GreenNode;

/// A stretch of a text that was replaced, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it begins, in both texts.
    pub start: u32,
    /// Its end in the older text.
    pub old_end: u32,
    /// Its end in the newer text.
    pub new_end: u32,
}

impl Change {
    /// One change in place of this one and a later one, which counts in the text after this one.
    #[must_use]
    pub fn then(self, next: Change) -> Change {
        let grown = i64::from(self.new_end) - i64::from(self.old_end);
        let later = i64::from(next.new_end) - i64::from(next.old_end);
        // Ends beyond this change are moved back to the older text, and on to the newest one.
        let old_end = i64::from(self.old_end).max(i64::from(next.old_end) - grown);
        let new_end = i64::from(next.new_end).max(i64::from(self.new_end) + later);
        let whole = |n: i64| u32::try_from(n).unwrap_or(0);
        Change { start: self.start.min(next.start), old_end: whole(old_end), new_end: whole(new_end) }
    }

    fn shift(self, offset: TextSize) -> TextSize {
        offset + TextSize::from(self.new_end) - TextSize::from(self.old_end)
    }
}

/// A lossless tree that can be handed from thread to thread.
#[derive(Clone)]
pub struct Tree {
    green: GreenNode,
    errors: Vec<ParseError>,
}

/// Nesting up to which pieces are parsed alone: the parser gives up at 512, counted from the root.
const DEEPEST: usize = 400;

impl Tree {
    /// Parses a text.
    pub fn of(text: &str) -> Tree {
        let parse = Root::parse(text);
        Tree { green: parse.syntax().green().to_owned(), errors: parse.errors().to_vec() }
    }

    /// The root.
    pub fn root(&self) -> SyntaxNode {
        SyntaxNode::new_root(self.green.clone())
    }

    /// The errors.
    pub fn errors(&self) -> &[ParseError] {
        &self.errors
    }

    /// The tree of the text after a change.
    #[must_use]
    pub fn edited(&self, text: &str, change: Change) -> Tree {
        self.reparsed(text, change).unwrap_or_else(|| Tree::of(text))
    }

    /// The same, unless the whole text has to be parsed for it.
    pub fn reparsed(&self, text: &str, change: Change) -> Option<Tree> {
        let root = self.root();
        let changed = TextRange::new(change.start.into(), change.old_end.into());
        if !root.text_range().contains_range(changed) {
            return None;
        }
        let inner = match root.covering_element(changed) {
            NodeOrToken::Node(n) => n,
            NodeOrToken::Token(t) => t.parent()?,
        };
        // Parsing pieces in vain must not cost more than parsing the text.
        let mut left = text.len() / 2;
        for set in inner.ancestors().filter(has_bindings) {
            // After an unfinished binding the parser reads on into the next ones.
            for more in [0, 2, 8] {
                let Some(window) = Window::around(&set, changed, more) else { break };
                let piece = window.text(text, change)?;
                left = left.checked_sub(piece.len())?;
                if let Some(tree) = self.spliced(&set, &window, piece, change) {
                    return Some(tree);
                }
            }
        }
        None
    }

    fn spliced(&self, set: &SyntaxNode, window: &Window, piece: &str, change: Change) -> Option<Tree> {
        let is_let = set.kind() == SyntaxKind::NODE_LET_IN;
        let (before, after) = if is_let { ("let ", " in 0") } else { ("{", "}") };
        let parse = Root::parse(&format!("{before}{piece}{after}"));
        let alone = parse.syntax().first_child().filter(|n| {
            n.text_range() == n.parent().map(|p| p.text_range()).unwrap_or_default()
                && (n.kind() == SyntaxKind::NODE_LET_IN) == is_let
                && has_bindings(n)
        })?;
        let start = TextSize::of(before);
        let inside = TextRange::at(start, TextSize::of(piece));
        let new: Vec<SyntaxElement> =
            alone.children_with_tokens().filter(|e| inside.contains_range(e.text_range())).collect();
        let whole = new.first().is_some_and(|e| e.text_range().start() == start && is_binding(e))
            && new.last().is_some_and(|e| e.text_range().end() == inside.end() && ends_itself(e))
            && new.iter().all(|e| is_binding(e) || e.kind().is_trivia());
        let depth = set.ancestors().count() + depth(&alone);
        // A bracket too many or too few, then or now, is felt by what comes after.
        let had = || {
            let children = set.children_with_tokens().skip(window.first);
            children.take(window.last + 1 - window.first).collect::<Vec<SyntaxElement>>()
        };
        let balanced = (parse.errors().is_empty() || is_balanced(&new))
            && (self.errors.is_empty() || is_balanced(&had()));
        if !whole || !balanced || depth > DEEPEST {
            return None;
        }
        let errors = self.errors_with(parse.errors(), start, window.range, change)?;
        let green = new.iter().map(|e| match e {
            NodeOrToken::Node(n) => NodeOrToken::Node(n.green().to_owned()),
            NodeOrToken::Token(t) => NodeOrToken::Token(t.green().to_owned()),
        });
        let green: Vec<_> = green.collect();
        let set_green = set.green().to_owned().splice_children(window.first..=window.last, green);
        Some(Tree { green: set.replace_with(set_green), errors })
    }

    /// The errors outside of a window, and the new ones inside, which stand `offset` too far right of
    /// its start.
    fn errors_with(
        &self,
        new: &[ParseError],
        offset: TextSize,
        window: TextRange,
        change: Change,
    ) -> Option<Vec<ParseError>> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for error in &self.errors {
            match range_of(error) {
                None if matches!(error, ParseError::RecursionLimitExceeded) => return None,
                None => after.push(error.clone()),
                Some(r) if r.is_empty() => return None,
                Some(r) if window.contains_range(r) => {}
                Some(r) if r.end() <= window.start() => before.push(error.clone()),
                Some(r) if r.start() >= window.end() => {
                    let moved = TextRange::new(change.shift(r.start()), change.shift(r.end()));
                    after.push(at(error, moved));
                }
                Some(_) => return None,
            }
        }
        for error in new {
            let moved = range_of(error)? + window.start() - offset;
            before.push(at(error, moved));
        }
        before.extend(after);
        Some(before)
    }
}

/// Bindings that stand next to each other in a set or `let`, around a change.
struct Window {
    /// Indices among the children.
    first: usize,
    last: usize,
    range: TextRange,
}

impl Window {
    /// The bindings whose ends a change does not touch, and some more behind these.
    fn around(set: &SyntaxNode, changed: TextRange, more: usize) -> Option<Window> {
        let at = |offset| {
            let empty = TextRange::empty(offset);
            set.text_range().contains_range(empty).then(|| set.child_or_token_at_range(empty))?
        };
        let mut first = at(changed.start())?;
        while !is_binding(&first) || first.text_range().start() >= changed.start() {
            first = first.prev_sibling_or_token()?;
        }
        let mut last = at(changed.end())?;
        while !is_binding(&last) || last.text_range().end() <= changed.end() {
            last = last.next_sibling_or_token()?;
        }
        let following = std::iter::successors(last.next_sibling_or_token(), |e| e.next_sibling_or_token());
        let mut added = following.filter(is_binding);
        for _ in 0..more {
            let Some(next) = added.next() else { break };
            last = next;
        }
        let begins = match first.prev_sibling_or_token()? {
            NodeOrToken::Token(t) => {
                t.kind().is_trivia() || matches!(t.kind(), SyntaxKind::TOKEN_L_BRACE | SyntaxKind::TOKEN_LET)
            }
            node => ends_itself(&node),
        };
        let range = TextRange::new(first.text_range().start(), last.text_range().end());
        (begins && ends_itself(&last)).then(|| Window { first: first.index(), last: last.index(), range })
    }

    /// Its text after the change.
    fn text<'t>(&self, text: &'t str, change: Change) -> Option<&'t str> {
        text.get(self.range.start().into()..change.shift(self.range.end()).into())
    }
}

fn has_bindings(node: &SyntaxNode) -> bool {
    use SyntaxKind::*;
    matches!(node.kind(), NODE_ATTR_SET | NODE_LET_IN | NODE_LEGACY_LET)
}

fn is_binding(element: &SyntaxElement) -> bool {
    matches!(element.kind(), SyntaxKind::NODE_ATTRPATH_VALUE | SyntaxKind::NODE_INHERIT)
}

/// Whether this is a binding that ends with its own `;`, and so was ended by nothing else.
fn ends_itself(element: &SyntaxElement) -> bool {
    let last = element.as_node().and_then(SyntaxNode::last_child_or_token);
    is_binding(element) && last.is_some_and(|t| t.kind() == SyntaxKind::TOKEN_SEMICOLON)
}

/// Whether no bracket is closed that is not opened here: in a string that would end a hole.
fn is_balanced(elements: &[SyntaxElement]) -> bool {
    let mut depth = 0i64;
    let tokens = elements.iter().flat_map(|e| match e {
        NodeOrToken::Node(n) => n.descendants_with_tokens().filter_map(NodeOrToken::into_token).collect(),
        NodeOrToken::Token(t) => vec![t.clone()],
    });
    for token in tokens {
        match token.kind() {
            SyntaxKind::TOKEN_L_BRACE | SyntaxKind::TOKEN_INTERPOL_START => depth += 1,
            SyntaxKind::TOKEN_R_BRACE | SyntaxKind::TOKEN_INTERPOL_END => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

fn depth(node: &SyntaxNode) -> usize {
    let (mut now, mut most) = (0usize, 0usize);
    for event in node.preorder() {
        match event {
            rnix::WalkEvent::Enter(_) => {
                now += 1;
                most = most.max(now);
            }
            rnix::WalkEvent::Leave(_) => now -= 1,
        }
    }
    most
}

fn range_of(error: &ParseError) -> Option<TextRange> {
    match error {
        ParseError::Unexpected(r)
        | ParseError::UnexpectedExtra(r)
        | ParseError::UnexpectedWanted(_, r, _)
        | ParseError::UnexpectedDoubleBind(r)
        | ParseError::DuplicatedArgs(r, _) => Some(*r),
        _ => None,
    }
}

/// The same error at another place.
fn at(error: &ParseError, range: TextRange) -> ParseError {
    match error {
        ParseError::Unexpected(_) => ParseError::Unexpected(range),
        ParseError::UnexpectedExtra(_) => ParseError::UnexpectedExtra(range),
        ParseError::UnexpectedWanted(got, _, wanted) => {
            ParseError::UnexpectedWanted(*got, range, wanted.clone())
        }
        ParseError::UnexpectedDoubleBind(_) => ParseError::UnexpectedDoubleBind(range),
        ParseError::DuplicatedArgs(_, name) => ParseError::DuplicatedArgs(range, name.clone()),
        other => other.clone(),
    }
}
