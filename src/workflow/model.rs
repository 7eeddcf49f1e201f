//! The typed workflow: what the file says, with the place of every field.

use std::collections::BTreeSet;
use std::time::Duration;

use super::plan::{Backoff, Cache, Concurrency, Condition, Printed, Resources};
use super::tree::Node;
use crate::base::source::SpanId;
use crate::ir::text::ContextElem;

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its text.
    pub span: SpanId,
}

impl<T> Spanned<T> {
    /// A value with its place.
    pub fn new(value: T, span: SpanId) -> Self {
        Spanned { value, span }
    }
}

/// A setting that levels below may take over, change or turn off.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Setting<T> {
    /// Not given here.
    #[default]
    Inherit,
    /// `null`: turned off.
    Off,
    /// Given here.
    Set(T),
}

/// A workflow.
#[derive(Clone)]
pub struct Workflow {
    /// Its name.
    pub name: Spanned<String>,
    /// Its jobs in the order of their names, matrices expanded.
    pub jobs: Vec<Job>,
    /// Environment.
    pub env: Vec<Variable>,
    /// Environment providers.
    pub env_from: Vec<Provider>,
    /// What it refers to in the store, its jobs apart.
    pub store: BTreeSet<ContextElem>,
    /// Default retry rule.
    pub retry: Setting<RetryRule>,
    /// Default time of an attempt.
    pub timeout: Setting<Duration>,
    /// Time of the whole run.
    pub budget: Option<Spanned<Duration>>,
    /// Format of the log.
    pub log_format: Option<String>,
    /// Level of the log.
    pub log_level: Option<String>,
    /// First failure cancels what runs.
    pub fail_fast: bool,
    /// Most jobs at a time.
    pub max_parallel: Option<usize>,
    /// Inputs it declares.
    pub inputs: Vec<Input>,
    /// What a caller sees: names and references `jobs.JOB.RESULT`.
    pub results: Vec<Reference>,
    /// One run per group on a host.
    pub concurrency: Option<Concurrency>,
    /// Webhooks called after the run.
    pub notify: Vec<Webhook>,
    /// Triggers, as given.
    pub on: Option<serde_json::Value>,
}

/// A name and what it refers to.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The name.
    pub name: Spanned<String>,
    /// The reference, as written.
    pub to: Spanned<String>,
}

/// A webhook.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Where to send it.
    pub url: Spanned<EnvValue>,
    /// Results of the run after which it is sent.
    pub on: Vec<String>,
    /// HTTP headers.
    pub headers: Vec<Variable>,
    /// What is sent.
    pub body: Option<serde_json::Value>,
}

/// An input of a workflow.
#[derive(Clone)]
pub struct Input {
    /// Its name.
    pub name: Spanned<String>,
    /// `string`, `number`, `boolean`, `choice` or `path`.
    pub ty: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it must be given.
    pub required: bool,
    /// What a choice may be.
    pub options: Vec<String>,
    /// Its default.
    pub default: Option<Node>,
}

/// A job.
#[derive(Clone)]
pub struct Job {
    /// Its name; of a copy in a matrix, with the combination.
    pub name: Spanned<String>,
    /// The matrix it is a copy of, if it is one.
    pub copy_of: Option<MatrixCopy>,
    /// Jobs it waits for, as written.
    pub needs: Vec<Spanned<String>>,
    /// When it runs.
    pub condition: Option<Spanned<Condition>>,
    /// Its failure counts as success.
    pub continue_on_error: bool,
    /// Where it runs.
    pub executor: Option<ExecutorRef>,
    /// Environment.
    pub env: Vec<Variable>,
    /// Environment providers.
    pub env_from: Vec<Provider>,
    /// What it refers to in the store, its steps apart.
    pub store: BTreeSet<ContextElem>,
    /// Drop the ambient environment.
    pub pure: bool,
    /// Artifacts it takes.
    pub inputs: Vec<ArtifactUse>,
    /// Artifacts it gives.
    pub outputs: Vec<ArtifactGiven>,
    /// Retry rule of its steps, or its own.
    pub retry: Setting<RetryRule>,
    /// Time of an attempt of its steps.
    pub timeout: Setting<Duration>,
    /// Time of the whole job.
    pub budget: Option<Spanned<Duration>>,
    /// Default shell of steps with `run`.
    pub shell: Option<Vec<String>>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// For selection and pictures.
    pub tags: Vec<String>,
    /// For pictures.
    pub description: Option<String>,
    /// Values for dependents: names and references `steps.ID.OUTPUT`.
    pub results: Vec<Reference>,
    /// The workflow whose jobs run as this job.
    pub call: Option<Box<Spanned<Workflow>>>,
    /// Directories kept between runs.
    pub cache: Vec<Spanned<Cache>>,
    /// Globs of the files on which the job depends.
    pub skip_if_unchanged: Option<Spanned<Vec<String>>>,
    /// Limits.
    pub resources: Option<Spanned<Resources>>,
    /// What runs beside it.
    pub services: Vec<Service>,
    /// Whether an interrupted job may be run again.
    pub idempotent: bool,
}

