//! The steps of a job, one after the other.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::attend::Scene;
use super::beside::Beside;
use super::condition::{Status, Verdict, decide, status_text};
use super::dotenv::{self, Dialect};
use super::environment::{Outside, Vars, prefix_path, variable_part};
use super::event::{
    Decider, EventKind, Failure, JobResult, Level, Name, Scope, SkipReason, StepEnd, StepRef,
};
use super::executor::{Cancel, Executor, JobSite, StepSpec};
use super::job::{Attempt, JobRun};
use super::provider::ProviderError;
use super::reporter::{Capture, StepLog};
use super::results::{self, Values};
use super::retry;
use crate::workflow::plan::{Env, Step};

/// Largest `$JOB_ENV` and largest step summary.
const CONTROL_LIMIT: u64 = 1024 * 1024;

/// Sources `$JOB_ENV` and prints what came of it; what the file itself prints goes to the log.
const SOURCE: &str = "exec 3>&1 1>&2; set -a; . \"$JOB_ENV\" || exit; set +a; exec env -0 >&3";

/// The steps of one attempt at a job.
pub(super) struct Steps<'a> {
    run: &'a JobRun<'a>,
    executor: &'a dyn Executor,
    site: &'a JobSite,
    runner: Runner<'a>,
    /// Background steps, and how each has ended.
    background: Beside<'a, Ended<'a>>,
    /// Ends them when the job ends.
    stop: Cancel,
    provided: &'a Env,
    cancel: &'a Cancel,
    /// For what runs although the job is being stopped: only a kill reaches it.
    after: Cancel,
    runner_vars: Vec<(OsString, OsString)>,
    /// The environment from outside, where the job runs on another machine.
    elsewhere: Option<Outside>,
    failed: Option<Failure>,
    failed_step: Option<Name>,
    interrupted: bool,
    /// What the steps wrote into `$NIXACTIONS_OUTPUT`, by their identifiers.
    outputs: BTreeMap<String, Values>,
}

/// What runs the scripts of a job's steps.
#[derive(Clone, Copy)]
struct Runner<'a> {
    run: &'a JobRun<'a>,
    executor: &'a dyn Executor,
    site: &'a JobSite,
}

/// A background step that has ended.
struct Ended<'a> {
    step: &'a Step,
    reference: StepRef,
    end: StepEnd,
    attempts: u32,
    started: Instant,
}

