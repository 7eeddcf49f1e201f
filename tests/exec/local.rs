//! The local executor: care for processes, output, workspaces.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nixactions::engine::event::{StepEnd, Stream};
use nixactions::engine::executor::{
    Cancel, Executor, ExecutorRegistry, JobSite, OutputSink, StepSpec, StopPolicy, Workspace,
};
use nixactions::exec::registry::Registry;
use nixactions::workflow::plan;

fn venue() -> crate::conformance::Venue {
    crate::conformance::Venue::new("local", serde_json::json!({}), ())
}

mod suite {
    crate::conformance::conforms!(super::venue);
}

static RUNS: AtomicU64 = AtomicU64::new(0);

/// A run with one job.
struct Run {
    home: tempfile::TempDir,
    executor: Arc<dyn Executor>,
    site: JobSite,
}

/// Keeps what was printed, and counts it.
#[derive(Default)]
struct Kept {
    out: Mutex<Vec<u8>>,
    err: Mutex<Vec<u8>>,
}

impl OutputSink for Kept {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        let kept = if stream == Stream::Stdout { &self.out } else { &self.err };
        kept.lock().unwrap().extend_from_slice(bytes);
    }
}

impl Kept {
    fn out(&self) -> String {
        String::from_utf8(self.out.lock().unwrap().clone()).unwrap()
    }
}

fn job(copy: bool) -> plan::Job {
    serde_json::from_value(serde_json::json!({
        "name": "build",
        "executor": { "kind": "local", "name": "local", "options": { "copyRepo": copy } },
        "steps": [],
    }))
    .expect("a job")
}

