//! Packages from a nix daemon.
//!
//! One connection holds temporary roots on all that the run needs, from before the run begins to its
//! end: they go with it, also when this program is killed. When something is missing, a second
//! connection asks for all of it at once, so that the daemon builds in parallel and nothing twice;
//! whenever one of its builds ends, the jobs that waited for it alone go on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::builds::{Builds, Ended};
use super::needs::{self, Need, Needs, package_name};
use crate::drv::object::{Needed, Objects};
use crate::drv::store_path::{StoreDir, StorePath};
use crate::engine::event::PackageState;
use crate::engine::executor::BoxFuture;
use crate::engine::packages::{News, PackageError, Packages, Report};
use crate::store::{BuildOptions, BuildStatus, Connection, Location, Missing, StoreError, Wanted};
use crate::workflow::plan::Plan;

/// Makes packages through the daemon that the environment names.
#[derive(Debug)]
pub struct Daemon {
    location: Result<Location, StoreError>,
    options: BuildOptions,
    run: OnceLock<Arc<Run>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Why something will not be there.
#[derive(Clone, Debug)]
struct Refusal {
    message: String,
    infrastructure: bool,
}

/// How far the needs of a run are.
#[derive(Clone, Debug, Default)]
struct Progress {
    valid: BTreeSet<StorePath>,
    /// By what was asked for.
    refused: BTreeMap<StorePath, Refusal>,
    /// Nothing more will come.
    over: bool,
}

#[derive(Debug)]
struct Run {
    needs: Needs,
    objects: Objects,
    progress: watch::Sender<Progress>,
    /// Holds the temporary roots; `None` when there is no daemon, and nothing to hold.
    holder: tokio::sync::Mutex<Option<Connection>>,
}

impl Daemon {
    /// The daemon that the process's environment names.
    pub fn from_environment() -> Daemon {
        let env = |name: &str| std::env::var(name).ok();
        Daemon::at(Location::from_environment(env), BuildOptions::from_environment(env))
    }

    /// A daemon somewhere, or why there is none.
    pub fn at(location: Result<Location, StoreError>, options: BuildOptions) -> Daemon {
        Daemon { location, options, run: OnceLock::new(), task: Mutex::new(None) }
    }

    async fn connect(&self) -> Result<Connection, StoreError> {
        match &self.location {
            Ok(location) => Connection::open(location).await,
            Err(StoreError::Remote(text)) => Err(StoreError::Remote(text.clone())),
            Err(_) => Err(StoreError::Cancelled),
        }
    }

    async fn look(&self, plan: &Plan, chosen: &[bool]) -> Result<Run, String> {
        let needs = Needs::of(plan).only(chosen);
        let paths: BTreeSet<StorePath> = needs.all().filter_map(|n| n.path.clone()).collect();
        let mut progress = Progress::default();
        let mut holder = None;
        if let Some(first) = needs.all().next() {
            match self.connect().await {
                Ok(mut connection) => {
                    let fail = |e: StoreError| e.to_string();
                    // Roots first: what is found valid then stays so.
                    connection.add_temp_roots(&paths).await.map_err(fail)?;
                    progress.valid = connection.query_valid_paths(&paths).await.map_err(fail)?;
                    holder = Some(connection);
                }
                Err(e) => {
                    let there = |n: &Need| n.path.as_ref().is_some_and(|p| is_on_disk(&needs, p));
                    let missing = needs.all().find(|n| !there(n));
                    if let Some(missing) = missing {
                        return Err(no_daemon(&e, missing));
                    }
                    debug_assert!(there(first), "nothing is missing");
                    progress.valid = paths;
                }
            }
        }
        let run = Run {
            objects: plan.objects.objects.clone(),
            progress: watch::Sender::new(progress),
            holder: tokio::sync::Mutex::new(holder),
            needs,
        };
        if run.missing().is_empty() {
            run.progress.send_modify(|p| p.over = true);
        }
        Ok(run)
    }

    /// What making all that the chosen jobs of a plan need would take. Derivations are added to the store, as the
    /// daemon can only look at those that it has.
    pub async fn missing(&self, plan: &Plan, chosen: &[bool]) -> Result<(StoreDir, Missing), String> {
        let needs = Needs::of(plan).only(chosen);
        let dir = needs.dir.clone();
        let Some(first) = needs.all().next() else { return Ok((dir, Missing::default())) };
        let fail = |e: StoreError| e.to_string();
        let mut connection = self.connect().await.map_err(|e| no_daemon(&e, first))?;
        let roots = needs.all().map(|n| n.needed.root());
        let objects = needs::closure(roots, &plan.objects.objects);
        connection.set_options(&self.options).await.map_err(fail)?;
        connection.add_objects(&objects).await.map_err(fail)?;
        let wanted = Wanted::gather(needs.all().map(|n| &n.needed));
        let missing = connection.query_missing(&wanted).await.map_err(fail)?;
        Ok((dir, missing))
    }

