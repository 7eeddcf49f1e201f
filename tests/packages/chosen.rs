//! Which packages are made, and who waits for them.

use crate::run::{Project, assert_contains, out};

#[test]
fn packages_of_jobs_that_are_left_out_are_not_made() {
    let p = Project::new();
    p.workflow(
        r#"good = pkg "good" "echo it works"; bad = build "bad" "exit 3";"#,
        r#"
        a.steps = [ { deps = [ good ]; bash = "good"; } ];
        b.steps = [ { deps = [ bad ]; bash = "true"; } ];
        "#,
    );
    let output = p.run(&["run", "--job", "a", "--format", "simple"]);
    assert!(output.status.success(), "{}", out(&output));
    assert_contains(&output, "a/step-1: it works");
    assert!(!out(&output).contains("building bad"), "{}", out(&output));
    let all = p.run(&["run", "--format", "simple"]);
    assert_eq!(all.status.code(), Some(1), "{}", out(&all));
    assert_contains(&all, "needs the package bad");
    // The same for `build`.
    let dry = p.run(&["build", "--dry-run", "--job", "b"]);
    assert!(dry.status.success() && out(&dry).contains("-bad.drv"), "{}", out(&dry));
    assert!(!out(&dry).contains("-good.drv"), "{}", out(&dry));
    let build = p.run(&["build", "--skip", "b", "--format", "json"]);
    assert!(build.status.success(), "{}", out(&build));
    let value: serde_json::Value = serde_json::from_slice(&build.stdout).expect("JSON");
    let paths = value["paths"].as_array().expect("paths");
    assert!(paths.len() == 1 && paths[0].as_str().is_some_and(|p| p.ends_with("-good")), "{value}");
    let none = p.run(&["build", "--job", "c"]);
    assert_eq!(none.status.code(), Some(2), "{}", out(&none));
    assert_contains(&none, "`--job c`: there is no such job");
}

#[test]
fn a_job_that_waits_for_packages_takes_no_slot() {
    let p = Project::new();
    let flag = p.path().join("flag");
    // The package of the first job is made only when the second has run.
    let build = format!(
        r#"late = build "late" "for i in $(seq 300); do [ -e {0} ] && break; sleep 0.1; done; [ -e {0} ] && echo there > $out";"#,
        flag.display()
    );
    p.workflow(
        &build,
        &format!(
            r#"
            a.steps = [ {{ bash = "cat ${{late}}"; }} ];
            b.steps = [ {{ bash = "touch {}"; }} ];
            "#,
            flag.display()
        ),
    );
    let output = p.run(&["run", "--max-parallel", "1", "--format", "simple"]);
    assert!(output.status.success(), "{}", out(&output));
    assert_contains(&output, "a/step-1: there");
}

#[test]
fn a_run_whose_package_failed_is_taken_up_again() {
    let p = Project::new();
    let flag = p.path().join("flag");
    p.workflow(
        &format!(r#"flaky = build "flaky" "[ -e {} ] || exit 3; echo made > $out";"#, flag.display()),
        r#"
        a.steps = [ { bash = "cat ${flaky}"; } ];
        b.steps = [ { bash = "echo b runs"; } ];
        "#,
    );
    let first = p.run(&["run", "--format", "simple"]);
    assert_eq!(first.status.code(), Some(1), "{}", out(&first));
    assert_contains(&first, "b/step-1: b runs");
    std::fs::write(&flag, "").expect("written");
    let again = p.run(&["rerun", "--failed", "--format", "simple"]);
    assert!(again.status.success(), "{}", out(&again));
    assert_contains(&again, "a/step-1: made");
    assert!(!out(&again).contains("b runs"), "{}", out(&again));
}
