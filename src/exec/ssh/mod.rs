//! The ssh executor: jobs on other machines, over the machine's own `ssh`.

mod connection;
mod mux;
mod noise;
mod settings;
mod watch;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, OnceCell};

use self::connection::{Connection, Target};
use self::settings::{Mode, Settings};
use super::owner;
use super::remote::site::{Place, Site};
use super::remote::{host, limits};
use crate::engine::event::StepEnd;
use crate::engine::executor::{
    BoxFuture, Cancel, ExecError, Executor, JobSite, OutputSink, Saved, StepOutcome, StepSpec, Workspace,
    safe_file_name,
};
use crate::workflow::plan;

/// A host, or with [`Mode::Dedicated`] a connection of one job.
struct Member {
    connection: Arc<Connection>,
    site: Site,
    ready: OnceCell<()>,
    jobs: AtomicUsize,
    down: AtomicBool,
}

/// Runs jobs on other machines.
pub(super) struct Ssh {
    workspace: Workspace,
    settings: Settings,
    members: Mutex<Vec<Arc<Member>>>,
    /// Where each job runs.
    assigned: Mutex<HashMap<String, Arc<Member>>>,
    /// A job has ended, so that a host has room.
    freed: Notify,
    /// Why the last host of a pool was taken out.
    taken_out: Mutex<Option<String>>,
}

impl Ssh {
    /// An executor for a workspace.
    pub(super) fn new(workspace: Workspace) -> Result<Ssh, ExecError> {
        let settings = Settings::read(&workspace)?;
        Ok(Ssh {
            workspace,
            settings,
            members: Mutex::new(Vec::new()),
            assigned: Mutex::new(HashMap::new()),
            freed: Notify::new(),
            taken_out: Mutex::new(None),
        })
    }

    fn member(&self, target: &Target, part: &str) -> Result<Arc<Member>, ExecError> {
        let executor = format!("{}{part}", safe_file_name(&self.workspace.executor.name));
        let watchdog = watch::program(
            &self.settings.base,
            &owner::name(&self.workspace),
            &self.workspace.run,
            &safe_file_name(&self.workspace.executor.name),
            &executor,
            &owner::runs(&self.workspace),
        );
        let connection = Arc::new(Connection::new(target.clone(), &self.workspace.dir(), watchdog)?);
        let site = Site::new(Arc::clone(&connection) as _, self.workspace.clone(), self.settings.copies);
        let member = Arc::new(Member {
            connection,
            site,
            ready: OnceCell::new(),
            jobs: AtomicUsize::new(0),
            down: AtomicBool::new(false),
        });
        self.members.lock().unwrap_or_else(|e| e.into_inner()).push(Arc::clone(&member));
        Ok(member)
    }

    async fn connect(&self, member: &Member, cancel: &Cancel) -> Result<(), ExecError> {
        let ready = member.ready.get_or_try_init(|| async {
            let greeting = member.connection.connect(cancel).await?;
            // With a connection a job, only one of them may take the kept copy of the repository;
            // the rename decides which.
            let project = blake3::hash(self.workspace.project_dir.as_os_str().as_encoded_bytes());
            let cache = greeting.cache.join(&project.to_hex()[..32]);
            let place = Place { root: greeting.root, cache: Some(cache), reuses: true };
            member.site.prepare(place, greeting.probe, cancel).await
        });
        ready.await.map(|_| ())
    }

    /// A host for a job, ready.
    async fn assign(&self, job: &str, cancel: &Cancel) -> Result<Arc<Member>, ExecError> {
        match self.settings.mode {
            Mode::Shared => {
                let member = self.members()[0].clone();
                self.connect(&member, cancel).await?;
                Ok(member)
            }
            Mode::Dedicated => {
                let member = self.member(&self.settings.targets[0], &format!(".{}", safe_file_name(job)))?;
                self.connect(&member, cancel).await?;
                Ok(member)
            }
            Mode::Pool => self.pooled(cancel).await,
        }
    }

