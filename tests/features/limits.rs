//! `resources`: what a job may use.

use crate::harness::Project;

#[test]
fn memory_is_limited_and_the_log_says_by_what() {
    let ran = Project::new(
        r#"jobs.a = {
             resources = { memory = "64M"; cpu = 1; };
             steps = [ { name = "small"; bash = "echo fits"; }
                       { name = "large"; bash = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo \${#x}"; } ];
           };"#,
    )
    .run(&[]);
    assert_eq!((ran.code, ran.result("a").as_str()), (1, "failure"), "{}", ran.out);
    assert!(ran.lines("a").contains(&"fits".into()), "{}", ran.out);
    assert!(!ran.lines("a").contains(&"200000000".into()), "{}", ran.out);
    let notices = ran.notices();
    assert!(
        notices.contains("resources: memory") && (notices.contains("cgroup") || notices.contains("rlimit")),
        "{notices}"
    );
}

#[test]
fn amounts_that_cannot_be_read_are_refused() {
    let found = Project::new(
        r#"jobs.a = { resources = { memory = "lots"; cpu = "-1"; pids = 0; }; steps = [ { bash = "true"; } ]; };"#,
    )
    .findings();
    assert!(found.contains("`memory` in `resources` of job `a` is no amount: `lots`"), "{found}");
    assert!(found.contains("`cpu` in `resources`") && found.contains("`pids`"), "{found}");
}
