//! What goes wrong on the way to a host and on it, and what is said of it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nixactions::engine::event::JobResult;
use serde_json::{Value, json};

use crate::harness::{Ended, Run, step, with};
use crate::proxy::{Proxy, Way};
use crate::sshd::{Sshd, free_port, runs_below};

/// An executor for a host, reached through a port of this machine.
fn through(host: &Sshd, port: u16) -> Value {
    let key = fs::read_to_string(host.dir.path().join("host.pub")).expect("a key");
    let known = host.dir.path().join(format!("known.{port}"));
    fs::write(&known, format!("[127.0.0.1]:{port} {key}")).expect("written");
    with(host.options(), json!({ "port": port, "knownHosts": known, "copyRepo": false }))
}

fn executor(options: Value) -> Value {
    json!({ "executor": { "kind": "ssh", "name": "ssh", "options": options } })
}

fn one(options: Value, script: &str) -> Ended {
    Run::new().job_with("j", &[step(script)], executor(options)).run()
}

/// The machine is to blame, and these words say for what.
fn assert_infrastructure(ended: &Ended, words: &[&str]) {
    let said = ended.all_json();
    assert_eq!(ended.code(), 3, "{said}");
    assert!(words.iter().any(|word| said.contains(word)), "none of {words:?} in {said}");
}

fn wait_for(what: &str, seconds: u64, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(seconds), "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A script that says that it has begun, and prints for two seconds.
fn counting(mark: &Path) -> String {
    format!(
        "touch {}; for i in {{1..100}}; do echo line $i; echo err $i >&2; sleep 0.02; done",
        mark.display()
    )
}

fn assert_counted(ended: &Ended) {
    let lines = ended.lines("j");
    for word in ["line", "err"] {
        let of: Vec<&String> = lines.iter().filter(|line| line.starts_with(word)).collect();
        let want: Vec<String> = (1..=100).map(|n| format!("{word} {n}")).collect();
        assert_eq!(of, want.iter().collect::<Vec<_>>(), "{}", ended.all_json());
    }
    assert_eq!(ended.code(), 0, "{}", ended.all_json());
}

#[test]
fn a_connection_cut_in_a_step_is_made_again_and_no_output_is_lost() {
    let host = Sshd::start();
    let proxy = Proxy::to(host.port);
    let mark = host.dir.path().join("begun");
    let (options, script) = (through(&host, proxy.port), counting(&mark));
    let run = std::thread::spawn(move || one(options, &script));
    wait_for("the step", 60, || mark.exists());
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(400));
        proxy.cut();
    }
    assert_counted(&run.join().expect("a run"));
    assert!(proxy.accepted() >= 2, "the connection was made again");
    assert!(runs_below(&host.workspaces()).is_empty());
}

#[test]
fn a_step_that_ends_while_the_connection_is_away_is_heard_of() {
    let host = Sshd::start();
    let proxy = Proxy::to(host.port);
    let mark = host.dir.path().join("begun");
    let script = format!("echo before; touch {}; sleep 0.5; echo after; exit 7", mark.display());
    let options = through(&host, proxy.port);
    let run = std::thread::spawn(move || one(options, &script));
    wait_for("the step", 60, || mark.exists());
    proxy.refuse(true);
    proxy.cut();
    std::thread::sleep(Duration::from_secs(2));
    proxy.refuse(false);
    let ended = run.join().expect("a run");
    assert_eq!(ended.lines("j"), ["before", "after"], "{}", ended.all_json());
    assert_eq!((ended.result("j"), ended.code()), (JobResult::Failure, 1));
    assert!(ended.all_json().contains("\"code\":7"), "{}", ended.all_json());
}

#[test]
fn a_garbled_connection_is_made_again_in_a_step() {
    for way in [Way::FromHost, Way::ToHost] {
        let host = Sshd::start();
        let proxy = Proxy::to(host.port);
        let mark = host.dir.path().join("begun");
        let (options, script) = (through(&host, proxy.port), counting(&mark));
        let run = std::thread::spawn(move || one(options, &script));
        wait_for("the step", 60, || mark.exists());
        proxy.garble_after(way, 1, false);
        assert_counted(&run.join().expect("a run"));
    }
}

