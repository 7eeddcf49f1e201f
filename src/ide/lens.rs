//! Code lenses: run a workflow.

use rnix::TextRange;

use super::place::Context;
use super::target::jobs_written;

/// Something that can be run from a place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lens {
    /// The place.
    pub range: TextRange,
    /// The workflow's name in the file, when the file holds several.
    pub workflow: Option<String>,
    /// The job.
    pub job: String,
    /// What it waits for, for the title.
    pub needs: usize,
}

/// A lens for each job.
pub fn lenses(context: &Context<'_>) -> Vec<Lens> {
    let mut out: Vec<Lens> = Vec::new();
    if let Some(present) = &context.facts {
        for (w, job) in present.facts.jobs() {
            let Some(range) = present.here_named(job.name.spot.as_ref(), &job.written_as) else { continue };
            if !out.iter().any(|l| l.range == range) {
                let (workflow, job_name) = (w.key.clone(), job.written_as.clone());
                out.push(Lens { range, workflow, job: job_name, needs: job.needed.len() });
            }
        }
    } else {
        for job in jobs_written(&context.root) {
            out.push(Lens { range: job.range, workflow: None, job: job.name, needs: 0 });
        }
    }
    out.sort_by_key(|l| l.range.start());
    out
}
