//! Events: every transition of a run, as data.
//!
//! Reports render them, `--format json` prints them one per line, a journal can store them. They
//! hold masked text only: a sink never sees a secret.

mod text;
mod timestamp;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::text::{LogText, Name};
pub use self::timestamp::Timestamp;

/// One transition and when it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Receives the events of a run, in order, from the engine's threads. A slow sink slows the run
/// down rather than letting memory grow.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn event(&self, event: &Event);
}

/// What happened. `job` and `step` are names as in the plan; `attempt` counts from 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum EventKind {
    /// The first event of a run.
    RunStarted {
        /// Identifier, also `$WORKFLOW_ID`.
        run: Name,
        /// Workflow name.
        workflow: Name,
        /// Project directory.
        project_dir: PathBuf,
        /// The run's own directory.
        run_dir: PathBuf,
        /// Jobs at a time.
        max_parallel: usize,
        /// All jobs, in plan order.
        jobs: Vec<JobInfo>,
    },
    /// Follows [`EventKind::RunStarted`] when the run goes on after its runner died or it was
    /// cancelled, or when another run's results are taken over.
    RunResumed {
        /// The run whose results are kept.
        from: Name,
        /// Jobs that are not run again.
        kept: usize,
    },
    /// The run stops: running jobs are being cancelled, and only `always()` and `cancelled()` go on.
    RunCancelling {
        /// Why.
        cause: CancelCause,
        /// True from the second signal on: no more grace.
        kill: bool,
    },
    /// The last event of a run.
    RunFinished {
        /// How it ended.
        result: RunResult,
        /// Exit code of the program.
        exit_code: u8,
        /// From [`EventKind::RunStarted`] on, in microseconds.
        duration_us: u64,
        /// Why, when no job says so (a provider failed, the run directory could not be made, …).
        error: Option<String>,
    },
    /// An environment provider ran.
    Provider {
        /// For whom.
        scope: Scope,
        /// What it is, such as `file .env` or `required A B`.
        provider: String,
        /// Names that it set (never values).
        names: Vec<Name>,
        /// Why it failed, with its stderr; `None`: it succeeded.
        error: Option<String>,
    },
    /// Variables whose value in the plan is overridden by the environment of the runner (said once).
    AmbientOverride {
        /// Their names.
        names: Vec<Name>,
    },
    /// All that the job needs has ended and its condition holds; it waits for a free slot.
    JobReady {
        /// Job.
        job: Name,
    },
    /// The job began.
    JobStarted {
        /// Job.
        job: Name,
        /// Attempt, with `retry.scope = "job"`.
        attempt: u32,
        /// Directory of the job, as the job sees it; `None` when it could not be prepared.
        dir: Option<PathBuf>,
    },
    /// The job's condition did not hold.
    JobSkipped {
        /// Job.
        job: Name,
        /// What decided.
        reason: SkipReason,
    },
    /// The job ended earlier, in this run before it was resumed or in the one whose results are
    /// kept; it is not run again.
    JobRestored {
        /// Job.
        job: Name,
        /// What dependents see.
        result: JobResult,
    },
    /// An attempt at the whole job failed; another follows after the delay.
    JobRetry {
        /// Job.
        job: Name,
        /// The attempt that failed.
        attempt: u32,
        /// Delay in milliseconds.
        delay_ms: u64,
    },
    /// The job ended (also when it was cancelled before it began; not when it was skipped).
    JobFinished {
        /// Job.
        job: Name,
        /// What dependents see.
        result: JobResult,
        /// What happened, before `continueOnError`.
        outcome: JobResult,
        /// In microseconds.
        duration_us: u64,
        /// What failed it.
        failure: Option<Failure>,
        /// What it hands on to its dependents.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        results: BTreeMap<Name, String>,
    },
    /// An attempt at a step began.
    StepStarted {
        /// Job.
        job: Name,
        /// Step.
        step: StepRef,
        /// Attempt.
        attempt: u32,
        /// Attempts in all.
        max_attempts: u32,
    },
    /// The step's condition did not hold.
    StepSkipped {
        /// Job.
        job: Name,
        /// Step.
        step: StepRef,
        /// What decided.
        reason: SkipReason,
    },
    /// An attempt failed; another follows after the delay.
    StepRetry {
        /// Job.
        job: Name,
        /// Step.
        step: StepRef,
        /// The attempt that failed.
        attempt: u32,
        /// Attempts in all.
        max_attempts: u32,
        /// How it ended.
        end: StepEnd,
        /// Delay in milliseconds.
        delay_ms: u64,
    },
    /// The step ended.
    StepFinished {
        /// Job.
        job: Name,
        /// Step.
        step: StepRef,
        /// What the job counts.
        result: JobResult,
        /// How the last attempt ended.
        end: StepEnd,
        /// Attempts made.
        attempts: u32,
        /// All attempts and delays, in microseconds.
        duration_us: u64,
    },
    /// A line that a step (or, without one, a job's condition or preparation) printed.
    Log {
        /// Job.
        job: Name,
        /// Step.
        step: Option<StepRef>,
        /// Stream.
        stream: Stream,
        /// The line without its newline, masked.
        text: LogText,
        /// The line goes on in the next event of this stream (very long lines come in pieces).
        partial: bool,
    },
    /// Markdown that a step wrote into `$NIXACTIONS_STEP_SUMMARY`, masked.
    Summary {
        /// Job.
        job: Name,
        /// Step.
        step: StepRef,
        /// The text.
        markdown: String,
    },
    /// An artifact was saved.
    ArtifactSaved {
        /// Job.
        job: Name,
        /// Artifact name.
        artifact: Name,
        /// Files and links in it.
        files: u64,
        /// Their size.
        bytes: u64,
    },
    /// An artifact was restored.
    ArtifactRestored {
        /// Job that takes it.
        job: Name,
        /// Artifact name.
        artifact: Name,
        /// Where, relative to the job directory.
        path: String,
    },
    /// Saved directories were restored.
    CacheRestored {
        /// Job that takes them.
        job: Name,
        /// The key that was wanted.
        key: String,
        /// The key that was found.
        found: String,
        /// Whether these are the same.
        exact: bool,
    },
    /// Directories were saved for later runs.
    CacheSaved {
        /// Job that saved them.
        job: Name,
        /// The key.
        key: String,
        /// Files and links.
        files: u64,
        /// Their size.
        bytes: u64,
    },
    /// Nothing that the job depends on has changed: what an earlier run gave is used again.
    JobUnchanged {
        /// Job.
        job: Name,
        /// The run that made it.
        run: Name,
    },
    /// A package that jobs need began to be built or fetched, or is done.
    Package {
        /// Its name.
        package: Name,
        /// What happened.
        state: PackageState,
    },
    /// A line that the build of a package printed, masked.
    PackageLog {
        /// The package.
        package: Name,
        /// The line without its newline.
        text: LogText,
    },
    /// Something worth saying that changes no state.
    Notice {
        /// How important.
        level: Level,
        /// Job, when it concerns one.
        job: Option<Name>,
        /// The text, masked.
        message: String,
    },
}

