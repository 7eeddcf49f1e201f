//! What the last good evaluation of a workflow file told, as data that outlives its values.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rnix::{SyntaxNode, TextRange, ast};
use rowan::ast::AstNode;

use super::document::{Document, range};
use super::scope::attr_name;
use crate::base::source::{Place, SpanId};
use crate::workflow::load::Seen;
use crate::workflow::model::{Job, RetryRule, Setting, Spanned, Step, Workflow};
use crate::workflow::nixlib;
use crate::workflow::schema::{self, Table, Type};
use crate::workflow::tree::{Kind, Node};

/// A place in a file as it was evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The file.
    pub file: PathBuf,
    /// The bytes.
    pub range: TextRange,
}

/// A name with the place it was written at.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Its place, when it is in a file of the user.
    pub spot: Option<Spot>,
}

/// A setting as it holds for a step, and where it was given.
#[derive(Clone, Debug)]
pub struct Effective {
    /// For people: `10m`, `3 attempts, linear`.
    pub text: String,
    /// `step`, `job` or `workflow`.
    pub from: &'static str,
}

/// A step.
#[derive(Clone, Debug)]
pub struct StepFacts {
    /// Its name.
    pub name: String,
    /// The place of its script.
    pub script: Option<Spot>,
    /// The time one attempt may take.
    pub timeout: Option<Effective>,
    /// The retry rule.
    pub retry: Option<Effective>,
}

/// A job.
#[derive(Clone, Debug)]
pub struct JobFacts {
    /// Its name, of a copy in a matrix with the combination.
    pub name: Named,
    /// The job as written, for a copy in a matrix.
    pub written_as: String,
    /// What it needs, as written.
    pub needs: Vec<Named>,
    /// Indices of the jobs it needs.
    pub needed: Vec<usize>,
    /// Longest way to a job without needs.
    pub level: usize,
    /// Kind of its executor.
    pub executor: String,
    /// Artifacts it takes.
    pub inputs: Vec<Named>,
    /// Artifacts it gives.
    pub outputs: Vec<Named>,
    /// Its steps.
    pub steps: Vec<StepFacts>,
    /// Its own description.
    pub description: Option<String>,
}

/// A workflow.
#[derive(Clone, Debug)]
pub struct WorkflowFacts {
    /// Its name in the file, when the file holds several.
    pub key: Option<String>,
    /// Its name.
    pub name: Named,
    /// Its jobs by name.
    pub jobs: Vec<JobFacts>,
}

/// What one evaluation told.
#[derive(Clone, Default)]
pub struct Facts {
    /// The workflows of the file.
    pub workflows: Vec<WorkflowFacts>,
    /// The texts that were evaluated.
    pub texts: HashMap<PathBuf, Arc<[u8]>>,
    /// Which sets have the keys of which table, by file, in the order of places.
    pub tables: HashMap<PathBuf, Vec<(TextRange, &'static Table)>>,
}

impl Facts {
    /// Takes in a workflow that was just checked.
    pub fn add(&mut self, seen: &Seen<'_>) {
        self.typed(seen.node, &Type::Record(&schema::WORKFLOW), 0);
        let Some(w) = &seen.checked.workflow else { return };
        let needs = seen.checked.graph.as_ref().map(|g| g.needs.as_slice()).unwrap_or_default();
        let levels = levels(w.jobs.len(), needs);
        let jobs = w.jobs.iter().enumerate().map(|(i, job)| {
            let needed = needs.get(i).into_iter().flatten().map(|n| n.0).collect();
            self.job(w, job, needed, levels[i])
        });
        let jobs = jobs.collect();
        let name = self.named(&w.name);
        self.workflows.push(WorkflowFacts { key: seen.key.map(str::to_owned), name, jobs });
    }

    /// Puts everything in the order of places, once all workflows were taken in.
    pub fn finish(mut self) -> Facts {
        for tables in self.tables.values_mut() {
            tables.sort_by_key(|t| (t.0.start(), t.0.end()));
            tables.dedup_by_key(|t| t.0);
        }
        self
    }

    fn spot(&mut self, span: SpanId) -> Option<Spot> {
        let place = span.resolve()?;
        let path = place.source.path().filter(|p| !p.starts_with(nixlib::ROOT))?;
        if !self.texts.contains_key(path) {
            self.texts.insert(path.to_owned(), place.source.text().clone());
        }
        Some(spot_of(&place, path))
    }

    fn named(&mut self, name: &Spanned<String>) -> Named {
        Named { name: name.value.clone(), spot: self.spot(name.span) }
    }

