//! Reusable workflows: `uses`, `with`, results, conditions, nesting, circles.

use crate::harness::Project;

const BUILD: &str = r#"{ nixactions, inputs, ... }:
nixactions.mkWorkflow {
  name = "build";
  inputs = { target = { required = true; }; fail = { type = "boolean"; }; };
  env.WHERE = "inside";
  jobs.compile = {
    steps = [ { id = "s"; bash = "echo $WHERE \${OUTER-nothing} ${inputs.target}; echo bin > bin; echo v=${inputs.target}-1 >> $NIXACTIONS_OUTPUT; ${if inputs.fail then "exit 1" else ""}"; } ];
    outputs.bin = "bin";
    results.v = "steps.s.v";
  };
  jobs.check = { needs = [ "compile" ]; inputs = [ "bin" ]; steps = [ { bash = "cat bin; echo $NEEDS_COMPILE_V"; } ]; };
  jobs.report = { needs = [ "check" ]; condition = "failure()"; steps = [ { bash = "echo reported"; } ]; };
  results.version = "jobs.compile.v";
}
"#;

#[test]
fn a_workflow_runs_as_a_job_with_inputs_results_and_artifacts() {
    let ran = Project::new(
        r#"
        env.OUTER = "outside";
        jobs.build = { uses = ./build.nix; "with".target = "x86"; };
        jobs.use = {
          needs = [ "build" ]; inputs = [ "build/bin" ];
          steps = [ { bash = "cat bin; echo $NEEDS_BUILD_VERSION $NEEDS_BUILD_RESULT"; } ];
        };"#,
    )
    .with("build.nix", BUILD)
    .ok(&[]);
    assert_eq!(ran.lines("build/compile"), ["inside outside x86"]);
    assert_eq!(ran.lines("build/check"), ["bin", "x86-1"]);
    assert_eq!(ran.lines("use"), ["bin", "x86-1 success"]);
    assert_eq!((ran.result("build").as_str(), ran.result("build/report").as_str()), ("success", "skipped"));
}

#[test]
fn what_failed_outside_is_not_seen_inside_and_the_other_way_round() {
    let ran = Project::new(
        r#"
        jobs.bad.steps = [ { bash = "exit 1"; } ];
        jobs.rescue = { needs = [ "bad" ]; condition = "failure()"; uses = ./build.nix; "with".target = "t"; };
        jobs.not = { needs = [ "bad" ]; uses = ./build.nix; "with".target = "n"; };
        jobs.broken = { uses = ./build.nix; "with" = { target = "b"; fail = true; }; continueOnError = true; };
        jobs.after = { needs = [ "broken" ]; steps = [ { bash = "echo ran"; } ]; };
        "#,
    )
    .with("build.nix", BUILD)
    .run(&[]);
    assert_eq!(ran.code, 1, "because of `bad` alone");
    assert_eq!((ran.result("rescue").as_str(), ran.result("rescue/check").as_str()), ("success", "success"));
    assert_eq!((ran.result("not").as_str(), ran.result("not/compile").as_str()), ("skipped", "skipped"));
    assert_eq!(ran.lines("broken/report"), ["reported"]);
    assert_eq!((ran.result("broken").as_str(), ran.lines("after")), ("success", vec!["ran".to_owned()]));
}

