//! The one table of keys: for each kind of set, its keys with type, default and meaning.
//!
//! The shape check, the documentation and the editor all read it; no other place lists keys.

mod executors;
mod providers;

pub use executors::*;
pub use providers::*;

/// The type of a value.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// Anything; not looked into.
    Any,
    /// Anything, evaluated in full (options of executors, for one).
    Data,
    /// A string that is UTF-8.
    Text,
    /// A string that is not empty.
    Name,
    /// A boolean.
    Bool,
    /// An integer of at least this.
    Int(i64),
    /// An integer or a float.
    Number,
    /// A duration; see [`crate::workflow::duration`].
    Duration,
    /// A condition; see [`crate::workflow::condition`].
    Condition,
    /// A value of an environment variable.
    EnvValue,
    /// A string or path.
    PathText,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// A list; the words name its items in the plural.
    List(&'static Type, &'static str),
    /// A list, or one item alone.
    OneOrList(&'static Type, &'static str),
    /// A set with free keys; the words name its values in the plural.
    Map(&'static Type, &'static str),
    /// A set with these keys.
    Record(&'static Table),
    /// A text, or a set with these keys.
    TextOr(&'static Table),
    /// A function (or a set that can be called).
    Function,
    /// An executor.
    Executor,
    /// An environment provider, or a derivation.
    Provider,
    /// A package: a derivation, or a store path.
    Package,
    /// A step: a set with the keys of a step, or a derivation.
    Step,
    /// A workflow file or function.
    Callable,
    /// One of two types.
    Either(&'static Type, &'static Type),
}

/// One key of a set.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// Other names that mean the same.
    pub aliases: &'static [&'static str],
    /// Older names: accepted, with a warning.
    pub deprecated: &'static [&'static str],
    /// Whether it must be given.
    pub required: bool,
    /// Its default, as Nix text.
    pub default: &'static str,
    /// What it means, in one sentence.
    pub doc: &'static str,
}

/// A kind of set and its keys.
#[derive(Debug)]
pub struct Table {
    /// What such a set is called.
    pub what: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

impl Table {
    /// The key with this name, or of which this is another name.
    pub fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|k| k.names().any(|n| n == name))
    }
}

impl Key {
    /// All its names, the proper one first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let (aliases, deprecated) = (self.aliases, self.deprecated);
        std::iter::once(self.name).chain(aliases.iter().copied()).chain(deprecated.iter().copied())
    }

    const fn also(self, aliases: &'static [&'static str]) -> Key {
        Key { aliases, ..self }
    }

    const fn once(self, deprecated: &'static [&'static str]) -> Key {
        Key { deprecated, ..self }
    }
}

const fn key(name: &'static str, ty: Type, default: &'static str, doc: &'static str) -> Key {
    Key { name, ty, aliases: &[], deprecated: &[], required: false, default, doc }
}

const fn required(name: &'static str, ty: Type, doc: &'static str) -> Key {
    Key { name, ty, aliases: &[], deprecated: &[], required: true, default: "", doc }
}

const ENV: Type = Type::Map(&Type::EnvValue, "environment variables");
const PROVIDERS: Type = Type::List(&Type::Provider, "environment providers");
const NAMES: Type = Type::List(&Type::Name, "names");
const GLOBS: Type = Type::List(&Type::PathText, "globs");

/// Older words for values: the words they stand among, the older one, and what it is called now. The
/// modes of containers once told how programs got into them, which is found out by itself now.
const OLDER_WORDS: [(&[&str], &str, &str); 2] =
    [(&["shared", "isolated"], "mount", "shared"), (&["shared", "isolated"], "build", "shared")];

/// What an older word for one of these words is called now.
pub fn newer_word(word: &str, words: &[&str]) -> Option<&'static str> {
    OLDER_WORDS.iter().find(|o| o.0 == words && o.1 == word).map(|o| o.2)
}

