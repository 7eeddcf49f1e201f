//! The driver: runs a plan on tokio, turning the scheduler's commands into jobs and signals into
//! cancellation.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OnceCell, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::attend::Attendant;
use super::begin::{self, Choice, GuardStarter, Record};
use super::concurrency::Ticket;
use super::environment::{Outside, Vars};
use super::event::{
    CancelCause, EventKind, EventSink, JobInfo, JobResult, Level, Name, RunResult, Scope, SkipReason,
};
use super::executor::{Cancel, ExecError, Executor, ExecutorRegistry, StopPolicy, Workspace};
use super::job;
use super::machine::{Command, GraphError, JobEnd, JobId, Machine};
use super::mask::Masker;
use super::packages::Packages;
use super::provider::{ProviderError, Providers};
use super::reporter::Reporter;
use super::results::Values;
use super::rundir::{self, RunDir};
use super::{artifact, git, packages};
use crate::workflow::plan::{Env, Plan};

/// How long `always()` and `cancelled()` work may go on after a cancel before it is killed.
pub const AFTER_CANCEL: Duration = Duration::from_secs(300);

/// What a run takes besides its plan.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The environment nixactions was started in, `--env-file` and `-e`.
    pub outside: Outside,
    /// `--pure`.
    pub pure: bool,
    /// Keep the run's directory.
    pub keep: bool,
    /// Over the plan's `maxParallel`.
    pub max_parallel: Option<usize>,
    /// Directory below which runs lie.
    pub cache_root: PathBuf,
    /// Times of the stop sequences.
    pub stop: StopPolicy,
    /// Which jobs are run, and what is known of the others.
    pub choice: Choice,
    /// Keep a journal and the output below the cache directory.
    pub record: Option<Record>,
    /// Who opens a shell in a step's place.
    pub attendant: Option<Attendant>,
    /// What ends the run's processes when the runner cannot.
    pub guard: Option<GuardStarter>,
    /// Makes the packages that jobs need; without it they are taken to be there.
    pub packages: Option<Arc<dyn Packages>>,
}

impl Options {
    /// The defaults, with the process's own environment.
    pub fn from_process() -> Options {
        let ambient: Vars = std::env::vars_os().collect();
        Options {
            outside: Outside { ambient, ..Outside::default() },
            pure: false,
            keep: std::env::var_os("NIXACTIONS_KEEP_WORKSPACE").is_some_and(|v| v == "1"),
            max_parallel: None,
            cache_root: rundir::cache_root(),
            ..Options::default()
        }
    }
}

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The plan cannot be scheduled.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// An artifact has an impossible name.
    #[error("job `{job}`: {message}")]
    Artifact {
        /// The job.
        job: String,
        /// What is wrong.
        message: String,
    },
    /// Packages are needed, and cannot be had.
    #[error("{0}")]
    Packages(String),
    /// An executor cannot be made.
    #[error("executor `{name}`: {error}")]
    Executor {
        /// Its name.
        name: String,
        /// What is wrong.
        error: ExecError,
    },
    /// The run's directory cannot be made, or signals cannot be caught.
    #[error("cannot prepare a run below {}: {error}", .root.display())]
    Setup {
        /// The cache directory.
        root: PathBuf,
        /// What happened.
        error: io::Error,
    },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The result; [`RunResult::exit_code`] says what to exit with.
    pub result: RunResult,
    /// Each job's result, in plan order; `None` when the run ended before any job.
    pub jobs: Vec<Option<JobResult>>,
    /// The run's directory, when it was kept.
    pub kept: Option<PathBuf>,
}

