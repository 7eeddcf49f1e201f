//! Runs of workflows whose steps have packages.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::daemon::Daemon;

/// What every test's workflow begins with: `pkg NAME SCRIPT` is a package with one program, and
/// `build NAME COMMANDS` one that is made by commands of a shell.
pub(crate) const PACKAGES: &str = r#"
  build = name: commands: derivation {
    inherit name; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" "PATH=/usr/local/bin:/usr/bin:/bin; ${commands}" ];
  };
  pkg = name: script: build name ''
    mkdir -p $out/bin
    printf '%s\n' '#!/bin/sh' ${"'"}${script}${"'"} > $out/bin/${name}
    chmod +x $out/bin/${name}
  '';
"#;

pub(crate) struct Project {
    pub(crate) daemon: Daemon,
    pub(crate) dir: TempDir,
}

impl Project {
    pub(crate) fn new() -> Project {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("project")).expect("a directory");
        Project { daemon: Daemon::start(), dir }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("project")
    }

    /// A workflow with these jobs, and bindings before them.
    pub(crate) fn workflow(&self, bindings: &str, jobs: &str) {
        let text = format!(
            "{{ nixactions, ... }}:\nlet\n{PACKAGES}\n{bindings}\nin\nnixactions.mkWorkflow {{\n  name = \"test\";\n  jobs = {{\n{jobs}\n  }};\n}}\n"
        );
        std::fs::write(self.path().join("ci.nix"), text).expect("written");
    }

    /// Our program in the project, with the daemon of the test.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.daemon.command(env!("CARGO_BIN_EXE_nixactions"));
        command
            .args(args)
            .current_dir(self.path())
            .env("XDG_CACHE_HOME", self.dir.path().join("cache"))
            .env_remove("NIX_PATH");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it runs")
    }
}

