//! A past run as the events it was: journal and output together, in the order of their times.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::output::{Line, Lines};
use super::record::{self, ReadError};
use super::store::Entry;
use crate::engine::event::{Event, EventKind, JobInfo, Name, StepRef};

/// The events of a run, output included.
pub struct Events {
    journal: Peekable<IntoIter<Event>>,
    output: Peekable<Lines>,
    jobs: Vec<JobInfo>,
    begun: bool,
}

/// Opens a run's history.
pub fn events(entry: &Entry) -> Result<Events, ReadError> {
    let journal = record::read(&entry.journal())?.events;
    let log = entry.log();
    let output =
        Lines::open(&log).map_err(|error| ReadError::Io { path: log.display().to_string(), error })?;
    let jobs = journal.iter().find_map(|event| match &event.kind {
        EventKind::RunStarted { jobs, .. } => Some(jobs.clone()),
        _ => None,
    });
    Ok(Events {
        journal: journal.into_iter().peekable(),
        output: output.peekable(),
        jobs: jobs.unwrap_or_default(),
        begun: false,
    })
}

impl Events {
    /// The jobs of the run, in plan order.
    pub fn jobs(&self) -> &[JobInfo] {
        &self.jobs
    }

    fn log(&self, line: Line) -> Option<Event> {
        let job = self.jobs.get(line.job as usize)?;
        let name = |index: u32| job.steps.get(index as usize).cloned().unwrap_or_else(|| Name::from("?"));
        let step = line.step.map(|index| StepRef { index, name: name(index) });
        let Line { time, stream, text, partial, .. } = line;
        Some(Event { time, kind: EventKind::Log { job: job.name.clone(), step, stream, text, partial } })
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            let next = self.journal.peek().map(|event| event.time);
            // A line and the end of its step may have the same time: the line came first.
            if self.begun && self.output.peek().is_some_and(|line| next.is_none_or(|time| line.time <= time))
            {
                let line = self.output.next()?;
                if let Some(event) = self.log(line) {
                    return Some(event);
                }
                continue;
            }
            let event = self.journal.next()?;
            // A run that was resumed announces itself again; its story goes on.
            let again = matches!(event.kind, EventKind::RunStarted { .. }) && self.begun;
            let early = matches!(event.kind, EventKind::RunFinished { .. })
                && self
                    .journal
                    .peek()
                    .is_some_and(|event| matches!(event.kind, EventKind::RunStarted { .. }));
            self.begun = true;
            if !again && !early {
                return Some(event);
            }
        }
    }
}
