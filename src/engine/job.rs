//! One job from its condition to its artifacts.

use std::ffi::OsString;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::condition::{Verdict, decide};
use super::driver::{Shared, Slot};
use super::event::{EventKind, Failure, JobResult, Level, LogText, Name, Scope, SkipReason, StepEnd, Stream};
use super::executor::{Cancel, ExecError, JobSite};
use super::machine::{JobEnd, JobId};
use super::mask::LineMasker;
use super::provider::{ProviderError, Providers};
use super::service::Services;
use super::step::Steps;
use super::{cache, host, packages, retry, rundir, unchanged};
use crate::workflow::plan::{ArtifactOutput, Env, Job};

/// How one attempt at a job ended.
pub(super) enum Attempt {
    Success,
    Failed(Failure),
    Cancelled,
}

impl Attempt {
    fn outcome(&self) -> JobResult {
        match self {
            Attempt::Success => JobResult::Success,
            Attempt::Failed(_) => JobResult::Failure,
            Attempt::Cancelled => JobResult::Cancelled,
        }
    }
}

/// Runs a job; reports everything, its end included.
pub(super) async fn run(shared: &Shared, id: JobId, cancel: &Cancel) -> (JobEnd, Option<JobResult>) {
    let job = &shared.plan.jobs[id];
    let run = JobRun { shared, job, id, name: Name::from(job.name.as_str()), cancel };
    let started = Instant::now();
    if let Err(error) = run.provide_calls().await {
        let ended = match error {
            ProviderError::Cancelled => Attempt::Cancelled,
            ProviderError::Failed(message) => Attempt::Failed(Failure::Provider { message }),
        };
        return run.finish(ended, started);
    }
    if let Verdict::Ask(script) = decide(&job.condition, ALL_WELL) {
        match run.condition(script).await {
            Ok(None) => {}
            Ok(Some(reason)) => {
                shared.reporter.emit(EventKind::JobSkipped { job: run.name.clone(), reason });
                return (JobEnd::Skipped, Some(JobResult::Skipped));
            }
            Err(()) => return run.finish(Attempt::Cancelled, started),
        }
    }
    // The jobs of the workflow that it uses begin now.
    if job.call.is_some() {
        return (JobEnd::Success, None);
    }
    let mut attempt = 1;
    loop {
        let ended = run.within_budget(attempt).await;
        let rule = job.retry.as_ref();
        let (Attempt::Failed(failure), Some(rule)) = (&ended, rule) else {
            return run.finish(ended, started);
        };
        if cancel.is_cancelled() || !retry::wants_another(Some(rule), attempt, &end_of(failure)) {
            return run.finish(ended, started);
        }
        let delay = retry::delay(rule, attempt, retry::random());
        let delay_ms = delay.as_millis() as u64;
        shared.reporter.emit(EventKind::JobRetry { job: run.name.clone(), attempt, delay_ms });
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = cancel.cancelled() => return run.finish(ended, started),
        }
        attempt += 1;
    }
}

/// The scheduler has looked at the status functions already; only a script is still to be asked.
const ALL_WELL: super::condition::Status =
    super::condition::Status { success: true, failure: false, cancelled: false };

fn end_of(failure: &Failure) -> StepEnd {
    match failure {
        Failure::Step { end, .. } => end.clone(),
        Failure::Budget => StepEnd::Timeout,
        _ => StepEnd::Exit { code: 1 },
    }
}

/// A job while it runs.
pub(super) struct JobRun<'a> {
    pub(super) shared: &'a Shared,
    pub(super) job: &'a Job,
    pub(super) id: JobId,
    pub(super) name: Name,
    pub(super) cancel: &'a Cancel,
}

