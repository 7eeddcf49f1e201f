//! The directories of past runs: made, found, and removed when there are too many.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::event::{Event, EventKind, Name, RunResult, Timestamp};
use crate::engine::mask::{Masker, mask_json};
use crate::engine::rundir;
use crate::workflow::plan::Plan;

/// Version of [`Stored`].
const VERSION: u32 = 1;

/// Where a plan came from, so that secrets can be had again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The workflow file and the name of the workflow in it, as a command takes them; none for a
    /// plan that came from elsewhere.
    pub target: Option<String>,
}

/// `plan.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Of this format.
    pub version: u32,
    /// Where the plan came from.
    pub origin: Origin,
    /// Secrets were replaced: the workflow must be evaluated again before the plan can run.
    pub redacted: bool,
    /// The plan.
    pub plan: Plan,
}

impl Stored {
    /// Whether the kept plan is that of `plan`, secrets aside.
    pub fn is_of(&self, plan: &Plan) -> bool {
        let masked = |plan: &Plan, secrets: &[String]| {
            let mut value = serde_json::to_value(plan).ok()?;
            mask_json(&mut value, &Masker::new(secrets));
            Some(value)
        };
        masked(&self.plan, &[]).is_some_and(|kept| Some(kept) == masked(plan, &plan.secrets))
    }
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Runs.
    pub runs: usize,
    /// Newest runs whose artifacts are kept.
    pub artifacts: usize,
    /// Bytes on disk.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { runs: 100, artifacts: 10, bytes: 4 << 30 }
    }
}

impl Limits {
    /// The defaults, or what `NIXACTIONS_HISTORY_RUNS` and `NIXACTIONS_HISTORY_MIB` say.
    pub fn from_process() -> Limits {
        let number = |name: &str| std::env::var(name).ok()?.trim().parse::<u64>().ok();
        let limits = Limits::default();
        Limits {
            runs: number("NIXACTIONS_HISTORY_RUNS").map_or(limits.runs, |n| n as usize),
            artifacts: limits.artifacts,
            bytes: number("NIXACTIONS_HISTORY_MIB").map_or(limits.bytes, |n| n.saturating_mul(1 << 20)),
        }
    }
}

/// A past run, or one that runs now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The run's identifier.
    pub id: String,
    /// Its directory.
    pub path: PathBuf,
    /// The directory it had while it ran.
    pub run_dir: PathBuf,
}

/// What the first and the last line of a journal tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Brief {
    /// The workflow's name.
    pub workflow: Name,
    /// The project's directory.
    pub project_dir: PathBuf,
    /// When the run began.
    pub started: Timestamp,
    /// How many jobs it has.
    pub jobs: usize,
    /// How it stands.
    pub state: RunState,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It runs now.
    Running,
    /// Its runner died, or the machine went down.
    Interrupted,
    /// It has ended.
    Ended {
        /// How.
        result: RunResult,
        /// How long it took, in microseconds.
        duration_us: u64,
    },
}

/// No such run.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// There is none at all.
    #[error("no run has been recorded yet")]
    Empty,
    /// None by this name.
    #[error("there is no run `{0}`; `nixactions runs` lists them")]
    Unknown(String),
    /// More than one.
    #[error("`{given}` may be any of {}", .found.join(", "))]
    Ambiguous {
        /// What was asked for.
        given: String,
        /// What it fits.
        found: Vec<String>,
    },
    /// The history cannot be read.
    #[error("cannot read {path}: {error}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
}

fn history(root: &Path) -> PathBuf {
    root.join("history")
}

impl Entry {
    /// The entry of a run, there or not.
    pub fn new(root: &Path, id: &str) -> Entry {
        Entry { id: id.to_owned(), path: history(root).join(id), run_dir: root.join("runs").join(id) }
    }

    /// The events.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// The output.
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Where the artifacts are: with the run while it has not ended, here afterwards.
    pub fn artifacts(&self) -> PathBuf {
        let live = self.run_dir.join("artifacts");
        if live.is_dir() { live } else { self.path.join("artifacts") }
    }

    fn plan(&self) -> PathBuf {
        self.path.join("plan.json")
    }

