//! Outputs of steps, results of jobs, and the variables in which dependents find them.

use crate::harness::Project;

#[test]
fn results_reach_direct_dependents() {
    let ran = Project::new(
        r#"
        jobs.build-it = {
          steps = [
            { id = "make"; bash = ''
              echo sha=abc=1 >> "$NIXACTIONS_OUTPUT"
              printf 'notes<<EOT\none\ntwo\nEOT\n' >> "$NIXACTIONS_OUTPUT"
            ''; }
            { bash = "echo $STEPS_MAKE_SHA"; }
          ];
          results = { sha = "steps.make.sha"; "notes.txt" = "steps.make.notes"; };
        };
        jobs.use = { needs = [ "build-it" ]; steps = [ { bash = "echo \"$NEEDS_BUILD_IT_SHA $NEEDS_BUILD_IT_NOTES_TXT $NEEDS_BUILD_IT_RESULT\""; } ]; };
        jobs.later = { needs = [ "use" ]; steps = [ { bash = "env | grep NEEDS_"; } ]; };
        "#,
    )
    .ok(&[]);
    assert_eq!(ran.lines("build-it"), ["abc=1"]);
    assert_eq!(ran.lines("use"), ["abc=1 one", "two success"]);
    assert_eq!(ran.lines("later"), ["NEEDS_USE_RESULT=success"]);
    let finished = ran.all("job-finished");
    assert_eq!(finished[0]["results"]["sha"], "abc=1", "reports see results");
}

#[test]
fn a_missing_result_fails_the_job_and_a_secret_one_is_not_handed_on() {
    let ran = Project::new(
        r#"
        jobs.a = { steps = [ { id = "x"; bash = "true"; } ]; results.y = "steps.x.y"; };
        jobs.s = {
          env.TOKEN = nixactions.secret "s3cr3t-value";
          steps = [ { id = "x"; bash = "echo y=is-$TOKEN >> $NIXACTIONS_OUTPUT"; } ];
          results.y = "steps.x.y";
        };
        jobs.t = { needs = [ "s" ]; steps = [ { bash = "echo \${NEEDS_S_Y-unset}"; } ]; };
        "#,
    )
    .run(&[]);
    assert_eq!((ran.code, ran.result("a").as_str(), ran.result("s").as_str()), (1, "failure", "success"));
    assert!(ran.out.contains("wrote no `y` into $NIXACTIONS_OUTPUT"), "{}", ran.out);
    assert_eq!(ran.lines("t"), ["unset"]);
    assert!(ran.notices().contains("may hold a secret") && !ran.out.contains("s3cr3t-value"));
}

#[test]
fn malformed_outputs_fail_the_step() {
    let ran =
        Project::new(r#"jobs.a.steps = [ { bash = "echo nonsense >> $NIXACTIONS_OUTPUT"; } ];"#).run(&[]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("line 1 is neither NAME=VALUE nor NAME<<DELIMITER"), "{}", ran.out);
}

#[test]
fn references_and_collisions_are_checked() {
    let found = Project::new(
        r#"
        results.a = "jobs.b.nothing"; 
        jobs.b = { steps = [ { id = "make"; bash = "true"; } ]; results = { x = "steps.mkae.y"; z = "make.y"; }; };
        jobs.b-x = { steps = [ { id = "s"; bash = "true"; } ]; results.c = "steps.s.c"; };
        jobs.d = { steps = [ { id = "s"; bash = "true"; } ]; results.result = "steps.s.c"; };
        jobs.e = { needs = [ "d" ]; steps = [ { bash = "true"; } ]; };
        "#,
    )
    .findings();
    assert!(found.contains("refers to step `mkae`"), "{found}");
    assert!(found.contains("`nothing`, which is no result of job `b`"), "{found}");
    assert!(found.contains("`make.y`, which is no output of a step"), "{found}");
    assert!(found.contains("NEEDS_D_RESULT"), "{found}");
}

#[test]
fn the_copy_that_ended_last_gives_the_result_of_a_matrix() {
    let ran = Project::new(
        r#"
        jobs.m = {
          matrix.n = [ 1 2 ]; maxParallel = 1;
          steps = vars: [ { id = "s"; bash = "sleep ${if vars.n == 1 then "0.4" else "0"}; echo v=${toString vars.n} >> $NIXACTIONS_OUTPUT"; } ];
          results.v = "steps.s.v";
        };
        jobs.use = { needs = "m"; steps = [ { bash = "echo $NEEDS_M_V $NEEDS_M_N_1_V $NEEDS_M_N_2_V"; } ]; };
        "#
        .replace(" maxParallel = 1;", "")
        .as_str(),
    )
    .ok(&["-j", "4"]);
    assert_eq!(ran.lines("use"), ["1 1 2"]);
}
