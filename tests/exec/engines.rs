//! A real Docker engine, one for all tests of this program, and an image made of this machine's files.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::services::program;

/// The image that every test may use.
pub(crate) const IMAGE: &str = "nixactions-test:latest";

/// A running engine.
pub(crate) struct Engine {
    pub(crate) dir: PathBuf,
    /// Its input ends with this process, and the engine with its input.
    _keeper: Child,
}

/// Keeps the engine until nobody holds the input any more, then ends it by its own number and
/// removes what it had.
const KEEPER: &str = r#"
"$1" --iptables=false --bridge=none --storage-driver=vfs --data-root "$2/data" --exec-root "$2/exec" \
    --pidfile "$2/pid" -H "unix://$2/sock" >"$2/log" 2>&1 &
engine=$!
while read -r word; do case $word in
    restart) kill "$engine"; wait "$engine"
        "$1" --iptables=false --bridge=none --storage-driver=vfs --data-root "$2/data" --exec-root "$2/exec" \
            --pidfile "$2/pid" -H "unix://$2/sock" >>"$2/log" 2>&1 &
        engine=$!;;
esac; done
kill "$engine"; wait "$engine"
rm -rf "$2"
"#;

impl Engine {
    /// Starts an engine with the image.
    pub(crate) fn start() -> Engine {
        let dockerd = program("dockerd", "docker.io");
        let dir = tempfile::Builder::new().prefix("nxa-docker").tempdir().expect("a directory").keep();
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(dockerd)
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        let engine = Engine { dir, _keeper: keeper };
        engine.wait();
        engine.import();
        engine
    }

    fn wait(&self) {
        let begun = Instant::now();
        while !self.docker(&["version"]).status().is_ok_and(|status| status.success()) {
            let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(60), "the engine does not start:\n{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Stops the engine and starts it again.
    pub(crate) fn restart(&mut self) {
        let stdin = self._keeper.stdin.as_mut().expect("an input");
        stdin.write_all(b"restart\n").expect("written");
        std::thread::sleep(Duration::from_millis(500));
        self.wait();
    }

    /// The engine's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("sock")
    }

    /// The docker command, for this engine.
    pub(crate) fn docker(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("docker", "docker.io"));
        command.arg("-H").arg(format!("unix://{}", self.socket().display())).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// What the docker command prints.
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        let output = self.docker(arguments).stdout(Stdio::piped()).output().expect("docker");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn import(&self) {
        let root = self.dir.join("root");
        root_file_system(&root);
        let script = "tar -C \"$1\" -c . | \"$2\" -H \"unix://$3\" import - \"$4\"";
        let done = Command::new("sh")
            .args(["-c", script, "import"])
            .arg(&root)
            .arg(program("docker", "docker.io"))
            .arg(self.socket())
            .arg(IMAGE)
            .output()
            .expect("sh");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        fs::remove_dir_all(&root).expect("removed");
    }

    /// Containers that nixactions made.
    pub(crate) fn containers(&self) -> Vec<String> {
        let listed = self.ask(&["ps", "-a", "--filter", "label=nixactions.run", "--format", "{{.Names}}"]);
        listed.lines().map(str::to_owned).collect()
    }
}

/// The engine that all tests share.
pub(crate) fn shared() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(Engine::start)
}

/// A root file system of busybox, bash and git, from the files of this machine.
pub(crate) fn root_file_system(root: &Path) {
    let busybox = program("busybox", "busybox-static");
    let (bash, git) = (program("bash", "bash"), program("git", "git"));
    let script = include_str!("../services/root");
    let done = Command::new("sh")
        .args(["-c", script, "root"])
        .args([root, &busybox, &bash, &git])
        .output()
        .expect("sh");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
