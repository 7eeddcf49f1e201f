//! Packages: what jobs need of the nix store, seen from the engine, which knows no store. Everything
//! is asked for once, at the start of a run; a job begins when what it needs is there.

use std::fmt;
use std::sync::Arc;

use super::event::{EventKind, Failure, LogText, Name, PackageState};
use super::executor::{BoxFuture, Cancel};
use super::mask::Masker;
use super::reporter::Reporter;
use crate::workflow::plan::Plan;

/// What is told while packages are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A package is built or fetched from here on, ended, or failed.
    State {
        /// Its name.
        package: String,
        /// What happened.
        state: PackageState,
    },
    /// A line that a build printed.
    Log {
        /// The package.
        package: String,
        /// The line, without its newline.
        line: String,
    },
}

/// Takes what is told.
pub type Report = Arc<dyn Fn(News) + Send + Sync>;

/// Why a job has not got its packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageError {
    /// The step that needs the package; `None`: the job or workflow itself does.
    pub step: Option<String>,
    /// The package's name.
    pub package: String,
    /// What happened, with the end of the log.
    pub message: String,
    /// The machine is to blame, not the package.
    pub infrastructure: bool,
}

/// Makes packages.
pub trait Packages: Send + Sync + fmt::Debug {
    /// Looks what the workflow and the chosen jobs (one answer a job of the plan) need and what of it is there,
    /// before the run begins. An error means that something is needed and nobody can be asked for it: no job is
    /// started then.
    fn prepare<'a>(&'a self, plan: &'a Plan, chosen: &'a [bool]) -> BoxFuture<'a, Result<(), String>>;

    /// Whether something that a job needs is still to be made.
    fn waits(&self, job: usize) -> bool;

    /// Begins to make what is not there, in the background.
    fn start(&self, report: Report);

    /// Completes when all that a job (by its place in the plan), or the workflow itself, needs is
    /// there, or cannot be.
    fn ready(&self, job: Option<usize>) -> BoxFuture<'_, Result<(), PackageError>>;

    /// The run is over: stops what is still made, and lets go of what was held.
    fn finish(&self) -> BoxFuture<'_, ()>;
}

/// Waits for packages; `None` when the cancel came first.
pub(super) async fn wait(
    packages: Option<&Arc<dyn Packages>>,
    job: Option<usize>,
    cancel: &Cancel,
) -> Option<Result<(), PackageError>> {
    let Some(packages) = packages else { return Some(Ok(())) };
    tokio::select! {
        biased;
        ready = packages.ready(job) => Some(ready),
        () = cancel.cancelled() => None,
    }
}

/// The failure of a job that has not got its packages.
pub(super) fn failure(error: PackageError, masker: &Masker) -> Failure {
    let message = masker.mask_str(&error.message).into_owned();
    let step = error.step.map(|s| Name::from(s.as_str()));
    let package = Name::from(error.package.as_str());
    Failure::Package { step, package, message, infrastructure: error.infrastructure }
}

/// What is told, as masked events.
pub(super) fn event(news: News, reporter: &Reporter) -> EventKind {
    match news {
        News::State { package, state } => EventKind::Package {
            package: Name::from(package.as_str()),
            state: match state {
                PackageState::Failed { message } => {
                    PackageState::Failed { message: reporter.mask(&message).into_owned() }
                }
                other => other,
            },
        },
        News::Log { package, line } => EventKind::PackageLog {
            package: Name::from(package.as_str()),
            text: LogText(reporter.mask(&line).into_owned().into_bytes()),
        },
    }
}
