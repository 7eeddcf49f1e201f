//! The table of rules: one row a rule, its code in `diag/codes.rs`.

use super::rules;
use super::text::Text;
use crate::diag::Diagnostic;
use crate::workflow::graph::Graph;
use crate::workflow::model::Workflow;

/// When a rule of texts is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// For every text.
    Always,
    /// When no workflow was evaluated from the text, so that the model cannot say it better.
    #[expect(dead_code, reason = "rules of the outline use it")]
    Alone,
    /// The same, and only for texts without syntax errors.
    Whole,
}

/// A decoded workflow, while its spans resolve.
pub(super) struct Model<'w> {
    pub(super) workflow: &'w Workflow,
    pub(super) graph: &'w Graph,
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
    text("NXA011", rules::undefined_name::check, When::Whole),
    text("NXA012", rules::unused_binding::check, When::Always),
    text("NXA013", rules::unused_argument::check, When::Always),
    text("NXA014", rules::unused_with::check, When::Always),
    text("NXA015", rules::unused_rec::check, When::Always),
    text("NXA016", rules::legacy_let::check, When::Always),
    text("NXA017", rules::url_literal::check, When::Always),
    text("NXA018", rules::deprecated_builtin::check, When::Always),
    workflow("NXA105", rules::redundant_need::check),
    workflow("NXA204", rules::unused_artifact::check),
];

/// Whether findings of a code come from the text alone.
pub(super) fn is_of_text(code: &str) -> bool {
    RULES.iter().any(|r| r.code == code && matches!(r.stage, Stage::Text(_, When::Always)))
}
