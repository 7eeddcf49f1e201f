//! The whole engine on a simulated clock, with an executor that fails in every way it may: whatever
//! happens, each job ends once, no limit is exceeded, all that was begun is ended, and the run ends.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nixactions::engine::driver::{self, Options, Outcome};
use nixactions::engine::event::{Event, EventKind, EventSink, JobResult, StepEnd};
use nixactions::engine::executor::{
    BoxFuture, Cancel, ExecError, Executor, ExecutorRegistry, JobSite, OutputSink, Saved, StepOutcome,
    StepSpec, Workspace,
};
use nixactions::workflow::plan::{Job, Plan};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::harness::Recorder;

/// Numbers that look random and are the same for a seed (SplitMix64, Steele et al. 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        n != 0 && self.below(n) == 0
    }
}

/// What happens to jobs and steps.
#[derive(Clone, Copy)]
struct Weather {
    /// A call of the executor fails once in so many; never for 0.
    fault: u64,
    /// A step fails once in so many.
    failure: u64,
    /// Longest step, in milliseconds of the simulated clock.
    longest: u64,
}

struct State {
    numbers: Mutex<Numbers>,
    weather: Weather,
    limit: usize,
    /// Jobs between their preparation and their end.
    open: Mutex<HashSet<String>>,
    steps: AtomicUsize,
    workspaces: Mutex<HashMap<String, i32>>,
}

impl State {
    fn draw<T>(&self, of: impl FnOnce(&mut Numbers) -> T) -> T {
        of(&mut self.numbers.lock().expect("unpoisoned"))
    }

    /// An error of the machine now and then, as a full disk or a table of files gives it.
    fn fault(&self, doing: &str) -> Result<(), ExecError> {
        let kinds = [rustix::io::Errno::NOSPC, rustix::io::Errno::MFILE, rustix::io::Errno::IO];
        match self.draw(|n| n.one_in(self.weather.fault).then(|| n.below(3) as usize)) {
            Some(kind) => Err(ExecError::io(doing, Path::new("/simulated"), &kinds[kind].into())),
            None => Ok(()),
        }
    }
}

struct Simulated {
    state: Arc<State>,
    name: String,
}

struct Registry(Arc<State>);

impl ExecutorRegistry for Registry {
    fn create(&self, workspace: Workspace) -> Result<Arc<dyn Executor>, ExecError> {
        Ok(Arc::new(Simulated { state: Arc::clone(&self.0), name: workspace.executor.name }))
    }
}

