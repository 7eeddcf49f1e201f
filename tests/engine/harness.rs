//! Runs plans and keeps their events.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nixactions::engine::driver::{self, Options, Outcome};
use nixactions::engine::environment::Outside;
use nixactions::engine::event::{Event, EventKind, EventSink, JobResult, SkipReason};
use nixactions::engine::executor::StopPolicy;
use nixactions::exec::registry::Registry;
use nixactions::workflow::plan::Plan;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

#[derive(Default)]
pub(crate) struct Recorder(Mutex<Vec<Event>>);

impl EventSink for Recorder {
    fn event(&self, event: &Event) {
        self.0.lock().expect("unpoisoned").push(event.clone());
    }
}

impl Recorder {
    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock().expect("unpoisoned"))
    }

    fn has_line(&self, line: &str) -> bool {
        let is_it =
            |event: &Event| matches!(&event.kind, EventKind::Log { text, .. } if text.to_text() == line);
        self.0.lock().expect("unpoisoned").iter().any(is_it)
    }
}

/// A plan in the making, with a project directory and a cache of its own.
pub(crate) struct Run {
    pub(crate) root: TempDir,
    fixed: Option<PathBuf>,
    workflow: Value,
    jobs: BTreeMap<String, Value>,
    pub(crate) ambient: Vec<(&'static str, String)>,
    pub(crate) overrides: Vec<(String, String)>,
    pub(crate) keep: bool,
    /// Signals to send, each after so many milliseconds from the one before.
    pub(crate) signals: Vec<(u64, i32)>,
    /// A signal to send when a line has been printed.
    pub(crate) signal_after_line: Option<(&'static str, i32)>,
}

pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) events: Vec<Event>,
    pub(crate) took: Duration,
    names: Vec<String>,
    /// Kept so that the directories live as long as the results.
    pub(crate) root: TempDir,
}

pub(crate) fn step(script: &str) -> Value {
    json!({ "name": "step", "script": script, "shell": ["bash", "-euo", "pipefail"] })
}

/// A step with further fields.
pub(crate) fn step_with(script: &str, fields: Value) -> Value {
    with(step(script), fields)
}

pub(crate) fn with(mut value: Value, fields: Value) -> Value {
    let (Some(map), Value::Object(more)) = (value.as_object_mut(), fields) else { return value };
    map.extend(more);
    value
}

impl Run {
    pub(crate) fn new() -> Run {
        let root = tempfile::tempdir().expect("tempdir");
        std::fs::create_dir(root.path().join("project")).expect("made");
        Run {
            root,
            fixed: None,
            workflow: json!({}),
            jobs: BTreeMap::new(),
            ambient: Vec::new(),
            overrides: Vec::new(),
            keep: false,
            signals: Vec::new(),
            signal_after_line: None,
        }
    }

    /// The same, but below a directory that stays.
    pub(crate) fn at(root: &Path) -> Run {
        let mut run = Run::new();
        run.fixed = Some(root.to_path_buf());
        std::fs::create_dir_all(run.project()).expect("made");
        run
    }

    pub(crate) fn root(&self) -> &Path {
        self.fixed.as_deref().unwrap_or(self.root.path())
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.root().join("project")
    }

    pub(crate) fn workflow(mut self, fields: Value) -> Run {
        self.workflow = with(self.workflow, fields);
        self
    }

    pub(crate) fn job(self, name: &str, steps: &[Value]) -> Run {
        self.job_with(name, steps, json!({}))
    }

    pub(crate) fn job_with(mut self, name: &str, steps: &[Value], fields: Value) -> Run {
        let steps: Vec<Value> = steps
            .iter()
            .enumerate()
            .map(|(index, step)| with(step.clone(), json!({ "name": format!("s{}", index + 1) })))
            .collect();
        let executor = json!({ "kind": "local", "name": "local", "options": { "copyRepo": false } });
        let job = json!({ "name": name, "executor": executor, "steps": steps });
        self.jobs.insert(name.to_owned(), with(job, fields));
        self
    }