#[test]
fn a_failed_job_of_a_call_fails_the_run() {
    let ran = Project::new(r#"jobs.b = { uses = ./build.nix; "with" = { target = "b"; fail = true; }; };"#)
        .with("build.nix", BUILD)
        .run(&[]);
    assert_eq!((ran.code, ran.result("b").as_str()), (1, "failure"));
}

#[test]
fn calls_nest_and_take_functions_values_and_matrices() {
    let ran = Project::new(
        r#"
        jobs.all = {
          matrix.t = [ "a" "b" ]; uses = ./middle.nix; "with" = vars: { inherit (vars) t; };
        };
        jobs.value.uses = nixactions.mkWorkflow { name = "v"; jobs.x.steps = [ { bash = "echo value"; } ]; };
        jobs.end = { needs = [ "all" ]; steps = [ { bash = "echo $NEEDS_ALL_RESULT $NEEDS_ALL_T_A_V"; } ]; };
        "#,
    )
    .with(
        "middle.nix",
        r#"{ nixactions, inputs, ... }:
        let inner = { inputs, ... }: nixactions.mkWorkflow {
          name = "inner"; inputs.deep = { };
          jobs.last = { steps = [ { id = "s"; bash = "echo deep ${inputs.deep}; echo v=${inputs.deep} >> $NIXACTIONS_OUTPUT"; } ]; results.v = "steps.s.v"; };
          results.v = "jobs.last.v";
        };
        in nixactions.mkWorkflow {
          name = "middle"; inputs.t = { };
          jobs.within = { uses = inner; "with".deep = inputs.t; };
          results.v = "jobs.within.v";
        }"#,
    )
    .ok(&[]);
    assert_eq!(ran.lines("all-t-a/within/last"), ["deep a"]);
    assert_eq!(ran.lines("all-t-b/within/last"), ["deep b"]);
    assert_eq!(ran.lines("value/x"), ["value"]);
    assert_eq!(ran.lines("end"), ["success a"]);
}

#[test]
fn pictures_show_the_jobs_of_a_call_before_the_job_that_ends_it() {
    let project = Project::new(
        r#"jobs.build = { uses = ./build.nix; "with".target = "x86"; };
           jobs.use = { needs = [ "build" ]; inputs = [ "build/bin" ]; steps = [ { bash = "true"; } ]; };"#,
    )
    .with("build.nix", BUILD);
    let plan = project.call(&["plan", "ci.nix"]);
    assert!(plan.out.starts_with("ci: 5 jobs, 5 levels") && plan.out.contains("ends build"), "{}", plan.out);
    let dot = project.call(&["graph", "ci.nix", "--format", "dot"]);
    assert!(
        dot.out.contains("\"build/report\" -> \"build\"") && dot.out.contains("[label=\"build/bin\"]"),
        "{}",
        dot.out
    );
}

#[test]
fn providers_of_a_call_run_once_for_all_its_jobs() {
    let ran = Project::new(
        r#"
        jobs.c.uses = nixactions.mkWorkflow {
          name = "c";
          envFrom = [ (nixactions.envProviders.command { argv = [ "bash" "-c" "echo x >> count; echo export P=given" ]; secrets = false; }) ];
          jobs.x.steps = [ { bash = "echo $P"; } ];
          jobs.y = { needs = [ "x" ]; steps = [ { bash = "echo $P; wc -l < $PROJECT/count"; } ]; };
        };"#,
    );
    let project = format!("PROJECT={}", ran.dir.path().display());
    let ran = ran.ok(&["-e", &project]);
    assert_eq!(
        (ran.lines("c/x"), ran.lines("c/y")),
        (vec!["given".to_owned()], vec!["given".to_owned(), "1".to_owned()])
    );
}

#[test]
fn fail_fast_and_budgets_hold_within_a_call() {
    let ran = Project::new(
        r#"maxParallel = 8;
        jobs.c.uses = nixactions.mkWorkflow {
          name = "c"; failFast = true;
          jobs.bad.steps = [ { bash = "sleep 0.2; exit 1"; } ];
          jobs.slow.steps = [ { bash = "sleep 20"; } ];
        };
        jobs.late = {
          budget = "300ms";
          uses = nixactions.mkWorkflow { name = "l"; jobs.slow.steps = [ { bash = "sleep 20"; } ]; };
        };
        jobs.free.steps = [ { bash = "sleep 1"; } ];"#,
    )
    .run(&[]);
    assert_eq!((ran.result("c").as_str(), ran.result("c/slow").as_str()), ("failure", "cancelled"));
    assert_eq!((ran.result("late").as_str(), ran.result("late/slow").as_str()), ("failure", "cancelled"));
    assert_eq!(ran.result("free"), "success");
}

#[test]
fn circles_and_wrong_inputs_are_found() {
    let project = Project::new("jobs.a.uses = ./a.nix;")
        .with("a.nix", "{ nixactions, ... }: nixactions.mkWorkflow { name = \"a\"; jobs.b.uses = ./b.nix; }")
        .with("b.nix", "{ nixactions, ... }: nixactions.mkWorkflow { name = \"b\"; jobs.c.uses = ./a.nix; }");
    let found = project.findings();
    assert!(found.contains("NXA109") && found.contains("`a.nix` -> `b.nix` -> `a.nix`"), "{found}");
    let found = Project::new(
        r#"jobs.a = { uses = ./build.nix; "with" = { tarjet = "x"; fail = "no"; }; };
           jobs.b = { uses = ./build.nix; "with".target = "x"; steps = [ { bash = "true"; } ]; };"#,
    )
    .with("build.nix", BUILD)
    .findings();
    assert!(found.contains("gives the input `tarjet`"), "{found}");
    assert!(
        found.contains("must be a boolean") && found.contains("does not give the input `target`"),
        "{found}"
    );
    assert!(found.contains("has both `uses` and `steps`") && !found.contains("NXA022"), "{found}");
}

#[test]
fn what_ended_in_a_call_is_not_run_again_and_its_values_are_kept() {
    let project = Project::new(
        r#"jobs.c.uses = nixactions.mkWorkflow {
             name = "c";
             jobs.x = { steps = [ { id = "s"; bash = "echo v=1 >> $NIXACTIONS_OUTPUT; echo x >> $PROJECT/ran; echo f > f"; } ]; results.v = "steps.s.v"; outputs.f = "f"; };
             jobs.y = { needs = [ "x" ]; inputs = [ "f" ]; steps = [ { bash = "echo y >> $PROJECT/ran; test -e $PROJECT/flag; echo got $NEEDS_X_V $(cat f)"; } ]; };
             results.v = "jobs.x.v";
           };
           jobs.after = { needs = [ "c" ]; steps = [ { bash = "echo after $NEEDS_C_V"; } ]; };"#,
    );
    let dir = project.dir.path().display().to_string();
    let project = project.env("PROJECT", &dir);
    assert_eq!(project.run(&[]).code, 1);
    let project = project.with("flag", "");
    let ran = project.call(&["rerun", "--failed", "--format", "json"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.out, ran.err);
    assert_eq!(ran.lines("c/y"), ["got 1 f"]);
    assert_eq!(ran.lines("after"), ["after 1"]);
    assert_eq!(crate::harness::read(&project.path("ran")), "x\ny\ny\n");
}

#[test]
fn jobs_of_a_call_can_be_chosen() {
    let project = Project::new(
        r#"jobs.c.uses = nixactions.mkWorkflow {
             name = "c";
             jobs.x.steps = [ { bash = "echo x"; } ];
             jobs.y.steps = [ { bash = "echo y"; } ];
           };
           jobs.other.steps = [ { bash = "echo other"; } ];"#,
    );
    let ran = project.ok(&["--job", "c/x"]);
    assert_eq!(
        (ran.lines("c/x"), ran.lines("c/y"), ran.lines("other")),
        (vec!["x".to_owned()], vec![], vec![])
    );
    let ran = project.ok(&["--job", "c"]);
    assert_eq!((ran.lines("c/x").len(), ran.lines("c/y").len(), ran.lines("other").len()), (1, 1, 0));
    let ran = project.ok(&["--skip", "c"]);
    assert_eq!((ran.lines("c/x").len(), ran.lines("other").len()), (0, 1));
}
