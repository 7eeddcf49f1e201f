//! How a run begins when it is not the first of its kind: chosen jobs, resumed runs, results and
//! artifacts taken over from an earlier one.

use std::any::Any;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::artifact;
use super::driver::{Options, Shared};
use super::event::{EventKind, Failure, JobResult, Level, Name};
use super::executor::safe_file_name;
use super::history::journal::Gate;
use super::history::record::{self, Read, ReadError};
use super::history::recorder::Recorder;
use super::history::replay::{Keep, replay};
use super::history::store::{Entry, Origin};
use super::machine::{JobId, Preset};
use super::rundir::{self, RunDir};
use crate::workflow::plan::Plan;

/// Which jobs are run, and what is known of the others.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// One a job of the plan; empty: all are run.
    pub presets: Vec<Preset>,
    /// For jobs that are left out: the option that did it.
    pub left_out_by: HashMap<JobId, String>,
    /// Where what is kept comes from.
    pub source: Source,
    /// Artifacts of jobs that are left out, by name: their directories in earlier runs.
    pub artifacts: BTreeMap<String, PathBuf>,
    /// What jobs that are not run hand on, in the order in which they ended.
    pub results: Vec<(Name, BTreeMap<Name, String>)>,
}

impl Choice {
    /// Goes on with a run where it stopped.
    pub fn resume(entry: &Entry, plan: &Plan) -> Result<Choice, ReadError> {
        let found = record::read(&entry.journal())?;
        let progress = replay(&found.events);
        let presets = progress.presets(plan, &entry.artifacts(), Keep::Ended, &HashSet::new());
        let source = Source::Same { run: entry.id.clone(), found: Arc::new(found) };
        Ok(Choice { presets, source, results: progress.results, ..Choice::default() })
    }

    /// Begins a new run with what succeeded in an earlier one.
    pub fn rerun_failed(entry: &Entry, plan: &Plan) -> Result<Choice, ReadError> {
        Choice::rerun_affected(entry, plan, &HashSet::new())
    }

    /// Begins a new run with what succeeded in an earlier one, but for these jobs and what comes after
    /// them.
    pub fn rerun_affected(
        entry: &Entry,
        plan: &Plan,
        affected: &HashSet<JobId>,
    ) -> Result<Choice, ReadError> {
        let found = record::read(&entry.journal())?;
        let artifacts = entry.artifacts();
        let progress = replay(&found.events);
        let presets = progress.presets(plan, &artifacts, Keep::Succeeded, affected);
        let source = Source::Other { run: entry.id.clone(), artifacts };
        Ok(Choice { presets, source, results: progress.results, ..Choice::default() })
    }

    /// Whether an earlier run goes on, rather than a new one beginning.
    pub fn resumes(&self) -> bool {
        matches!(self.source, Source::Same { .. })
    }
}

/// Where results and artifacts come from that are not made anew.
#[derive(Clone, Debug, Default)]
pub enum Source {
    /// There are none.
    #[default]
    None,
    /// The run itself, which goes on after its journal.
    Same {
        /// The run's identifier.
        run: String,
        /// What its journal held.
        found: Arc<Read>,
    },
    /// Another run, whose artifacts are copied.
    Other {
        /// That run's identifier.
        run: String,
        /// Its artifacts.
        artifacts: PathBuf,
    },
}

/// What is held while a run lives.
pub type Held = Box<dyn Any + Send>;

/// Starts something for a run, given its directory.
type Start = dyn Fn(&Path) -> io::Result<Held> + Send + Sync;

/// Starts what ends the processes of a run when its runner was killed.
#[derive(Clone)]
pub struct GuardStarter(Arc<Start>);

impl GuardStarter {
    /// Wraps the function that starts it.
    pub fn new(start: impl Fn(&Path) -> io::Result<Held> + Send + Sync + 'static) -> GuardStarter {
        GuardStarter(Arc::new(start))
    }
}

impl fmt::Debug for GuardStarter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuardStarter")
    }
}

/// Starts the guard. A run without one is still a run: what went wrong is told.
pub(super) fn start_guard(options: &Options, run_dir: &Path) -> Result<Option<Held>, String> {
    let Some(GuardStarter(start)) = &options.guard else { return Ok(None) };
    start(run_dir).map(Some).map_err(|error| {
        format!("should the runner be killed, its processes would go on: no guard could be started: {error}")
    })
}

/// What is kept of a run.
#[derive(Clone, Default)]
pub struct Record {
    /// Where the plan came from.
    pub origin: Origin,
    /// What tests hook into the journal.
    pub gate: Option<Gate>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("origin", &self.origin).finish_non_exhaustive()
    }
}