/// How far a package is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum PackageState {
    /// It is being built.
    Building,
    /// It is being fetched.
    Fetching,
    /// It is there.
    Done {
        /// In microseconds.
        duration_us: u64,
    },
    /// It could not be made.
    Failed {
        /// Why, masked.
        message: String,
    },
}

/// A job, as [`EventKind::RunStarted`] announces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobInfo {
    /// Its name.
    pub name: Name,
    /// What it comes after: its needs; the jobs of a call stand before the job that sums them up.
    pub needs: Vec<Name>,
    /// Names of its steps.
    pub steps: Vec<Name>,
    /// Name of its executor.
    pub executor: Name,
}

/// A step: its place in the job (from 0) and its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRef {
    /// Place in the job, from 0.
    pub index: u32,
    /// Name.
    pub name: Name,
}

/// For whom a provider runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Scope {
    /// The whole workflow.
    Workflow,
    /// A job.
    Job {
        /// Job.
        job: Name,
    },
    /// A step.
    Step {
        /// Job.
        job: Name,
        /// Step.
        step: StepRef,
    },
}

/// Why a job or step was skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", rename_all_fields = "camelCase")]
pub enum SkipReason {
    /// An expression of status functions was false.
    Status {
        /// The condition, as text.
        condition: String,
        /// The job (or earlier step) whose result decided; `None` when everything succeeded (so
        /// `failure()` is false) or when the run's state decided.
        decided_by: Option<Decider>,
        /// Whether the run was cancelled.
        cancelled: bool,
    },
    /// It was left out by the choice of jobs on the command line.
    NotSelected {
        /// The option that left it out, such as `--skip lint`.
        by: String,
    },
    /// The condition's script said no.
    Script {
        /// The script.
        script: String,
        /// Its exit code.
        exit_code: i32,
    },
    /// The condition's script could not be run or was cut off.
    ScriptError {
        /// The script.
        script: String,
        /// What happened.
        error: String,
    },
}

/// The job or step that decided a condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decider {
    /// Its name.
    pub name: Name,
    /// Its result.
    pub result: JobResult,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::Status { condition, decided_by: Some(by), .. } => {
                write!(f, "{condition} is false: {} ended with {}", by.name, by.result)
            }
            SkipReason::Status { condition, cancelled: true, .. } => {
                write!(f, "{condition} is false: the run was cancelled")
            }
            SkipReason::Status { condition, .. } => {
                write!(f, "{condition} is false: nothing before failed and nothing was cancelled")
            }
            SkipReason::NotSelected { by } => write!(f, "left out by {by}"),
            SkipReason::Script { script, exit_code } => {
                write!(f, "condition `{}` exited with {exit_code}", script.trim())
            }
            SkipReason::ScriptError { script, error } => {
                write!(f, "condition `{}` could not be decided: {error}", script.trim())
            }
        }
    }
}

/// Result of a job or step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobResult {
    /// Done.
    Success,
    /// Went wrong.
    Failure,
    /// Its condition did not hold.
    Skipped,
    /// Stopped, or never begun because the run was cancelled.
    Cancelled,
}

