//! The plan: a workflow with every default filled in, as data.
//!
//! `nixactions plan --format json` prints it, `nixactions run --plan` runs it, the engine takes
//! nothing else. It holds no spans, no values and no paths of the evaluator.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::drv::object::{Needed, Objects};

pub use self::parts::{
    Cache, Call, Concurrency, Copy, JobValue, Notify, Printed, Resources, Service, SkipIfUnchanged,
    StepValue, Text,
};

mod order;
mod parts;

/// Environment variables; `None` unsets the variable.
pub type Env = BTreeMap<String, Option<String>>;

/// A whole workflow, ready to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Format version, now 1.
    pub version: u32,
    /// The workflow's name.
    pub name: String,
    /// The directory of the project (providers and job conditions run in it).
    pub project_dir: PathBuf,
    /// Jobs in the order of their names.
    pub jobs: Vec<Job>,
    /// Workflow environment.
    #[serde(default)]
    pub env: Env,
    /// Workflow environment providers, in order.
    #[serde(default)]
    pub env_from: Vec<Provider>,
    /// First failure cancels what runs.
    #[serde(default)]
    pub fail_fast: bool,
    /// Most jobs at a time; `None`: twice the CPU count.
    #[serde(default)]
    pub max_parallel: Option<usize>,
    /// Time the whole run may take.
    #[serde(default, with = "duration_ms")]
    pub budget: Option<Duration>,
    /// Log format asked for by the workflow (`structured`, `json`, `simple`).
    #[serde(default)]
    pub log_format: Option<String>,
    /// Log level asked for by the workflow.
    #[serde(default)]
    pub log_level: Option<String>,
    /// One run per group on this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Webhooks called after the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<Notify>,
    /// Results of the workflow, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, JobValue>,
    /// Triggers, kept for schedulers; `run` does not act on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<serde_json::Value>,
    /// Values marked with `nixactions.secret`, to be masked. Never printed by `plan`.
    #[serde(default, skip_serializing)]
    pub secrets: Vec<String>,
    /// What the workflow itself needs of the store, for its environment and providers.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub store: BTreeSet<Needed>,
    /// How to make what is needed of the store.
    #[serde(default, skip_serializing_if = "StoreObjects::is_empty")]
    pub objects: StoreObjects,
}

/// The part of the store that evaluation made, which travels with the plan: texts of derivations as
/// they are, sources as the paths they are copied from. A machine that runs the plan must have the
/// same sources at the same paths, or the copies in its store already.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreObjects {
    /// The store's directory.
    pub dir: String,
    /// Derivations and sources by their names in the store.
    pub objects: Objects,
}

impl StoreObjects {
    fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

/// One job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its name, unique in the workflow.
    pub name: String,
    /// Names of the jobs that must have ended before.
    #[serde(default)]
    pub needs: Vec<String>,
    /// When it runs.
    #[serde(default)]
    pub condition: Condition,
    /// Its failure counts as success for the workflow and for dependents.
    #[serde(default)]
    pub continue_on_error: bool,
    /// Where it runs.
    pub executor: Executor,
    /// Job environment.
    #[serde(default)]
    pub env: Env,
    /// Job environment providers, in order.
    #[serde(default)]
    pub env_from: Vec<Provider>,
    /// Drop the ambient environment.
    #[serde(default)]
    pub pure: bool,
    /// Artifacts restored before the first step.
    #[serde(default)]
    pub inputs: Vec<ArtifactInput>,
    /// Artifacts saved after the last step.
    #[serde(default)]
    pub outputs: Vec<ArtifactOutput>,
    /// Values for direct dependents, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, StepValue>,
    /// The matrix it is a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Copy>,
    /// The workflow that it stands for; such a job has no steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// The job whose call this one belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Directories kept between runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cache: Vec<Cache>,
    /// When the outputs of an earlier run are used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_if_unchanged: Option<SkipIfUnchanged>,
    /// Limits, enforced by the executor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// What runs beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// Whether an interrupted job may be run again.
    #[serde(default = "yes")]
    pub idempotent: bool,
    /// Re-run the whole job, when `retry.scope = "job"`.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// Time the whole job may take.
    #[serde(default, with = "duration_ms")]
    pub budget: Option<Duration>,
    /// What the job itself needs of the store, for its environment, providers and executor.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub store: BTreeSet<Needed>,
    /// Steps, in order.
    pub steps: Vec<Step>,
    /// For selection and pictures.
    #[serde(default)]
    pub tags: Vec<String>,
    /// For pictures.
    #[serde(default)]
    pub description: Option<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its name; `step-N` by default.
    pub name: String,
    /// Identifier for its outputs.
    #[serde(default)]
    pub id: Option<String>,
    /// The script.
    pub script: String,
    /// Program and arguments that run the script; the script file's path is appended.
    pub shell: Vec<String>,
    /// Directories whose `bin` come first on `PATH`.
    #[serde(default)]
    pub deps: Vec<PathBuf>,
    /// What the step needs of the store: its packages, and what its texts refer to.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub store: BTreeSet<Needed>,
    /// Step environment.
    #[serde(default)]
    pub env: Env,
    /// Step environment providers.
    #[serde(default)]
    pub env_from: Vec<Provider>,
    /// Working directory, relative to the job directory.
    #[serde(default)]
    pub workdir: Option<String>,
    /// When it runs.
    #[serde(default)]
    pub condition: Condition,
    /// Its failure does not fail the job.
    #[serde(default)]
    pub continue_on_error: bool,
    /// Left running until the job ends.
    #[serde(default, skip_serializing_if = "is_false")]
    pub background: bool,
    /// Retry rule, already merged from step, job and workflow.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// Time one attempt may take, already merged.
    #[serde(default, with = "duration_ms")]
    pub timeout: Option<Duration>,
}