    fn task(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_daemon(e: &StoreError, missing: &Need) -> String {
    let what = match &missing.step {
        Some(step) => format!("step `{step}` needs the package `{}`", missing.package()),
        None => format!("the workflow needs the package `{}`", missing.package()),
    };
    let help = match e {
        StoreError::Connect { .. } => {
            "\nstart the daemon (`systemctl start nix-daemon`, or `nix-daemon &` as root), or name its socket with NIX_DAEMON_SOCKET_PATH"
        }
        _ => "",
    };
    format!("{what}, and {e}{help}")
}

fn is_on_disk(needs: &Needs, path: &StorePath) -> bool {
    Path::new(&needs.dir.print(path)).symlink_metadata().is_ok()
}

impl Run {
    /// What is needed and not valid, each once.
    fn missing(&self) -> BTreeSet<&Needed> {
        let progress = self.progress.borrow();
        let valid = |n: &&Need| n.path.as_ref().is_some_and(|p| progress.valid.contains(p));
        self.needs.all().filter(|n| !valid(n)).map(|n| &n.needed).collect()
    }

    /// Builds what is missing, and ends the waiting whatever happens.
    async fn build(&self, daemon: Result<Connection, StoreError>, options: BuildOptions, report: Report) {
        let outcome = match daemon {
            Ok(connection) => self.request(connection, &options, report).await,
            Err(e) => Err(e),
        };
        let missing: Vec<StorePath> = self.missing().iter().map(|n| n.root().clone()).collect();
        self.progress.send_modify(|p| {
            if let Err(e) = outcome {
                for root in missing {
                    let refusal = Refusal { message: e.to_string(), infrastructure: true };
                    p.refused.entry(root).or_insert(refusal);
                }
            }
            p.over = true;
        });
    }

    async fn request(
        &self,
        mut connection: Connection,
        options: &BuildOptions,
        report: Report,
    ) -> Result<(), StoreError> {
        connection.set_options(options).await?;
        let missing = self.missing();
        let objects = needs::closure(missing.iter().map(|n| n.root()), &self.objects);
        connection.add_objects(&objects).await?;
        let roots: BTreeSet<StorePath> = missing.iter().map(|n| n.root().clone()).collect();
        connection.add_temp_roots(&roots).await?;
        self.look_again().await?;
        let wanted = Wanted::gather(self.missing());
        if wanted.is_empty() {
            return Ok(());
        }
        let (send, ended) = mpsc::unbounded_channel();
        let builds = Arc::new(Mutex::new(Builds::new(self.needs.dir.clone(), report.clone())));
        let listener = Arc::clone(&builds);
        let mut observer = move |message| {
            let mut builds = listener.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(ended) = builds.message(message) {
                // Nobody listens any more only when the run is over.
                let _ = send.send(ended);
            }
        };
        let request = async {
            let results = connection.build(&wanted, &mut observer).await;
            drop(observer);
            results
        };
        let (results, followed) = tokio::join!(request, self.follow(ended, &builds, &report));
        let results = results?;
        followed?;
        self.look_again().await?;
        for result in results.iter().filter(|r| r.status != BuildStatus::Success) {
            let root = result.wanted.split('!').next().unwrap_or_default();
            let Ok(root) = self.needs.dir.parse(root.as_bytes()) else { continue };
            let message = self.explain(&root, result.status, &result.message, &builds).await;
            let infrastructure = matches!(result.status, BuildStatus::Other(5 | 7))
                || result.message.contains("No space left on device");
            self.progress.send_modify(|p| {
                p.refused.insert(root, Refusal { message, infrastructure });
            });
        }
        Ok(())
    }

    /// Asks the daemon which of the needed paths are valid by now.
    async fn look_again(&self) -> Result<(), StoreError> {
        let paths: BTreeSet<StorePath> = {
            let progress = self.progress.borrow();
            let paths = self.needs.all().filter_map(|n| n.path.clone());
            paths.filter(|p| !progress.valid.contains(p)).collect()
        };
        let mut holder = self.holder.lock().await;
        let Some(connection) = holder.as_mut() else { return Ok(()) };
        let valid = connection.query_valid_paths(&paths).await?;
        if !valid.is_empty() {
            self.progress.send_modify(|p| p.valid.extend(valid));
        }
        Ok(())
    }

    /// As builds end: tells how, and lets go on who waited for them.
    async fn follow(
        &self,
        mut ended: mpsc::UnboundedReceiver<Ended>,
        builds: &Mutex<Builds>,
        report: &Report,
    ) -> Result<(), StoreError> {
        while let Some(ended) = ended.recv().await {
            self.look_again().await?;
            let made = match ended.is_build {
                true => self.is_built(&ended.path).await?,
                false => true,
            };
            let state = if made {
                PackageState::Done { duration_us: ended.took_us }
            } else {
                let builds = builds.lock().unwrap_or_else(PoisonError::into_inner);
                let message = builds.failure(&ended.path, None);
                // The log has been shown line by line.
                PackageState::Failed { message: message.lines().next().unwrap_or_default().to_owned() }
            };
            report(News::State { package: package_name(&ended.path), state });
        }
        Ok(())
    }

    async fn is_built(&self, drv: &StorePath) -> Result<bool, StoreError> {
        let mut holder = self.holder.lock().await;
        let Some(connection) = holder.as_mut() else { return Ok(false) };
        let outputs = connection.query_outputs(drv).await?;
        let paths: BTreeSet<StorePath> = outputs.into_values().flatten().collect();
        Ok(!paths.is_empty() && !connection.query_valid_paths(&paths).await?.is_empty())
    }

    /// Why something that was asked for was not made. When one of its dependencies failed, that one
    /// is to blame, and its log is shown.
    async fn explain(
        &self,
        root: &StorePath,
        status: BuildStatus,
        message: &str,
        builds: &Mutex<Builds>,
    ) -> String {
        let lock = || builds.lock().unwrap_or_else(PoisonError::into_inner);
        if status != BuildStatus::DependencyFailed {
            return lock().failure(root, Some(message).filter(|m| !m.is_empty()));
        }
        let inputs = needs::closure([root].into_iter(), &self.objects);
        for drv in inputs.keys().filter(|p| p.is_derivation() && *p != root) {
            if lock().was_built(drv) && matches!(self.is_built(drv).await, Ok(false)) {
                let why = lock().failure(drv, None);
                return format!("the package `{}`, which it depends on, failed: {why}", package_name(drv));
            }
        }
        lock().failure(root, Some(message))
    }

    fn check(&self, job: Option<usize>, progress: &Progress) -> Option<Result<(), PackageError>> {
        let mut waits = false;
        for need in self.needs.whose(job) {
            if need.path.as_ref().is_some_and(|p| progress.valid.contains(p)) {
                continue;
            }
            let refusal = match progress.refused.get(need.needed.root()) {
                Some(refusal) => refusal.clone(),
                None if !progress.over => {
                    waits = true;
                    continue;
                }
                None if need.path.is_none() => Refusal {
                    message: "where it is in the store is known only once it is built (it is content-addressed), and a workflow cannot refer to such a package".into(),
                    infrastructure: false,
                },
                None => Refusal { message: "the daemon did not make it, and does not say why".into(), infrastructure: true },
            };
            return Some(Err(PackageError {
                step: need.step.clone(),
                package: need.package(),
                message: refusal.message,
                infrastructure: refusal.infrastructure,
            }));
        }
        (!waits).then_some(Ok(()))
    }
}

impl Packages for Daemon {
    fn prepare<'a>(&'a self, plan: &'a Plan, chosen: &'a [bool]) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async {
            let run = self.look(plan, chosen).await?;
            // A second run of the same object would find the first one's answers.
            let _ = self.run.set(Arc::new(run));
            Ok(())
        })
    }

