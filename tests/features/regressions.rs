//! What the original NixActions got wrong and only the whole program shows; the others of that list
//! are among the engine's tests.

use std::process::Command;

use crate::harness::Project;

#[test]
fn r12_each_log_format_exists() {
    let project = Project::new(r#"jobs.a.steps = [ { name = "say"; bash = "echo 'a \"b\"'"; } ];"#);
    let of = |format: &str| {
        let by_option = project.call(&["run", "ci.nix", "--format", format]);
        let variable = &project.command(&["run", "ci.nix"]).env("NIXACTIONS_LOG_FORMAT", format).output();
        let by_variable = variable.as_ref().expect("runs");
        assert_eq!((by_option.code, by_variable.status.code()), (0, Some(0)), "{}", by_option.err);
        let same = |text: &str| text.lines().filter(|line| line.contains("b")).count();
        assert_eq!(same(&by_option.out), same(&String::from_utf8_lossy(&by_variable.stdout)));
        by_option.out
    };
    let json = of("json");
    assert!(json.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{json}");
    let (structured, simple) = (of("structured"), of("simple"));
    assert!(structured.lines().any(|l| l.contains("[job:a]") && l.ends_with(r#"a "b""#)), "{structured}");
    assert!(simple.lines().any(|l| l.ends_with(r#"a "b""#)), "{simple}");
    assert!(structured != simple && structured != json);
    let wrong = project.call(&["run", "ci.nix", "--format", "jsn"]);
    assert!(wrong.code == 2 && wrong.err.contains("json"), "{}", wrong.err);
}

#[test]
fn r17_standard_actions_do_their_work_and_a_copy_is_whole() {
    let project = Project::new(
        r#"jobs.a.steps = [ nixactions.actions.checkout { bash = ''
             git status --porcelain -uno; git log -1 --format=%s; cat target/kept node_modules/kept
           ''; } ];
           jobs.wrong.steps = [ (nixactions.actions.setupNode { version = "1.2"; }) ];"#,
    )
    .with("target/kept", "a tracked target\n")
    .with("node_modules/kept", "a tracked module\n");
    for args in [&["init", "-q"][..], &["add", "."], &["commit", "-qm", "the commit"]] {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]).args(args);
        assert!(git.current_dir(project.dir.path()).status().expect("git").success(), "{args:?}");
    }
    let ran = project.run(&[]);
    assert_eq!((ran.code, ran.result("a"), ran.result("wrong")), (1, "success".into(), "failure".into()));
    let lines = ran.lines("a");
    assert!(lines[0].starts_with("checked out ") && lines[1].starts_with("the commit"), "{lines:?}");
    assert_eq!(lines[2..], ["the commit", "a tracked target", "a tracked module"]);
    let why = ran.lines("wrong").join("\n");
    assert!(why.contains("node 1.2 was asked for") || why.contains("node is not installed"), "{why}");
}

#[test]
fn r18_no_executor_is_dropped_for_its_name() {
    let two = |first: &str, second: &str| {
        let local = |more: &str| format!("nixactions.executors.local {{ {more} }}");
        Project::new(&format!(
            r#"jobs.a = {{ executor = {}; steps = [ {{ bash = "ls -A"; }} ]; }};
               jobs.b = {{ executor = {}; steps = [ {{ bash = "ls -A"; }} ]; }};"#,
            local(first),
            local(second)
        ))
    };
    // Without names of their own both are called `local`, and both do as they are told.
    let ran = two("copyRepo = true;", "copyRepo = false;").ok(&[]);
    assert!(ran.lines("a").contains(&"ci.nix".to_owned()), "{}", ran.out);
    assert_eq!(ran.lines("b"), Vec::<String>::new());
    let same = r#"name = "here"; copyRepo = "#;
    let found = two(&format!("{same}true;"), &format!("{same}false;")).findings();
    assert!(
        found.contains("NXA601") && found.contains("two different executors are both named `here`"),
        "{found}"
    );
}

#[test]
fn r19_every_executor_that_the_documentation_names_is_there() {
    let page = include_str!("../../docs/executors.md");
    for (kind, options) in [
        ("local", ""),
        ("ssh", r#"host = "h";"#),
        ("oci", r#"image = "i";"#),
        ("podman", r#"image = "i";"#),
        ("nixos-container", r#"root = "/r";"#),
        ("compose", r#"file = "compose.yml"; service = "s";"#),
    ] {
        assert!(page.contains(kind), "{kind} is not documented");
        let project = Project::new(&format!(
            r#"jobs.a = {{ executor = nixactions.executors.{kind} {{ {options} }}; steps = [ {{ bash = "true"; }} ]; }};"#
        ))
        .with("compose.yml", "services: { s: { image: i } }\n");
        let doctor = project.call(&["doctor", "ci.nix", "--format", "json"]);
        let said = format!("{}{}", doctor.out, doctor.err);
        assert!(said.contains(kind) && !said.contains("no executor of kind"), "{kind}: {said}");
        let check = project.call(&["check", "ci.nix"]);
        assert_eq!(check.code, 0, "{kind}: {}{}", check.out, check.err);
    }
}
