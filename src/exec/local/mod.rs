//! The local executor: jobs as processes of this machine, each in a directory of its own.

mod copy;
mod group;
pub mod guard;
mod limits;
mod process;
pub(super) mod repository;
mod shell;
mod tree;
mod workspace;

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use self::copy::CopyError;
use self::group::{RunGroup, StepGroups};
use self::limits::Limits;
use self::repository::Listing;
use self::tree::{Belonging, Tree};
use self::workspace::Directories;
use crate::engine::artifact;
use crate::engine::event::StepEnd;
use crate::engine::executor::{
    BoxFuture, Cancel, ExecError, Executor, JobSite, OutputSink, Saved, StepOutcome, StepSpec, Workspace,
    safe_file_name,
};
use crate::workflow::plan;

pub use self::shell::open_shell;
pub use self::tree::{end_orphans, kill_run};

impl From<CopyError> for ExecError {
    fn from(error: CopyError) -> ExecError {
        ExecError::infrastructure(error.to_string())
    }
}

/// Removes a run's directory, whatever modes its parts have.
pub fn remove_run_dir(dir: &Path) -> Result<(), ExecError> {
    Ok(copy::remove_tree(dir)?)
}

/// Runs jobs on this machine.
pub struct Local {
    shared: Arc<Shared>,
    copies: bool,
    next_process: AtomicU64,
    /// By tag of the job: steps of which something may still run after their end.
    left: Mutex<HashMap<String, Vec<Belonging>>>,
    /// The run's control group, where it may be made, and those of the steps in it.
    group: Option<RunGroup>,
    steps: Option<Arc<StepGroups>>,
    /// By tag of the job: how its limits are enforced.
    limits: Mutex<HashMap<String, Arc<Limits>>>,
}

/// What work on other threads needs.
struct Shared {
    workspace: Workspace,
    directories: Directories,
    listing: OnceLock<Listing>,
}

impl Local {
    /// An executor for a workspace.
    pub fn new(workspace: Workspace) -> Result<Local, ExecError> {
        let copies = match workspace.executor.options.get("copyRepo") {
            None | Some(serde_json::Value::Null) => true,
            Some(serde_json::Value::Bool(copies)) => *copies,
            Some(other) => {
                let name = &workspace.executor.name;
                let message = format!("executor `{name}`: copyRepo is {other}, but must be true or false");
                return Err(ExecError::infrastructure(message));
            }
        };
        let group = RunGroup::of(&workspace.run, std::process::id()).and_then(RunGroup::create);
        let directories = Directories::new(workspace.dir(), workspace.project_dir.clone());
        Ok(Local {
            shared: Arc::new(Shared { workspace, directories, listing: OnceLock::new() }),
            copies,
            next_process: AtomicU64::new(0),
            left: Mutex::new(HashMap::new()),
            steps: group.as_ref().map(|group| StepGroups::below(group.path().to_path_buf())),
            group,
            limits: Mutex::new(HashMap::new()),
        })
    }

    /// The tag of a job's processes. No part holds a slash or a space.
    fn job_tag(&self, job: &str) -> String {
        let workspace = &self.shared.workspace;
        let executor = safe_file_name(&workspace.executor.name);
        format!("{}/{executor}/{}/", workspace.run, safe_file_name(job))
    }

    async fn prepare_job(&self, job: &str, cancel: &Cancel) -> Result<JobSite, ExecError> {
        let file_name = safe_file_name(job);
        let dir = self.shared.directories.create_job(&file_name)?;
        if self.copies {
            let target = dir.clone();
            blocking(&self.shared, cancel, move |shared, stop| {
                let listing = shared.listing.get().ok_or(CopyError::Cancelled)?;
                shared.directories.fill(&target, listing, stop)
            })
            .await?;
        }
        let artifacts = self.shared.workspace.run_dir.join("artifacts");
        Ok(JobSite {
            job: job.into(),
            dir,
            control: self.shared.directories.control().join(file_name),
            env: vec![("NIXACTIONS_ARTIFACTS_DIR".into(), artifacts.into_os_string())],
            machine: None,
        })
    }

