//! What survives the runner: a small process that ends a run's processes when the runner was killed
//! and could not do it itself.
//!
//! The guard is this program once more, in a session of its own, so that what kills the runner's
//! process group does not reach it. It holds the read end of a pipe whose other end only the runner
//! has. When the pipe ends without a word, the runner is dead: the guard kills what carries the run's
//! tag with all its descendants, and, where control groups may be made, the run's whole group,
//! in which nothing can hide. Then it removes the run's workspaces, in which secrets may lie; artifacts
//! stay, so that the run can be resumed. It costs a run one process and nothing a job.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::tree;
use crate::engine::rundir;

/// First argument of the program when it is to be a guard.
pub const WORD: &str = "__guard";
/// What the runner says when it has cleaned up by itself.
const GOODBYE: u8 = b'.';
/// How long the guard waits for killed processes, and for the runner's exit, to be seen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A guard, seen from the runner. Dropping it lets the guard go.
#[derive(Debug)]
pub struct Guard {
    pipe: Option<ChildStdin>,
    child: Child,
}

impl Guard {
    /// Starts a guard for the run of this directory. `program` is this program's file.
    pub fn start(program: &Path, run_dir: &Path) -> io::Result<Guard> {
        let mut command = Command::new(program);
        std::os::unix::process::CommandExt::arg0(&mut command, "nixactions");
        command.arg(WORD).arg(run_dir).env_clear().current_dir("/");
        // In a run within a run, the outer one must find this process too.
        command.envs(std::env::var_os(tree::TAG_VARIABLE).map(|tag| (tree::TAG_VARIABLE, tag)));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        tree::register_direct(Pid::from_child(&child));
        Ok(Guard { pipe: child.stdin.take(), child })
    }

    /// The guard's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            // A guard that is gone needs no word.
            let _ = pipe.write_all(&[GOODBYE]);
        }
        // It ends after this process; one that ended early is not to stay a zombie.
        let _ = self.child.try_wait();
    }
}

/// The guard's own life, from its start to the end of the runner.
pub fn watch(run_dir: &Path) {
    // Alone in its group from the start, it can always have a session of its own.
    let _ = rustix::process::setsid();
    let group = RunGroup::around_parent(run_dir);
    let mut word = [0u8];
    let orderly = loop {
        match io::stdin().read(&mut word) {
            Ok(0) => break false,
            Ok(_) => break word[0] == GOODBYE,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break false,
        }
    };
    if !orderly {
        end_run(run_dir, group.as_ref());
    }
    if let Some(group) = group {
        group.remove();
    }
}

fn end_run(run_dir: &Path, group: Option<&RunGroup>) {
    let run = run_dir.file_name().unwrap_or_default().to_string_lossy();
    if let Some(group) = group {
        group.kill();
    }
    tree::kill_run(&run);
    // A resumed run has the directory again; its workspace is not ours to remove.
    if !rundir::is_live(run_dir) {
        let _ = rundir::remove_tree(&run_dir.join("ws"));
    }
}

/// The control group of a run: the runner and all that descends from it.
struct RunGroup(PathBuf);

impl RunGroup {
    /// Makes a group and puts the guard's parent, the runner, into it; the guard stays outside.
    /// `None` where that is not allowed, or there is no version 2 hierarchy.
    fn around_parent(run_dir: &Path) -> Option<RunGroup> {
        let runner = rustix::process::getppid()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", runner.as_raw_nonzero())).ok()?;
        let above = own_group(&mounts, &groups)?;
        let mut name = OsStr::new("nixactions-run-").to_owned();
        name.push(run_dir.file_name()?);
        let group = RunGroup(above.join(name));
        // A run that is resumed may find the group of its dead runner.
        match fs::create_dir(&group.0) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return None,
            _ => {}
        }
        let joined = fs::write(group.0.join("cgroup.procs"), runner.as_raw_nonzero().to_string());
        if joined.is_err() || !group.0.join("cgroup.kill").exists() {
            let _ = fs::write(above.join("cgroup.procs"), runner.as_raw_nonzero().to_string());
            let _ = fs::remove_dir(&group.0);
            return None;
        }
        Some(group)
    }

    /// Kills all members, also those that are being forked (cgroup-v2.rst, `cgroup.kill`).
    fn kill(&self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        self.wait_until_empty();
    }

    fn wait_until_empty(&self) -> bool {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let events = fs::read_to_string(self.0.join("cgroup.events")).unwrap_or_default();
            if !events.lines().any(|line| line == "populated 1") {
                return true;
            }
            if begun.elapsed() > PATIENCE {
                return false;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// Removes the group with the groups below it, once nobody is in it any more.
    fn remove(self) {
        if !self.wait_until_empty() {
            return;
        }
        for below in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            if below.file_type().is_ok_and(|kind| kind.is_dir()) {
                let _ = fs::remove_dir(below.path());
            }
        }
        let _ = fs::remove_dir(&self.0);
    }
}

/// The directory of a process's version 2 group, from `mountinfo` (proc(5)) and `/proc/PID/cgroup`.
fn own_group(mounts: &str, groups: &str) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then(|| fields.split(' ').nth(4)).flatten()
    })?;
    Some(Path::new(mount).join(path.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_a_process_is_below_the_mount() {
        let mounts = "30 24 0:26 / /sys/fs/cgroup rw shared:4 - tmpfs tmpfs rw\n\
                      31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:5 - cgroup2 cgroup2 rw\n";
        let groups = "4:memory:/x\n0::/user.slice/session-1.scope\n";
        let found = own_group(mounts, groups);
        assert_eq!(found, Some("/sys/fs/cgroup/unified/user.slice/session-1.scope".into()));
        assert_eq!(own_group(mounts, "4:memory:/x\n"), None);
        assert_eq!(own_group("", groups), None);
    }
}
