//! The examples of the explanations are true: the bad ones raise their code, the good ones pass.

#[path = "support/services.rs"]
mod services;

use std::path::PathBuf;
use std::rc::Rc;

use nixactions::diag::codes::{CODES, Code};
use nixactions::diag::{Diagnostic, Severity};
use nixactions::eval::io::System;
use nixactions::eval::{Limits, Settings};
use nixactions::lint::verdict::{ARGUMENTS, ShellCheck, Verdict};
use nixactions::lint::{self, Level, Levels};
use nixactions::workflow::load::Request;

fn findings(text: &str) -> Vec<Diagnostic> {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ci.nix");
    std::fs::write(&file, text).expect("a file");
    let settings = Settings {
        system: "x86_64-linux".into(),
        store_dir: "/nix/store".into(),
        search_path: Vec::new(),
        features: Vec::new(),
        pure_eval: false,
        trace_verbose: false,
        abort_on_warn: false,
        lints: Default::default(),
        home: None,
        now: 0,
        limits: Limits::default(),
    };
    let request = Request {
        file,
        name: None,
        all: false,
        project_dir: dir.path().to_owned(),
        current_dir: PathBuf::from("/"),
        pkgs: None,
        inputs: Vec::new(),
        placeholders: false,
        args: Vec::new(),
        settings,
    };
    let mut levels = Levels::default();
    levels.set("NXA105", Level::Warn).expect("a code that is off by default");
    let shell = Installed(services::program("shellcheck", "shellcheck"));
    let options = lint::Options { levels: &levels, shell: Some(&shell), guess: false, cache: None };
    lint::check(&request, || Rc::new(System), &options).diagnostics
}

/// The program on this machine.
struct Installed(PathBuf);

impl ShellCheck for Installed {
    fn check(&self, scripts: &[&str]) -> Vec<Option<Verdict>> {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = std::process::Command::new(&self.0);
        command.args(ARGUMENTS);
        for (i, script) in scripts.iter().enumerate() {
            let file = dir.path().join(format!("{i}.sh"));
            std::fs::write(&file, script).expect("a file");
            command.arg(file);
        }
        let output = command.output().expect("the program runs").stdout;
        Verdict::read(&output, scripts.len()).expect("its output").into_iter().map(Some).collect()
    }
}

fn shown(found: &[Diagnostic]) -> String {
    found.iter().map(|d| format!("\n    {}: {}", d.code, d.message)).collect()
}

fn faults(code: &Code) -> Vec<String> {
    let mut faults = Vec::new();
    let [bad, good] = code.examples()[..] else { return vec![format!("{}: not two examples", code.code)] };
    let found = findings(bad);
    if !found.iter().any(|d| d.code == code.code) {
        faults.push(format!("{}: the bad example does not raise it:{}", code.code, shown(&found)));
    }
    if found.iter().filter(|d| d.severity == Severity::Error && d.code != code.code).count() > 0 {
        faults.push(format!("{}: the bad example raises other errors:{}", code.code, shown(&found)));
    }
    for d in found.iter().filter(|d| d.code == code.code) {
        if d.primary.is_none() && code.code != "NXA023" {
            faults.push(format!("{}: raised without a place: {}", code.code, d.message));
        }
    }
    let found = findings(good);
    if found.iter().any(|d| d.severity > Severity::Hint || d.code == code.code) {
        faults.push(format!("{}: the good example has findings:{}", code.code, shown(&found)));
    }
    faults
}

#[test]
fn examples_are_true() {
    let faults: Vec<String> = CODES.iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
