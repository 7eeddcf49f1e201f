//! NXA104: a job that can never run because a job it needs never does.

use crate::diag::Diagnostic;
use crate::lint::registry::Model;
use crate::workflow::condition;
use crate::workflow::model::Job;
use crate::workflow::plan::Condition;

pub(in crate::lint) fn check(model: &Model<'_>, out: &mut Vec<Diagnostic>) {
    let jobs = &model.workflow.jobs;
    let roots: Vec<bool> = jobs.iter().map(never).collect();
    let mut dead = roots.clone();
    // A skipped job never counts as success, so what waits for its success is skipped as well.
    loop {
        let before = dead.clone();
        for (i, job) in jobs.iter().enumerate() {
            let ancestors = model.graph.ancestors(i);
            if !dead[i] && ancestors.iter().any(|&a| dead[a]) {
                let may_fail = ancestors.iter().any(|&a| !dead[a]);
                dead[i] = match job.condition.as_ref().map(|c| &c.value) {
                    None | Some(Condition::Success | Condition::Script(_)) => true,
                    Some(Condition::Expr(e)) => !condition::holds_without_success(e, may_fail),
                };
            }
        }
        if dead == before {
            break;
        }
    }
    for (i, job) in jobs.iter().enumerate().filter(|&(i, _)| dead[i] && !roots[i]) {
        // Those further down follow from this one.
        let Some(&(root, at)) = model.graph.needs[i].iter().find(|n| roots[n.0]) else { continue };
        let name = &jobs[root].name.value;
        let mut d = Diagnostic::warning(
            "NXA104",
            format!("job `{}` can never run: it needs `{name}`, which never runs", job.name.value),
        )
        .at(at, format!("`{name}` is always skipped, and a skipped job is no success"));
        if let Some(c) = &jobs[root].condition {
            d = d.also(c.span, "never true");
        }
        let after = (0..jobs.len()).filter(|&j| dead[j] && model.graph.ancestors(j).contains(&i)).count();
        if after > 0 {
            let jobs = if after == 1 { "one more job waits" } else { "more jobs wait" };
            d = d
                .note(format!("{} for it", if after == 1 { jobs.into() } else { format!("{after} {jobs}") }));
        }
        out.push(d.help(format!("change the condition of `{name}`, or remove the need")));
    }
}

/// Whether the job's own condition is never true.
fn never(job: &Job) -> bool {
    match job.condition.as_ref().map(|c| &c.value) {
        Some(Condition::Expr(e)) => condition::constant(e) == Some(false),
        Some(Condition::Script(s)) => s.trim() == "false",
        _ => false,
    }
}
