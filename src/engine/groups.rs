//! Groups of jobs as the scheduler sees them: the copies of a matrix, the jobs of a call, and the
//! limits of how many of a group run at a time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::machine::JobId;
use crate::workflow::plan::Plan;

/// A job in a queue: longest remaining path first, then in the order of arrival.
pub(super) type Place = (u32, Reverse<u64>, JobId);

/// All groups of a plan.
#[derive(Debug)]
pub(super) struct Groups {
    /// The job whose call each job belongs to.
    pub(super) parent: Vec<Option<JobId>>,
    /// What is known of each job's call; empty for a job with steps.
    pub(super) calls: Vec<Call>,
    /// The copies of each matrix, by its name.
    pub(super) copies: HashMap<String, Vec<JobId>>,
    /// Groups of which only so many run at a time.
    pub(super) limits: Vec<Limit>,
    /// For each job, those it is in.
    of: Vec<Vec<usize>>,
    /// Jobs that count in their groups now.
    counted: Vec<bool>,
}

/// The jobs of a call.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub(super) children: Vec<JobId>,
    /// How many have not ended.
    pub(super) open: usize,
    pub(super) failed: bool,
    pub(super) infrastructure: bool,
    pub(super) cancelled: bool,
}

/// A group of which only so many run at a time.
#[derive(Debug)]
pub(super) struct Limit {
    most: usize,
    running: usize,
    /// Jobs that were ready when it was full.
    pub(super) waiting: BinaryHeap<Place>,
}

impl Groups {
    /// The groups of a plan whose needs and parents all exist.
    pub(super) fn new(plan: &Plan) -> Groups {
        let by_name: HashMap<&str, JobId> =
            plan.jobs.iter().enumerate().map(|(id, job)| (job.name.as_str(), id)).collect();
        let count = plan.jobs.len();
        let mut groups = Groups {
            parent: vec![None; count],
            calls: Vec::with_capacity(count),
            copies: HashMap::new(),
            limits: Vec::new(),
            of: vec![Vec::new(); count],
            counted: vec![false; count],
        };
        groups.calls.resize_with(count, Call::default);
        for (id, job) in plan.jobs.iter().enumerate() {
            if let Some(&parent) = job.parent.as_ref().and_then(|p| by_name.get(p.as_str())) {
                groups.parent[id] = Some(parent);
                groups.calls[parent].children.push(id);
                groups.calls[parent].open += 1;
            }
            if let Some(copy) = &job.matrix {
                groups.copies.entry(copy.job.clone()).or_default().push(id);
            }
        }
        groups.add_limits(plan);
        groups
    }

    fn add_limits(&mut self, plan: &Plan) {
        let mut matrices: Vec<&Vec<JobId>> = self.copies.values().collect();
        matrices.sort();
        let mut limits: Vec<(usize, Vec<JobId>)> = Vec::new();
        for copies in matrices {
            let most = copies.iter().find_map(|&id| plan.jobs[id].matrix.as_ref()?.max_parallel);
            limits.extend(most.map(|most| (most, copies.clone())));
        }
        for (id, job) in plan.jobs.iter().enumerate() {
            let most = job.call.as_ref().and_then(|call| call.max_parallel);
            limits.extend(most.map(|most| (most, self.with_steps_below(plan, id))));
        }
        for (index, (most, jobs)) in limits.into_iter().enumerate() {
            jobs.iter().for_each(|&job| self.of[job].push(index));
            self.limits.push(Limit { most: most.max(1), running: 0, waiting: BinaryHeap::new() });
        }
    }

    /// The jobs of a call and of the calls in it, those with steps: a call itself takes no slot, and
    /// counting it too could leave none for its jobs.
    fn with_steps_below(&self, plan: &Plan, call: JobId) -> Vec<JobId> {
        let (mut found, mut pending) = (Vec::new(), self.calls[call].children.clone());
        while let Some(job) = pending.pop() {
            match plan.jobs[job].call {
                Some(_) => pending.extend(&self.calls[job].children),
                None => found.push(job),
            }
        }
        found
    }

    /// A group of this job that has no room.
    pub(super) fn full(&self, job: JobId) -> Option<usize> {
        self.of[job].iter().copied().find(|&limit| self.limits[limit].running >= self.limits[limit].most)
    }

    /// The job takes its place in its groups.
    pub(super) fn take(&mut self, job: JobId) {
        self.counted[job] = true;
        for &limit in &self.of[job] {
            self.limits[limit].running += 1;
        }
    }

    /// The job has ended: gives up its place. The groups that may have room now.
    pub(super) fn give_back(&mut self, job: JobId) -> Vec<usize> {
        let counted = std::mem::take(&mut self.counted[job]);
        for &limit in self.of[job].iter().filter(|_| counted) {
            self.limits[limit].running -= 1;
        }
        self.of[job].clone()
    }

    /// Takes jobs that wait for a group, as many as it has room for. One that has to wait for another
    /// group now takes no room.
    pub(super) fn wake(&mut self, limit: usize, is_ready: impl Fn(JobId) -> bool) -> Vec<Place> {
        let mut woken = Vec::new();
        while self.limits[limit].running + woken.len() < self.limits[limit].most {
            let Some(place) = self.limits[limit].waiting.pop() else { break };
            if !is_ready(place.2) {
                continue;
            }
            match self.full(place.2) {
                Some(other) => self.limits[other].waiting.push(place),
                None => woken.push(place),
            }
        }
        woken
    }
}
