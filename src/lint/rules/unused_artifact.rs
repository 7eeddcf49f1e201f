//! NXA204: an artifact that no job takes.

use std::collections::HashSet;

use crate::diag::{Diagnostic, Severity};
use crate::lint::registry::Model;
use crate::workflow::model::ArtifactGiven;
use crate::workflow::plan::Condition;

pub(in crate::lint) fn check(model: &Model<'_>, out: &mut Vec<Diagnostic>) {
    let jobs = &model.workflow.jobs;
    let taken: HashSet<&str> =
        jobs.iter().flat_map(|j| &j.inputs).map(|input| input.name.value.as_str()).collect();
    for (i, job) in jobs.iter().enumerate() {
        // What the last jobs give is what the run is for, and what is saved whatever happens is a
        // report for people. Jobs that clean up or notify take nothing.
        let goes_on = |j: usize| {
            model.graph.needs[j].iter().any(|n| n.0 == i)
                && jobs[j].condition.as_ref().is_none_or(|c| c.value == Condition::Success)
        };
        if !(0..jobs.len()).any(goes_on) {
            continue;
        }
        let unused = |g: &&ArtifactGiven| !g.always && !taken.contains(g.name.value.as_str());
        for given in job.outputs.iter().filter(unused) {
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