impl JobRun<'_> {
    pub(super) fn pure(&self) -> bool {
        self.job.pure || self.shared.options.pure
    }

    pub(super) fn providers<'b>(&'b self, cancel: &'b Cancel) -> Providers<'b> {
        Providers {
            reporter: &self.shared.reporter,
            outside: &self.shared.options.outside,
            project: &self.shared.plan.project_dir,
            pure: self.pure(),
            cancel,
        }
    }

    fn finish(&self, ended: Attempt, started: Instant) -> (JobEnd, Option<JobResult>) {
        let outcome = ended.outcome();
        let tolerated = outcome == JobResult::Failure && self.job.continue_on_error;
        let result = if tolerated { JobResult::Success } else { outcome };
        let (end, failure) = match ended {
            Attempt::Success => (JobEnd::Success, None),
            Attempt::Cancelled => (JobEnd::Cancelled, None),
            Attempt::Failed(failure) => {
                let infrastructure = matches!(
                    failure,
                    Failure::Infrastructure { .. }
                        | Failure::Package { infrastructure: true, .. }
                        | Failure::Step { end: StepEnd::Infrastructure { .. }, .. }
                );
                (JobEnd::Failure { infrastructure }, Some(failure))
            }
        };
        self.shared.reporter.emit(EventKind::JobFinished {
            job: self.name.clone(),
            result,
            outcome,
            duration_us: started.elapsed().as_micros() as u64,
            failure,
            results: self.shared.masked_values(self.id),
        });
        (end, Some(result))
    }

    /// Runs the providers of the calls that this job is in, outermost first, once for all their jobs.
    async fn provide_calls(&self) -> Result<(), ProviderError> {
        let mut around: Vec<_> = self.shared.calls_around(self.job).collect();
        around.reverse();
        for (id, call) in around.into_iter().filter(|(_, call)| !call.env_from.is_empty()) {
            let provided = self.shared.call_provided[id].get_or_init(|| async {
                let job = &self.shared.plan.jobs[id];
                let scope = Scope::Job { job: job.name.as_str().into() };
                let layers = self.shared.layers_around(job);
                self.providers(&self.shared.cancel).run(&call.env_from, &layers, &scope).await
            });
            if let Err(error) = provided.await {
                return Err(error.clone());
            }
        }
        Ok(())
    }

    /// Asks the condition's script; why the job is skipped, or `Err` when it was cancelled meanwhile.
    async fn condition(&self, script: &str) -> Result<Option<SkipReason>, ()> {
        let mut layers = self.shared.layers_around(self.job);
        layers.push(&self.job.env);
        let outside = &self.shared.options.outside;
        let mut vars = outside.compose(self.pure(), &layers);
        outside.override_in(&mut vars);
        super::environment::prefix_path(&mut vars, &[]);
        let argv: Vec<OsString> = ["bash", "-c", script].map(OsString::from).to_vec();
        let masked = |text: &str| self.shared.reporter.mask(text).into_owned();
        let reason = match host::run(&argv, &vars, &self.shared.plan.project_dir, self.cancel).await {
            Ok(done) => {
                self.log(Stream::Stdout, &done.stdout);
                self.log(Stream::Stderr, &done.stderr);
                match exit_code(done.status) {
                    0 => return Ok(None),
                    exit_code => SkipReason::Script { script: masked(script), exit_code },
                }
            }
            Err(host::HostError::Cancelled) => return Err(()),
            Err(error) => {
                SkipReason::ScriptError { script: masked(script), error: masked(&error.to_string()) }
            }
        };
        Ok(Some(reason))
    }

    fn log(&self, stream: Stream, bytes: &[u8]) {
        let reporter = &self.shared.reporter;
        let mut emit = |text, partial| {
            let (job, text) = (self.name.clone(), LogText(text));
            reporter.emit(EventKind::Log { job, step: None, stream, text, partial });
        };
        let (mut lines, masker) = (LineMasker::default(), reporter.masker());
        lines.push(&masker, bytes, &mut emit);
        lines.finish(&masker, &mut emit);
    }

    /// One attempt, ended when the job's budget is used up.
    async fn within_budget(&self, attempt: u32) -> Attempt {
        let Some(budget) = self.job.budget else { return self.attempt(attempt, self.cancel).await };
        let cancel = self.cancel.child();
        let work = self.attempt(attempt, &cancel);
        tokio::pin!(work);
        tokio::select! {
            ended = &mut work => return ended,
            () = tokio::time::sleep(budget) => cancel.cancel(),
        }
        match work.await {
            Attempt::Cancelled if !self.cancel.is_cancelled() => Attempt::Failed(Failure::Budget),
            ended => ended,
        }
    }

    async fn attempt(&self, attempt: u32, cancel: &Cancel) -> Attempt {
        let id = self.shared.names.get(&self.job.name).copied();
        match packages::wait(self.shared.options.packages.as_ref(), id, cancel).await {
            Some(Ok(())) => {}
            None => return Attempt::Cancelled,
            Some(Err(error)) => {
                self.started(attempt, None);
                return Attempt::Failed(packages::failure(error, &self.shared.reporter.masker()));
            }
        }
        let provided = match self.provide(cancel).await {
            Ok(env) => env,
            Err(ProviderError::Cancelled) => return Attempt::Cancelled,
            Err(ProviderError::Failed(message)) => return Attempt::Failed(Failure::Provider { message }),
        };
        let state = unchanged::state(self, &provided).await;
        if let Some(state) = &state
            && unchanged::reuse(self, state).await
        {
            return Attempt::Success;
        }
        let Some(slot) = self.shared.slots.get(&self.job.executor.name) else {
            return infrastructure("the job's executor was never made".to_owned());
        };
        let site = match self.site(slot, attempt, cancel).await {
            Ok(site) => site,
            Err(_) if cancel.is_cancelled() => return Attempt::Cancelled,
            Err(error) => {
                self.started(attempt, None);
                return infrastructure(self.shared.reporter.mask(&error.message).into_owned());
            }
        };
        self.started(attempt, Some(&site));
        if !self.job.idempotent {
            // Should the machine go down from here on, the job must not be begun again.
            self.shared.reporter.on_disk().await;
        }
        let ended = self.inside(slot, &site, &provided, cancel).await;
        if let (Some(state), Attempt::Success) = (state, &ended) {
            unchanged::keep(self, state).await;
        }
        if let Err(error) = slot.executor.finish_job(&site).await {
            let message = format!("after the job: {error}");
            self.shared.reporter.notice(Level::Warning, Some(&self.name), &message);
        }
        ended
    }

    fn started(&self, attempt: u32, site: Option<&JobSite>) {
        let (job, dir) = (self.name.clone(), site.map(|site| site.dir.clone()));
        self.shared.reporter.emit(EventKind::JobStarted { job, attempt, dir });
    }

    async fn provide(&self, cancel: &Cancel) -> Result<Env, ProviderError> {
        if self.job.env_from.is_empty() {
            return Ok(Env::new());
        }
        let scope = Scope::Job { job: self.name.clone() };
        let layers = self.shared.layers_around(self.job);
        self.providers(cancel).run(&self.job.env_from, &layers, &scope).await
    }

    /// The workspace, once for all jobs of the executor, and the job's directory.
    async fn site(&self, slot: &Slot, attempt: u32, cancel: &Cancel) -> Result<JobSite, ExecError> {
        let ready = slot.ready.get_or_try_init(|| async {
            slot.begun.store(true, Ordering::Release);
            match slot.executor.prepare_workspace(cancel).await {
                // Another job, one that runs although the run is cancelled, may try again.
                Err(error) if cancel.is_cancelled() => Err(error),
                other => Ok(other.map_err(|error| error.message)),
            }
        });
        ready.await?.clone().map_err(ExecError::infrastructure)?;
        slot.executor.prepare_job(self.job, attempt, cancel).await
    }

    async fn inside(&self, slot: &Slot, site: &JobSite, provided: &Env, cancel: &Cancel) -> Attempt {
        for input in &self.job.inputs {
            if let Err(failure) = self.restore(slot, site, &input.name, &input.path).await {
                return Attempt::Failed(failure);
            }
        }
        let executor = slot.executor.as_ref();
        if let Some(note) = executor.packages_note(site) {
            self.shared.reporter.notice(Level::Info, Some(&self.name), &note);
        }
        if let Some(note) =
            self.job.resources.as_ref().and_then(|limits| executor.limits_note(&self.name, limits))
        {
            self.shared.reporter.notice(Level::Info, Some(&self.name), &note);
        }
        let hits = cache::restore(self, executor, site).await;
        let steps = Steps::new(self, executor, site, provided, cancel, &hits);
        let (mut ended, outputs) = if self.job.services.is_empty() {
            steps.run().await
        } else {
            match Services::start(self, executor, site, &steps.job_vars(), cancel).await {
                Ok(mut services) => {
                    let ended = services.beside.during(steps.run()).await;
                    services.stop().await;
                    ended
                }
                Err(Some(failure)) => (Attempt::Failed(failure), Default::default()),
                Err(None) => (Attempt::Cancelled, Default::default()),
            }
        };
        if matches!(ended, Attempt::Success)
            && let Err(failure) = self.hand_on(&outputs)
        {
            ended = Attempt::Failed(failure);
        }
        if matches!(ended, Attempt::Success) {
            cache::save(self, executor, site, &hits).await;
        }
        for output in &self.job.outputs {
            let success = matches!(ended, Attempt::Success);
            if !success && !output.always {
                continue;
            }
            match self.save(slot, site, output).await {
                Ok(()) => {}
                Err(failure) if success => ended = Attempt::Failed(failure),
                // The job has failed for a better reason; this one is only told.
                Err(failure) => {
                    let message = match failure {
                        Failure::Artifact { message, .. } | Failure::Infrastructure { message } => message,
                        _ => continue,
                    };
                    self.shared.reporter.notice(Level::Warning, Some(&self.name), &message);
                }
            }
        }
        ended
    }

    async fn restore(&self, slot: &Slot, site: &JobSite, artifact: &str, path: &str) -> Result<(), Failure> {
        let src = self.shared.artifacts.join(rundir_name(artifact));
        if !src.is_dir() {
            let producer = self.producer(artifact);
            let message = format!("artifact `{artifact}` does not exist: {producer}");
            return Err(Failure::Artifact { artifact: artifact.into(), message });
        }
        slot.executor.restore(site, &src, path).await.map_err(|e| self.failure(artifact, "restore", &e))?;
        self.shared.reporter.emit(EventKind::ArtifactRestored {
            job: self.name.clone(),
            artifact: artifact.into(),
            path: path.to_owned(),
        });
        Ok(())
    }

    fn producer(&self, artifact: &str) -> String {
        let gives = |job: &&Job| job.outputs.iter().any(|output| output.name == artifact);
        let Some(producer) = self.shared.plan.jobs.iter().find(gives) else {
            return "no job gives it".to_owned();
        };
        let id = self.shared.names.get(&producer.name);
        match id.and_then(|&id| self.shared.results[id].get()) {
            Some(result) => format!("job `{}` gives it, which ended with {result}", producer.name),
            None => {
                format!("job `{}` gives it, which has not ended (is it missing in `needs`?)", producer.name)
            }
        }
    }

    async fn save(&self, slot: &Slot, site: &JobSite, output: &ArtifactOutput) -> Result<(), Failure> {
        let name = &output.name;
        let dest = self.shared.artifacts.join(rundir_name(name));
        let part = self.shared.artifacts.join(format!(".{}.part", rundir_name(name)));
        let io = |doing: &str, e| self.failure(name, "save", &ExecError::io(doing, &part, &e));
        rundir::remove_tree(&part).map_err(|e| io("remove", e))?;
        rundir::create_private(&part).map_err(|e| io("create", e))?;
        let saved = match slot.executor.save(site, &output.path, &part).await {
            Ok(saved) => saved,
            Err(error) => {
                // What was half copied is worth nothing; the error above it is the one to tell.
                let _ = rundir::remove_tree(&part);
                return Err(self.failure(name, "save", &error));
            }
        };
        // A whole artifact takes its place at once; an earlier attempt's makes room for it.
        rundir::remove_tree(&dest).map_err(|e| io("replace", e))?;
        std::fs::rename(&part, &dest).map_err(|e| io("rename", e))?;
        self.shared.reporter.emit(EventKind::ArtifactSaved {
            job: self.name.clone(),
            artifact: name.as_str().into(),
            files: saved.files,
            bytes: saved.bytes,
        });
        Ok(())
    }

    fn failure(&self, artifact: &str, doing: &str, error: &ExecError) -> Failure {
        let message = format!("cannot {doing} artifact `{artifact}`: {error}");
        let message = self.shared.reporter.mask(&message).into_owned();
        if error.job_fault {
            Failure::Artifact { artifact: artifact.into(), message }
        } else {
            Failure::Infrastructure { message }
        }
    }
}

fn rundir_name(artifact: &str) -> String {
    super::executor::safe_file_name(artifact)
}

fn infrastructure(message: String) -> Attempt {
    Attempt::Failed(Failure::Infrastructure { message })
}

fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
