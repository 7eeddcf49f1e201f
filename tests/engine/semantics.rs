//! Environment, artifacts, cancellation and bounds of whole runs.

use std::time::Duration;

use nixactions::engine::event::{EventKind, JobResult};
use serde_json::json;

use crate::harness::{Run, is_alive, step, step_with};

#[test]
fn precedence_of_the_environment() {
    let mut run = Run::new()
        .workflow(json!({ "env": { "A": "workflow", "B": "workflow", "C": "workflow", "D": "workflow" } }))
        .job_with(
            "a",
            &[
                step("echo E=env-file >> \"$JOB_ENV\"; echo 'export D=\"$C and\"' >> \"$JOB_ENV\""),
                step_with(
                    "echo $A $B $C, $D, $E, $F",
                    json!({ "env": { "A": "step", "E": "step", "F": "step" } }),
                ),
            ],
            json!({ "env": { "A": "job", "B": "job" } }),
        );
    run.ambient = vec![("F", "ambient".into()), ("B", "ambient".into())];
    run.overrides = vec![("B".into(), "flag".into())];
    let ended = run.run();
    assert_eq!(ended.lines("a"), ["step flag workflow, workflow and, env-file, ambient"]);
    assert_eq!(ended.count(|e| matches!(e, EventKind::AmbientOverride { .. })), 1);
}

#[test]
fn jobs_do_not_see_each_others_directories_or_variables() {
    let ended = Run::new()
        .job("a", &[step("touch file; echo A=1 >> \"$JOB_ENV\"")])
        .job_with("b", &[step("ls -A; echo ${A-unset}")], json!({ "needs": ["a"] }))
        .run();
    assert_eq!(ended.lines("b"), ["unset"]);
}

#[test]
fn a_failed_attempt_is_retried_until_it_works() {
    let script = "echo x >> n; [ $(wc -l < n) = 3 ]";
    let retry = json!({ "maxAttempts": 5, "backoff": "constant", "minTimeMs": 1, "maxTimeMs": 1 });
    let ended = Run::new().job("a", &[step_with(script, json!({ "retry": retry }))]).run();
    assert_eq!(ended.code(), 0);
    assert_eq!(ended.count(|e| matches!(e, EventKind::StepRetry { .. })), 2);
    // With the scope of the job, each attempt begins in a fresh directory, so this never works.
    let ended = Run::new().job_with("a", &[step(script)], json!({ "retry": retry })).run();
    assert_eq!(ended.code(), 1);
    assert_eq!(ended.count(|e| matches!(e, EventKind::JobRetry { .. })), 4);
}

#[test]
fn a_second_signal_kills_what_ignores_the_first() {
    let mut run = Run::new().job("a", &[step("trap '' INT TERM; while :; do sleep 1; done")]);
    run.signals = vec![(300, 15), (50, 15)];
    let ended = run.run();
    assert_eq!(ended.code(), 143);
    assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
}

#[test]
fn fail_fast_stops_the_others() {
    let ended = Run::new()
        .workflow(json!({ "failFast": true, "maxParallel": 4 }))
        .job("a", &[step("sleep 0.2; exit 1")])
        .job("b", &[step("sleep 60")])
        .run();
    assert_eq!((ended.code(), ended.result("b")), (1, JobResult::Cancelled));
    assert!(ended.took < Duration::from_secs(10));
}

#[test]
fn budgets_end_jobs_and_runs() {
    let ended = Run::new().job_with("a", &[step("sleep 60")], json!({ "budget": 200 })).run();
    assert_eq!((ended.code(), ended.result("a")), (1, JobResult::Failure));
    let ended = Run::new().workflow(json!({ "budget": 200 })).job("a", &[step("sleep 60")]).run();
    assert_eq!((ended.code(), ended.result("a")), (1, JobResult::Cancelled));
}

#[test]
fn a_missing_shell_is_an_infrastructure_failure() {
    let ended = Run::new().job("a", &[step_with("true", json!({ "shell": ["no-such-shell"] }))]).run();
    assert_eq!((ended.code(), ended.result("a")), (3, JobResult::Failure));
}

