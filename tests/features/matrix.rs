//! Matrices: combinations, variables, dependents, `failFast` and `maxParallel`.

use crate::harness::Project;

#[test]
fn combinations_are_crossed_excluded_and_included() {
    let ran = Project::new(
        r#"
        jobs.test = {
          matrix = {
            os = [ "linux" "mac" ]; version = [ 1 2 ];
            exclude = [ { os = "mac"; version = 1; } ];
            include = [ { os = "linux"; version = 2; extra = "x"; } { os = "bsd"; version = 3; } ];
          };
          executor = nixactions.executors.local { copyRepo = false; };
          steps = vars: [ { bash = "echo $MATRIX_OS $MATRIX_VERSION \${MATRIX_EXTRA-none} ${vars.os}"; } ];
        };
        jobs.after = { needs = [ "test" ]; steps = [ { bash = "env | grep ^NEEDS | sort"; } ]; };
        "#,
    )
    .ok(&[]);
    assert_eq!(ran.lines("test-os-linux-version-1"), ["linux 1 none linux"]);
    assert_eq!(ran.lines("test-extra-x-os-linux-version-2"), ["linux 2 x linux"]);
    assert_eq!(ran.lines("test-os-mac-version-2"), ["mac 2 none mac"]);
    assert_eq!(ran.lines("test-os-bsd-version-3"), ["bsd 3 none bsd"]);
    assert_eq!(ran.all("job-started").len(), 5, "mac with version 1 is excluded");
    let seen = ran.lines("after");
    assert!(seen.contains(&"NEEDS_TEST_RESULT=success".into()), "{seen:?}");
    assert!(seen.contains(&"NEEDS_TEST_OS_MAC_VERSION_2_RESULT=success".into()), "{seen:?}");
}

#[test]
fn the_first_failure_cancels_the_other_copies_and_nothing_else() {
    let fields = |fail_fast: &str| {
        format!(
            r#"maxParallel = 8;
        jobs.test = {{
          matrix = {{ n = [ 1 2 3 ]; {fail_fast} }};
          steps = vars: [ {{ bash = if vars.n == 1 then "sleep 0.3; exit 1" else "sleep 2"; }} ];
        }};
        jobs.other.steps = [ {{ bash = "sleep 1; echo done"; }} ];
        jobs.cleanup = {{ needs = "test"; condition = "always()"; steps = [ {{ bash = "echo $NEEDS_TEST_RESULT"; }} ]; }};"#
        )
    };
    let ran = Project::new(&fields("")).run(&[]);
    assert_eq!(ran.code, 1);
    assert_eq!((ran.result("test-n-1").as_str(), ran.result("test-n-2").as_str()), ("failure", "cancelled"));
    assert_eq!((ran.result("test-n-3").as_str(), ran.result("other").as_str()), ("cancelled", "success"));
    assert_eq!(ran.lines("cleanup"), ["failure"]);
    assert!(ran.notices().contains("failFast"), "{}", ran.notices());
    let ran = Project::new(&fields("failFast = false;")).run(&[]);
    assert_eq!((ran.code, ran.result("test-n-3").as_str()), (1, "success"));
}

#[test]
fn no_more_copies_run_at_a_time_than_asked_for() {
    let project = Project::new(
        r#"maxParallel = 8;
        jobs.test = {
          matrix = { n = lib.range 1 6; maxParallel = 2; };
          steps = [ { bash = ''
            d=$NIXACTIONS_TEST_DIR; mkdir $d/$MATRIX_N; ls $d | wc -l; sleep 0.2; rmdir $d/$MATRIX_N
          ''; } ];
        };"#,
    );
    let dir = tempfile::tempdir().expect("a directory");
    let ran = project.ok(&["-e", &format!("NIXACTIONS_TEST_DIR={}", dir.path().display())]);
    let most = (1..=6).flat_map(|n| ran.lines(&format!("test-n-{n}"))).max();
    assert_eq!(most.as_deref(), Some("2"));
}

#[test]
fn artifacts_of_copies_have_their_suffix() {
    let ran = Project::new(
        r#"
        jobs.build = {
          matrix.arch = [ "x86" "arm" ];
          outputs.bin = "out";
          steps = vars: [ { bash = "mkdir out; echo ${vars.arch} > out/${vars.arch}"; } ];
        };
        jobs.use = {
          needs = [ "build" ]; inputs = [ "bin-arch-x86" { name = "bin-arch-arm"; path = "arm"; } ];
          steps = [ { bash = "cat out/x86 arm/out/arm"; } ];
        };"#,
    )
    .ok(&[]);
    assert_eq!(ran.lines("use"), ["x86", "arm"]);
}

#[test]
fn mk_matrix_jobs_makes_plain_jobs() {
    let ran = Project::new(
        r#"
        jobs = nixactions.mkMatrixJobs {
          name = "test"; matrix = { version = [ "1.1" "1.2" ]; };
          jobTemplate = vars: { steps = [ { bash = "echo ${vars.version}"; } ]; };
        };"#,
    )
    .ok(&[]);
    assert_eq!(ran.lines("test-version-1.1"), ["1.1"]);
    assert_eq!(ran.lines("test-version-1.2"), ["1.2"]);
}

#[test]
fn a_matrix_that_leaves_nothing_is_refused() {
    let found = Project::new(
        r#"jobs.a = { matrix = { n = [ 1 ]; exclude = [ { n = 1; } ]; }; steps = [ { bash = "true"; } ]; };
           jobs.b = { matrix = { n = [ 1 2 ]; exclude = [ { } ]; }; steps = [ { bash = "true"; } ]; };"#,
    )
    .findings();
    assert!(found.contains("the matrix of job `a` leaves no combination"), "{found}");
    assert!(found.contains("an item of `exclude` in the matrix of job `b` is empty"), "{found}");
}