impl Executor for Simulated {
    fn prepare_workspace<'a>(&'a self, cancel: &'a Cancel) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(async move {
            // One that is cancelled half way may be begun again.
            self.state.workspaces.lock().expect("unpoisoned").insert(self.name.clone(), 1);
            let takes = self.state.draw(|n| n.below(50));
            tokio::select! {
                () = sleep(Duration::from_millis(takes)) => self.state.fault("prepare"),
                () = cancel.cancelled() => Err(ExecError::infrastructure("cancelled")),
            }
        })
    }

    fn prepare_job<'a>(
        &'a self,
        job: &'a Job,
        _attempt: u32,
        cancel: &'a Cancel,
    ) -> BoxFuture<'a, Result<JobSite, ExecError>> {
        Box::pin(async move {
            let takes = self.state.draw(|n| n.below(20));
            tokio::select! {
                () = sleep(Duration::from_millis(takes)) => {}
                () = cancel.cancelled() => {}
            }
            self.state.fault("copy")?;
            let mut open = self.state.open.lock().expect("unpoisoned");
            assert!(open.insert(job.name.clone()), "{} is prepared twice", job.name);
            assert!(open.len() <= self.state.limit, "{} jobs at once", open.len());
            Ok(JobSite {
                job: job.name.as_str().into(),
                dir: "/simulated".into(),
                control: "/simulated/control".into(),
                env: Vec::new(),
                machine: None,
            })
        })
    }

    fn run_step<'a>(
        &'a self,
        site: &'a JobSite,
        step: &'a StepSpec,
        _sink: &'a dyn OutputSink,
        cancel: &'a Cancel,
    ) -> BoxFuture<'a, StepOutcome> {
        Box::pin(async move {
            let state = &self.state;
            assert!(state.open.lock().expect("unpoisoned").contains(&*site.job), "not prepared");
            state.steps.fetch_add(1, Ordering::Relaxed);
            let (takes, fails, stubborn) = state
                .draw(|n| (n.below(state.weather.longest + 1), n.one_in(state.weather.failure), n.one_in(8)));
            let takes = Duration::from_millis(takes);
            let timeout = step.timeout.unwrap_or(Duration::MAX);
            let end = tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    // It cleans up, or has to be killed.
                    let grace = if stubborn { Duration::MAX } else { Duration::from_millis(takes.as_millis() as u64 % 300) };
                    tokio::select! {
                        () = sleep(grace.min(Duration::from_secs(10))) => {}
                        () = cancel.killed() => {}
                    }
                    StepEnd::Cancelled
                }
                () = sleep(timeout), if step.timeout.is_some() => StepEnd::Timeout,
                () = sleep(takes) => match state.fault("wait for") {
                    Err(error) => StepEnd::Infrastructure { message: error.message },
                    Ok(()) if fails => StepEnd::Exit { code: 1 },
                    Ok(()) => StepEnd::Exit { code: 0 },
                },
            };
            state.steps.fetch_sub(1, Ordering::Relaxed);
            end
        })
    }

    fn read_control<'a>(
        &'a self,
        _site: &'a JobSite,
        _suffix: &'a str,
        _limit: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, ExecError>> {
        Box::pin(async move { self.state.fault("read").map(|()| None) })
    }

    fn save<'a>(
        &'a self,
        _site: &'a JobSite,
        _pattern: &'a str,
        _dest: &'a Path,
    ) -> BoxFuture<'a, Result<Saved, ExecError>> {
        Box::pin(async move { self.state.fault("save").map(|()| Saved { files: 1, bytes: 1 }) })
    }

    fn restore<'a>(
        &'a self,
        _site: &'a JobSite,
        _src: &'a Path,
        _path: &'a str,
    ) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(async move { self.state.fault("restore") })
    }

    fn finish_job<'a>(&'a self, site: &'a JobSite) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(async move {
            let closed = self.state.open.lock().expect("unpoisoned").remove(&*site.job);
            assert!(closed, "{} is finished twice", site.job);
            self.state.fault("remove")
        })
    }

    fn cleanup_workspace<'a>(&'a self) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(async move {
            *self.state.workspaces.lock().expect("unpoisoned").get_mut(&self.name).expect("prepared") -= 1;
            self.state.fault("remove")
        })
    }
}

/// What happens while the run goes, and when, in milliseconds of the simulated clock.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Signal(i32),
    /// The machine sleeps, or its clock leaps.
    Leap(Duration),
}

struct Ended {
    outcome: Outcome,
    events: Vec<Event>,
    took: Duration,
    state: Arc<State>,
}

fn simulate(
    plan: Plan,
    limit: usize,
    weather: Weather,
    seed: u64,
    happenings: Vec<(u64, Happening)>,
) -> Ended {
    let state = Arc::new(State {
        numbers: Mutex::new(Numbers(seed)),
        weather,
        limit,
        open: Mutex::default(),
        steps: AtomicUsize::new(0),
        workspaces: Mutex::default(),
    });
    let root = tempfile::tempdir().expect("a directory");
    let options =
        Options { cache_root: root.path().to_path_buf(), max_parallel: Some(limit), ..Options::default() };
    let recorder = Arc::new(Recorder::default());
    let sink: Arc<dyn EventSink> = Arc::clone(&recorder) as _;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let registry = Registry(Arc::clone(&state));
    let (outcome, took) = runtime.block_on(async {
        let (send, receive) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for (after, happening) in happenings {
                sleep(Duration::from_millis(after)).await;
                match happening {
                    Happening::Signal(signal) => drop(send.send(signal)),
                    Happening::Leap(by) => tokio::time::advance(by).await,
                }
            }
            std::future::pending::<()>().await;
        });
        let begun = Instant::now();
        let run = driver::run(plan, options, &registry, sink, receive);
        // Simulated: a run that does not end by itself reaches it at once.
        let outcome = tokio::time::timeout(Duration::from_secs(100_000), run).await;
        (outcome.expect("the run ends").expect("a run"), begun.elapsed())
    });
    let events = recorder.take();
    Ended { outcome, events, took, state }
}