    /// The host with the most room; one that fails is taken out, and the job goes elsewhere.
    async fn pooled(&self, cancel: &Cancel) -> Result<Arc<Member>, ExecError> {
        loop {
            let members = self.members();
            let up: Vec<&Arc<Member>> = members.iter().filter(|m| !m.down.load(Ordering::Acquire)).collect();
            if up.is_empty() {
                let last = self.taken_out.lock().unwrap_or_else(|e| e.into_inner()).clone();
                let why = last.map_or(String::new(), |message| format!("; the last one: {message}"));
                return Err(ExecError::infrastructure(format!("no host of the pool can be used{why}")));
            }
            let capacity = self.settings.capacity;
            let taken = up
                .iter()
                .filter(|m| m.jobs.load(Ordering::Acquire) < capacity)
                .min_by_key(|m| m.jobs.load(Ordering::Acquire))
                .filter(|m| {
                    m.jobs.fetch_add(1, Ordering::AcqRel) < capacity || {
                        m.jobs.fetch_sub(1, Ordering::AcqRel);
                        false
                    }
                });
            let Some(member) = taken else {
                tokio::select! {
                    () = self.freed.notified() => continue,
                    () = cancel.cancelled() => return Err(host::cancelled()),
                }
            };
            match self.connect(member, cancel).await {
                Ok(()) => return Ok(Arc::clone(member)),
                Err(error) => {
                    member.jobs.fetch_sub(1, Ordering::AcqRel);
                    if cancel.is_cancelled() {
                        return Err(error);
                    }
                    self.take_out(member, error);
                }
            }
        }
    }

    /// No further job goes to this host.
    fn take_out(&self, member: &Member, error: ExecError) {
        member.down.store(true, Ordering::Release);
        *self.taken_out.lock().unwrap_or_else(|e| e.into_inner()) = Some(error.message);
        // Whoever waits for room may wait for nothing now.
        self.freed.notify_waiters();
    }

    fn members(&self) -> Vec<Arc<Member>> {
        self.members.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    fn of(&self, site: &JobSite) -> Result<Arc<Member>, ExecError> {
        let assigned = self.assigned.lock().unwrap_or_else(|e| e.into_inner());
        let missing = || ExecError::infrastructure(format!("job `{}` has no host", site.job));
        assigned.get(&*site.job).cloned().ok_or_else(missing)
    }

    async fn prepare_workspace(&self, cancel: &Cancel) -> Result<(), ExecError> {
        if self.settings.mode == Mode::Dedicated {
            return Ok(());
        }
        if self.members().is_empty() {
            for (index, target) in self.settings.targets.iter().enumerate() {
                self.member(target, &if index == 0 { String::new() } else { format!(".{index}") })?;
            }
        }
        if self.settings.mode == Mode::Shared {
            return self.connect(&self.members()[0].clone(), cancel).await;
        }
        Ok(())
    }

    async fn prepare_job(&self, job: &plan::Job, cancel: &Cancel) -> Result<JobSite, ExecError> {
        let earlier = self.assigned.lock().unwrap_or_else(|e| e.into_inner()).remove(&job.name);
        if let Some(earlier) = earlier {
            self.release(&earlier).await;
        }
        loop {
            let member = self.assign(&job.name, cancel).await?;
            let prepared = async {
                let site = member.site.prepare_job(&job.name, cancel).await?;
                member.site.import(job, cancel).await.map(|()| site)
            };
            match prepared.await {
                Ok(site) => {
                    let mut assigned = self.assigned.lock().unwrap_or_else(|e| e.into_inner());
                    assigned.insert(job.name.clone(), member);
                    return Ok(site);
                }
                Err(error) if self.settings.mode != Mode::Pool || cancel.is_cancelled() => {
                    self.release(&member).await;
                    return Err(error);
                }
                Err(error) => {
                    self.take_out(&member, error);
                    self.release(&member).await;
                }
            }
        }
    }

    async fn release(&self, member: &Arc<Member>) {
        match self.settings.mode {
            Mode::Shared => {}
            Mode::Dedicated => {
                self.members.lock().unwrap_or_else(|e| e.into_inner()).retain(|m| !Arc::ptr_eq(m, member));
                self.end(member).await.unwrap_or_default();
            }
            Mode::Pool => {
                member.jobs.fetch_sub(1, Ordering::AcqRel);
                self.freed.notify_one();
            }
        }
    }

    async fn run_step(
        &self,
        site: &JobSite,
        step: &StepSpec,
        sink: &dyn OutputSink,
        cancel: &Cancel,
    ) -> StepOutcome {
        match self.of(site) {
            Ok(member) => member.site.run_step(site, step, sink, cancel).await,
            Err(error) => StepEnd::Infrastructure { message: error.message },
        }
    }

    async fn finish_job(&self, site: &JobSite) -> Result<(), ExecError> {
        let member = self.of(site)?;
        self.assigned.lock().unwrap_or_else(|e| e.into_inner()).remove(&*site.job);
        let finished = member.site.finish_job(site).await;
        self.release(&member).await;
        finished
    }

    async fn end(&self, member: &Member) -> Result<(), ExecError> {
        if self.workspace.keep {
            member.connection.close(false).await;
            return Ok(());
        }
        let mut removed = member.site.remove().await;
        // A connection that was lost is made once more, so that nothing is left on the host.
        if (removed.is_err() || !member.ready.initialized()) && member.connection.revive().await {
            removed = member.site.remove().await;
        }
        member.connection.close(true).await;
        removed
    }

    async fn cleanup(&self) -> Result<(), ExecError> {
        let mut result = Ok(());
        for member in self.members() {
            let ended = self.end(&member).await;
            // A host that was taken out of the pool has been told of already.
            if !member.down.load(Ordering::Acquire) {
                result = result.and(ended);
            }
        }
        result
    }
}

impl Executor for Ssh {
    fn prepare_workspace<'a>(&'a self, cancel: &'a Cancel) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(self.prepare_workspace(cancel))
    }

