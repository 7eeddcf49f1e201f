//! One process of a step: started in a process group of its own, its output passed on as it comes,
//! and stopped, with all that it started, when it must.
//!
//! The standard library's `Command` goes through `posix_spawn` as long as the program is an absolute
//! path and no `pre_exec` hook is set; that keeps a start at a fraction of what `fork` costs.

use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use super::group::{StepGroup, StepGroups};
use super::tree::{self, Belonging, Tree};
use crate::engine::event::{StepEnd, Stream};
use crate::engine::executor::{Cancel, OutputSink, StopPolicy};

/// Bytes read at once; a pipe of the default size holds as many.
const CHUNK: usize = 64 * 1024;
/// Chunks read before other things get a turn.
const CHUNKS_A_TURN: usize = 16;
/// Bytes read after the end of a process whose pipe someone else holds open: more than was in the
/// pipe when it ended.
const DRAIN_LIMIT: usize = 2 * 1024 * 1024;
/// How long such a pipe may stay silent before it is given up on, and how long in all: helpers like
/// `tee` in a process substitution end a little later than the shell.
const LINGER_SILENCE: Duration = Duration::from_millis(100);
const LINGER_LIMIT: Duration = Duration::from_secs(1);

/// What to start.
pub(super) struct Start<'a> {
    pub(super) program: &'a OsStr,
    pub(super) arguments: &'a [OsString],
    /// CPUs that it may run on.
    pub(super) cpus: Option<usize>,
    pub(super) environment: &'a [(OsString, OsString)],
    /// The tag of this process, a path of the form `RUN/JOB/STEP`.
    pub(super) tag: &'a str,
    pub(super) directory: &'a Path,
    pub(super) timeout: Option<Duration>,
    pub(super) stop: StopPolicy,
    /// Where its control group is made, if anywhere.
    pub(super) groups: Option<&'a Arc<StepGroups>>,
}

/// How it ended, and what it left running.
pub(super) struct Ended {
    pub(super) end: StepEnd,
    /// How to know what of it may still run.
    pub(super) left: Option<Belonging>,
    /// Processes that could not be killed.
    pub(super) stuck: Vec<i32>,
}

impl Ended {
    fn not_started(message: String) -> Ended {
        Ended { end: StepEnd::Infrastructure { message }, left: None, stuck: Vec::new() }
    }
}

/// Runs a process to its end.
pub(super) async fn run(start: Start<'_>, sink: &dyn OutputSink, cancel: &Cancel) -> Ended {
    match Running::start(&start) {
        Ok(running) => running.finish(&start, sink, cancel).await,
        Err(message) => Ended::not_started(message),
    }
}

/// Registers a descriptor whose readiness is awaited.
#[allow(unsafe_code)]
fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open until it is dropped, always gives the same descriptor, and is
    // owned by the result.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// One end of a pipe that is being read.
struct Pipe {
    fd: AsyncFd<OwnedFd>,
    stream: Stream,
    open: bool,
}

/// What a turn of reading found.
#[derive(PartialEq)]
enum Read {
    /// Nothing there now.
    Empty,
    /// The limit was reached; there may be more.
    More,
    /// Everyone who could write is gone.
    End,
}

impl Pipe {
    /// The end to read from, and the end for the process.
    fn new(stream: Stream) -> io::Result<(Pipe, OwnedFd)> {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&read, true)?;
        Ok((Pipe { fd: watch(read)?, stream, open: true }, write))
    }

    /// Completes when there is something to read or the pipe's end; never for a pipe that has ended.
    async fn turn(&mut self, sink: &dyn OutputSink) {
        if !self.open {
            return std::future::pending().await;
        }
        let Ok(mut guard) = self.fd.readable().await else {
            self.open = false;
            return;
        };
        match read_chunks(self.fd.get_ref(), self.stream, sink, CHUNK * CHUNKS_A_TURN) {
            Read::Empty => guard.clear_ready(),
            Read::More => {}
            Read::End => self.open = false,
        }
    }

    /// Passes on what is in the pipe now.
    fn drain(&mut self, sink: &dyn OutputSink) {
        if self.open && read_chunks(self.fd.get_ref(), self.stream, sink, DRAIN_LIMIT) == Read::End {
            self.open = false;
        }
    }
}

