//! Executors that make the place they run jobs in: one for all jobs, or one for each.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::OnceCell;

use super::site::Site;
use crate::engine::event::StepEnd;
use crate::engine::executor::{
    BoxFuture, Cancel, ExecError, Executor, JobSite, OutputSink, Saved, ServiceSpec, StepOutcome, StepSpec,
    Workspace,
};
use crate::workflow::plan;

/// Makes places.
pub(in crate::exec) trait Maker: Send + Sync {
    /// Makes a place with a workspace in it; for one job, when each has its own.
    fn make<'a>(
        &'a self,
        workspace: &'a Workspace,
        job: Option<&'a plan::Job>,
        cancel: &'a Cancel,
    ) -> BoxFuture<'a, Result<Site, ExecError>>;

    /// Whether a job cannot share a place with others.
    fn wants_own(&self, _job: &plan::Job) -> bool {
        false
    }

    /// Runs a container beside a job that has a place of its own; `None`: it runs none.
    fn run_service<'a>(
        &'a self,
        _workspace: &'a Workspace,
        _site: &'a JobSite,
        _service: &'a ServiceSpec,
        _sink: &'a dyn OutputSink,
        _cancel: &'a Cancel,
    ) -> Option<BoxFuture<'a, StepOutcome>> {
        None
    }

    /// The name by which a job reaches the containers beside it, given a service's.
    fn service_host<'a>(&'a self, name: &'a str) -> &'a str {
        name
    }

    /// Ends what was made besides the places, and what a failed attempt at one left.
    fn finish<'a>(&'a self) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(async { Ok(()) })
    }
}

/// An executor of this sort.
pub(in crate::exec) struct Housed<M> {
    workspace: Workspace,
    maker: M,
    /// Each job has a place of its own.
    isolated: bool,
    shared: OnceCell<Arc<Site>>,
    own: Mutex<HashMap<String, Arc<Site>>>,
}

impl<M: Maker> Housed<M> {
    /// An executor whose places come from `maker`.
    pub(in crate::exec) fn new(workspace: Workspace, maker: M, isolated: bool) -> Housed<M> {
        Housed { workspace, maker, isolated, shared: OnceCell::new(), own: Mutex::new(HashMap::new()) }
    }

    fn of(&self, site: &JobSite) -> Result<Arc<Site>, ExecError> {
        let own = self.own.lock().unwrap_or_else(|e| e.into_inner()).get(&*site.job).cloned();
        let missing = || ExecError::infrastructure(format!("job `{}` has no place to run in", site.job));
        own.or_else(|| self.shared.get().cloned()).ok_or_else(missing)
    }

    fn take(&self, job: &str) -> Option<Arc<Site>> {
        self.own.lock().unwrap_or_else(|e| e.into_inner()).remove(job)
    }

    async fn shared(&self, cancel: &Cancel) -> Result<Arc<Site>, ExecError> {
        let site = self
            .shared
            .get_or_try_init(|| async { self.maker.make(&self.workspace, None, cancel).await.map(Arc::new) });
        site.await.cloned()
    }

    async fn prepare_job(&self, job: &plan::Job, cancel: &Cancel) -> Result<JobSite, ExecError> {
        if !self.isolated && !self.maker.wants_own(job) {
            return self.shared(cancel).await?.prepare_job(&job.name, cancel).await;
        }
        if let Some(earlier) = self.take(&job.name) {
            earlier.host.end().await?;
        }
        let site = Arc::new(self.maker.make(&self.workspace, Some(job), cancel).await?);
        self.own.lock().unwrap_or_else(|e| e.into_inner()).insert(job.name.clone(), Arc::clone(&site));
        site.prepare_job(&job.name, cancel).await
    }

    async fn run_step(
        &self,
        site: &JobSite,
        step: &StepSpec,
        sink: &dyn OutputSink,
        cancel: &Cancel,
    ) -> StepOutcome {
        match self.of(site) {
            Ok(place) => place.run_step(site, step, sink, cancel).await,
            Err(error) => StepEnd::Infrastructure { message: error.message },
        }
    }

