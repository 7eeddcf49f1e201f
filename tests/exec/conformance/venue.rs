//! Where the suite is run.

use std::any::Any;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Ended, Run, with};

/// An executor, ready to be used.
pub(crate) struct Venue {
    /// As in a plan.
    executor: Value,
    /// Services that live as long as this.
    _services: Box<dyn Any>,
    /// What runs have left behind: processes, directories, containers, each in words.
    leftovers: Box<dyn Fn() -> Vec<String>>,
}

impl Venue {
    pub(crate) fn new(kind: &str, options: Value, services: impl Any) -> Venue {
        Venue {
            executor: json!({ "kind": kind, "name": kind, "options": options }),
            _services: Box::new(services),
            leftovers: Box::new(Vec::new),
        }
    }

    pub(crate) fn leaving(mut self, leftovers: impl Fn() -> Vec<String> + 'static) -> Venue {
        self.leftovers = Box::new(leftovers);
        self
    }

    /// The executor, with an option changed.
    pub(crate) fn executor(&self, option: &str, value: Value) -> Value {
        let mut executor = self.executor.clone();
        executor["options"][option] = value;
        executor
    }

    /// A run whose jobs have no copy of the project.
    pub(crate) fn bare(&self) -> Value {
        json!({ "executor": self.executor("copyRepo", json!(false)) })
    }

    /// A job's fields, with more of them.
    pub(crate) fn bare_with(&self, fields: Value) -> Value {
        with(self.bare(), fields)
    }

    /// A run of one job, `j`.
    pub(crate) fn run(&self, steps: &[Value]) -> Ended {
        Run::new().job_with("j", steps, self.bare()).run()
    }

    /// Fails when a run left something.
    pub(crate) fn assert_clean(&self) {
        let begun = std::time::Instant::now();
        loop {
            let left = (self.leftovers)();
            if left.is_empty() {
                return;
            }
            assert!(begun.elapsed().as_secs() < 5, "left behind: {left:#?}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

/// Makes a git repository with one commit.
pub(crate) fn repository(dir: &Path) {
    let git = |args: &[&str]| {
        let done = std::process::Command::new("git").args(args).current_dir(dir).output().expect("git");
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["config", "user.email", "t@example.org"]);
    git(&["config", "user.name", "T"]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "first"]);
}

/// A directory with a program in `bin`, as a package is.
pub(crate) fn package() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::Builder::new().prefix("package").tempdir().expect("a directory");
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).expect("made");
    let tool = bin.join("nixactions-conformance-tool");
    std::fs::write(&tool, "#!/bin/sh\necho the tool of the package\n").expect("written");
    for path in [dir.path(), &bin, &tool] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("set");
    }
    dir
}
