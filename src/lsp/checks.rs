//! Which workflow files are checked when a text changes, and what the checks found.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::NixFiles;
use super::evaluator::Checked;
use super::publish::by_file;
use super::snapshot::Open;
use super::workspace::{is_workflow, nearest};
use crate::diag::Diagnostic;
use crate::ide::facts::Facts;

/// A workflow file that is checked.
#[derive(Default)]
struct Root {
    /// Number of the check asked for last.
    asked: u64,
    /// Number of the check that came back last.
    done: u64,
    seen: BTreeSet<PathBuf>,
    findings: HashMap<PathBuf, Vec<Diagnostic>>,
}

/// All checks.
#[derive(Default)]
pub struct Checks {
    roots: HashMap<PathBuf, Root>,
    facts: Arc<HashMap<PathBuf, Arc<Facts>>>,
    serial: u64,
    /// What [`nearest`] said, for the open files.
    nearest: HashMap<PathBuf, Option<PathBuf>>,
}

impl Checks {
    /// The last good facts by workflow file.
    pub fn facts(&self) -> &Arc<HashMap<PathBuf, Arc<Facts>>> {
        &self.facts
    }

    /// The files to check after a file changed: workflow files that read it, or else itself.
    pub fn affected(&mut self, path: &Path, open: &HashMap<PathBuf, Open>, which: NixFiles) -> Vec<PathBuf> {
        let mut roots: BTreeSet<PathBuf> = self
            .roots
            .iter()
            .filter(|(root, r)| {
                r.seen.contains(path) && (*root == path || open.contains_key(*root) || r.done > 0)
            })
            .map(|(root, _)| root.clone())
            .collect();
        let text = open.get(path).map(|o| o.document.text().clone());
        let imported = roots.iter().any(|r| r != path);
        match text {
            Some(text) if !imported && is_workflow(path, &text) => {
                roots.insert(path.to_owned());
            }
            Some(_) if roots.is_empty() => {
                let above = self.nearest.entry(path.to_owned()).or_insert_with(|| nearest(path));
                let unread = |root: &&PathBuf| !self.roots.contains_key(*root) && *root != path;
                roots.extend(above.as_ref().filter(unread).cloned());
            }
            Some(_) => {}
            // A file that is gone, or not open, is checked only for those that read it.
            None => {
                roots.remove(path);
            }
        }
        if imported {
            roots.remove(path);
            self.roots.remove(path);
        } else if which == NixFiles::Always && open.contains_key(path) {
            roots.insert(path.to_owned());
        }
        roots.into_iter().collect()
    }

    /// Numbers a check of a workflow file.
    pub fn ask(&mut self, root: &Path) -> u64 {
        self.serial += 1;
        self.roots.entry(root.to_owned()).or_default().asked = self.serial;
        self.serial
    }

    /// Takes in what came of a check; the files whose findings may be others now. `None` when a newer
    /// check of the same file has been asked for, whose findings will replace these.
    pub fn take(&mut self, checked: Checked) -> Option<BTreeSet<PathBuf>> {
        let root = self.roots.get_mut(&checked.file)?;
        if let Some(facts) = checked.facts {
            Arc::make_mut(&mut self.facts).insert(checked.file.clone(), Arc::new(facts));
        }
        root.done = checked.serial;
        root.seen = checked.seen;
        root.seen.insert(checked.file.clone());
        let mut files: BTreeSet<PathBuf> = root.findings.keys().cloned().collect();
        root.findings = by_file(&checked.file, checked.findings);
        files.extend(root.findings.keys().cloned());
        files.insert(checked.file);
        (root.asked == checked.serial).then_some(files)
    }

    /// Whether the findings of a file are those of its present text.
    pub fn is_current(&self, path: &Path) -> bool {
        let mut all = self.roots.iter().filter(|(root, r)| *root == path || r.seen.contains(path));
        all.all(|(_, r)| r.asked == r.done)
    }

    /// Forgets a file that was closed, and workflow files that were checked only for its sake; the
    /// files whose findings may be others now.
    pub fn close(&mut self, path: &Path, open: &HashMap<PathBuf, Open>) -> BTreeSet<PathBuf> {
        self.nearest.remove(path);
        let mut files = BTreeSet::from([path.to_owned()]);
        let of_use =
            |root: &PathBuf, r: &Root| open.contains_key(root) || r.seen.iter().any(|f| open.contains_key(f));
        let over: HashSet<PathBuf> =
            self.roots.iter().filter(|(root, r)| !of_use(root, r)).map(|(root, _)| root.clone()).collect();
        for root in over {
            if let Some(r) = self.roots.remove(&root) {
                files.extend(r.findings.into_keys());
            }
            Arc::make_mut(&mut self.facts).remove(&root);
        }
        files
    }

    /// All findings by file.
    pub fn findings(&self) -> HashMap<PathBuf, Vec<Diagnostic>> {
        let mut out: HashMap<PathBuf, Vec<Diagnostic>> = HashMap::new();
        let mut roots: Vec<_> = self.roots.iter().collect();
        roots.sort_by_key(|r| r.0);
        let of_roots = roots.into_iter().flat_map(|(_, r)| &r.findings);
        for (file, list) in of_roots {
            out.entry(file.clone()).or_default().extend(list.iter().cloned());
        }
        out
    }

    /// All workflow files that are checked.
    pub fn roots(&self) -> Vec<PathBuf> {
        let mut roots: Vec<PathBuf> = self.roots.keys().cloned().collect();
        roots.sort();
        roots
    }
}
