//! The state of a run as its events tell it: what the live view and the summary show.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::message;
use crate::engine::event::{
    Event, EventKind, JobInfo, JobResult, LogText, Name, RunResult, StepRef, Timestamp,
};

/// Lines of a step that are kept, to be shown when it fails.
const TAIL_LINES: usize = 20;
/// Longest part of such a line that is kept.
const TAIL_WIDTH: usize = 2000;

/// The last lines that something printed.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    limit: usize,
    lines: VecDeque<Vec<u8>>,
    /// The next piece belongs to the last line.
    open: bool,
    dropped: u64,
}

impl Default for Tail {
    fn default() -> Tail {
        Tail::new(TAIL_LINES)
    }
}

impl Tail {
    /// Keeps at most `limit` lines.
    pub(super) fn new(limit: usize) -> Tail {
        Tail { limit, lines: VecDeque::new(), open: false, dropped: 0 }
    }

    pub(super) fn push(&mut self, text: &[u8], partial: bool) {
        if !self.open {
            // The oldest line's memory is used again: no allocation a line.
            let mut line = if self.lines.len() >= self.limit {
                self.dropped += 1;
                self.lines.pop_front().unwrap_or_default()
            } else {
                Vec::new()
            };
            line.clear();
            self.lines.push_back(line);
        }
        if let Some(line) = self.lines.back_mut() {
            let room = TAIL_WIDTH.saturating_sub(line.len());
            line.extend_from_slice(&text[..text.len().min(room)]);
        }
        self.open = partial;
    }

    /// Keeps only the last `limit` lines from now on.
    pub(super) fn shorten(&mut self, limit: usize) {
        let over = self.lines.len().saturating_sub(limit);
        self.lines.drain(..over);
        self.lines.shrink_to_fit();
        self.dropped += over as u64;
        self.limit = limit;
    }

    /// The lines, oldest first.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(Vec::as_slice)
    }

    pub(super) fn last(&self) -> Option<&[u8]> {
        self.lines.back().map(Vec::as_slice)
    }

    /// How many lines came before those.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Status {
    /// It waits for others.
    #[default]
    Waiting,
    /// It waits for a free slot.
    Ready,
    /// It runs.
    Running,
    /// It has ended; the outcome is the one before `continueOnError`.
    Ended(JobResult),
}

/// A step that failed its job.
#[derive(Debug)]
pub(super) struct FailedStep {
    pub(super) step: StepRef,
    pub(super) end: String,
    pub(super) tail: Tail,
}

/// A job of the run.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) info: JobInfo,
    pub(super) status: Status,
    pub(super) started: Timestamp,
    pub(super) finished: Timestamp,
    pub(super) duration_us: u64,
    /// Its failure counts as success.
    pub(super) forgiven: bool,
    /// Why it failed or was skipped.
    pub(super) reason: Option<String>,
    pub(super) step: Option<StepRef>,
    pub(super) tail: Tail,
    pub(super) failed: Vec<FailedStep>,
}

impl Job {
    fn new(info: JobInfo) -> Job {
        Job {
            info,
            status: Status::Waiting,
            started: Timestamp(0),
            finished: Timestamp(0),
            duration_us: 0,
            forgiven: false,
            reason: None,
            step: None,
            tail: Tail::default(),
            failed: Vec::new(),
        }
    }
}

/// How the run ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) result: RunResult,
    pub(super) duration_us: u64,
    pub(super) error: Option<String>,
}

/// The state of a run.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    workflow: Option<Name>,
    pub(super) started: Timestamp,
    pub(super) jobs: Vec<Job>,
    by_name: FxHashMap<Name, usize>,
    /// Jobs that run now, in the order in which they began.
    pub(super) running: Vec<usize>,
    pub(super) ready: usize,
    pub(super) cancelling: bool,
    pub(super) finished: Option<Finished>,
    /// Markdown of steps, by job and step.
    pub(super) summaries: Vec<(Name, Name, String)>,
}

