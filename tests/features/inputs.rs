//! Inputs of workflows: types, defaults, `--input`.

use crate::harness::Project;

const FILE: &str = r#"{ nixactions, inputs, ... }:
nixactions.mkWorkflow {
  name = "ci";
  inputs = {
    stage = { type = "choice"; options = [ "test" "live" ]; default = "test"; };
    count = { type = "number"; default = 2; };
    loud = { type = "boolean"; };
    who = { required = true; };
    file = { type = "path"; default = ./data; };
  };
  jobs.a.steps = [ { bash = "echo ${inputs.stage} ${toString (inputs.count + 1)} ${if inputs.loud then "LOUD" else "quiet"} ${inputs.who}"; env.FILE = inputs.file; }
    { bash = "cat ${toString inputs.file}"; } ];
}
"#;

#[test]
fn values_are_typed_and_defaults_hold() {
    let project = Project::file(FILE).with("data", "default\n").with("other", "given\n");
    let ran = project.ok(&["--input", "who=me"]);
    assert_eq!(ran.lines("a"), ["test 3 quiet me", "default"]);
    let args = ["who=you", "stage=live", "count=4.5", "loud=true", "file=other"];
    let args: Vec<&str> = args.iter().flat_map(|a| ["--input", a]).collect();
    assert_eq!(project.ok(&args).lines("a"), ["live 5.500000 LOUD you", "given"]);
}

#[test]
fn wrong_missing_and_unknown_inputs_are_refused() {
    let project = Project::file(FILE).with("data", "x");
    for (args, expected) in [
        (&["--input", "who=x", "--input", "stage=prod"][..], "one of `test`, `live`"),
        (&["--input", "who=x", "--input", "count=many"], "must be a number"),
        (&["--input", "who=x", "--input", "loud=yes"], "`true` or `false`"),
        (&["--input", "hwo=x"], "did you mean `who`?"),
        (&[], "--input who=VALUE"),
    ] {
        let ran = project.run(args);
        assert!(ran.code == 2 || ran.code == 1, "{args:?}: {}", ran.code);
        assert!(ran.err.contains(expected), "{args:?}: {}", ran.err);
    }
    assert_eq!(project.call(&["check", "ci.nix"]).code, 0, "checking needs no values");
}

#[test]
fn declarations_are_checked() {
    let found = Project::new(
        r#"inputs = { a = { type = "number"; default = "x"; }; b.type = "choice"; };
           jobs.a.steps = [ { bash = "true"; } ];"#,
    )
    .findings();
    assert!(found.contains("the default of the input `a` must be a number"), "{found}");
    assert!(found.contains("the input `b` is a choice without `options`"), "{found}");
}