/// A workflow.
pub static WORKFLOW: Table = Table {
    what: "workflow",
    keys: &[
        required("name", Type::Name, "Name of the workflow."),
        required(
            "jobs",
            Type::Map(&Type::Record(&JOB), "jobs"),
            "The jobs by name; a job that is `{}` is left out.",
        ),
        key("env", ENV, "{ }", "Environment variables of every step; null unsets."),
        key("envFrom", PROVIDERS, "[ ]", "Providers of environment variables, run before any job."),
        key("retry", Type::Record(&RETRY), "null", "Default retry rule of steps."),
        key("timeout", Type::Duration, "null", "Default time one attempt of a step may take."),
        key("budget", Type::Duration, "null", "Time the whole run may take."),
        key(
            "extensions",
            Type::List(&Type::Function, "functions from workflow to workflow"),
            "[ ]",
            "Functions applied to the workflow, left to right, before it is checked.",
        ),
        key("logging", Type::Record(&LOGGING), "{ }", "How the run is logged."),
        key(
            "inputs",
            Type::Map(&Type::Record(&INPUT), "inputs"),
            "{ }",
            "Inputs that `--input NAME=VALUE` sets.",
        ),
        key("failFast", Type::Bool, "false", "The first failure cancels what runs."),
        key("maxParallel", Type::Int(1), "CPU count × 2", "Most jobs that run at a time."),
        key(
            "results",
            Type::Map(&Type::Text, "references `jobs.JOB.RESULT`"),
            "{ }",
            "Values that a caller by `uses` sees.",
        ),
        key("concurrency", Type::Record(&CONCURRENCY), "null", "One run per group on this host."),
        key("on", Type::Data, "null", "Triggers, kept for converters and schedulers."),
        key(
            "notify",
            Type::List(&Type::Record(&NOTIFY), "webhooks"),
            "[ ]",
            "Webhooks called after the run.",
        ),
    ],
};

/// A job.
pub static JOB: Table = Table {
    what: "job",
    keys: &[
        key("steps", Type::List(&Type::Step, "steps"), "[ ]", "The steps, run in order.").once(&["actions"]),
        key("executor", Type::Executor, "executors.local", "Where the job runs."),
        key("needs", Type::OneOrList(&Type::Name, "job names"), "[ ]", "Jobs that must have ended before."),
        key("condition", Type::Condition, "\"success()\"", "When the job runs.").also(&["if"]),
        key(
            "continueOnError",
            Type::Bool,
            "false",
            "Its failure fails neither the workflow nor its dependents' `success()`.",
        )
        .also(&["continue-on-error"]),
        key("env", ENV, "{ }", "Environment variables of its steps; null unsets."),
        key("envFrom", PROVIDERS, "[ ]", "Providers of environment variables, run at its start."),
        key("retry", Type::Record(&RETRY), "null", "Retry rule of its steps, or of the job."),
        key("timeout", Type::Duration, "null", "Time one attempt of one of its steps may take."),
        key("budget", Type::Duration, "null", "Time the whole job may take."),
        key(
            "inputs",
            Type::OneOrList(&Type::TextOr(&ARTIFACT_INPUT), "artifacts"),
            "[ ]",
            "Artifacts restored into the job directory before the first step.",
        ),
        key(
            "outputs",
            Type::Map(&Type::TextOr(&ARTIFACT_OUTPUT), "paths"),
            "{ }",
            "Artifacts saved after the last step: name to path or glob.",
        ),
        key(
            "results",
            Type::Map(&Type::Text, "references `steps.ID.OUTPUT`"),
            "{ }",
            "Values for direct dependents, in `$NEEDS_<JOB>_<NAME>`.",
        ),
        key("matrix", Type::Data, "null", "Axes: the job is run once for each combination."),
        key("uses", Type::Callable, "null", "A workflow whose jobs run as this job."),
        key("with", Type::Data, "{ }", "Inputs of the workflow in `uses`."),
        key("cache", Type::List(&Type::Record(&CACHE), "caches"), "[ ]", "Directories kept between runs."),
        key("skipIfUnchanged", Type::Record(&SKIP), "null", "Reuse the outputs when nothing changed."),
        key("resources", Type::Record(&RESOURCES), "null", "Limits, enforced by the executor."),
        key(
            "services",
            Type::Map(&Type::Record(&SERVICE), "services"),
            "{ }",
            "Processes or containers that run beside the job.",
        ),
        key("shell", Type::OneOrList(&Type::Name, "words"), "\"bash\"", "Default shell of steps with `run`."),
        key("idempotent", Type::Bool, "true", "Whether an interrupted job may be run again."),
        key("pure", Type::Bool, "false", "Drop the environment nixactions was started in."),
        key("tags", NAMES, "[ ]", "For selection and pictures."),
        key("description", Type::Text, "null", "For pictures."),
    ],
};