    /// The plan.
    pub(crate) fn plan(&self) -> Plan {
        let base = json!({
            "version": 1,
            "name": "test",
            "projectDir": self.project(),
            "jobs": self.jobs.values().collect::<Vec<_>>(),
        });
        // `secrets` is read like any other field, though it is never written.
        serde_json::from_value(with(base, self.workflow.clone())).expect("a plan")
    }

    /// What the run takes besides.
    pub(crate) fn options(&self) -> Options {
        let path = std::env::var("PATH").expect("a PATH");
        let mut ambient: BTreeMap<_, _> = [("PATH".into(), path.into())].into();
        ambient.extend(self.ambient.iter().map(|(name, value)| (name.into(), value.into())));
        Options {
            outside: Outside { ambient, overrides: self.overrides.clone(), foreign: false },
            keep: self.keep,
            cache_root: self.root().join("cache"),
            stop: StopPolicy {
                interrupt: Duration::from_millis(300),
                terminate: Duration::from_millis(300),
                timeout_grace: Duration::from_millis(300),
            },
            ..Options::default()
        }
    }

    pub(crate) fn run(self) -> Ended {
        let (plan, options) = (self.plan(), self.options());
        self.run_with(plan, options)
    }

    pub(crate) fn run_with(self, plan: Plan, options: Options) -> Ended {
        let names = plan.jobs.iter().map(|job| job.name.clone()).collect();
        let recorder = Arc::new(Recorder::default());
        let sink: Arc<dyn EventSink> = Arc::clone(&recorder) as _;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let start = std::time::Instant::now();
        let outcome = runtime.block_on(async {
            let (send, receive) = mpsc::unbounded_channel();
            let signals = self.signals.clone();
            let (after_line, seen) = (self.signal_after_line, Arc::clone(&recorder));
            tokio::spawn(async move {
                if let Some((line, signal)) = after_line {
                    while !seen.has_line(line) {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    let _ = send.send(signal);
                }
                for (after, signal) in signals {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    let _ = send.send(signal);
                }
                std::future::pending::<()>().await;
            });
            driver::run(plan, options, &Registry, sink, receive).await.expect("a run")
        });
        let took = start.elapsed();
        runtime.shutdown_background();
        let events = std::mem::take(&mut *recorder.0.lock().expect("unpoisoned"));
        Ended { outcome, events, took, names, root: self.root }
    }
}

impl Ended {
    pub(crate) fn code(&self) -> u8 {
        self.outcome.result.exit_code()
    }

    pub(crate) fn result(&self, job: &str) -> JobResult {
        let at = self.names.iter().position(|name| name == job).expect("a job");
        self.outcome.jobs[at].expect("ended")
    }

    /// All lines that a job printed, on both streams.
    pub(crate) fn lines(&self, job: &str) -> Vec<String> {
        let line = |event: &Event| match &event.kind {
            EventKind::Log { job: j, text, .. } if &**j == job => Some(text.to_text().into_owned()),
            _ => None,
        };
        self.events.iter().filter_map(line).collect()
    }

    /// Everything that any sink would see.
    pub(crate) fn all_json(&self) -> String {
        self.events.iter().map(|event| serde_json::to_string(event).expect("serialises") + "\n").collect()
    }

    pub(crate) fn skip_reason(&self, job: &str) -> String {
        let reason = |event: &Event| match &event.kind {
            EventKind::JobSkipped { job: j, reason } if &**j == job => Some(SkipReason::to_string(reason)),
            _ => None,
        };
        self.events.iter().find_map(reason).expect("skipped")
    }

    pub(crate) fn count(&self, select: impl Fn(&EventKind) -> bool) -> usize {
        self.events.iter().filter(|event| select(&event.kind)).count()
    }
}

/// Whether a process lives; one that only waits to be reaped does not.
pub(crate) fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
