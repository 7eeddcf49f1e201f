//! One multiplexed connection to a host, kept by the machine's own `ssh`: the user's configuration,
//! agent and host-key checking hold.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, Notify, RwLock};

use super::mux::{self, MuxError};
use super::noise::{self, Quiet};
use super::watch;
use crate::engine::executor::{BoxFuture, Cancel, ExecError};
use crate::exec::remote::host::{self, Done, Host, Session};
use crate::exec::remote::program::word;
use crate::exec::remote::site::{Probe, token};

/// How long making a connection may take, before the host counts as down.
const CONNECT: Duration = Duration::from_secs(60);
/// How long the watchdog may take to end.
const CLOSE: Duration = Duration::from_secs(10);
/// Longest wait between two tries to get a session.
const RETRY: Duration = Duration::from_millis(200);

/// Where a host is and how to get there.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Name or address, as `ssh` takes it.
    pub(super) host: String,
    /// Arguments of `ssh` before the host.
    pub(super) arguments: Vec<String>,
}

/// What the watchdog said when it began.
#[derive(Clone, Debug)]
pub(super) struct Greeting {
    pub(super) probe: Probe,
    /// The workspace on the host.
    pub(super) root: PathBuf,
    /// Where copies of repositories are kept there between runs.
    pub(super) cache: PathBuf,
}

/// The process of `ssh` that holds the connection, and its watchdog's streams.
struct Master {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// A connection, made anew when it was lost.
pub(super) struct Connection {
    target: Target,
    socket: PathBuf,
    /// The directory of the socket, when it is ours to remove.
    own_dir: Option<PathBuf>,
    watchdog: String,
    master: Mutex<Option<Master>>,
    /// Counts up with each connection; taken while one is being made.
    generation: RwLock<u64>,
    /// A session has ended, so another may be had.
    freed: Arc<Notify>,
    closed: AtomicBool,
}

/// Tells those who wait that a session has ended.
struct Freed(Arc<Notify>);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Connection {
    /// A connection that is not made yet. `dir` is a private directory for the control socket.
    pub(super) fn new(target: Target, dir: &Path, watchdog: String) -> Result<Connection, ExecError> {
        let file = format!("c{}", &token()[..8]);
        // `ssh` adds 17 bytes to the name while it makes the socket; the limit is 107.
        let fits = dir.as_os_str().len() + 1 + file.len() + 17 < 104;
        let (dir, own_dir) = if fits {
            (dir.to_path_buf(), None)
        } else {
            let own = std::env::temp_dir().join(format!("nixactions-{}", &token()[..16]));
            (own.clone(), Some(own))
        };
        let made = std::fs::DirBuilder::new().recursive(own_dir.is_none()).mode(0o700).create(&dir);
        made.map_err(|e| ExecError::io("create", &dir, &e))?;
        Ok(Connection {
            target,
            socket: dir.join(file),
            own_dir,
            watchdog,
            master: Mutex::new(None),
            generation: RwLock::new(0),
            freed: Arc::new(Notify::new()),
            closed: AtomicBool::new(false),
        })
    }

    /// The host's name.
    pub(super) fn host(&self) -> &str {
        &self.target.host
    }

    /// Makes the connection.
    pub(super) async fn connect(&self, cancel: &Cancel) -> Result<Greeting, ExecError> {
        let mut generation = self.generation.write().await;
        let work = tokio::time::timeout(CONNECT, self.start());
        let (master, greeting) = tokio::select! {
            started = work => started.unwrap_or_else(|_| {
                let message = format!("host `{}` does not answer within {} s", self.host(), CONNECT.as_secs());
                Err(ExecError::infrastructure(message))
            })?,
            () = cancel.cancelled() => return Err(host::cancelled()),
        };
        *self.master.lock().await = Some(master);
        *generation += 1;
        Ok(greeting)
    }

