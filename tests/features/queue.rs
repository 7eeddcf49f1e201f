//! `concurrency`: one run per group, in order.

use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::{Project, read};

fn start(project: &Project) -> Child {
    project.command(&["run", "ci.nix", "--format", "json"]).stdout(Stdio::null()).spawn().expect("starts")
}

fn wait_for(project: &Project, path: &str) {
    let begin = Instant::now();
    while !project.path(path).exists() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{path} does not appear");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn runs_of_a_group_run_one_after_the_other() {
    let project = Project::new(
        r#"concurrency.group = "deploy";
           jobs.a = { executor = nixactions.executors.local { copyRepo = false; };
             steps = [ { bash = "cd $PROJECT; test ! -e busy; touch busy begun; echo $N >> order; sleep 0.5; rm busy"; } ]; };"#,
    );
    let dir = project.dir.path().display().to_string();
    let mut children = Vec::new();
    for n in 1..=3 {
        let mut command = project.command(&["run", "ci.nix", "--format", "simple"]);
        children.push(
            command
                .env("N", n.to_string())
                .env("PROJECT", &dir)
                .stdout(Stdio::null())
                .spawn()
                .expect("starts"),
        );
        sleep(Duration::from_millis(300));
    }
    for mut child in children {
        assert_eq!(child.wait().expect("ends").code(), Some(0));
    }
    assert_eq!(read(&project.path("order")), "1\n2\n3\n");
}

#[test]
fn a_newer_run_cancels_the_running_one_when_asked_to() {
    let project = Project::new(
        r#"concurrency = { group = "deploy"; cancelInProgress = true; };
           jobs.a.steps = [ { bash = "cd $PROJECT; if [ -e begun ]; then echo second; else touch begun; sleep 60; fi"; } ];"#,
    );
    let project = {
        let dir = project.dir.path().display().to_string();
        project.env("PROJECT", &dir)
    };
    let begin = Instant::now();
    let mut first = start(&project);
    wait_for(&project, "begun");
    let second = project.ok(&[]);
    assert_eq!(first.wait().expect("ends").code(), Some(143));
    assert_eq!(second.lines("a"), ["second"]);
    assert!(begin.elapsed() < Duration::from_secs(40));
}

#[test]
fn a_waiting_run_can_be_cancelled() {
    let project = Project::new(
        r#"concurrency.group = "g"; jobs.a.steps = [ { bash = "touch $PROJECT/begun; sleep 3"; } ];"#,
    );
    let project = {
        let dir = project.dir.path().display().to_string();
        project.env("PROJECT", &dir)
    };
    let mut first = start(&project);
    wait_for(&project, "begun");
    let mut second = start(&project);
    sleep(Duration::from_millis(700));
    let pid = rustix::process::Pid::from_raw(second.id() as i32).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("sent");
    assert_eq!(second.wait().expect("ends").code(), Some(130));
    assert_eq!(first.wait().expect("ends").code(), Some(0));
}
