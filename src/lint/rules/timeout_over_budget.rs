//! NXA302: a step that may take longer than the budget of its job or run.

use std::time::Duration;

use crate::base::source::SpanId;
use crate::diag::{Diagnostic, Severity};
use crate::lint::registry::Model;
use crate::workflow::model::{Setting, Spanned};

pub(in crate::lint) fn check(model: &Model<'_>, out: &mut Vec<Diagnostic>) {
    let w = model.workflow;
    for job in &w.jobs {
        let budgets = [
            (&job.budget, format!("the budget of job `{}`", job.name.value)),
            (&w.budget, "the budget of the run".into()),
        ];
        for step in &job.steps {
            let Setting::Set(timeout) = step.timeout else { continue };
            let over = budgets
                .iter()
                .find_map(|(b, what)| b.as_ref().filter(|b| timeout > b.value).map(|b| (b, what)));
            if let Some((budget, what)) = over {
                report(&step.name, timeout, budget, what, step.script.span, out);
            }
        }
        // The job's own timeout is that of each of its steps.
        if let (Setting::Set(timeout), Some(budget)) = (&job.timeout, &job.budget)
            && *timeout > budget.value
        {
            let d = Diagnostic::new(
                Severity::Hint,
                "NXA302",
                format!("a step of job `{}` may take longer than the whole job", job.name.value),
            )
            .at(budget.span, format!("the job ends after {}", shown(budget.value)))
            .help(format!("raise the budget over the timeout of {}, or lower that", shown(*timeout)));
            out.push(d);
        }
    }
}

fn report(
    step: &Spanned<String>,
    timeout: Duration,
    budget: &Spanned<Duration>,
    what: &str,
    script: SpanId,
    out: &mut Vec<Diagnostic>,
) {
    let at = if step.span.resolve().is_some() { step.span } else { script };
    let d = Diagnostic::new(
        Severity::Hint,
        "NXA302",
        format!(
            "the timeout of step `{}`, {}, is over {what}, {}",
            step.value,
            shown(timeout),
            shown(budget.value)
        ),
    )
    .at(at, format!("may take {}", shown(timeout)))
    .also(budget.span, "ends before")
    .help("lower the timeout, or raise the budget");
    out.push(d);
}

fn shown(d: Duration) -> String {
    let s = d.as_secs();
    match (s, d.subsec_millis()) {
        (0, ms) => format!("{ms}ms"),
        (s, _) if s % 3600 == 0 => format!("{}h", s / 3600),
        (s, _) if s % 60 == 0 => format!("{}m", s / 60),
        (s, _) => format!("{s}s"),
    }
}
