//! The executor trait: where jobs run, seen from the engine.
//!
//! One executor object serves all jobs of a run that name the same workspace. Environment, masking,
//! retry and conditions lie above it; an executor moves files, starts processes and stops them.

use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::event::{Name, StepEnd, Stream};
use crate::workflow::plan;

/// A boxed future, so that the trait is object safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Something that an executor could not do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ExecError {
    /// What happened, in a sentence that names the path or program.
    pub message: String,
    /// True when the job is to blame (a missing artifact, a path outside the job directory); false:
    /// the machine is.
    pub job_fault: bool,
}

impl ExecError {
    /// The machine's fault.
    pub fn infrastructure(message: impl Into<String>) -> ExecError {
        ExecError { message: message.into(), job_fault: false }
    }

    /// The job's fault.
    pub fn job(message: impl Into<String>) -> ExecError {
        ExecError { message: message.into(), job_fault: true }
    }

    /// An I/O error about a path.
    pub fn io(doing: &str, path: &Path, error: &std::io::Error) -> ExecError {
        ExecError::infrastructure(format!("cannot {doing} {}: {error}", path.display()))
    }
}

/// Two levels of stopping: `soft` asks politely (INT, TERM, KILL with grace between), `hard` kills.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Cancel {
    /// A token that nothing has cancelled.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// A token that is cancelled with this one, but can be cancelled alone.
    pub fn child(&self) -> Cancel {
        Cancel { soft: self.soft.child_token(), hard: self.hard.child_token() }
    }

    /// A token for work that goes on after a soft cancel (an `always()` step): hard level only.
    pub fn child_hard_only(&self) -> Cancel {
        Cancel { soft: self.hard.child_token(), hard: self.hard.child_token() }
    }

    /// Asks for an orderly end.
    pub fn cancel(&self) {
        self.soft.cancel();
    }

    /// Asks for an immediate end.
    pub fn kill(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Whether an end was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Whether an immediate end was asked for.
    pub fn is_killed(&self) -> bool {
        self.hard.is_cancelled()
    }

    /// Completes when an end is asked for.
    pub async fn cancelled(&self) {
        self.soft.cancelled().await;
    }

    /// Completes when an immediate end is asked for.
    pub async fn killed(&self) {
        self.hard.cancelled().await;
    }
}

/// Times of the stop sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopPolicy {
    /// On cancel: from INT to TERM.
    pub interrupt: Duration,
    /// On cancel: from TERM to KILL.
    pub terminate: Duration,
    /// On timeout: from TERM to KILL.
    pub timeout_grace: Duration,
}

impl Default for StopPolicy {
    fn default() -> StopPolicy {
        StopPolicy {
            interrupt: Duration::from_millis(7500),
            terminate: Duration::from_millis(2500),
            timeout_grace: Duration::from_secs(10),
        }
    }
}

/// What an executor gets to know about the run when it is made.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The run's identifier.
    pub run: Name,
    /// The project directory on this machine.
    pub project_dir: PathBuf,
    /// The run's private directory on this machine (mode 0700). The executor owns
    /// `ws/NAME` below it, NAME being its own name made safe (see [`Workspace::dir`]).
    pub run_dir: PathBuf,
    /// Kind, name and options as in the plan.
    pub executor: plan::Executor,
    /// Keep the workspace after the run.
    pub keep: bool,
    /// Times of the stop sequences.
    pub stop: StopPolicy,
    /// The packages that steps of this executor have on their `PATH`, sorted.
    pub deps: Vec<PathBuf>,
}

impl Workspace {
    /// The directory on this machine that belongs to this executor alone.
    pub fn dir(&self) -> PathBuf {
        self.run_dir.join("ws").join(safe_file_name(&self.executor.name))
    }
}

/// A file name that stands for `name`: one path component, distinct for distinct names, readable
/// where the name is harmless.
pub fn safe_file_name(name: &str) -> String {
    let harmless = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+');
    if !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.bytes().all(harmless) {
        return name.to_owned();
    }
    let readable: String =
        name.chars().take(60).map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    // `=` never occurs in a harmless name, so the two kinds cannot collide.
    format!("{readable}={}", &blake3::hash(name.as_bytes()).to_hex()[..16])
}