    async fn run_step(
        &self,
        site: &JobSite,
        step: &StepSpec,
        sink: &dyn OutputSink,
        cancel: &Cancel,
    ) -> StepOutcome {
        if cancel.is_cancelled() {
            return StepEnd::Cancelled;
        }
        let number = self.next_process.fetch_add(1, Ordering::Relaxed);
        let Some((program, arguments)) = step.argv.split_first() else {
            return StepEnd::Infrastructure { message: format!("{} names no program to run", step.label) };
        };
        let mut arguments = arguments.to_vec();
        let script = match self.write_script(site, step, number) {
            Ok(script) => script,
            Err(message) => return StepEnd::Infrastructure { message },
        };
        arguments.extend(script.iter().map(|script| script.0.clone().into_os_string()));
        let job_tag = self.job_tag(&site.job);
        let limits = step.limits.as_ref().map(|wanted| self.limits(&job_tag, wanted));
        let wrapped = limits.as_ref().and_then(|limits| limits.wrap(program, &arguments));
        let (program, arguments) = match &wrapped {
            Some((program, arguments)) => (program, arguments),
            None => (program, &arguments),
        };
        let start = process::Start {
            program,
            arguments,
            cpus: limits.as_ref().and_then(|limits| limits.cpus()),
            environment: &step.env,
            tag: &format!("{job_tag}{number}/"),
            directory: &site.dir.join(&step.workdir),
            timeout: step.timeout,
            stop: self.shared.workspace.stop,
            groups: limits.as_ref().and_then(|limits| limits.steps()).or(self.steps.as_ref()),
        };
        let ended = process::run(start, sink, cancel).await;
        if let Some(step) = ended.left {
            self.left.lock().unwrap_or_else(|e| e.into_inner()).entry(job_tag).or_default().push(step);
        }
        match ended.stuck.as_slice() {
            [] => ended.end,
            stuck => StepEnd::Infrastructure { message: not_killed(stuck) },
        }
    }

    /// How the limits of a job are enforced; made once for all its processes.
    fn limits(&self, job_tag: &str, wanted: &plan::Resources) -> Arc<Limits> {
        let mut all = self.limits.lock().unwrap_or_else(|e| e.into_inner());
        let name = || job_tag.trim_end_matches('/').replace('/', "-");
        Arc::clone(
            all.entry(job_tag.to_owned())
                .or_insert_with(|| Arc::new(Limits::new(wanted, &name(), self.group.as_ref()))),
        )
    }

    /// The script goes into a file, never onto the command line, which everyone may read.
    fn write_script(
        &self,
        site: &JobSite,
        step: &StepSpec,
        number: u64,
    ) -> Result<Option<ScriptFile>, String> {
        let Some(text) = &step.script else { return Ok(None) };
        let path = site.control_file(&format!("{number}.sh"));
        let failed = |error: io::Error| CopyError::io("write", &path, error).to_string();
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let script = ScriptFile(path.clone());
        file.write_all(text.as_bytes()).map_err(failed)?;
        Ok(Some(script))
    }

    async fn finish_job(&self, site: &JobSite) -> Result<(), ExecError> {
        let tag = self.job_tag(&site.job);
        let left = self.left.lock().unwrap_or_else(|e| e.into_inner()).remove(&tag);
        if let Some(steps) = left {
            let tree = Tree::new(tag, steps);
            let stuck = tree.end(self.shared.workspace.stop.terminate).await;
            if !stuck.is_empty() {
                return Err(ExecError::infrastructure(not_killed(&stuck)));
            }
        }
        // Its control groups are empty now, and go.
        self.limits.lock().unwrap_or_else(|e| e.into_inner()).remove(&self.job_tag(&site.job));
        if self.shared.workspace.keep {
            return Ok(());
        }
        let file_name = safe_file_name(&site.job);
        // An empty directory is not worth another thread.
        if fs::remove_dir(&site.dir).is_ok() {
            return Ok(());
        }
        let cancel = Cancel::new();
        blocking(&self.shared, &cancel, move |shared, _| shared.directories.remove_job(&file_name)).await
    }
}

fn not_killed(pids: &[i32]) -> String {
    let pids: Vec<String> = pids.iter().map(i32::to_string).collect();
    format!("processes that cannot be killed are left running: {}", pids.join(", "))
}

/// A script's file, removed when its process has ended.
struct ScriptFile(PathBuf);

impl Drop for ScriptFile {
    fn drop(&mut self) {
        // What is left is removed with the workspace.
        let _left = fs::remove_file(&self.0);
    }
}

