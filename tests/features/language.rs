//! Files, values and fields: what a workflow file may say, and what comes of it.

use crate::harness::Project;

#[test]
fn a_file_may_be_a_workflow_a_set_or_a_function_of_what_it_names() {
    let ran = Project::file(r#"{ name = "plain"; jobs.a.steps = [ { bash = "echo plain"; } ]; }"#).ok(&[]);
    assert_eq!(ran.lines("a"), ["plain"]);
    let project = Project::file(
        r#"{ platform, nixactions, system, lib, extra ? "default", ... }: {
             one = platform.mkWorkflow { name = "one"; jobs.a.steps = [ { bash = "echo ${system} ${extra} ${lib.concatStringsSep "-" [ "x" "y" ]}"; } ]; };
             two = nixactions.mkWorkflow { name = "two"; jobs.b = nixactions.mkJob { steps = [ { bash = "echo two"; } ]; }; };
           }"#,
    );
    let ran = project.call(&[
        "run",
        "ci.nix#one",
        "--format",
        "json",
        "--system",
        "riscv64-linux",
        "--argstr",
        "extra",
        "given",
    ]);
    assert_eq!((ran.code, ran.lines("a")), (0, vec!["riscv64-linux given x-y".to_owned()]), "{}", ran.err);
    let ran = project.call(&["run", "ci.nix#two", "--format", "json"]);
    assert_eq!(ran.lines("b"), ["two"], "{}", ran.err);
    let found = Project::file("{ nixactions, nonsense }: { }").findings();
    assert!(found.contains("NXA020") && found.contains("`nonsense`"), "{found}");
}

#[test]
fn a_job_that_is_empty_is_left_out_and_one_without_steps_is_an_error() {
    let ran = Project::new(
        r#"jobs = { a = { }; b = lib.optionalAttrs false { steps = [ { bash = "exit 1"; } ]; }; c.steps = [ { bash = "echo c"; } ]; };"#,
    )
    .ok(&[]);
    assert_eq!(ran.all("job-finished").len(), 1);
    assert!(Project::new("jobs.a.env.X = 1;").findings().contains("NXA006"));
}

#[test]
fn environments_take_every_plain_value() {
    let ran = Project::new(
        r#"env = { S = "s"; I = 3; F = 1.5; T = true; N = null; P = ./ci.nix; AROUND = null; };
           jobs.a.steps = [ { bash = "echo $S $I $F $T \${N-unset} \${AROUND-unset}; test -f $P && echo \${P##*/}"; } ];"#,
    )
    .env("AROUND", "x")
    .ok(&[]);
    assert_eq!(ran.lines("a"), ["s 3 1.5 true unset unset", "ci.nix"]);
}

#[test]
fn references_to_the_environment_are_resolved_at_run_time() {
    let project = Project::new(
        r#"env.COPY = nixactions.fromEnv "ORIGINAL";
           jobs.a = { uses = ./child.nix; "with".token = nixactions.fromEnv "ORIGINAL"; };
           jobs.b.steps = [ { bash = "echo $COPY"; } ];"#,
    )
    .with(
        "child.nix",
        r#"{ nixactions, inputs, ... }: nixactions.mkWorkflow {
             name = "child"; inputs.token.required = true;
             jobs.x.steps = [ { env.T = inputs.token; bash = "echo inner $T"; } ];
           }"#,
    );
    let plan = project.call(&["plan", "ci.nix", "--format", "json"]);
    assert_eq!(plan.code, 0, "{}", plan.err);
    let project = project.env("ORIGINAL", "from around");
    let ran = project.ok(&[]);
    assert_eq!(
        (ran.lines("b"), ran.lines("a/x")),
        (vec!["from around".to_owned()], vec!["inner from around".to_owned()])
    );
}

#[test]
fn secrets_are_masked_wherever_they_appear() {
    let ran = Project::new(
        r#"jobs.a.steps = [ { env.T = nixactions.secret "top/secret+value"; bash = "echo $T; echo -n $T | base64; echo top%2Fsecret%2Bvalue; echo $T >&2"; } ];"#,
    )
    .ok(&[]);
    assert!(
        !ran.out.contains("top/secret")
            && !ran.out.contains("dG9wL3NlY3")
            && !ran.out.contains("top%2Fsecret"),
        "{}",
        ran.out
    );
    assert_eq!(ran.lines("a")[0], "***");
}

