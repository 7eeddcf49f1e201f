//! Checks of artifacts: names, paths, who gives and who takes.

use std::collections::HashMap;

use super::graph::Graph;
use super::model::{Job, Spanned, Workflow};
use super::names;
use super::shape::came_to;
use crate::base::source::SpanId;
use crate::base::suggest;
use crate::diag::{Applicability, Diagnostic, Edit, Fix};

/// Checks all artifacts of a workflow.
pub(super) fn check(workflow: &Workflow, graph: &Graph, out: &mut Vec<Diagnostic>) {
    let jobs = &workflow.jobs;
    let called: Vec<(usize, Vec<Spanned<String>>)> =
        jobs.iter().enumerate().map(|(i, job)| (i, of_call(job))).collect();
    let mut given: HashMap<&str, (usize, SpanId)> = HashMap::new();
    for (i, names) in &called {
        given.extend(names.iter().map(|n| (n.value.as_str(), (*i, n.span))));
    }
    for (i, job) in jobs.iter().enumerate() {
        for o in &job.outputs {
            names::check(&o.name, "an artifact", out);
            path(&o.path, &format!("the artifact `{}`", o.name.value), out);
            if let Some(&(other, span)) = given.get(o.name.value.as_str()) {
                out.push(given_twice(&o.name, span, [&jobs[other].name.value, &job.name.value]));
            } else {
                given.insert(&o.name.value, (i, o.name.span));
            }
        }
    }
    let broken = out.iter().any(|d| matches!(d.code, "NXA101" | "NXA102"));
    for (i, job) in jobs.iter().enumerate() {
        if job.inputs.is_empty() {
            continue;
        }
        let ancestors = graph.ancestors(i);
        for input in &job.inputs {
            let name = &input.name.value;
            path(&input.path, &format!("the artifact `{name}`"), out);
            let Some(&(giver, at)) = given.get(name.as_str()) else {
                let d = no_giver(&job.name.value, &input.name, given.keys().copied());
                out.push(came_to(d, job.name.span, "the job that takes it"));
                continue;
            };
            if giver != i && (broken || ancestors.contains(&giver)) {
                continue;
            }
            let from = &jobs[giver].name.value;
            let d = Diagnostic::error(
                "NXA203",
                format!(
                    "job `{}` takes the artifact `{name}` of job `{from}` but does not wait for it",
                    job.name.value
                ),
            )
            .at(input.name.span, "may not be there yet")
            .also(at, format!("given by `{from}`"));
            out.push(if giver == i {
                d.help("a job cannot take what it gives itself")
            } else {
                let d = d.help(format!("add \"{from}\" to the `needs` of `{}`", job.name.value));
                add_need(d, job, from)
            });
        }
    }
}

/// The artifacts of the workflow that a job uses, as others name them: `JOB/NAME`.
fn of_call(job: &Job) -> Vec<Spanned<String>> {
    let Some(call) = &job.call else { return Vec::new() };
    let inner = call
        .value
        .jobs
        .iter()
        .flat_map(|j| of_call(j).into_iter().chain(j.outputs.iter().map(|o| o.name.clone())));
    inner.map(|n| Spanned::new(format!("{}/{}", job.name.value, n.value), n.span)).collect()
}

/// Adds the fix that appends a need to the list where the others are written.
fn add_need(d: Diagnostic, job: &Job, name: &str) -> Diagnostic {
    let last = job.needs.iter().filter_map(|n| n.span.resolve()).max_by_key(|p| p.end);
    let Some(mut place) = last else { return d };
    let rest = place.source.text().get(place.end as usize..).unwrap_or_default();
    // A need that is not the last of a list written out is no place to add one.
    if !rest.trim_ascii_start().starts_with(b"]") || name.contains(['"', '\\', '$']) {
        return d;
    }
    place.start = place.end;
    d.fix(Fix {
        title: format!("add \"{name}\" to `needs`"),
        edits: vec![Edit { place, text: format!(" \"{name}\"") }],
        applicability: Applicability::Unsafe,
    })
}

/// Two jobs give one artifact; the one further down in the file is the mistake.
fn given_twice(name: &Spanned<String>, other: SpanId, mut jobs: [&str; 2]) -> Diagnostic {
    let start = |s: SpanId| s.resolve().map(|p| p.start);
    let (mut first, mut again) = (other, name.span);
    if start(again) < start(first) {
        std::mem::swap(&mut first, &mut again);
        jobs.reverse();
    }
    Diagnostic::error(
        "NXA201",
        format!("the artifact `{}` is given by job `{}` and by job `{}`", name.value, jobs[0], jobs[1]),
    )
    .at(again, "given here again")
    .also(first, "first given here")
    .help("give one of them another name")
}

fn no_giver<'a>(job: &str, name: &Spanned<String>, given: impl Iterator<Item = &'a str>) -> Diagnostic {
    let mut all: Vec<&str> = given.collect();
    all.sort_unstable();
    let d = Diagnostic::error(
        "NXA202",
        format!("job `{job}` takes the artifact `{}`, which no job gives", name.value),
    )
    .at(name.span, "no job has this among its `outputs`");
    match suggest::did_you_mean(&name.value, all.iter().copied()) {
        Some(help) => {
            let near = suggest::nearest(&name.value, all.iter().copied());
            super::shape::instead(d.help(help), &name.value, &near)
        }
        None if all.is_empty() => d.help("add it to the `outputs` of the job that makes it"),
        None => {
            let shown: Vec<_> = all.iter().take(12).map(|n| format!("`{n}`")).collect();
            d.note(format!("the artifacts are {}", shown.join(", ")))
        }
    }
}

/// A path must stay below the job directory.
pub(super) fn path(p: &Spanned<String>, of: &str, out: &mut Vec<Diagnostic>) {
    let why = if p.value.is_empty() {
        "it is empty"
    } else if p.value.contains('\0') {
        "it holds a null byte"
    } else if p.value.starts_with('/') {
        "it is absolute"
    } else if p.value.split('/').any(|part| part == "..") {
        "it leaves the job directory"
    } else {
        return;
    };
    out.push(
        Diagnostic::error("NXA205", format!("the path of {of} cannot be used: {why}"))
            .at(p.span, why)
            .help("write a path below the job directory, such as \"dist\""),
    );
}