impl Ended {
    fn assert_sound(&self, plan: &Plan) {
        assert!(self.state.open.lock().expect("unpoisoned").is_empty(), "jobs are left open");
        assert_eq!(self.state.steps.load(Ordering::Relaxed), 0, "steps are left running");
        let workspaces = self.state.workspaces.lock().expect("unpoisoned");
        assert!(workspaces.values().all(|open| *open == 0), "{workspaces:?}");
        let mut ends: HashMap<&str, usize> = HashMap::new();
        for (at, event) in self.events.iter().enumerate() {
            let job = match &event.kind {
                EventKind::JobFinished { job, .. } | EventKind::JobSkipped { job, .. } => job,
                EventKind::JobStarted { job, .. } => {
                    let needs = &plan.jobs.iter().find(|j| *j.name == **job).expect("a job").needs;
                    assert!(needs.iter().all(|need| ends.contains_key(need.as_str())), "{job} is too early");
                    continue;
                }
                _ => continue,
            };
            assert_eq!(ends.insert(job, at), None, "{job} ends twice");
        }
        assert_eq!(ends.len(), plan.jobs.len(), "a job has no end");
        let results: Vec<JobResult> = self.outcome.jobs.iter().map(|r| r.expect("a result")).collect();
        let all_well = plan.jobs.iter().zip(&results).all(|(job, result)| {
            job.continue_on_error || matches!(result, JobResult::Success | JobResult::Skipped)
        });
        let code = self.outcome.result.exit_code();
        assert!(all_well || code != 0, "exit 0 although {results:?}");
        assert!(matches!(self.events.last().map(|e| &e.kind), Some(EventKind::RunFinished { .. })));
    }
}

fn job(numbers: &mut Numbers, id: u64, density: u64) -> Value {
    let needs: Vec<String> =
        (0..id).filter(|_| numbers.one_in(density)).take(5).map(|need| format!("j{need}")).collect();
    let expr = ["success", "always", "failure", "cancelled"][numbers.below(4) as usize];
    let condition = if numbers.one_in(3) { json!({ "expr": expr }) } else { Value::Null };
    let steps: Vec<Value> = (0..=numbers.below(3))
        .map(|n| {
            let mut step = json!({ "name": format!("s{n}"), "script": "x", "shell": ["sh"] });
            if numbers.one_in(4) {
                step["timeout"] = json!(1 + numbers.below(3_000));
            }
            if numbers.one_in(4) {
                step["retry"] =
                    json!({ "maxAttempts": 3, "backoff": "exponential", "minTimeMs": 500, "maxTimeMs": 60_000 });
            }
            step
        })
        .collect();
    let executor = format!("e{}", numbers.below(3));
    let mut job = json!({
        "name": format!("j{id}"), "needs": needs, "steps": steps,
        "executor": { "kind": "simulated", "name": executor },
        "continueOnError": numbers.one_in(6),
    });
    if !condition.is_null() {
        job["condition"] = condition;
    }
    if numbers.one_in(8) {
        job["timeout"] = json!(1 + numbers.below(5_000));
    }
    job
}

fn plan(jobs: Vec<Value>) -> Plan {
    let plan = json!({ "version": 1, "name": "simulated", "projectDir": "/", "jobs": jobs });
    serde_json::from_value(plan).expect("a plan")
}

/// How many random runs: `NIXACTIONS_TEST_FULL=1` makes it a hundred thousand.
fn rounds() -> u64 {
    if std::env::var_os("NIXACTIONS_TEST_FULL").is_some() { 100_000 } else { 400 }
}