impl Runner<'_> {
    fn emit(self, kind: EventKind) {
        self.run.shared.reporter.emit(kind);
    }

    fn masked(self, text: &str) -> String {
        self.run.shared.reporter.mask(text).into_owned()
    }

    /// All attempts at a step's script: how the last one ended, and how many there were.
    async fn attempts(
        self,
        step: &Step,
        reference: &StepRef,
        env: Arc<Vec<(OsString, OsString)>>,
        token: &Cancel,
    ) -> (StepEnd, u32) {
        let mut spec = StepSpec {
            label: step.name.clone(),
            argv: step.shell.iter().map(OsString::from).collect(),
            script: Some(step.script.as_str().into()),
            env,
            workdir: PathBuf::from(step.workdir.as_deref().unwrap_or("")),
            timeout: step.timeout,
            limits: self.run.job.resources.clone(),
        };
        let max_attempts = step.retry.as_ref().map_or(1, |rule| rule.max_attempts.max(1));
        let mut attempt = 1;
        loop {
            let (job, step_ref) = (self.run.name.clone(), reference.clone());
            self.emit(EventKind::StepStarted { job, step: step_ref, attempt, max_attempts });
            if attempt > 1 {
                let mut vars: Vars = spec.env.iter().cloned().collect();
                self.control_vars(reference, attempt, &mut vars);
                spec.env = Arc::new(vars.into_iter().collect());
            }
            if let Some(end) = self.attend(&spec, reference, None).await {
                return (end, attempt);
            }
            let log = StepLog::new(&self.run.shared.reporter, &self.run.name, Some(reference));
            let end = self.executor.run_step(self.site, &spec, &log, token).await;
            log.finish();
            let end = self.mask_end(end);
            let rule = step.retry.as_ref().filter(|_| !token.is_cancelled());
            let Some(rule) = rule.filter(|rule| retry::wants_another(Some(rule), attempt, &end)) else {
                if !end.is_success() && !token.is_cancelled() {
                    self.attend(&spec, reference, Some(end.clone())).await;
                }
                return (end, attempt);
            };
            let delay = retry::delay(rule, attempt, retry::random());
            self.emit(EventKind::StepRetry {
                job: self.run.name.clone(),
                step: reference.clone(),
                attempt,
                max_attempts,
                end,
                delay_ms: delay.as_millis() as u64,
            });
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = token.cancelled() => return (StepEnd::Cancelled, attempt),
            }
            attempt += 1;
        }
    }

    /// Opens a shell where the step runs, when someone wants to look: instead of it, or after its
    /// failure. Gives how the shell ended.
    async fn attend(self, spec: &StepSpec, reference: &StepRef, end: Option<StepEnd>) -> Option<StepEnd> {
        let attendant = self.run.shared.options.attendant.as_ref()?;
        if attendant.instead == end.is_some() {
            return None;
        }
        let reporter = &self.run.shared.reporter;
        if self.run.job.executor.kind != "local" {
            let message = "a shell can only be opened in jobs of the local executor";
            reporter.notice(Level::Warning, Some(&self.run.name), message);
            return attendant.instead.then(|| StepEnd::Infrastructure { message: message.to_owned() });
        }
        let scene = Scene {
            job: self.run.name.clone(),
            step: reference.name.clone(),
            dir: self.site.dir.join(&spec.workdir),
            env: Arc::clone(&spec.env),
            end,
        };
        Some(match attendant.open(scene).await {
            Ok(code) => StepEnd::Exit { code },
            Err(error) => {
                let message = format!("cannot open a shell: {error}");
                reporter.notice(Level::Error, Some(&self.run.name), &message);
                StepEnd::Infrastructure { message }
            }
        })
    }

    fn mask_end(self, end: StepEnd) -> StepEnd {
        match end {
            StepEnd::Setup { message } => StepEnd::Setup { message: self.masked(&message) },
            StepEnd::Infrastructure { message } => StepEnd::Infrastructure { message: self.masked(&message) },
            other => other,
        }
    }

    /// The files of one attempt, so that a failed one leaves nothing in the next one's.
    fn control_vars(self, reference: &StepRef, attempt: u32, vars: &mut Vars) {
        let file =
            |kind: &str| self.site.control_file(&control_name(reference, attempt, kind)).into_os_string();
        vars.insert("NIXACTIONS_OUTPUT".into(), file("output"));
        vars.insert("NIXACTIONS_STEP_SUMMARY".into(), file("summary"));
    }
}

/// What a step changes in its environment over what the layers say: `None` unsets.
type Overlay = Vec<(OsString, Option<OsString>)>;

/// Why a step's process was not even started.
enum Setup {
    Failed(StepEnd),
    Cancelled,
}