#[test]
fn hash_files_changes_with_the_files() {
    let fields = r#"jobs.a.steps = [ { bash = "echo ${nixactions.hashFiles [ "*.lock" ]}"; } ];"#;
    let project = Project::new(fields).with("a.lock", "1").with("b.txt", "1");
    let first = project.ok(&[]).lines("a");
    let project = project.with("b.txt", "2");
    assert_eq!(project.ok(&[]).lines("a"), first);
    let project = project.with("a.lock", "2");
    assert_ne!(project.ok(&[]).lines("a"), first);
}

#[test]
fn conditions_are_expressions_or_scripts_and_a_skip_says_why() {
    let ran = Project::new(
        r#"jobs.bad.steps = [ { bash = "exit 1"; } ];
           jobs.script = { condition = "test -e ci.nix"; steps = [ { bash = "echo ran"; } ]; };
           jobs.no = { "if" = "exit 7"; steps = [ { bash = "echo never"; } ]; };
           jobs.need = { needs = "bad"; steps = [ { bash = "echo never"; } ]; };
           jobs.either = { needs = [ "bad" "script" ]; condition = "failure() && !cancelled() || false()"; steps = [ { bash = "true"; } ]; };
           jobs.both = { needs = [ "need" ]; condition = "(failure() || success()) && always()"; steps = [ { bash = "echo cleaned"; } ]; };
           jobs.steps.steps = [
             { bash = "true"; }
             { condition = "failure()"; bash = "echo never"; }
             { "if" = "[ \"$X\" = 1 ]"; env.X = "1"; bash = "echo by script"; }
           ];"#
        .replace(" || false()", "")
        .as_str(),
    )
    .run(&[]);
    assert_eq!(ran.code, 1);
    assert_eq!((ran.lines("script"), ran.result("no").as_str()), (vec!["ran".to_owned()], "skipped"));
    assert_eq!((ran.result("need").as_str(), ran.result("either").as_str()), ("skipped", "success"));
    assert_eq!(ran.lines("both"), ["cleaned"], "a failure is seen through what was skipped");
    assert_eq!(ran.lines("steps"), ["by script"]);
    let skipped = ran.all("job-skipped");
    let reason = |job: &str| skipped.iter().find(|e| e["job"] == job).expect("skipped")["reason"].clone();
    assert_eq!((reason("no")["kind"].as_str(), reason("no")["exitCode"].as_i64()), (Some("script"), Some(7)));
    assert_eq!(reason("need")["decidedBy"]["name"], "bad");
}

#[test]
fn both_names_of_a_condition_and_unknown_functions_are_errors() {
    let found = Project::new(
        r#"jobs.a = { condition = "always()"; "if" = "failure()"; steps = [ { bash = "true"; } ]; };
           jobs.b = { condition = "sucess()"; steps = [ { bash = "true"; } ]; };"#,
    )
    .findings();
    assert!(found.contains("NXA005") && found.contains("NXA304"), "{found}");
}

#[test]
fn older_and_other_names_of_keys_work() {
    let ran = Project::new(
        r#"jobs.a = { actions = [ { bash = "exit 1"; continue-on-error = true; } { bash = "echo on"; } ]; };
           jobs.b = { continue-on-error = true; retry.maxAttempts = 2; retry.minTime = 0; steps = [ { bash = "exit 1"; } ]; };
           jobs.c = { needs = "b"; steps = [ { bash = "echo $NEEDS_B_RESULT"; } ]; };"#,
    )
    .ok(&[]);
    assert_eq!((ran.lines("a"), ran.lines("c")), (vec!["on".to_owned()], vec!["success".to_owned()]));
    assert_eq!(ran.all("step-retry").len(), 1);
}