/// Makes executors; the program gives the engine one that knows all kinds.
pub trait ExecutorRegistry: Send + Sync {
    /// An executor for a workspace. Checks options; does nothing slow.
    fn create(&self, workspace: Workspace) -> Result<Arc<dyn Executor>, ExecError>;
}

/// Where a job runs, made by [`Executor::prepare_job`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSite {
    /// The job's name.
    pub job: Name,
    /// The job directory, as the job sees it; `$JOB_DIR`.
    pub dir: PathBuf,
    /// Prefix of the paths, as the job sees them and outside `dir`, of the files through which a job
    /// and the engine talk (see [`JobSite::control_file`]). The directory that it lies in exists.
    pub control: PathBuf,
    /// Variables that the executor sets (`NIXACTIONS_ARTIFACTS_DIR`, say).
    pub env: Vec<(OsString, OsString)>,
    /// The variables that describe the machine on which the job runs (`PATH`, `HOME`, …); `None`
    /// when that is this machine.
    pub machine: Option<Vec<(OsString, OsString)>>,
}

impl JobSite {
    /// A file through which the job and the engine talk, such as `env` (`$JOB_ENV`) or `3.output`.
    pub fn control_file(&self, suffix: &str) -> PathBuf {
        let mut path = self.control.clone().into_os_string();
        path.push(".");
        path.push(suffix);
        path.into()
    }
}

/// One process to run in a job.
#[derive(Clone, Debug)]
pub struct StepSpec {
    /// What it is, for messages and for names of files.
    pub label: String,
    /// Program and leading arguments, such as `bash -euo pipefail`.
    pub argv: Vec<OsString>,
    /// The script. It is given as a file (mode 0600, outside the job directory) whose path is
    /// appended to `argv`; when it is short and `argv[0]` is `bash` or `sh`, an executor may append
    /// `-c` and the text instead. `None`: `argv` is the whole command.
    pub script: Option<Arc<str>>,
    /// The whole environment, nothing is inherited. Sorted by name.
    pub env: Arc<Vec<(OsString, OsString)>>,
    /// Working directory: relative to the job directory, or absolute.
    pub workdir: PathBuf,
    /// Most time it may take; afterwards TERM, then KILL.
    pub timeout: Option<Duration>,
    /// Limits of what it may use, with all that it starts.
    pub limits: Option<plan::Resources>,
}

/// A container to run beside a job.
#[derive(Clone, Debug)]
pub struct ServiceSpec {
    /// Its name, by which the job reaches it where the executor has a network of its own.
    pub name: String,
    /// The image.
    pub image: String,
    /// Ports it serves: `PORT` or `HOST:CONTAINER`.
    pub ports: Vec<String>,
    /// Its own variables.
    pub env: Vec<(OsString, OsString)>,
}

/// The two numbers of `PORT` or `HOST:CONTAINER`; `None` when they are not numbers of ports.
pub fn ports(text: &str) -> Option<(u16, u16)> {
    let (host, container) = text.split_once(':').unwrap_or((text, text));
    Some((host.trim().parse().ok()?, container.trim().parse().ok()?))
}

/// How a process ended.
pub type StepOutcome = StepEnd;

/// Takes what a process prints, in pieces as they come. Called from the executor's own task; blocks
/// while a reader further on is slow, so that a process cannot fill memory.
pub trait OutputSink: Send + Sync {
    /// Takes a piece of a stream.
    fn write(&self, stream: Stream, bytes: &[u8]);
}

/// What was saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Files and links.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
}

/// Where jobs run.
pub trait Executor: Send + Sync {
    /// Makes the workspace (the copy of the repository, a container, a connection). Called
    /// before the first job of this executor, and again only when that was cancelled.
    fn prepare_workspace<'a>(&'a self, cancel: &'a Cancel) -> BoxFuture<'a, Result<(), ExecError>>;

