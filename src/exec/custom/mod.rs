//! Executors of the user's own, made with `mkExecutor`: bash scripts that prepare a place, enter it,
//! and clean it up.

mod hooks;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use self::hooks::{Hooks, Variables};
use super::options::Options;
use super::remote::host::{self, Host, Session};
use super::remote::limits;
use super::remote::site::{Place, Site};
use crate::engine::event::StepEnd;
use crate::engine::executor::{
    BoxFuture, Cancel, ExecError, Executor, JobSite, OutputSink, Saved, StepOutcome, StepSpec, Workspace,
    safe_file_name,
};
use crate::workflow::plan;

/// A place that hooks made: the workspace, or one job's part of it.
struct Entrance {
    hooks: Arc<Hooks>,
    job: Option<String>,
    variables: Mutex<Variables>,
}

impl Entrance {
    async fn run(&self, name: &str, values: &[(&str, &str)], cancel: &Cancel) -> Result<(), ExecError> {
        let mut all: Vec<(&str, &str)> = values.to_vec();
        if let Some(job) = &self.job {
            all.push(("jobName", job));
        }
        let before = self.variables.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let after = self.hooks.run(name, &all, &before, cancel).await?;
        *self.variables.lock().unwrap_or_else(|e| e.into_inner()) = after;
        Ok(())
    }
}

impl Host for Entrance {
    fn describe(&self) -> String {
        format!("executor `{}`", self.hooks.executor)
    }

    fn open<'a>(&'a self, words: &'a [&'a str]) -> BoxFuture<'a, Result<Session, ExecError>> {
        Box::pin(async move {
            let variables = self.variables.lock().unwrap_or_else(|e| e.into_inner()).clone();
            let job = self.job.as_deref().unwrap_or_default();
            let command = self.hooks.enter(job, words, &variables)?;
            host::of_process(command, &self.describe())
        })
    }

    fn as_host(&self) -> &dyn Host {
        self
    }
}

/// A job's place and how to get there.
struct Entered {
    entrance: Arc<Entrance>,
    site: Site,
}

/// Runs jobs where the user's hooks say.
struct Custom {
    workspace: Workspace,
    hooks: Arc<Hooks>,
    copies: bool,
    base: PathBuf,
    whole: Arc<Entrance>,
    jobs: Mutex<Vec<(String, Arc<Entered>)>>,
}

/// An executor for a workspace.
pub(super) fn new(workspace: Workspace) -> Result<Arc<dyn Executor>, ExecError> {
    let options = Options::of(&workspace);
    let base = PathBuf::from(options.text("workspaceDir")?.unwrap_or("/tmp/nixactions"));
    if !base.is_absolute() {
        return Err(options.wrong("workspaceDir", "an absolute path"));
    }
    let hooks = Arc::new(Hooks::read(&options, &workspace)?);
    let whole =
        Arc::new(Entrance { hooks: Arc::clone(&hooks), job: None, variables: Mutex::new(Variables::new()) });
    let copies = options.flag("copyRepo", true)?;
    Ok(Arc::new(Custom { hooks, copies, base, whole, jobs: Mutex::new(Vec::new()), workspace }))
}

impl Custom {
    fn of(&self, job: &str) -> Result<Arc<Entered>, ExecError> {
        let jobs = self.jobs.lock().unwrap_or_else(|e| e.into_inner());
        let found = jobs.iter().find(|(name, _)| name == job).map(|(_, entered)| Arc::clone(entered));
        found.ok_or_else(|| ExecError::infrastructure(format!("job `{job}` has no place to run in")))
    }

    async fn prepare_job(&self, job: &str, cancel: &Cancel) -> Result<JobSite, ExecError> {
        let variables = self.whole.variables.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let entrance = Arc::new(Entrance {
            hooks: Arc::clone(&self.hooks),
            job: Some(job.to_owned()),
            variables: Mutex::new(variables),
        });
        entrance.run("setupJob", &[], cancel).await?;
        let site = Site::new(Arc::clone(&entrance) as Arc<dyn Host>, self.workspace.clone(), self.copies);
        let probe = site.probe(cancel).await?;
        // A hook may give each job a place of its own, so that nothing is shared between them.
        let root = self.base.join(format!("{}.{}", self.workspace.run, safe_file_name(job)));
        site.prepare(Place { root, cache: None, reuses: false }, probe, cancel).await?;
        let job_site = site.prepare_job(job, cancel).await?;
        let mut jobs = self.jobs.lock().unwrap_or_else(|e| e.into_inner());
        jobs.retain(|(name, _)| name != job);
        jobs.push((job.to_owned(), Arc::new(Entered { entrance, site })));
        Ok(job_site)
    }

