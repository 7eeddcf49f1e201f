//! A whole run as its events told it: what the reports that are written at its end are made from.

use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

use super::critical_path::{Span, critical_path};
use super::message;
use super::tracker::Tail;
use crate::engine::event::{
    Event, EventKind, EventSink, JobInfo, JobResult, Level, LogText, Name, RunResult, StepEnd, StepRef,
    Timestamp,
};

/// Lines of a step that a report shows.
const STEP_LINES: usize = 200;
/// Lines of a step that succeeded which are kept once it has ended.
const QUIET_LINES: usize = 20;

/// A step as it went.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) step: StepRef,
    pub(super) started: Timestamp,
    pub(super) duration_us: u64,
    /// `None`: the run broke off.
    pub(super) result: Option<JobResult>,
    pub(super) end: Option<StepEnd>,
    pub(super) attempts: u32,
    /// Why it was skipped.
    pub(super) skipped: Option<String>,
    pub(super) tail: Tail,
}

/// An artifact that a job gave.
#[derive(Clone, Debug)]
pub(super) struct Artifact {
    pub(super) name: Name,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// A job as it went.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) info: JobInfo,
    pub(super) started: Timestamp,
    pub(super) finished: Timestamp,
    pub(super) duration_us: u64,
    /// What happened, before `continueOnError`; `None`: it never began, or the run broke off.
    pub(super) outcome: Option<JobResult>,
    /// Its failure counts as success.
    pub(super) forgiven: bool,
    /// Why it failed or was skipped.
    pub(super) reason: Option<String>,
    /// The steps that began or were skipped.
    pub(super) steps: Vec<Step>,
    pub(super) artifacts: Vec<Artifact>,
}

/// Something said about the run or a job.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) level: Level,
    pub(super) job: Option<Name>,
    pub(super) message: String,
}

/// A run as it went.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub(super) run: String,
    pub(super) workflow: String,
    pub(super) started: Timestamp,
    pub(super) finished: Timestamp,
    pub(super) result: Option<RunResult>,
    pub(super) error: Option<String>,
    pub(super) jobs: Vec<Job>,
    by_name: FxHashMap<Name, usize>,
    /// Markdown of steps, with job and step.
    pub(super) summaries: Vec<(Name, Name, String)>,
    /// Warnings and errors that no step is to blame for.
    pub(super) notices: Vec<Notice>,
}

impl Record {
    /// The places of the jobs that decided how long the run took.
    pub(super) fn critical_path(&self) -> Vec<usize> {
        let span = |job: &Job| Span {
            needs: job.info.needs.iter().filter_map(|need| self.by_name.get(need).copied()).collect(),
            started: job.started,
            finished: job.finished,
        };
        critical_path(&self.jobs.iter().map(span).collect::<Vec<_>>())
    }

    /// The place of a job.
    pub(super) fn index(&self, name: &Name) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Jobs with an outcome.
    pub(super) fn count(&self, outcome: JobResult) -> usize {
        self.jobs.iter().filter(|job| job.outcome == Some(outcome)).count()
    }

