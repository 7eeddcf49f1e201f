//! Whether the executors of a plan can work here: each is made, entered, looked around in, and ended.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;

use crate::engine::event::{Name, Stream};
use crate::engine::executor::{
    Cancel, ExecError, Executor, ExecutorRegistry, JobSite, OutputSink, StepSpec, StopPolicy, Workspace,
};
use crate::engine::rundir::RunDir;
use crate::workflow::plan::{self, Plan};

/// Programs that are looked for, and what needs them.
const PROGRAMS: [(&str, &str); 4] = [
    ("bash", "steps written in bash"),
    ("tar", "artifacts and the copy of the repository"),
    ("git", "actions.checkout"),
    ("nix-store", "packages from the Nix store, unless they are mounted"),
];
/// How long looking around may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was found out about one executor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Jobs that use it.
    pub jobs: Vec<String>,
    /// Why it cannot work; `None`: it can.
    pub problem: Option<String>,
    /// Programs that are not there, each with what needs it.
    pub missing: BTreeMap<String, String>,
}

/// Looks at every executor of a plan. Runs of a few seconds each, below `cache_root`.
pub fn examine(
    plan: &Plan,
    cache_root: &Path,
    registry: &dyn ExecutorRegistry,
) -> std::io::Result<Vec<Report>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let dir = RunDir::create(cache_root)?;
    let mut reports: Vec<Report> = Vec::new();
    for job in &plan.jobs {
        if let Some(report) = reports.iter_mut().find(|report| report.name == job.executor.name) {
            report.jobs.push(job.name.clone());
            continue;
        }
        let found = runtime.block_on(look(plan, job, &dir, registry));
        let (problem, missing) = match found {
            Ok(missing) => (None, missing),
            Err(error) => (Some(error.message), BTreeMap::new()),
        };
        let (name, kind) = (job.executor.name.clone(), job.executor.kind.clone());
        reports.push(Report { name, kind, jobs: vec![job.name.clone()], problem, missing });
    }
    dir.remove()?;
    runtime.shutdown_background();
    Ok(reports)
}

/// Makes an executor, looks around in it, and ends it; the programs that are missing.
async fn look(
    plan: &Plan,
    job: &plan::Job,
    dir: &RunDir,
    registry: &dyn ExecutorRegistry,
) -> Result<BTreeMap<String, String>, ExecError> {
    let mut executor = job.executor.clone();
    executor.options.insert("copyRepo".into(), false.into());
    let executor = registry.create(Workspace {
        run: Name::from(dir.id()),
        project_dir: plan.project_dir.clone(),
        run_dir: dir.path().to_path_buf(),
        executor,
        keep: false,
        stop: StopPolicy::default(),
        deps: Vec::new(),
    })?;
    let cancel = Cancel::new();
    let found = inside(executor.as_ref(), job, &cancel).await;
    let ended = executor.cleanup_workspace().await;
    let found = found?;
    ended.map(|()| found)
}

async fn inside(
    executor: &dyn Executor,
    job: &plan::Job,
    cancel: &Cancel,
) -> Result<BTreeMap<String, String>, ExecError> {
    executor.prepare_workspace(cancel).await?;
    let site = executor.prepare_job(job, 1, cancel).await?;
    let missing = programs(executor, &site, cancel).await;
    executor.finish_job(&site).await?;
    missing
}

/// Keeps what is printed.
#[derive(Default)]
struct Printed(Mutex<Vec<u8>>);

impl OutputSink for Printed {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Stdout {
            self.0.lock().unwrap_or_else(|e| e.into_inner()).extend_from_slice(bytes);
        }
    }
}

async fn programs(
    executor: &dyn Executor,
    site: &JobSite,
    cancel: &Cancel,
) -> Result<BTreeMap<String, String>, ExecError> {
    let own = std::env::var_os("PATH").map(|path| vec![(OsString::from("PATH"), path)]);
    let env = site.machine.clone().or(own).unwrap_or_default();
    let names: Vec<&str> = PROGRAMS.iter().map(|(name, _)| *name).collect();
    let script = format!("for p in {}; do command -v $p >/dev/null 2>&1 || echo $p; done", names.join(" "));
    let step = StepSpec {
        label: "doctor".into(),
        argv: vec!["sh".into()],
        script: Some(script.as_str().into()),
        env: Arc::new(env),
        workdir: PathBuf::new(),
        timeout: Some(PATIENCE),
        limits: None,
    };
    let printed = Printed::default();
    let end = executor.run_step(site, &step, &printed, cancel).await;
    if !end.is_success() {
        return Err(ExecError::infrastructure(format!("a first command failed: {end}")));
    }
    let printed = printed.0.into_inner().unwrap_or_else(|e| e.into_inner());
    let printed = String::from_utf8_lossy(&printed).into_owned();
    let is_missing = |name: &str| printed.lines().any(|line| line == name);
    let missing = PROGRAMS.iter().filter(|(name, _)| is_missing(name));
    Ok(missing.map(|(name, why)| ((*name).to_owned(), (*why).to_owned())).collect())
}