    fn prepare_job<'a>(
        &'a self,
        job: &'a plan::Job,
        _attempt: u32,
        cancel: &'a Cancel,
    ) -> BoxFuture<'a, Result<JobSite, ExecError>> {
        Box::pin(self.prepare_job(job, cancel))
    }

    fn run_step<'a>(
        &'a self,
        site: &'a JobSite,
        step: &'a StepSpec,
        sink: &'a dyn OutputSink,
        cancel: &'a Cancel,
    ) -> BoxFuture<'a, StepOutcome> {
        Box::pin(self.run_step(site, step, sink, cancel))
    }

    fn limits_note(&self, _job: &str, limits: &plan::Resources) -> Option<String> {
        Some(limits::note(limits))
    }

    fn packages_note(&self, site: &JobSite) -> Option<String> {
        self.of(site).ok()?.site.take_note(&site.job)
    }

    fn takes_connections<'a>(
        &'a self,
        site: &'a JobSite,
        _container: Option<&'a str>,
        port: &'a str,
    ) -> BoxFuture<'a, Result<bool, ExecError>> {
        Box::pin(async move { self.of(site)?.site.listens(port).await })
    }

    fn read_control<'a>(
        &'a self,
        site: &'a JobSite,
        suffix: &'a str,
        limit: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, ExecError>> {
        Box::pin(async move { self.of(site)?.site.read_control(site, suffix, limit).await })
    }

    fn save<'a>(
        &'a self,
        site: &'a JobSite,
        pattern: &'a str,
        dest: &'a Path,
    ) -> BoxFuture<'a, Result<Saved, ExecError>> {
        Box::pin(async move { self.of(site)?.site.save(site, pattern, dest).await })
    }

    fn restore<'a>(
        &'a self,
        site: &'a JobSite,
        src: &'a Path,
        path: &'a str,
    ) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(async move { self.of(site)?.site.restore(site, src, path).await })
    }

    fn finish_job<'a>(&'a self, site: &'a JobSite) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(self.finish_job(site))
    }

    fn cleanup_workspace<'a>(&'a self) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(self.cleanup())
    }
}