impl Run {
    async fn new(project: Option<&Path>) -> Run {
        let home = tempfile::tempdir().unwrap();
        let job = job(project.is_some());
        let executor = Registry
            .create(Workspace {
                run: format!("test-{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed))
                    .as_str()
                    .into(),
                project_dir: project.unwrap_or(home.path()).to_path_buf(),
                run_dir: home.path().join("run"),
                executor: job.executor.clone(),
                keep: false,
                stop: StopPolicy {
                    interrupt: Duration::from_millis(200),
                    terminate: Duration::from_millis(200),
                    timeout_grace: Duration::from_millis(200),
                },
                deps: Vec::new(),
            })
            .unwrap();
        let cancel = Cancel::new();
        executor.prepare_workspace(&cancel).await.unwrap();
        let site = executor.prepare_job(&job, 1, &cancel).await.unwrap();
        Run { home, executor, site }
    }

    fn spec(script: &str, timeout: Option<Duration>) -> StepSpec {
        let path = std::env::var_os("PATH").unwrap_or_default();
        StepSpec {
            label: "step".into(),
            argv: ["bash", "-euo", "pipefail"].map(OsString::from).to_vec(),
            script: Some(script.into()),
            env: Arc::new(vec![("PATH".into(), path)]),
            workdir: PathBuf::from("."),
            timeout,
            limits: None,
        }
    }

    async fn step(&self, script: &str, timeout: Option<Duration>) -> (StepEnd, Kept) {
        self.step_until(script, timeout, &Cancel::new()).await
    }

    async fn step_until(&self, script: &str, timeout: Option<Duration>, cancel: &Cancel) -> (StepEnd, Kept) {
        let kept = Kept::default();
        let spec = Run::spec(script, timeout);
        let end = self.executor.run_step(&self.site, &spec, &kept, cancel).await;
        (end, kept)
    }

    async fn finish(self) {
        self.executor.finish_job(&self.site).await.unwrap();
        self.executor.cleanup_workspace().await.unwrap();
        assert!(!self.home.path().join("run/ws/local").exists(), "the workspace is left behind");
    }
}

/// Whether a process with this number runs (a zombie does not).
fn alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn assert_gone(dir: &Path, files: &[&str]) {
    for file in files {
        let pid = fs::read_to_string(dir.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(!alive(&pid), "{file}: process {pid} is still there");
    }
}

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_signals_and_streams() {
    let run = Run::new(None).await;
    let (end, kept) = run.step("echo out; echo err >&2; printf 'no newline'", None).await;
    assert_eq!(end, StepEnd::Exit { code: 0 });
    assert_eq!(kept.out(), "out\nno newline");
    assert_eq!(&*kept.err.lock().unwrap(), b"err\n");
    assert_eq!(run.step("exit 7", None).await.0, StepEnd::Exit { code: 7 });
    assert_eq!(run.step("false | true; echo never", None).await.0, StepEnd::Exit { code: 1 });
    assert_eq!(run.step("kill -SEGV $$", None).await.0, StepEnd::Signal { signal: 11 });
    assert_eq!(run.step("cat; [ -z \"${HOME:-}\" ]", None).await.0, StepEnd::Exit { code: 0 });
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_ignores_term_is_killed_with_its_children() {
    let run = Run::new(None).await;
    let script =
        "trap '' TERM INT; echo $$ > main; (trap '' TERM; echo $BASHPID > child; sleep 47) & sleep 48";
    let begun = Instant::now();
    let (end, _) = run.step(script, SECOND).await;
    assert_eq!(end, StepEnd::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert_gone(&run.site.dir, &["main", "child"]);
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_costs_nothing_when_it_does_not_pass() {
    let run = Run::new(None).await;
    // A machine that is busy elsewhere may be slow once, not always.
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        assert_eq!(run.step("true", Some(Duration::from_secs(60))).await.0, StepEnd::Exit { code: 0 });
        quickest = quickest.min(begun.elapsed());
    }
    assert!(quickest < Duration::from_millis(800), "{quickest:?}");
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_reaches_daemons_in_sessions_of_their_own() {
    let run = Run::new(None).await;
    let script = "
        (setsid bash -c 'trap \"\" TERM INT HUP; echo $$ > daemon; exec >/dev/null 2>&1; sleep 47' &)
        (setsid env -i bash -c 'echo $$ > bare; sleep 49' > /dev/null 2>&1 & sleep 48) &
        while ! [ -s daemon -a -s bare ]; do sleep 0.01; done; echo $$ > main; sleep 50";
    let (end, _) = run.step(script, Some(Duration::from_secs(2))).await;
    assert_eq!(end, StepEnd::Timeout);
    assert_gone(&run.site.dir, &["main", "daemon", "bare"]);
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_lives_until_its_job_ends() {
    let run = Run::new(None).await;
    let script = "setsid bash -c 'echo $$ > daemon; for i in {1..1200}; do echo tick; sleep 0.05; done' &
        while ! [ -s daemon ]; do sleep 0.01; done; echo main done";
    let begun = Instant::now();
    let (end, kept) = run.step(script, None).await;
    assert_eq!(end, StepEnd::Exit { code: 0 });
    assert!(kept.out().contains("main done"));
    assert!(begun.elapsed() < Duration::from_secs(40), "the step waited for its daemon");
    // A later step uses it; it does not die of its closed pipe.
    assert_eq!(run.step("sleep 0.3; kill -0 $(cat daemon)", None).await.0, StepEnd::Exit { code: 0 });
    let pid = fs::read_to_string(run.site.dir.join("daemon")).unwrap();
    run.finish().await;
    assert!(!alive(&pid), "the daemon outlived its job");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_interrupts_then_terminates_then_kills() {
    let run = Run::new(None).await;
    let cancel = Cancel::new();
    let later = cancel.clone();
    let file = run.site.dir.join("ready");
    tokio::spawn(async move {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        later.cancel();
    });
    let script = "trap 'echo INT' INT; trap 'echo TERM' TERM; touch ready; for i in {1..400}; do sleep 0.05 || :; done";
    let begun = Instant::now();
    let (end, kept) = run.step_until(script, None, &cancel).await;
    assert_eq!(end, StepEnd::Cancelled);
    assert_eq!(kept.out(), "INT\nTERM\n");
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert_eq!(run.step_until("touch never", None, &cancel).await.0, StepEnd::Cancelled);
    assert!(!run.site.dir.join("never").exists());
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_is_immediate() {
    let run = Run::new(None).await;
    let cancel = Cancel::new();
    let later = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        later.kill();
    });
    let begun = Instant::now();
    let script = "trap 'echo asked' INT TERM; echo $$ > main; for i in {1..400}; do sleep 0.1 || :; done";
    let (end, kept) = run.step_until(script, None, &cancel).await;
    assert_eq!(end, StepEnd::Cancelled);
    assert_eq!(kept.out(), "", "it was asked to end first");
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_gone(&run.site.dir, &["main"]);
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_without_end_takes_bounded_memory_and_loses_nothing() {
    struct Count(AtomicU64, AtomicU64);
    impl OutputSink for Count {
        fn write(&self, _: Stream, bytes: &[u8]) {
            self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            self.1.fetch_max(bytes.len() as u64, Ordering::Relaxed);
        }
    }
    let run = Run::new(None).await;
    let bytes: u64 = match std::env::var_os("NIXACTIONS_TEST_LARGE") {
        Some(_) => 1 << 30,
        None => 64 << 20,
    };
    let resident = || {
        let status = fs::read_to_string("/proc/self/statm").unwrap();
        status.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    };
    let before = resident();
    let count = Count(AtomicU64::new(0), AtomicU64::new(0));
    let spec = Run::spec(&format!("head -c {bytes} /dev/zero"), None);
    let end = run.executor.run_step(&run.site, &spec, &count, &Cancel::new()).await;
    assert_eq!(end, StepEnd::Exit { code: 0 });
    assert_eq!(count.0.load(Ordering::Relaxed), bytes);
    assert!(count.1.load(Ordering::Relaxed) <= 1 << 20);
    // Other tests of this process share the figure.
    assert!(resident().saturating_sub(before) < 48 << 20, "{} -> {}", before, resident());
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_shell_or_directory_is_named() {
    let run = Run::new(None).await;
    let kept = Kept::default();
    let mut spec = Run::spec("true", None);
    spec.argv = vec!["no-such-shell".into()];
    match run.executor.run_step(&run.site, &spec, &kept, &Cancel::new()).await {
        StepEnd::Infrastructure { message } => {
            assert!(message.contains("`no-such-shell` on the PATH"), "{message}")
        }
        other => panic!("{other:?}"),
    }
    let mut spec = Run::spec("true", None);
    spec.workdir = "nowhere".into();
    match run.executor.run_step(&run.site, &spec, &kept, &Cancel::new()).await {
        StepEnd::Infrastructure { message } => {
            assert!(message.contains("nowhere does not exist"), "{message}")
        }
        other => panic!("{other:?}"),
    }
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_is_not_on_the_command_line() {
    let run = Run::new(None).await;
    let (end, kept) = run.step("x=hunter2; tr '\\0' ' ' < /proc/$$/cmdline", None).await;
    assert_eq!(end, StepEnd::Exit { code: 0 });
    assert!(!kept.out().contains("hunter2"), "{}", kept.out());
    run.finish().await;
}

fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(dir)
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_copied_with_a_git_that_works() {
    let project = tempfile::tempdir().unwrap();
    let dir = project.path();
    git(dir, &["init", "-q"]);
    for (path, text) in
        [("src/main.c", "int main;"), (".gitignore", "out\n"), ("tracked.out", "t"), ("out", "x")]
    {
        fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
        fs::write(dir.join(path), text).unwrap();
    }
    git(dir, &["add", "."]);
    git(dir, &["commit", "-qm", "first"]);
    git(dir, &["tag", "v1"]);
    fs::write(dir.join("src/main.c"), "int changed;").unwrap();
    fs::write(dir.join("untracked file"), "u").unwrap();
    let head = git(dir, &["rev-parse", "HEAD"]);
    let run = Run::new(Some(dir)).await;
    let job = &run.site.dir;
    assert_eq!(fs::read_to_string(job.join("src/main.c")).unwrap(), "int changed;");
    assert!(job.join("untracked file").exists() && !job.join("out").exists());
    assert_eq!(git(job, &["rev-parse", "HEAD"]), head);
    assert_eq!(git(job, &["describe", "--tags", "--abbrev=0"]).trim(), "v1");
    assert_eq!(git(job, &["status", "--porcelain"]), " M src/main.c\n?? \"untracked file\"\n");
    assert_eq!(git(job, &["show", "HEAD:src/main.c"]), "int main;");
    git(job, &["commit", "-qam", "in the job"]);
    git(job, &["fsck", "--strict"]);
    assert_eq!(git(dir, &["rev-parse", "HEAD"]), head, "the job's commit reached the user's repository");
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_work_tree_is_copied_too() {
    let project = tempfile::tempdir().unwrap();
    let main = project.path().join("main");
    fs::create_dir(&main).unwrap();
    git(&main, &["init", "-q"]);
    fs::write(main.join("a"), "a").unwrap();
    git(&main, &["add", "."]);
    git(&main, &["commit", "-qm", "first"]);
    git(&main, &["worktree", "add", "-q", "-b", "side", "../side"]);
    let run = Run::new(Some(&project.path().join("side"))).await;
    assert_eq!(git(&run.site.dir, &["symbolic-ref", "--short", "HEAD"]).trim(), "side");
    assert_eq!(git(&run.site.dir, &["status", "--porcelain"]), "");
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_a_clear_error() {
    let project = tempfile::tempdir().unwrap();
    fs::write(project.path().join("large"), vec![1; 4 << 20]).unwrap();
    let small = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(small.path())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        eprintln!("not run: mounting a small file system is not permitted here");
        return;
    }
    let job = job(true);
    let executor = Registry
        .create(Workspace {
            run: "full".into(),
            project_dir: project.path().into(),
            run_dir: small.path().into(),
            executor: job.executor.clone(),
            keep: false,
            stop: StopPolicy::default(),
            deps: Vec::new(),
        })
        .unwrap();
    let cancel = Cancel::new();
    executor.prepare_workspace(&cancel).await.unwrap();
    let result = executor.prepare_job(&job, 1, &cancel).await;
    let cleaned = executor.cleanup_workspace().await;
    let unmounted = Command::new("umount").arg(small.path()).status();
    let error = result.expect_err("4 MiB do not fit into 1 MiB");
    assert!(error.message.starts_with("no space left on the file system of the workspace"), "{error}");
    assert!(!error.job_fault);
    cleaned.unwrap();
    assert!(unmounted.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_runner_left_is_found_by_its_run() {
    let home = tempfile::tempdir().unwrap();
    let run = format!("stale-{}", std::process::id());
    // As a step of a run leaves it whose runner was killed: its own session, the run's tag.
    let started = Command::new("bash")
        .args(["-c", "setsid bash -c 'trap \"\" TERM; echo $$ > stray.tmp; mv stray.tmp stray; sleep 47' &"])
        .env("NIXACTIONS_PROCESS_TAG", format!("outer/x/y/0/ {run}/local/build/3/"))
        .current_dir(home.path())
        .status()
        .unwrap();
    assert!(started.success());
    while !home.path().join("stray").exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(nixactions::exec::local::kill_run(&run) >= 1);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_gone(home.path(), &["stray"]);
    assert_eq!(nixactions::exec::local::kill_run(&run), 0);
}
