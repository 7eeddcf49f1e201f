//! The oci executor, against a real engine.

use serde_json::{Value, json};

use crate::conformance::{Venue, conforms};
use crate::engines::{self, IMAGE};
use crate::harness::{Run, step};

fn options() -> Value {
    let engine = engines::shared();
    json!({ "image": IMAGE, "network": "host", "socket": engine.socket(), "pull": "never" })
}

fn venue() -> Venue {
    Venue::new("oci", options(), ())
}

fn isolated() -> Venue {
    let mut options = options();
    options["mode"] = json!("isolated");
    Venue::new("oci", options, ())
}

mod suite {
    use super::*;
    conforms!(super::venue);
    conforms!(super::venue: a_server_that_hides_is_found);
}

mod suite_isolated {
    use super::*;
    conforms!(super::isolated:
        job_env_reaches_later_steps
        artifacts_keep_modes_links_and_dotfiles
        the_project_is_there_and_git_works_in_it
        exit_codes_are_kept
        memory_is_limited_and_the_log_says_by_what
        a_timeout_ends_the_whole_tree
        jobs_run_beside_each_other
        nothing_is_left_behind
    );
}

fn run(options: Value, script: &str) -> crate::harness::Ended {
    let executor = json!({ "kind": "oci", "name": "oci", "options": options });
    Run::new().job_with("j", &[step(script)], json!({ "executor": executor })).run()
}

fn with(name: &str, value: Value) -> Value {
    let mut all = options();
    all["copyRepo"] = json!(false);
    all[name] = value;
    all
}

#[test]
fn a_missing_image_is_named() {
    let ended = run(with("image", json!("no-such-image:1")), "true");
    let said = ended.all_json();
    assert!(said.contains("no image `no-such-image:1`") && ended.code() == 3, "{said}");
}

#[test]
fn an_engine_that_is_not_there_is_named() {
    let ended = run(with("socket", json!("/nonexistent/docker.sock")), "true");
    let said = ended.all_json();
    assert!(said.contains("/nonexistent/docker.sock") && ended.code() == 3, "{said}");
}

#[test]
fn steps_run_as_the_user() {
    let ended = run(with("user", json!("1000:1000")), "id -u; echo x > file; stat -c %u file; echo $HOME");
    assert_eq!(ended.lines("j"), ["1000", "1000", "/tmp"], "{}", ended.all_json());
}

#[test]
fn the_container_has_its_environment_and_mounts() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("f"), "mounted").expect("written");
    let mut all = with("extraMounts", json!([{ "source": dir.path(), "target": "/mnt/here" }]));
    all["containerEnv"] = json!({ "PATH": "/bin:/only/in/the/container" });
    let ended =
        run(all, "cat /mnt/here/f; echo; echo $PATH; touch /mnt/here/g 2>/dev/null || echo read-only");
    assert_eq!(
        ended.lines("j"),
        ["mounted", "/bin:/only/in/the/container", "read-only"],
        "{}",
        ended.all_json()
    );
}

#[test]
fn a_step_over_the_memory_limit_is_told_so() {
    let script = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}";
    let ended = run(with("resources", json!({ "memory": "48M" })), script);
    let said = ended.all_json();
    assert!(said.contains("memory limit of 48M"), "{said}");
    assert_eq!(ended.code(), 1, "it is the job's own doing: {said}");
}

#[test]
fn a_runner_that_is_killed_leaves_no_container() {
    let engine = engines::shared();
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ci.nix");
    let socket = engine.socket();
    let text = format!(
        "{{ nixactions, ... }}: nixactions.mkWorkflow {{ name = \"w\"; jobs.j = {{
          executor = nixactions.executors.oci {{ image = \"{IMAGE}\"; network = \"host\"; socket = \"{}\"; pull = \"never\"; copyRepo = false; }};
          steps = [ {{ bash = \"echo up; sleep 4714\"; }} ]; }}; }}",
        socket.display()
    );
    std::fs::write(&file, text).expect("written");
    let mut runner = std::process::Command::new(env!("CARGO_BIN_EXE_nixactions"))
        .args(["run", "--format", "simple"])
        .arg(&file)
        .env("XDG_CACHE_HOME", dir.path().join("cache"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("nixactions");
    let mut out = std::io::BufReader::new(runner.stdout.take().expect("an output"));
    let mut line = String::new();
    while !line.contains("up") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut out, &mut line).expect("a line") > 0, "it ended early");
    }
    let mine = |names: &[String]| names.iter().any(|name| name.ends_with("-oci"));
    assert!(mine(&engine.containers()));
    runner.kill().expect("killed");
    runner.wait().expect("reaped");
    let begun = std::time::Instant::now();
    while arguments_hold("4714") {
        assert!(begun.elapsed().as_secs() < 10, "the step runs on without its runner");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn arguments_hold(text: &str) -> bool {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = entries.map(|entry| std::fs::read(entry.path().join("cmdline")).unwrap_or_default());
    lines
        .into_iter()
        .any(|line| line.starts_with(b"sleep\0") && memchr::memmem::find(&line, text.as_bytes()).is_some())
}

#[test]
fn an_engine_that_is_restarted_in_a_step_loses_it_and_says_so() {
    let mut engine = engines::Engine::start();
    let mut all = with("socket", json!(engine.socket()));
    all["name"] = json!("restarted");
    let runner = std::thread::spawn(move || run(all, "echo up; sleep 4715"));
    let begun = std::time::Instant::now();
    while !arguments_hold("4715") {
        assert!(begun.elapsed().as_secs() < 60, "the step does not start");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    engine.restart();
    let ended = runner.join().expect("a run");
    let said = ended.all_json();
    assert_eq!(ended.code(), 3, "{said}");
    assert!(said.contains("engine") || said.contains("has ended"), "{said}");
}
