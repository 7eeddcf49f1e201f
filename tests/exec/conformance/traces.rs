//! What runs leave: in arguments, logs, processes and files.

use serde_json::json;

use super::Venue;
use crate::harness::{Run, step, step_with};

/// Processes of this machine whose arguments hold a text.
fn arguments_with(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if memchr::memmem::find(&line, text.as_bytes()).is_some() {
            found.push(String::from_utf8_lossy(&line).replace('\0', " "));
        }
    }
    found
}

pub(crate) fn secrets_are_in_no_argument_and_no_log(venue: &Venue) {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (in_env, in_script) = ("s3cretInEnvironment77", "s3cretInScript88");
    let script =
        format!("echo \"value $TOKEN\"; echo {in_script} >&2; sleep 1; echo $TOKEN >> \"$JOB_ENV.x\"");
    static DONE: AtomicBool = AtomicBool::new(false);
    DONE.store(false, Ordering::Relaxed);
    // This test's own arguments hold neither.
    let watcher = std::thread::spawn(move || {
        let mut seen = Vec::new();
        while !DONE.load(Ordering::Relaxed) {
            seen.extend(arguments_with(in_env).into_iter().chain(arguments_with(in_script)));
        }
        seen
    });
    let run = Run::new().workflow(json!({ "secrets": [in_env, in_script] })).job_with(
        "j",
        &[step_with(&script, json!({ "env": { "TOKEN": in_env } }))],
        venue.bare(),
    );
    let ended = run.run();
    DONE.store(true, Ordering::Relaxed);
    let seen = watcher.join().expect("a watcher");
    assert!(seen.is_empty(), "in arguments: {seen:?}");
    let said = ended.all_json();
    assert!(!said.contains(in_env) && !said.contains(in_script), "{said}");
    assert_eq!(ended.lines("j").len(), 2, "{said}");
}

pub(crate) fn a_server_lives_until_its_job_ends(venue: &Venue) {
    let serve = "setsid bash -c 'echo $$ > server; while :; do echo tick; sleep 0.05; done' &
        while ! [ -s server ]; do sleep 0.01; done; echo started";
    let ended = venue.run(&[step(serve), step("sleep 0.3; kill -0 $(cat server) && echo alive")]);
    let lines: Vec<String> = ended.lines("j").into_iter().filter(|line| line != "tick").collect();
    assert_eq!(lines, ["started", "alive"], "{}", ended.all_json());
    venue.assert_clean();
}

pub(crate) fn jobs_run_beside_each_other(venue: &Venue) {
    let mut run = Run::new().workflow(json!({ "maxParallel": 6 }));
    for n in 0..6 {
        let script =
            format!("[ -z \"$(ls -A)\" ]; echo {n} > mine; sleep 0.2; cat mine; [ \"$(ls)\" = mine ]");
        run = run.job_with(&format!("j{n}"), &[step(&script), step("cat mine")], venue.bare());
    }
    let ended = run.run();
    for n in 0..6 {
        assert_eq!(ended.lines(&format!("j{n}")), [n.to_string(), n.to_string()], "{}", ended.all_json());
    }
}

/// A daemon with no environment and no living parent: only its working directory gives it away.
pub(crate) fn a_server_that_hides_is_found(venue: &Venue) {
    let number = 5_000_000 + std::time::UNIX_EPOCH.elapsed().map_or(0, |t| t.subsec_nanos()) % 1_000_000;
    let hide =
        format!("(setsid env -i bash -c 'while :; do sleep {number}; done' >/dev/null 2>&1 &); sleep 0.2");
    assert_eq!(venue.run(&[step(&hide)]).code(), 0);
    assert_eq!(arguments_with(&format!("sleep\0{number}")), Vec::<String>::new());
    venue.assert_clean();
}

pub(crate) fn nothing_is_left_behind(venue: &Venue) {
    // A number of this test's own: others run at the same time.
    let number = 4_000_000 + std::time::UNIX_EPOCH.elapsed().map_or(0, |t| t.subsec_nanos()) % 1_000_000;
    let leave = "(setsid bash -c 'while :; do sleep 4713; done' >/dev/null 2>&1 &)
        (trap '' TERM; setsid bash -c 'trap \"\" TERM HUP; while :; do sleep 4713; done' >/dev/null 2>&1 &)
        mkdir -p ro/deep; touch ro/deep/f; chmod 500 ro/deep ro; sleep 0.2; echo done"
        .replace("4713", &number.to_string());
    let ended = Run::new()
        .job_with("odd name/ü \"x\"", &[step(&leave)], venue.bare())
        .job_with("failing", &[step("exit 1")], venue.bare())
        .run();
    assert_eq!(ended.lines("odd name/ü \"x\""), ["done"], "{}", ended.all_json());
    let cache = ended.root.path().join("cache");
    let left: Vec<_> =
        std::fs::read_dir(cache.join("runs")).expect("there").flatten().map(|e| e.path()).collect();
    assert!(left.is_empty(), "{left:?}");
    // Processes of containers are seen from here too.
    let left = arguments_with(&format!("sleep\0{number}"));
    assert!(left.is_empty(), "{left:?}");
    venue.assert_clean();
}