/// Does file work on another thread; a cancel sets the flag that the work looks at.
async fn blocking(
    shared: &Arc<Shared>,
    cancel: &Cancel,
    work: impl FnOnce(&Shared, &AtomicBool) -> Result<(), CopyError> + Send + 'static,
) -> Result<(), ExecError> {
    let shared = Arc::clone(shared);
    let stop = Arc::new(AtomicBool::new(cancel.is_cancelled()));
    let seen = Arc::clone(&stop);
    let mut task = tokio::task::spawn_blocking(move || work(&shared, &seen));
    let done = tokio::select! {
        done = &mut task => done,
        _ = cancel.cancelled() => {
            stop.store(true, Ordering::Relaxed);
            task.await
        }
    };
    match done {
        Ok(result) => Ok(result?),
        Err(error) => Err(ExecError::infrastructure(format!("work on files did not finish: {error}"))),
    }
}

fn read_limited(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ExecError> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ExecError::io("read", path, &error)),
    };
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| ExecError::io("read", path, &error))?;
    if bytes.len() as u64 > limit {
        let message = format!("{} is larger than {limit} bytes", path.display());
        return Err(ExecError::job(message));
    }
    Ok(Some(bytes))
}

impl Executor for Local {
    fn prepare_workspace<'a>(&'a self, cancel: &'a Cancel) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(async move {
            tree::become_subreaper().map_err(|error| {
                ExecError::infrastructure(format!("cannot adopt orphaned processes: {error}"))
            })?;
            self.shared.directories.create()?;
            if !self.copies {
                return Ok(());
            }
            blocking(&self.shared, cancel, |shared, _| {
                let listing = shared.directories.list(&shared.workspace.run_dir)?;
                shared.listing.get_or_init(|| listing);
                Ok(())
            })
            .await
        })
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
        Box::pin(self.run_step(site, step, sink, cancel))
    }

    fn read_control<'a>(
        &'a self,
        site: &'a JobSite,
        suffix: &'a str,
        limit: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, ExecError>> {
        Box::pin(async move { read_limited(&site.control_file(suffix), limit) })
    }

    fn save<'a>(
        &'a self,
        site: &'a JobSite,
        pattern: &'a str,
        dest: &'a Path,
    ) -> BoxFuture<'a, Result<Saved, ExecError>> {
        let (dir, pattern, dest) = (site.dir.clone(), pattern.to_owned(), dest.to_path_buf());
        Box::pin(async move {
            tokio::task::spawn_blocking(move || artifact::save(&dir, &pattern, &dest))
                .await
                .map_err(|error| ExecError::infrastructure(error.to_string()))?
        })
    }

    fn restore<'a>(
        &'a self,
        site: &'a JobSite,
        src: &'a Path,
        path: &'a str,
    ) -> BoxFuture<'a, Result<(), ExecError>> {
        let (dir, src, path) = (site.dir.clone(), src.to_path_buf(), path.to_owned());
        Box::pin(async move {
            tokio::task::spawn_blocking(move || artifact::restore(&dir, &src, &path))
                .await
                .map_err(|error| ExecError::infrastructure(error.to_string()))?
        })
    }

    fn limits_note(&self, job: &str, wanted: &plan::Resources) -> Option<String> {
        Some(self.limits(&self.job_tag(job), wanted).note())
    }

    fn finish_job<'a>(&'a self, site: &'a JobSite) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(self.finish_job(site))
    }

    fn cleanup_workspace<'a>(&'a self) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(async move {
            if self.shared.workspace.keep {
                return Ok(());
            }
            let cancel = Cancel::new();
            blocking(&self.shared, &cancel, |shared, _| shared.directories.remove()).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_files_are_limited() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        assert!(read_limited(&path, 4).unwrap().is_none());
        fs::write(&path, "1234").unwrap();
        assert_eq!(read_limited(&path, 4).unwrap().unwrap(), b"1234");
        assert!(read_limited(&path, 3).unwrap_err().job_fault);
    }

    #[test]
    fn options_are_typed() {
        let mut workspace = Workspace {
            run: "r".into(),
            project_dir: "/".into(),
            run_dir: "/nonexistent".into(),
            executor: plan::Executor {
                kind: "local".into(),
                name: "local".into(),
                options: Default::default(),
            },
            keep: false,
            stop: Default::default(),
            deps: Vec::new(),
        };
        assert!(Local::new(workspace.clone()).is_ok_and(|local| local.copies));
        workspace.executor.options.insert("copyRepo".into(), "yes".into());
        assert!(Local::new(workspace).is_err_and(|error| error.message.contains("copyRepo")));
    }
}
