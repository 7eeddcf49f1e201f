//! What a plan needs of the store, by who needs it.

use std::collections::{BTreeMap, BTreeSet};

use crate::drv::aterm;
use crate::drv::derivation::Derivation;
use crate::drv::object::{Content, Needed, Objects};
use crate::drv::store_path::{StoreDir, StorePath};
use crate::workflow::plan::{Plan, StoreObjects};

/// One thing that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// What.
    pub needed: Needed,
    /// The step that needs it; `None`: the job or workflow itself.
    pub step: Option<String>,
    /// Where it will be; `None` when that is known only after the build.
    pub path: Option<StorePath>,
}

impl Need {
    /// What it is called: the name in its path, without the hash.
    pub fn package(&self) -> String {
        package_name(self.needed.root())
    }
}

/// The name of a package: that of its derivation, or of its path.
pub(super) fn package_name(path: &StorePath) -> String {
    path.derivation_name().unwrap_or(path.name()).to_owned()
}

/// All that a plan needs.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// For the workflow itself.
    pub workflow: Vec<Need>,
    /// For each job, in plan order.
    pub jobs: Vec<Vec<Need>>,
    /// The store's directory.
    pub dir: StoreDir,
}

impl Needs {
    /// What a plan needs; paths of outputs are read from the derivations that it brings, or from
    /// those in the store.
    pub fn of(plan: &Plan) -> Needs {
        let dir = match plan.objects.dir.as_str() {
            "" => StoreDir::default(),
            dir => StoreDir::new(dir),
        };
        let mut known = Known { dir: &dir, objects: &plan.objects, read: BTreeMap::new() };
        let workflow = known.needs(&plan.store, None);
        let jobs = plan.jobs.iter().map(|job| {
            let mut all = known.needs(&job.store, None);
            for step in &job.steps {
                all.extend(known.needs(&step.store, Some(&step.name)));
            }
            all
        });
        let jobs = jobs.collect();
        Needs { workflow, jobs, dir }
    }

    /// Without what only jobs need that are not chosen.
    pub fn only(mut self, chosen: &[bool]) -> Needs {
        for (needs, _) in self.jobs.iter_mut().zip(chosen).filter(|(_, chosen)| !**chosen) {
            needs.clear();
        }
        self
    }

    /// Everything, whoever needs it.
    pub fn all(&self) -> impl Iterator<Item = &Need> {
        self.workflow.iter().chain(self.jobs.iter().flatten())
    }

    /// Those of a job, or of the workflow itself.
    pub fn whose(&self, job: Option<usize>) -> &[Need] {
        match job {
            None => &self.workflow,
            Some(job) => self.jobs.get(job).map_or(&[], Vec::as_slice),
        }
    }
}

struct Known<'a> {
    dir: &'a StoreDir,
    objects: &'a StoreObjects,
    read: BTreeMap<StorePath, Option<Derivation>>,
}

impl Known<'_> {
    fn needs(&mut self, needed: &BTreeSet<Needed>, step: Option<&String>) -> Vec<Need> {
        let one = |n: &Needed| Need { needed: n.clone(), step: step.cloned(), path: self.path(n) };
        needed.iter().map(one).collect()
    }

    fn path(&mut self, needed: &Needed) -> Option<StorePath> {
        match needed {
            Needed::Path(path) => Some(path.clone()),
            Needed::Output(drv, output) => {
                let (dir, objects) = (self.dir, &self.objects.objects);
                let read = self.read.entry(drv.clone()).or_insert_with(|| derivation(drv, objects, dir));
                read.as_ref()?.output_path(dir, output.as_bytes()).ok().flatten()
            }
        }
    }
}

/// A derivation of the plan, or of the store.
pub(super) fn derivation(path: &StorePath, objects: &Objects, dir: &StoreDir) -> Option<Derivation> {
    match objects.get(path).map(|o| &o.content) {
        Some(Content::Text(text)) => aterm::parse_file(&text.0, path, dir).ok(),
        Some(Content::Copy { .. }) => None,
        None => {
            let text = std::fs::read(dir.print(path)).ok()?;
            aterm::parse_file(&text, path, dir).ok()
        }
    }
}

/// The objects that these refer to, directly or through others, and themselves.
pub(super) fn closure<'a>(roots: impl Iterator<Item = &'a StorePath>, objects: &Objects) -> Objects {
    let mut found = Objects::new();
    let mut pending: Vec<&StorePath> = roots.collect();
    while let Some(path) = pending.pop() {
        let Some((path, object)) = objects.get_key_value(path) else { continue };
        if !found.contains_key(path) {
            found.insert(path.clone(), object.clone());
            pending.extend(&object.references);
        }
    }
    found
}