fn read_chunks(fd: &OwnedFd, stream: Stream, sink: &dyn OutputSink, limit: usize) -> Read {
    let mut buffer = [MaybeUninit::<u8>::uninit(); CHUNK];
    let mut total = 0;
    while total < limit {
        match rustix::io::read(fd, &mut buffer[..]) {
            Ok(([], _)) => return Read::End,
            Ok((bytes, _)) => {
                sink.write(stream, bytes);
                total += bytes.len();
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Read::Empty,
            Err(_) => return Read::End,
        }
    }
    Read::More
}

/// A process that has been started and not yet waited for.
struct Running {
    pid: Pid,
    control: Option<StepGroup>,
    handle: AsyncFd<OwnedFd>,
    stdout: Pipe,
    stderr: Pipe,
}

/// The signals still to come, and when.
struct Ladder {
    end: StepEnd,
    rungs: Vec<(Instant, Signal)>,
}

impl Ladder {
    fn cancel(stop: &StopPolicy) -> Ladder {
        let now = Instant::now();
        let term = now + stop.interrupt;
        let rungs = vec![(term + stop.terminate, Signal::KILL), (term, Signal::TERM), (now, Signal::INT)];
        Ladder { end: StepEnd::Cancelled, rungs }
    }

    fn timeout(stop: &StopPolicy) -> Ladder {
        let now = Instant::now();
        let rungs = vec![(now + stop.timeout_grace, Signal::KILL), (now, Signal::TERM)];
        Ladder { end: StepEnd::Timeout, rungs }
    }

    /// The next signal becomes KILL, now.
    fn hurry(&mut self) {
        self.rungs = vec![(Instant::now(), Signal::KILL)];
    }

    fn next(&self) -> Option<Instant> {
        self.rungs.last().map(|rung| rung.0)
    }
}

impl Running {
    fn start(start: &Start<'_>) -> Result<Running, String> {
        let program = find_program(start)?;
        let failed = |error: io::Error| match error.kind() {
            _ if !start.directory.is_dir() => {
                format!("the working directory {} does not exist", start.directory.display())
            }
            io::ErrorKind::NotFound => {
                format!("cannot start {}: its interpreter does not exist", program.display())
            }
            io::ErrorKind::ArgumentListTooLong => {
                format!("cannot start {}: the environment is too large for the system", program.display())
            }
            _ => format!("cannot start {}: {error}", program.display()),
        };
        let no_pipe = |error: io::Error| format!("cannot open a pipe for the step's output: {error}");
        let (stdout, out) = Pipe::new(Stream::Stdout).map_err(no_pipe)?;
        let (stderr, err) = Pipe::new(Stream::Stderr).map_err(no_pipe)?;
        let mut command = Command::new(&program);
        command
            .args(start.arguments)
            .env_clear()
            .envs(start.environment.iter().map(|(name, value)| (name, value)))
            .env(tree::TAG_VARIABLE, tree::tag_value(start.tag))
            .current_dir(start.directory)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        // A child runs where the thread that starts it may run.
        let everywhere = start.cpus.and_then(narrow);
        let child = command.spawn();
        if let Some(everywhere) = everywhere {
            // The thread may run there again: it could before.
            let _ = rustix::thread::sched_setaffinity(None, &everywhere);
        }
        let child = child.map_err(failed)?;
        let pid = Pid::from_child(&child);
        tree::register_direct(pid);
        // At once: what it starts before that is known by its tag alone.
        let control = start.groups.and_then(|groups| groups.enter(pid));
        // The child is not reaped before its handle is open, so the number cannot be another's.
        let handle =
            rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from).and_then(watch);
        match handle {
            Ok(handle) => Ok(Running { pid, control, handle, stdout, stderr }),
            Err(error) => {
                abandon(child, pid);
                Err(format!("cannot watch {}: {error}", program.display()))
            }
        }
    }

    async fn finish(mut self, start: &Start<'_>, sink: &dyn OutputSink, cancel: &Cancel) -> Ended {
        // Should the future be dropped half way, nothing may be left running.
        let mut guard = Guard { group: self.pid, armed: true };
        let belonging = Belonging { group: self.pid, control: self.control.take() };
        let tree = Tree::new(start.tag.to_owned(), vec![belonging]);
        let mut timeout = start.timeout.map(|timeout| Instant::now() + timeout);
        let mut ladder: Option<Ladder> = None;
        let mut killed = false;
        loop {
            let deadline = ladder.as_ref().map_or(timeout, Ladder::next);
            tokio::select! {
                biased;
                _ = cancel.killed(), if !killed => {
                    killed = true;
                    ladder.get_or_insert_with(|| Ladder::cancel(&start.stop)).hurry();
                }
                _ = cancel.cancelled(), if ladder.is_none() => ladder = Some(Ladder::cancel(&start.stop)),
                _ = at(deadline), if deadline.is_some() => match &mut ladder {
                    None => {
                        timeout = None;
                        ladder = Some(Ladder::timeout(&start.stop));
                    }
                    Some(ladder) => self.climb(ladder, &tree).await,
                },
                _ = self.handle.readable() => break,
                _ = self.stdout.turn(sink) => {}
                _ = self.stderr.turn(sink) => {}
            }
        }
        let exit = self.reap();
        guard.armed = false;
        let mut stuck = Vec::new();
        if let Some(ladder) = &mut ladder {
            stuck = self.clear(ladder, &tree, sink, cancel).await;
        }
        self.linger(sink).await;
        let left = tree.into_steps().pop().filter(|step| ladder.is_none() && step.may_live());
        if left.is_some() {
            discard_rest([self.stdout, self.stderr]);
        }
        Ended { end: ladder.map_or(exit, |ladder| ladder.end), left, stuck }
    }

    /// Sends the next signal of the ladder to the whole tree.
    async fn climb(&self, ladder: &mut Ladder, tree: &Tree) {
        match ladder.rungs.pop() {
            Some((_, Signal::KILL)) | None => drop(tree.kill().await),
            Some((_, signal)) => tree.signal(signal),
        }
    }

    /// After the end of the process itself, gives what else runs in the tree the rest of the ladder.
    async fn clear(
        &mut self,
        ladder: &mut Ladder,
        tree: &Tree,
        sink: &dyn OutputSink,
        cancel: &Cancel,
    ) -> Vec<i32> {
        let mut pause = Duration::from_millis(1);
        while !tree.is_empty() {
            if cancel.is_killed() {
                ladder.hurry();
            }
            let Some(next) = ladder.next() else { break };
            if Instant::now() >= next {
                self.climb(ladder, tree).await;
                continue;
            }
            self.stdout.drain(sink);
            self.stderr.drain(sink);
            tokio::time::sleep(pause.min(next - Instant::now())).await;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        tree.kill().await
    }

    /// Passes on what is left in the pipes. What the process itself wrote is there already; others
    /// that hold the pipe get a short while, and are not waited for.
    async fn linger(&mut self, sink: &dyn OutputSink) {
        self.stdout.drain(sink);
        self.stderr.drain(sink);
        let limit = Instant::now() + LINGER_LIMIT;
        while (self.stdout.open || self.stderr.open) && Instant::now() < limit {
            let turn = async {
                tokio::select! {
                    _ = self.stdout.turn(sink) => {}
                    _ = self.stderr.turn(sink) => {}
                }
            };
            if tokio::time::timeout(LINGER_SILENCE, turn).await.is_err() {
                return;
            }
        }
    }

    fn reap(&self) -> StepEnd {
        let end = loop {
            match rustix::process::waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED) {
                Ok(Some(status)) => {
                    break match (status.exit_status(), status.terminating_signal()) {
                        (Some(code), _) => StepEnd::Exit { code },
                        (None, Some(signal)) => StepEnd::Signal { signal },
                        (None, None) => lost("the system gave no exit status"),
                    };
                }
                Ok(None) | Err(Errno::INTR) => {}
                Err(error) => break lost(&error.to_string()),
            }
        };
        tree::forget_direct(self.pid);
        end
    }
}

