//! Results: what a job hands on of its steps' outputs, and a workflow of its jobs' results.

use std::collections::HashMap;

use super::graph::Graph;
use super::matrix::upper;
use super::model::{Job, Reference, Workflow};
use super::plan::{JobValue, StepValue};
use crate::base::source::SpanId;
use crate::base::suggest;
use crate::diag::Diagnostic;

/// The output of a step that `steps.ID.OUTPUT` names.
pub(super) fn step_value(text: &str) -> Option<StepValue> {
    let (step, output) = text.strip_prefix("steps.")?.rsplit_once('.')?;
    let whole = !step.is_empty() && !output.is_empty();
    whole.then(|| StepValue { step: step.to_owned(), output: output.to_owned() })
}

/// The result of a job that `jobs.JOB.RESULT` names.
pub(super) fn job_value(text: &str) -> Option<JobValue> {
    let (job, result) = text.strip_prefix("jobs.")?.rsplit_once('.')?;
    let whole = !job.is_empty() && !result.is_empty();
    whole.then(|| JobValue { job: job.to_owned(), result: result.to_owned() })
}

/// Checks all results of a workflow.
pub(super) fn check(w: &Workflow, graph: &Graph, out: &mut Vec<Diagnostic>) {
    for r in &w.results {
        of_workflow(w, r, out);
    }
    for (i, job) in w.jobs.iter().enumerate() {
        for r in &job.results {
            of_job(job, r, out);
        }
        let needs = graph.needs.get(i).into_iter().flatten().map(|n| &w.jobs[n.0]);
        collisions(job, needs, out);
    }
}

fn unknown(message: String, at: SpanId, label: &str, name: &str, known: &[&str]) -> Diagnostic {
    let d = Diagnostic::error("NXA206", message).at(at, label);
    match suggest::did_you_mean(name, known.iter().copied()) {
        Some(help) => d.help(help),
        None if known.is_empty() => d,
        None => {
            let names: Vec<String> = known.iter().take(12).map(|n| format!("`{n}`")).collect();
            d.note(format!("there are {}", names.join(", ")))
        }
    }
}

fn of_job(job: &Job, r: &Reference, out: &mut Vec<Diagnostic>) {
    let (name, owner) = (&r.name.value, &job.name.value);
    let Some(value) = step_value(&r.to.value) else {
        out.push(
            Diagnostic::error(
                "NXA206",
                format!(
                    "the result `{name}` of job `{owner}` refers to `{}`, which is no output of a step",
                    r.to.value
                ),
            )
            .at(r.to.span, "not of the form `steps.ID.OUTPUT`")
            .help("write \"steps.ID.OUTPUT\", ID being the `id` of a step of this job"),
        );
        return;
    };
    let ids: Vec<&str> = job.steps.iter().filter_map(|s| Some(s.id.as_ref()?.value.as_str())).collect();
    if !ids.contains(&value.step.as_str()) {
        let message = format!(
            "the result `{name}` of job `{owner}` refers to step `{}`, which it does not have",
            value.step
        );
        let mut d = unknown(message, r.to.span, "no step has this `id`", &value.step, &ids);
        if ids.is_empty() {
            d = d.help(format!("give the step `id = \"{}\";`", value.step));
        }
        out.push(d);
    }
}

fn of_workflow(w: &Workflow, r: &Reference, out: &mut Vec<Diagnostic>) {
    let name = &r.name.value;
    let Some(value) = job_value(&r.to.value) else {
        out.push(
            Diagnostic::error(
                "NXA206",
                format!(
                    "the result `{name}` of the workflow refers to `{}`, which is no result of a job",
                    r.to.value
                ),
            )
            .at(r.to.span, "not of the form `jobs.JOB.RESULT`")
            .help("write \"jobs.JOB.RESULT\""),
        );
        return;
    };
    let named =
        |j: &&Job| j.name.value == value.job || j.copy_of.as_ref().is_some_and(|c| c.job == value.job);
    let Some(job) = w.jobs.iter().find(named) else {
        let jobs: Vec<&str> = w.jobs.iter().map(|j| j.name.value.as_str()).collect();
        let message =
            format!("the result `{name}` of the workflow refers to job `{}`, which there is not", value.job);
        out.push(unknown(message, r.to.span, "no job has this name", &value.job, &jobs));
        return;
    };
    let known: Vec<&str> = names(job).collect();
    if !known.contains(&value.result.as_str()) {
        let message = format!(
            "the result `{name}` of the workflow refers to `{}`, which is no result of job `{}`",
            value.result, value.job
        );
        out.push(unknown(message, r.to.span, "the job has no such result", &value.result, &known));
    }
}

/// Names of the results that dependents of a job see.
fn names(job: &Job) -> impl Iterator<Item = &str> {
    let results = match &job.call {
        Some(call) => &call.value.results,
        None => &job.results,
    };
    results.iter().map(|r| r.name.value.as_str())
}

/// Two values that a job would find in one variable.
fn collisions<'a>(job: &Job, needs: impl Iterator<Item = &'a Job>, out: &mut Vec<Diagnostic>) {
    // By variable: the job, and its result of that name; `None` is whether it succeeded.
    let mut seen: HashMap<String, (&str, Option<&str>)> = HashMap::new();
    for need in needs {
        let copies = need.copy_of.as_ref().map(|c| c.job.as_str());
        for base in std::iter::once(need.name.value.as_str()).chain(copies) {
            for result in std::iter::once(None).chain(names(need).map(Some)) {
                let variable = format!("NEEDS_{}_{}", upper(base), upper(result.unwrap_or("result")));
                let Some(&(other, of)) = seen.get(&variable) else {
                    seen.insert(variable, (base, result));
                    continue;
                };
                // The copies of a matrix share the variables under its own name.
                if other == base && of == result {
                    continue;
                }
                let shown = |r: Option<&str>| r.map_or("whether it succeeded".into(), |r| format!("`{r}`"));
                let text = format!(
                    "job `{}` would get both {} of job `{other}` and {} of job `{base}` in {variable}",
                    job.name.value,
                    shown(of),
                    shown(result)
                );
                let at = job.needs.iter().find(|n| n.value == base).map_or(job.name.span, |n| n.span);
                let d = Diagnostic::error("NXA106", text).at(at, "the same name in an environment variable");
                out.push(d.help("rename one of the results or jobs"));
            }
        }
    }
}
