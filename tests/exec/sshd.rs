//! Real OpenSSH servers on loopback, each with keys of its own.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::services::program;

/// A server, and a client's key that it takes.
pub(crate) struct Sshd {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) port: u16,
    server: Option<Child>,
    /// A directory, and what the host has in its place.
    apart: Option<(PathBuf, PathBuf)>,
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

fn keygen(file: &Path) {
    let done = Command::new(program("ssh-keygen", "openssh-client"))
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(file)
        .status()
        .expect("ssh-keygen");
    assert!(done.success());
}

impl Sshd {
    /// Makes the keys and starts a server.
    pub(crate) fn start() -> Sshd {
        Sshd::start_with(&[])
    }

    /// The same with further lines of configuration.
    pub(crate) fn start_with(lines: &[&str]) -> Sshd {
        let dir = tempfile::tempdir().expect("a directory");
        keygen(&dir.path().join("host"));
        keygen(&dir.path().join("client"));
        fs::copy(dir.path().join("client.pub"), dir.path().join("authorized")).expect("copied");
        let mut sshd = Sshd { dir, port: free_port(), server: None, apart: None };
        sshd.configure(lines);
        sshd.trust();
        sshd.up();
        sshd
    }

    /// The same, with a directory of the host's own in the place of one of this machine's.
    pub(crate) fn start_apart(lines: &[&str], place: &Path, own: &Path) -> Sshd {
        let dir = tempfile::tempdir().expect("a directory");
        keygen(&dir.path().join("host"));
        keygen(&dir.path().join("client"));
        fs::copy(dir.path().join("client.pub"), dir.path().join("authorized")).expect("copied");
        let apart = Some((place.to_path_buf(), own.to_path_buf()));
        let mut sshd = Sshd { dir, port: free_port(), server: None, apart };
        sshd.configure(lines);
        sshd.trust();
        sshd.up();
        sshd
    }

    fn configure(&self, lines: &[&str]) {
        let dir = self.dir.path().display();
        // Of several lines with variables a server takes the first.
        let (own, lines): (Vec<&str>, Vec<&str>) = lines.iter().partition(|line| line.starts_with("SetEnv "));
        let own: String = own.iter().map(|line| line.trim_start_matches("SetEnv")).collect();
        let mut text = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {dir}/host\nAuthorizedKeysFile {dir}/authorized\n\
             StrictModes no\nUsePAM no\nPidFile {dir}/pid\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPrintMotd no\nLogLevel VERBOSE\n\
             SetEnv SHLVL=3{own}\n",
            self.port
        );
        lines.iter().for_each(|line| text += &format!("{line}\n"));
        fs::write(self.dir.path().join("config"), text).expect("written");
    }

    /// Writes the file of known hosts.
    pub(crate) fn trust(&self) {
        let key = fs::read_to_string(self.dir.path().join("host.pub")).expect("a key");
        fs::write(self.known_hosts(), format!("[127.0.0.1]:{} {key}", self.port)).expect("written");
    }

    /// Starts the server.
    pub(crate) fn up(&mut self) {
        if rustix::process::getuid().is_root() {
            fs::create_dir_all("/run/sshd").expect("made");
        }
        let log = fs::File::options().append(true).create(true).open(self.log_file()).expect("a log");
        let sshd = program("sshd", "openssh-server");
        let mut command = match &self.apart {
            None => Command::new(sshd),
            Some((place, own)) => {
                let mut command = Command::new(program("unshare", "util-linux"));
                let script = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";
                command.args(["-m", "sh", "-c", script, "apart"]).args([own, place, &sshd]);
                command
            }
        };
        let server = command
            .args(["-D", "-e", "-f"])
            .arg(self.dir.path().join("config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("sshd");
        self.server = Some(server);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "sshd does not listen: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops the server; connections that it has made live on.
    pub(crate) fn down(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _gone = server.kill();
            let _reaped = server.wait();
        }
    }

    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.dir.path().join("known_hosts")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// What the server logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Where workspaces lie on this host.
    pub(crate) fn workspaces(&self) -> PathBuf {
        self.dir.path().join("w")
    }

    /// The options of `executors.ssh` for this host.
    pub(crate) fn options(&self) -> Value {
        json!({
            "host": "127.0.0.1",
            "port": self.port,
            "identityFile": self.dir.path().join("client"),
            "knownHosts": self.known_hosts(),
            "workspaceDir": self.workspaces(),
            // The machine's own configuration and agent have no say in a test.
            "options": { "IdentityAgent": "none", "GlobalKnownHostsFile": "/dev/null" },
        })
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.down();
    }
}

/// Directories of runs below a directory of workspaces.
pub(crate) fn runs_below(workspaces: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for user in fs::read_dir(workspaces).into_iter().flatten().flatten() {
        for owner in fs::read_dir(user.path()).into_iter().flatten().flatten() {
            for run in fs::read_dir(owner.path().join("runs")).into_iter().flatten().flatten() {
                found.push(run.path().display().to_string());
            }
        }
    }
    found
}
