//! Call hierarchy over `needs`: a job calls what it needs, and is called by what needs it.

use super::facts::{Facts, Named, Spot, WorkflowFacts};
use super::place::Context;
use super::target::{Target, at};

/// A job in the hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The job's name.
    pub name: String,
    /// Its workflow's name.
    pub workflow: String,
    /// Where it is written.
    pub spot: Spot,
}

/// A call: the other job, and the places that name it or are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The other job.
    pub item: Item,
    /// The names in `needs`.
    pub at: Vec<Spot>,
}

/// The job named at an offset.
pub fn prepare(context: &Context<'_>, offset: u32) -> Option<Item> {
    let (_, Target::Job(name)) = at(context, offset)? else { return None };
    let present = context.facts.as_ref()?;
    let (w, job) = present.facts.jobs().find(|(_, j)| j.name.name == name || j.written_as == name)?;
    Some(Item {
        name: job.written_as.clone(),
        workflow: w.name.name.clone(),
        spot: present.anywhere_named(job.name.spot.as_ref(), &job.written_as)?,
    })
}

fn item(w: &WorkflowFacts, job: usize) -> Option<Item> {
    let job = &w.jobs[job];
    let spot = job.name.spot.clone()?;
    Some(Item { name: job.written_as.clone(), workflow: w.name.name.clone(), spot })
}

fn of<'f>(facts: &'f Facts, item: &'f Item) -> impl Iterator<Item = (&'f WorkflowFacts, usize)> {
    let workflows = facts.workflows.iter().filter(|w| w.name.name == item.workflow);
    workflows.flat_map(|w| {
        let named = w.jobs.iter().enumerate().filter(|(_, j)| j.written_as == item.name);
        named.map(move |(i, _)| (w, i))
    })
}

fn push(out: &mut Vec<Call>, item: Option<Item>, named: &[Named], meant: impl Fn(&Named) -> bool) {
    let Some(item) = item else { return };
    let at: Vec<Spot> = named.iter().filter(|n| meant(n)).filter_map(|n| n.spot.clone()).collect();
    match out.iter_mut().find(|c| c.item == item) {
        Some(call) => {
            call.at.extend(at);
            call.at.dedup();
        }
        None => out.push(Call { item, at }),
    }
}

/// The jobs that a job needs.
pub fn outgoing(facts: &Facts, from: &Item) -> Vec<Call> {
    let mut out = Vec::new();
    for (w, i) in of(facts, from) {
        for &needed in &w.jobs[i].needed {
            let other = &w.jobs[needed];
            let meant = |n: &Named| n.name == other.name.name || n.name == other.written_as;
            push(&mut out, item(w, needed), &w.jobs[i].needs, meant);
        }
    }
    out
}

/// The jobs that need a job.
pub fn incoming(facts: &Facts, to: &Item) -> Vec<Call> {
    let mut out = Vec::new();
    for (w, i) in of(facts, to) {
        let name = &w.jobs[i].name.name;
        for (j, job) in w.jobs.iter().enumerate().filter(|(_, j)| j.needed.contains(&i)) {
            let meant = |n: &Named| n.name == *name || n.name == to.name;
            push(&mut out, item(w, j), &job.needs, meant);
        }
    }
    out
}
