//! Custom executors: a sample one, `chroot`, under the suite.

use std::sync::OnceLock;

use serde_json::json;

use crate::conformance::{Venue, conforms};
use crate::engines::root_file_system;
use crate::harness::{Run, step};

/// A root file system that all tests of this program share; it goes with the last of them.
fn root() -> &'static std::path::Path {
    static ROOT: OnceLock<std::path::PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let dir = std::env::temp_dir().join(format!("nixactions-test-root-{}", std::process::id()));
        root_file_system(&dir);
        // The place of packages, and of what runs there needs.
        for (from, to) in [("/proc", "proc"), ("/dev", "dev")] {
            let mounted = std::process::Command::new("mount").args(["--bind", from]).arg(dir.join(to)).status();
            assert!(mounted.is_ok_and(|status| status.success()), "this test needs root, for chroot");
        }
        let script = "while kill -0 $1 2>/dev/null; do sleep 0.2; done; umount $2/proc $2/dev; rm -rf --one-file-system $2";
        let detach = "setsid sh -c \"$1\" remove \"$2\" \"$3\" </dev/null >/dev/null 2>&1 &";
        let started = std::process::Command::new("sh")
            .args(["-c", detach, "detach", script])
            .arg(std::process::id().to_string())
            .arg(&dir)
            .status();
        assert!(started.is_ok_and(|status| status.success()));
        dir
    })
}

fn hooks() -> serde_json::Value {
    json!({
        "setupWorkspace": format!("export ROOT={}", root().display()),
        "setupJob": "export CHROOT_JOB=\"@nixactions:jobName@\"",
        "executeJob": "exec chroot \"$ROOT\" \"$@\"",
    })
}

fn venue() -> Venue {
    Venue::new("custom", json!({ "hooks": hooks() }), ())
}

mod suite {
    use super::*;
    conforms!(super::venue:
        the_nearest_layer_of_the_environment_wins
        the_environment_outside_overrides_and_session_names_stay
        awkward_values_arrive_whole
        job_env_reaches_later_steps
        what_steps_say_to_the_engine_is_heard
        steps_run_where_workdir_says
        artifacts_keep_modes_links_and_dotfiles
        artifacts_are_found_by_globs_and_missing_ones_fail
        nothing_outside_the_job_directory_is_touched
        the_project_is_there_and_git_works_in_it
        exit_codes_are_kept
        retries_count_and_later_conditions_hold
        a_timeout_ends_the_whole_tree
        a_cancel_reaches_the_step_and_always_steps_run
        a_cancel_in_order_lets_a_step_clean_up
        binary_output_is_exact
        much_output_is_whole
        long_scripts_and_environments_are_taken
        two_streams_stay_two
        a_program_that_is_missing_is_named
        secrets_are_in_no_argument_and_no_log
        a_server_lives_until_its_job_ends
        jobs_run_beside_each_other
        nothing_is_left_behind
    );
}

#[test]
fn hooks_run_in_their_order_and_share_what_they_export() {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let note = |what: &str| format!("echo {what} \"${{A-}}\" \"${{B-}}\" >> {}", log.path().display());
    let hooks = json!({
        "setupWorkspace": format!("export A=1; {}", note("setupWorkspace")),
        "setupJob": format!("export B=@nixactions:jobName@; {}", note("setupJob")),
        // As hooks of the original do: the program of a package.
        "executeJob": "exec \"@nixactions:action@/bin/action\"",
        "cleanupJob": note("cleanupJob"),
        "cleanupWorkspace": note("cleanupWorkspace"),
    });
    let executor =
        json!({ "kind": "custom", "name": "own", "options": { "copyRepo": false, "hooks": hooks } });
    let ended = Run::new().job_with("j", &[step("true")], json!({ "executor": executor })).run();
    assert_eq!(ended.code(), 0, "{}", ended.all_json());
    let said = std::fs::read_to_string(log.path()).expect("a log");
    assert_eq!(said, "setupWorkspace 1 \nsetupJob 1 j\ncleanupJob 1 j\ncleanupWorkspace 1 \n");
}

#[test]
fn a_hook_that_fails_is_named_with_what_it_said() {
    let hooks = json!({ "setupWorkspace": "echo no room >&2; exit 4" });
    let executor =
        json!({ "kind": "custom", "name": "own", "options": { "copyRepo": false, "hooks": hooks } });
    let ended = Run::new().job_with("j", &[step("true")], json!({ "executor": executor })).run();
    let said = ended.all_json();
    assert!(said.contains("setupWorkspace failed with exit code 4: no room") && ended.code() == 3, "{said}");
}

#[test]
fn artifacts_may_go_through_hooks() {
    let hooks = json!({
        "saveArtifact": "mkdir -p \"$NIXACTIONS_ARTIFACTS_DIR/@nixactions:name@\"; cp -a \"$JOB_DIR/@nixactions:path@\" \"$NIXACTIONS_ARTIFACTS_DIR/@nixactions:name@/\"",
        "restoreArtifact": "mkdir -p \"$JOB_DIR/@nixactions:path@\"; cp -a \"$NIXACTIONS_ARTIFACTS_DIR/@nixactions:name@/.\" \"$JOB_DIR/@nixactions:path@/\"",
    });
    let executor =
        json!({ "kind": "custom", "name": "own", "options": { "copyRepo": false, "hooks": hooks } });
    let give = json!({ "executor": executor, "outputs": [{ "name": "a", "path": "f" }] });
    let take = json!({ "executor": executor, "needs": ["a"], "inputs": [{ "name": "a", "path": "in" }] });
    let ended = Run::new()
        .job_with("a", &[step("echo content > f")], give)
        .job_with("b", &[step("cat in/f")], take)
        .run();
    assert_eq!(ended.lines("b"), ["content"], "{}", ended.all_json());
}