    /// How the run ended, in a word.
    pub(super) fn verdict(&self) -> &'static str {
        match self.result {
            Some(RunResult::Success) => "succeeded",
            Some(RunResult::Failure | RunResult::Infrastructure) => "failed",
            Some(RunResult::Cancelled { .. }) => "was cancelled",
            None => "was interrupted",
        }
    }

    fn job(&mut self, name: &Name) -> &mut Job {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            // One that was not announced is added, so that nothing goes unreported.
            None => self.add(JobInfo {
                name: name.clone(),
                needs: Vec::new(),
                steps: Vec::new(),
                executor: "".into(),
            }),
        };
        &mut self.jobs[index]
    }

    fn add(&mut self, info: JobInfo) -> usize {
        let index = self.jobs.len();
        self.by_name.insert(info.name.clone(), index);
        self.jobs.push(Job {
            info,
            started: Timestamp(0),
            finished: Timestamp(0),
            duration_us: 0,
            outcome: None,
            forgiven: false,
            reason: None,
            steps: Vec::new(),
            artifacts: Vec::new(),
        });
        index
    }

    fn step(&mut self, job: &Name, step: &StepRef, time: Timestamp) -> &mut Step {
        let steps = &mut self.job(job).steps;
        // Steps end in order, but for those in the background; the search starts at the last.
        let at = steps.iter().rposition(|known| known.step.index == step.index).unwrap_or_else(|| {
            steps.push(Step {
                step: step.clone(),
                started: time,
                duration_us: 0,
                result: None,
                end: None,
                attempts: 0,
                skipped: None,
                tail: Tail::new(STEP_LINES),
            });
            steps.len() - 1
        });
        &mut steps[at]
    }

    fn event(&mut self, event: &Event) {
        use EventKind as E;
        let time = event.time;
        match &event.kind {
            E::RunStarted { run, workflow, jobs, .. } => {
                (self.run, self.workflow, self.started) = (run.to_string(), workflow.to_string(), time);
                for info in jobs {
                    self.add(info.clone());
                }
            }
            E::RunFinished { result, error, .. } => {
                (self.result, self.error, self.finished) = (Some(*result), error.clone(), time);
            }
            E::JobStarted { job, attempt, .. } => {
                let job = self.job(job);
                if *attempt <= 1 {
                    job.started = time;
                }
            }
            E::JobRetry { job, .. } => self.job(job).steps.clear(),
            E::JobSkipped { job, reason } => {
                let job = self.job(job);
                (job.finished, job.outcome) = (time, Some(JobResult::Skipped));
                job.reason = Some(reason.to_string());
            }
            E::JobFinished { job, result, outcome, duration_us, failure, .. } => {
                let job = self.job(job);
                (job.finished, job.duration_us, job.outcome) = (time, *duration_us, Some(*outcome));
                job.forgiven = result != outcome;
                job.reason = failure.as_ref().map(message::failure_text);
            }
            E::StepStarted { job, step, attempt, .. } => {
                let step = self.step(job, step, time);
                step.attempts = *attempt;
                step.tail = Tail::new(STEP_LINES);
            }
            E::StepSkipped { job, step, reason } => {
                let step = self.step(job, step, time);
                (step.result, step.skipped) = (Some(JobResult::Skipped), Some(reason.to_string()));
            }
            E::StepFinished { job, step, result, end, attempts, duration_us } => {
                let step = self.step(job, step, time);
                (step.result, step.end) = (Some(*result), Some(end.clone()));
                (step.attempts, step.duration_us) = (*attempts, *duration_us);
                if end.is_success() {
                    step.tail.shorten(QUIET_LINES);
                }
            }
            E::Log { job, step: Some(step), text: LogText(text), partial, .. } => {
                self.step(job, step, time).tail.push(text, *partial);
            }
            E::Summary { job, step, markdown } => {
                self.summaries.push((job.clone(), step.name.clone(), markdown.clone()));
            }
            E::ArtifactSaved { job, artifact, files, bytes } => {
                let artifact = Artifact { name: artifact.clone(), files: *files, bytes: *bytes };
                self.job(job).artifacts.push(artifact);
            }
            E::Notice { level, job, message } if *level >= Level::Warning => {
                self.notices.push(Notice { level: *level, job: job.clone(), message: message.clone() });
            }
            _ => {}
        }
    }
}

/// Keeps the record of a run.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Record>);

impl Recorder {
    /// What was recorded so far.
    pub fn record(&self) -> Record {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl EventSink for Recorder {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).event(event);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tracker::tests::run;
    use super::*;

    /// The record of the run of three jobs.
    pub(in crate::report) fn record() -> Record {
        let recorder = Recorder::default();
        run().iter().for_each(|event| recorder.event(event));
        recorder.record()
    }

    #[test]
    fn a_record_tells_the_run() {
        let record = record();
        assert_eq!((record.run.as_str(), record.verdict()), ("r1", "failed"));
        let test = &record.jobs[2];
        assert_eq!(test.outcome, Some(JobResult::Failure));
        assert_eq!(test.steps[0].tail.lines().count(), 2);
        assert_eq!(test.steps[0].end, Some(StepEnd::Exit { code: 1 }));
        assert_eq!(record.critical_path(), [0, 2]);
        assert!(record.jobs[1].reason.as_deref().is_some_and(|why| why.contains("test ended with failure")));
    }
}
