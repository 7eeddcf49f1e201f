//! NXA204: an artifact that no job takes.

use std::collections::HashSet;

use crate::diag::{Diagnostic, Severity};
use crate::lint::registry::Model;

pub(in crate::lint) fn check(model: &Model<'_>, out: &mut Vec<Diagnostic>) {
    let jobs = &model.workflow.jobs;
    let taken: HashSet<&str> =
        jobs.iter().flat_map(|j| &j.inputs).map(|input| input.name.value.as_str()).collect();
    // What the last jobs give is what the run is for.
    let waited_for: HashSet<usize> = model.graph.needs.iter().flatten().map(|n| n.0).collect();
    for (_, job) in jobs.iter().enumerate().filter(|(i, _)| waited_for.contains(i)) {
        for given in job.outputs.iter().filter(|g| !taken.contains(g.name.value.as_str())) {
            let d = Diagnostic::new(
                Severity::Hint,
                "NXA204",
                format!("no job takes the artifact `{}` of job `{}`", given.name.value, job.name.value),
            )
            .at(given.name.span, "not among the `inputs` of any job")
            .help("add it to the `inputs` of the job that uses it, or remove it");
            out.push(d);
        }
    }
}