impl JobResult {
    /// The word of the DSL.
    pub fn as_str(self) -> &'static str {
        match self {
            JobResult::Success => "success",
            JobResult::Failure => "failure",
            JobResult::Skipped => "skipped",
            JobResult::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for JobResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Result of a run; see [`RunResult::exit_code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum RunResult {
    /// Every job that had to succeed did.
    Success,
    /// A job failed.
    Failure,
    /// The runner's own machinery failed: no space, no shell, no executor.
    Infrastructure,
    /// Cancelled by a signal (2 or 15), or by a budget or `failFast` (none).
    Cancelled {
        /// The signal.
        signal: Option<i32>,
    },
}

impl RunResult {
    /// Exit code: 0, 1, 3, or 128 plus the signal.
    pub fn exit_code(self) -> u8 {
        match self {
            RunResult::Success => 0,
            RunResult::Failure | RunResult::Cancelled { signal: None } => 1,
            RunResult::Infrastructure => 3,
            RunResult::Cancelled { signal: Some(signal) } => 128 + (signal & 0x7f) as u8,
        }
    }
}

/// Why a run is being cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum CancelCause {
    /// A signal (2: SIGINT, 15: SIGTERM).
    Signal {
        /// Its number.
        signal: i32,
    },
    /// The workflow's `budget` is used up.
    Budget,
    /// `failFast`, after this job failed.
    FailFast {
        /// The job.
        job: Name,
    },
}

/// What failed a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Failure {
    /// A step.
    Step {
        /// The step.
        step: StepRef,
        /// How it ended.
        end: StepEnd,
    },
    /// An artifact could not be saved or restored.
    Artifact {
        /// Its name.
        artifact: Name,
        /// What happened.
        message: String,
    },
    /// A provider of the job's environment failed.
    Provider {
        /// What happened.
        message: String,
    },
    /// A service did not become ready.
    Service {
        /// What happened.
        message: String,
    },
    /// A result has no value.
    Result {
        /// What happened.
        message: String,
    },
    /// A package that it needs could not be made.
    Package {
        /// The step that needs it; `None`: the job itself does.
        step: Option<Name>,
        /// The package.
        package: Name,
        /// What happened, with the end of the log.
        message: String,
        /// The machine is to blame, not the package.
        infrastructure: bool,
    },
    /// The job's `budget` is used up.
    Budget,
    /// The runner died while the job ran, and the job is not `idempotent`.
    Interrupted,
    /// The job's directory could not be prepared, or its executor failed.
    Infrastructure {
        /// What happened.
        message: String,
    },
}

/// How an attempt at a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum StepEnd {
    /// It exited.
    Exit {
        /// Exit code.
        code: i32,
    },
    /// A signal ended it.
    Signal {
        /// Its number.
        signal: i32,
    },
    /// Its `timeout` passed (exit code 124).
    Timeout,
    /// It was cancelled.
    Cancelled,
    /// A provider of its environment failed, or its outputs are malformed.
    Setup {
        /// What happened.
        message: String,
    },
    /// It could not be run: no shell, no directory, executor gone.
    Infrastructure {
        /// What happened.
        message: String,
    },
}

impl StepEnd {
    /// Whether the step did what it had to.
    pub fn is_success(&self) -> bool {
        matches!(self, StepEnd::Exit { code: 0 })
    }

    /// The exit code as a shell would give it.
    pub fn code(&self) -> i32 {
        match self {
            StepEnd::Exit { code } => *code,
            StepEnd::Signal { signal } => 128 + signal,
            StepEnd::Timeout => 124,
            StepEnd::Cancelled => 130,
            StepEnd::Setup { .. } => 1,
            StepEnd::Infrastructure { .. } => 3,
        }
    }
}

impl fmt::Display for StepEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepEnd::Exit { code } => write!(f, "exit code {code}"),
            StepEnd::Signal { signal } => write!(f, "killed by signal {signal}"),
            StepEnd::Timeout => f.write_str("timed out"),
            StepEnd::Cancelled => f.write_str("cancelled"),
            StepEnd::Setup { message } | StepEnd::Infrastructure { message } => f.write_str(message),
        }
    }
}

/// Which stream a line came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Importance of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For who looks for a fault.
    Debug,
    /// Worth knowing.
    Info,
    /// Perhaps not meant.
    Warning,
    /// Wrong.
    Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_round_trip_as_json() {
        let event = Event {
            time: Timestamp(1),
            kind: EventKind::JobSkipped {
                job: "deploy".into(),
                reason: SkipReason::Status {
                    condition: "success()".into(),
                    decided_by: Some(Decider { name: "build".into(), result: JobResult::Failure }),
                    cancelled: false,
                },
            },
        };
        let json = serde_json::to_string(&event).expect("serialises");
        assert!(json.contains(r#""event":"job-skipped""#) && json.contains(r#""decidedBy""#), "{json}");
        assert_eq!(serde_json::from_str::<Event>(&json).expect("parses"), event);
    }
}