    fn command(&self) -> Command {
        // Nobody reads what an earlier process has left of its socket.
        let _none = std::fs::remove_file(&self.socket);
        let mut command = Command::new("ssh");
        command.args(["-M", "-T", "-e", "none", "-S"]).arg(&self.socket);
        for option in [
            "ControlPersist=no",
            "BatchMode=yes",
            "RemoteCommand=none",
            "PermitLocalCommand=no",
            "ExitOnForwardFailure=no",
            "ClearAllForwardings=yes",
        ] {
            command.args(["-o", option]);
        }
        command.args(&self.target.arguments);
        for option in ["ConnectTimeout=15", "ServerAliveInterval=5", "ServerAliveCountMax=3"] {
            command.args(["-o", option]);
        }
        command.arg("--").arg(&self.target.host).arg(format!("exec sh -c {}", word(&self.watchdog)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C is for nixactions, which ends its connections itself.
        command.process_group(0).kill_on_drop(true);
        command
    }

    async fn start(&self) -> Result<(Master, Greeting), ExecError> {
        let host = self.host();
        let mut child = self.command().spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ExecError::infrastructure(
                "there is no program `ssh` on the PATH; executors.ssh needs OpenSSH's client",
            ),
            _ => ExecError::infrastructure(format!("cannot start ssh: {error}")),
        })?;
        let lost = || mux::lost(host);
        let stdin = child.stdin.take().ok_or_else(lost)?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or_else(lost)?);
        let mut stderr = child.stderr.take().ok_or_else(lost)?;
        let mut printed = Vec::new();
        let failure = loop {
            let start = printed.len();
            match stdout.read_until(b'\n', &mut printed).await {
                Ok(0) | Err(_) => break None,
                Ok(_) => {}
            }
            let line = printed[start..].trim_ascii_end();
            if line == watch::BEGIN.as_bytes() {
                printed.clear();
                continue;
            }
            if line == watch::READY.as_bytes() {
                break Some(Ok(()));
            }
            if let Some(why) = line.strip_prefix(b"failed ") {
                break Some(Err(String::from_utf8_lossy(why).into_owned()));
            }
        };
        match failure {
            Some(Ok(())) => {}
            Some(Err(why)) => return Err(ExecError::infrastructure(format!("host `{host}`: {why}"))),
            None => {
                let mut complaint = Vec::new();
                let _all = stderr.read_to_end(&mut complaint).await;
                return Err(explain(host, &String::from_utf8_lossy(&complaint)));
            }
        }
        // What ssh complains about later shows in lost sessions.
        tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
        let value = |name: &str| {
            let found =
                printed.split(|b| *b == b'\n').filter_map(|l| l.strip_prefix(name.as_bytes())).next_back();
            found.map(|v| PathBuf::from(String::from_utf8_lossy(v).into_owned()))
        };
        let (root, cache) = (value("root=").ok_or_else(lost)?, value("cache=").ok_or_else(lost)?);
        let mut probe = Probe::parse(&printed);
        probe.env.retain(|(name, _)| name != "root" && name != "cache");
        Ok((Master { child, stdin, stdout }, Greeting { probe, root, cache }))
    }

    /// Has the watchdog run a program; this needs no further session.
    async fn ask(&self, program: &str) -> Result<Done, ExecError> {
        let lost = || mux::lost(self.host());
        let mut master = self.master.lock().await;
        let Some(Master { stdin, stdout, .. }) = master.as_mut() else { return Err(lost()) };
        let token = token();
        stdin.write_all(watch::line(&token, program).as_bytes()).await.map_err(|_| lost())?;
        let done = format!("done {token} ");
        let mut printed = Vec::new();
        loop {
            let start = printed.len();
            match stdout.read_until(b'\n', &mut printed).await {
                Ok(0) | Err(_) => return Err(lost()),
                Ok(_) => {}
            }
            if let Some(code) = printed[start..].strip_prefix(done.as_bytes()) {
                let code = String::from_utf8_lossy(code.trim_ascii()).parse().unwrap_or(1);
                printed.truncate(start.saturating_sub(1));
                return Ok(Done { code, stdout: printed, stderr: Vec::new() });
            }
        }
    }

    /// Makes a connection that once was again, if it was lost; whether there is one.
    pub(super) async fn revive(&self) -> bool {
        *self.generation.read().await > 0 && self.make_anew().await.is_ok()
    }

    /// Ends the connection in order. The watchdog has nothing more to do than perhaps to remove the
    /// workspace, with what a preparation that failed has left of it.
    pub(super) async fn close(&self, remove: bool) {
        self.closed.store(true, Ordering::Release);
        let master = self.master.lock().await.take();
        if let Some(Master { mut child, mut stdin, .. }) = master {
            // Either it hears this, or it is gone.
            let _gone = stdin.write_all(if remove { b"clean\n" } else { b"end\n" }).await;
            drop(stdin);
            if tokio::time::timeout(CLOSE, child.wait()).await.is_err() {
                let _gone = child.kill().await;
            }
        }
        let _gone = std::fs::remove_file(&self.socket);
        if let Some(dir) = &self.own_dir {
            let _left = std::fs::remove_dir(dir);
        }
    }

