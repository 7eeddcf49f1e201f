//! The runner dies at every record of the journal, and the run goes on as if nothing had happened.
//!
//! The runner is this test program once more, as a process of its own that kills itself.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use nixactions::engine::begin::{Choice, Record};
use nixactions::engine::event::{EventKind, Failure, JobResult};
use nixactions::engine::history::journal::{Gate, Moment};
use nixactions::engine::history::record;
use nixactions::engine::history::replay::replay;
use nixactions::engine::history::store::{self, Entry};
use serde_json::json;

use crate::harness::{Ended, Run, step, step_with};

/// A run with everything that a journal tells of: artifacts, a failure, skips, retries, conditions.
fn workflow(root: &Path) -> Run {
    let ran = root.join("ran");
    let note = |job: &str, more: &str| step(&format!("echo {job} >> {}; {more}", ran.display()));
    let needs = |needs: &[&str]| json!({ "needs": needs });
    let retry = json!({ "maxAttempts": 2, "backoff": "constant", "minTimeMs": 1, "maxTimeMs": 1 });
    Run::at(root)
        .workflow(json!({ "maxParallel": 2 }))
        .job_with(
            "a",
            &[note("a", "mkdir d; seq 20000 > d/numbers")],
            json!({ "outputs": [{ "name": "numbers", "path": "d" }] }),
        )
        .job_with(
            "b",
            &[note("b", "wc -l < in/d/numbers > sum")],
            json!({ "needs": ["a"], "inputs": [{ "name": "numbers", "path": "in" }],
                    "outputs": [{ "name": "sum", "path": "sum" }] }),
        )
        .job_with("c", &[note("c", "exit 3")], json!({ "needs": ["a"], "continueOnError": true }))
        .job_with(
            "d",
            &[note("d", "cat sum"), step_with("exit 1", json!({ "retry": retry }))],
            json!({ "needs": ["b", "c"], "inputs": [{ "name": "sum", "path": "." }] }),
        )
        .job_with("e", &[note("e", "")], needs(&["d"]))
        .job_with("f", &[note("f", "")], json!({ "needs": ["d"], "condition": { "expr": "failure" } }))
        .job_with("g", &[note("g", "")], json!({ "condition": { "script": "exit 9" } }))
}

fn recorded(run: Run, gate: Option<Gate>, choice: Choice) -> Ended {
    let (plan, mut options) = (run.plan(), run.options());
    options.record = Some(Record { gate, ..Record::default() });
    options.choice = choice;
    run.run_with(plan, options)
}

fn results(ended: &Ended) -> BTreeMap<String, JobResult> {
    ["a", "b", "c", "d", "e", "f", "g"].iter().map(|job| ((*job).to_owned(), ended.result(job))).collect()
}

fn entry(root: &Path) -> Entry {
    store::find(&root.join("cache"), None).expect("a run")
}

/// The runner that dies. A test of its own name, so that the program can be told to run just this.
#[test]
fn runner_that_dies() {
    let Some(root) = std::env::var_os("CRASH_ROOT").map(PathBuf::from) else { return };
    let number: u64 = std::env::var("CRASH_AT").expect("set").parse().expect("a number");
    let moment =
        if std::env::var("CRASH_MOMENT").expect("set") == "before" { Moment::Before } else { Moment::After };
    let gate: Gate = Arc::new(move |now, record, _| {
        if now == moment && record == number {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?;
        }
        Ok(())
    });
    let choice = match store::find(&root.join("cache"), None) {
        Ok(entry) => Choice::resume(&entry, &workflow(&root).plan()).expect("resumable"),
        Err(_) => Choice::default(),
    };
    recorded(workflow(&root), Some(gate), choice);
}

/// Runs, or resumes, until the record of this number; whether it got there.
fn die_at(root: &Path, number: u64, moment: &str) -> bool {
    let status = Command::new(std::env::current_exe().expect("this program"))
        .args(["resume::runner_that_dies", "--exact"])
        .env("CRASH_ROOT", root)
        .env("CRASH_AT", number.to_string())
        .env("CRASH_MOMENT", moment)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("started");
    assert!(status.success() || status.signal() == Some(9), "{status}");
    !status.success()
}

/// Resumes, and holds the end to what an uninterrupted run gives.
fn resume_and_compare(root: &Path, expected: &BTreeMap<String, JobResult>, what: &str) {
    let before = record::read(&entry(root).journal()).map(|found| replay(&found.events)).unwrap_or_default();
    let ran_before = std::fs::read_to_string(root.join("ran")).unwrap_or_default();
    let choice = Choice::resume(&entry(root), &workflow(root).plan()).expect("resumable");
    let ended = recorded(workflow(root), None, choice);
    assert_eq!(&results(&ended), expected, "{what}");
    assert_eq!(ended.code(), 1, "{what}");
    let ran = std::fs::read_to_string(root.join("ran")).expect("something ran");
    for (job, _) in before.ended {
        let times = |text: &str| text.lines().filter(|line| *line == &*job).count();
        assert_eq!(times(&ran), times(&ran_before), "{what}: {job} had ended and ran again");
    }
    if !ran_before.lines().any(|line| line == "d") {
        assert!(ended.lines("d").contains(&"20000".to_owned()), "{what}: {:?}", ended.lines("d"));
    }
    // The journal as a whole tells one story with one end.
    let whole = replay(&record::read(&entry(root).journal()).expect("readable").events);
    let told: BTreeMap<String, JobResult> =
        whole.ended.iter().map(|(job, end)| (job.to_string(), end.result)).collect();
    assert_eq!(&told, expected, "{what}");
    assert!(whole.result.is_some() && whole.interrupted.is_empty(), "{what}");
}

