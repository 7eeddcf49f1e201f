//! What the original NixActions got wrong, one test a fault; the numbers are those of the list of
//! faults that the engine was designed against.

use std::time::Duration;

use nixactions::engine::event::{EventKind, Failure, JobResult, StepEnd};
use serde_json::json;

use crate::harness::{Run, is_alive, step, step_with};

fn retry(attempts: u32) -> serde_json::Value {
    json!({ "maxAttempts": attempts, "backoff": "constant", "minTimeMs": 1, "maxTimeMs": 1 })
}

#[test]
fn r01_exhausted_retries_fail_the_step() {
    let ended = Run::new().job("a", &[step_with("exit 7", json!({ "retry": retry(2) }))]).run();
    assert_eq!((ended.code(), ended.result("a")), (1, JobResult::Failure));
    let end = ended.events.iter().find_map(|event| match &event.kind {
        EventKind::StepFinished { end, attempts, .. } => Some((end.clone(), *attempts)),
        _ => None,
    });
    assert_eq!(end, Some((StepEnd::Exit { code: 7 }, 2)));
}

#[test]
fn r02_a_timeout_fails_the_job() {
    let ended = Run::new().job("a", &[step_with("sleep 30", json!({ "timeout": 50 }))]).run();
    assert_eq!((ended.code(), ended.result("a")), (1, JobResult::Failure));
    assert_eq!(ended.count(|e| matches!(e, EventKind::StepFinished { end: StepEnd::Timeout, .. })), 1);
}

#[test]
fn r03_always_and_failure_jobs_run_after_a_failure() {
    let ended = Run::new()
        .job("a", &[step("exit 1")])
        .job_with("always", &[step("echo ran")], json!({ "needs": ["a"], "condition": { "expr": "always" } }))
        .job_with(
            "failure",
            &[step("echo ran")],
            json!({ "needs": ["a"], "condition": { "expr": "failure" } }),
        )
        .job_with("success", &[step("echo ran")], json!({ "needs": ["a"] }))
        .run();
    assert_eq!(ended.code(), 1);
    assert_eq!((ended.lines("always"), ended.lines("failure")), (vec!["ran".into()], vec!["ran".into()]));
    assert_eq!(ended.result("success"), JobResult::Skipped);
    assert_eq!(ended.skip_reason("success"), "success() is false: a ended with failure");
}

#[test]
fn r04_continue_on_error_continues() {
    let ended = Run::new()
        .job_with("a", &[step("exit 1")], json!({ "continueOnError": true }))
        .job_with("b", &[step("echo $NEEDS_A_RESULT")], json!({ "needs": ["a"] }))
        .run();
    assert_eq!((ended.code(), ended.lines("b")), (0, vec!["success".to_owned()]));
}

#[test]
fn r05_always_and_failure_steps_run_after_a_failed_step() {
    let steps = [
        step("exit 3"),
        step("echo never"),
        step_with("echo failure", json!({ "condition": { "expr": "failure" } })),
        step_with("echo always", json!({ "condition": { "expr": "always" } })),
    ];
    let ended = Run::new().job("a", &steps).run();
    assert_eq!((ended.code(), ended.lines("a")), (1, vec!["failure".to_owned(), "always".to_owned()]));
}

#[test]
fn r06_a_failing_workflow_provider_fails_the_run_before_any_job() {
    let ended = Run::new()
        .workflow(json!({ "envFrom": [{ "kind": "required", "names": ["NO_SUCH_NAME"] }] }))
        .job("a", &[step("echo never")])
        .run();
    assert_eq!(ended.code(), 1);
    assert_eq!(ended.count(|e| matches!(e, EventKind::JobStarted { .. })), 0);
    assert!(ended.all_json().contains("NO_SUCH_NAME"));
}

#[test]
fn r07_a_missing_artifact_fails_the_job() {
    let ended = Run::new()
        .job_with("out", &[step("true")], json!({ "outputs": [{ "name": "dist", "path": "dist" }] }))
        .job_with("in", &[step("echo never")], json!({ "inputs": [{ "name": "nothing", "path": "." }] }))
        .run();
    assert_eq!((ended.result("out"), ended.result("in")), (JobResult::Failure, JobResult::Failure));
    assert_eq!(ended.lines("in"), Vec::<String>::new());
    let failures =
        |e: &EventKind| matches!(e, EventKind::JobFinished { failure: Some(Failure::Artifact { .. }), .. });
    assert_eq!(ended.count(failures), 2);
}

#[test]
fn r08_a_signal_ends_the_jobs_and_what_they_started() {
    let mut run = Run::new()
        .job(
            "a",
            &[
                step("sleep 4747 & echo $! > \"$NIXACTIONS_ARTIFACTS_DIR/../../../pid\"; wait"),
                step_with("echo cleaned up", json!({ "condition": { "expr": "cancelled" } })),
            ],
        )
        .job_with("b", &[step("echo after")], json!({ "needs": ["a"], "condition": { "expr": "always" } }));
    run.signals = vec![(500, 2)];
    let ended = run.run();
    assert_eq!((ended.code(), ended.result("a")), (130, JobResult::Cancelled));
    assert!(ended.lines("a").contains(&"cleaned up".to_owned()));
    assert_eq!(ended.lines("b"), ["after"]);
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
    let pid = std::fs::read_to_string(ended.root.path().join("cache/pid")).expect("written");
    assert!(!is_alive(pid.trim()), "the grandchild survived");
}