/// Runs a plan on a runtime of its own; SIGINT and SIGTERM cancel it, a second one kills.
pub fn run_blocking(
    plan: Plan,
    options: Options,
    registry: &dyn ExecutorRegistry,
    sink: Arc<dyn EventSink>,
) -> Result<Outcome, RunError> {
    let setup = |error| RunError::Setup { root: rundir::cache_root(), error };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(setup)?;
    let outcome = runtime.block_on(async {
        let signals = catch_signals().map_err(setup)?;
        run(plan, options, registry, sink, signals).await
    });
    // Nothing of the run is left; a blocked helper thread must not hold up the exit.
    runtime.shutdown_background();
    outcome
}

/// SIGINT, SIGTERM and SIGHUP, as they come.
pub fn catch_signals() -> io::Result<mpsc::UnboundedReceiver<i32>> {
    let (send, receive) = mpsc::unbounded_channel();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let (mut stream, send) = (signal(kind)?, send.clone());
        tokio::spawn(async move {
            while stream.recv().await.is_some() && send.send(kind.as_raw_value()).is_ok() {}
        });
    }
    Ok(receive)
}

/// An executor and whether its workspace is ready.
pub(super) struct Slot {
    pub(super) executor: Arc<dyn Executor>,
    pub(super) ready: OnceCell<Result<(), String>>,
    /// Preparation has begun, so there may be something to clean up.
    pub(super) begun: AtomicBool,
}

/// What all jobs of a run share.
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) names: HashMap<String, JobId>,
    pub(super) results: Vec<OnceLock<JobResult>>,
    /// What the jobs hand on to their dependents.
    pub(super) values: Vec<OnceLock<Values>>,
    /// Jobs in the order in which they ended well, for what copies of a matrix hand on together.
    pub(super) finished: std::sync::Mutex<Vec<JobId>>,
    /// What the providers of calls gave, by the calling job.
    pub(super) call_provided: Vec<OnceCell<Result<Env, ProviderError>>>,
    pub(super) reporter: Reporter,
    pub(super) options: Options,
    pub(super) run: Name,
    pub(super) artifacts: PathBuf,
    /// What the entries that are kept between runs belong to.
    pub(super) scope: String,
    pub(super) slots: HashMap<String, Slot>,
    /// The run's own token: soft when the run is cancelled, hard when it is killed.
    pub(super) cancel: Cancel,
    pub(super) cancelled: AtomicBool,
    /// What the workflow's providers gave.
    pub(super) provided: OnceLock<Env>,
    /// Variables that are the same for every step.
    pub(super) constants: Vec<(&'static str, String)>,
}

impl Shared {
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// The layers around a job, lowest first: the workflow's, then those of the calls it is in.
    pub(super) fn layers_around<'a>(&'a self, job: &'a crate::workflow::plan::Job) -> Vec<&'a Env> {
        static NONE: Env = Env::new();
        let mut layers = Vec::new();
        for (id, call) in self.calls_around(job) {
            layers.push(&call.env);
            let provided = self.call_provided[id].get().and_then(|got| got.as_ref().ok());
            layers.push(provided.unwrap_or(&NONE));
        }
        layers.push(&self.plan.env);
        layers.push(self.provided.get().unwrap_or(&NONE));
        layers.reverse();
        layers
    }

    /// The calls that a job is in, innermost first.
    pub(super) fn calls_around<'a>(
        &'a self,
        job: &'a crate::workflow::plan::Job,
    ) -> impl Iterator<Item = (JobId, &'a crate::workflow::plan::Call)> {
        let parent = |job: &crate::workflow::plan::Job| self.names.get(job.parent.as_ref()?).copied();
        std::iter::successors(parent(job), move |&id| parent(&self.plan.jobs[id]))
            .filter_map(|id| Some((id, self.plan.jobs[id].call.as_ref()?)))
    }

    pub(super) fn set_result(&self, job: JobId, result: JobResult) {
        let _ = self.results[job].set(result);
    }
}