    fn waits(&self, job: usize) -> bool {
        let Some(run) = self.run.get() else { return false };
        run.check(Some(job), &run.progress.borrow()).is_none()
    }

    fn start(&self, report: Report) {
        let Some(run) = self.run.get().filter(|run| !run.progress.borrow().over).cloned() else { return };
        let location = match &self.location {
            Ok(location) => location.clone(),
            // Without a place to ask, `prepare` has failed already.
            Err(_) => return,
        };
        let options = self.options.clone();
        *self.task() = Some(tokio::spawn(async move {
            let connection = Connection::open(&location).await;
            run.build(connection, options, report).await;
        }));
    }

    fn ready(&self, job: Option<usize>) -> BoxFuture<'_, Result<(), PackageError>> {
        Box::pin(async move {
            let Some(run) = self.run.get() else { return Ok(()) };
            let mut progress = run.progress.subscribe();
            loop {
                let answer = run.check(job, &progress.borrow_and_update());
                if let Some(answer) = answer {
                    return answer;
                }
                // The sender lives as long as `run`.
                if progress.changed().await.is_err() {
                    return Ok(());
                }
            }
        })
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let task = self.task().take();
            if let Some(task) = task {
                // With its connection closed the daemon stops the builds that only it asked for.
                task.abort();
                let _ = task.await;
            }
            if let Some(run) = self.run.get() {
                *run.holder.lock().await = None;
            }
        })
    }
}
