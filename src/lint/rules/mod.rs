//! One file a rule.

pub(super) mod constant_condition;
pub(super) mod deprecated_argument;
pub(super) mod deprecated_builtin;
pub(super) mod duplicate_attribute;
pub(super) mod empty_job;
pub(super) mod env_shadowed;
pub(super) mod executor_mismatch;
pub(super) mod legacy_let;
pub(super) mod missing_command;
pub(super) mod outline;
pub(super) mod redundant_need;
pub(super) mod secret_literal;
pub(super) mod timeout_over_budget;
pub(super) mod undefined_name;
pub(super) mod undefined_variable;
pub(super) mod unreachable_job;
pub(super) mod untrusted_interpolation;
pub(super) mod unused_argument;
pub(super) mod unused_artifact;
pub(super) mod unused_axis;
pub(super) mod unused_binding;
pub(super) mod unused_rec;
pub(super) mod unused_with;
pub(super) mod url_literal;

use rnix::SyntaxKind;
use rnix::ast::{self, HasEntry};
use rowan::ast::AstNode;

use super::text::Text;
use crate::syntax::names::static_name;

/// The scripts that are written out: strings under `bash`, and under `run` where no other shell is named.
pub(super) fn script_strings(text: &Text) -> impl Iterator<Item = ast::Str> + '_ {
    text.nodes_of(SyntaxKind::NODE_ATTRPATH_VALUE)
        .iter()
        .cloned()
        .filter_map(ast::AttrpathValue::cast)
        .filter_map(|binding| {
            let name = binding.attrpath()?.attrs().last().as_ref().and_then(static_name)?;
            let Some(ast::Expr::Str(script)) = binding.value() else { return None };
            let set = binding.syntax().parent().and_then(ast::AttrSet::cast);
            let other_shell = set.is_some_and(|s| {
                let first = |b: ast::AttrpathValue| b.attrpath()?.attrs().next();
                s.attrpath_values().filter_map(first).any(|a| static_name(&a).as_deref() == Some("shell"))
            });
            (name == "bash" || (name == "run" && !other_shell)).then_some(script)
        })
}

/// Whether a name says by itself that it is not meant to be used.
fn says_unused(name: &str) -> bool {
    name.starts_with('_')
}