#[test]
fn a_slow_connection_changes_nothing() {
    let host = Sshd::start();
    let proxy = Proxy::to(host.port);
    proxy.delay(Duration::from_millis(30));
    let ended = one(through(&host, proxy.port), "echo here; echo there >&2");
    assert_eq!((ended.lines("j").len(), ended.code()), (2, 0), "{}", ended.all_json());
}

#[test]
fn a_connection_cut_or_garbled_while_it_is_made_is_told() {
    for bytes in [1, 700, 2500] {
        let host = Sshd::start();
        let proxy = Proxy::to(host.port);
        proxy.cut_after(Way::FromHost, bytes, true);
        let ended = one(through(&host, proxy.port), "echo never");
        assert_infrastructure(&ended, &["host `127.0.0.1`"]);
        let garbling = Proxy::to(host.port);
        garbling.garble_after(Way::FromHost, bytes, true);
        let ended = one(through(&host, garbling.port), "echo never");
        assert_infrastructure(&ended, &["host `127.0.0.1`"]);
        assert!(runs_below(&host.workspaces()).is_empty(), "{bytes}");
    }
}

#[test]
fn a_connection_cut_while_files_travel_is_told() {
    let host = Sshd::start();
    let proxy = Proxy::to(host.port);
    // Incompressible, whatever ssh is configured to.
    let noise = "head -c 4000000 /dev/urandom > big";
    let run = Run::new();
    let mut bytes = vec![0; 4_000_000];
    let mut state = 1u32;
    bytes.iter_mut().for_each(|byte| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 24) as u8;
    });
    fs::write(run.project().join("big"), bytes).expect("written");
    proxy.cut_after(Way::ToHost, 1_000_000, false);
    let staged = with(through(&host, proxy.port), json!({ "copyRepo": true }));
    let ended = run.job_with("j", &[step("echo never")], executor(staged)).run();
    assert_infrastructure(&ended, &["connection to host", "connection to the host", "was lost"]);
    assert!(!ended.lines("j").contains(&"never".to_owned()));

    proxy.cut_after(Way::FromHost, 1_000_000, false);
    let output = json!({ "outputs": [{ "name": "big", "path": "big" }] });
    let ended = Run::new()
        .job_with("j", &[step(noise)], with(executor(through(&host, proxy.port)), output.clone()))
        .run();
    assert_infrastructure(&ended, &["connection to host", "was lost"]);

    let input = json!({ "needs": ["make"], "inputs": [{ "name": "big", "path": "." }] });
    let local = Run::new().job_with("make", &[step(noise)], output);
    proxy.cut_after(Way::ToHost, 1_000_000, false);
    let ended =
        local.job_with("j", &[step("echo never")], with(executor(through(&host, proxy.port)), input)).run();
    assert_infrastructure(&ended, &["connection to host", "was lost"]);
    wait_for("the end of what was left", 15, || runs_below(&host.workspaces()).is_empty());
}

#[test]
fn a_host_that_stays_away_loses_the_step() {
    let host = Sshd::start();
    let proxy = Proxy::to(host.port);
    let mark = host.dir.path().join("begun");
    let script = format!("touch {}; sleep 4722", mark.display());
    let options = through(&host, proxy.port);
    let run = std::thread::spawn(move || one(options, &script));
    wait_for("the step", 60, || mark.exists());
    proxy.refuse(true);
    proxy.cut();
    assert_infrastructure(&run.join().expect("a run"), &["was lost"]);
}

#[test]
fn keys_and_hosts_that_do_not_fit_are_told_apart() {
    let (host, other) = (Sshd::start(), Sshd::start());
    let with_key = |file: &Path| with(through(&host, host.port), json!({ "identityFile": file }));
    let refused = one(with_key(&other.dir.path().join("client")), "true");
    assert_infrastructure(&refused, &["refuses the key"]);
    let unknown = with(through(&host, host.port), json!({ "knownHosts": host.dir.path().join("none") }));
    assert_infrastructure(&one(unknown, "true"), &["is not known"]);
    let wrong = host.dir.path().join("wrong");
    let key = fs::read_to_string(other.dir.path().join("host.pub")).expect("a key");
    fs::write(&wrong, format!("[127.0.0.1]:{} {key}", host.port)).expect("written");
    let changed = with(through(&host, host.port), json!({ "knownHosts": wrong }));
    assert_infrastructure(&one(changed, "true"), &["somebody may be listening"]);
    let down = with(through(&host, host.port), json!({ "port": free_port() }));
    assert_infrastructure(&one(down, "true"), &["is down or cannot be reached"]);
}