    fn job(&mut self, w: &Workflow, job: &Job, needed: Vec<usize>, level: usize) -> JobFacts {
        let step = |facts: &mut Facts, s: &Step| StepFacts {
            name: s.name.value.clone(),
            script: facts.spot(s.script.span),
            timeout: effective([&s.timeout, &job.timeout, &w.timeout], |t| duration(*t)),
            retry: effective([&s.retry, &job.retry, &w.retry], retry),
        };
        JobFacts {
            name: self.named(&job.name),
            written_as: job.copy_of.as_ref().map_or(&job.name.value, |c| &c.job).clone(),
            needs: job.needs.iter().map(|n| self.named(n)).collect(),
            needed,
            level,
            executor: job.executor.as_ref().map_or("local", |e| &e.kind).to_owned(),
            inputs: job.inputs.iter().map(|i| self.named(&i.name)).collect(),
            outputs: job.outputs.iter().map(|o| self.named(&o.name)).collect(),
            steps: job.steps.iter().map(|s| step(self, s)).collect(),
            description: job.description.clone(),
        }
    }

    /// Notes which sets of a tree have the keys of a table.
    fn typed(&mut self, node: &Node, ty: &Type, depth: u32) {
        if depth > 12 {
            return;
        }
        match (&node.kind, ty) {
            (Kind::Attrs(attrs), Type::Record(_) | Type::Step | Type::TextOr(_)) => {
                let Some(table) = table_of(ty) else { return };
                if let Some(s) = self.spot(node.span) {
                    self.tables.entry(s.file).or_default().push((s.range, table));
                }
                for a in attrs {
                    if let Some(key) = table.find(&a.name) {
                        self.typed(&a.value, &key.ty, depth + 1);
                    }
                }
            }
            (Kind::Attrs(attrs), Type::Map(item, _)) => {
                attrs.iter().for_each(|a| self.typed(&a.value, item, depth + 1));
            }
            (Kind::List(items), Type::List(item, _) | Type::OneOrList(item, _)) => {
                items.iter().for_each(|i| self.typed(i, item, depth + 1));
            }
            _ => {}
        }
    }

    /// The jobs of all workflows, with the workflow of each.
    pub fn jobs(&self) -> impl Iterator<Item = (&WorkflowFacts, &JobFacts)> {
        self.workflows.iter().flat_map(|w| w.jobs.iter().map(move |j| (w, j)))
    }
}

/// The keys that a set of this type has.
pub fn table_of(ty: &Type) -> Option<&'static Table> {
    match ty {
        Type::Record(t) | Type::TextOr(t) => Some(t),
        Type::Step => Some(&schema::STEP),
        _ => None,
    }
}

fn spot_of(place: &Place, path: &Path) -> Spot {
    Spot { file: path.to_owned(), range: range(place.start, place.end) }
}

fn effective<T>(levels: [&Setting<T>; 3], text: impl Fn(&T) -> String) -> Option<Effective> {
    for (setting, from) in levels.into_iter().zip(["step", "job", "workflow"]) {
        match setting {
            Setting::Inherit => {}
            Setting::Off => return None,
            Setting::Set(v) => return Some(Effective { text: text(v), from }),
        }
    }
    None
}

/// A duration as people write it.
pub fn duration(d: Duration) -> String {
    let ms = d.as_millis();
    let mut rest = ms;
    let mut out = String::new();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if rest >= size {
            out += &format!("{}{unit}", rest / size);
            rest %= size;
        }
    }
    if out.is_empty() { "0s".into() } else { out }
}

fn retry(rule: &RetryRule) -> String {
    let attempts = rule.max_attempts.unwrap_or(1);
    let plural = if attempts == 1 { "" } else { "s" };
    let backoff = rule.backoff.map(|b| format!(", {b:?}").to_lowercase()).unwrap_or_default();
    format!("{attempts} attempt{plural}{backoff}")
}

/// The longest way from each job to one without needs; jobs in a circle are at level 0.
fn levels(n: usize, needs: &[Vec<(usize, SpanId)>]) -> Vec<usize> {
    let mut open: Vec<usize> = (0..n).map(|i| needs.get(i).map_or(0, Vec::len)).collect();
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); n];
    for (i, list) in needs.iter().enumerate() {
        for &(j, _) in list {
            dependents[j].push(i);
        }
    }
    let mut level = vec![0; n];
    let mut ready: Vec<usize> = (0..n).filter(|&i| open[i] == 0).collect();
    while let Some(j) = ready.pop() {
        for &i in &dependents[j] {
            level[i] = level[i].max(level[j] + 1);
            open[i] -= 1;
            if open[i] == 0 {
                ready.push(i);
            }
        }
    }
    level
}

/// How places of an older version of a text move to a newer one: what stands before the first and
/// after the last difference is where it was; what stands between is gone.
#[derive(Clone, Copy, Debug)]
pub struct Shift {
    same_start: u32,
    same_end: u32,
    old_len: u32,
    new_len: u32,
}

