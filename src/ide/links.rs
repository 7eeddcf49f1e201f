//! Document links: paths and addresses that can be opened.

use std::path::PathBuf;

use rnix::{SyntaxKind, TextRange};

use super::document::Document;
use super::target::file_of;

/// What a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file or folder, by a path literal.
    File(PathBuf),
    /// An address.
    Url(String),
}

/// The links of a file, in order.
pub fn links(document: &Document) -> Vec<(TextRange, Destination)> {
    let mut out = Vec::new();
    for element in document.root().descendants_with_tokens() {
        match element {
            rnix::NodeOrToken::Node(n)
                if matches!(n.kind(), SyntaxKind::NODE_PATH_REL | SyntaxKind::NODE_PATH_ABS) =>
            {
                let file = file_of(document.directory(), &n);
                out.extend(file.map(|f| (n.text_range(), Destination::File(f))));
            }
            rnix::NodeOrToken::Token(t)
                if matches!(
                    t.kind(),
                    SyntaxKind::TOKEN_STRING_CONTENT | SyntaxKind::TOKEN_COMMENT | SyntaxKind::TOKEN_URI
                ) =>
            {
                urls(t.text()).for_each(|r| {
                    let start = t.text_range().start() + rnix::TextSize::from(r.start as u32);
                    let range = TextRange::at(start, (r.len() as u32).into());
                    out.push((range, Destination::Url(t.text()[r].to_owned())));
                });
            }
            _ => {}
        }
    }
    out
}

/// The `http` and `https` addresses in a text.
fn urls(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
    let starts = text.match_indices("http").map(|(i, _)| i);
    starts.filter_map(move |i| {
        let rest = &text[i..];
        let scheme = ["https://", "http://"].into_iter().find(|s| rest.starts_with(s))?;
        let end = |c: char| {
            c.is_whitespace()
                || c.is_control()
                || matches!(c, '"' | '\'' | '<' | '>' | '`' | '$' | '{' | '}' | '|' | '\\')
        };
        let length = rest.find(end).unwrap_or(rest.len());
        let length = rest[..length].trim_end_matches(['.', ',', ')', ']', ';', ':']).len();
        (length > scheme.len()).then_some(i..i + length)
    })
}