#[test]
fn variables_of_the_runner_are_set_and_job_env_reaches_later_steps() {
    let ran = Project::new(
        r#"jobs.the-job.steps = [
             { bash = "echo $JOB_NAME $WORKFLOW_NAME $NIXACTIONS $CI; [ \"$JOB_DIR\" = \"$PWD\" ]; [ -n \"$WORKFLOW_ID\" ]; [ -d $NIXACTIONS_ARTIFACTS_DIR ]"; }
             { bash = "echo 'PLAIN=a b' | sed \"s/a b/'a b'/\" >> $JOB_ENV; echo 'export REF=\"$PLAIN!\"' >> $JOB_ENV"; }
             { bash = "echo \"$PLAIN $REF\""; env.PLAIN = "step"; }
             { bash = "pwd | sed 's/.*jobs.//'"; workdir = "sub"; condition = "mkdir -p sub"; }
           ];"#,
    )
    .env("CI", "")
    .run(&[]);
    let lines = ran.lines("the-job");
    assert!(lines[0].starts_with("the-job ci true"), "{lines:?}");
    assert_eq!(lines[1..], ["a b a b!", "the-job/sub"], "{}", ran.out);
}

#[test]
fn git_tells_commit_branch_and_tag() {
    let project = Project::new(
        r#"jobs.a.steps = [ { bash = "echo $NIXACTIONS_GIT_SHA $NIXACTIONS_GIT_BRANCH $NIXACTIONS_GIT_TAG; git rev-parse HEAD"; } { bash = "true"; name = "x"; } ];"#,
    );
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        command
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(args)
            .current_dir(project.dir.path());
        assert!(command.output().expect("git").status.success(), "{args:?}");
    };
    for args in
        [&["init", "-q", "-b", "trunk"][..], &["add", "ci.nix"], &["commit", "-qm", "x"], &["tag", "v1"]]
    {
        git(args);
    }
    let lines = project.ok(&[]).lines("a");
    assert_eq!(lines[0], format!("{} trunk v1", lines[1]));
}

#[test]
fn providers_see_what_came_before_and_the_later_one_wins() {
    let ran = Project::new(
        r#"envFrom = with nixactions.envProviders; [
             (static { A = "1"; B = "1"; })
             (file { path = "extra.env"; })
             (file { path = "not-there.env"; })
             (command { argv = [ "bash" "-c" "echo export C=$B-seen" ]; secrets = false; })
             (required [ "A" "B" "C" ])
           ];
           env.B = "env";
           jobs.a = { envFrom = [ (nixactions.envProviders.static { D = "job"; }) ];
             steps = [ { envFrom = [ (nixactions.envProviders.static { D = "step"; }) ]; bash = "echo $A $B $C $D"; } { bash = "echo $D"; } ]; };"#,
    )
    .with("extra.env", "# comment\nexport B='2'\n")
    .ok(&[]);
    assert_eq!(ran.lines("a"), ["1 env 2-seen step", "job"]);
    let ran = Project::new(
        r#"envFrom = [ (nixactions.envProviders.required [ "NOPE" ]) ]; jobs.a.steps = [ { bash = "echo never"; } ];"#,
    )
    .run(&[]);
    assert!(
        ran.code == 1 && ran.out.contains("not set or empty: NOPE") && ran.lines("a").is_empty(),
        "{}",
        ran.out
    );
}

#[test]
fn secrets_of_files_and_providers_are_masked_when_they_say_so() {
    let ran = Project::new(
        r#"jobs.a = { envFrom = [ (nixactions.envProviders.file { path = "s.env"; secrets = true; }) ];
             steps = [ { bash = "echo $TOKEN"; } ]; };
           jobs.b = { envFrom = [ (nixactions.envProviders.file { path = "o.env"; }) ]; steps = [ { bash = "echo $OPEN"; } ]; };"#,
    )
    .with("s.env", "TOKEN=file-s3cret\n")
    .with("o.env", "OPEN=visible\n")
    .ok(&[]);
    assert_eq!((ran.lines("a"), ran.lines("b")), (vec!["***".to_owned()], vec!["visible".to_owned()]));
}

#[test]
fn the_log_format_of_a_workflow_gives_way_to_environment_and_option() {
    let project = Project::new(
        r#"logging = { format = "simple"; level = "info"; }; jobs.a.steps = [ { bash = "echo x"; } ];"#,
    );
    assert!(project.call(&["run", "ci.nix"]).out.contains("\na/step-1: x\n"));
    assert!(project.call(&["run", "ci.nix", "--format", "structured"]).out.contains("[job:a]"));
    let project = project.env("NIXACTIONS_LOG_FORMAT", "json");
    assert!(project.call(&["run", "ci.nix"]).out.starts_with("{\"time\""));
}