/// Runs a plan; each number that comes from `signals` is a signal that cancels.
pub async fn run(
    plan: Plan,
    options: Options,
    registry: &dyn ExecutorRegistry,
    sink: Arc<dyn EventSink>,
    signals: mpsc::UnboundedReceiver<i32>,
) -> Result<Outcome, RunError> {
    let limit = options.max_parallel.or(plan.max_parallel).unwrap_or_else(default_parallel).max(1);
    Machine::new(&plan, limit)?;
    check_artifacts(&plan)?;
    if let Some(packages) = &options.packages {
        // A job that is kept or left out needs nothing more.
        let presets = &options.choice.presets;
        let runs = |job| presets.get(job).is_none_or(|preset| *preset == super::machine::Preset::Run);
        let chosen: Vec<bool> = (0..plan.jobs.len()).map(runs).collect();
        packages.prepare(&plan, &chosen).await.map_err(RunError::Packages)?;
    }
    let setup = |error| RunError::Setup { root: options.cache_root.clone(), error };
    let dir = begin::run_dir(&options).map_err(setup)?;
    let made = make_slots(&plan, &options, &dir, registry)
        .and_then(|slots| Ok((slots, begin::recorder(&plan, &options, dir.id()).map_err(setup)?)));
    let (slots, recorder) = match made {
        Ok(made) => made,
        Err(error) => {
            // The first error is the one to tell. What was there before the run stays there.
            let _ = if options.choice.resumes() { Ok(()) } else { dir.remove() };
            return Err(error);
        }
    };
    let shared = Arc::new(Shared {
        names: plan.jobs.iter().enumerate().map(|(id, job)| (job.name.clone(), id)).collect(),
        results: plan.jobs.iter().map(|_| OnceLock::new()).collect(),
        values: plan.jobs.iter().map(|_| OnceLock::new()).collect(),
        finished: std::sync::Mutex::default(),
        call_provided: plan.jobs.iter().map(|_| OnceCell::new()).collect(),
        reporter: Reporter::new(sink, Masker::new(&plan.secrets), recorder),
        run: Name::from(dir.id()),
        artifacts: dir.artifacts(),
        scope: super::cache::scope(&plan.project_dir),
        slots,
        cancel: Cancel::new(),
        cancelled: AtomicBool::new(false),
        provided: OnceLock::new(),
        constants: git::variables(&plan.project_dir),
        options,
        plan,
    });
    let started = shared.reporter.now();
    let guard = begin::start_guard(&shared.options, dir.path());
    announce(&shared, &dir, limit);
    if let Err(message) = &guard {
        shared.reporter.notice(Level::Warning, None, message);
    }
    if let Some(packages) = &shared.options.packages {
        let to = Arc::clone(&shared);
        packages.start(Arc::new(move |news| to.reporter.emit(packages::event(news, &to.reporter))));
    }
    begin::take_over(&shared).await;
    let mut driver = Driver::new(&shared, signals, limit)?;
    let waited = driver.wait_for_turn().await;
    let provided = if waited.is_err() || driver.machine.is_cancelled() {
        waited.and(Err(ProviderError::Cancelled))
    } else {
        driver.provide().await
    };
    let error = match provided {
        Ok(()) => {
            driver.jobs().await;
            None
        }
        Err(error) => Some(error),
    };
    let mut result = driver.machine.run_result();
    if matches!(error, Some(ProviderError::Failed(_))) && result == RunResult::Success {
        result = RunResult::Failure;
    }
    if let Some(packages) = &shared.options.packages {
        packages.finish().await;
    }
    let jobs = (0..shared.plan.jobs.len()).map(|id| driver.machine.result(id)).collect();
    if driver.ticket.as_ref().is_some_and(Ticket::is_superseded) {
        let message = "cancelled because a newer run of the same concurrency group has begun";
        shared.reporter.notice(Level::Warning, None, message);
    }
    super::notify::send(&shared, result, shared.reporter.now().since(started)).await;
    let kept = clean_up(&shared, dir).await;
    shared.reporter.emit(EventKind::RunFinished {
        result,
        exit_code: result.exit_code(),
        duration_us: shared.reporter.now().since(started).as_micros() as u64,
        error: match error {
            Some(ProviderError::Failed(message)) => Some(message),
            _ => None,
        },
    });
    shared.reporter.on_disk().await;
    drop(guard);
    Ok(Outcome { result, jobs, kept })
}

