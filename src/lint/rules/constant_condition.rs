//! NXA305: a condition that has the same value whatever happens.

use crate::base::source::SpanId;
use crate::diag::Diagnostic;
use crate::lint::registry::Model;
use crate::workflow::condition;
use crate::workflow::plan::{Condition, StatusExpr};

pub(in crate::lint) fn check(model: &Model<'_>, out: &mut Vec<Diagnostic>) {
    for job in &model.workflow.jobs {
        let owner = format!("job `{}`", job.name.value);
        if let Some(c) = &job.condition {
            one(&c.value, c.span, &owner, out);
        }
        for step in &job.steps {
            if let Some(c) = &step.condition {
                one(&c.value, c.span, &format!("step `{}` of {owner}", step.name.value), out);
            }
        }
    }
}

fn one(c: &Condition, at: SpanId, owner: &str, out: &mut Vec<Diagnostic>) {
    let value = match c {
        // `always()` is how this is said.
        Condition::Success | Condition::Expr(StatusExpr::Always) => return,
        Condition::Expr(e) => condition::constant(e),
        Condition::Script(s) => match s.trim() {
            "true" | ":" => Some(true),
            "false" => Some(false),
            _ => None,
        },
    };
    let Some(value) = value else { return };
    let d = Diagnostic::warning(
        "NXA305",
        match value {
            true => format!("the condition of {owner} is true whatever happens"),
            false => format!("{owner} can never run: its condition is false whatever happens"),
        },
    );
    out.push(match (value, c) {
        (true, Condition::Script(_)) => d
            .at(at, "a script that always succeeds")
            .help("remove the condition: it runs on success anyway; `\"always()\"` runs it in any case"),
        (true, _) => d.at(at, "always true").help("write `\"always()\"`"),
        (false, _) => d.at(at, "never true").help("remove it, or correct the condition"),
    });
}
