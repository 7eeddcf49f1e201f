//! Nothing survives a run, whatever dies first: whole-program tests with real signals.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Longest wait for something that must happen; it is far shorter when all is well.
const LIMIT: Duration = Duration::from_secs(30);

/// A project with a workflow, and a cache directory of its own.
struct Project {
    root: tempfile::TempDir,
}

/// Jobs that hide in every way that does not need privileges. Each process writes its number into a
/// file of its own; `ready` is there when all of them run.
const HIDING: &str = r#"
    mkdir -p $P
    hide() { echo $BASHPID > $P/$1; }
    # A child that does not want to end.
    (trap "" TERM INT HUP; hide stubborn; while :; do sleep 0.1; done) &
    # A daemon in a session of its own, twice forked.
    (setsid bash -c 'echo $$ > '$P'/daemon; exec sleep 4321' & )
    # A process in a session of its own without our environment.
    env -i setsid /bin/sh -c 'echo $$ > '$P'/stranger; exec sleep 4322' &
    # A chain of processes that fork and exit.
    cat > $P/chain.sh <<'END'
    echo $$ > $P/chain; sleep 0.02; setsid bash $P/chain.sh & exit
END
    setsid bash $P/chain.sh &
    until [ -s $P/stubborn ] && [ -s $P/daemon ] && [ -s $P/stranger ] && [ -s $P/chain ]; do sleep 0.02; done
    trap "" TERM INT
    touch $P/ready
    while :; do sleep 0.1; done
"#;

impl Project {
    fn new(jobs: &str) -> Project {
        let root = tempfile::tempdir().expect("tempdir");
        let text = format!(
            "{{ nixactions }}:\nlet executor = nixactions.executors.local {{ copyRepo = false; }};\n\
             in nixactions.mkWorkflow {{ name = \"care\"; jobs = {{ {jobs} }}; }}\n"
        );
        fs::write(root.path().join("ci.nix"), text).expect("written");
        Project { root }
    }

    fn hiding() -> Project {
        let script = HIDING.replace("''", "'''");
        Project::new(&format!("hide = {{ inherit executor; steps = [ {{ bash = ''{script}''; }} ]; }};"))
    }

    fn path(&self) -> PathBuf {
        self.root.path().join("p")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nixactions"));
        command
            .args(arguments)
            .current_dir(self.root.path())
            .env("XDG_CACHE_HOME", self.root.path().join("cache"))
            .env("P", self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn start(&self) -> Child {
        self.command(&["run", "ci.nix"]).process_group(0).spawn().expect("started")
    }

    fn wait_for(&self, file: &str) {
        let file = self.path().join(file);
        wait_until(&format!("{} is there", file.display()), || file.exists());
    }

    /// Processes that carry anything of this project in their command line or environment.
    fn left(&self) -> Vec<String> {
        let mark = self.root.path().to_string_lossy().into_owned();
        let mut left = Vec::new();
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let pid = entry.file_name().to_string_lossy().into_owned();
            if !pid.bytes().all(|b| b.is_ascii_digit()) || !is_alive(&pid) {
                continue;
            }
            let read = |what: &str| fs::read(entry.path().join(what)).unwrap_or_default();
            let text = [read("cmdline"), read("environ")].concat();
            if String::from_utf8_lossy(&text).contains(&mark) {
                left.push(format!("{pid}: {}", String::from_utf8_lossy(&read("cmdline")).replace('\0', " ")));
            }
        }
        let noted = |name: &str| fs::read_to_string(self.path().join(name)).ok();
        for name in ["stubborn", "daemon", "stranger", "chain"] {
            if let Some(pid) = noted(name).filter(|pid| is_alive(pid.trim())) {
                left.push(format!("{name} {pid}"));
            }
        }
        left
    }

    fn assert_nothing_left(&self) {
        let mut left = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            left = self.left();
            if left.is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("still running: {left:#?}");
    }

    /// Files below the cache directory.
    fn cached(&self, under: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.root.path().join("cache/nixactions").join(under)];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => open.push(entry.path()),
                    _ => found.push(entry.path()),
                }
            }
        }
        found
    }
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LIMIT, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn wait(child: &mut Child) -> ExitStatus {
    child.wait().expect("waited for")
}

#[test]
fn nothing_survives_a_runner_that_is_killed() {
    let project = Project::hiding();
    let mut runner = project.start();
    project.wait_for("ready");
    kill_process(pid(&runner), Signal::KILL).expect("killed");
    assert_eq!(wait(&mut runner).signal(), Some(9));
    project.assert_nothing_left();
    wait_until("workspaces are gone", || {
        project.cached("runs").iter().all(|p| !p.to_string_lossy().contains("/ws/"))
    });
}

#[test]
fn nothing_survives_when_the_runners_whole_group_is_killed() {
    let project = Project::hiding();
    let mut runner = project.start();
    project.wait_for("ready");
    kill_process_group(pid(&runner), Signal::KILL).expect("killed");
    wait(&mut runner);
    project.assert_nothing_left();
}

