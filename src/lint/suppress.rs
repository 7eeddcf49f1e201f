//! Comments that allow or expect findings: `# nixactions: allow(NXA101) reason`.
//!
//! A comment speaks of the next binding, element or expression as a whole, so that a finding inside
//! of a long string is covered; at the end of a line it speaks of what ends there. Before the first
//! expression of a file it speaks of the whole file.

use rnix::{SyntaxKind, SyntaxNode, SyntaxToken, TextRange, TextSize};

use super::levels;
use super::text::{Text, next_token, previous_token};
use crate::diag::{Applicability, Diagnostic, Severity};

/// One code of one comment.
struct Suppression {
    /// The code.
    code: &'static str,
    /// Whether it must cover a finding.
    expected: bool,
    /// The text that is covered.
    covers: TextRange,
    /// The code's name in the comment.
    name: TextRange,
    /// The comment.
    comment: TextRange,
    /// Number of codes in the comment.
    beside: usize,
    used: bool,
}

/// The comments of a text.
pub(super) struct Suppressions {
    list: Vec<Suppression>,
    /// What is wrong with comments.
    wrong: Vec<Diagnostic>,
}

const MARK: &str = "nixactions:";

impl Suppressions {
    /// Reads the comments of a text.
    pub(super) fn of(text: &Text) -> Suppressions {
        let mut found = Suppressions { list: Vec::new(), wrong: Vec::new() };
        if !text.str().contains(MARK) {
            return found;
        }
        for token in text.comments() {
            found.comment(text, &token);
        }
        found
    }

    fn comment(&mut self, text: &Text, token: &SyntaxToken) {
        let whole = token.text();
        let body = whole.trim_start_matches('#').trim_start_matches("/*").trim_start();
        let Some(rest) = body.strip_prefix(MARK) else { return };
        let offset = token.text_range().start() + TextSize::from((whole.len() - rest.len()) as u32);
        let range = |part: &str| {
            // `part` is a slice of `rest`, so the difference of the pointers is its offset.
            let at = part.as_ptr() as usize - rest.as_ptr() as usize;
            TextRange::at(offset + TextSize::from(at as u32), TextSize::of(part))
        };
        let trimmed = rest.trim_start();
        let word_end = trimmed.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(trimmed.len());
        let verb = &trimmed[..word_end];
        let list = trimmed[word_end..].trim_start().strip_prefix('(').and_then(|r| r.split_once(')'));
        let (Some((list, _)), "allow" | "expect") = (list, verb) else {
            let d = text
                .find(
                    Severity::Warning,
                    "NXA702",
                    format!("`{}` is not something a comment can ask for", whole_verb(trimmed)),
                    range(whole_verb(trimmed)),
                    "not understood",
                )
                .help("write `# nixactions: allow(CODE) reason` or `# nixactions: expect(CODE) reason`");
            self.wrong.push(d);
            return;
        };
        let covers = covered(text, token);
        let names: Vec<&str> = list.split(',').map(str::trim).collect();
        for name in &names {
            match levels::code(name) {
                Ok(code) => self.list.push(Suppression {
                    code: code.code,
                    expected: verb == "expect",
                    covers,
                    name: range(name),
                    comment: token.text_range(),
                    beside: names.len(),
                    used: false,
                }),
                Err(e) => {
                    let mut d =
                        text.find(Severity::Warning, "NXA702", e.to_string(), range(name), "not a code");
                    d.help = Some("`nixactions explain list` shows the codes".into());
                    if let levels::LevelError::Unknown { near: Some(near), .. } = e {
                        let edit = text.edit(range(name), near);
                        d.fixes.push(text.fix(
                            format!("replace it with `{near}`"),
                            edit,
                            Applicability::Safe,
                        ));
                    }
                    self.wrong.push(d);
                }
            }
        }
    }

    /// Whether a comment covers a finding; notes that the comment is of use.
    pub(super) fn cover(&mut self, d: &Diagnostic) -> bool {
        let Some(primary) = &d.primary else { return false };
        let range =
            TextRange::new(primary.place.start.into(), primary.place.end.max(primary.place.start).into());
        let mut covered = false;
        for s in self.list.iter_mut().filter(|s| s.code == d.code && s.covers.contains_range(range)) {
            s.used = true;
            covered = true;
        }
        covered
    }

    /// What is wrong with the comments, and those that covered nothing although their code was
    /// looked for.
    pub(super) fn rest(self, text: &Text, looked_for: &dyn Fn(&str) -> bool) -> Vec<Diagnostic> {
        let mut out = self.wrong;
        for s in self.list.iter().filter(|s| !s.used && looked_for(s.code)) {
            let (severity, message) = match s.expected {
                true => (Severity::Warning, format!("{} was expected here and is not found", s.code)),
                false => (Severity::Hint, format!("nothing here raises {}", s.code)),
            };
            let mut d = text.find(severity, "NXA701", message, s.name, "no longer needed");
            if s.beside == 1 {
                let edit = text.edit(text.removal(s.comment), "");
                d.fixes.push(text.fix("remove the comment", edit, Applicability::Safe));
            } else {
                let edit = text.edit(list_item(text, s.name), "");
                d.fixes.push(text.fix("remove the code from the comment", edit, Applicability::Safe));
            }
            out.push(d);
        }
        out
    }
}

/// The first word and what is in brackets after it.
fn whole_verb(text: &str) -> &str {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    &text[..end]
}

/// An item of a list with commas, with one comma.
fn list_item(text: &Text, item: TextRange) -> TextRange {
    let all = text.str();
    let (start, end): (usize, usize) = (item.start().into(), item.end().into());
    let after = all[end..].trim_start();
    let (from, to) = match after.strip_prefix(',') {
        Some(rest) => (start, all.len() - rest.trim_start().len()),
        None => {
            let before = all[..start].trim_end();
            (before.strip_suffix(',').map_or(start, str::len), end)
        }
    };
    TextRange::new(TextSize::from(from as u32), TextSize::from(to as u32))
}

/// The text a comment speaks of.
fn covered(text: &Text, comment: &SyntaxToken) -> TextRange {
    let line_before = {
        let start: usize = comment.text_range().start().into();
        let before = &text.str()[..start];
        &before[before.rfind('\n').map_or(0, |i| i + 1)..]
    };
    if !line_before.trim().is_empty()
        && let Some(last) = previous_token(comment)
        && let Some(node) = ending_at(&last)
    {
        return node.text_range();
    }
    let Some(next) = next_token(comment) else { return comment.text_range() };
    let start = next.text_range().start();
    let at = comment.text_range().start();
    let node = next
        .parent_ancestors()
        .take_while(|n| n.text_range().start() == start || !n.text_range().contains(at))
        .filter(|n| n.text_range().start() == start)
        .last();
    node.map_or(next.text_range(), |n| n.text_range())
}

/// The largest binding or element that ends with a token.
fn ending_at(token: &SyntaxToken) -> Option<SyntaxNode> {
    let end = token.text_range().end();
    let inside = token.parent_ancestors().take_while(|n| n.text_range().end() == end);
    inside
        .filter(|n| {
            let parent = n.parent().map(|p| p.kind());
            matches!(
                n.kind(),
                SyntaxKind::NODE_ATTRPATH_VALUE | SyntaxKind::NODE_INHERIT | SyntaxKind::NODE_PAT_ENTRY
            ) || parent == Some(SyntaxKind::NODE_LIST)
        })
        .last()
}