pub(crate) fn out(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub(crate) fn assert_contains(output: &Output, text: &str) {
    let all = out(output);
    assert!(all.contains(text), "no `{text}` in:\n{all}");
}

#[test]
fn packages_of_a_step_come_first_on_its_path() {
    let p = Project::new();
    p.workflow(
        r#"dep = pkg "dep" "echo it depends"; tool = pkg "tool" "echo from the store; ${dep}/bin/dep";"#,
        r#"
        a.steps = [
          { deps = [ tool ]; bash = "command -v tool; tool"; }
          { bash = "! command -v tool"; }
        ];
        b.steps = [ { bash = "cat ${build "text" "echo in the text > $out"}"; } ];
        c = { env.TOOL = "${tool}"; steps = [ { bash = "$TOOL/bin/tool"; } ]; };
        "#,
    );
    let cold = p.run(&["run", "--format", "simple"]);
    assert!(cold.status.success(), "{}", out(&cold));
    assert_contains(&cold, "building tool");
    for line in
        ["a/step-1: from the store", "a/step-1: it depends", "b/step-1: in the text", "c/step-1: from"]
    {
        assert_contains(&cold, line);
    }
    assert_contains(&cold, &format!("a/step-1: {}", Path::new(&p.daemon.store_dir()).display()));
    let warm = p.run(&["run", "--format", "simple"]);
    assert!(warm.status.success() && !out(&warm).contains("building"), "{}", out(&warm));
}

#[test]
fn a_package_that_fails_fails_the_jobs_that_need_it() {
    let p = Project::new();
    p.workflow(
        r#"bad = build "bad" "for i in 1 2 3; do echo line $i; done; echo why it failed >&2; exit 3";
           above = build "above" "cat ${bad} > $out";"#,
        r#"
        a.steps = [ { name = "use"; deps = [ bad ]; bash = "true"; } ];
        b.steps = [ { name = "use"; deps = [ above ]; bash = "true"; } ];
        c.steps = [ { bash = "echo c runs"; } ];
        "#,
    );
    let output = p.run(&["run", "--format", "simple"]);
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    assert_contains(&output, "step use needs the package bad: its builder failed with exit code 3");
    assert_contains(&output, "why it failed");
    assert_contains(
        &output,
        "step use needs the package above: the package `bad`, which it depends on, failed",
    );
    assert_contains(&output, "c runs");
}

#[test]
fn without_a_daemon_nothing_starts_that_needs_one() {
    let p = Project::new();
    p.workflow(
        r#"tool = pkg "tool" "true";"#,
        r#"a.steps = [ { name = "use"; deps = [ tool ]; bash = "echo a runs"; } ]; b.steps = [ { bash = "echo b runs"; } ];"#,
    );
    let nowhere = p.dir.path().join("nowhere");
    let output = p.command(&["run"]).env("NIX_DAEMON_SOCKET_PATH", &nowhere).output().expect("it runs");
    assert_eq!(output.status.code(), Some(3), "{}", out(&output));
    assert_contains(&output, "step `use` needs the package `tool`, and cannot reach the nix daemon at");
    assert!(!out(&output).contains("runs"), "{}", out(&output));
    p.workflow("", r#"b.steps = [ { bash = "echo b runs"; } ];"#);
    let output = p.command(&["run"]).env("NIX_DAEMON_SOCKET_PATH", &nowhere).output().expect("it runs");
    assert!(output.status.success(), "{}", out(&output));
}

#[test]
fn a_deep_graph_of_200_derivations_is_built_once() {
    let p = Project::new();
    // Each of 20 layers of 10 packages refers to the layer below it.
    p.workflow(
        r#"layer = n: builtins.genList (i: build "p-${toString n}-${toString i}" "echo ${if n == 0 then "" else builtins.concatStringsSep " " (map toString (builtins.elemAt layers (n - 1)))} > $out") 10;
           layers = builtins.genList layer 20;
           top = builtins.elemAt layers 19;"#,
        r#"a.steps = [ { bash = "cat ${builtins.head top}"; } ];
           b.steps = [ { bash = "cat ${builtins.concatStringsSep " " (map toString top)} | wc -w"; } ];"#,
    );
    let output = p.run(&["run", "--format", "simple"]);
    assert!(output.status.success(), "{}", out(&output));
    assert_contains(&output, "b/step-1: 100");
    let built = out(&output).lines().filter(|l| l.contains("building p-")).count();
    assert_eq!(built, 200, "each derivation once");
    let dry = p.run(&["build", "--dry-run"]);
    assert_contains(&dry, "everything is there");
}

#[test]
fn a_killed_run_leaves_no_temporary_root() {
    let p = Project::new();
    p.workflow(
        r#"tool = pkg "tool" "true";"#,
        r#"a.steps = [ { deps = [ tool ]; bash = "command -v tool; echo started; sleep 60"; } ];"#,
    );
    // A file of roots that nobody has locked is what an ended process left: the collector removes it.
    let roots = p.daemon.dir().join("var/temproots");
    let held = || {
        let files = std::fs::read_dir(&roots).into_iter().flatten().flatten();
        let files = files.filter_map(|f| std::fs::File::open(f.path()).ok());
        files.filter(|f| f.metadata().is_ok_and(|m| m.len() > 0) && f.try_lock().is_err()).count()
    };
    let collect = || {
        let collected = p.daemon.command("nix-store").args(["--gc"]).output().expect("nix-store");
        assert!(collected.status.success(), "{}", out(&collected));
    };
    let mut child = p
        .command(&["run", "--format", "json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut tool = None;
    for line in std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("a pipe"))) {
        let event: serde_json::Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        match event["text"].as_str() {
            Some("started") => break,
            Some(text) if text.ends_with("-tool/bin/tool") => tool = Some(text.to_owned()),
            _ => {}
        }
    }
    let tool = tool.expect("the step named its tool");
    assert!(held() > 0, "nothing is held while the run lives");
    collect();
    assert!(Path::new(&tool).exists(), "what a run needs was collected");
    child.kill().expect("killed");
    child.wait().expect("ended");
    let begun = std::time::Instant::now();
    while held() > 0 {
        assert!(begun.elapsed().as_secs() < 20, "roots are still held");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    collect();
    assert!(!Path::new(&tool).exists(), "what nobody needs was not collected");
}

#[test]
fn a_run_killed_in_the_midst_of_a_build_stands_in_nobodys_way() {
    let p = Project::new();
    let flag = p.path().join("flag");
    // The first build waits for ever, the next one not at all.
    let slow = format!(
        r#"slow = build "slow" "[ -e {0} ] || {{ : > {0}; echo begun; sleep 600; }}; echo done > $out";"#,
        flag.display()
    );
    p.workflow(&slow, r#"a.steps = [ { bash = "cat ${slow}"; } ];"#);
    let mut child = p
        .command(&["run", "--format", "json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("a pipe")));
    assert!(lines.any(|l| l.is_ok_and(|l| l.contains("\"begun\""))), "the build never began");
    child.kill().expect("killed");
    child.wait().expect("ended");
    // A lock that were still held would keep the second run waiting for as long as the first one's build.
    let begun = std::time::Instant::now();
    let again = p.run(&["run", "--format", "simple"]);
    assert!(again.status.success(), "{}", out(&again));
    assert_contains(&again, "a/step-1: done");
    assert!(begun.elapsed().as_secs() < 300, "{:?}", begun.elapsed());
    let entries = std::fs::read_dir(p.daemon.store_dir()).expect("a store").flatten();
    let locks = entries.filter(|e| e.file_name().to_string_lossy().ends_with(".lock"));
    let held = locks.filter_map(|e| std::fs::File::open(e.path()).ok()).filter(|f| f.try_lock().is_err());
    assert_eq!(held.count(), 0, "locks are held");
}

#[test]
fn build_makes_packages_and_runs_nothing() {
    let p = Project::new();
    p.workflow(
        r#"tool = pkg "tool" "true"; bad = build "bad" "exit 3";"#,
        r#"a.steps = [ { deps = [ tool ]; bash = "echo it runs"; } ];"#,
    );
    let dry = p.run(&["build", "--dry-run"]);
    assert!(dry.status.success(), "{}", out(&dry));
    assert_contains(&dry, "would be built:");
    assert_contains(&dry, "-tool.drv");
    let built = p.run(&["build", "--format", "json"]);
    assert!(built.status.success() && !out(&built).contains("it runs"), "{}", out(&built));
    let value: serde_json::Value = serde_json::from_slice(&built.stdout).expect("JSON");
    let path = value["paths"][0].as_str().expect("a path");
    assert!(Path::new(path).join("bin/tool").is_file());
    p.workflow(
        r#"bad = build "bad" "exit 3";"#,
        r#"a.steps = [ { name = "s"; deps = [ bad ]; bash = "true"; } ];"#,
    );
    let failed = p.run(&["build"]);
    assert_eq!(failed.status.code(), Some(1));
    assert_contains(
        &failed,
        "error: job `a`, step `s` needs the package `bad`: its builder failed with exit code 3",
    );
}

#[test]
fn derivations_can_be_looked_at() {
    let p = Project::new();
    let expr = "derivation { name = \"a\"; system = \"s\"; builder = \"/b\"; args = [ \"x\" ]; }";
    let path = p.run(&["eval", "--instantiate", "-E", expr]);
    assert!(path.status.success(), "{}", out(&path));
    let path = String::from_utf8_lossy(&path.stdout).trim().to_owned();
    assert!(Path::new(&path).is_file(), "{path}");
    let theirs = p.daemon.command("nix").args(["show-derivation", &path]).output().expect("nix");
    for args in [&["derivation", "show", "-E", expr][..], &["derivation", "show", &path]] {
        let ours = p.run(args);
        assert!(ours.status.success(), "{}", out(&ours));
        let ours: serde_json::Value = serde_json::from_slice(&ours.stdout).expect("JSON");
        let theirs: serde_json::Value = serde_json::from_slice(&theirs.stdout).expect("JSON");
        for field in ["args", "builder", "env", "outputs", "system"] {
            assert_eq!(ours[&path][field], theirs[&path][field], "{field}");
        }
    }
}

#[test]
fn a_plan_brings_its_derivations_along() {
    let p = Project::new();
    p.workflow(
        r#"tool = pkg "tool" "echo from a plan";"#,
        r#"a.steps = [ { deps = [ tool ]; bash = "tool"; } ];"#,
    );
    let plan = p.run(&["plan", "--format", "json"]);
    assert!(plan.status.success(), "{}", out(&plan));
    std::fs::write(p.path().join("plan.json"), &plan.stdout).expect("written");
    std::fs::remove_file(p.path().join("ci.nix")).expect("removed");
    let run = p.run(&["run", "--plan", "plan.json", "--format", "simple"]);
    assert!(run.status.success(), "{}", out(&run));
    assert_contains(&run, "a/step-1: from a plan");
}

#[test]
fn names_of_packages_are_checked() {
    let p = Project::new();
    let set = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/set");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/02-features/nix-shell.nix");
    let run = p.run(&["run", "--pkgs", set, "--format", "simple", example]);
    assert!(run.status.success(), "{}", out(&run));
    assert_contains(&run, "deps/shout: HELLO, WORLD");
    std::fs::write(
        p.path().join("ci.nix"),
        "{ nixactions, ... }: nixactions.mkWorkflow { name = \"t\"; jobs.a.steps = [ (nixactions.actions.nixShell [ \"gret\" ]) ]; }",
    )
    .expect("written");
    let check = p.run(&["check", "--pkgs", set]);
    assert!(!check.status.success());
    assert_contains(&check, "nixpkgs has no package `gret`; did you mean `greet`?");
}