#[test]
fn a_host_that_is_full_is_told() {
    let host = Sshd::start();
    let small = host.dir.path().join("small");
    fs::create_dir(&small).expect("made");
    let mount = |args: &[&str]| std::process::Command::new("mount").args(args).arg(&small).status();
    let mounted = mount(&["-t", "tmpfs", "-o", "size=400k,mode=1777", "tmpfs"]);
    assert!(mounted.is_ok_and(|status| status.success()), "this test mounts a small file system, as root");
    let run = Run::new();
    fs::write(run.project().join("large"), vec![1; 2_000_000]).expect("written");
    let options = with(through(&host, host.port), json!({ "copyRepo": true, "workspaceDir": small }));
    let ended = run.job_with("j", &[step("true")], executor(options.clone())).run();
    let input = json!({ "needs": ["make"], "inputs": [{ "name": "big", "path": "." }] });
    let bare = with(options, json!({ "copyRepo": false }));
    let artifact = Run::new()
        .job_with(
            "make",
            &[step("head -c 2000000 /dev/zero > big")],
            json!({ "outputs": [{ "name": "big", "path": "big" }] }),
        )
        .job_with("j", &[step("true")], with(executor(bare), input))
        .run();
    let left = runs_below(&small);
    let unmounted = std::process::Command::new("umount").arg("-l").arg(&small).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert_infrastructure(&ended, &["no space left"]);
    assert_infrastructure(&artifact, &["no space left", "is the file system full"]);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn two_runs_at_once_on_one_host_do_not_meet() {
    let host = Sshd::start();
    let root = tempfile::tempdir().expect("a directory");
    fs::create_dir(root.path().join("project")).expect("made");
    fs::write(root.path().join("project/f"), "of the project").expect("written");
    let options = with(through(&host, host.port), json!({ "copyRepo": true }));
    let runs: Vec<_> = (0..3)
        .map(|_| {
            let (options, root) = (options.clone(), root.path().to_path_buf());
            std::thread::spawn(move || {
                let script = "cat f; echo; echo mine > own; sleep 0.5; ls";
                Run::at(&root).job_with("j", &[step(script)], executor(options)).run()
            })
        })
        .collect();
    for run in runs {
        let ended = run.join().expect("a run");
        assert_eq!(ended.lines("j"), ["of the project", "f", "own"], "{}", ended.all_json());
    }
    assert!(runs_below(&host.workspaces()).is_empty());
}

fn accepted(host: &Sshd) -> usize {
    host.log().matches("Accepted publickey").count()
}

#[test]
fn fifty_jobs_share_one_connection() {
    let host = Sshd::start();
    let mut run = Run::new().workflow(json!({ "maxParallel": 50 }));
    for n in 0..50 {
        let script = format!("echo {n}");
        run = run.job_with(&format!("j{n}"), &[step(&script)], executor(through(&host, host.port)));
    }
    let ended = run.run();
    for n in 0..50 {
        assert_eq!(ended.lines(&format!("j{n}")), [n.to_string()], "{}", ended.all_json());
    }
    assert_eq!(accepted(&host), 1, "{}", host.log());
}

#[test]
fn dedicated_jobs_have_a_connection_each() {
    let host = Sshd::start();
    let options = with(through(&host, host.port), json!({ "mode": "dedicated" }));
    let mut run = Run::new();
    for n in 0..3 {
        run = run.job_with(&format!("j{n}"), &[step("echo here")], executor(options.clone()));
    }
    let ended = run.run();
    assert_eq!(ended.code(), 0, "{}", ended.all_json());
    assert_eq!(accepted(&host), 3);
    assert!(runs_below(&host.workspaces()).is_empty());
}

/// Options of a pool of these ports; all hosts have the key of the first.
fn pool(hosts: &[&Sshd], ports: &[u16]) -> Value {
    let first = hosts[0];
    let known = first.dir.path().join("pool");
    let mut text = String::new();
    for host in hosts {
        let key = fs::read_to_string(host.dir.path().join("host.pub")).expect("a key");
        text += &format!("[127.0.0.1]:{} {key}", host.port);
        let client = fs::read(first.dir.path().join("client.pub")).expect("a key");
        fs::write(host.dir.path().join("authorized"), client).expect("written");
    }
    fs::write(&known, text).expect("written");
    let names: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let mut options =
        with(through(first, first.port), json!({ "mode": "pool", "hosts": names, "knownHosts": known }));
    let map = options.as_object_mut().expect("a set");
    map.remove("host");
    map.remove("port");
    options
}

#[test]
fn a_pool_spreads_jobs_and_goes_around_hosts_that_are_down() {
    let (a, b) = (Sshd::start(), Sshd::start());
    let spread = |ports: &[u16]| {
        let mut run = Run::new().workflow(json!({ "maxParallel": 4 }));
        for n in 0..4 {
            let script = "case $PWD in *.ssh.1/*) echo second;; *) echo first;; esac; sleep 1";
            run = run.job_with(&format!("j{n}"), &[step(script)], executor(pool(&[&a, &b], ports)));
        }
        run.run()
    };
    let both = spread(&[a.port, b.port]);
    let mut seen: Vec<String> = (0..4).flat_map(|n| both.lines(&format!("j{n}"))).collect();
    seen.sort();
    assert_eq!(
        (seen.len(), seen[0].as_str(), seen[3].as_str()),
        (4, "first", "second"),
        "{}",
        both.all_json()
    );
    let around = spread(&[free_port(), b.port]);
    assert_eq!(around.code(), 0, "{}", around.all_json());
    let none = spread(&[free_port(), free_port()]);
    assert_infrastructure(&none, &["no host of the pool can be used"]);
    assert!(none.all_json().contains("is down or cannot be reached"), "{}", none.all_json());
    for host in [&a, &b] {
        assert!(runs_below(&host.workspaces()).is_empty());
    }
}

#[test]
fn a_host_behind_another_is_reached() {
    let (jump, host) = (Sshd::start(), Sshd::start());
    let mut options = pool(&[&host, &jump], &[host.port]);
    let map = options.as_object_mut().expect("a set");
    map.remove("hosts");
    map.remove("mode");
    let reach =
        json!({ "host": "127.0.0.1", "port": host.port, "jumpHost": format!("127.0.0.1:{}", jump.port) });
    let ended = one(with(options, reach), "echo arrived");
    assert_eq!(ended.lines("j"), ["arrived"], "{}", ended.all_json());
    assert_eq!((accepted(&jump), accepted(&host)), (1, 1));
}

#[test]
fn a_killed_runner_leaves_no_process_and_no_directory_on_the_host() {
    let host = Sshd::start();
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ci.nix");
    let mark = host.dir.path().join("begun");
    let text = |seconds: u32| {
        format!(
            "{{ nixactions, ... }}: nixactions.mkWorkflow {{ name = \"w\"; jobs.j = {{
              executor = nixactions.executors.ssh {{ host = \"127.0.0.1\"; port = {}; identityFile = {}; knownHosts = {}; workspaceDir = {};
                options = {{ IdentityAgent = \"none\"; GlobalKnownHostsFile = \"/dev/null\"; }}; }};
              steps = [ {{ bash = \"touch {}; sleep {seconds}\"; }} ]; }}; }}",
            host.port,
            host.dir.path().join("client").display(),
            host.known_hosts().display(),
            host.workspaces().display(),
            mark.display()
        )
    };
    let start = |seconds| {
        fs::write(&file, text(seconds)).expect("written");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_nixactions"));
        command.arg("run").arg(&file).env("XDG_CACHE_HOME", dir.path().join("cache"));
        command.stdout(std::process::Stdio::null()).spawn().expect("nixactions")
    };
    let mut runner = start(4723);
    wait_for("the step", 60, || mark.exists());
    runner.kill().expect("killed");
    runner.wait().expect("reaped");
    let alive = || {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut lines = entries.map(|entry| fs::read(entry.path().join("cmdline")).unwrap_or_default());
        lines.any(|line| line.starts_with(b"sleep\x004723"))
    };
    assert!(start(0).wait().expect("ended").success());
    wait_for("the end of the step", 5, || !alive());
    assert!(runs_below(&host.workspaces()).is_empty());
}
