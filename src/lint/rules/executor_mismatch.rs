//! NXA601: a job and its executor that do not fit together.

use crate::diag::{Diagnostic, Severity};
use crate::lint::registry::Model;
use crate::workflow::model::{ExecutorRef, Job};
use crate::workflow::tree::Kind;

pub(in crate::lint) fn check(model: &Model<'_>, out: &mut Vec<Diagnostic>) {
    for job in &model.workflow.jobs {
        let Some(executor) = &job.executor else { continue };
        out.extend(no_image(job, executor));
        out.extend(no_repository(job, executor));
    }
}

/// A container whose image is to be made of packages, of which there are none.
fn no_image(job: &Job, executor: &ExecutorRef) -> Option<Diagnostic> {
    let in_container = matches!(executor.kind.as_str(), "oci" | "podman");
    let packages = !job.steps.iter().all(|s| s.deps.is_empty())
        || executor
            .options
            .attr("extraPackages")
            .is_some_and(|p| matches!(&p.value.kind, Kind::List(l) if !l.is_empty()));
    if !in_container || packages || executor.options.attr("image").is_some_and(|i| i.value.text().is_some()) {
        return None;
    }
    let d = Diagnostic::new(
        Severity::Warning,
        "NXA601",
        format!("job `{}` runs in a container, and nothing says of which image", job.name.value),
    )
    .at(executor.span, "has no `image`, and the steps have no `deps` to make one of")
    .help(format!("name one: `nixactions.executors.{} {{ image = \"debian:stable\"; }}`", executor.kind));
    Some(d)
}

/// Artifacts that come into a directory without the repository.
fn no_repository(job: &Job, executor: &ExecutorRef) -> Option<Diagnostic> {
    let copies = executor.options.attr("copyRepo").and_then(|c| c.value.bool());
    let input = job.inputs.first().filter(|_| copies == Some(false))?;
    let d = Diagnostic::new(
        Severity::Hint,
        "NXA601",
        format!("job `{}` takes artifacts, but its executor copies no repository", job.name.value),
    )
    .at(input.name.span, "comes into a directory that is empty otherwise")
    .also(executor.span, "`copyRepo = false`")
    .help("leave `copyRepo` out if the steps use files of the repository");
    Some(d)
}