impl<'a> Steps<'a> {
    pub(super) fn new(
        run: &'a JobRun<'a>,
        executor: &'a dyn Executor,
        site: &'a JobSite,
        provided: &'a Env,
        cancel: &'a Cancel,
        hits: &[bool],
    ) -> Steps<'a> {
        let mut steps = Steps {
            run,
            executor,
            site,
            runner: Runner { run, executor, site },
            background: Beside::default(),
            stop: cancel.child(),
            provided,
            cancel,
            after: cancel.child_hard_only(),
            runner_vars: Vec::new(),
            elsewhere: site.machine.as_ref().map(|machine| run.shared.options.outside.elsewhere(machine)),
            failed: None,
            failed_step: None,
            interrupted: false,
            outputs: BTreeMap::new(),
        };
        steps.runner_vars = steps.runner_vars();
        if !hits.is_empty() {
            let all = hits.iter().all(|hit| *hit);
            steps.runner_vars.push(("NIXACTIONS_CACHE_HIT".into(), all.to_string().into()));
        }
        steps
    }

    /// Runs them all; each decides by its condition whether it runs.
    pub(super) async fn run(mut self) -> (Attempt, BTreeMap<String, Values>) {
        for (index, step) in self.run.job.steps.iter().enumerate() {
            let reference = StepRef { index: index as u32, name: Name::from(step.name.as_str()) };
            let mut background = std::mem::take(&mut self.background);
            background.during(self.step(step, &reference)).await;
            self.background.append(&mut background);
            self.take_ended(false).await;
        }
        self.stop.cancel();
        self.background.finish().await;
        self.take_ended(true).await;
        let ended = match self.failed {
            Some(failure) => Attempt::Failed(failure),
            None if self.interrupted => Attempt::Cancelled,
            None => Attempt::Success,
        };
        (ended, self.outputs)
    }

    /// Counts the background steps that have ended; `stopped`: because the job has.
    async fn take_ended(&mut self, stopped: bool) {
        for ended in self.background.take_done() {
            let Ended { step, reference, end, attempts, started } = ended;
            let end = self.after(step, &reference, end, attempts).await;
            if stopped && end == StepEnd::Cancelled && !self.cancel.is_cancelled() {
                self.emit(EventKind::StepFinished {
                    job: self.run.name.clone(),
                    step: reference,
                    result: JobResult::Success,
                    end,
                    attempts,
                    duration_us: started.elapsed().as_micros() as u64,
                });
            } else {
                self.finish(step, &reference, end, attempts, started);
            }
        }
    }

    fn emit(&self, kind: EventKind) {
        self.runner.emit(kind);
    }

    fn outside(&self) -> &Outside {
        self.elsewhere.as_ref().unwrap_or(&self.run.shared.options.outside)
    }

    fn masked(&self, text: &str) -> String {
        self.runner.masked(text)
    }

    /// The environment of what runs beside the steps.
    pub(super) fn job_vars(&self) -> Vars {
        let shared = self.run.shared;
        let mut layers = shared.layers_around(self.run.job);
        layers.extend([self.provided, &self.run.job.env]);
        let mut vars = shared.options.outside.compose(self.run.pure(), &layers);
        prefix_path(&mut vars, &[]);
        shared.options.outside.override_in(&mut vars);
        vars.extend(self.runner_vars.iter().cloned());
        vars.entry("CI".into()).or_insert_with(|| "true".into());
        vars
    }

    /// The token for a process that starts now.
    fn token(&self) -> &Cancel {
        if self.cancel.is_cancelled() { &self.after } else { self.cancel }
    }

    async fn step(&mut self, step: &'a Step, reference: &StepRef) {
        let stopping = self.cancel.is_cancelled();
        let failed = self.failed.is_some();
        let status = Status {
            success: !failed && !stopping,
            failure: failed,
            cancelled: stopping || self.run.shared.is_cancelled(),
        };
        let verdict = decide(&step.condition, status);
        if verdict == Verdict::No {
            self.interrupted |= stopping && !failed;
            let decided_by = self
                .failed_step
                .clone()
                .map(|name| Decider { name, result: JobResult::Failure })
                .filter(|_| !status.success);
            let condition = status_text(&step.condition);
            return self.skip(reference, SkipReason::Status { condition, decided_by, cancelled: stopping });
        }
        let started = Instant::now();
        let token = self.token().clone();
        let vars = match self.environment(step, reference, &token).await {
            Ok(vars) => Arc::new(vars.into_iter().collect::<Vec<_>>()),
            Err(setup) => {
                let end = match setup {
                    Setup::Failed(end) => end,
                    Setup::Cancelled => StepEnd::Cancelled,
                };
                return self.finish(step, reference, end, 0, started);
            }
        };
        if let Verdict::Ask(script) = verdict {
            match self.ask(script, step, reference, &vars, &token).await {
                Ok(None) => {}
                Ok(Some(reason)) => return self.skip(reference, reason),
                Err(end) => return self.finish(step, reference, end, 0, started),
            }
        }
        if step.background {
            let (runner, reference, token) = (self.runner, reference.clone(), self.stop.child());
            self.background.push(async move {
                let (end, attempts) = runner.attempts(step, &reference, vars, &token).await;
                Ended { step, reference, end, attempts, started }
            });
            return;
        }
        let (end, attempts) = self.runner.attempts(step, reference, vars, &token).await;
        let end = self.after(step, reference, end, attempts).await;
        self.finish(step, reference, end, attempts, started);
    }

    /// Takes what the step left in its files.
    async fn after(&mut self, step: &Step, reference: &StepRef, end: StepEnd, attempts: u32) -> StepEnd {
        self.summary(reference, attempts).await;
        match self.read_outputs(reference, attempts).await {
            Ok(values) => {
                if let Some(id) = step.id.as_ref().filter(|_| !values.is_empty()) {
                    self.outputs.insert(id.clone(), values);
                }
                end
            }
            Err(message) if end.is_success() => StepEnd::Setup { message: self.masked(&message) },
            Err(_) => end,
        }
    }

    async fn read_outputs(&self, reference: &StepRef, attempt: u32) -> Result<Values, String> {
        let suffix = control_name(reference, attempt, "output");
        let wrong = |e: &dyn std::fmt::Display| format!("$NIXACTIONS_OUTPUT: {e}");
        let Some(bytes) =
            self.executor.read_control(self.site, &suffix, CONTROL_LIMIT).await.map_err(|e| wrong(&e))?
        else {
            return Ok(Values::new());
        };
        let text = String::from_utf8(bytes).map_err(|_| wrong(&"not UTF-8"))?;
        results::parse(&text).map_err(|e| wrong(&e))
    }

    fn skip(&self, reference: &StepRef, reason: SkipReason) {
        self.emit(EventKind::StepSkipped { job: self.run.name.clone(), step: reference.clone(), reason });
    }

    fn finish(&mut self, step: &Step, reference: &StepRef, end: StepEnd, attempts: u32, started: Instant) {
        let result = match &end {
            end if end.is_success() => JobResult::Success,
            StepEnd::Cancelled => JobResult::Cancelled,
            StepEnd::Infrastructure { .. } => JobResult::Failure,
            _ if step.continue_on_error => JobResult::Success,
            _ => JobResult::Failure,
        };
        self.emit(EventKind::StepFinished {
            job: self.run.name.clone(),
            step: reference.clone(),
            result,
            end: end.clone(),
            attempts,
            duration_us: started.elapsed().as_micros() as u64,
        });
        self.interrupted |= result == JobResult::Cancelled;
        if result == JobResult::Failure && self.failed.is_none() {
            self.failed_step = Some(reference.name.clone());
            self.failed = Some(Failure::Step { step: reference.clone(), end });
        }
    }

    /// Asks a condition's script; why the step is skipped, or how the step ended instead.
    async fn ask(
        &self,
        script: &str,
        step: &Step,
        reference: &StepRef,
        env: &Arc<Vec<(OsString, OsString)>>,
        token: &Cancel,
    ) -> Result<Option<SkipReason>, StepEnd> {
        let spec = StepSpec {
            label: format!("condition of {}", step.name),
            argv: vec!["bash".into()],
            script: Some(script.into()),
            env: Arc::clone(env),
            workdir: PathBuf::new(),
            timeout: step.timeout,
            limits: None,
        };
        let log = StepLog::new(&self.run.shared.reporter, &self.run.name, Some(reference));
        let end = self.executor.run_step(self.site, &spec, &log, token).await;
        log.finish();
        match self.runner.mask_end(end) {
            StepEnd::Exit { code: 0 } => Ok(None),
            StepEnd::Exit { code } => {
                Ok(Some(SkipReason::Script { script: self.masked(script), exit_code: code }))
            }
            StepEnd::Cancelled => Err(StepEnd::Cancelled),
            end @ StepEnd::Infrastructure { .. } => Err(end),
            end => Ok(Some(SkipReason::ScriptError { script: self.masked(script), error: end.to_string() })),
        }
    }

    /// The whole environment of a step's first attempt.
    async fn environment(&self, step: &Step, reference: &StepRef, token: &Cancel) -> Result<Vars, Setup> {
        let shared = self.run.shared;
        let mut below = shared.layers_around(self.run.job);
        below.extend([self.provided, &self.run.job.env]);
        let mut own = Env::new();
        if !step.env_from.is_empty() {
            let scope = Scope::Step { job: self.run.name.clone(), step: reference.clone() };
            let got = self.run.providers(token).run(&step.env_from, &below, &scope).await;
            own = got.map_err(|error| match error {
                ProviderError::Cancelled => Setup::Cancelled,
                ProviderError::Failed(message) => Setup::Failed(StepEnd::Setup { message }),
            })?;
        }
        below.extend([&own, &step.env]);
        let mut vars = self.outside().compose(self.run.pure(), &below);
        prefix_path(&mut vars, &[]);
        if reference.index > 0 {
            for (name, value) in self.job_env(reference, &vars, token).await? {
                match value {
                    Some(value) => drop(vars.insert(name, value)),
                    None => drop(vars.remove(&name)),
                }
            }
        }
        self.outside().override_in(&mut vars);
        self.runner(reference, &mut vars);
        prefix_path(&mut vars, &step.deps);
        Ok(vars)
    }

    /// What `$JOB_ENV` makes of an environment.
    async fn job_env(&self, reference: &StepRef, vars: &Vars, token: &Cancel) -> Result<Overlay, Setup> {
        let fail = |message: String| Setup::Failed(StepEnd::Setup { message });
        let text = self.executor.read_control(self.site, "env", CONTROL_LIMIT).await;
        let text = text.map_err(|e| fail(format!("$JOB_ENV: {e}")))?.unwrap_or_default();
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(Vec::new());
        }
        if let Some(plain) = plain_assignments(&text) {
            return Ok(plain);
        }
        let mut env = vars.clone();
        self.runner(reference, &mut env);
        let spec = StepSpec {
            label: "$JOB_ENV".to_owned(),
            argv: vec!["bash".into()],
            script: Some(SOURCE.into()),
            env: Arc::new(env.clone().into_iter().collect()),
            workdir: PathBuf::new(),
            timeout: None,
            limits: None,
        };
        let log = StepLog::new(&self.run.shared.reporter, &self.run.name, Some(reference));
        let capture = Capture::new(&log, CONTROL_LIMIT as usize * 4);
        let end = self.executor.run_step(self.site, &spec, &capture, token).await;
        let printed = capture.into_bytes();
        log.finish();
        match (self.runner.mask_end(end), printed) {
            (StepEnd::Exit { code: 0 }, Some(printed)) => Ok(difference(&env, &printed)),
            (StepEnd::Exit { code: 0 }, None) => Err(fail("$JOB_ENV sets too much".to_owned())),
            (StepEnd::Cancelled, _) => Err(Setup::Cancelled),
            (end @ StepEnd::Infrastructure { .. }, _) => Err(Setup::Failed(end)),
            (end, _) => Err(fail(format!("sourcing $JOB_ENV failed: {end}"))),
        }
    }

    /// Sets what the runner itself sets; nothing overrides it.
    fn runner(&self, reference: &StepRef, vars: &mut Vars) {
        for (name, value) in &self.runner_vars {
            vars.insert(name.clone(), value.clone());
        }
        vars.entry("CI".into()).or_insert_with(|| "true".into());
        for (id, values) in &self.outputs {
            for (name, value) in values {
                let variable = format!("STEPS_{}_{}", variable_part(id), variable_part(name));
                vars.insert(variable.into(), value.into());
            }
        }
        self.runner.control_vars(reference, 1, vars);
    }

    fn runner_vars(&self) -> Vec<(OsString, OsString)> {
        let shared = self.run.shared;
        let mut vars: Vec<(OsString, OsString)> = vec![
            ("JOB_DIR".into(), self.site.dir.clone().into()),
            ("JOB_ENV".into(), self.site.control_file("env").into()),
            ("JOB_NAME".into(), self.run.job.name.clone().into()),
            ("NIXACTIONS".into(), "true".into()),
            ("WORKFLOW_ID".into(), shared.run.as_str().into()),
            ("WORKFLOW_NAME".into(), shared.plan.name.clone().into()),
        ];
        vars.extend(shared.constants.iter().map(|(name, value)| (OsString::from(name), value.into())));
        vars.extend(shared.needs_variables(self.run.job));
        vars.extend(self.site.env.iter().cloned());
        vars
    }

    /// Passes on what the step wrote for the run's report.
    async fn summary(&self, reference: &StepRef, attempt: u32) {
        let suffix = control_name(reference, attempt, "summary");
        match self.executor.read_control(self.site, &suffix, CONTROL_LIMIT).await {
            Ok(None) => {}
            Ok(Some(bytes)) if bytes.is_empty() => {}
            Ok(Some(bytes)) => {
                let markdown = self.masked(&String::from_utf8_lossy(&bytes));
                self.emit(EventKind::Summary {
                    job: self.run.name.clone(),
                    step: reference.clone(),
                    markdown,
                });
            }
            Err(error) => {
                let message = format!("the summary of step `{}` is dropped: {error}", reference.name);
                self.run.shared.reporter.notice(Level::Warning, Some(&self.run.name), &message);
            }
        }
    }
}