fn uninterrupted() -> (BTreeMap<String, JobResult>, u64) {
    let root = tempfile::tempdir().expect("tempdir");
    let ended = recorded(workflow(root.path()), None, Choice::default());
    let records = record::read(&entry(root.path()).journal()).expect("readable").events.len();
    (results(&ended), records as u64)
}

fn full() -> bool {
    std::env::var_os("NIXACTIONS_TEST_FULL").is_some_and(|value| value == "1")
}

#[test]
fn a_run_killed_at_any_record_goes_on_and_ends_the_same() {
    let (expected, records) = uninterrupted();
    assert_eq!(expected["d"], JobResult::Failure);
    assert!(records > 30, "{records}");
    // Record 0 is the run itself: before it there is nothing to resume.
    for number in 1..records {
        for moment in ["before", "after"] {
            if !full() && (number + 2 * u64::from(moment == "after")) % 4 != 0 {
                continue;
            }
            let root = tempfile::tempdir().expect("tempdir");
            if die_at(root.path(), number, moment) {
                resume_and_compare(root.path(), &expected, &format!("killed {moment} record {number}"));
            }
        }
    }
}

#[test]
fn a_run_killed_over_and_over_goes_on_and_ends_the_same() {
    let (expected, _) = uninterrupted();
    let root = tempfile::tempdir().expect("tempdir");
    // Each time a little further: the records of a resumed run are counted from its own beginning.
    let deaths = (2..).step_by(5).take(12).filter(|&number| die_at(root.path(), number, "after")).count();
    assert!(deaths >= 4, "{deaths}");
    resume_and_compare(root.path(), &expected, "after many deaths");
}

#[test]
fn a_torn_last_record_costs_only_itself() {
    let (expected, records) = uninterrupted();
    for cut in [1, 7, 40] {
        let root = tempfile::tempdir().expect("tempdir");
        assert!(die_at(root.path(), records / 2, "after"));
        let journal = entry(root.path()).journal();
        let bytes = std::fs::read(&journal).expect("there");
        std::fs::write(&journal, &bytes[..bytes.len() - cut]).expect("torn");
        let choice = Choice::resume(&entry(root.path()), &workflow(root.path()).plan()).expect("resumable");
        assert_eq!(results(&recorded(workflow(root.path()), None, choice)), expected, "{cut} bytes torn off");
    }
}

#[test]
fn a_disk_that_takes_no_more_records_is_told_and_the_run_goes_on() {
    let root = tempfile::tempdir().expect("tempdir");
    let gate: Gate = Arc::new(|moment, record, _| match (moment, record) {
        (Moment::Before, 12..) => Err(std::io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    });
    let ended = recorded(workflow(root.path()), Some(gate), Choice::default());
    assert_eq!(ended.code(), 1);
    assert!(ended.all_json().contains("the journal"), "{}", ended.all_json());
    assert!(Choice::resume(&entry(root.path()), &workflow(root.path()).plan()).is_err());
}

#[test]
fn a_job_that_must_not_run_twice_ends_as_interrupted() {
    let root = tempfile::tempdir().expect("tempdir");
    let deploy = |root: &Path| {
        let script = format!("echo deployed >> {}/deployed; sleep 60", root.display());
        Run::at(root).job_with("deploy", &[step(&script)], json!({ "idempotent": false })).job_with(
            "after",
            &[step("true")],
            json!({ "needs": ["deploy"] }),
        )
    };
    // What a death in the middle of the step leaves: the journal up to its start.
    let gate: Gate = Arc::new(|moment, _, event| match (&event.kind, moment) {
        (EventKind::StepFinished { .. }, Moment::Before) => Err(std::io::ErrorKind::Interrupted.into()),
        _ => Ok(()),
    });
    let mut run = deploy(root.path());
    run.signals = vec![(400, 2)];
    recorded(run, Some(gate), Choice::default());
    let journal = entry(root.path()).journal();
    let aside = journal.with_file_name("journal.broken");
    std::fs::rename(aside, &journal).expect("put back");
    let choice = Choice::resume(&entry(root.path()), &deploy(root.path()).plan()).expect("resumable");
    let ended = recorded(deploy(root.path()), None, choice);
    assert_eq!((ended.result("deploy"), ended.result("after")), (JobResult::Failure, JobResult::Skipped));
    assert_eq!(
        ended.count(|e| matches!(e, EventKind::JobFinished { failure: Some(Failure::Interrupted), .. })),
        1
    );
    assert_eq!(std::fs::read_to_string(root.path().join("deployed")).expect("ran").lines().count(), 1);
}

#[test]
fn rerunning_what_failed_keeps_the_rest_and_its_artifacts() {
    let root = tempfile::tempdir().expect("tempdir");
    let first = recorded(workflow(root.path()), None, Choice::default());
    assert_eq!(first.result("d"), JobResult::Failure);
    let choice = Choice::rerun_failed(&entry(root.path()), &workflow(root.path()).plan()).expect("known");
    std::fs::remove_file(root.path().join("ran")).expect("there");
    let again = recorded(workflow(root.path()), None, choice);
    let ran = std::fs::read_to_string(root.path().join("ran")).expect("ran");
    let mut ran: Vec<&str> = ran.lines().collect();
    ran.sort_unstable();
    assert_eq!(ran, ["d", "f"]);
    assert!(again.lines("d").contains(&"20000".to_owned()), "the artifact of b must be there");
    assert_eq!(store::list(&root.path().join("cache")).expect("listed").len(), 2);
}