/// A step.
pub static STEP: Table = Table {
    what: "step",
    keys: &[
        key("name", Type::Name, "\"step-N\"", "Name of the step."),
        key("id", Type::Name, "null", "Identifier for its outputs."),
        key("bash", Type::Text, "", "The script, run under bash with `set -euo pipefail`."),
        key("run", Type::Text, "", "The script, run under `shell`."),
        key("shell", Type::OneOrList(&Type::Name, "words"), "the job's", "Program that runs `run`."),
        key(
            "deps",
            Type::List(&Type::Package, "packages"),
            "[ ]",
            "Packages whose `bin` come first on the PATH.",
        ),
        key("env", ENV, "{ }", "Environment variables; null unsets."),
        key("envFrom", PROVIDERS, "[ ]", "Providers of environment variables."),
        key("workdir", Type::PathText, "\".\"", "Working directory, relative to `JOB_DIR`."),
        key("condition", Type::Condition, "\"success()\"", "When the step runs.").also(&["if"]),
        key("retry", Type::Record(&RETRY), "the job's", "Retry rule; null turns it off."),
        key("timeout", Type::Duration, "the job's", "Time one attempt may take."),
        key("continueOnError", Type::Bool, "false", "Its failure does not fail the job.")
            .also(&["continue-on-error"]),
        key("background", Type::Bool, "false", "Left running until the job ends."),
    ],
};

/// A retry rule.
pub static RETRY: Table = Table {
    what: "retry rule",
    keys: &[
        key("max_attempts", Type::Int(1), "1", "Attempts in all.").also(&["maxAttempts"]),
        key(
            "backoff",
            Type::OneOf(&["exponential", "linear", "constant"]),
            "\"exponential\"",
            "How the delay grows from attempt to attempt.",
        ),
        key("min_time", Type::Duration, "1", "First delay.").also(&["minTime"]),
        key("max_time", Type::Duration, "60", "Longest delay.").also(&["maxTime"]),
        key(
            "jitter",
            Type::Either(&Type::Bool, &Type::Number),
            "0",
            "Random share of the delay, 0 to 1; true is 1.",
        ),
        key(
            "on",
            Type::OneOrList(&Type::Either(&Type::Int(0), &Type::OneOf(&["timeout"])), "exit codes"),
            "any failure",
            "Exit codes, or \"timeout\", after which to try again.",
        ),
        key(
            "scope",
            Type::OneOf(&["step", "job"]),
            "\"step\"",
            "What is run again; \"job\" runs the whole job in a fresh directory.",
        ),
    ],
};

/// How a run is logged.
pub static LOGGING: Table = Table {
    what: "set of logging options",
    keys: &[
        key(
            "format",
            Type::OneOf(&["structured", "json", "simple", "live"]),
            "live on a terminal",
            "Format of the log.",
        ),
        key(
            "level",
            Type::OneOf(&["debug", "info", "warn", "error"]),
            "\"info\"",
            "Least important messages shown.",
        ),
    ],
};

/// A workflow input.
pub static INPUT: Table = Table {
    what: "workflow input",
    keys: &[
        key(
            "type",
            Type::OneOf(&["string", "number", "boolean", "choice", "path"]),
            "\"string\"",
            "Its type.",
        ),
        key("default", Type::Data, "", "Its value when none is given."),
        key("description", Type::Text, "null", "What it is for."),
        key("required", Type::Bool, "false", "Whether it must be given."),
        key("options", Type::List(&Type::Name, "choices"), "[ ]", "What a choice may be."),
    ],
};

