//! Background steps and services.

use std::time::Duration;

use crate::harness::Project;

#[test]
fn a_background_step_runs_beside_the_others_and_ends_with_the_job() {
    let ran = Project::new(
        r#"jobs.a.steps = [
             { name = "server"; background = true; bash = "echo $$ > pid; echo up; while :; do sleep 0.1; done"; }
             { bash = "while [ ! -s pid ]; do sleep 0.05; done; kill -0 $(cat pid) && echo seen"; }
           ];
           jobs.b = { needs = [ "a" ]; steps = [ { bash = "pgrep -f 'echo up; whil[e]' || echo gone"; } ]; };"#,
    )
    .ok(&[]);
    let mut lines = ran.lines("a");
    lines.sort();
    assert_eq!(lines, ["seen", "up"]);
    assert_eq!(ran.lines("b"), ["gone"]);
    let server = ran.all("step-finished").into_iter().find(|e| e["step"]["name"] == "server").expect("ended");
    assert_eq!(
        (server["result"].as_str(), server["end"]["kind"].as_str()),
        (Some("success"), Some("cancelled"))
    );
}

#[test]
fn a_background_step_that_fails_by_itself_fails_the_job() {
    let ran = Project::new(
        r#"jobs.a.steps = [
             { background = true; bash = "exit 3"; }
             { bash = "sleep 0.5"; }
             { bash = "echo not reached"; }
             { condition = "failure()"; bash = "echo saw it"; }
           ];"#,
    )
    .run(&[]);
    assert_eq!((ran.code, ran.result("a").as_str()), (1, "failure"));
    assert_eq!(ran.lines("a"), ["saw it"]);
}

#[test]
fn a_service_is_ready_before_the_first_step_and_gone_after_the_last() {
    let ran = Project::new(
        r#"jobs.a = {
             env.NAME = "db";
             services.db = {
               env = { STATE = "state"; FROM = nixactions.fromEnv "TEST_FROM"; };
               bash = "sleep 0.3; echo $NAME $FROM > $STATE; echo listening; exec sleep 600";
               health = "test -s $STATE";
             };
             steps = [ { bash = "cat state; echo \${STATE-unset}"; } ];
           };
           jobs.b = { needs = [ "a" ]; steps = [ { bash = "pgrep -f 'sleep 60[0]' || echo gone"; } ]; };"#,
    )
    .env("TEST_FROM", "outside")
    .ok(&[]);
    let lines = ran.lines("a");
    assert!(lines.contains(&"db | listening".into()), "{lines:?}");
    assert!(lines.contains(&"db outside".into()) && lines.contains(&"unset".into()), "{lines:?}");
    assert!(ran.notices().contains("service `db` is ready"), "{}", ran.notices());
}

#[test]
fn a_service_is_ready_when_its_port_takes_connections() {
    crate::services_support::program("python3", "python3");
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let ran = Project::new(&format!(
        r#"jobs.a = {{
             services.web = {{ bash = "sleep 0.2; exec python3 -m http.server {port} --bind 127.0.0.1"; ports = [ {port} ]; }};
             steps = [ {{ bash = "exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; head -1 <&3"; }} ];
           }};"#
    ))
    .ok(&[]);
    assert!(ran.lines("a").iter().any(|l| l.contains("200 OK")), "{:?}", ran.lines("a"));
}

#[test]
fn services_that_cannot_start_fail_the_job() {
    let ran = Project::new(
        r#"jobs.dies = { services.db = { bash = "echo no room; exit 4"; health = "false"; }; steps = [ { bash = "echo never"; } ]; };"#,
    )
    .run(&[]);
    assert_eq!(ran.result("dies"), "failure");
    assert!(ran.out.contains("ended before it was ready: exit code 4"), "{}", ran.out);
    assert!(
        ran.lines("dies").contains(&"db | no room".into()) && !ran.lines("dies").contains(&"never".into())
    );
    let found =
        Project::new(r#"jobs.image = { services.db.image = "postgres"; steps = [ { bash = "true"; } ]; };"#)
            .findings();
    assert!(found.contains("NXA602"), "{found}");
}

#[test]
fn a_cancel_reaches_services_and_background_steps() {
    let project = Project::new(
        r#"jobs.a = {
             services.db = { bash = "echo $$ > db; sleep 600"; health = "test -s db"; };
             steps = [ { background = true; bash = "sleep 600"; } { bash = "echo started; sleep 600"; } ];
           };"#,
    );
    let mut child =
        project.command(&["run", "ci.nix"]).stdout(std::process::Stdio::null()).spawn().expect("starts");
    std::thread::sleep(Duration::from_secs(2));
    let pid = rustix::process::Pid::from_raw(child.id() as i32).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("sent");
    let status = child.wait().expect("ends");
    assert_eq!(status.code(), Some(143));
}

#[test]
fn services_are_checked() {
    let found = Project::new(
        r#"jobs.a = { services = { x = { }; y = { bash = "true"; image = "z"; }; }; steps = [ { bash = "true"; } ]; };"#,
    )
    .findings();
    assert!(found.contains("service `x` of job `a` has nothing to run"), "{found}");
    assert!(found.contains("service `y` of job `a` has both `bash` and `image`"), "{found}");
    let found = Project::new(
        r#"jobs.a = { services = { x = { image = "z"; ports = [ 5432 "80:x" ]; }; }; steps = [ { bash = "true"; } ]; };
           jobs.b = { services.y.image = "z"; executor = nixactions.executors.ssh { host = "h"; }; steps = [ { bash = "true"; } ]; };
           jobs.c = { services.y.image = "z"; executor = nixactions.executors.oci { image = "i"; }; steps = [ { bash = "true"; } ]; };"#,
    )
    .findings();
    assert!(found.contains("service `x` of job `a` is an image, and executors.local runs no"), "{found}");
    assert!(found.contains("`80:x` is not a port of service `x` of job `a`"), "{found}");
    assert!(found.contains("service `y` of job `b` is an image, and executors.ssh runs no"), "{found}");
    assert!(!found.contains("of job `c`"), "{found}");
}