impl Shift {
    /// The shift between two versions.
    pub fn between(old: &[u8], new: &[u8]) -> Shift {
        let most = old.len().min(new.len());
        let same_start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
        let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
        Shift {
            same_start: same_start as u32,
            same_end: tail.min(most - same_start) as u32,
            old_len: old.len() as u32,
            new_len: new.len() as u32,
        }
    }

    /// Where an old range is now; `None` when it was changed itself. A range around the difference
    /// grows or shrinks with it.
    pub fn apply(&self, old: TextRange) -> Option<TextRange> {
        let end_of_change = self.old_len - self.same_end;
        // What is at or after the change is at least `same_end` long, counted from the end.
        let moved = |offset: u32| self.new_len - (self.old_len - offset);
        let (start, end) = (u32::from(old.start()), u32::from(old.end()));
        if end > self.old_len {
            None
        } else if end <= self.same_start {
            Some(old)
        } else if start >= end_of_change {
            Some(range(moved(start), moved(end)))
        } else if start < self.same_start && end > end_of_change {
            Some(range(start, moved(end)))
        } else {
            None
        }
    }
}

/// The part of an attribute path that has this name, if the range is such a path; else the range.
pub fn part_of_path(root: &SyntaxNode, at: TextRange, name: &str) -> TextRange {
    if at.end() > root.text_range().end() {
        return at;
    }
    let element = root.covering_element(at);
    let path = element.ancestors().take_while(|n| n.text_range() == at).find_map(ast::Attrpath::cast);
    let mut parts = path.into_iter().flat_map(|p| p.attrs());
    let named = parts.find(|a| attr_name(a).as_deref() == Some(name));
    named.map_or(at, |a| a.syntax().text_range())
}

/// The facts about a document, with their places moved to its present text.
pub struct Present<'a> {
    /// The facts.
    pub facts: &'a Facts,
    document: &'a Document,
    shift: Option<Shift>,
}

impl<'a> Present<'a> {
    /// Facts for this document, which may be newer than they are.
    pub fn new(facts: &'a Facts, document: &'a Document) -> Present<'a> {
        let old = facts.texts.get(document.path());
        let shift = old.map(|old| Shift::between(old, document.text().as_bytes()));
        Present { facts, document, shift }
    }

    /// Where a place of the document is now.
    pub fn here(&self, spot: Option<&Spot>) -> Option<TextRange> {
        let spot = spot.filter(|s| s.file == self.document.path())?;
        self.shift?.apply(spot.range)
    }

    /// Where a name is now. The place of a key in a path is the whole path: what counts of it is the
    /// part with the name.
    pub fn here_named(&self, spot: Option<&Spot>, name: &str) -> Option<TextRange> {
        Some(part_of_path(&self.document.root(), self.here(spot)?, name))
    }

    /// The same for a name in any file; only in this document it is narrowed.
    pub fn anywhere_named(&self, spot: Option<&Spot>, name: &str) -> Option<Spot> {
        let mut spot = self.anywhere(spot)?;
        if spot.file == self.document.path() {
            spot.range = part_of_path(&self.document.root(), spot.range, name);
        }
        Some(spot)
    }

    /// A place in any file, moved if it is in this document.
    pub fn anywhere(&self, spot: Option<&Spot>) -> Option<Spot> {
        let spot = spot?;
        if spot.file != self.document.path() {
            return Some(spot.clone());
        }
        Some(Spot { file: spot.file.clone(), range: self.here(Some(spot))? })
    }

    /// The keys of the set at exactly this range.
    pub fn table_at(&self, at: TextRange) -> Option<&'static Table> {
        let shift = self.shift?;
        let tables = self.facts.tables.get(self.document.path())?;
        tables.iter().find(|t| shift.apply(t.0) == Some(at)).map(|t| t.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_move_with_the_text_around_them() {
        let shift = Shift::between(b"abc def ghi", b"abc xx def2 ghi");
        assert_eq!(shift.apply(range(0, 3)), Some(range(0, 3)));
        assert_eq!(shift.apply(range(8, 11)), Some(range(12, 15)));
        assert_eq!(shift.apply(range(4, 7)), None);
        assert_eq!(shift.apply(range(0, 11)), Some(range(0, 15)));
        let shift = Shift::between(b"aaaa", b"aa");
        assert_eq!(shift.apply(range(0, 2)), Some(range(0, 2)));
        let shift = Shift::between(b"{ long text here }", b"{ }");
        assert_eq!(shift.apply(range(0, 18)), Some(range(0, 3)));
        assert_eq!(shift.apply(range(17, 18)), Some(range(2, 3)));
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(Duration::from_secs(5400)), "1h30m");
        assert_eq!(duration(Duration::from_millis(250)), "250ms");
        assert_eq!(duration(Duration::ZERO), "0s");
    }
}
