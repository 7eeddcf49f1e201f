//! A shell for a person, where a step runs.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use rustix::process::Pid;

use super::tree;
use crate::engine::attend::Scene;

/// Opens an interactive bash, or runs a command, with the terminal of this process; gives its exit
/// code.
pub fn open_shell(scene: &Scene, command: &[OsString]) -> io::Result<i32> {
    let (program, arguments) = match command.split_first() {
        Some((program, arguments)) => (program.clone(), arguments.to_vec()),
        None => ("bash".into(), vec!["--norc".into(), "-i".into()]),
    };
    if command.is_empty() {
        let what = match &scene.end {
            Some(end) => format!("step `{}` of job `{}` failed: {end}", scene.step, scene.job),
            None => format!("where step `{}` of job `{}` runs", scene.step, scene.job),
        };
        let mut stderr = io::stderr();
        // Without a terminal there is nobody to read it, and the shell ends at once.
        let _ = writeln!(stderr, "{what}\nin {}; `exit` goes on", scene.dir.display());
    }
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(scene.env.iter().map(|(name, value)| (name, value)))
        .env("PS1", format!("{}/{} \\w$ ", scene.job, scene.step))
        .current_dir(&scene.dir)
        .spawn()?;
    let pid = Pid::from_child(&child);
    tree::register_direct(pid);
    let status = child.wait();
    tree::forget_direct(pid);
    let status = status?;
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}
