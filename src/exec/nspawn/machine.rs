//! A machine of systemd-nspawn: started, entered, ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;

use crate::engine::executor::{BoxFuture, Cancel, ExecError};
use crate::exec::remote::host::{self, Host, Session};

/// How long a machine may take to start.
const START: Duration = Duration::from_secs(90);
/// How long it may take to shut down before it is killed.
const STOP: Duration = Duration::from_secs(20);
/// The first process without systemd: waits for its standard input to end, which is when the runner
/// is gone.
pub(super) const FIRST: &str = "trap 'exit 0' TERM INT HUP; read -r line; exit 0";

/// What a machine is made from.
pub(super) enum Source {
    /// A directory with a root file system.
    Directory(PathBuf),
    /// A disk image.
    Image(PathBuf),
    /// A NixOS system closure.
    System(PathBuf),
}

impl Source {
    /// What `systemd-nspawn` is given. For a closure, a root that has what it asks for.
    pub(super) fn root(&self, scratch: &Path) -> Result<PathBuf, ExecError> {
        let missing = |path: &Path, what: &str| {
            Err(ExecError::infrastructure(format!("{} is not {what}", path.display())))
        };
        match self {
            Source::Directory(root) if !root.join("usr").exists() && !root.join("bin").exists() => {
                missing(root, "a directory with a root file system (it has neither `usr` nor `bin`)")
            }
            Source::Directory(root) => Ok(root.clone()),
            Source::Image(image) if !image.exists() => missing(image, "a disk image"),
            Source::Image(image) => Ok(image.clone()),
            Source::System(system) if !system.join("init").exists() => {
                missing(system, "a NixOS system closure (it has no `init`)")
            }
            Source::System(system) => {
                let made = || -> std::io::Result<()> {
                    for dir in ["etc", "usr", "bin", "nix/store", "var", "tmp", "root"] {
                        fs::create_dir_all(scratch.join(dir))?;
                    }
                    fs::write(scratch.join("etc/os-release"), "ID=nixos\n")?;
                    let shell = system.join("sw/bin/sh");
                    match std::os::unix::fs::symlink(shell, scratch.join("bin/sh")) {
                        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
                        _ => Ok(()),
                    }
                };
                made().map_err(|e| ExecError::io("make", scratch, &e))?;
                Ok(scratch.to_path_buf())
            }
        }
    }
}

/// A name that the system takes for a machine.
pub(super) fn safe_name(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let start = name.len().saturating_sub(60);
    name[start..].trim_matches('-').to_owned()
}

/// A running machine.
pub(super) struct Machine {
    name: String,
    /// Process id, on this machine, of its first process.
    leader: i32,
    child: Mutex<Option<(Child, ChildStdin)>>,
    boot: bool,
    scratch: PathBuf,
}

impl Machine {
    /// Starts it and waits until it can be entered.
    pub(super) async fn start(
        name: &str,
        arguments: &[String],
        scratch: PathBuf,
        boot: bool,
        cancel: &Cancel,
    ) -> Result<Machine, ExecError> {
        if !rustix::process::getuid().is_root() {
            return Err(ExecError::infrastructure(
                "executors.nixos-container needs root, for systemd-nspawn",
            ));
        }
        let mut command = Command::new("systemd-nspawn");
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ExecError::infrastructure(
                "there is no program `systemd-nspawn` on the PATH; executors.nixos-container needs it",
            ),
            _ => ExecError::infrastructure(format!("cannot start systemd-nspawn: {error}")),
        })?;
        let lost = || ExecError::infrastructure("systemd-nspawn has no streams");
        let stdin = child.stdin.take().ok_or_else(lost)?;
        let mut stderr = child.stderr.take().ok_or_else(lost)?;
        let begun = Instant::now();
        let leader = loop {
            let own = child.id().and_then(|id| i32::try_from(id).ok());
            if let Some(leader) = own.and_then(|pid| leader(pid, boot)) {
                break leader;
            }
            if let Ok(Some(_)) = child.try_wait() {
                let mut said = String::new();
                let _all = stderr.read_to_string(&mut said).await;
                let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
                return Err(ExecError::infrastructure(format!(
                    "the machine did not start: {}",
                    said.join("; ")
                )));
            }
            if begun.elapsed() > START {
                return Err(ExecError::infrastructure(format!(
                    "the machine did not start within {} s",
                    START.as_secs()
                )));
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
                () = cancel.cancelled() => return Err(host::cancelled()),
            }
        };
        tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
        let child = Mutex::new(Some((child, stdin)));
        Ok(Machine { name: safe_name(name), leader, child, boot, scratch })
    }
}

/// The first process of the machine that this process keeps, once it runs what it is to run.
fn leader(keeper: i32, boot: bool) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).ok()?;
    let first: i32 = children.split_ascii_whitespace().next()?.parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{first}/comm")).ok()?;
    if boot {
        // Systemd is ready when something can be reached in its own root.
        return (name.trim() == "systemd" || name.trim() == "init").then_some(first);
    }
    // nspawn's own init has a child when the machine is set up.
    let inner = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).ok()?;
    inner.split_ascii_whitespace().next()?;
    let own = fs::read_link("/proc/self/ns/pid").ok()?;
    let its = fs::read_link(format!("/proc/{first}/ns/pid")).ok()?;
    (own != its).then_some(first)
}

impl Host for Machine {
    fn describe(&self) -> String {
        format!("machine `{}`", self.name)
    }

    fn open<'a>(&'a self, words: &'a [&'a str]) -> BoxFuture<'a, Result<Session, ExecError>> {
        Box::pin(async move {
            let mut command = Command::new("nsenter");
            command.args(["--target", &self.leader.to_string()]);
            command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd=/", "--"]);
            command.args(words).env_clear();
            command.env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin",
            );
            command.envs([("HOME", "/root"), ("USER", "root"), ("LOGNAME", "root"), ("SHELL", "/bin/sh")]);
            command.process_group(0);
            host::of_process(command, &self.describe())
        })
    }

    fn end<'a>(&'a self) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(async move {
            let Some((mut child, stdin)) = self.child.lock().await.take() else { return Ok(()) };
            drop(stdin);
            if self.boot
                && let Some(pid) = child.id().and_then(|id| rustix::process::Pid::from_raw(id as i32))
            {
                // nspawn shuts the machine down in order on TERM.
                let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            if tokio::time::timeout(STOP, child.wait()).await.is_err() {
                child
                    .kill()
                    .await
                    .map_err(|e| ExecError::infrastructure(format!("{}: {e}", self.describe())))?;
            }
            let _left = fs::remove_dir_all(&self.scratch);
            Ok(())
        })
    }

    fn as_host(&self) -> &dyn Host {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_machines() {
        assert_eq!(safe_name("nixactions-2026_x=1"), "nixactions-2026-x-1");
        assert!(safe_name(&"long-".repeat(40)).len() <= 60);
    }
}