    /// Makes the directory and keeps the plan in it, without its secrets.
    pub(super) fn create(&self, plan: &Plan, origin: &Origin) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        let masker = Masker::new(&plan.secrets);
        let redacted = !masker.is_empty();
        let file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(self.plan())?;
        let mut out = BufWriter::new(file);
        #[derive(Serialize)]
        struct Borrowed<'a, P: Serialize> {
            version: u32,
            origin: &'a Origin,
            redacted: bool,
            plan: P,
        }
        if redacted {
            let mut plan = serde_json::to_value(plan)?;
            mask_json(&mut plan, &masker);
            serde_json::to_writer(&mut out, &Borrowed { version: VERSION, origin, redacted, plan })?;
        } else {
            serde_json::to_writer(&mut out, &Borrowed { version: VERSION, origin, redacted, plan })?;
        }
        out.flush()
    }

    /// Brings to the disk what [`Entry::create`] wrote.
    pub(super) fn sync(&self) {
        for path in [&self.plan(), &self.path] {
            // Only a power failure would show the difference, and the journal's own sync tells.
            let _ = File::open(path).and_then(|file| file.sync_all());
        }
    }

    /// The plan that was kept.
    pub fn stored(&self) -> Result<Stored, String> {
        let path = self.plan();
        let failed = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", path.display());
        let file = File::open(&path).map_err(|e| failed(&e))?;
        let stored: Stored = serde_json::from_reader(BufReader::new(file)).map_err(|e| failed(&e))?;
        match stored.version {
            VERSION => Ok(stored),
            other => Err(failed(&format!("version {other} is not known"))),
        }
    }

    /// Whether a process runs it now.
    pub fn is_live(&self) -> bool {
        rundir::is_live(&self.run_dir)
    }

    /// What it was, without reading all of it.
    pub fn brief(&self) -> Result<Brief, String> {
        let path = self.journal();
        let read = || -> io::Result<(Event, Option<Event>)> {
            let mut file = BufReader::new(File::open(&path)?);
            let mut first = Vec::new();
            file.read_until(b'\n', &mut first)?;
            let mut file = file.into_inner();
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(64 * 1024)))?;
            let mut tail = Vec::new();
            file.read_to_end(&mut tail)?;
            let last = tail.split_inclusive(|&b| b == b'\n').rfind(|line| line.ends_with(b"\n"));
            let event = |line: &[u8]| {
                let json = line.splitn(2, |&b| b == b' ').nth(1).unwrap_or_default();
                serde_json::from_slice::<Event>(json)
            };
            Ok((event(&first)?, last.and_then(|line| event(line).ok())))
        };
        let (first, last) = read().map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let EventKind::RunStarted { workflow, project_dir, jobs, .. } = first.kind else {
            return Err(format!("{} does not begin with a run", path.display()));
        };
        let state = match last.map(|event| event.kind) {
            Some(EventKind::RunFinished { result, duration_us, .. }) => {
                RunState::Ended { result, duration_us }
            }
            _ if self.is_live() => RunState::Running,
            _ => RunState::Interrupted,
        };
        Ok(Brief { workflow, project_dir, started: first.time, jobs: jobs.len(), state })
    }

    /// Forgets the run, what its runner left behind included.
    pub fn remove(&self) -> io::Result<()> {
        rundir::remove_tree(&self.run_dir)?;
        rundir::remove_tree(&self.path)
    }
}

/// All runs that are remembered, newest first.
pub fn list(root: &Path) -> Result<Vec<Entry>, FindError> {
    let path = history(root);
    let failed = |error| FindError::Io { path: path.clone(), error };
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(Entry::new(root, &entry.file_name().to_string_lossy()));
        }
    }
    found.sort_by(|a, b| b.id.cmp(&a.id));
    Ok(found)
}

/// The run that a person means: its identifier or a part of it that no other has; the newest
/// without one.
pub fn find(root: &Path, given: Option<&str>) -> Result<Entry, FindError> {
    let all = list(root)?;
    let Some(given) = given else { return all.into_iter().next().ok_or(FindError::Empty) };
    if let Some(entry) = all.iter().find(|entry| entry.id == given) {
        return Ok(entry.clone());
    }
    let mut found: Vec<Entry> =
        all.into_iter().filter(|e| !given.is_empty() && e.id.contains(given)).collect();
    match found.len() {
        0 => Err(FindError::Unknown(given.to_owned())),
        1 => Ok(found.remove(0)),
        _ => {
            let found = found.into_iter().map(|entry| entry.id).collect();
            Err(FindError::Ambiguous { given: given.to_owned(), found })
        }
    }
}

/// Forgets the oldest runs that are over the limits; never one that runs. Gives how many.
pub fn prune(root: &Path, limits: Limits) -> usize {
    let mut removed = 0;
    let mut bytes = 0;
    for (place, entry) in list(root).unwrap_or_default().into_iter().enumerate() {
        if place >= limits.artifacts && !entry.is_live() {
            // Left where they are, they are tried again by the next run.
            let _ = rundir::remove_tree(&entry.path.join("artifacts"));
        }
        bytes += size(&entry.path);
        if (place >= limits.runs || bytes > limits.bytes) && !entry.is_live() && entry.remove().is_ok() {
            removed += 1;
        }
    }
    removed
}

/// Bytes below a directory.
fn size(dir: &Path) -> u64 {
    let mut total = 0;
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => open.push(entry.path()),
                Ok(meta) => total += meta.len(),
                Err(_) => {}
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(root: &Path, id: &str, bytes: usize) {
        let entry = Entry::new(root, id);
        fs::create_dir_all(&entry.path).expect("made");
        fs::write(entry.log(), vec![0; bytes]).expect("written");
    }

    #[test]
    fn runs_are_found_by_a_part_of_their_name() {
        let root = tempfile::tempdir().expect("tempdir");
        assert!(matches!(find(root.path(), None), Err(FindError::Empty)));
        for id in ["20260101-000000-aa", "20260102-000000-ab"] {
            entry(root.path(), id, 1);
        }
        assert_eq!(find(root.path(), None).expect("found").id, "20260102-000000-ab");
        assert_eq!(find(root.path(), Some("aa")).expect("found").id, "20260101-000000-aa");
        assert!(matches!(find(root.path(), Some("000000")), Err(FindError::Ambiguous { .. })));
        assert!(matches!(find(root.path(), Some("zz")), Err(FindError::Unknown(_))));
    }

    #[test]
    fn the_oldest_runs_go_first() {
        let root = tempfile::tempdir().expect("tempdir");
        for n in 1..=5 {
            entry(root.path(), &format!("r{n}"), 100);
        }
        assert_eq!(prune(root.path(), Limits { runs: 4, bytes: 1000, ..Limits::default() }), 1);
        assert_eq!(prune(root.path(), Limits { runs: 4, bytes: 250, ..Limits::default() }), 2);
        let left: Vec<String> = list(root.path()).expect("listed").into_iter().map(|e| e.id).collect();
        assert_eq!(left, ["r5", "r4"]);
    }
}