#[test]
fn what_schedulers_and_pictures_need_is_kept_in_the_plan() {
    let project = Project::new(
        r#"on = { push.branches = [ "main" ]; };
           jobs.a = { tags = [ "slow" ]; description = "does it"; idempotent = false; steps = [ { bash = "true"; } ]; };
           jobs.b.steps = [ { bash = "true"; } ];"#,
    );
    let ran = project.call(&["plan", "ci.nix", "--format", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&ran.out).expect("a plan");
    assert_eq!(plan["on"]["push"]["branches"][0], "main");
    let job = &plan["jobs"][0];
    assert_eq!((job["tags"][0].as_str(), job["description"].as_str()), (Some("slow"), Some("does it")));
    assert_eq!(
        (job["idempotent"].as_bool(), plan["jobs"][1]["idempotent"].as_bool()),
        (Some(false), Some(true))
    );
    project.ok(&[]);
}

#[test]
fn executors_of_one_name_share_a_workspace_and_must_be_the_same() {
    let ran = Project::new(
        r#"jobs.a = { executor = nixactions.executors.local; steps = [ { bash = "ls ci.nix"; } ]; };
           jobs.b = { executor = nixactions.executors.local { copyRepo = false; }; steps = [ { bash = "ls -A | wc -l"; } ]; };"#,
    )
    .ok(&[]);
    assert_eq!((ran.lines("a"), ran.lines("b")), (vec!["ci.nix".to_owned()], vec!["0".to_owned()]));
    let found = Project::new(
        r#"jobs.a = { executor = nixactions.executors.local { name = "x"; }; steps = [ { bash = "true"; } ]; };
           jobs.b = { executor = nixactions.executors.local { name = "x"; copyRepo = false; }; steps = [ { bash = "true"; } ]; };"#,
    )
    .findings();
    assert!(found.contains("NXA601"), "{found}");
}

#[test]
fn standard_steps_do_what_they_say() {
    let project = Project::new(
        r#"jobs.a.steps = [ nixactions.actions.checkout (nixactions.actions.setupPython { version = "3"; }) { bash = "python --version"; } ];
           jobs.b = { continueOnError = true; steps = [ (nixactions.actions.setupPython { version = "2.1"; }) ]; };
           jobs.c = { executor = nixactions.executors.local { copyRepo = false; };
             steps = [ (nixactions.actions.checkout { repository = "file://$ORIGIN"; path = "got"; }) ]; };"#
        .replace("file://$ORIGIN", "${toString ./.}")
        .as_str(),
    );
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        command
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(args)
            .current_dir(project.dir.path());
        assert!(command.output().expect("git").status.success(), "{args:?}");
    };
    for args in [&["init", "-q"][..], &["add", "ci.nix"], &["commit", "-qm", "first"]] {
        git(args);
    }
    let ran = project.ok(&[]);
    let lines = ran.lines("a");
    assert!(
        lines[0].starts_with("checked out ") && lines.last().is_some_and(|l| l.starts_with("Python 3")),
        "{lines:?}"
    );
    assert!(ran.lines("b").iter().any(|l| l.contains("python 2.1 is not installed")), "{:?}", ran.lines("b"));
    assert!(ran.lines("c").iter().any(|l| l.starts_with("checked out ")), "{:?}", ran.lines("c"));
}

#[test]
fn unknown_keys_have_a_suggestion_and_all_findings_come_at_once() {
    let found = Project::new(
        r#"jobs.a = { neds = [ ]; steps = [ { bash = "true"; timout = 3; } ]; }; jobs.b = { needs = [ "aa" ]; steps = [ { bash = "true"; } ]; };"#,
    )
    .findings();
    assert!(
        found.contains("has no key `neds`")
            && found.contains("has no key `timout`")
            && found.contains("NXA101"),
        "{found}"
    );
}

#[test]
fn checking_runs_nothing() {
    let project = Project::new(
        r#"envFrom = [ (nixactions.envProviders.command { argv = [ "touch" "ran" ]; }) ]; jobs.a.steps = [ { bash = "touch ran"; } ];"#,
    );
    assert_eq!(project.call(&["check", "ci.nix"]).code, 0);
    // What was evaluated may be kept; no run is.
    for path in ["ran", ".cache/nixactions/runs", ".cache/nixactions/history"] {
        assert!(!project.path(path).exists(), "{path}");
    }
}
