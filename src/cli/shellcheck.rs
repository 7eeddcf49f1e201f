//! Runs `shellcheck` when it is installed.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::evalcache::Store;
use crate::lint::verdict::{ARGUMENTS, ShellCheck, Verdict};

/// Longest time for one call of the program.
const LONGEST: Duration = Duration::from_secs(20);
/// Scripts of one call.
const AT_ONCE: usize = 100;

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

impl Program {
    /// Runs it on scripts; `None` when that fails, takes too long, or is stopped.
    pub(super) fn run(&self, scripts: &[&str], stop: &AtomicBool) -> Option<Vec<u8>> {
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
            if started.elapsed() > LONGEST || stop.load(Ordering::Relaxed) {
                // Its output ends with it, so the reader ends as well.
                drop(child.kill());
                drop(child.wait());
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        reader.join().ok()?.ok()
    }

    /// What tells it from other versions of it.
    fn identity(&self) -> String {
        let of = |m: fs::Metadata| format!("{} {} {} {}", m.dev(), m.ino(), m.size(), m.mtime());
        let file = fs::metadata(&self.path).map(of).unwrap_or_default();
        format!("shellcheck {} {file} {}", self.path.display(), ARGUMENTS.join(" "))
    }
}

/// The program, and what it said earlier of the same scripts.
pub(super) struct Remembering {
    program: Program,
    identity: String,
    cache: Option<Store>,
}

impl Remembering {
    /// Keeps what the program says in a cache, if there is one.
    pub(super) fn new(program: Program, cache: Option<Store>) -> Remembering {
        let identity = if cache.is_some() { program.identity() } else { String::new() };
        Remembering { program, identity, cache }
    }

    /// Verdicts on scripts that fit into one call.
    fn some(&self, scripts: &[&str]) -> Option<Vec<Verdict>> {
        let mut what = self.identity.clone().into_bytes();
        for script in scripts {
            what.extend((script.len() as u64).to_le_bytes());
            what.extend(script.as_bytes());
        }
        let kept = self.cache.as_ref().and_then(|c| c.said(&what));
        if let Some(verdicts) = kept.and_then(|output| Verdict::read(&output, scripts.len())) {
            return Some(verdicts);
        }
        let output = self.program.run(scripts, &AtomicBool::new(false))?;
        let verdicts = Verdict::read(&output, scripts.len())?;
        if let Some(cache) = &self.cache {
            cache.keep(&what, output);
        }
        Some(verdicts)
    }
}

impl ShellCheck for Remembering {
    fn check(&self, scripts: &[&str]) -> Vec<Option<Verdict>> {
        let mut out = Vec::with_capacity(scripts.len());
        for some in scripts.chunks(AT_ONCE) {
            match self.some(some) {
                Some(verdicts) => out.extend(verdicts.into_iter().map(Some)),
                None => out.resize(out.len() + some.len(), None),
            }
        }
        out
    }
}
