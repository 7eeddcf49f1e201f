//! Lines of the form `job/step: text`, without times.

use super::lines::Prefix;
use super::message::Line;
use crate::engine::event::Timestamp;

/// The simple format.
pub(super) struct Simple;

impl Prefix for Simple {
    fn write(&self, _: Timestamp, workflow: &str, line: &Line<'_>, out: &mut Vec<u8>) {
        match line.job {
            Some(job) => out.extend_from_slice(job.as_bytes()),
            None => out.extend_from_slice(workflow.as_bytes()),
        }
        if let Some(step) = line.step {
            out.push(b'/');
            out.extend_from_slice(step.name.as_bytes());
        }
        out.extend_from_slice(b": ");
    }
}
