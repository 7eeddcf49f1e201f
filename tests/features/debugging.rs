//! Looking inside: a shell where a step failed, and `exec`, on a real terminal.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::Project;
use crate::services_support::program;

/// Runs the program on a terminal of its own, and types these lines; what it showed, and its exit code.
fn on_a_terminal(project: &Project, args: &[&str], typed: &str) -> (String, i32) {
    let script = program("script", "bsdutils");
    let quoted: Vec<String> = args.iter().map(|arg| format!("'{arg}'")).collect();
    let line = format!("'{}' {}", env!("CARGO_BIN_EXE_nixactions"), quoted.join(" "));
    let template = project.command(&[]);
    let mut command = Command::new(script);
    command.args(["-q", "-e", "-E", "never", "-c", &line, "/dev/null"]).current_dir(project.dir.path());
    for (name, value) in template.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(typed.as_bytes()).expect("typed");
    drop(input);
    let output = child.wait_with_output().expect("ends");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code().unwrap_or(-1))
}

fn project() -> Project {
    Project::new(
        r#"jobs.make = { outputs.made = "made"; steps = [ { bash = "echo artifact > made"; } ]; };
           jobs.test = { needs = [ "make" ]; inputs = [ "made" ]; env.COLOUR = "green";
             steps = [ { name = "first"; bash = "echo left > behind"; }
                       { name = "second"; env.SHADE = "dark"; bash = "cat behind; exit 4"; } ]; };"#,
    )
}

#[test]
fn a_shell_opens_where_a_step_failed() {
    let project = project();
    let typed = "echo \"seen: $COLOUR $SHADE $(cat behind made | xargs)\" | tr a-z A-Z\nexit\n";
    let (shown, code) =
        on_a_terminal(&project, &["run", "ci.nix", "--shell-on-failure", "--format", "simple"], typed);
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("step `second` of job `test` failed"), "{shown}");
    assert!(shown.contains("SEEN: GREEN DARK LEFT ARTIFACT"), "{shown}");
    let without = project.call(&["run", "ci.nix", "--shell-on-failure"]);
    assert!(without.code == 2 && without.err.contains("needs a terminal"), "{}", without.err);
}

#[test]
fn exec_runs_a_command_or_a_shell_in_a_jobs_place() {
    let project = project();
    project.run(&[]);
    let ran =
        project.call(&["exec", "test", "--", "sh", "-c", "echo $COLOUR ${SHADE-none}; cat made; exit 6"]);
    assert_eq!((ran.code, ran.out.as_str()), (6, "green none\nartifact\n"), "{}", ran.err);
    let ran = project.call(&["exec", "test", "--step", "second", "--", "printenv", "SHADE"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "dark\n"), "{}", ran.err);
    let (shown, code) =
        on_a_terminal(&project, &["exec", "test"], "echo \"in $JOB_NAME\" | tr a-z A-Z; exit 3\n");
    assert!(code == 3 && shown.contains("IN TEST"), "{code}: {shown}");
    let wrong = project.call(&["exec", "tset", "--", "true"]);
    assert!(wrong.code == 2 && wrong.err.contains("there are: make, test"), "{}", wrong.err);
    let wrong = project.call(&["exec", "test", "--step", "third", "--", "true"]);
    assert!(wrong.code == 2 && wrong.err.contains("it has: first, second"), "{}", wrong.err);
    let wrong = project.call(&["exec", "test"]);
    assert!(wrong.code == 2 && wrong.err.contains("needs a terminal"), "{}", wrong.err);
}
