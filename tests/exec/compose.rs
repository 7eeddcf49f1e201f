//! The compose executor, against a real engine and compose tool.

use std::fs;

use serde_json::{Value, json};

use crate::conformance::{Venue, conforms};
use crate::engines::{self, IMAGE};
use crate::harness::{Run, step};
use crate::services::program;

const FILE: &str = "version: '2.4'\nservices:\n  box:\n    image: IMAGE\n    network_mode: host\n    init: INIT\n    command: COMMAND\n";

fn project(command: &str) -> (tempfile::TempDir, Value) {
    program("docker-compose", "docker-compose");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("compose.yml");
    let text = FILE.replace("IMAGE", IMAGE).replace("INIT", "false").replace("COMMAND", command);
    fs::write(&file, text).expect("written");
    let options = json!({ "file": file, "service": "box", "socket": engines::shared().socket() });
    (dir, options)
}

fn venue() -> Venue {
    let (dir, options) = project("sh -c 'trap \"exit 0\" TERM; while :; do sleep 1; done'");
    Venue::new("compose", options, dir)
}

mod suite {
    use super::*;
    conforms!(super::venue:
        the_nearest_layer_of_the_environment_wins
        job_env_reaches_later_steps
        artifacts_keep_modes_links_and_dotfiles
        the_project_is_there_and_git_works_in_it
        exit_codes_are_kept
        a_timeout_ends_the_whole_tree
        a_cancel_reaches_the_step_and_always_steps_run
        much_output_is_whole
        secrets_are_in_no_argument_and_no_log
        nothing_is_left_behind
    );
}

fn run(options: &Value) -> crate::harness::Ended {
    let mut options = options.clone();
    options["copyRepo"] = json!(false);
    options["project"] = json!(format!("own{}", std::process::id()));
    let executor = json!({ "kind": "compose", "name": "compose", "options": options });
    Run::new().job_with("j", &[step("echo here")], json!({ "executor": executor })).run()
}

#[test]
fn a_service_that_does_not_stay_up_is_named_and_the_project_goes() {
    let (_dir, options) = project("\"true\"");
    let ended = run(&options);
    let said = ended.all_json();
    assert!(said.contains("`box`") || said.contains("box of"), "{said}");
    assert_eq!(ended.code(), 3, "{said}");
    let listed = engines::shared().ask(&["ps", "-a", "--format", "{{.Names}}"]);
    assert!(!listed.contains(&format!("own{}", std::process::id())), "{listed}");
}
