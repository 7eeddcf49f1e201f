//! Services that are containers, beside jobs in containers, against a real engine.

use nixactions::engine::event::JobResult;
use serde_json::{Value, json};

use crate::engines::{self, IMAGE};
use crate::harness::{Ended, Run, step, with};

/// An image whose command serves `/www` on port 8080, after a moment.
const SERVER: &str = "nixactions-test-server:latest";

fn options(network: Option<&str>) -> Value {
    let engine = engines::shared();
    static MADE: std::sync::Once = std::sync::Once::new();
    MADE.call_once(|| {
        let serve = "mkdir -p /www && echo \"$GREETING\" > /www/index.html && echo serving && sleep 0.5 && exec httpd -f -p 8080 -h /www";
        let made = engine.ask(&["create", "--name", "server-base", IMAGE, "true"]);
        assert!(!made.is_empty());
        let change = format!("CMD {}", json!(["sh", "-c", serve]));
        let made = engine.ask(&["commit", "--change", &change, "server-base", SERVER]);
        assert!(made.contains("sha256"), "{made}");
        engine.ask(&["rm", "server-base"]);
    });
    let mut options =
        json!({ "image": IMAGE, "socket": engine.socket(), "pull": "never", "copyRepo": false });
    if let Some(network) = network {
        options["network"] = json!(network);
    }
    options
}

fn job(name: &str, network: Option<&str>, services: Value) -> Value {
    let executor = json!({ "kind": "oci", "name": name, "options": options(network) });
    json!({ "executor": executor, "services": services })
}

fn server(ports: &[&str]) -> Value {
    json!({ "name": "web", "image": SERVER, "ports": ports, "env": { "GREETING": "hello" } })
}

fn assert_clean(name: &str) {
    let engine = engines::shared();
    let filter = "label=nixactions.beside";
    let containers = engine.ask(&["ps", "-a", "--filter", filter, "--format", "{{.Names}}"]);
    let networks = engine.ask(&["network", "ls", "--filter", filter, "--format", "{{.Name}}"]);
    let left = format!("{containers}{networks}");
    assert!(!left.lines().any(|line| line.contains(&format!("-{name}-"))), "{left}");
}

fn fetches(name: &str, network: Option<&str>, url: &str) -> Ended {
    let fetch = format!("wget -q -O - {url}");
    let ended =
        Run::new().job_with("j", &[step(&fetch)], job(name, network, json!([server(&["8080"])]))).run();
    assert_eq!(ended.result("j"), JobResult::Success, "{}", ended.all_json());
    let lines = ended.lines("j");
    assert!(lines.contains(&"web | serving".into()) && lines.contains(&"hello".into()), "{lines:?}");
    assert_clean(name);
    ended
}

#[test]
fn a_container_is_reached_by_its_name_on_a_network_of_the_job() {
    fetches("net", None, "http://web:8080/");
}

#[test]
fn a_container_without_a_network_is_reached_inside_the_jobs_own() {
    fetches("inside", Some("none"), "http://web:8080/");
}

#[test]
fn a_container_on_the_machines_network_is_reached_on_the_machine() {
    fetches("machine", Some("host"), "http://web:8080/");
}

#[test]
fn a_container_is_reached_from_a_network_that_the_executor_names() {
    engines::shared().ask(&["network", "create", "mine"]);
    fetches("named", Some("mine"), "http://web:8080/");
}

#[test]
fn jobs_beside_each_other_have_their_own_services() {
    let mut run = Run::new().workflow(json!({ "maxParallel": 3 }));
    for n in 0..3 {
        let service = json!({ "name": "web", "image": SERVER, "ports": ["8080"], "env": { "GREETING": format!("to {n}") } });
        run = run.job_with(
            &format!("j{n}"),
            &[step("sleep 0.5; wget -q -O - http://web:8080/")],
            job("each", None, json!([service])),
        );
    }
    let ended = run.run();
    for n in 0..3 {
        let lines = ended.lines(&format!("j{n}"));
        assert!(lines.contains(&format!("to {n}")), "{lines:?}: {}", ended.all_json());
    }
    assert_clean("each");
}

