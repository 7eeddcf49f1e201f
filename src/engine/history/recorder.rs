//! What is kept of a run while it goes: each event goes into the journal, output into the log.

use std::io;
use std::path::Path;

use rustc_hash::FxHashMap;

use super::journal::{Gate, Journal};
use super::output::{self, Output};
use super::record::{Chain, Read};
use super::store::{self, Entry, Limits, Origin};
use crate::engine::event::{Event, EventKind, Name};
use crate::workflow::plan::Plan;

/// Keeps one run.
pub struct Recorder {
    journal: Journal,
    output: Output,
    jobs: FxHashMap<Name, u32>,
}

impl Recorder {
    /// Begins to keep a run, or goes on after what was found of it.
    pub fn open(
        root: &Path,
        id: &str,
        plan: &Plan,
        origin: &Origin,
        found: Option<&Read>,
        gate: Option<Gate>,
    ) -> io::Result<Recorder> {
        let entry = Entry::new(root, id);
        let (sound, chain) = found.map_or((0, Chain::default()), |found| (found.sound, found.chain));
        if found.is_none() {
            entry.create(plan, origin)?;
        }
        let (root, kept) = (root.to_path_buf(), entry.clone());
        let journal = Journal::open(&entry.journal(), sound, chain, gate, move || {
            kept.sync();
            store::prune(&root, Limits::from_process());
        })?;
        let number =
            |(n, job): (usize, &crate::workflow::plan::Job)| (Name::from(job.name.as_str()), n as u32);
        Ok(Recorder {
            journal,
            output: Output::open(&entry.log(), output::LIMIT)?,
            jobs: plan.jobs.iter().enumerate().map(number).collect(),
        })
    }

    /// Keeps an event; what cannot be kept is told once.
    pub fn record(&self, event: &Event) -> Result<(), String> {
        let EventKind::Log { job, step, stream, text, partial } = &event.kind else {
            // What a step printed is there before the news of its end.
            self.output.flush();
            return self.journal.append(event);
        };
        let Some(&job) = self.jobs.get(job) else { return Ok(()) };
        let place = (job, step.as_ref().map(|step| step.index));
        self.output.push(event.time, place, *stream, &text.0, *partial)
    }

    /// Blocks until all that was recorded is on the disk; false when it never will be.
    pub fn synced(&self) -> bool {
        self.journal.synced()
    }
}
