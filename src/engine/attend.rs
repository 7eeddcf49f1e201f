//! A person who looks: a shell in a step's place, after it failed or instead of it.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::event::{Name, StepEnd};

/// Where a shell is to be opened: what a step finds when it runs.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The job.
    pub job: Name,
    /// The step.
    pub step: Name,
    /// Its working directory.
    pub dir: PathBuf,
    /// Its whole environment.
    pub env: Arc<Vec<(OsString, OsString)>>,
    /// How the step ended; `None` when the shell stands in for it.
    pub end: Option<StepEnd>,
}

/// Opens a shell and waits for its end; gives its exit code.
type Open = dyn Fn(&Scene) -> io::Result<i32> + Send + Sync;

/// When a shell is opened, and how.
#[derive(Clone)]
pub struct Attendant {
    /// Instead of every step, rather than after one that failed.
    pub instead: bool,
    open: Arc<Open>,
}

impl Attendant {
    /// An attendant who opens shells with this function.
    pub fn new(instead: bool, open: impl Fn(&Scene) -> io::Result<i32> + Send + Sync + 'static) -> Attendant {
        Attendant { instead, open: Arc::new(open) }
    }

    /// Opens a shell and waits for its end.
    pub(super) async fn open(&self, scene: Scene) -> io::Result<i32> {
        let open = Arc::clone(&self.open);
        tokio::task::spawn_blocking(move || open(&scene)).await.unwrap_or_else(|e| Err(io::Error::other(e)))
    }
}

impl fmt::Debug for Attendant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attendant").field("instead", &self.instead).finish_non_exhaustive()
    }
}
