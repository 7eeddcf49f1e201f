//! Runs `shellcheck` when it is installed.

use std::fs;
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::lint::shellcheck::{ARGUMENTS, ShellCheck};

/// Longest time for the scripts of one file.
const LONGEST: Duration = Duration::from_secs(20);

/// The program, found on the PATH.
pub(super) struct Program {
    path: PathBuf,
}

impl Program {
    /// Looks for it.
    pub(super) fn find() -> Option<Program> {
        let path = std::env::var_os("PATH")?;
        let found = std::env::split_paths(&path).map(|dir| dir.join("shellcheck")).find(|p| p.is_file())?;
        Some(Program { path: found })
    }
}

/// A directory that only this user can read, removed when it is dropped: scripts may hold secrets.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> std::io::Result<Scratch> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("nixactions-check-{}-{number}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        Ok(Scratch(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done about what is left in the directory for temporary files.
        drop(fs::remove_dir_all(&self.0));
    }
}

impl ShellCheck for Program {
    fn run(&self, scripts: &[&str]) -> Option<Vec<u8>> {
        let scratch = Scratch::new().ok()?;
        let mut command = Command::new(&self.path);
        command.args(ARGUMENTS).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        for (i, script) in scripts.iter().enumerate() {
            let file = scratch.0.join(format!("{i}.sh"));
            fs::write(&file, script).ok()?;
            command.arg(file);
        }
        let mut child = command.spawn().ok()?;
        let mut stdout = child.stdout.take()?;
        let reader = std::thread::spawn(move || {
            let mut out = Vec::new();
            stdout.read_to_end(&mut out).map(|_| out)
        });
        let started = Instant::now();
        while child.try_wait().ok()?.is_none() {
            if started.elapsed() > LONGEST {
                // Its output ends with it, so the reader ends as well.
                drop(child.kill());
                drop(child.wait());
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        reader.join().ok()?.ok()
    }
}
