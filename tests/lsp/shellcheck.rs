//! Scripts that the server has `shellcheck` look at.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nixactions::lsp::transport::Incoming;
use serde_json::{Value, json};

use super::client::{Client, write};
use super::services;

/// Line 6, characters 15 to 17 of the text are what shellcheck objects to.
const UNQUOTED: &str = r#"{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.lint.steps = [
    { bash = ''
        B=$1
        rm -f $B
      '';
    }
    { bash = "true"; }
  ];
}
"#;

fn codes(found: &Value) -> Vec<&str> {
    found.as_array().into_iter().flatten().filter_map(|d| d["code"].as_str()).collect()
}

/// The first findings of a version for which `wanted` holds.
fn findings(client: &mut Client, version: i64, wanted: impl Fn(&[&str]) -> bool) -> Value {
    client.wait(&mut |m| match m {
        Incoming::Notification { method, params }
            if method == "textDocument/publishDiagnostics"
                && params["version"] == version
                && wanted(&codes(&params["diagnostics"])) =>
        {
            Some(params["diagnostics"].clone())
        }
        _ => None,
    })
}

/// A `PATH` on which the real program stands first.
fn real() -> OsString {
    let program = services::program("shellcheck", "shellcheck");
    let dir = program.parent().expect("a folder").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(dir).chain(std::env::split_paths(&path))).expect("a PATH")
}

/// A `PATH` on which nothing but this `shellcheck` stands.
fn with_program(dir: &Path, script: &str) -> OsString {
    write(dir, "bin/shellcheck", script);
    let file = dir.join("bin/shellcheck");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    dir.join("bin").into_os_string()
}

fn shell(script: &str) -> String {
    format!("#!{}\n{script}\n", services::program("bash", "bash").display())
}

#[test]
fn findings_of_scripts_follow_and_stay() {
    let mut client = Client::start_with_path(&real(), Value::Null);
    client.open("ci.nix", UNQUOTED);
    let found = findings(&mut client, 1, |codes| codes == ["NXA501"]);
    let at = |line: u32, character: u32| json!({ "line": line, "character": character });
    assert_eq!(found[0]["range"], json!({ "start": at(6, 14), "end": at(6, 16) }));
    assert!(found[0]["message"].as_str().is_some_and(|m| m.starts_with("SC2086: ")), "{found}");
    // Another script changes: what is known of this one is said at once.
    client.change("ci.nix", 2, &UNQUOTED.replace("\"true\"", "\"make test\""));
    assert_eq!(codes(&client.published("ci.nix", 2)), ["NXA501"]);
    // Mended, and broken elsewhere.
    client.change(
        "ci.nix",
        3,
        &UNQUOTED.replace("rm -f $B", "rm -f \"$B\"").replace("\"true\"", "\"cat $1\""),
    );
    let found = findings(&mut client, 3, |codes| codes == ["NXA501"]);
    assert_eq!(found[0]["range"]["start"]["line"], 9);
    // A comment that allows it is of use, before it is known and after.
    let allowed = UNQUOTED.replace(
        "    { bash = ''",
        "    # nixactions: allow(shellcheck) B is one word\n    { bash = ''\n        C=1",
    );
    client.change("ci.nix", 4, &allowed);
    assert_eq!(codes(&client.published("ci.nix", 4)), [""; 0]);
    settle(&mut client);
    client.change("ci.nix", 5, &allowed);
    assert_eq!(codes(&client.published("ci.nix", 5)), [""; 0]);
    assert_eq!(client.end(), Some(0));
}

/// Waits until nothing is being checked.
fn settle(client: &mut Client) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let status = client.request("nixactions/status", Value::Null).expect("an answer");
        if status["busy"] == false {
            return;
        }
        assert!(Instant::now() < until, "{status}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn those_who_pull_are_told_to_pull_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let script = r#"echo '{"comments":[{"file":"0.sh","line":2,"endLine":2,"column":1,"endColumn":2,"level":"error","code":1,"message":"Said."}]}'"#;
    let path = with_program(dir.path(), &shell(script));
    let mut client = Client::start_with_path(&path, Value::Null);
    client.open("ci.nix", UNQUOTED);
    findings(&mut client, 1, |codes| codes.contains(&"NXA501"));
    let params = json!({ "textDocument": { "uri": client.uri("ci.nix") } });
    let report = client.request("textDocument/diagnostic", params).expect("an answer");
    assert_eq!(codes(&report["items"]), ["NXA501"]);
}

#[test]
fn without_the_program_one_line_says_so() {
    let empty = tempfile::tempdir().expect("a folder");
    let mut client = Client::start_with_path(empty.path().as_os_str(), Value::Null);
    client.open("ci.nix", UNQUOTED);
    let said = client.wait(&mut |m| match m {
        Incoming::Notification { method, params } if method == "window/logMessage" => Some(params.clone()),
        _ => None,
    });
    assert_eq!(
        said,
        json!({ "type": 3, "message": "shellcheck is not installed, so scripts are not checked" })
    );
    assert_eq!(codes(&client.published("ci.nix", 1)), [""; 0]);
    client.change("ci.nix", 2, &UNQUOTED.replace("lint", "style"));
    assert_eq!(codes(&client.published("ci.nix", 2)), [""; 0]);
    settle(&mut client);
    assert_eq!(client.count("window/logMessage"), 0, "said once");
    assert_eq!(client.end(), Some(0));
}

#[test]
fn it_can_be_turned_off() {
    let empty = tempfile::tempdir().expect("a folder");
    let off = json!({ "shellcheck": { "enable": false } });
    let mut client = Client::start_with_path(empty.path().as_os_str(), off);
    client.open("ci.nix", UNQUOTED);
    assert_eq!(codes(&client.published("ci.nix", 1)), [""; 0]);
    settle(&mut client);
    assert_eq!(client.count("window/logMessage"), 0);
}

#[test]
fn a_program_that_hangs_or_prints_nonsense_holds_nothing_up() {
    let dir = tempfile::tempdir().expect("a folder");
    let pids = dir.path().join("pids");
    let sleep = services::program("sleep", "coreutils");
    let script = format!("echo $$ >> {}\nexec {} 600", pids.display(), sleep.display());
    let mut client = Client::start_with_path(&with_program(dir.path(), &shell(&script)), Value::Null);
    client.open("ci.nix", UNQUOTED);
    client.published("ci.nix", 1);
    let started = |n: usize| {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let text = std::fs::read_to_string(&pids).unwrap_or_default();
            let list: Vec<u32> = text.lines().filter_map(|l| l.parse().ok()).collect();
            if list.len() >= n {
                return list;
            }
            assert!(Instant::now() < until, "it was not started");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    started(1);
    let answer = client.at("textDocument/hover", "ci.nix", UNQUOTED, "steps", 1);
    assert!(answer["contents"]["value"].is_string(), "{answer}");
    // The scripts change: what checks the older ones is ended, and the new ones are checked.
    client.change("ci.nix", 2, &UNQUOTED.replace("B=$1", "B=$2"));
    client.published("ci.nix", 2);
    let list = started(2);
    assert_eq!(client.end(), Some(0));
    for pid in list {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(!stat.contains("600"), "{pid} outlives the server");
    }
    let mut client = Client::start_with_path(&with_program(dir.path(), &shell("echo nonsense")), Value::Null);
    client.open("ci.nix", UNQUOTED);
    assert_eq!(codes(&client.published("ci.nix", 1)), [""; 0]);
    settle(&mut client);
    assert_eq!(client.end(), Some(0));
}
