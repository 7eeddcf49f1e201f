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

/// Whether a name says by itself that it is not meant to be used.
fn says_unused(name: &str) -> bool {
    name.starts_with('_')
}