    async fn run_service(
        &self,
        site: &JobSite,
        service: &ServiceSpec,
        sink: &dyn OutputSink,
        cancel: &Cancel,
    ) -> StepOutcome {
        let place = match self.of(site) {
            Ok(place) => place,
            Err(error) => return StepEnd::Infrastructure { message: error.message },
        };
        match self.maker.run_service(&self.workspace, site, service, sink, cancel) {
            Some(running) => running.await,
            None => StepEnd::Infrastructure {
                message: format!(
                    "{} runs no containers beside a job, and service `{}` is the image {}",
                    place.host.describe(),
                    service.name,
                    service.image
                ),
            },
        }
    }

    async fn finish_job(&self, site: &JobSite) -> Result<(), ExecError> {
        match self.take(&site.job) {
            Some(own) if !self.workspace.keep => own.host.end().await,
            Some(_) => Ok(()),
            None => self.of(site)?.finish_job(site).await,
        }
    }

    async fn cleanup(&self) -> Result<(), ExecError> {
        if self.workspace.keep {
            return Ok(());
        }
        let own: Vec<_> = self.own.lock().unwrap_or_else(|e| e.into_inner()).drain().collect();
        let mut result = Ok(());
        for (_, site) in own {
            result = result.and(site.host.end().await);
        }
        if let Some(shared) = self.shared.get() {
            result = result.and(shared.host.end().await);
        }
        result.and(self.maker.finish().await)
    }
}

impl<M: Maker> Executor for Housed<M> {
    fn prepare_workspace<'a>(&'a self, cancel: &'a Cancel) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(async move { if self.isolated { Ok(()) } else { self.shared(cancel).await.map(|_| ()) } })
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

    fn run_service<'a>(
        &'a self,
        site: &'a JobSite,
        service: &'a ServiceSpec,
        sink: &'a dyn OutputSink,
        cancel: &'a Cancel,
    ) -> BoxFuture<'a, StepOutcome> {
        Box::pin(self.run_service(site, service, sink, cancel))
    }

    fn limits_note(&self, job: &str, limits: &plan::Resources) -> Option<String> {
        let own = self.own.lock().unwrap_or_else(|e| e.into_inner()).get(job).cloned();
        Some(own.or_else(|| self.shared.get().cloned())?.limits_note(limits))
    }

    fn packages_note(&self, site: &JobSite) -> Option<String> {
        self.of(site).ok()?.take_note(&site.job)
    }

    fn takes_connections<'a>(
        &'a self,
        site: &'a JobSite,
        container: Option<&'a str>,
        port: &'a str,
    ) -> BoxFuture<'a, Result<bool, ExecError>> {
        Box::pin(async move {
            match container {
                Some(name) => self.of(site)?.reaches(self.maker.service_host(name), port).await,
                None => self.of(site)?.listens(port).await,
            }
        })
    }

    fn read_control<'a>(
        &'a self,
        site: &'a JobSite,
        suffix: &'a str,
        limit: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, ExecError>> {
        Box::pin(async move { self.of(site)?.read_control(site, suffix, limit).await })
    }

    fn save<'a>(
        &'a self,
        site: &'a JobSite,
        pattern: &'a str,
        dest: &'a Path,
    ) -> BoxFuture<'a, Result<Saved, ExecError>> {
        Box::pin(async move { self.of(site)?.save(site, pattern, dest).await })
    }

    fn restore<'a>(
        &'a self,
        site: &'a JobSite,
        src: &'a Path,
        path: &'a str,
    ) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(async move { self.of(site)?.restore(site, src, path).await })
    }

    fn finish_job<'a>(&'a self, site: &'a JobSite) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(self.finish_job(site))
    }

    fn cleanup_workspace<'a>(&'a self) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(self.cleanup())
    }
}
