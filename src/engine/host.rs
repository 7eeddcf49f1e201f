//! Small helper processes on this machine: providers and conditions of jobs.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::environment::Vars;
use super::executor::Cancel;

/// Most that a helper may print on one stream.
const LIMIT: usize = 4 * 1024 * 1024;

/// How long a helper may take to end after TERM, and its pipes to close after its end.
const GRACE: Duration = Duration::from_secs(2);

/// What a helper did.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostError {
    #[error("cancelled")]
    Cancelled,
    #[error("cannot run `{program}`: {error}")]
    Start { program: String, error: io::Error },
    #[error("printed more than {} MiB", LIMIT >> 20)]
    TooMuch,
}

/// Runs a program to its end, in its own process group, which does not outlive it.
pub(super) async fn run(
    argv: &[OsString],
    env: &Vars,
    dir: &Path,
    cancel: &Cancel,
) -> Result<Done, HostError> {
    let program = argv.first().cloned().unwrap_or_default();
    let start = |error| HostError::Start { program: program.to_string_lossy().into_owned(), error };
    let mut child = Command::new(&program)
        .args(argv.iter().skip(1))
        .env_clear()
        .envs(env)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let group = child.id().and_then(|id| Pid::from_raw(id as i32));
    let signal = |signal| {
        if let Some(group) = group {
            // A group that is gone already is what we want.
            let _ = kill_process_group(group, signal);
        }
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut pipes = (child.stdout.take(), child.stderr.take());
    let status = {
        let reads = async {
            tokio::try_join!(collect(&mut pipes.0, &mut out), collect(&mut pipes.1, &mut err)).map(|_| ())
        };
        tokio::pin!(reads);
        let mut open = true;
        let ended = loop {
            tokio::select! {
                () = cancel.cancelled() => break Err(HostError::Cancelled),
                read = &mut reads, if open => match read {
                    Ok(()) => open = false,
                    Err(_) => break Err(HostError::TooMuch),
                },
                status = child.wait() => break status.map_err(start),
            }
        };
        if ended.is_err() {
            signal(Signal::TERM);
            let killed = async { cancel.killed().await };
            tokio::select! {
                _ = child.wait() => {}
                () = killed => {}
                () = tokio::time::sleep(GRACE) => {}
            }
        }
        // What it left behind in its group must neither live on nor hold the pipes open.
        signal(Signal::KILL);
        let _ = child.wait().await;
        if ended.is_ok() && open && tokio::time::timeout(GRACE, reads).await.is_ok_and(|r| r.is_err()) {
            return Err(HostError::TooMuch);
        }
        ended?
    };
    Ok(Done { status, stdout: out, stderr: err })
}

async fn collect<R: AsyncRead + Unpin>(pipe: &mut Option<R>, into: &mut Vec<u8>) -> Result<(), ()> {
    let Some(pipe) = pipe else { return Ok(()) };
    pipe.take(LIMIT as u64 + 1).read_to_end(into).await.map_err(|_| ())?;
    if into.len() > LIMIT { Err(()) } else { Ok(()) }
}