/// A matrix: its options; every other name is an axis.
pub static MATRIX: Table = Table {
    what: "matrix",
    keys: &[
        key(
            "include",
            Type::List(&Type::Data, "combinations"),
            "[ ]",
            "Adds to combinations, or adds combinations.",
        ),
        key(
            "exclude",
            Type::List(&Type::Data, "combinations"),
            "[ ]",
            "Leaves out the combinations that agree with one.",
        ),
        key("failFast", Type::Bool, "true", "The first failure of a copy cancels the others."),
        key("maxParallel", Type::Int(1), "no limit", "Most copies that run at a time."),
    ],
};

/// One run per group.
pub static CONCURRENCY: Table = Table {
    what: "concurrency rule",
    keys: &[
        required("group", Type::Name, "Runs of one group run one at a time."),
        key("cancelInProgress", Type::Bool, "false", "A newer run cancels the running one."),
    ],
};

/// A webhook.
pub static NOTIFY: Table = Table {
    what: "webhook",
    keys: &[
        required("url", Type::Either(&Type::Name, &Type::EnvValue), "Where to send it."),
        key(
            "on",
            Type::OneOrList(&Type::OneOf(&["success", "failure", "cancelled", "always"]), "results"),
            "[ \"failure\" ]",
            "Results of the run after which it is sent.",
        ),
        key("headers", ENV, "{ }", "HTTP headers."),
        key("body", Type::Data, "the run's summary", "What is sent."),
    ],
};

/// An artifact that a job takes.
pub static ARTIFACT_INPUT: Table = Table {
    what: "artifact input",
    keys: &[
        required("name", Type::Name, "Name of the artifact."),
        key("path", Type::Text, "\".\"", "Directory below the job directory to restore it into."),
    ],
};

/// An artifact that a job gives.
pub static ARTIFACT_OUTPUT: Table = Table {
    what: "artifact output",
    keys: &[
        required("path", Type::Text, "Path or glob below the job directory."),
        key(
            "when",
            Type::OneOf(&["success", "always"]),
            "\"success\"",
            "Save it when the steps succeeded, or whatever happened.",
        ),
    ],
};

/// A cache.
pub static CACHE: Table = Table {
    what: "cache",
    keys: &[
        required("key", Type::Name, "Which saved state is wanted."),
        required("paths", Type::List(&Type::PathText, "paths"), "What is kept."),
        key("restoreKeys", NAMES, "[ ]", "Beginnings of keys to fall back to."),
    ],
};

/// When outputs are used again.
pub static SKIP: Table = Table {
    what: "skipping rule",
    keys: &[required("inputs", GLOBS, "The files on which the job depends.")],
};

/// Limits of a job.
pub static RESOURCES: Table = Table {
    what: "set of resource limits",
    keys: &[
        key("cpu", Type::Either(&Type::Number, &Type::Name), "none", "CPUs."),
        key("memory", Type::Either(&Type::Int(1), &Type::Name), "none", "Memory, as \"2G\"."),
        key("pids", Type::Int(1), "none", "Processes."),
    ],
};

/// A process or container beside a job.
pub static SERVICE: Table = Table {
    what: "service",
    keys: &[
        key("image", Type::Name, "", "A container image."),
        key("bash", Type::Text, "", "A script that stays in the foreground."),
        key(
            "ports",
            Type::List(&Type::Either(&Type::Int(1), &Type::Name), "ports"),
            "[ ]",
            "Ports it serves.",
        ),
        key("env", ENV, "{ }", "Its environment variables."),
        key("health", Type::Text, "null", "A script that succeeds when the service is ready."),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_means_two_keys() {
        for table in [&WORKFLOW, &JOB, &STEP, &RETRY, &LOGGING, &INPUT] {
            let mut names: Vec<_> = table.keys.iter().flat_map(Key::names).collect();
            names.sort_unstable();
            let n = names.len();
            names.dedup();
            assert_eq!(n, names.len(), "{}", table.what);
            assert!(table.keys.iter().all(|k| k.doc.ends_with('.')), "{}", table.what);
        }
        assert_eq!(JOB.find("if").map(|k| k.name), Some("condition"));
    }
}