impl Tracker {
    pub(super) fn workflow(&self) -> &str {
        self.workflow.as_deref().unwrap_or("?")
    }

    /// Jobs that ended with `result`.
    pub(super) fn count(&self, result: JobResult) -> usize {
        self.jobs.iter().filter(|job| job.status == Status::Ended(result)).count()
    }

    pub(super) fn index(&self, name: &Name) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The job of a name. One that was not announced is added, so that nothing goes unreported.
    fn job(&mut self, name: &Name) -> &mut Job {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            None => {
                let executor = Name::from("");
                self.add(JobInfo { name: name.clone(), needs: Vec::new(), steps: Vec::new(), executor })
            }
        };
        &mut self.jobs[index]
    }

    fn add(&mut self, info: JobInfo) -> usize {
        let index = self.jobs.len();
        self.by_name.insert(info.name.clone(), index);
        self.jobs.push(Job::new(info));
        index
    }

    fn set(&mut self, name: &Name, status: Status) -> &mut Job {
        let old = std::mem::replace(&mut self.job(name).status, status);
        let index = self.index(name).unwrap_or_default();
        if old == Status::Ready {
            self.ready -= 1;
        }
        if status == Status::Ready {
            self.ready += 1;
        }
        if old == Status::Running && status != Status::Running {
            self.running.retain(|running| *running != index);
        }
        if status == Status::Running && old != Status::Running {
            self.running.push(index);
        }
        &mut self.jobs[index]
    }

    /// Takes in one event.
    pub(super) fn event(&mut self, event: &Event) {
        use EventKind as E;
        let time = event.time;
        match &event.kind {
            E::RunStarted { workflow, jobs, .. } => {
                self.workflow = Some(workflow.clone());
                self.started = time;
                for info in jobs {
                    self.add(info.clone());
                }
            }
            E::RunCancelling { .. } => self.cancelling = true,
            E::RunFinished { result, duration_us, error, .. } => {
                self.finished =
                    Some(Finished { result: *result, duration_us: *duration_us, error: error.clone() });
            }
            E::JobReady { job } => drop(self.set(job, Status::Ready).step.take()),
            E::JobStarted { job, .. } => self.set(job, Status::Running).started = time,
            E::JobSkipped { job, reason } => {
                let job = self.set(job, Status::Ended(JobResult::Skipped));
                (job.finished, job.reason) = (time, Some(reason.to_string()));
            }
            E::JobRestored { job, result } => {
                let job = self.set(job, Status::Ended(*result));
                (job.finished, job.reason) = (time, Some("kept from before".to_owned()));
            }
            E::JobRetry { job, .. } => self.job(job).failed.clear(),
            E::JobFinished { job, result, outcome, duration_us, failure, .. } => {
                let job = self.set(job, Status::Ended(*outcome));
                (job.finished, job.duration_us) = (time, *duration_us);
                job.forgiven = result != outcome;
                job.reason = failure.as_ref().map(message::failure_text);
                job.tail = Tail::default();
            }
            E::StepStarted { job, step, .. } => {
                let job = self.job(job);
                job.step = Some(step.clone());
                job.tail = Tail::default();
            }
            E::StepFinished { job, step, end, result: JobResult::Failure, .. } => {
                let job = self.job(job);
                let tail = std::mem::take(&mut job.tail);
                job.failed.push(FailedStep { step: step.clone(), end: end.to_string(), tail });
            }
            E::Log { job, text: LogText(text), partial, .. } => self.job(job).tail.push(text, *partial),
            E::Summary { job, step, markdown } => {
                self.summaries.push((job.clone(), step.name.clone(), markdown.clone()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::engine::event::{Decider, Failure, SkipReason, StepEnd, Stream};

    pub(in crate::report) fn event(ms: u64, kind: EventKind) -> Event {
        // 2024-11-24T00:00:00Z
        Event { time: Timestamp(1_732_406_400_000_000 + ms * 1000), kind }
    }

    fn info(name: &str, needs: &[&str]) -> JobInfo {
        JobInfo {
            name: name.into(),
            needs: needs.iter().map(|need| Name::from(*need)).collect(),
            steps: vec!["unit".into()],
            executor: "local".into(),
        }
    }

    /// A run of three jobs: one succeeds, one fails, one is skipped.
    pub(in crate::report) fn run() -> Vec<Event> {
        use EventKind as E;
        let step = || StepRef { index: 0, name: "unit".into() };
        let exit = |code| StepEnd::Exit { code };
        let log = |text: &str| E::Log {
            job: "test".into(),
            step: Some(step()),
            stream: Stream::Stderr,
            text: LogText(text.into()),
            partial: false,
        };
        let mut events = vec![
            event(
                0,
                E::RunStarted {
                    run: "r1".into(),
                    workflow: "ci".into(),
                    project_dir: "/p".into(),
                    run_dir: "/r".into(),
                    max_parallel: 4,
                    jobs: vec![info("build", &[]), info("deploy", &["test"]), info("test", &["build"])],
                },
            ),
            event(0, E::JobReady { job: "build".into() }),
            event(1, E::JobStarted { job: "build".into(), attempt: 1, dir: None }),
        ];
        let finished = |job: &str, result, duration_us, failure| E::JobFinished {
            job: job.into(),
            result,
            outcome: result,
            duration_us,
            failure,
            results: Default::default(),
        };
        events.push(event(1500, finished("build", JobResult::Success, 1_499_000, None)));
        events.push(event(1500, E::JobStarted { job: "test".into(), attempt: 1, dir: None }));
        let begin = E::StepStarted { job: "test".into(), step: step(), attempt: 1, max_attempts: 1 };
        events.push(event(1500, begin));
        events.push(event(1600, log("running")));
        events.push(event(1700, log("assertion failed")));
        events.push(event(
            2000,
            E::StepFinished {
                job: "test".into(),
                step: step(),
                result: JobResult::Failure,
                end: exit(1),
                attempts: 1,
                duration_us: 500_000,
            },
        ));
        let failure = Failure::Step { step: step(), end: exit(1) };
        events.push(event(2000, finished("test", JobResult::Failure, 500_000, Some(failure))));
        let reason = SkipReason::Status {
            condition: "success()".into(),
            decided_by: Some(Decider { name: "test".into(), result: JobResult::Failure }),
            cancelled: false,
        };
        events.push(event(2000, E::JobSkipped { job: "deploy".into(), reason }));
        events.push(event(
            2000,
            E::RunFinished { result: RunResult::Failure, exit_code: 1, duration_us: 2_000_000, error: None },
        ));
        events
    }

    #[test]
    fn states_follow_events() {
        let mut tracker = Tracker::default();
        let events = run();
        events[..7].iter().for_each(|event| tracker.event(event));
        assert_eq!(tracker.running, [2]);
        assert_eq!((tracker.ready, tracker.count(JobResult::Success)), (0, 1));
        assert_eq!(tracker.jobs[2].tail.last(), Some(&b"running"[..]));
        events[7..].iter().for_each(|event| tracker.event(event));
        assert!(tracker.running.is_empty() && tracker.finished.is_some());
        assert_eq!(tracker.jobs[2].failed[0].tail.lines().count(), 2);
    }

    #[test]
    fn tails_keep_the_last_lines() {
        let mut tail = Tail::default();
        for index in 0..50 {
            tail.push(format!("line {index}").as_bytes(), false);
        }
        tail.push(b"in ", true);
        tail.push(b"pieces", false);
        assert_eq!(tail.last(), Some(&b"in pieces"[..]));
        assert_eq!((tail.lines().count(), tail.dropped()), (TAIL_LINES, 31));
        tail.push(&[b'x'; 5000], false);
        assert_eq!(tail.last().map(<[u8]>::len), Some(TAIL_WIDTH));
    }
}