/// When a job or step runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// `success()`, the default.
    #[default]
    Success,
    /// An expression of status functions.
    Expr(StatusExpr),
    /// A bash script: true when it exits with 0, and only under `success()`.
    Script(String),
}

/// An expression over the status functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StatusExpr {
    /// `success()`
    Success,
    /// `failure()`
    Failure,
    /// `always()`
    Always,
    /// `cancelled()`
    Cancelled,
    /// `!e`
    Not(Box<StatusExpr>),
    /// `a && b`
    And(Box<StatusExpr>, Box<StatusExpr>),
    /// `a || b`
    Or(Box<StatusExpr>, Box<StatusExpr>),
}

/// Retry rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Attempts in all, at least 1.
    pub max_attempts: u32,
    /// How the delay grows.
    pub backoff: Backoff,
    /// First delay, in milliseconds.
    pub min_time_ms: u64,
    /// Longest delay, in milliseconds.
    pub max_time_ms: u64,
    /// Random share of the delay, 0 to 1.
    #[serde(default)]
    pub jitter: f64,
    /// Exit codes to retry on; empty, with `on_timeout` unset: any failure.
    #[serde(default)]
    pub on_codes: Vec<i32>,
    /// Whether a timeout is retried.
    #[serde(default)]
    pub on_timeout: bool,
}

/// How delays grow from attempt to attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backoff {
    /// `min·2^(n-1)`
    Exponential,
    /// `min·n`
    Linear,
    /// `min`
    Constant,
}

/// An artifact that a job takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactInput {
    /// Artifact name.
    pub name: String,
    /// Directory below the job directory to restore into, default `.`.
    pub path: String,
}

/// An artifact that a job gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactOutput {
    /// Artifact name, unique in the workflow.
    pub name: String,
    /// Path or glob below the job directory.
    pub path: String,
    /// Save whatever happened (`when = "always"`).
    #[serde(default)]
    pub always: bool,
}

/// Where a job runs. Jobs whose executors have the same name share a workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Executor {
    /// Kind: `local`, `ssh`, ….
    pub kind: String,
    /// Name of the workspace.
    pub name: String,
    /// Options of the kind, as given.
    #[serde(default)]
    pub options: serde_json::Map<String, serde_json::Value>,
}

/// A source of environment variables, run on this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Provider {
    /// A dotenv file.
    File {
        /// Its path, relative to the project directory.
        path: String,
        /// Whether it must exist.
        required: bool,
        /// Whether its values are secret.
        secrets: bool,
    },
    /// Fixed variables.
    Static {
        /// The variables.
        env: Env,
    },
    /// Names that must be set and not empty at this point.
    Required {
        /// The names.
        names: Vec<String>,
    },
    /// A program that prints variables.
    Program {
        /// Program and arguments.
        argv: Vec<String>,
        /// Whether its values are secret.
        secrets: bool,
        /// How what it prints becomes variables.
        #[serde(default)]
        printed: Printed,
    },
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(b: &bool) -> bool {
    !b
}

mod duration_ms {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(d: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
        d.map(|d| d.as_millis() as u64).serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(d)?.map(Duration::from_millis))
    }
}
