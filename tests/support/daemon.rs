//! A nix daemon of a test's own, with a store, state and configuration of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nixactions::drv::store_path::StoreDir;
use nixactions::store::Location;
use tempfile::TempDir;

use crate::services::program;

/// A running daemon; stopped, with the connections it serves, when dropped.
pub(crate) struct Daemon {
    dir: TempDir,
    child: Child,
}

impl Daemon {
    /// Starts Debian's daemon, or the one that `NIXACTIONS_TEST_NIX_DAEMON` names, without sandbox, build users
    /// or substituters.
    pub(crate) fn start() -> Daemon {
        Daemon::start_as(Command::new(daemon_program()))
    }

    /// The same, with a store on a disk of its own of this size (as `mount -o size=` takes it), which only the
    /// daemon sees.
    #[allow(dead_code, reason = "not every test binary has a small disk")]
    pub(crate) fn start_on_disk_of(size: &str) -> Daemon {
        let mut command = on_disk_of(size, "NIX_STORE_DIR");
        command.arg(daemon_program());
        Daemon::start_as(command)
    }

    fn start_as(mut command: Command) -> Daemon {
        let dir = tempfile::Builder::new().prefix("nixd").tempdir().expect("a directory");
        let root = dir.path();
        for below in ["conf", "store", "var", "log"] {
            std::fs::create_dir(root.join(below)).expect("a directory");
        }
        let conf = "sandbox = false\nbuild-users-group =\nsubstituters =\nexperimental-features = nix-command flakes\n";
        std::fs::write(root.join("conf/nix.conf"), conf).expect("written");
        for (name, value) in variables(root) {
            command.env(name, value);
        }
        // With this set the daemon would ask itself.
        command.env_remove("NIX_REMOTE");
        let log = std::fs::File::create(root.join("daemon.log")).expect("a log");
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        let daemon = Daemon { dir, child };
        let begun = Instant::now();
        while !greets(&daemon.socket()) {
            let log = std::fs::read_to_string(daemon.dir.path().join("daemon.log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(20), "the daemon does not listen: {log}");
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    pub(crate) fn store_dir(&self) -> String {
        self.dir.path().join("store").to_string_lossy().into_owned()
    }

    pub(crate) fn location(&self) -> Location {
        let mut location = Location::at(self.socket());
        location.store_dir = StoreDir::new(&self.store_dir());
        location
    }

    /// A program of Nix, or ours, that uses this daemon.
    pub(crate) fn command(&self, name: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(name);
        for (name, value) in variables(self.dir.path()) {
            command.env(name, value);
        }
        command.env("NIX_REMOTE", "daemon");
        command
    }
}

/// The daemon that the tests talk to.
fn daemon_program() -> PathBuf {
    match std::env::var_os("NIXACTIONS_TEST_NIX_DAEMON") {
        Some(named) => named.into(),
        None => program("nix-daemon", "nix-bin"),
    }
}

/// Runs the program that is added as an argument, and its arguments, with a small disk where a variable says.
pub(crate) fn on_disk_of(size: &str, variable: &str) -> Command {
    let mut command = Command::new("unshare");
    let script = format!("mount -t tmpfs -o size={size} none \"${variable}\" && exec \"$@\"");
    command.args(["--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
    command
}

/// Whether a daemon has made its store and answers. The first connections may fail while it does.
fn greets(socket: &Path) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::os::unix::net::UnixStream::connect(socket) else { return false };
    let hello = [0x6e69_7863u64, 1 << 8 | 34].map(u64::to_le_bytes).concat();
    // Magic and version, the name's length; then the name is on its way, and the store is open.
    let rest = [0u64, 0].map(u64::to_le_bytes).concat();
    let mut answer = [0; 24];
    stream.write_all(&hello).is_ok()
        && stream.write_all(&rest).is_ok()
        && stream.read_exact(&mut answer).is_ok()
}

fn variables(root: &Path) -> Vec<(&'static str, PathBuf)> {
    vec![
        ("NIX_CONF_DIR", root.join("conf")),
        ("NIX_STORE_DIR", root.join("store")),
        ("NIX_STATE_DIR", root.join("var")),
        ("NIX_LOCALSTATE_DIR", root.join("var")),
        ("NIX_LOG_DIR", root.join("log")),
        ("NIX_DAEMON_SOCKET_PATH", root.join("socket")),
        ("NIX_USER_CONF_FILES", "/dev/null".into()),
    ]
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Processes that serve a connection end with the connection.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What is in a store is read-only, which hinders its removal for all but root.
        let _ = Command::new("chmod").args(["-R", "u+w"]).arg(self.dir.path().join("store")).status();
    }
}
