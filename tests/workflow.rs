//! Workflow files to plans: the examples, the ways to choose a workflow, inputs and arguments.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nixactions::eval::io::System;
use nixactions::workflow::load::{Argument, Outcome, Request, load};
use nixactions::workflow::plan::Plan;
use support::request;

fn run(request: &Request) -> Outcome {
    load(request, || Rc::new(System))
}

fn codes(o: &Outcome) -> Vec<&'static str> {
    o.findings().map(|d| d.code).collect()
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("ci.nix");
    fs::write(&path, text).expect("writing the file");
    (dir, path)
}

fn plan(o: Outcome) -> Plan {
    let messages: Vec<String> = o.findings().map(|d| format!("{} {}", d.code, d.message)).collect();
    o.workflows.into_iter().next().and_then(|w| w.plan).unwrap_or_else(|| panic!("{messages:#?}"))
}

#[test]
fn every_example_has_a_plan_and_no_finding() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut seen = 0;
    for part in ["01-basic", "02-features", "03-real-world"] {
        for entry in fs::read_dir(root.join(part)).expect("examples") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|e| e != "nix") {
                continue;
            }
            let mut request = request(&path);
            // This one is about packages: a small set stands in the place of nixpkgs.
            if path.ends_with("nix-shell.nix") {
                request.pkgs = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packages/set"));
            }
            let o = run(&request);
            let messages: Vec<_> = o.findings().map(|d| &d.message).collect();
            assert!(messages.is_empty(), "{}: {messages:#?}", path.display());
            assert!(o.workflows.iter().all(|w| w.plan.is_some()), "{}", path.display());
            seen += 1;
        }
    }
    assert_eq!(seen, 18);
}

#[test]
fn a_matrix_has_a_job_for_each_combination() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/02-features/matrix.nix");
    let p = plan(run(&request(&path)));
    let names: Vec<&str> = p.jobs.iter().map(|j| j.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "check-algorithm-sha1-size-1",
            "check-algorithm-sha1-size-64",
            "check-algorithm-sha256-size-1",
            "check-algorithm-sha256-size-64",
            "compare",
            "compress-level-1-tool-gzip",
            "compress-level-9-tool-gzip",
            "compress-level-9-tool-zlib",
        ]
    );
    assert_eq!(p.jobs[4].needs, names[5..]);
    assert_eq!(p.jobs[5].env["MATRIX_LEVEL"].as_deref(), Some("1"));
    assert_eq!(p.jobs[5].outputs[0].name, "size-level-1-tool-gzip");
}

#[test]
fn a_workflow_of_several_is_chosen_by_name() {
    let (_dir, path) = file(
        r#"{ nixactions, ... }:
        let w = name: nixactions.mkWorkflow { inherit name; jobs.a.steps = [ { bash = "true"; } ]; };
        in { one = w "first"; two = w "second"; }"#,
    );
    let mut r = request(&path);
    assert_eq!(run(&r).workflows.len(), 2);
    r.all = false;
    assert_eq!(codes(&run(&r)), ["NXA023"]);
    r.name = Some("two".into());
    assert_eq!(plan(run(&r)).name, "second");
    r.name = Some("tow".into());
    let o = run(&r);
    assert_eq!(codes(&o), ["NXA023"]);
    assert_eq!(o.names, ["one", "two"]);
}

#[test]
fn inputs_and_arguments() {
    let (_dir, path) = file(
        r#"{ nixactions, inputs, who ? "nobody", ... }:
        nixactions.mkWorkflow {
          name = "w";
          inputs = { n = { type = "number"; default = 1; }; s.default = "x"; };
          env = { N = inputs.n + 1; S = inputs.s; WHO = who; };
          jobs.a.steps = [ { bash = "true"; } ];
        }"#,
    );
    let mut r = request(&path);
    let env = |r: &Request, name: &str| plan(run(r)).env[name].clone().unwrap_or_default();
    assert_eq!((env(&r, "N"), env(&r, "WHO")), ("2".into(), "nobody".into()));
    r.inputs = vec![("n".into(), "41".into())];
    r.args = vec![("who".into(), Argument::Expr("\"some\" + \"body\"".into()))];
    assert_eq!((env(&r, "N"), env(&r, "WHO")), ("42".into(), "somebody".into()));
    r.inputs = vec![("m".into(), "1".into())];
    assert_eq!(codes(&run(&r)), ["NXA024"]);
}

#[test]
fn extensions_are_applied_left_to_right() {
    let (_dir, path) = file(
        r#"{ nixactions, ... }:
        nixactions.mkWorkflow {
          name = "w";
          extensions = [ (w: w // { env = w.env // { A = "1"; }; }) (w: w // { name = w.name + w.env.A; }) ];
          jobs.a.steps = [ { bash = "true"; } ];
        }"#,
    );
    let p = plan(run(&request(&path)));
    assert_eq!(p.name, "w1");
}

#[test]
fn pkgs_that_nobody_forces_need_not_be_there() {
    let (_dir, path) = file(
        r#"{ nixactions, pkgs, lib, ... }:
        nixactions.mkWorkflow {
          name = "w";
          jobs = lib.genAttrs [ "a" "b" ] (n: { steps = [ { bash = "echo ${n}"; deps = lib.optional (n == "z") pkgs.hello; } ]; });
        }"#,
    );
    assert_eq!(plan(run(&request(&path))).jobs.len(), 2);
}
