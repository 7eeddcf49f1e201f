//! The nixos-container executor, on systemd-nspawn.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::conformance::{Venue, conforms};
use crate::engines::root_file_system;
use crate::harness::{Run, step};
use crate::services::program;

fn options() -> (tempfile::TempDir, Value) {
    program("systemd-nspawn", "systemd-container");
    program("nsenter", "util-linux");
    let dir = tempfile::tempdir().expect("a directory");
    let root: PathBuf = dir.path().join("root");
    root_file_system(&root);
    (dir, json!({ "root": root }))
}

fn machines() -> Vec<String> {
    let listed = Command::new("pgrep").args(["-fa", "systemd-nspawn.*nixactions"]).output().expect("pgrep");
    String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect()
}

fn venue() -> Venue {
    let (dir, options) = options();
    Venue::new("nixos-container", options, dir)
}

mod suite {
    use super::*;
    conforms!(super::venue);
}

#[test]
fn a_root_that_is_none_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = json!({ "root": dir.path(), "copyRepo": false });
    let executor = json!({ "kind": "nixos-container", "name": "n", "options": options });
    let ended = Run::new().job_with("j", &[step("true")], json!({ "executor": executor })).run();
    assert!(ended.all_json().contains("root file system") && ended.code() == 3, "{}", ended.all_json());
}

#[test]
fn an_ephemeral_machine_leaves_its_root_as_it_was() {
    let (dir, mut options) = options();
    options["copyRepo"] = json!(false);
    let executor = json!({ "kind": "nixos-container", "name": "ephemeral", "options": options });
    let script = "echo x > /etc/changed; [ -f /etc/changed ]; [ $(id -u) = 0 ]; echo inside";
    let ended = Run::new().job_with("j", &[step(script)], json!({ "executor": executor })).run();
    assert_eq!(ended.lines("j"), ["inside"], "{}", ended.all_json());
    assert!(!dir.path().join("root/etc/changed").exists());
    assert!(!machines().iter().any(|line| line.contains("ephemeral")), "{:?}", machines());
}