    async fn open_session(&self, command: &[&str]) -> Result<Session, ExecError> {
        let words: Vec<String> = command.iter().map(word).collect();
        let mark = token();
        let command = format!("exec sh -c {} sh {}", word(noise::program(&mark)), words.join(" "));
        loop {
            let _connected = self.generation.read().await;
            match mux::open(&self.socket, &command, self.host()).await {
                Ok(mut session) => {
                    let freed = Freed(Arc::clone(&self.freed));
                    session.stdout = Box::pin(Quiet::new(session.stdout, &mark));
                    session.stderr = Box::pin(Quiet::new(session.stderr, &mark));
                    session.end = Box::pin(async move {
                        let _freed = freed;
                        session.end.await
                    });
                    return Ok(session);
                }
                // The server allows so many sessions a connection; some step will end.
                Err(MuxError::Refused(_)) if !self.closed.load(Ordering::Acquire) => {}
                Err(MuxError::Refused(reason)) => {
                    let message = format!("host `{}` refuses a session: {reason}", self.host());
                    return Err(ExecError::infrastructure(message));
                }
                Err(MuxError::Gone(error)) => {
                    let message = format!("the connection to host `{}` was lost ({error})", self.host());
                    return Err(ExecError::infrastructure(message));
                }
            }
            drop(_connected);
            let _either = tokio::time::timeout(RETRY, self.freed.notified()).await;
        }
    }

    async fn make_anew(&self) -> Result<(), ExecError> {
        let before = *self.generation.read().await;
        // Another step may have been quicker.
        if mux::open(&self.socket, "exit 0", self.host()).await.is_ok() {
            return Ok(());
        }
        if before != *self.generation.read().await {
            return Ok(());
        }
        self.connect(&Cancel::new()).await.map(|_| ())
    }
}

impl Host for Connection {
    fn describe(&self) -> String {
        format!("host `{}`", self.host())
    }

    fn open<'a>(&'a self, command: &'a [&'a str]) -> BoxFuture<'a, Result<Session, ExecError>> {
        Box::pin(self.open_session(command))
    }

    fn may_reconnect(&self) -> bool {
        true
    }

    fn reconnect<'a>(&'a self) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(self.make_anew())
    }

    fn urgent<'a>(&'a self, program: &'a str, _: &'a Cancel) -> BoxFuture<'a, Result<Done, ExecError>> {
        Box::pin(self.ask(program))
    }

    fn as_host(&self) -> &dyn Host {
        self
    }
}

/// What `ssh` complained about, in our words, with the way out.
fn explain(host: &str, complaint: &str) -> ExecError {
    let said =
        complaint.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("ssh ended without a word");
    let has = |text: &str| complaint.contains(text);
    let message = if has("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        format!(
            "the key of host `{host}` is not the one that is known for it; somebody may be listening. If the host was \
             really made anew, remove its old key with `ssh-keygen -R {host}`"
        )
    } else if has("Host key verification failed") {
        format!(
            "the key of host `{host}` is not known; connect once by hand, or add it to the file of `knownHosts` \
             (`ssh-keyscan` prints it): {said}"
        )
    } else if has("Permission denied") || has("Too many authentication failures") {
        format!(
            "host `{host}` refuses the key: {said}; check `user` and `identityFile`, and that `ssh {host}` works \
             without a password"
        )
    } else if has("Connection refused") || has("No route to host") || has("timed out") || has("unreachable") {
        format!("host `{host}` is down or cannot be reached: {said}")
    } else if has("Could not resolve hostname") {
        format!("there is no host `{host}`: {said}")
    } else {
        format!("cannot connect to host `{host}`: {said}")
    };
    ExecError::infrastructure(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_told_apart() {
        for (complaint, says) in [
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
                "listening",
            ),
            ("Host key verification failed.\n", "not known"),
            ("u@h: Permission denied (publickey).", "refuses the key"),
            ("ssh: connect to host h port 22: Connection refused", "is down"),
            ("ssh: Could not resolve hostname h: Name or service not known", "no host"),
            ("", "without a word"),
        ] {
            let error = explain("h", complaint);
            assert!(error.message.contains(says) && !error.job_fault, "{error}");
        }
    }
}
