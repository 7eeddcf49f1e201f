//! What steps print.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nixactions::engine::event::{StepEnd, Stream};
use nixactions::engine::executor::{Cancel, ExecutorRegistry, OutputSink, StepSpec, StopPolicy, Workspace};
use nixactions::exec::registry::Registry;
use serde_json::json;

use super::Venue;
use crate::harness::{Run, step, step_with};

/// Counts and hashes what comes, and keeps the first of it.
#[derive(Default)]
struct Meter {
    out: Mutex<(u64, blake3::Hasher, Vec<u8>)>,
    err: Mutex<(u64, blake3::Hasher, Vec<u8>)>,
}

impl OutputSink for Meter {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        let mut meter = if stream == Stream::Stdout { &self.out } else { &self.err }.lock().unwrap();
        meter.0 += bytes.len() as u64;
        meter.1.update(bytes);
        let room = 1_000_000_usize.saturating_sub(meter.2.len()).min(bytes.len());
        meter.2.extend_from_slice(&bytes[..room]);
    }
}

/// Runs one script through the executor's trait alone.
fn through_the_trait(venue: &Venue, script: &str) -> (StepEnd, Meter) {
    let home = tempfile::tempdir().unwrap();
    let run_dir = home.path().join("runs/test-output");
    std::fs::create_dir_all(run_dir.join("ws")).unwrap();
    let executor = venue.executor("copyRepo", json!(false));
    let job: nixactions::workflow::plan::Job =
        serde_json::from_value(json!({ "name": "j", "executor": executor, "steps": [] })).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let meter = Meter::default();
    let end = runtime.block_on(async {
        let executor = Registry
            .create(Workspace {
                run: format!("test-output-{}", std::process::id()).as_str().into(),
                project_dir: home.path().into(),
                run_dir,
                executor: job.executor.clone(),
                keep: false,
                stop: StopPolicy::default(),
                deps: Vec::new(),
            })
            .unwrap();
        let cancel = Cancel::new();
        executor.prepare_workspace(&cancel).await.unwrap();
        let site = executor.prepare_job(&job, 1, &cancel).await.unwrap();
        let path = site.machine.iter().flatten().find(|(name, _)| name == "PATH").map(|(_, v)| v.clone());
        let path = path.or_else(|| std::env::var_os("PATH")).unwrap();
        let spec = StepSpec {
            label: "step".into(),
            argv: ["bash", "-euo", "pipefail"].map(OsString::from).to_vec(),
            script: Some(script.into()),
            env: Arc::new(vec![("PATH".into(), path)]),
            workdir: PathBuf::from("."),
            timeout: Some(Duration::from_secs(500)),
            limits: None,
        };
        let end = executor.run_step(&site, &spec, &meter, &cancel).await;
        executor.finish_job(&site).await.unwrap();
        executor.cleanup_workspace().await.unwrap();
        end
    });
    (end, meter)
}

pub(crate) fn binary_output_is_exact(venue: &Venue) {
    let script = "for i in $(seq 0 255); do printf \"\\\\$(printf %o $i)\"; done > bytes; cat bytes bytes; cat bytes >&2; printf '\\002'; printf '\\002' >&2";
    let (end, meter) = through_the_trait(venue, script);
    assert_eq!(end, StepEnd::Exit { code: 0 });
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(meter.out.lock().unwrap().2, [&all[..], &all, &[2]].concat());
    assert_eq!(meter.err.lock().unwrap().2, [&all[..], &[2]].concat());
}

pub(crate) fn much_output_is_whole(venue: &Venue) {
    // A gibibyte when asked for; else enough to fill every buffer on the way many times.
    let full = std::env::var_os("NIXACTIONS_TEST_FULL").is_some_and(|v| v == "1");
    let mebibytes: u64 = if full { 1024 } else { 24 };
    let script = format!(
        "yes 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde | head -c {0} >&2 &
         yes 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde | head -c {0} || :; wait; printf END",
        mebibytes * 1024 * 1024
    );
    let (end, meter) = through_the_trait(venue, &script);
    assert_eq!(end, StepEnd::Exit { code: 0 });
    let line = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";
    let mut hasher = blake3::Hasher::new();
    let block = line.repeat(1024 * 16);
    for _ in 0..mebibytes {
        hasher.update(&block);
    }
    let (err, mut both) = (meter.err.lock().unwrap(), hasher.clone());
    assert_eq!(err.0, mebibytes * 1024 * 1024);
    assert!(err.1.finalize() == hasher.finalize(), "the error stream has another content");
    both.update(b"END");
    let out = meter.out.lock().unwrap();
    assert_eq!(out.0, mebibytes * 1024 * 1024 + 3);
    assert!(out.1.finalize() == both.finalize(), "the output stream has another content");
}

pub(crate) fn long_scripts_and_environments_are_taken(venue: &Venue) {
    let comment = "# a long comment, and it's quoted\n".repeat(8000);
    let script = format!("{comment}echo ${{#LARGE}}\n");
    let fields = json!({ "env": { "LARGE": "x".repeat(100_000) } });
    let ended = Run::new().job_with("j", &[step_with(&script, fields)], venue.bare()).run();
    assert_eq!(ended.lines("j"), ["100000"], "{}", &ended.all_json()[..500]);
}

pub(crate) fn two_streams_stay_two(venue: &Venue) {
    use nixactions::engine::event::EventKind;
    let ended = venue.run(&[step("echo out; echo err >&2; printf 'no newline' >&2")]);
    let lines: Vec<(Stream, String)> = ended
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Log { stream, text, .. } => Some((*stream, text.to_text().into_owned())),
            _ => None,
        })
        .collect();
    assert!(lines.contains(&(Stream::Stdout, "out".into())), "{lines:?}");
    assert!(lines.contains(&(Stream::Stderr, "err".into())), "{lines:?}");
    assert!(lines.contains(&(Stream::Stderr, "no newline".into())), "{lines:?}");
}