    async fn finish_job(&self, job_site: &JobSite) -> Result<(), ExecError> {
        let entered = self.of(&job_site.job)?;
        self.jobs.lock().unwrap_or_else(|e| e.into_inner()).retain(|(name, _)| **name != *job_site.job);
        let mut result = entered.site.finish_job(job_site).await;
        if !self.workspace.keep {
            result = result.and(entered.site.remove().await);
        }
        result.and(entered.entrance.run("cleanupJob", &[], &Cancel::new()).await)
    }

    async fn save(&self, site: &JobSite, pattern: &str, dest: &Path) -> Result<Saved, ExecError> {
        let entered = self.of(&site.job)?;
        if !self.hooks.has("saveArtifact") {
            return entered.site.save(site, pattern, dest).await;
        }
        crate::engine::artifact::relative(pattern)?;
        let artifacts = hooks::ArtifactDir::around(dest)?;
        let dir = site.dir.to_string_lossy().into_owned();
        let values = [
            ("name", hooks::ARTIFACT),
            ("path", pattern),
            ("artifactsDir", artifacts.path()),
            ("jobDir", &dir),
        ];
        entered
            .entrance
            .run("saveArtifact", &values, &Cancel::new())
            .await
            .map_err(|e| ExecError::job(e.message))?;
        hooks::measure(dest)
    }

    async fn restore(&self, site: &JobSite, src: &Path, path: &str) -> Result<(), ExecError> {
        let entered = self.of(&site.job)?;
        if !self.hooks.has("restoreArtifact") {
            return entered.site.restore(site, src, path).await;
        }
        crate::engine::artifact::relative(path)?;
        let artifacts = hooks::ArtifactDir::around(src)?;
        let dir = site.dir.to_string_lossy().into_owned();
        let values =
            [("name", hooks::ARTIFACT), ("path", path), ("artifactsDir", artifacts.path()), ("jobDir", &dir)];
        entered.entrance.run("restoreArtifact", &values, &Cancel::new()).await
    }
}

impl Executor for Custom {
    fn prepare_workspace<'a>(&'a self, cancel: &'a Cancel) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(self.whole.run("setupWorkspace", &[], cancel))
    }

    fn prepare_job<'a>(
        &'a self,
        job: &'a plan::Job,
        _attempt: u32,
        cancel: &'a Cancel,
    ) -> BoxFuture<'a, Result<JobSite, ExecError>> {
        Box::pin(self.prepare_job(&job.name, cancel))
    }

    fn run_step<'a>(
        &'a self,
        site: &'a JobSite,
        step: &'a StepSpec,
        sink: &'a dyn OutputSink,
        cancel: &'a Cancel,
    ) -> BoxFuture<'a, StepOutcome> {
        Box::pin(async move {
            match self.of(&site.job) {
                Ok(entered) => entered.site.run_step(site, step, sink, cancel).await,
                Err(error) => StepEnd::Infrastructure { message: error.message },
            }
        })
    }

    fn limits_note(&self, _job: &str, limits: &plan::Resources) -> Option<String> {
        Some(limits::note(limits))
    }

    fn takes_connections<'a>(
        &'a self,
        site: &'a JobSite,
        _container: Option<&'a str>,
        port: &'a str,
    ) -> BoxFuture<'a, Result<bool, ExecError>> {
        Box::pin(async move { self.of(&site.job)?.site.listens(port).await })
    }

    fn read_control<'a>(
        &'a self,
        site: &'a JobSite,
        suffix: &'a str,
        limit: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, ExecError>> {
        Box::pin(async move { self.of(&site.job)?.site.read_control(site, suffix, limit).await })
    }

    fn save<'a>(
        &'a self,
        site: &'a JobSite,
        pattern: &'a str,
        dest: &'a Path,
    ) -> BoxFuture<'a, Result<Saved, ExecError>> {
        Box::pin(self.save(site, pattern, dest))
    }

    fn restore<'a>(
        &'a self,
        site: &'a JobSite,
        src: &'a Path,
        path: &'a str,
    ) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(self.restore(site, src, path))
    }

    fn finish_job<'a>(&'a self, site: &'a JobSite) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(self.finish_job(site))
    }

    fn cleanup_workspace<'a>(&'a self) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(async move {
            if self.workspace.keep {
                return Ok(());
            }
            self.whole.run("cleanupWorkspace", &[], &Cancel::new()).await
        })
    }
}
