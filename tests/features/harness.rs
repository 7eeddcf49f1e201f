//! A project in a directory of its own, and runs of the program in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A project directory.
pub(crate) struct Project {
    pub(crate) dir: TempDir,
    env: Vec<(String, String)>,
}

/// What a run printed and how it ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Project {
    /// A project whose `ci.nix` is a workflow with these fields.
    pub(crate) fn new(fields: &str) -> Project {
        let text =
            format!("{{ nixactions, lib, ... }}:\nnixactions.mkWorkflow {{ name = \"ci\"; {fields} }}\n");
        Project::file(&text)
    }

    /// A project whose `ci.nix` is this text.
    pub(crate) fn file(text: &str) -> Project {
        let project = Project { dir: tempfile::tempdir().expect("a directory"), env: Vec::new() };
        project.with("ci.nix", text)
    }

    /// One more file.
    pub(crate) fn with(self, path: &str, text: &str) -> Project {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("below the project")).expect("made");
        fs::write(path, text).expect("written");
        self
    }

    /// A variable of the environment that the program is started in.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Project {
        self.env.push((name.into(), value.into()));
        self
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// The program, to be started in the project.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nixactions"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if ["NIX", "OTEL", "GITHUB"].iter().any(|p| name.starts_with(p)) || name == "NO_COLOR" {
                command.env_remove(&name);
            }
        }
        command.env("XDG_CACHE_HOME", self.path(".cache")).env("XDG_STATE_HOME", self.path(".state"));
        command.envs(self.env.iter().map(|(n, v)| (n, v)));
        command
    }

    pub(crate) fn call(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().expect("the program starts");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// `run --format json` with more arguments.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let args: Vec<&str> = ["run", "ci.nix", "--format", "json"].iter().chain(args).copied().collect();
        self.call(&args)
    }

    /// `run` of a workflow that must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{}\n{}", ran.out, ran.err);
        ran
    }

    /// The findings of `check`, which must fail.
    pub(crate) fn findings(&self) -> String {
        let ran = self.call(&["check", "ci.nix", "--format", "short"]);
        assert_eq!(ran.code, 2, "{}\n{}", ran.out, ran.err);
        ran.out + &ran.err
    }
}

impl Ran {
    pub(crate) fn events(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
    }

    /// Events of one kind.
    pub(crate) fn all(&self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|e| e["event"] == kind).collect()
    }

    /// What a job printed.
    pub(crate) fn lines(&self, job: &str) -> Vec<String> {
        let of_job = self.all("log").into_iter().filter(|e| e["job"] == job);
        of_job.map(|e| e["text"].as_str().expect("text").to_owned()).collect()
    }

    /// How a job ended.
    pub(crate) fn result(&self, job: &str) -> String {
        let skipped = self.all("job-skipped").iter().any(|e| e["job"] == job);
        let finished = self.all("job-finished").into_iter().find(|e| e["job"] == job);
        match finished {
            Some(e) => e["result"].as_str().expect("a result").to_owned(),
            None if skipped => "skipped".to_owned(),
            None => panic!("{job} did not end\n{}\n{}", self.out, self.err),
        }
    }

    /// All notices, as one text.
    pub(crate) fn notices(&self) -> String {
        self.all("notice")
            .iter()
            .map(|e| format!("{}\n", e["message"].as_str().unwrap_or_default()))
            .collect()
    }
}

/// The content of a file that a run wrote.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