/// Lets this thread run on only so many of its CPUs; the set it had before.
fn narrow(cpus: usize) -> Option<rustix::thread::CpuSet> {
    let before = rustix::thread::sched_getaffinity(None).ok()?;
    let mut fewer = rustix::thread::CpuSet::new();
    let usable = (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| before.is_set(cpu));
    usable.take(cpus).for_each(|cpu| fewer.set(cpu));
    rustix::thread::sched_setaffinity(None, &fewer).ok()?;
    Some(before)
}

fn lost(why: &str) -> StepEnd {
    StepEnd::Infrastructure { message: format!("the step's exit status is lost: {why}") }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Kills the group of a step whose future is dropped before the step's end.
struct Guard {
    group: Pid,
    armed: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.armed {
            // ESRCH: already gone. The process stays registered as a direct child until waited for.
            let _gone = rustix::process::kill_process_group(self.group, Signal::KILL);
            let _reaped = rustix::process::waitpid(Some(self.group), rustix::process::WaitOptions::empty());
            tree::forget_direct(self.group);
        }
    }
}

fn abandon(mut child: std::process::Child, pid: Pid) {
    let _gone = rustix::process::kill_process_group(pid, Signal::KILL);
    let _reaped = child.wait();
    tree::forget_direct(pid);
}

/// Keeps reading for processes that outlive their step: a server must not die of SIGPIPE, nor stop
/// at a full pipe, because nobody listens any more.
fn discard_rest(pipes: [Pipe; 2]) {
    struct Nobody;
    impl OutputSink for Nobody {
        fn write(&self, _: Stream, _: &[u8]) {}
    }
    for mut pipe in pipes.into_iter().filter(|pipe| pipe.open) {
        tokio::spawn(async move {
            while pipe.open {
                pipe.turn(&Nobody).await;
            }
        });
    }
}

/// Resolves the program as a shell would, on the `PATH` of the step.
fn find_program(start: &Start<'_>) -> Result<PathBuf, String> {
    let name = Path::new(start.program);
    if start.program.as_bytes().contains(&b'/') {
        let path = start.directory.join(name);
        return match rustix::fs::access(&path, rustix::fs::Access::EXEC_OK) {
            Ok(()) => Ok(path),
            Err(Errno::NOENT) => Err(format!("there is no program {}", path.display())),
            Err(error) => Err(format!("cannot run {}: {error}", path.display())),
        };
    }
    let path = start.environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value);
    let path = path.map_or(OsStr::new("/usr/bin:/bin"), OsString::as_os_str);
    for directory in path.as_bytes().split(|byte| *byte == b':') {
        // An empty entry means the working directory.
        let candidate = start.directory.join(OsStr::from_bytes(directory)).join(name);
        if rustix::fs::access(&candidate, rustix::fs::Access::EXEC_OK).is_ok() && candidate.is_file() {
            return Ok(candidate);
        }
    }
    Err(format!(
        "there is no program `{}` on the PATH of the step ({})",
        name.display(),
        Path::new(path).display()
    ))
}
