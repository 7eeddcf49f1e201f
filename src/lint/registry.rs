//! The table of rules: one row a rule, its code in `diag/codes.rs`.

use super::rules;
use super::text::{Text, Texts};
use crate::diag::Diagnostic;
use crate::workflow::graph::Graph;
use crate::workflow::model::Workflow;

/// When a rule of texts is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// For every text.
    Always,
    /// When no workflow was evaluated from the text, so that the model cannot say it better.
    Alone,
    /// The same, and only for texts without syntax errors.
    Whole,
    /// When evaluation did not get as far as a workflow, right or wrong.
    Unseen,
}

/// A decoded workflow, while its spans resolve.
pub(super) struct Model<'w> {
    pub(super) workflow: &'w Workflow,
    pub(super) graph: &'w Graph,
    /// Whether no error stands against the workflow: fields with one are empty here.
    pub(super) sound: bool,
    /// The files that its places are in.
    pub(super) texts: &'w Texts,
}

/// What a rule looks at.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    /// The text.
    Text(fn(&Text, &mut Vec<Diagnostic>), When),
    /// The decoded workflow.
    Workflow(fn(&Model<'_>, &mut Vec<Diagnostic>)),
}

/// A rule.
pub(super) struct Rule {
    /// The code of what it finds.
    pub(super) code: &'static str,
    /// What it looks at.
    pub(super) stage: Stage,
}

const fn text(code: &'static str, run: fn(&Text, &mut Vec<Diagnostic>), when: When) -> Rule {
    Rule { code, stage: Stage::Text(run, when) }
}

const fn workflow(code: &'static str, run: fn(&Model<'_>, &mut Vec<Diagnostic>)) -> Rule {
    Rule { code, stage: Stage::Workflow(run) }
}

/// Every rule, in the order of codes.
pub(super) static RULES: &[Rule] = &[
    text("NXA001", rules::outline::unknown_keys, When::Unseen),
    text("NXA004", rules::outline::older_keys, When::Unseen),
    text("NXA006", rules::empty_job::check, When::Always),
    text("NXA010", rules::duplicate_attribute::check, When::Alone),
    text("NXA011", rules::undefined_name::check, When::Whole),
    text("NXA012", rules::unused_binding::check, When::Always),
    text("NXA013", rules::unused_argument::check, When::Always),
    text("NXA014", rules::unused_with::check, When::Always),
    text("NXA015", rules::unused_rec::check, When::Always),
    text("NXA016", rules::legacy_let::check, When::Always),
    text("NXA017", rules::url_literal::check, When::Always),
    text("NXA018", rules::deprecated_builtin::check, When::Always),
    text("NXA101", rules::outline::unknown_needs, When::Unseen),
    text("NXA103", rules::outline::repeated_needs, When::Unseen),
    workflow("NXA104", rules::unreachable_job::check),
    workflow("NXA105", rules::redundant_need::check),
    workflow("NXA204", rules::unused_artifact::check),
    workflow("NXA302", rules::timeout_over_budget::check),
    workflow("NXA305", rules::constant_condition::check),
    text("NXA311", rules::unused_axis::check, When::Always),
    text("NXA403", rules::secret_literal::check, When::Always),
    workflow("NXA404", rules::undefined_variable::check),
    workflow("NXA405", rules::env_shadowed::check),
    text("NXA406", rules::untrusted_interpolation::check, When::Always),
    workflow("NXA502", rules::missing_command::check),
    text("NXA503", rules::deprecated_argument::check, When::Always),
    text("NXA503", rules::deprecated_argument::actions, When::Always),
    workflow("NXA601", rules::executor_mismatch::check),
];

/// Whether findings of a code come from the text alone.
pub(super) fn is_of_text(code: &str) -> bool {
    RULES.iter().any(|r| r.code == code && matches!(r.stage, Stage::Text(_, When::Always)))
}
