//! The report that keeps the lines of a job together.
//!
//! One job at a time has the stage and is shown as it goes; what others print waits until the stage
//! is free, jobs that have ended first.

use std::collections::VecDeque;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;

use rustc_hash::FxHashMap;

use super::message;
use super::settings::Settings;
use super::spool::Spool;
use super::summary;
use super::tracker::Tracker;
use super::writer::Writer;
use crate::engine::event::{Event, EventKind, EventSink, Name};

#[derive(Default)]
struct State {
    tracker: Tracker,
    run_dir: PathBuf,
    /// The job that is shown.
    stage: Option<Name>,
    /// Lines of the jobs that are not.
    waiting: FxHashMap<Name, Spool>,
    /// Jobs that have ended and wait for the stage.
    ended: VecDeque<Name>,
    /// Lines of the run itself that came while a job was shown.
    between: Vec<u8>,
}

/// The grouped report.
pub(super) struct Grouped {
    settings: Settings,
    state: Mutex<State>,
    writer: Writer,
}

impl Grouped {
    pub(super) fn new(settings: Settings, out: Box<dyn Write + Send>) -> Grouped {
        Grouped { settings, state: Mutex::default(), writer: Writer::new(out) }
    }

    fn write(&self, bytes: &[u8]) {
        self.writer.append(|buffer| buffer.extend_from_slice(bytes));
    }

    /// A line of a job: shown when the job has the stage or takes it, else kept.
    fn job_line(&self, state: &mut State, job: &Name, text: &[u8]) {
        if state.stage.is_none() {
            self.open(state, job);
        }
        if state.stage.as_ref() == Some(job) {
            self.write(text);
        } else {
            let spool = state.waiting.entry(job.clone()).or_default();
            spool.push(text, &state.run_dir);
        }
    }

    fn open(&self, state: &mut State, job: &Name) {
        let head =
            if self.settings.on_github { format!("::group::{job}\n") } else { format!("── {job}\n") };
        self.write(head.as_bytes());
        state.stage = Some(job.clone());
        if let Some(spool) = state.waiting.remove(job) {
            spool.drain(&mut |bytes| self.write(bytes));
        }
    }

    fn close(&self, state: &mut State) {
        state.stage = None;
        if self.settings.on_github {
            self.write(b"::endgroup::\n");
        }
        self.write(&std::mem::take(&mut state.between));
    }

    /// A job has ended: the stage passes to those that ended before it was free, then to one that
    /// still runs.
    fn job_ended(&self, state: &mut State, job: &Name) {
        if state.stage.as_ref() != Some(job) {
            if state.waiting.contains_key(job) {
                state.ended.push_back(job.clone());
            }
            return;
        }
        self.close(state);
        while let Some(next) = state.ended.pop_front() {
            self.open(state, &next);
            self.close(state);
        }
        let running = state.tracker.running.iter().map(|job| &state.tracker.jobs[*job].info.name);
        if let Some(next) = running.into_iter().find(|job| state.waiting.contains_key(*job)).cloned() {
            self.open(state, &next);
        }
    }

    /// Shows all that is left, whatever became of its job.
    fn end(&self, state: &mut State) {
        if state.stage.is_some() {
            self.close(state);
        }
        let mut left: Vec<Name> = state.waiting.keys().cloned().collect();
        left.sort();
        for job in left {
            self.open(state, &job);
            self.close(state);
        }
    }
}

impl EventSink for Grouped {
    fn event(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let state = &mut *state;
        state.tracker.event(event);
        if let EventKind::RunStarted { run_dir, .. } = &event.kind {
            state.run_dir.clone_from(run_dir);
        }
        if matches!(event.kind, EventKind::RunFinished { .. }) {
            self.end(state);
        }
        let line = message::line(&event.kind);
        if line.level >= self.settings.level {
            let mut text = Vec::new();
            if let Some(step) = line.step {
                text.extend_from_slice(step.name.as_bytes());
                text.extend_from_slice(b": ");
            }
            message::write(&event.kind, &mut text);
            text.push(b'\n');
            match line.job {
                Some(job) => self.job_line(state, job, &text),
                None if state.stage.is_some() => state.between.extend_from_slice(&text),
                None => self.write(&text),
            }
        }
        match &event.kind {
            EventKind::JobFinished { job, .. } | EventKind::JobSkipped { job, .. } => {
                self.job_ended(state, job);
            }
            EventKind::RunFinished { .. } => {
                self.write(summary::render(&state.tracker, self.settings.color).as_bytes());
                self.writer.flush();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Format;
    use super::super::tracker::tests::{event, run};
    use super::super::writer::tests::Memory;
    use super::*;
    use crate::engine::event::{JobResult, Level, LogText, Stream};

    fn grouped(on_github: bool) -> (Grouped, Memory) {
        let memory = Memory::default();
        let settings = Settings { format: Format::Grouped, level: Level::Info, color: false, on_github };
        (Grouped::new(settings, Box::new(memory.clone())), memory)
    }

    #[test]
    fn lines_of_jobs_that_run_together_stay_together() {
        let (sink, memory) = grouped(false);
        let started = |job: &str| EventKind::JobStarted { job: job.into(), attempt: 1, dir: None };
        let log = |job: &str, text: &str| EventKind::Log {
            job: job.into(),
            step: None,
            stream: Stream::Stdout,
            text: LogText(text.into()),
            partial: false,
        };
        let finished = |job: &str| EventKind::JobFinished {
            job: job.into(),
            result: JobResult::Success,
            outcome: JobResult::Success,
            duration_us: 1000,
            failure: None,
            results: std::collections::BTreeMap::new(),
        };
        let kinds = [
            started("a"),
            started("b"),
            log("b", "b1"),
            log("a", "a1"),
            finished("b"),
            log("a", "a2"),
            finished("a"),
        ];
        kinds.into_iter().for_each(|kind| sink.event(&event(0, kind)));
        drop(sink);
        let expected = "── a\nstarted\na1\na2\nsuccess in 1ms\n── b\nstarted\nb1\nsuccess in 1ms\n";
        assert_eq!(memory.text(), expected);
    }

    #[test]
    fn groups_can_be_folded_on_github() {
        let (sink, memory) = grouped(true);
        run().iter().for_each(|event| sink.event(event));
        drop(sink);
        let text = memory.text();
        assert_eq!(text.matches("::group::").count(), 3, "{text}");
        assert_eq!(text.matches("::endgroup::").count(), 3, "{text}");
        assert!(text.contains("::group::test\nstarted\nunit: started\nunit: running\n"), "{text}");
    }
}
