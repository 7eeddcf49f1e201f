//! NXA405: a variable set again to the value that it has anyway.

use super::super::text::Texts;
use crate::base::source::SpanId;
use crate::diag::{Applicability, Diagnostic, Edit, Fix, Severity};
use crate::lint::registry::Model;
use crate::workflow::model::{EnvValue, Variable};

pub(in crate::lint) fn check(model: &Model<'_>, out: &mut Vec<Diagnostic>) {
    let w = model.workflow;
    for job in &w.jobs {
        let owner = format!("job `{}`", job.name.value);
        for v in &job.env {
            // What a provider sets comes in between.
            if job.env_from.is_empty()
                && let Some(same) = set_alike(&w.env, v)
            {
                report(model.texts, v, same, &owner, "the workflow", out);
            }
        }
        for step in &job.steps {
            let name = format!("step `{}` of {owner}", step.name.value);
            for v in step.env.iter().filter(|_| step.env_from.is_empty()) {
                let in_job = job.env.iter().any(|o| o.name.value == v.name.value);
                match (set_alike(&job.env, v), in_job) {
                    (Some(same), _) => report(model.texts, v, same, &name, &owner, out),
                    (None, false) if job.env_from.is_empty() => {
                        if let Some(same) = set_alike(&w.env, v) {
                            report(model.texts, v, same, &name, "the workflow", out);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Where a variable is set to the same text.
fn set_alike(env: &[Variable], v: &Variable) -> Option<SpanId> {
    let EnvValue::Text(text) = &v.value else { return None };
    let same = |o: &&Variable| o.name.value == v.name.value && o.value == EnvValue::Text(text.clone());
    env.iter().find(same).map(|o| o.name.span).filter(|&s| s != v.name.span)
}

fn report(texts: &Texts, v: &Variable, same: SpanId, owner: &str, above: &str, out: &mut Vec<Diagnostic>) {
    let name = &v.name.value;
    let mut d = Diagnostic::new(
        Severity::Hint,
        "NXA405",
        format!("`{name}` of {owner} has the value that {above} gives it anyway"),
    )
    .at(v.name.span, "the same value again")
    .also(same, "set here");
    if let Some((text, entry)) = texts.binding(v.name.span) {
        let edit: Edit = text.edit(text.removal(entry.text_range()), "");
        d.fixes.push(Fix {
            title: format!("remove `{name}`"),
            edits: vec![edit],
            applicability: Applicability::Safe,
        });
    }
    out.push(d);
}