fn control_name(reference: &StepRef, attempt: u32, kind: &str) -> String {
    format!("{}.{attempt}.{kind}", reference.index + 1)
}

/// The assignments of a `$JOB_ENV` in which bash would find nothing to expand or run: the common
/// case, which then costs no process.
fn plain_assignments(text: &[u8]) -> Option<Overlay> {
    const SPECIAL: &[u8] = b"$`\\(){}<>|&;*?[]~!";
    if text.iter().any(|b| SPECIAL.contains(b) || *b == b'\r') {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let found = dotenv::parse(text, Dialect::Shell, &|_| None).ok()?;
    Some(found.into_iter().map(|(name, value)| (name.into(), Some(value.into()))).collect())
}

/// What differs between an environment and what `env -0` printed later.
fn difference(before: &Vars, printed: &[u8]) -> Overlay {
    use std::os::unix::ffi::OsStrExt;
    let is_shells_own = |name: &[u8]| {
        matches!(name, b"_" | b"SHLVL" | b"PWD" | b"OLDPWD" | b"JOB_ENV") || name.starts_with(b"BASH")
    };
    let mut after = Vars::new();
    for entry in printed.split(|&b| b == 0) {
        if let Some(at) = memchr::memchr(b'=', entry).filter(|&at| at > 0) {
            let name = OsStr::from_bytes(&entry[..at]).to_owned();
            after.insert(name, OsStr::from_bytes(&entry[at + 1..]).to_owned());
        }
    }
    let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| (name.clone(), None));
    let mut overlay: Overlay = gone.collect();
    let changed = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
    overlay.extend(changed.map(|(name, value)| (name.clone(), Some(value.clone()))));
    overlay.retain(|(name, _)| !is_shells_own(name.as_bytes()));
    overlay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_files_need_no_shell() {
        let got = plain_assignments(b"A=1\nexport B='two words'\n# no\n").expect("plain");
        assert_eq!(got, [("A".into(), Some("1".into())), ("B".into(), Some("two words".into()))]);
        for text in ["A=$HOME", "A=1 cmd", "cmd", "A=`x`", "A=~/x", "unset A"] {
            assert_eq!(plain_assignments(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn differences_are_what_the_file_did() {
        let before: Vars =
            [("A", "1"), ("B", "2"), ("PWD", "/x")].map(|(n, v)| (n.into(), v.into())).into_iter().collect();
        let got = difference(&before, b"A=1\0C=a=b\nc\0SHLVL=1\0_=/bin/env\0");
        assert_eq!(got, [("B".into(), None), ("C".into(), Some("a=b\nc".into()))]);
    }
}
