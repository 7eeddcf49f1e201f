//! Something that can start commands: a host behind a connection, a container, a machine.

use std::pin::Pin;
use std::process::Stdio;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::engine::executor::{BoxFuture, Cancel, ExecError};

/// A stream from the other side.
pub(in crate::exec) type Reader = Pin<Box<dyn AsyncRead + Send>>;
/// A stream to the other side.
pub(in crate::exec) type Writer = Pin<Box<dyn AsyncWrite + Send>>;

/// A command that runs on the other side. Dropping it closes its streams.
pub(in crate::exec) struct Session {
    /// Its standard input.
    pub(in crate::exec) stdin: Writer,
    /// Its standard output.
    pub(in crate::exec) stdout: Reader,
    /// Its standard error.
    pub(in crate::exec) stderr: Reader,
    /// Its exit code, after both streams have ended; an error says that the other side was lost.
    pub(in crate::exec) end: BoxFuture<'static, Result<i32, ExecError>>,
}

/// Starts commands.
pub(in crate::exec) trait Host: Send + Sync {
    /// What it is called in messages: `host build1`, `container 3f2a…`.
    fn describe(&self) -> String;

    /// Starts a command.
    fn open<'a>(&'a self, command: &'a [&'a str]) -> BoxFuture<'a, Result<Session, ExecError>>;

    /// Whether the way there may break while what was started lives on. If so, steps keep their
    /// output there, and [`Host::reconnect`] is called before it is asked for.
    fn may_reconnect(&self) -> bool {
        false
    }

    /// Makes a new connection after the old one was lost.
    fn reconnect<'a>(&'a self) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(async { Err(ExecError::infrastructure("the connection is lost")) })
    }

    /// Why the other side is gone, or killed a process, when that can be told.
    fn post_mortem<'a>(&'a self) -> BoxFuture<'a, Option<PostMortem>> {
        Box::pin(async { None })
    }

    /// Runs a short program for `sh`, even when no further session can be had now.
    fn urgent<'a>(&'a self, program: &'a str, cancel: &'a Cancel) -> BoxFuture<'a, Result<Done, ExecError>> {
        Box::pin(async move { run(self.as_host(), &["sh", "-c", program], Vec::new(), cancel).await })
    }

    /// Ends it with all that is in it. Called once.
    fn end<'a>(&'a self) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(async { Ok(()) })
    }

    /// This, as the trait's object.
    fn as_host(&self) -> &dyn Host;
}

/// Why a step's process or its whole place is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::exec) enum PostMortem {
    /// A limit of memory killed it: the job's own doing.
    OutOfMemory(String),
    /// The place has ended.
    Gone(String),
}

/// What a command did.
#[derive(Debug)]
pub(in crate::exec) struct Done {
    /// Its exit code.
    pub(in crate::exec) code: i32,
    /// What it printed.
    pub(in crate::exec) stdout: Vec<u8>,
    /// What it complained about.
    pub(in crate::exec) stderr: Vec<u8>,
}

impl Done {
    /// The complaint, as one line.
    pub(in crate::exec) fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        match lines.as_slice() {
            [] => format!("exit code {}", self.code),
            lines => lines[lines.len().saturating_sub(3)..].join("; "),
        }
    }

    /// An error unless it succeeded.
    pub(in crate::exec) fn checked(self, doing: &str, host: &dyn Host) -> Result<Done, ExecError> {
        if self.code == 0 {
            return Ok(self);
        }
        let complaint = self.complaint();
        let full = ["No space left", "Disk quota exceeded", "Wrote only"]
            .iter()
            .any(|words| complaint.contains(words));
        let message = if full {
            format!("no space left on {}, while it was to {doing}: {complaint}", host.describe())
        } else {
            format!("{} could not {doing}: {complaint}", host.describe())
        };
        Err(ExecError::infrastructure(message))
    }
}

/// The answer to a cancelled wait.
pub(in crate::exec) fn cancelled() -> ExecError {
    ExecError::infrastructure("cancelled")
}

/// Runs a command to its end.
pub(in crate::exec) async fn run(
    host: &dyn Host,
    command: &[&str],
    input: Vec<u8>,
    cancel: &Cancel,
) -> Result<Done, ExecError> {
    let work = async {
        let Session { mut stdin, mut stdout, mut stderr, end } = host.open(command).await?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let feed = async move {
            // A command that does not want its input is no failure.
            let _unread = stdin.write_all(&input).await;
            let _unread = stdin.shutdown().await;
        };
        let (_, read_out, read_err) =
            tokio::join!(feed, stdout.read_to_end(&mut out), stderr.read_to_end(&mut err));
        let code = end.await?;
        if let Err(error) = read_out.and(read_err) {
            let message = format!("the connection to {} broke: {error}", host.describe());
            return Err(ExecError::infrastructure(message));
        }
        Ok(Done { code, stdout: out, stderr: err })
    };
    tokio::select! {
        done = work => done,
        () = cancel.cancelled() => Err(cancelled()),
    }
}

/// A session that is a process of this machine; `lost` are exit codes that mean a lost connection.
pub(in crate::exec) fn of_process(mut command: Command, what: &str) -> Result<Session, ExecError> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let started = command.spawn();
    let mut child: Child =
        started.map_err(|e| ExecError::infrastructure(format!("cannot start {what}: {e}")))?;
    let missing = || ExecError::infrastructure(format!("{what} has no streams"));
    let stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let what = what.to_owned();
    let end = Box::pin(async move {
        use std::os::unix::process::ExitStatusExt;
        let status = child.wait().await;
        let status = status.map_err(|e| ExecError::infrastructure(format!("{what} is lost: {e}")))?;
        Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    });
    Ok(Session { stdin: Box::pin(stdin), stdout: Box::pin(stdout), stderr: Box::pin(stderr), end })
}