fn default_parallel() -> usize {
    std::thread::available_parallelism().map_or(2, |n| n.get() * 2)
}

fn check_artifacts(plan: &Plan) -> Result<(), RunError> {
    for job in &plan.jobs {
        let names = job.inputs.iter().map(|i| &i.name).chain(job.outputs.iter().map(|o| &o.name));
        // The artifacts of a call have its name before theirs, with a slash.
        for name in names.flat_map(|name| name.split('/')) {
            artifact::check_name(name)
                .map_err(|message| RunError::Artifact { job: job.name.clone(), message })?;
        }
    }
    Ok(())
}

fn make_slots(
    plan: &Plan,
    options: &Options,
    dir: &RunDir,
    registry: &dyn ExecutorRegistry,
) -> Result<HashMap<String, Slot>, RunError> {
    let mut slots: HashMap<String, Slot> = HashMap::new();
    for job in &plan.jobs {
        if slots.contains_key(&job.executor.name) || job.call.is_some() {
            continue;
        }
        let workspace = Workspace {
            run: Name::from(dir.id()),
            project_dir: plan.project_dir.clone(),
            run_dir: dir.path().to_path_buf(),
            executor: job.executor.clone(),
            keep: options.keep,
            stop: options.stop,
            deps: deps_of(plan, &job.executor.name),
        };
        let name = job.executor.name.clone();
        let executor =
            registry.create(workspace).map_err(|error| RunError::Executor { name: name.clone(), error })?;
        slots.insert(name, Slot { executor, ready: OnceCell::new(), begun: AtomicBool::new(false) });
    }
    Ok(slots)
}

/// The packages that the steps of an executor's jobs have on their `PATH`.
fn deps_of(plan: &Plan, executor: &str) -> Vec<PathBuf> {
    let jobs = plan.jobs.iter().filter(|job| job.executor.name == executor);
    let mut deps: Vec<PathBuf> =
        jobs.flat_map(|job| &job.steps).flat_map(|step| step.deps.iter().cloned()).collect();
    deps.sort_unstable();
    deps.dedup();
    deps
}

fn announce(shared: &Shared, dir: &RunDir, max_parallel: usize) {
    let plan = &shared.plan;
    let name = |text: &String| Name::from(text.as_str());
    let info = |(job, after): (&crate::workflow::plan::Job, Vec<&str>)| JobInfo {
        name: name(&job.name),
        needs: after.into_iter().map(Name::from).collect(),
        steps: job.steps.iter().map(|step| name(&step.name)).collect(),
        executor: name(&job.executor.name),
    };
    shared.reporter.emit(EventKind::RunStarted {
        run: shared.run.clone(),
        workflow: name(&plan.name),
        project_dir: plan.project_dir.clone(),
        run_dir: dir.path().to_path_buf(),
        max_parallel,
        jobs: plan.jobs.iter().zip(plan.comes_after()).map(info).collect(),
    });
    let pure = shared.options.pure;
    let names = if pure { Vec::new() } else { shared.options.outside.overridden(plan) };
    if !names.is_empty() {
        shared.reporter.emit(EventKind::AmbientOverride { names });
    }
}

/// Ends the workspaces and removes the run's directory, unless it is to be kept.
async fn clean_up(shared: &Shared, dir: RunDir) -> Option<PathBuf> {
    let warn = |message: String| shared.reporter.notice(Level::Warning, None, &message);
    for slot in shared.slots.values().filter(|slot| slot.begun.load(Ordering::Acquire)) {
        if let Err(error) = slot.executor.cleanup_workspace().await {
            warn(format!("cleaning up: {error}"));
        }
    }
    if shared.options.keep {
        return Some(dir.path().to_path_buf());
    }
    if let Err(error) = begin::keep_artifacts(shared, &dir) {
        warn(format!("the artifacts of this run are not kept: {error}"));
    }
    let path = dir.path().to_path_buf();
    match dir.remove() {
        Ok(()) => None,
        Err(error) => {
            warn(format!("cannot remove {}: {error}", path.display()));
            Some(path)
        }
    }
}