pub(super) fn run_dir(options: &Options) -> io::Result<RunDir> {
    match &options.choice.source {
        Source::Same { run, .. } => RunDir::reopen(&options.cache_root, run),
        _ => RunDir::create(&options.cache_root),
    }
}

pub(super) fn recorder(plan: &Plan, options: &Options, id: &str) -> io::Result<Option<Arc<Recorder>>> {
    let Some(record) = &options.record else { return Ok(None) };
    let found = match &options.choice.source {
        Source::Same { found, .. } => Some(found.as_ref()),
        _ => None,
    };
    let root = &options.cache_root;
    Ok(Some(Arc::new(Recorder::open(root, id, plan, &record.origin, found, record.gate.clone())?)))
}

/// Takes over results and artifacts, and tells it.
pub(super) async fn take_over(shared: &Shared) {
    let choice = &shared.options.choice;
    for (name, src) in &choice.artifacts {
        if let Err(error) = copy_artifact(shared, name, src.clone()).await {
            let message = format!("the artifact `{name}` of an earlier run cannot be used: {error}");
            shared.reporter.notice(Level::Error, None, &message);
        }
    }
    for (job, results) in &choice.results {
        let old =
            |id: &&JobId| matches!(choice.presets.get(**id), Some(Preset::Keep { .. } | Preset::LeaveOut));
        if let Some(&id) = shared.names.get(job.as_str()).filter(old) {
            shared.set_values(id, results.iter().map(|(n, v)| (n.to_string(), v.clone())).collect());
        }
    }
    let (from, artifacts) = match &choice.source {
        Source::None => return,
        // A run that had ended keeps its artifacts in the history.
        Source::Same { run, .. } => (run, Entry::new(&shared.options.cache_root, run).path.join("artifacts")),
        Source::Other { run, artifacts } => (run, artifacts.clone()),
    };
    let kept = choice.presets.iter().filter(|preset| matches!(preset, Preset::Keep { .. })).count();
    shared.reporter.emit(EventKind::RunResumed { from: Name::from(from.as_str()), kept });
    for (job, preset) in choice.presets.iter().enumerate() {
        let name = Name::from(shared.plan.jobs[job].name.as_str());
        match *preset {
            Preset::Keep { result, .. } => {
                if let Err(error) = copy_artifacts(shared, job, artifacts.clone()).await {
                    let message = format!("its artifacts of run {from} cannot be used: {error}");
                    shared.reporter.notice(Level::Error, Some(&name), &message);
                }
                shared.set_result(job, result);
                shared.reporter.emit(EventKind::JobRestored { job: name, result });
            }
            Preset::Interrupted => {
                let tolerated = shared.plan.jobs[job].continue_on_error;
                let result = if tolerated { JobResult::Success } else { JobResult::Failure };
                shared.set_result(job, result);
                shared.reporter.emit(EventKind::JobFinished {
                    job: name,
                    result,
                    outcome: JobResult::Failure,
                    duration_us: 0,
                    failure: Some(Failure::Interrupted),
                    results: BTreeMap::new(),
                });
            }
            Preset::Run | Preset::LeaveOut => {}
        }
    }
}

async fn copy_artifacts(shared: &Shared, job: JobId, from: PathBuf) -> Result<(), String> {
    for output in &shared.plan.jobs[job].outputs {
        copy_artifact(shared, &output.name, from.join(safe_file_name(&output.name))).await?;
    }
    Ok(())
}

async fn copy_artifact(shared: &Shared, name: &str, src: PathBuf) -> Result<(), String> {
    let (to, name) = (shared.artifacts.clone(), safe_file_name(name));
    if to.join(&name).is_dir() || !src.is_dir() {
        return Ok(());
    }
    let copied = tokio::task::spawn_blocking(move || artifact::restore(&to, &src, &name)).await;
    copied.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}

/// Keeps the artifacts of a run, so that parts of it can be run again.
pub(super) fn keep_artifacts(shared: &Shared, dir: &RunDir) -> io::Result<()> {
    if shared.options.record.is_none() {
        return Ok(());
    }
    let kept = Entry::new(&shared.options.cache_root, dir.id()).path.join("artifacts");
    rundir::remove_tree(&kept)?;
    let artifacts = dir.artifacts();
    let empty = std::fs::read_dir(&artifacts)?.next().is_none();
    if empty {
        return Ok(());
    }
    std::fs::rename(&artifacts, &kept)
}
