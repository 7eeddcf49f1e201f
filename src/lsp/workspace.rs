//! Workflow files of the workspace, found by name and by what they hold.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ignore::WalkBuilder;

use super::snapshot::Snapshot;
use crate::ide::document::{Document, range};
use crate::ide::symbols::matching_jobs;

/// File names that are workflow files whatever they hold.
pub const NAMES: [&str; 2] = ["nixactions.nix", "ci.nix"];
/// Files that are looked at.
const MOST_FILES: usize = 5000;
/// Larger files are left out.
const LARGEST: u64 = 1 << 20;

/// The jobs of a file as it was at a time.
pub struct Indexed {
    changed: SystemTime,
    jobs: Vec<(String, u32, u32)>,
}

/// Whether a file builds a workflow, as far as its name and text tell.
pub fn is_workflow(path: &Path, text: &str) -> bool {
    let named = path.file_name().is_some_and(|n| NAMES.iter().any(|w| n == *w));
    named || text.contains("mkWorkflow")
}

/// The workflow file nearest to a file, in its folder and upwards to the root of the repository.
pub fn nearest(path: &Path) -> Option<PathBuf> {
    for dir in path.ancestors().skip(1) {
        if let Some(found) = NAMES.iter().map(|n| dir.join(n)).find(|p| p.is_file()) {
            return Some(found);
        }
        if dir.join(".git").exists() {
            break;
        }
    }
    None
}

/// A job somewhere in the workspace.
pub struct Found {
    /// Its name.
    pub name: String,
    /// The file.
    pub document: std::sync::Arc<Document>,
    /// The place of its name.
    pub range: rnix::TextRange,
}

/// The jobs in the workspace that match a query, at most this many.
pub fn jobs(snapshot: &Snapshot, query: &str, most: usize) -> Vec<Found> {
    let mut out = Vec::new();
    let mut open: Vec<_> = snapshot.open.values().map(|o| &o.document).collect();
    open.sort_by_key(|d| d.path().to_owned());
    for document in open {
        for (name, range) in matching_jobs(document, query) {
            out.push(Found { name, document: document.clone(), range });
        }
    }
    for file in files(snapshot) {
        if out.len() >= most || snapshot.is_cancelled() {
            break;
        }
        if snapshot.open.contains_key(&file) {
            continue;
        }
        for (name, start, end) in indexed(snapshot, &file) {
            if !crate::ide::symbols::matches(&name, query) {
                continue;
            }
            let Some(document) = snapshot.read(&file) else { continue };
            out.push(Found { name, document, range: range(start, end) });
        }
    }
    out.truncate(most);
    out
}

fn files(snapshot: &Snapshot) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for folder in snapshot.folders.iter() {
        let walk = WalkBuilder::new(folder).follow_links(false).max_depth(Some(12)).build();
        let nix = walk.flatten().filter(|e| {
            e.file_type().is_some_and(|t| t.is_file()) && e.path().extension().is_some_and(|x| x == "nix")
        });
        let room = MOST_FILES - out.len();
        out.extend(nix.take(room).map(ignore::DirEntry::into_path));
    }
    out.sort();
    out.dedup();
    out
}

fn indexed(snapshot: &Snapshot, file: &Path) -> Vec<(String, u32, u32)> {
    let Ok(meta) = std::fs::metadata(file) else { return Vec::new() };
    let changed = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let known = |i: &Indexed| (i.changed == changed).then(|| i.jobs.clone());
    let cache = || snapshot.shared.symbols.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(jobs) = cache().get(file).and_then(known) {
        return jobs;
    }
    let text = if meta.len() <= LARGEST { std::fs::read_to_string(file).ok() } else { None };
    let jobs: Vec<(String, u32, u32)> = match text.filter(|t| is_workflow(file, t)) {
        Some(text) => matching_jobs(&Document::new(file, text), "")
            .into_iter()
            .map(|(name, r)| (name, r.start().into(), r.end().into()))
            .collect(),
        None => Vec::new(),
    };
    cache().insert(file.to_owned(), Indexed { changed, jobs: jobs.clone() });
    jobs
}