struct Driver<'s> {
    shared: &'s Arc<Shared>,
    machine: Machine<'s>,
    commands: Vec<Command>,
    tasks: JoinSet<(JobId, JobEnd)>,
    /// Jobs that wait for packages.
    waits: JoinSet<JobId>,
    running: HashMap<JobId, (Cancel, tokio::task::Id)>,
    signals: mpsc::UnboundedReceiver<i32>,
    signalled: bool,
    budget: Option<Instant>,
    kill_at: Option<Instant>,
    /// The run's place in the queue of its concurrency group.
    ticket: Option<Ticket>,
    /// Calls whose jobs run: since when, and until when at most.
    opened: HashMap<JobId, (std::time::Instant, Option<Instant>)>,
}

impl<'s> Driver<'s> {
    fn new(
        shared: &'s Arc<Shared>,
        signals: mpsc::UnboundedReceiver<i32>,
        limit: usize,
    ) -> Result<Driver<'s>, RunError> {
        Ok(Driver {
            shared,
            machine: Machine::with(&shared.plan, limit, shared.options.choice.presets.clone())?,
            commands: Vec::new(),
            tasks: JoinSet::new(),
            waits: JoinSet::new(),
            running: HashMap::new(),
            signals,
            signalled: false,
            budget: shared.plan.budget.and_then(|budget| Instant::now().checked_add(budget)),
            kill_at: None,
            ticket: None,
            opened: HashMap::new(),
        })
    }

    /// Waits until no earlier run of the concurrency group lives.
    async fn wait_for_turn(&mut self) -> Result<(), ProviderError> {
        let shared = self.shared;
        let Some(rule) = &shared.plan.concurrency else { return Ok(()) };
        let failed = |e: io::Error| {
            let message = format!("cannot queue in the concurrency group `{}`: {e}", rule.group);
            ProviderError::Failed(message)
        };
        let ticket = Ticket::draw(&shared.options.cache_root, rule).map_err(failed)?;
        if rule.cancel_in_progress {
            ticket.cancel_those_before().map_err(failed)?;
        }
        let mut told = false;
        while let Some(&last) = ticket.before().map_err(failed)?.last() {
            if !std::mem::replace(&mut told, true) {
                let count = ticket.before().map_err(failed)?.len();
                let what = if count == 1 { "an earlier run".into() } else { format!("{count} earlier runs") };
                let message = format!("waiting for {what} of the concurrency group `{}`", rule.group);
                shared.reporter.notice(Level::Info, None, &message);
            }
            let mut wait = tokio::task::spawn_blocking(ticket.wait_for(last));
            loop {
                tokio::select! {
                    done = &mut wait => {
                        done.map_err(io::Error::other).and_then(|waited| waited).map_err(failed)?;
                        break;
                    }
                    Some(signal) = self.signals.recv() => self.signal(signal),
                    () = until(self.budget) => self.cancel(CancelCause::Budget),
                }
                self.carry_out();
                if self.machine.is_cancelled() {
                    self.ticket = Some(ticket);
                    return Ok(());
                }
            }
        }
        self.ticket = Some(ticket);
        Ok(())
    }

    /// Runs the workflow's providers.
    async fn provide(&mut self) -> Result<(), ProviderError> {
        let shared = self.shared;
        let providers = Providers {
            reporter: &shared.reporter,
            outside: &shared.options.outside,
            project: &shared.plan.project_dir,
            pure: shared.options.pure,
            cancel: &shared.cancel,
        };
        let work = async {
            match packages::wait(shared.options.packages.as_ref(), None, &shared.cancel).await {
                Some(Ok(())) => providers.run(&shared.plan.env_from, &[], &Scope::Workflow).await,
                Some(Err(e)) => {
                    let text = format!("the workflow needs the package `{}`: {}", e.package, e.message);
                    Err(ProviderError::Failed(shared.reporter.mask(&text).into_owned()))
                }
                None => Err(ProviderError::Cancelled),
            }
        };
        tokio::pin!(work);
        loop {
            tokio::select! {
                got = &mut work => {
                    let _ = shared.provided.set(got?);
                    return Ok(());
                }
                Some(signal) = self.signals.recv() => self.signal(signal),
                () = until(self.budget) => self.cancel(CancelCause::Budget),
            }
            // No job runs yet: only the news of a cancel is to be told.
            self.carry_out();
        }
    }

    /// Keeps back the jobs whose packages are still to be made, so that they take no slot meanwhile.
    fn hold_those_without_packages(&mut self) {
        let shared = self.shared;
        let Some(packages) = &shared.options.packages else { return };
        for job in (0..shared.plan.jobs.len()).filter(|&job| packages.waits(job)) {
            self.machine.hold(job);
            let (packages, cancel) = (Arc::clone(packages), shared.cancel.clone());
            self.waits.spawn(async move {
                // However it ends, the job tells of it when it starts.
                let _ = packages::wait(Some(&packages), Some(job), &cancel).await;
                job
            });
        }
    }

    /// Runs the jobs to the last one's end.
    async fn jobs(&mut self) {
        self.hold_those_without_packages();
        self.machine.start(&mut self.commands);
        while !self.carry_out() {
            let expiry = self.next_expiry();
            tokio::select! {
                Some(signal) = self.signals.recv() => self.signal(signal),
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                Some(Ok(job)) = self.waits.join_next() => self.machine.let_go(job, &mut self.commands),
                () = until(self.budget) => self.cancel(CancelCause::Budget),
                () = until(expiry) => self.expire(),
                () = until(self.kill_at) => {
                    self.kill_at = None;
                    let message = "work after the cancel takes too long and is killed";
                    self.shared.reporter.notice(Level::Warning, None, message);
                    self.shared.cancel.kill();
                }
            }
        }
    }

    fn next_expiry(&self) -> Option<Instant> {
        self.opened.values().filter_map(|(_, expires)| *expires).min()
    }

    /// Ends the calls whose time is used up.
    fn expire(&mut self) {
        let now = Instant::now();
        for (job, (_, expires)) in &mut self.opened {
            if expires.take_if(|at| *at <= now).is_some() {
                let name = Name::from(self.shared.plan.jobs[*job].name.as_str());
                let message = "its time budget is used up, its jobs are cancelled";
                self.shared.reporter.notice(Level::Warning, Some(&name), message);
                self.machine.expire(*job, &mut self.commands);
            }
        }
    }

    fn ended(&mut self, ended: Result<(tokio::task::Id, (JobId, JobEnd)), tokio::task::JoinError>) {
        match ended {
            Ok((_, (job, end))) => {
                self.running.remove(&job);
                self.machine.ended(job, &end, &mut self.commands);
            }
            // A job's task never panics by design; if one does, the run must still come to an end.
            Err(error) => {
                self.shared.reporter.notice(Level::Error, None, &format!("internal error: {error}"));
                let dead = self.running.iter().find(|(_, (_, task))| *task == error.id());
                if let Some(job) = dead.map(|(&job, _)| job) {
                    self.running.remove(&job);
                    self.machine.ended(job, &JobEnd::Failure { infrastructure: true }, &mut self.commands);
                }
            }
        }
    }

    fn signal(&mut self, signal: i32) {
        let kill = std::mem::replace(&mut self.signalled, true);
        if kill {
            self.shared.cancel.kill();
            let cause = CancelCause::Signal { signal };
            self.shared.reporter.emit(EventKind::RunCancelling { cause, kill });
        } else {
            self.cancel(CancelCause::Signal { signal });
        }
    }

    fn cancel(&mut self, cause: CancelCause) {
        if cause == CancelCause::Budget {
            self.budget = None;
        }
        self.machine.cancel(cause, &mut self.commands);
    }

    /// Does what the machine asked for; true when the run is over.
    fn carry_out(&mut self) -> bool {
        let mut over = false;
        let shared = self.shared;
        let name = |job: JobId| Name::from(shared.plan.jobs[job].name.as_str());
        for command in std::mem::take(&mut self.commands) {
            match command {
                Command::Ready(job) => shared.reporter.emit(EventKind::JobReady { job: name(job) }),
                Command::Start(job) => {
                    // The run's soft cancel does not reach jobs by itself: the machine says which end.
                    let cancel = shared.cancel.child_hard_only();
                    let (shared, token) = (Arc::clone(shared), cancel.clone());
                    let task = self.tasks.spawn(async move {
                        let (end, result) = job::run(&shared, job, &token).await;
                        if let Some(result) = result {
                            shared.set_result(job, result);
                        }
                        (job, end)
                    });
                    self.running.insert(job, (cancel, task.id()));
                }
                Command::Skip(job, reason) => {
                    shared.set_result(job, JobResult::Skipped);
                    shared.reporter.emit(EventKind::JobSkipped { job: name(job), reason });
                }
                Command::LeaveOut(job) => {
                    shared.set_result(job, JobResult::Skipped);
                    let by = shared.options.choice.left_out_by.get(&job).cloned().unwrap_or_default();
                    let reason = SkipReason::NotSelected { by };
                    shared.reporter.emit(EventKind::JobSkipped { job: name(job), reason });
                }
                Command::Drop(job) => {
                    shared.set_result(job, JobResult::Cancelled);
                    shared.reporter.emit(EventKind::JobFinished {
                        job: name(job),
                        result: JobResult::Cancelled,
                        outcome: JobResult::Cancelled,
                        duration_us: 0,
                        failure: None,
                        results: Default::default(),
                    });
                }
                Command::Stop(job) => {
                    self.running.get(&job).into_iter().for_each(|(cancel, _)| cancel.cancel())
                }
                Command::Cancelling(cause) => {
                    shared.cancelled.store(true, Ordering::Release);
                    shared.cancel.cancel();
                    self.kill_at = self.kill_at.or_else(|| Instant::now().checked_add(AFTER_CANCEL));
                    shared.reporter.emit(EventKind::RunCancelling { cause, kill: false });
                }
                Command::Open(job) => {
                    let budgets = [
                        shared.plan.jobs[job].budget,
                        shared.plan.jobs[job].call.as_ref().and_then(|c| c.budget),
                    ];
                    let budget = budgets.into_iter().flatten().min();
                    let expires = budget.and_then(|budget| Instant::now().checked_add(budget));
                    self.opened.insert(job, (std::time::Instant::now(), expires));
                    shared.reporter.emit(EventKind::JobStarted { job: name(job), attempt: 1, dir: None });
                }
                Command::Close(job, outcome, result) => {
                    let opened = self.opened.remove(&job);
                    let duration = opened.map_or(Duration::ZERO, |(at, _)| at.elapsed());
                    let closed = super::results::close(shared, job, outcome, result, duration);
                    shared.set_result(job, result);
                    shared.reporter.emit(closed);
                }
                Command::FailFast { failed, matrix } => {
                    let what =
                        if matrix { "the other copies of its matrix" } else { "the other jobs of its call" };
                    let message = format!("failed, which cancels {what} (failFast)");
                    shared.reporter.notice(Level::Warning, Some(&name(failed)), &message);
                }
                Command::Finish => over = true,
            }
        }
        over
    }
}

/// Completes at a moment; never, without one.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => pending().await,
    }
}
