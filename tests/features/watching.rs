//! `run --watch`, with real changes of files.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::Project;

/// A watching run, and the lines that it prints.
struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn start(project: &Project) -> Watching {
        let mut command = project.command(&["run", "ci.nix", "--watch", "--format", "simple"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let (sender, lines) = channel();
        let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let other = sender.clone();
        std::thread::spawn(move || {
            BufReader::new(out).lines().for_each(|l| drop(other.send(l.expect("text"))))
        });
        std::thread::spawn(move || {
            BufReader::new(err).lines().for_each(|l| drop(sender.send(l.expect("text"))))
        });
        Watching { child, lines }
    }

    /// What steps say, of the form `JOB says TEXT`, until the run waits for changes again.
    fn round(&self) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60)).expect("a line within a minute");
            if line.contains("for changes") {
                said.sort();
                return said;
            }
            if let Some(at) = line.find("says ") {
                said.push(line[at + 5..].to_owned());
            }
            assert!(!line.contains("panicked"), "{line}");
        }
    }
}

#[test]
fn a_change_runs_what_it_affects_and_nothing_else() {
    let workflow = |word: &str| {
        format!(
            r#"{{ nixactions, ... }}: nixactions.mkWorkflow {{ name = "w"; jobs = {{
                 docs = {{ skipIfUnchanged.inputs = [ "docs/**" ]; steps = [ {{ bash = "echo says docs"; }} ]; }};
                 code = {{ skipIfUnchanged.inputs = [ "src" ]; steps = [ {{ bash = "echo says code $(cat src/a)"; }} ]; }};
                 after = {{ needs = [ "code" ]; skipIfUnchanged.inputs = [ "none" ]; steps = [ {{ bash = "echo says {word}"; }} ]; }};
               }}; }}"#
        )
    };
    let project = Project::file(&workflow("after")).with("src/a", "1").with("docs/d", "").with("other", "");
    let mut watching = Watching::start(&project);
    assert_eq!(watching.round(), ["after", "code 1", "docs"]);
    let project = project.with("src/a", "2");
    assert_eq!(watching.round(), ["code 2"], "`after` is as it was, and so is reused");
    let project = project.with("other", "changed");
    assert_eq!(watching.round(), Vec::<String>::new());
    let project = project.with("ci.nix", &workflow("later"));
    assert_eq!(watching.round(), ["later"]);
    // An error in the file is shown, and the next change is waited for.
    let project = project.with("ci.nix", "{ nixactions");
    assert_eq!(watching.round(), Vec::<String>::new());
    let _project = project.with("ci.nix", &workflow("again"));
    assert_eq!(watching.round(), ["again"]);
    let pid = Pid::from_child(&watching.child);
    kill_process(pid, Signal::INT).expect("signalled");
    assert_eq!(watching.child.wait().expect("ends").code(), Some(130));
}
