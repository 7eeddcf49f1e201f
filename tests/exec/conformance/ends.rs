//! How steps end.

use nixactions::engine::event::{EventKind, JobResult, StepEnd};
use serde_json::json;

use super::Venue;
use crate::harness::{Ended, Run, step, step_with};

fn ends(ended: &Ended) -> Vec<StepEnd> {
    let end = |kind: &EventKind| match kind {
        EventKind::StepFinished { end, .. } => Some(end.clone()),
        _ => None,
    };
    ended.events.iter().filter_map(|event| end(&event.kind)).collect()
}

pub(crate) fn exit_codes_are_kept(venue: &Venue) {
    let tolerant = json!({ "continueOnError": true });
    let codes = [0, 1, 7, 44, 45, 126, 127, 128, 255];
    let mut steps: Vec<_> = codes.iter().map(|c| step_with(&format!("exit {c}"), tolerant.clone())).collect();
    steps.push(step_with("false | true; echo never", tolerant.clone()));
    steps.push(step_with("echo $UNSET_VARIABLE", tolerant.clone()));
    steps.push(step_with("kill -SEGV $$", tolerant.clone()));
    steps.push(step_with("bash -c 'exit 3'; echo never", tolerant));
    let ended = venue.run(&steps);
    let mut want: Vec<StepEnd> = codes.iter().map(|&code| StepEnd::Exit { code }).collect();
    want.extend([StepEnd::Exit { code: 1 }, StepEnd::Exit { code: 1 }]);
    want.extend([StepEnd::Signal { signal: 11 }, StepEnd::Exit { code: 3 }]);
    assert_eq!(ends(&ended), want, "{}", ended.all_json());
    assert!(!ended.lines("j").iter().any(|line| line == "never"));
}

pub(crate) fn retries_count_and_later_conditions_hold(venue: &Venue) {
    let retry =
        json!({ "retry": { "maxAttempts": 3, "backoff": "constant", "minTimeMs": 1, "maxTimeMs": 1 } });
    let ended = venue.run(&[
        step_with("echo x >> tries; [ $(wc -l < tries) = 3 ]", retry),
        step("exit 9"),
        step("echo never"),
        step_with("echo failure-step", json!({ "condition": { "expr": "failure" } })),
        step_with("echo always-step", json!({ "condition": { "expr": "always" } })),
    ]);
    assert_eq!(ended.lines("j"), ["failure-step", "always-step"], "{}", ended.all_json());
    assert_eq!((ended.result("j"), ended.code()), (JobResult::Failure, 1));
    assert_eq!(ended.count(|kind| matches!(kind, EventKind::StepRetry { .. })), 2);
}

pub(crate) fn a_timeout_ends_the_whole_tree(venue: &Venue) {
    let hang = "trap '' TERM INT
        (trap '' TERM INT; sleep 4711) & (setsid bash -c 'trap \"\" TERM; while :; do sleep 4711; done' >/dev/null 2>&1 &)
        echo before; sleep 4711";
    let ended = venue.run(&[
        step_with(hang, json!({ "timeout": 1000, "continueOnError": true })),
        // The pattern does not match itself.
        step("if cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -q 'sleep 471[1]'; then echo alive; else echo gone; fi"),
    ]);
    let mut lines = ended.lines("j");
    // A shell that outlives its killed child by a moment says so.
    lines.retain(|line| !line.contains("Killed"));
    assert_eq!(lines, ["before", "gone"], "{}", ended.all_json());
    assert_eq!(ends(&ended)[0], StepEnd::Timeout);
}

pub(crate) fn a_cancel_reaches_the_step_and_always_steps_run(venue: &Venue) {
    let mut run = Run::new().job_with(
        "j",
        &[
            step("echo begun; trap '' INT TERM; sleep 4712"),
            step("echo never"),
            step_with("echo cleaned", json!({ "condition": { "expr": "always" } })),
        ],
        venue.bare(),
    );
    run.signal_after_line = Some(("begun", 2));
    let ended = run.run();
    assert_eq!(ended.lines("j"), ["begun", "cleaned"], "{}", ended.all_json());
    assert_eq!((ended.result("j"), ended.code()), (JobResult::Cancelled, 130));
    venue.assert_clean();
}

pub(crate) fn a_cancel_in_order_lets_a_step_clean_up(venue: &Venue) {
    let script = "trap 'echo interrupted; exit 3' INT; echo begun; for i in {1..400}; do sleep 0.05; done";
    let mut run = Run::new().job_with("j", &[step(script)], venue.bare());
    run.signal_after_line = Some(("begun", 2));
    let ended = run.run();
    assert_eq!(ended.lines("j"), ["begun", "interrupted"], "{}", ended.all_json());
    assert_eq!(ended.code(), 130);
}

pub(crate) fn a_program_that_is_missing_is_named(venue: &Venue) {
    let ended = venue.run(&[step_with("true", json!({ "shell": ["no-such-shell", "-e"] }))]);
    let said = ended.all_json();
    assert!(said.contains("no-such-shell") && said.contains("PATH"), "{said}");
    assert_eq!(ended.code(), 3, "{said}");
}

pub(crate) fn memory_is_limited_and_the_log_says_by_what(venue: &Venue) {
    let take = "x=$(head -c 400000000 /dev/zero | tr '\\0' x); echo took ${#x}";
    let limited = venue.bare_with(json!({ "resources": { "memoryBytes": 100 << 20 } }));
    let ended = Run::new().job_with("j", &[step("echo little"), step(take)], limited).run();
    let said = ended.all_json();
    assert!(ended.lines("j").contains(&"little".to_owned()), "{said}");
    assert!(!said.contains("took 4") && said.contains("\"message\":\"resources: "), "{said}");
    assert_eq!((ended.result("j"), ended.code()), (JobResult::Failure, 1), "{said}");
}