    /// Makes a fresh job directory. `attempt` counts from 1; later ones begin from scratch.
    fn prepare_job<'a>(
        &'a self,
        job: &'a plan::Job,
        attempt: u32,
        cancel: &'a Cancel,
    ) -> BoxFuture<'a, Result<JobSite, ExecError>>;

    /// Runs a process and waits until it and everything that it started is gone, and all that it
    /// printed is in `sink`. A cancel gives [`StepEnd::Cancelled`], unless the process was done.
    fn run_step<'a>(
        &'a self,
        site: &'a JobSite,
        step: &'a StepSpec,
        sink: &'a dyn OutputSink,
        cancel: &'a Cancel,
    ) -> BoxFuture<'a, StepOutcome>;

    /// Runs a container beside the job until a cancel, or its own end.
    fn run_service<'a>(
        &'a self,
        _site: &'a JobSite,
        service: &'a ServiceSpec,
        _sink: &'a dyn OutputSink,
        _cancel: &'a Cancel,
    ) -> BoxFuture<'a, StepOutcome> {
        let message = format!(
            "the executor of this job runs no containers, and service `{}` is the image {}; run the job with \
             `executors.oci` or `executors.podman`, or start the service by a script, as `bash`",
            service.name, service.image
        );
        Box::pin(std::future::ready(StepEnd::Infrastructure { message }))
    }

    /// Whether a port of a service takes connections, asked from where the job runs. `port` is
    /// `PORT` or `HOST:CONTAINER`; `container` is the service's name when [`Executor::run_service`]
    /// runs it, and `None` when it is a process of the job.
    fn takes_connections<'a>(
        &'a self,
        _site: &'a JobSite,
        _container: Option<&'a str>,
        port: &'a str,
    ) -> BoxFuture<'a, Result<bool, ExecError>> {
        Box::pin(async move {
            let Some((port, _)) = ports(port) else { return Ok(true) };
            let connect = tokio::net::TcpStream::connect(("127.0.0.1", port));
            let connected = tokio::time::timeout(Duration::from_secs(1), connect).await;
            Ok(connected.is_ok_and(|got| got.is_ok()))
        })
    }

    /// How a prepared job gets its packages, in words for the log, when that is worth telling.
    fn packages_note(&self, _site: &JobSite) -> Option<String> {
        None
    }

    /// How the limits of a job are enforced, in words for the log.
    fn limits_note(&self, _job: &str, _limits: &plan::Resources) -> Option<String> {
        None
    }

    /// The content of [`JobSite::control_file`], at most `limit` bytes (more is an error); `None`
    /// when there is none.
    fn read_control<'a>(
        &'a self,
        site: &'a JobSite,
        suffix: &'a str,
        limit: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, ExecError>>;

    /// Copies what `pattern` (a path or glob below the job directory) matches into the directory
    /// `dest` on this machine, which exists and is empty, each file at its path below the job
    /// directory. Nothing matching, or a path outside, is the job's fault. Local executors call
    /// [`crate::engine::artifact::save`].
    fn save<'a>(
        &'a self,
        site: &'a JobSite,
        pattern: &'a str,
        dest: &'a Path,
    ) -> BoxFuture<'a, Result<Saved, ExecError>>;

    /// Copies the content of the directory `src` on this machine into `path` below the job
    /// directory. Local executors call [`crate::engine::artifact::restore`].
    fn restore<'a>(
        &'a self,
        site: &'a JobSite,
        src: &'a Path,
        path: &'a str,
    ) -> BoxFuture<'a, Result<(), ExecError>>;

    /// The job has ended; stops what it left running and, unless kept, may free its directory.
    fn finish_job<'a>(&'a self, site: &'a JobSite) -> BoxFuture<'a, Result<(), ExecError>>;

    /// Ends the workspace, unless it is to be kept. Called once, also after a failed preparation.
    fn cleanup_workspace<'a>(&'a self) -> BoxFuture<'a, Result<(), ExecError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_one_component_and_distinct() {
        assert_eq!(safe_file_name("build-x86_64"), "build-x86_64");
        for name in ["", ".", "..", "a/b", "../x", "ü", "a=b", "a b", &"x".repeat(300)] {
            let file = safe_file_name(name);
            assert!(!file.contains('/') && file.contains('=') && file.len() < 100, "{file}");
        }
        assert_ne!(safe_file_name("a/b"), safe_file_name("a_b"));
    }

    #[test]
    fn hard_cancel_reaches_protected_children() {
        let root = Cancel::new();
        let (child, guarded) = (root.child(), root.child_hard_only());
        root.cancel();
        assert!(child.is_cancelled() && !child.is_killed() && !guarded.is_cancelled());
        root.kill();
        assert!(child.is_killed() && guarded.is_cancelled() && guarded.is_killed());
    }
}