#[test]
fn a_port_is_published_on_the_machine_when_both_are_named() {
    let port = crate::sshd::free_port();
    let ports = format!("{port}:8080");
    let wait = step("echo up; sleep 30");
    let mut run = Run::new().job_with("j", &[wait], job("published", None, json!([server(&[&ports])])));
    run.signal_after_line = Some(("up", 2));
    let asked = std::thread::spawn(move || {
        let begun = std::time::Instant::now();
        loop {
            use std::io::{Read, Write};
            let mut text = String::new();
            if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port))
                && stream.write_all(b"GET / HTTP/1.0\r\n\r\n").is_ok()
                && stream.read_to_string(&mut text).is_ok()
                && text.contains("hello")
            {
                return true;
            }
            if begun.elapsed().as_secs() > 60 {
                return false;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
    let ended = run.run();
    assert!(asked.join().expect("a thread"), "{}", ended.all_json());
    assert_eq!(ended.code(), 130);
    assert_clean("published");
}

#[test]
fn a_container_that_ends_before_it_is_ready_fails_the_job() {
    let service = json!([{ "name": "web", "image": IMAGE, "ports": ["8080"] }]);
    let mut fields = job("short", None, service);
    fields["services"][0]["image"] = json!(SERVER);
    fields["services"][0]["env"] = json!({ "PATH": "/nowhere" });
    let ended = Run::new().job_with("j", &[step("echo never")], fields).run();
    let said = ended.all_json();
    assert!(said.contains("service `web`") && !said.contains("\"never\""), "{said}");
    assert_ne!(ended.code(), 0);
    assert_clean("short");
}

#[test]
fn a_missing_image_of_a_service_is_named() {
    let service = json!([{ "name": "db", "image": "no-such-database:1", "ports": ["5432"] }]);
    let ended = Run::new().job_with("j", &[step("true")], job("lacking", None, service)).run();
    let said = ended.all_json();
    assert!(said.contains("no image `no-such-database:1`") && ended.code() == 3, "{said}");
    assert_clean("lacking");
}

#[test]
fn a_health_script_runs_in_the_job() {
    let mut service = server(&[]);
    service["health"] = json!("wget -q -O - http://web:8080/ | grep -q hello");
    let ended = Run::new()
        .job_with("j", &[step("wget -q -O - http://web:8080/")], job("health", None, json!([service])))
        .run();
    assert!(ended.lines("j").contains(&"hello".into()), "{}", ended.all_json());
}

#[test]
fn a_script_as_service_is_asked_where_it_runs() {
    let port = crate::sshd::free_port();
    let serve = format!("mkdir w; echo inside > w/index.html; sleep 0.3; exec httpd -f -p {port} -h w");
    let service = json!([{ "name": "web", "script": serve, "ports": [port.to_string()] }]);
    let fetch = format!("wget -q -O - http://127.0.0.1:{port}/");
    let ended = Run::new().job_with("j", &[step(&fetch)], job("script", Some("none"), service)).run();
    assert_eq!(ended.lines("j"), ["inside"], "{}", ended.all_json());
}

#[test]
fn a_killed_run_leaves_no_container_and_no_network_after_the_next() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ci.nix");
    let text = |seconds: u32| {
        format!(
            "{{ nixactions, ... }}: nixactions.mkWorkflow {{ name = \"w\"; jobs.j = {{
              executor = nixactions.executors.oci {{ image = \"{IMAGE}\"; socket = \"{}\"; pull = \"never\"; copyRepo = false; name = \"killed\"; }};
              services.web = {{ image = \"{SERVER}\"; ports = [ 8080 ]; }};
              steps = [ {{ bash = \"echo up; sleep {seconds}\"; }} ]; }}; }}",
            engines::shared().socket().display()
        )
    };
    options(None);
    std::fs::write(&file, text(4719)).expect("written");
    let start = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_nixactions"));
        command
            .args(["run", "--format", "simple"])
            .arg(&file)
            .env("XDG_CACHE_HOME", dir.path().join("cache"));
        command.stdout(std::process::Stdio::piped()).spawn().expect("nixactions")
    };
    let mut runner = start();
    let mut out = std::io::BufReader::new(runner.stdout.take().expect("an output"));
    let mut line = String::new();
    while !line.contains("up") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut out, &mut line).expect("a line") > 0, "it ended early");
    }
    runner.kill().expect("killed");
    runner.wait().expect("reaped");
    std::fs::write(&file, text(0)).expect("written");
    assert!(start().wait().expect("ended").success());
    assert_clean("killed");
    let left = engines::shared().containers();
    assert!(!left.iter().any(|name| name.contains("-killed-")), "{left:?}");
}

#[test]
fn other_executors_say_what_to_do_instead() {
    let executor = json!({ "kind": "local", "name": "local", "options": { "copyRepo": false } });
    let fields = with(json!({ "executor": executor }), json!({ "services": [server(&["8080"])] }));
    let ended = Run::new().job_with("j", &[step("true")], fields).run();
    let said = ended.all_json();
    assert!(said.contains("runs no containers") && said.contains("executors.oci"), "{said}");
    assert_eq!(ended.code(), 3);
}
