//! The podman executor, against podman's own service.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::conformance::{Venue, conforms};
use crate::engines::root_file_system;
use crate::services::program;

const IMAGE: &str = "localhost/nixactions-test:latest";

/// Ends the service when nobody holds its input any more.
const KEEPER: &str = r#"dir=$1; shift
"$@" system service --time=0 "unix://$dir/sock" >"$dir/log" 2>&1 &
service=$!
read -r word
kill "$service"; wait "$service"
umount "$dir"/root/* 2>/dev/null
rm -rf "$dir"
"#;

struct Podman {
    dir: PathBuf,
    /// Its input ends with this process, and the service with its input.
    _keeper: Child,
}

fn shared() -> &'static Podman {
    static PODMAN: OnceLock<Podman> = OnceLock::new();
    PODMAN.get_or_init(|| {
        let podman = program("podman", "podman");
        let dir = tempfile::Builder::new().prefix("nxa-podman").tempdir().expect("a directory").keep();
        // Its defaults ask for more open files than a container without that right may have.
        let conf = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n[engine]\ncgroup_manager = \"cgroupfs\"\n";
        fs::write(dir.join("containers.conf"), conf).expect("written");
        let place = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let options =
            ["--root", &place("root"), "--runroot", &place("run"), "--storage-driver", "vfs"].map(str::to_owned);
        let files = dir.join("files");
        root_file_system(&files);
        let import = "tar -C \"$1\" -c . | { shift; \"$@\"; }";
        let done = Command::new("sh")
            .args(["-c", import, "import"])
            .arg(&files)
            .arg(&podman)
            .args(&options)
            .args(["import", "-", IMAGE])
            .env("CONTAINERS_CONF", dir.join("containers.conf"))
            .output()
            .expect("sh");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        fs::remove_dir_all(&files).expect("removed");
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&dir)
            .arg(&podman)
            .args(&options)
            .env("CONTAINERS_CONF", dir.join("containers.conf"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        let begun = Instant::now();
        while std::os::unix::net::UnixStream::connect(dir.join("sock")).is_err() {
            let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(60), "podman's service does not listen:\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Podman { dir, _keeper: keeper }
    })
}

fn venue() -> Venue {
    let socket = shared().dir.join("sock");
    Venue::new("podman", json!({ "image": IMAGE, "network": "host", "socket": socket, "pull": "never" }), ())
}

mod suite {
    use super::*;
    conforms!(super::venue:
        the_nearest_layer_of_the_environment_wins
        job_env_reaches_later_steps
        packages_come_first_on_the_path
        artifacts_keep_modes_links_and_dotfiles
        the_project_is_there_and_git_works_in_it
        exit_codes_are_kept
        a_timeout_ends_the_whole_tree
        two_streams_stay_two
        secrets_are_in_no_argument_and_no_log
        nothing_is_left_behind
    );
}
