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