/// A process or container beside a job.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: Spanned<String>,
    /// The container image.
    pub image: Option<Spanned<String>>,
    /// The script of a process.
    pub script: Option<String>,
    /// Ports it serves.
    pub ports: Vec<String>,
    /// Its environment.
    pub env: Vec<Variable>,
    /// A script that succeeds when it is ready.
    pub health: Option<String>,
}

/// What makes a job a copy in a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixCopy {
    /// Name of the job as written.
    pub job: String,
    /// What the copy's name adds to it.
    pub suffix: String,
    /// The combination: axis and value.
    pub values: Vec<(String, String)>,
    /// The first failure of a copy cancels the others.
    pub fail_fast: bool,
    /// Most copies at a time.
    pub max_parallel: Option<usize>,
}

/// A step.
#[derive(Clone)]
pub struct Step {
    /// Its name; `step-N` by default.
    pub name: Spanned<String>,
    /// Identifier.
    pub id: Option<Spanned<String>>,
    /// The script.
    pub script: Spanned<String>,
    /// The shell for the script; `None` for bash, the strict way.
    pub shell: Option<Vec<String>>,
    /// Whether the script stands under `run`, for which the job's shell is the default.
    pub run: bool,
    /// Packages for the PATH.
    pub deps: Vec<std::path::PathBuf>,
    /// What it refers to in the store, packages included.
    pub store: BTreeSet<ContextElem>,
    /// Environment.
    pub env: Vec<Variable>,
    /// Environment providers.
    pub env_from: Vec<Provider>,
    /// Working directory.
    pub workdir: Option<Spanned<String>>,
    /// When it runs.
    pub condition: Option<Spanned<Condition>>,
    /// Retry rule.
    pub retry: Setting<RetryRule>,
    /// Time of an attempt.
    pub timeout: Setting<Duration>,
    /// Its failure does not fail the job.
    pub continue_on_error: bool,
    /// Left running until the job ends.
    pub background: bool,
}

/// An environment variable.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name and place.
    pub name: Spanned<String>,
    /// Its value.
    pub value: EnvValue,
}

/// The value of an environment variable.
#[derive(Clone, Debug, PartialEq)]
pub enum EnvValue {
    /// `null`: unset it.
    Unset,
    /// A text.
    Text(String),
    /// A text that is masked everywhere.
    Secret(String),
    /// The value that this variable has where nixactions was started.
    FromEnv(String),
}

/// An environment provider.
#[derive(Clone)]
pub struct Provider {
    /// What it is.
    pub kind: ProviderKind,
    /// Its place.
    pub span: SpanId,
}

/// Kinds of environment providers.
#[derive(Clone)]
pub enum ProviderKind {
    /// A dotenv file.
    File {
        /// Its path.
        path: String,
        /// Whether it must exist.
        required: bool,
        /// Whether its values are secret.
        secrets: bool,
    },
    /// Fixed variables.
    Static(Vec<Variable>),
    /// Names that must be set.
    Required(Vec<Spanned<String>>),
    /// A program.
    Program {
        /// Program and arguments.
        argv: Vec<String>,
        /// Whether its values are secret.
        secrets: bool,
        /// How what it prints becomes variables.
        printed: Printed,
    },
}

/// The executor of a job.
#[derive(Clone)]
pub struct ExecutorRef {
    /// Its kind.
    pub kind: String,
    /// Its name, when it was given.
    pub name: Option<Spanned<String>>,
    /// Its options.
    pub options: Node,
    /// Its place.
    pub span: SpanId,
}

/// A retry rule as far as one level gives it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RetryRule {
    /// Attempts in all.
    pub max_attempts: Option<u32>,
    /// How the delay grows.
    pub backoff: Option<Backoff>,
    /// First delay.
    pub min_time: Option<Duration>,
    /// Longest delay.
    pub max_time: Option<Duration>,
    /// Random share of the delay.
    pub jitter: Option<f64>,
    /// Exit codes, and whether a timeout, after which to try again.
    pub on: Option<(Vec<i32>, bool)>,
    /// Whether the whole job is run again.
    pub whole_job: Option<bool>,
    /// Its place.
    pub span: SpanId,
}

/// An artifact that a job takes.
#[derive(Clone, Debug)]
pub struct ArtifactUse {
    /// Its name.
    pub name: Spanned<String>,
    /// Where it is restored to.
    pub path: Spanned<String>,
}

/// An artifact that a job gives.
#[derive(Clone, Debug)]
pub struct ArtifactGiven {
    /// Its name, in a matrix with the copy's suffix.
    pub name: Spanned<String>,
    /// Path or glob.
    pub path: Spanned<String>,
    /// Save whatever happened.
    pub always: bool,
}
