//! Steps and jobs from a file: shells, retries, budgets, purity, extensions, summaries, artifacts.

use crate::harness::Project;
use crate::services_support::program;

#[test]
fn scripts_run_under_other_shells() {
    program("python3", "python3");
    let ran = Project::new(
        r#"jobs.a.steps = [
             { run = "import sys; print(sys.argv[0] != \"\", 1 + 1)"; shell = "python3"; }
             { run = "false; echo no"; shell = "sh"; continueOnError = true; }
             { run = "print $ENV{X}"; shell = [ "bash" "-c" "echo \"given \${0##*.} $X\"" ]; env.X = "x"; }
             { bash = "echo \${BASH_VERSION:+bash}; false | true; echo no"; continueOnError = true; }
           ];
           jobs.b = { shell = "python3"; steps = [ { run = "print('by default')"; } { bash = "echo $0 >/dev/null; echo bash"; } ]; };"#,
    )
    .ok(&[]);
    assert_eq!(ran.lines("a"), ["True 2", "given sh x", "bash"]);
    assert_eq!(ran.lines("b"), ["by default", "bash"]);
}

#[test]
fn retries_follow_their_rule() {
    let ran = Project::new(
        r#"retry = { max_attempts = 3; min_time = "10ms"; max_time = "20ms"; jitter = true; };
           jobs.codes.steps = [ { bash = "exit 7"; retry.on = [ 8 ]; } ];
           jobs.matching.steps = [ { bash = "exit 8"; retry.on = [ 8 "timeout" ]; } ];
           jobs.slow.steps = [ { bash = "sleep 5"; timeout = "100ms"; retry = { on = "timeout"; max_attempts = 2; }; } ];
           jobs.off.steps = [ { bash = "exit 1"; retry = null; } ];
           jobs.whole = { retry = { scope = "job"; max_attempts = 2; }; steps = [ { bash = "ls; touch left"; } { bash = "exit 1"; } ]; };"#,
    )
    .run(&[]);
    let retries = |job: &str| ran.all("step-retry").iter().filter(|e| e["job"] == job).count();
    assert_eq!((retries("codes"), retries("matching"), retries("slow"), retries("off")), (0, 2, 1, 0));
    assert_eq!(ran.all("job-retry").len(), 1);
    assert!(!ran.lines("whole").contains(&"left".into()), "each attempt begins in a fresh directory");
    let slow = ran.all("step-finished").into_iter().find(|e| e["job"] == "slow").expect("ended");
    assert_eq!(slow["end"]["kind"], "timeout");
}

#[test]
fn budgets_bound_jobs_and_runs() {
    let ran = Project::new(r#"jobs.a = { budget = "200ms"; steps = [ { bash = "sleep 30"; } ]; };"#).run(&[]);
    assert_eq!((ran.code, ran.result("a").as_str()), (1, "failure"));
    let ran = Project::new(r#"budget = "300ms"; jobs.a.steps = [ { bash = "sleep 30"; } ];"#).run(&[]);
    assert_eq!((ran.code, ran.result("a").as_str()), (1, "cancelled"));
}

#[test]
fn a_pure_job_sees_nothing_of_the_environment_around() {
    let ran = Project::new(
        r#"jobs.a = { pure = true; env.SET = "1"; steps = [ { bash = "echo \${AROUND-unset} $SET \${HOME:+home}"; } ]; };
           jobs.b.steps = [ { bash = "echo $AROUND"; } ];"#,
    )
    .env("AROUND", "around")
    .ok(&[]);
    assert_eq!(
        (ran.lines("a"), ran.lines("b")),
        (vec!["unset 1 home".to_owned()], vec!["around".to_owned()])
    );
}

#[test]
fn extensions_change_the_workflow_before_it_is_checked() {
    let ran = Project::new(
        r#"extensions = [
             (w: w // { env = w.env // { A = "1"; }; })
             (w: w // { jobs = w.jobs // { added = { steps = [ { bash = "echo added $A"; } ]; }; }; })
           ];
           jobs.a.steps = [ { bash = "echo $A"; } ];"#,
    )
    .ok(&[]);
    assert_eq!((ran.lines("a"), ran.lines("added")), (vec!["1".to_owned()], vec!["added 1".to_owned()]));
}

#[test]
fn summaries_reach_the_report_masked() {
    let ran = Project::new(
        r##"jobs.a.steps = [ { env.T = nixactions.secret "hide-me"; bash = "echo \"# Done $T\" >> $NIXACTIONS_STEP_SUMMARY"; } ];"##,
    )
    .ok(&[]);
    assert_eq!(ran.all("summary")[0]["markdown"], "# Done ***\n");
}

#[test]
fn artifacts_take_globs_keep_modes_and_have_sizes() {
    let ran = Project::new(
        r#"jobs.make = {
             outputs = { libs = "out/**/*.so"; log = { path = "log"; when = "always"; }; };
             steps = [ { bash = "mkdir -p out/deep; echo a > out/deep/a.so; echo b > out/b.so; echo c > out/c.txt; ln -s b.so out/l.so; chmod 750 out/b.so; echo log > log"; } ];
           };
           jobs.fails = { outputs.flog = { path = "log"; when = "always"; }; outputs.never = "log"; steps = [ { bash = "echo kept > log; exit 1"; } ]; };
           jobs.use = {
             needs = [ "make" "fails" ]; condition = "always()"; inputs = [ "libs" { name = "flog"; path = "other"; } ];
             steps = [ { bash = "find . -name '*.so' | sort; stat -c %a out/b.so; readlink out/l.so; cat other/log"; } ];
           };"#,
    )
    .run(&[]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.lines("use"), ["./out/b.so", "./out/deep/a.so", "./out/l.so", "750", "b.so", "kept"]);
    let saved = ran.all("artifact-saved");
    let libs = saved.iter().find(|e| e["artifact"] == "libs").expect("saved");
    assert_eq!((libs["files"].as_u64(), libs["bytes"].as_u64().is_some_and(|b| b >= 4)), (Some(3), true));
    assert!(saved.iter().all(|e| e["artifact"] != "never"));
}