#[test]
fn r09_a_timeout_ends_grandchildren_and_costs_nothing_when_not_reached() {
    let file = "\"$NIXACTIONS_ARTIFACTS_DIR/../../../pid\"";
    let script = format!("(trap '' TERM; (sleep 4848 & echo $! > {file}; wait)) & wait");
    let ended = Run::new().job("a", &[step_with(&script, json!({ "timeout": 300 }))]).run();
    let pid = std::fs::read_to_string(ended.root.path().join("cache/pid")).expect("written");
    assert!(!is_alive(pid.trim()), "the grandchild survived");
    let quick = Run::new().job("a", &[step_with("true", json!({ "timeout": 60_000 }))]).run();
    assert!(quick.took < Duration::from_millis(900), "{:?}", quick.took);
}

#[test]
fn r10_a_steps_environment_and_retry_do_not_leak_into_the_next() {
    let steps = [
        step_with("echo $A", json!({ "env": { "A": "one" }, "retry": retry(3), "timeout": 9000 })),
        step("echo ${A-unset}; exit 1"),
    ];
    let ended = Run::new().job("a", &steps).run();
    assert_eq!(ended.lines("a"), ["one", "unset"]);
}

#[test]
fn r11_many_log_lines_are_quick() {
    let ended = Run::new().job("a", &[step("seq 100000")]).run();
    assert_eq!(ended.lines("a").len(), 100_000);
    assert!(ended.took < Duration::from_secs(10), "{:?}", ended.took);
}

#[test]
fn r13_no_level_barriers() {
    // `c` needs only `b`; it must end while the slow `a`, of b's level, still runs.
    let ended = Run::new()
        .workflow(json!({ "maxParallel": 4 }))
        .job("a", &[step("while [ ! -e \"$NIXACTIONS_ARTIFACTS_DIR/../../../done\" ]; do sleep 0.02; done")])
        .job("b", &[step("true")])
        .job_with(
            "c",
            &[step("touch \"$NIXACTIONS_ARTIFACTS_DIR/../../../done\"")],
            json!({ "needs": ["b"] }),
        )
        .run();
    assert_eq!(ended.code(), 0);
}

#[test]
fn r13_success_speaks_of_needs_not_of_everything_before() {
    let ended = Run::new()
        .job("a", &[step("exit 1")])
        .job("b", &[step("sleep 0.2")])
        .job_with("c", &[step("echo ran")], json!({ "needs": ["b"] }))
        .run();
    assert_eq!((ended.code(), ended.lines("c")), (1, vec!["ran".to_owned()]));
}

#[test]
fn r14_job_conditions_and_workdir_are_honoured() {
    let ended = Run::new()
        .job_with("a", &[step("echo never")], json!({ "condition": { "script": "exit 9" } }))
        .job("b", &[step("mkdir sub"), step_with("basename \"$PWD\"", json!({ "workdir": "sub" }))])
        .run();
    assert_eq!(ended.skip_reason("a"), "condition `exit 9` exited with 9");
    assert_eq!((ended.code(), ended.lines("b")), (0, vec!["sub".to_owned()]));
}

#[test]
fn r15_provider_secrets_are_masked_and_not_left_behind() {
    let run = Run::new()
        .workflow(json!({ "envFrom": [
            { "kind": "file", "path": ".env", "required": true, "secrets": true },
        ] }))
        .job_with(
            "a",
            &[step(
                "echo \"$TOKEN\"; printf %s \"$TOKEN\" | base64; printf 'hunter2-'; sleep 0.1; echo 'xyz!'",
            )],
            json!({}),
        );
    std::fs::write(run.project().join(".env"), "TOKEN='hunter2-xyz!'\n").expect("written");
    let ended = run.run();
    assert_eq!(ended.code(), 0, "{}", ended.all_json());
    assert_eq!(ended.lines("a"), ["***", "***", "***"]);
    assert!(!ended.all_json().contains("hunter2"));
    let runs = std::fs::read_dir(ended.root.path().join("cache/runs")).expect("there").count();
    assert_eq!(runs, 0, "the run's directory must be gone");
}

#[test]
fn r16_neither_script_nor_environment_is_on_the_command_line() {
    let script = "tr '\\0' ' ' < /proc/$$/cmdline; echo; : sentinel-in-script";
    let ended = Run::new().job("a", &[step_with(script, json!({ "env": { "S": "sentinel-in-env" } }))]).run();
    let line = ended.lines("a").join(" ");
    assert!(line.contains("bash") && !line.contains("sentinel"), "{line}");
}

#[test]
fn r20_unknown_needs_and_circles_are_errors_and_dotfiles_are_kept() {
    let ended = Run::new()
        .job_with(
            "out",
            &[step("mkdir -p d/.hidden; echo x > d/.hidden/.file; ln -s .hidden d/link")],
            json!({ "outputs": [{ "name": "d", "path": "d" }] }),
        )
        .job_with(
            "in",
            &[step("cat in/d/link/.file; readlink in/d/link")],
            json!({ "needs": ["out"], "inputs": [{ "name": "d", "path": "in" }] }),
        )
        .run();
    assert_eq!((ended.code(), ended.lines("in")), (0, vec!["x".to_owned(), ".hidden".to_owned()]));
}