#[test]
fn whatever_happens_every_job_ends_once_and_nothing_is_left_open() {
    for seed in 0..rounds() {
        let mut numbers = Numbers(seed);
        let count = 1 + numbers.below(20);
        let plan = plan((0..count).map(|id| job(&mut numbers, id, 3)).collect());
        let limit = 1 + numbers.below(6) as usize;
        let weather = Weather {
            fault: [0, 0, 5, 30][numbers.below(4) as usize],
            failure: [0, 2, 10][numbers.below(3) as usize],
            longest: 4_000,
        };
        // None, one signal, or a storm of them; and the clock may leap.
        let mut happenings = Vec::new();
        for _ in 0..[0, 0, 1, 2, 50][numbers.below(5) as usize] {
            let signal = [2, 15, 1][numbers.below(3) as usize];
            happenings.push((numbers.below(3_000), Happening::Signal(signal)));
        }
        if numbers.one_in(3) {
            let leap = Duration::from_secs(numbers.below(20_000));
            happenings.push((numbers.below(3_000), Happening::Leap(leap)));
        }
        let happened = format!("seed {seed}: {limit} at once, {happenings:?}");
        let ended = std::panic::catch_unwind(|| {
            let ended = simulate(plan.clone(), limit, weather, seed, happenings);
            ended.assert_sound(&plan);
        });
        assert!(ended.is_ok(), "{happened}");
    }
}

#[test]
fn five_hundred_retries_wait_beside_each_other() {
    let step = json!({
        "name": "s", "script": "x", "shell": ["sh"],
        "retry": { "maxAttempts": 4, "backoff": "exponential", "minTimeMs": 1_000, "maxTimeMs": 60_000 },
    });
    let jobs = (0..500).map(|id| {
        json!({ "name": format!("j{id}"), "steps": [step], "executor": { "kind": "simulated", "name": "e" } })
    });
    let plan = plan(jobs.collect());
    let weather = Weather { fault: 0, failure: 1, longest: 10 };
    let ended = simulate(plan.clone(), 500, weather, 1, Vec::new());
    ended.assert_sound(&plan);
    assert!(ended.outcome.jobs.iter().all(|result| *result == Some(JobResult::Failure)));
    let attempts: u32 = ended
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::StepFinished { attempts, .. } => Some(*attempts),
            _ => None,
        })
        .sum();
    assert_eq!(attempts, 2_000);
    // One after the other the waits would take an hour: 1 + 2 + 4 seconds each.
    assert!(ended.took < Duration::from_secs(60), "{:?} of simulated time", ended.took);
}

#[test]
fn a_cancel_is_bounded_whatever_the_steps_do() {
    for seed in 0..50 {
        let mut numbers = Numbers(seed);
        let plan = plan((0..12).map(|id| job(&mut numbers, id, 6)).collect());
        let weather = Weather { fault: 0, failure: 0, longest: 3_600_000 };
        let happenings =
            vec![(2_000, Happening::Signal(2)), (500, Happening::Signal(2)), (1, Happening::Signal(2))];
        let ended = simulate(plan.clone(), 4, weather, seed, happenings);
        ended.assert_sound(&plan);
        // After the second signal everything is killed at once.
        assert!(ended.took < Duration::from_millis(3_500), "seed {seed}: {:?}", ended.took);
    }
}

/// With `NIXACTIONS_TEST_JOBS=100000`, `--release` and `--nocapture` it shows what so many take.
#[test]
fn many_jobs_are_scheduled_in_little_memory() {
    let count = std::env::var("NIXACTIONS_TEST_JOBS").map_or(5_000, |n| n.parse().expect("a number"));
    let mut numbers = Numbers(7);
    let jobs = (0..count).map(|id| {
        let needs: Vec<String> = match id {
            0 => Vec::new(),
            _ => (0..numbers.below(3)).map(|_| format!("j{}", numbers.below(id))).collect(),
        };
        json!({
            "name": format!("j{id}"), "needs": needs, "executor": { "kind": "simulated", "name": "e" },
            "steps": [{ "name": "s", "script": "x", "shell": ["sh"] }],
        })
    });
    let plan = plan(jobs.collect());
    let begun = std::time::Instant::now();
    let ended = simulate(plan, 64, Weather { fault: 0, failure: 0, longest: 0 }, 1, Vec::new());
    let took = begun.elapsed();
    assert!(ended.outcome.jobs.iter().all(|result| *result == Some(JobResult::Success)));
    let status = std::fs::read_to_string("/proc/self/status").expect("proc");
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("{count} jobs in {took:?}, all events kept; {peak}");
}
