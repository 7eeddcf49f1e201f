//! The reports of a run that are written or sent at its end, from the program as a whole.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;

const WORKFLOW: &str = r#"{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "demo";
  jobs = {
    build.steps = [ { name = "compile"; bash = "echo made"; } ];
    test = { needs = [ "build" ]; steps = [ { name = "unit"; bash = "echo 'no: <x>' >&2; exit 7"; } ]; };
    deploy = { needs = [ "test" ]; steps = [ { bash = "true"; } ]; };
  };
}
"#;

fn run(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    fs::write(dir.join("ci.nix"), WORKFLOW).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_nixactions"));
    command.args(["run", "ci.nix", "--format", "grouped"]).args(args).current_dir(dir).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["OTEL_", "GITHUB_", "NIXACTIONS_"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.env("XDG_CACHE_HOME", dir.join(".cache")).envs(env.iter().copied());
    command.output().expect("the program starts")
}

#[test]
fn files_are_written_for_a_failed_run_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = run(dir.path(), &["--junit", "j.xml", "--report", "r.html", "--badge", "b.svg"], &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).expect(name);
    assert!(read("j.xml").contains(r#"<failure message="exit code 7"/>"#), "{}", read("j.xml"));
    assert!(read("r.html").contains("no: &lt;x&gt;"), "{}", read("r.html"));
    assert!(read("b.svg").contains("demo: failing"), "{}", read("b.svg"));
}

#[test]
fn a_report_that_cannot_be_written_is_said_before_anything_runs() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = run(dir.path(), &["--junit", "no/such/dir.xml"], &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty() && String::from_utf8_lossy(&output.stderr).contains("no/such/dir.xml"));
}

#[test]
fn github_actions_gets_groups_annotations_and_a_summary() {
    let dir = tempfile::tempdir().expect("a directory");
    let summary = dir.path().join("summary.md");
    let env = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", summary.to_str().expect("text"))];
    let output = run(dir.path(), &[], &env);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("::group::build\n") && out.contains("::endgroup::\n"), "{out}");
    assert!(err.contains("::error title=test / unit::exit code 7%0Ano: <x>\n"), "{err}");
    let text = fs::read_to_string(summary).expect("a summary");
    assert!(text.contains("| ❌ | test |") && text.contains("| ⏭️ | deploy |"), "{text}");
}

/// Takes requests of HTTP/1.1 on this machine; sends each one's path, headers and body.
fn collector(requests: usize) -> (String, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        for _ in 0..requests {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut bytes = Vec::new();
            let mut piece = [0; 4096];
            let (head, begin) = loop {
                let count = stream.read(&mut piece).expect("readable");
                bytes.extend_from_slice(&piece[..count]);
                if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                    break (String::from_utf8_lossy(&bytes[..end]).to_lowercase(), end + 4);
                }
            };
            while bytes.len() < begin + body_length(&head) {
                let count = stream.read(&mut piece).expect("readable");
                bytes.extend_from_slice(&piece[..count]);
            }
            let body = String::from_utf8_lossy(&bytes[begin..]).into_owned();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
                .expect("sent");
            send.send((head, body)).expect("the test listens");
        }
    });
    (address, receive)
}

fn body_length(head: &str) -> usize {
    let line = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    line.map_or(0, |n| n.trim().parse().expect("a number"))
}

#[test]
fn telemetry_goes_where_the_standard_variables_say() {
    let dir = tempfile::tempdir().expect("a directory");
    let (address, requests) = collector(2);
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", address.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-token=abc"),
        ("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let output = run(dir.path(), &[], &env);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let (head, body) = requests.recv().expect("traces");
    assert!(head.starts_with("post /v1/traces ") && head.contains("x-token: abc"), "{head}");
    let traces: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let spans = traces["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().expect("spans");
    let names: Vec<&str> = spans.iter().filter_map(|span| span["name"].as_str()).collect();
    assert_eq!(names, ["RUN demo", "build", "compile", "test", "unit"]);
    assert_eq!(spans[0]["traceId"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(spans[0]["parentSpanId"], "b7ad6b7169203331");
    let (head, body) = requests.recv().expect("metrics");
    assert!(head.starts_with("post /v1/metrics "), "{head}");
    assert!(body.contains("cicd.pipeline.run.duration"), "{body}");
}

#[test]
fn telemetry_that_does_not_arrive_leaves_the_result_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let url = format!("http://127.0.0.1:{port}");
    let output = run(dir.path(), &[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("warning: sending telemetry to"), "{output:?}");
}