#[test]
fn a_daemon_left_behind_ends_with_the_job() {
    let script = "setsid bash -c 'echo $$ > \"$NIXACTIONS_ARTIFACTS_DIR/../../../pid\"; exec sleep 4949' &
        while [ ! -s \"$NIXACTIONS_ARTIFACTS_DIR/../../../pid\" ]; do sleep 0.02; done";
    let ended = Run::new().job("a", &[step(script)]).run();
    assert_eq!(ended.code(), 0, "{}", ended.all_json());
    let pid = std::fs::read_to_string(ended.root.path().join("cache/pid")).expect("written");
    assert!(!is_alive(pid.trim()), "the daemon survived");
}

#[test]
fn a_provider_program_gives_variables_and_its_failure_stops_the_job() {
    let run = Run::new()
        .job_with(
            "a",
            &[step("echo \"$A\"")],
            json!({ "envFrom": [{ "kind": "program", "argv": ["./p"], "secrets": false }] }),
        )
        .job_with(
            "b",
            &[step("echo never")],
            json!({ "envFrom": [{ "kind": "program", "argv": ["./q"], "secrets": false }] }),
        );
    for (name, text) in [("p", "echo \"export A='it'\\''s'\""), ("q", "echo broken >&2; exit 4")] {
        let path = run.project().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
    }
    let ended = run.run();
    assert_eq!((ended.lines("a"), ended.lines("b")), (vec!["it's".to_owned()], vec![]));
    assert!(ended.code() == 1 && ended.all_json().contains("broken"));
}

#[test]
fn outputs_with_always_are_saved_after_a_failure() {
    let ended = Run::new()
        .job_with(
            "a",
            &[step("echo log > log.txt; exit 1")],
            json!({ "outputs": [{ "name": "log", "path": "*.txt", "always": true }] }),
        )
        .run();
    assert_eq!(ended.count(|e| matches!(e, EventKind::ArtifactSaved { files: 1, bytes: 4, .. })), 1);
}

#[test]
fn summaries_and_step_conditions() {
    let steps = [
        step("echo '# done' >> \"$NIXACTIONS_STEP_SUMMARY\"; touch flag"),
        step_with("echo yes", json!({ "condition": { "script": "test -e flag" } })),
        step_with("echo no", json!({ "condition": { "script": "test -e other" } })),
    ];
    let ended = Run::new().job("a", &steps).run();
    assert_eq!((ended.code(), ended.lines("a")), (0, vec!["yes".to_owned()]));
    assert_eq!(
        ended.count(|e| matches!(e, EventKind::Summary { markdown, .. } if markdown == "# done\n")),
        1
    );
}

#[test]
fn directories_of_a_run_are_private_and_kept_on_demand() {
    use std::os::unix::fs::PermissionsExt;
    let mut run = Run::new().job("a", &[step("true")]);
    run.keep = true;
    let ended = run.run();
    let kept = ended.outcome.kept.clone().expect("kept");
    for dir in [kept.clone(), kept.join("artifacts"), kept.join("ws")] {
        let mode = std::fs::metadata(&dir).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", dir.display());
    }
}

#[test]
fn a_thousand_jobs_wide_and_in_a_chain() {
    for chain in [false, true] {
        let mut run = Run::new().workflow(json!({ "maxParallel": 4 }));
        for i in 0..1000 {
            let needs = if chain && i > 0 { vec![format!("j{:04}", i - 1)] } else { vec![] };
            run = run.job_with(&format!("j{i:04}"), &[step("true")], json!({ "needs": needs }));
        }
        let ended = run.run();
        assert_eq!(ended.code(), 0);
        println!("chain {chain}: {:?}", ended.took);
        assert!(ended.took < Duration::from_secs(60), "{:?}", ended.took);
    }
}

#[test]
fn a_gibibyte_of_output_needs_little_memory() {
    use nixactions::engine::driver::{self, Options};
    use nixactions::engine::event::{Event, EventSink};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct Counter(AtomicU64);
    impl EventSink for Counter {
        fn event(&self, event: &Event) {
            if let EventKind::Log { text, .. } = &event.kind {
                self.0.fetch_add(text.0.len() as u64, Ordering::Relaxed);
            }
        }
    }
    // Half of it one line without an end, half of it ordinary lines; an eighth in the default run.
    let size: u64 = if std::env::var_os("NIXACTIONS_TEST_FULL").is_some() { 1 << 30 } else { 1 << 27 };
    let (half, line) = (size / 2, "y".repeat(127));
    let script = format!("head -c {half} /dev/zero | tr '\\0' x; echo; head -c {half} < <(yes {line})");
    let root = tempfile::tempdir().expect("tempdir");
    let plan = json!({
        "version": 1, "name": "big", "projectDir": root.path(), "secrets": ["s3cret-value"],
        "jobs": [{
            "name": "a", "steps": [step(&script)],
            "executor": { "kind": "local", "name": "local", "options": { "copyRepo": false } },
        }],
    });
    let options = Options { cache_root: root.path().to_path_buf(), keep: false, ..Options::from_process() };
    let counter = Arc::new(Counter::default());
    let sink: Arc<dyn EventSink> = Arc::clone(&counter) as _;
    let plan = serde_json::from_value(plan).expect("a plan");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let outcome = runtime.block_on(async {
        let (_send, receive) = tokio::sync::mpsc::unbounded_channel();
        driver::run(plan, options, &nixactions::exec::registry::Registry, sink, receive).await
    });
    assert_eq!(outcome.expect("a run").result.exit_code(), 0);
    assert_eq!(counter.0.load(Ordering::Relaxed), half + half / 128 * 127);
    let status = std::fs::read_to_string("/proc/self/status").expect("readable");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("there");
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    // Other tests of this program run meanwhile and keep their events.
    assert!(kib < 400 * 1024, "{kib} KiB");
}
