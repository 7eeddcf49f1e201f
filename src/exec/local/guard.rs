//! What survives the runner: a small process that ends a run's processes when the runner was killed
//! and could not do it itself.
//!
//! The guard is this program once more, in a session of its own, so that what kills the runner's
//! process group does not reach it. It holds the read end of a pipe whose other end only the runner
//! has. When the pipe ends without a word, the runner is dead: the guard kills what carries the run's
//! tag with all its descendants, and, where control groups may be made, the run's whole group,
//! in which nothing can hide. Then it removes the run's workspaces, in which secrets may lie; artifacts
//! stay, so that the run can be resumed. It costs a run one process and nothing a job.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::Pid;

use super::group::RunGroup;
use super::tree;
use crate::engine::rundir;

/// First argument of the program when it is to be a guard.
pub const WORD: &str = "__guard";
/// What the runner says when it has cleaned up by itself.
const GOODBYE: u8 = b'.';

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
        command.arg(WORD).arg(run_dir).arg(std::process::id().to_string()).env_clear().current_dir("/");
        // In a run within a run, the outer one must find this process too.
        command.envs(std::env::var_os(tree::TAG_VARIABLE).map(|tag| (tree::TAG_VARIABLE, tag)));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        tree::register_direct(Pid::from_child(&child));
        // Only now: the guard has stayed outside.
        if let Some(group) = RunGroup::of(&run_name(run_dir), std::process::id()).and_then(RunGroup::create) {
            group.shelter_runner();
        }
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
pub fn watch(run_dir: &Path, runner: u32) {
    // Alone in its group from the start, it can always have a session of its own.
    let _ = rustix::process::setsid();
    let group = RunGroup::of(&run_name(run_dir), runner);
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
    if let Some(group) = group {
        group.kill();
    }
    tree::kill_run(&run_name(run_dir));
    // A resumed run has the directory again; its workspace is not ours to remove.
    if !rundir::is_live(run_dir) {
        let _ = rundir::remove_tree(&run_dir.join("ws"));
    }
}

fn run_name(run_dir: &Path) -> String {
    run_dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
