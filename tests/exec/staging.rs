//! The repository on a host, from run to run.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::conformance::repository;
use crate::harness::{Ended, Run, step};
use crate::sshd::{Sshd, runs_below};

/// A project with one commit, and a host.
fn project() -> (tempfile::TempDir, Sshd) {
    let root = tempfile::tempdir().expect("a directory");
    let project = root.path().join("project");
    fs::create_dir_all(project.join("src/deep")).expect("made");
    fs::write(project.join("keep"), "as it is").expect("written");
    fs::write(project.join("src/deep/a"), "first").expect("written");
    fs::write(project.join("src/b"), "second").expect("written");
    repository(&project);
    (root, Sshd::start())
}

fn run(root: &Path, host: &Sshd, script: &str) -> Ended {
    let executor = json!({ "executor": { "kind": "ssh", "name": "ssh", "options": host.options() } });
    let ended = Run::at(root).job_with("j", &[step(script)], executor).run();
    assert_eq!(ended.code(), 0, "{}", ended.all_json());
    assert!(runs_below(&host.workspaces()).is_empty());
    ended
}

/// What a host keeps of repositories between runs.
fn kept(host: &Sshd) -> Vec<PathBuf> {
    let below = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
    below(host.workspaces()).flat_map(below).flat_map(|owner| below(owner.join("cache"))).collect()
}

const LOOK: &str = "stat -c %i keep; cat src/deep/a src/b; echo; git status --porcelain; find . -path ./.git -prune -o -print | LC_ALL=C sort";

#[test]
fn a_later_run_takes_a_copy_that_a_job_has_used_and_sees_nothing_of_that_job() {
    let (root, host) = project();
    let first = run(root.path(), &host, LOOK).lines("j");
    assert_eq!(first[1], "firstsecond", "{first:?}");
    let mess = "t=$(stat -c %Y src/b); printf SECOND >src/b; touch -d @$t src/b; rm -r src/deep; mkdir -p target/x; echo s3cret >target/x/y
        git config user.name job; git checkout -q -b mine; chmod 700 src; ln -s /etc src/deep";
    run(root.path(), &host, mess);
    assert_eq!(kept(&host).len(), 1);
    let found = std::process::Command::new("grep").args(["-rl", "s3cret"]).arg(host.workspaces()).output();
    assert!(found.expect("grep").stdout.is_empty(), "what a job wrote stays on the host");
    let second = run(root.path(), &host, LOOK).lines("j");
    // The same inode: it is the same copy, and was not made anew.
    assert_eq!(first, second);
}

#[test]
fn what_changed_here_arrives_in_a_used_copy() {
    let (root, host) = project();
    let inode = run(root.path(), &host, LOOK).lines("j")[0].clone();
    let project = root.path().join("project");
    fs::write(project.join("src/b"), "changed").expect("written");
    fs::remove_dir_all(project.join("src/deep")).expect("removed");
    fs::create_dir(project.join("new")).expect("made");
    fs::write(project.join("new/file"), "new").expect("written");
    let lines =
        run(root.path(), &host, "cat src/b new/file; echo; [ ! -e src/deep ]; stat -c %i keep").lines("j");
    assert_eq!(lines, ["changednew", &inode]);
    // Back again, as a change of branches does.
    for args in [&["checkout", "-q", "."][..], &["clean", "-qfd"]] {
        let done = std::process::Command::new("git").args(args).current_dir(&project).status();
        assert!(done.expect("git").success());
    }
    let lines = run(root.path(), &host, LOOK).lines("j");
    assert_eq!(lines[..2], [inode, "firstsecond".to_owned()]);
    assert!(!lines.iter().any(|line| line.starts_with("??") || line.contains("new")), "{lines:?}");
}

#[test]
fn what_a_cleaner_of_temporary_files_took_from_a_host_is_sent_again() {
    let (root, host) = project();
    let first = run(root.path(), &host, LOOK).lines("j");
    for cache in kept(&host) {
        fs::remove_file(cache.join("tree/src/b")).expect("removed");
        for used in fs::read_dir(cache.join("used")).expect("there").flatten() {
            fs::remove_file(used.path().join("tree/src/deep/a")).expect("removed");
        }
    }
    let again = run(root.path(), &host, LOOK).lines("j");
    assert_eq!(first[1..], again[1..]);
}

#[test]
fn jobs_at_once_have_copies_of_their_own_and_few_are_kept() {
    let (root, host) = project();
    let executor = json!({ "executor": { "kind": "ssh", "name": "ssh", "options": host.options() } });
    for _ in 0..2 {
        let mut all = Run::at(root.path()).workflow(json!({ "maxParallel": 8 }));
        for n in 0..8 {
            let script = format!("[ ! -e mine ]; echo {n} >mine; echo {n} >keep; sleep 0.3; cat mine keep");
            all = all.job_with(&format!("j{n}"), &[step(&script)], executor.clone());
        }
        let ended = all.run();
        for n in 0..8 {
            assert_eq!(ended.lines(&format!("j{n}")), [n.to_string(), n.to_string()], "{}", ended.all_json());
        }
    }
    let cache = kept(&host).pop().expect("a copy");
    let copies = fs::read_dir(cache.join("used")).expect("there").count();
    assert!((1..=4).contains(&copies), "{copies}");
}
