//! One file a rule.

pub(super) mod deprecated_builtin;
pub(super) mod legacy_let;
pub(super) mod redundant_need;
pub(super) mod undefined_name;
pub(super) mod unused_argument;
pub(super) mod unused_artifact;
pub(super) mod unused_binding;
pub(super) mod unused_rec;
pub(super) mod unused_with;
pub(super) mod url_literal;

use rnix::{NodeOrToken, SyntaxKind};

use super::text::Text;
use crate::syntax::names::Binding;

/// Whether a name may be used where the tree does not show it: in a broken text, what the parser
/// skipped still counts.
fn may_be_used(text: &Text, binding: &Binding) -> bool {
    if text.errors().is_empty() {
        return false;
    }
    let tokens = text.root().descendants_with_tokens().filter_map(NodeOrToken::into_token);
    tokens
        .filter(|t| t.kind() == SyntaxKind::TOKEN_IDENT && t.text() == binding.name)
        .any(|t| !binding.range.contains_range(t.text_range()))
}

/// Whether a name says by itself that it is not meant to be used.
fn says_unused(name: &str) -> bool {
    name.starts_with('_')
}