#[test]
fn nothing_survives_a_cancel_whose_second_signal_hurries() {
    let project = Project::hiding();
    let mut runner = project.start();
    project.wait_for("ready");
    let begun = Instant::now();
    kill_process(pid(&runner), Signal::INT).expect("signalled");
    std::thread::sleep(Duration::from_millis(300));
    kill_process(pid(&runner), Signal::INT).expect("signalled");
    assert_eq!(wait(&mut runner).code(), Some(130));
    // Far less than the ten seconds that the first signal alone gives.
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
    project.assert_nothing_left();
    assert_eq!(project.cached("runs"), Vec::<PathBuf>::new());
}

#[test]
fn what_a_killed_runner_could_not_end_the_next_run_ends() {
    // Runner and guard die together, as when the machine's memory is used up.
    let project = Project::new(
        "a = { inherit executor; steps = [ { bash = ''mkdir -p $P; echo $$ > $P/daemon; touch $P/ready; \
         exec sleep 4323''; } ]; };",
    );
    let mut runner = project.start();
    project.wait_for("ready");
    let guard = guard_of(runner.id());
    kill_process(guard, Signal::KILL).expect("killed");
    kill_process(pid(&runner), Signal::KILL).expect("killed");
    wait(&mut runner);
    assert!(!project.left().is_empty(), "the test tests nothing");
    fs::write(
        project.root.path().join("other.nix"),
        "{ nixactions }: nixactions.mkWorkflow { name = \"other\"; jobs.a.steps = [ { bash = \"true\"; } ]; }",
    )
    .expect("written");
    assert!(project.command(&["run", "other.nix"]).status().expect("ran").success());
    project.assert_nothing_left();
}

fn guard_of(runner: u32) -> Pid {
    let children = fs::read_to_string(format!("/proc/{runner}/task/{runner}/children")).unwrap_or_default();
    let mut pids: Vec<i32> = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    // A thread may have started it.
    for task in fs::read_dir(format!("/proc/{runner}/task")).expect("there").flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        pids.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    let is_guard = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("__guard")
    };
    pids.into_iter().find(is_guard).and_then(Pid::from_raw).expect("a guard")
}

#[test]
fn a_killed_run_is_resumed_without_repeating_what_had_ended() {
    let project = Project::new(
        "a = { inherit executor; steps = [ { bash = ''mkdir -p $P; echo a >> $P/ran; echo data > out''; } ]; \
           outputs.data = \"out\"; };\n\
         b = { inherit executor; needs = [ \"a\" ]; inputs = [ \"data\" ]; \
           steps = [ { bash = ''echo b >> $P/ran; touch $P/ready; [ -e $P/go ] || sleep 4324; cat out''; } ]; };",
    );
    let mut runner = project.start();
    project.wait_for("ready");
    kill_process(pid(&runner), Signal::KILL).expect("killed");
    wait(&mut runner);
    project.assert_nothing_left();
    fs::write(project.path().join("go"), "").expect("written");
    assert!(project.command(&["resume"]).status().expect("ran").success());
    assert_eq!(fs::read_to_string(project.path().join("ran")).expect("there"), "a\nb\nb\n");
    let out = project.command(&["logs", "--job", "b"]).stdout(Stdio::piped()).output().expect("ran");
    assert_eq!(String::from_utf8_lossy(&out.stdout), "data\n");
    assert_eq!(project.command(&["resume"]).status().expect("ran").code(), Some(2));
}

#[test]
fn secrets_are_in_no_argument_and_in_no_file_that_others_may_read() {
    let project = Project::new(
        "a = { inherit executor; env.TOKEN = nixactions.secret \"sentinel-7261\"; steps = [ \
           { bash = ''mkdir -p $P; touch $P/ready; echo $TOKEN; sleep 2''; } ]; };",
    );
    let mut runner = project.start();
    project.wait_for("ready");
    let secret = b"sentinel-7261";
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        assert!(!holds(&fs::read(entry.path().join("cmdline")).unwrap_or_default()), "{:?}", entry.path());
    }
    for file in project.cached("") {
        assert!(!holds(&fs::read(&file).unwrap_or_default()), "{}", file.display());
    }
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o077;
    for part in ["runs", "history"] {
        for run in
            fs::read_dir(project.root.path().join("cache/nixactions").join(part)).expect("there").flatten()
        {
            assert_eq!(mode(&run.path()), 0, "{}", run.path().display());
        }
    }
    assert!(wait(&mut runner).success());
    for file in project.cached("") {
        assert!(!holds(&fs::read(&file).unwrap_or_default()), "{}", file.display());
    }
}

/// Each process starts the next in a new session and exits, so no list of processes is ever whole. The
/// job after the timeout sees whether the chain goes on.
#[test]
fn a_process_that_keeps_forking_is_caught() {
    let project = Project::new(
        "hop = { inherit executor; steps = [ { timeout = 1; bash = ''\n\
           mkdir -p $P; cd $P; printf '#!/bin/bash\\necho $$ > last\\nsetsid ./hop & exit 0\\n' > hop\n\
           chmod +x hop; setsid ./hop & sleep 30\n''; } ]; };\n\
         after = { inherit executor; needs = [ \"hop\" ]; condition = \"always()\"; steps = [ { bash = ''\n\
           cp $P/last $P/before; sleep 0.5; cmp $P/last $P/before && touch $P/still\n''; } ]; };",
    );
    let mut runner = project.start();
    assert_eq!(wait(&mut runner).code(), Some(1));
    assert!(project.path().join("last").exists(), "the chain never began");
    assert!(project.path().join("still").exists(), "it forks on");
}
