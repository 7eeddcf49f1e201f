//! Parts of a plan beyond steps: matrices, calls, results, caches, services, limits, webhooks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Env, Provider, duration_ms};

/// What makes a job a copy in a matrix. The copies of one matrix are scheduled as a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Copy {
    /// Name of the job as written, with the call that it is in.
    pub job: String,
    /// The combination: axis to value.
    pub values: BTreeMap<String, String>,
    /// The first failure of a copy cancels the others.
    pub fail_fast: bool,
    /// Most copies at a time.
    #[serde(default)]
    pub max_parallel: Option<usize>,
}

/// A workflow whose jobs run as one job, in place of steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Name of the workflow.
    pub workflow: String,
    /// Its environment, over that of the caller.
    #[serde(default)]
    pub env: Env,
    /// Its providers, run once, before any of its jobs.
    #[serde(default)]
    pub env_from: Vec<Provider>,
    /// The first failure of its jobs cancels the others.
    #[serde(default)]
    pub fail_fast: bool,
    /// Most of its jobs at a time.
    #[serde(default)]
    pub max_parallel: Option<usize>,
    /// Time that it may take.
    #[serde(default, with = "duration_ms")]
    pub budget: Option<Duration>,
    /// What the caller sees: its jobs' results, by name.
    #[serde(default)]
    pub results: BTreeMap<String, JobValue>,
}

/// A result of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobValue {
    /// The job's whole name.
    pub job: String,
    /// Name of the result.
    pub result: String,
}

/// An output of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepValue {
    /// Identifier of the step.
    pub step: String,
    /// Name of the output.
    pub output: String,
}

/// Directories kept from run to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cache {
    /// Which saved state is wanted.
    pub key: String,
    /// Paths or globs below the job directory.
    pub paths: Vec<String>,
    /// Beginnings of keys to fall back to, in order.
    #[serde(default)]
    pub restore_keys: Vec<String>,
}

/// When the outputs of an earlier run are used again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkipIfUnchanged {
    /// Globs of project files on which the job depends.
    pub inputs: Vec<String>,
}

/// Limits of what a job may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// CPUs, in thousandths.
    #[serde(default)]
    pub cpu_millis: Option<u64>,
    /// Memory in bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Processes.
    #[serde(default)]
    pub pids: Option<u64>,
}

/// A process or container beside a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The container image, for a container.
    #[serde(default)]
    pub image: Option<String>,
    /// The script that stays in the foreground, for a process.
    #[serde(default)]
    pub script: Option<String>,
    /// Ports it serves, as `PORT` or `HOST:CONTAINER`.
    #[serde(default)]
    pub ports: Vec<String>,
    /// Its own variables, over those of its job; `None` unsets.
    #[serde(default)]
    pub env: BTreeMap<String, Option<Text>>,
    /// A script that succeeds when the service is ready.
    #[serde(default)]
    pub health: Option<String>,
}

/// One run per group on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Concurrency {
    /// The group; upper and lower case mean the same.
    pub group: String,
    /// A newer run cancels the running one.
    #[serde(default)]
    pub cancel_in_progress: bool,
}

/// A webhook that is called after the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notify {
    /// Where to send it.
    pub url: Text,
    /// Results after which it is sent: `success`, `failure`, `cancelled`, `always`.
    pub on: Vec<String>,
    /// HTTP headers.
    #[serde(default)]
    pub headers: BTreeMap<String, Text>,
    /// What is sent; `None`: the run's summary.
    #[serde(default)]
    pub body: Option<serde_json::Value>,
}

/// A text, or the name of the variable that holds it where nixactions was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// The text.
    Plain(String),
    /// A variable of the environment of the runner.
    FromEnv {
        /// Its name.
        #[serde(rename = "fromEnv")]
        from_env: String,
    },
}

/// How what a provider's program prints becomes variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Printed {
    /// `exports` (lines `export NAME=value`), `dotenv`, `json`, `bitwarden` (an item of its password
    /// manager) or `text`.
    pub form: String,
    /// Keys that lead to the object or list of values in JSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// Variables that are wanted, and their keys; empty: all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// The one variable that takes all that is printed, without a last newline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
}

impl Default for Printed {
    fn default() -> Printed {
        Printed { form: "exports".into(), path: Vec::new(), fields: BTreeMap::new(), variable: None }
    }
}
