//! Services: processes or containers beside a job, ready before its first step, gone after its last.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::beside::Beside;
use super::environment::Vars;
use super::event::{Failure, Level, StepEnd};
use super::executor::{Cancel, Executor, JobSite, ServiceSpec, StepSpec};
use super::job::JobRun;
use super::reporter::StepLog;
use crate::workflow::plan::{Service, Text};

/// How long a service may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Most that one question for its health may take.
const ASK_WITHIN: Duration = Duration::from_secs(30);
/// Pause between two questions for its health: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The services of one attempt at a job.
pub(super) struct Services<'a> {
    run: &'a JobRun<'a>,
    executor: &'a dyn Executor,
    site: &'a JobSite,
    pub(super) beside: Beside<'a, (usize, StepEnd)>,
    /// Ends them when the job has ended.
    stop: Cancel,
}

impl<'a> Services<'a> {
    /// Starts the services of a job whose environment is `vars`, and waits until each is ready.
    pub(super) async fn start(
        run: &'a JobRun<'a>,
        executor: &'a dyn Executor,
        site: &'a JobSite,
        vars: &Vars,
        cancel: &Cancel,
    ) -> Result<Services<'a>, Option<Failure>> {
        let (beside, stop) = (Beside::default(), cancel.child());
        let mut services = Services { run, executor, site, beside, stop };
        for (index, service) in run.job.services.iter().enumerate() {
            let env: Arc<Vec<_>> = Arc::new(services.environment(service, vars).into_iter().collect());
            services.begin(index, service, &env);
            if let Err(failure) = services.await_ready(index, service, &env, cancel).await {
                services.stop().await;
                return Err(failure);
            }
            let message = format!("service `{}` is ready", service.name);
            run.shared.reporter.notice(Level::Info, Some(&run.name), &message);
        }
        Ok(services)
    }

    /// Stops them all.
    pub(super) async fn stop(&mut self) {
        for (index, end) in self.beside.take_done() {
            self.tell_early_end(index, &end);
        }
        self.stop.cancel();
        self.beside.finish().await;
    }

    fn tell_early_end(&self, index: usize, end: &StepEnd) {
        let name = &self.run.job.services[index].name;
        let message = format!("service `{name}` ended before the job did: {end}");
        self.run.shared.reporter.notice(Level::Warning, Some(&self.run.name), &message);
    }

    fn environment(&self, service: &Service, vars: &Vars) -> Vars {
        let mut vars = vars.clone();
        for (name, value) in &service.env {
            let value: Option<OsString> = match value {
                None => None,
                Some(Text::Plain(text)) => Some(text.into()),
                Some(Text::FromEnv { from_env }) => {
                    self.run.shared.options.outside.ambient.get(OsStr::new(from_env)).cloned()
                }
            };
            match value {
                Some(value) => drop(vars.insert(name.into(), value)),
                None => drop(vars.remove(OsStr::new(name))),
            }
        }
        vars
    }

    fn begin(&mut self, index: usize, service: &'a Service, env: &Arc<Vec<(OsString, OsString)>>) {
        let (run, executor, site, cancel) = (self.run, self.executor, self.site, self.stop.clone());
        let label = format!("service {}", service.name);
        let prefix = format!("{} | ", service.name);
        let env = Arc::clone(env);
        self.beside.push(async move {
            let log = StepLog::new(&run.shared.reporter, &run.name, None).prefixed(prefix);
            let end = match (&service.script, &service.image) {
                (Some(script), _) => {
                    let spec = script_spec(label, script, env, None);
                    executor.run_step(site, &spec, &log, &cancel).await
                }
                (None, Some(image)) => {
                    let (name, ports) = (service.name.clone(), service.ports.clone());
                    let own: Vec<&String> = service.env.keys().collect();
                    let env =
                        env.iter().filter(|(n, _)| own.iter().any(|o| n == o.as_str())).cloned().collect();
                    let spec = ServiceSpec { name, image: image.clone(), ports, env };
                    executor.run_service(site, &spec, &log, &cancel).await
                }
                (None, None) => StepEnd::Infrastructure { message: "it has nothing to run".into() },
            };
            log.finish();
            (index, end)
        });
    }

    /// Waits until a service is ready: its health script succeeds or, without one, its first port
    /// takes connections.
    async fn await_ready(
        &mut self,
        index: usize,
        service: &Service,
        env: &Arc<Vec<(OsString, OsString)>>,
        cancel: &Cancel,
    ) -> Result<(), Option<Failure>> {
        let (begin, mut pause) = (Instant::now(), PAUSE.0);
        let (executor, site, run) = (self.executor, self.site, self.run);
        loop {
            let ready = self.beside.during(async {
                let ready = match (&service.health, service.ports.first()) {
                    (Some(script), _) => {
                        let label = format!("health of service {}", service.name);
                        let spec = script_spec(label, script, Arc::clone(env), Some(ASK_WITHIN));
                        let log = StepLog::new(&run.shared.reporter, &run.name, None).silent();
                        executor.run_step(site, &spec, &log, cancel).await.is_success()
                    }
                    (None, Some(port)) => {
                        let container = service.image.as_ref().map(|_| service.name.as_str());
                        return executor.takes_connections(site, container, port).await;
                    }
                    (None, None) => true,
                };
                Ok(ready)
            });
            let ready = ready.await;
            if cancel.is_cancelled() {
                return Err(None);
            }
            for (ended, end) in self.beside.take_done() {
                if ended == index {
                    let message = format!("service `{}` ended before it was ready: {end}", service.name);
                    return Err(Some(failure(&end, message)));
                }
                self.tell_early_end(ended, &end);
            }
            if ready.map_err(|error| Some(Failure::Infrastructure { message: error.message }))? {
                return Ok(());
            }
            if begin.elapsed() > READY_WITHIN {
                let within = READY_WITHIN.as_secs();
                let message = format!("service `{}` is not ready after {within} s", service.name);
                return Err(Some(Failure::Service { message }));
            }
            self.beside.during(tokio::time::sleep(pause)).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}

fn failure(end: &StepEnd, message: String) -> Failure {
    match end {
        StepEnd::Infrastructure { .. } => Failure::Infrastructure { message },
        _ => Failure::Service { message },
    }
}

fn script_spec(
    label: String,
    script: &str,
    env: Arc<Vec<(OsString, OsString)>>,
    timeout: Option<Duration>,
) -> StepSpec {
    StepSpec {
        label,
        argv: ["bash", "-euo", "pipefail"].map(OsString::from).to_vec(),
        script: Some(script.into()),
        env,
        workdir: PathBuf::new(),
        timeout,
        limits: None,
    }
}
