//! The scheduler: a pure state machine from `state x input` to commands.
//!
//! It does no I/O and knows no time. Each job carries the aggregate of all its ancestors, pushed
//! along the edges as jobs end, so that a transition costs its out-edges and no more.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};

use super::condition::{Status, Verdict, decide, status_text};
use super::event::{CancelCause, Decider, JobResult, Name, RunResult, SkipReason};
use super::groups::{Groups, Place};
use crate::workflow::plan::Plan;

/// A job, by its place in the plan.
pub type JobId = usize;

/// A plan that cannot be scheduled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two jobs have one name.
    #[error("job `{0}` is defined twice")]
    Duplicate(String),
    /// A need that is no job.
    #[error("job `{job}` needs `{need}`, which does not exist")]
    UnknownNeed {
        /// The job.
        job: String,
        /// What it needs.
        need: String,
    },
    /// Jobs that wait for each other.
    #[error("jobs need each other in a circle: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
}

/// What the driver has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Report that the job waits for a slot.
    Ready(JobId),
    /// Run the job; when its condition is a script, that first.
    Start(JobId),
    /// Report that the job is skipped.
    Skip(JobId, SkipReason),
    /// Report that the job was cancelled before it began.
    Drop(JobId),
    /// The job was left out, and its turn has come.
    LeaveOut(JobId),
    /// Ask the running job to end; its end is still to be reported.
    Stop(JobId),
    /// The jobs of a call may begin.
    Open(JobId),
    /// All jobs of a call have ended: what happened, and what dependents see.
    Close(JobId, JobResult, JobResult),
    /// Report that a failed job ends the other jobs of its matrix or call.
    FailFast {
        /// The job that failed.
        failed: JobId,
        /// Whether the others are those of its matrix; otherwise those of its call.
        matrix: bool,
    },
    /// Report that the run is being cancelled.
    Cancelling(CancelCause),
    /// All jobs have ended.
    Finish,
}

/// How a started job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// All well.
    Success,
    /// It failed; `infrastructure` when the machine is to blame.
    Failure {
        /// The machine is to blame.
        infrastructure: bool,
    },
    /// It was stopped.
    Cancelled,
    /// The script of its condition said no.
    Skipped,
}

/// What is known of a job before the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// Nothing: it is run.
    #[default]
    Run,
    /// It ended earlier, and is not run again.
    Keep {
        /// What dependents see.
        result: JobResult,
        /// The machine was to blame for its failure.
        infrastructure: bool,
    },
    /// It began earlier, has no end, and must not be run twice: it has failed.
    Interrupted,
    /// Nobody wants it: it counts as skipped, but stands in nobody's way.
    LeaveOut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Needs that have not ended.
    Waiting(u32),
    Ready,
    Running,
    /// A call whose jobs run.
    Open,
    Ended(JobResult),
}

/// The worst that happened among a job's ancestors.
#[derive(Clone, Copy, Debug, Default)]
struct Ancestry {
    /// A failed one.
    failed: Option<JobId>,
    /// One that is neither success nor failed.
    other: Option<JobId>,
}

impl Ancestry {
    fn merge(&mut self, other: Ancestry) {
        self.failed = self.failed.or(other.failed);
        self.other = self.other.or(other.other);
    }
}

/// The scheduler's state.
#[derive(Debug)]
pub struct Machine<'p> {
    plan: &'p Plan,
    graph: Graph,
    groups: Groups,
    state: Vec<State>,
    ancestry: Vec<Ancestry>,
    /// Jobs that end because another of their group failed.
    doomed: Vec<bool>,
    ready: BinaryHeap<(u32, Reverse<u64>, JobId)>,
    /// Jobs that may not start yet, whatever they need of other jobs; and those that would have.
    held: HashSet<JobId>,
    parked: Vec<(u32, Reverse<u64>, JobId)>,
    sequence: u64,
    running: usize,
    open: usize,
    limit: usize,
    presets: Vec<Preset>,
    cancelled: Option<CancelCause>,
    failed: bool,
    infrastructure: bool,
    finished: bool,
}

impl<'p> Machine<'p> {
    /// A machine for a plan, with at most `limit` jobs at a time.
    pub fn new(plan: &'p Plan, limit: usize) -> Result<Machine<'p>, GraphError> {
        Machine::with(plan, limit, Vec::new())
    }

    /// A machine that knows something of the jobs already; one preset a job, or none at all. A job
    /// may only be kept when all that it needs is kept or left out.
    pub fn with(plan: &'p Plan, limit: usize, mut presets: Vec<Preset>) -> Result<Machine<'p>, GraphError> {
        presets.resize(plan.jobs.len(), Preset::Run);
        let graph = Graph::new(plan)?;
        let count = plan.jobs.len();
        Ok(Machine {
            plan,
            state: graph.needs.iter().map(|&n| State::Waiting(n)).collect(),
            graph,
            groups: Groups::new(plan),
            doomed: vec![false; count],
            ancestry: vec![Ancestry::default(); count],
            ready: BinaryHeap::new(),
            held: HashSet::new(),
            parked: Vec::new(),
            sequence: 0,
            running: 0,
            open: count,
            limit: limit.max(1),
            presets,
            cancelled: None,
            failed: false,
            infrastructure: false,
            finished: false,
        })
    }

    /// Begins: jobs without needs become ready.
    pub fn start(&mut self, out: &mut Vec<Command>) {
        let mut kept = Vec::new();
        for (job, preset) in self.presets.iter().enumerate() {
            let (result, infrastructure) = match *preset {
                Preset::Keep { result, infrastructure } => (result, infrastructure),
                Preset::Interrupted if self.plan.jobs[job].continue_on_error => (JobResult::Success, false),
                Preset::Interrupted => (JobResult::Failure, false),
                Preset::Run | Preset::LeaveOut => continue,
            };
            self.state[job] = State::Ended(result);
            kept.push(job);
            if result == JobResult::Failure {
                let (failed, its) = match self.groups.parent[job] {
                    Some(call) => {
                        let call = &mut self.groups.calls[call];
                        (&mut call.failed, &mut call.infrastructure)
                    }
                    None => (&mut self.failed, &mut self.infrastructure),
                };
                *failed = true;
                *its |= infrastructure;
            }
        }
        // What is needed first: each passes on what it knows of its own needs.
        kept.sort_by_key(|&job| Reverse(self.graph.path[job]));
        let mut ended = VecDeque::new();
        for job in 0..self.state.len() {
            if self.state[job] == State::Waiting(0) {
                self.judge(job, &mut ended, out);
            }
        }
        ended.extend(kept.iter());
        for job in kept {
            if self.state[job] != State::Ended(JobResult::Failure) {
                continue;
            }
            if self.plan.fail_fast && self.cancelled.is_none() && self.groups.parent[job].is_none() {
                self.cancel(CancelCause::FailFast { job: self.plan.jobs[job].name.as_str().into() }, out);
            }
            self.fail_fast(job, &mut ended, out);
        }
        self.settle(ended, out);
    }

    /// Keeps a job from starting until [`Machine::let_go`]; it takes no slot while it waits.
    pub fn hold(&mut self, job: JobId) {
        self.held.insert(job);
    }

    /// Lets a job start that was held.
    pub fn let_go(&mut self, job: JobId, out: &mut Vec<Command>) {
        if !self.held.remove(&job) {
            return;
        }
        if let Some(at) = self.parked.iter().position(|place| place.2 == job) {
            self.ready.push(self.parked.swap_remove(at));
            self.settle(VecDeque::new(), out);
        }
    }

    /// A started job ended. Reports about jobs that are not running are ignored. Returns what
    /// dependents see.
    pub fn ended(&mut self, job: JobId, end: &JobEnd, out: &mut Vec<Command>) -> Option<JobResult> {
        if self.state.get(job) != Some(&State::Running) {
            return None;
        }
        self.running -= 1;
        let mut ended = VecDeque::new();
        // The condition of a call was a script, which said yes.
        if self.plan.jobs[job].call.is_some() && *end == JobEnd::Success {
            self.open(job, &mut ended, out);
            self.settle(ended, out);
            return None;
        }
        let tolerated = self.plan.jobs[job].continue_on_error;
        let result = match end {
            JobEnd::Success => JobResult::Success,
            JobEnd::Failure { .. } if tolerated => JobResult::Success,
            JobEnd::Failure { infrastructure } => {
                self.fail(job, *infrastructure, out);
                JobResult::Failure
            }
            JobEnd::Cancelled => JobResult::Cancelled,
            JobEnd::Skipped => JobResult::Skipped,
        };
        self.state[job] = State::Ended(result);
        if result == JobResult::Failure {
            self.fail_fast(job, &mut ended, out);
        }
        ended.push_back(job);
        self.settle(ended, out);
        Some(result)
    }

    /// A job has failed for good: so has what it belongs to.
    fn fail(&mut self, job: JobId, infrastructure: bool, out: &mut Vec<Command>) {
        match self.groups.parent[job] {
            Some(parent) => {
                let call = &mut self.groups.calls[parent];
                call.failed = true;
                call.infrastructure |= infrastructure;
            }
            None => {
                self.failed = true;
                self.infrastructure |= infrastructure;
                if self.plan.fail_fast && self.cancelled.is_none() {
                    let name = self.plan.jobs[job].name.as_str().into();
                    self.cancel(CancelCause::FailFast { job: name }, out);
                }
            }
        }
    }

    /// Ends the other jobs of the failed one's matrix and call, where these ask for it.
    fn fail_fast(&mut self, job: JobId, ended: &mut VecDeque<JobId>, out: &mut Vec<Command>) {
        let plan = self.plan;
        let open = |machine: &Self, other: &JobId| !matches!(machine.state[*other], State::Ended(_));
        if let Some(copy) = plan.jobs[job].matrix.as_ref().filter(|m| m.fail_fast) {
            let copies = self.groups.copies.get(copy.job.as_str()).cloned().unwrap_or_default();
            let others: Vec<JobId> = copies.into_iter().filter(|other| open(self, other)).collect();
            if !others.is_empty() {
                out.push(Command::FailFast { failed: job, matrix: true });
            }
            others.into_iter().for_each(|other| self.doom(other, ended, out));
        }
        let Some(parent) = self.groups.parent[job] else { return };
        if plan.jobs[parent].call.as_ref().is_some_and(|call| call.fail_fast) {
            let children = self.groups.calls[parent].children.clone();
            let others: Vec<JobId> = children.into_iter().filter(|other| open(self, other)).collect();
            if !others.is_empty() {
                out.push(Command::FailFast { failed: job, matrix: false });
            }
            others.into_iter().for_each(|other| self.doom(other, ended, out));
        }
    }

    /// The time of a call is used up: it has failed, and its jobs end.
    pub fn expire(&mut self, call: JobId, out: &mut Vec<Command>) {
        if self.state.get(call) != Some(&State::Open) {
            return;
        }
        self.groups.calls[call].failed = true;
        let mut ended = VecDeque::new();
        for child in self.groups.calls[call].children.clone() {
            self.doom(child, &mut ended, out);
        }
        self.settle(ended, out);
    }

    /// Ends a job as if the run were cancelled: unless its condition holds even so.
    fn doom(&mut self, job: JobId, ended: &mut VecDeque<JobId>, out: &mut Vec<Command>) {
        if std::mem::replace(&mut self.doomed[job], true) {
            return;
        }
        self.stop(job, ended, out);
        for child in self.groups.calls[job].children.clone() {
            self.doom(child, ended, out);
        }
    }

    /// Stops a job that runs or waits for a slot, unless its condition holds.
    fn stop(&mut self, job: JobId, ended: &mut VecDeque<JobId>, out: &mut Vec<Command>) {
        let holds = || decide(&self.plan.jobs[job].condition, self.status(job)) == Verdict::Yes;
        match self.state[job] {
            State::Running if !holds() => out.push(Command::Stop(job)),
            State::Ready if !holds() => {
                self.state[job] = State::Ended(JobResult::Cancelled);
                out.push(Command::Drop(job));
                ended.push_back(job);
            }
            _ => {}
        }
    }

    /// The run is cancelled: what waits in the queue or runs ends, unless its condition holds still.
    pub fn cancel(&mut self, cause: CancelCause, out: &mut Vec<Command>) {
        if self.finished {
            return;
        }
        // A signal after a budget or a failure decides the exit code, but nothing else changes.
        let first = self.cancelled.is_none();
        if first || matches!(cause, CancelCause::Signal { .. }) {
            self.cancelled = Some(cause.clone());
            out.push(Command::Cancelling(cause));
        }
        if !first {
            return;
        }
        let mut ended = VecDeque::new();
        for job in 0..self.state.len() {
            self.stop(job, &mut ended, out);
        }
        self.settle(ended, out);
    }

    /// Whether the run was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_some()
    }

    /// A job's result, once it has ended.
    pub fn result(&self, job: JobId) -> Option<JobResult> {
        match self.state.get(job) {
            Some(State::Ended(result)) => Some(*result),
            _ => None,
        }
    }

    /// The run's result so far.
    pub fn run_result(&self) -> RunResult {
        match &self.cancelled {
            Some(CancelCause::Signal { signal }) => RunResult::Cancelled { signal: Some(*signal) },
            _ if self.infrastructure => RunResult::Infrastructure,
            _ if self.failed => RunResult::Failure,
            Some(_) => RunResult::Cancelled { signal: None },
            None => RunResult::Success,
        }
    }

    fn status(&self, job: JobId) -> Status {
        let ancestry = self.ancestry[job];
        let cancelled = self.cancelled.is_some() || self.doomed[job];
        let clean = ancestry.failed.is_none() && ancestry.other.is_none();
        Status { success: clean && !cancelled, failure: ancestry.failed.is_some(), cancelled }
    }

    /// All needs of a job have ended: it is ready, skipped or dropped.
    fn judge(&mut self, job: JobId, ended: &mut VecDeque<JobId>, out: &mut Vec<Command>) {
        if self.presets[job] == Preset::LeaveOut {
            self.state[job] = State::Ended(JobResult::Skipped);
            ended.push_back(job);
            return out.push(Command::LeaveOut(job));
        }
        let condition = &self.plan.jobs[job].condition;
        let status = self.status(job);
        if decide(condition, status) != Verdict::No {
            self.state[job] = State::Ready;
            let place = (self.graph.path[job], Reverse(self.sequence), job);
            self.sequence += 1;
            if !self.opens_at_once(job) {
                out.push(Command::Ready(job));
            }
            self.admit(place, ended, out);
            return;
        }
        let ancestry = self.ancestry[job];
        let without_cancel = Status { success: ancestry.failed.or(ancestry.other).is_none(), ..status };
        let dropped = status.cancelled
            && decide(condition, Status { cancelled: false, ..without_cancel }) != Verdict::No;
        ended.push_back(job);
        if dropped {
            self.state[job] = State::Ended(JobResult::Cancelled);
            return out.push(Command::Drop(job));
        }
        self.state[job] = State::Ended(JobResult::Skipped);
        let decided_by = ancestry.failed.or(ancestry.other).and_then(|by| {
            Some(Decider { name: Name::from(self.plan.jobs[by].name.as_str()), result: self.result(by)? })
        });
        let condition = status_text(condition);
        out.push(Command::Skip(
            job,
            SkipReason::Status { condition, decided_by, cancelled: status.cancelled },
        ));
    }

    /// A call without a script to ask needs no slot.
    fn opens_at_once(&self, job: JobId) -> bool {
        let job = &self.plan.jobs[job];
        job.call.is_some() && !matches!(job.condition, crate::workflow::plan::Condition::Script(_))
    }

    /// Puts a job that is ready into the queue, or into that of a group that is full.
    fn admit(&mut self, place: Place, ended: &mut VecDeque<JobId>, out: &mut Vec<Command>) {
        let job = place.2;
        if let Some(full) = self.groups.full(job) {
            self.groups.limits[full].waiting.push(place);
        } else if self.opens_at_once(job) {
            self.groups.take(job);
            self.open(job, ended, out);
        } else {
            self.ready.push(place);
        }
    }

    /// The jobs of a call may begin.
    fn open(&mut self, job: JobId, ended: &mut VecDeque<JobId>, out: &mut Vec<Command>) {
        self.state[job] = State::Open;
        out.push(Command::Open(job));
        let children = self.groups.calls[job].children.clone();
        // None, or none that has not ended before the run was resumed.
        if self.groups.calls[job].open == 0 {
            return self.close(job, ended, out);
        }
        for child in children {
            self.release(child, ended, out);
        }
    }

    /// One thing less that a job waits for.
    fn release(&mut self, job: JobId, ended: &mut VecDeque<JobId>, out: &mut Vec<Command>) {
        if let State::Waiting(left) = self.state[job] {
            self.state[job] = State::Waiting(left - 1);
            if left == 1 {
                self.judge(job, ended, out);
            }
        }
    }

    /// All jobs of a call have ended.
    fn close(&mut self, job: JobId, ended: &mut VecDeque<JobId>, out: &mut Vec<Command>) {
        let call = &self.groups.calls[job];
        let (failed, infrastructure) = (call.failed, call.infrastructure);
        let outcome = match (failed, call.cancelled) {
            (true, _) => JobResult::Failure,
            (false, true) => JobResult::Cancelled,
            (false, false) => JobResult::Success,
        };
        let tolerated = failed && self.plan.jobs[job].continue_on_error;
        let result = if tolerated { JobResult::Success } else { outcome };
        self.state[job] = State::Ended(result);
        out.push(Command::Close(job, outcome, result));
        if result == JobResult::Failure {
            self.fail(job, infrastructure, out);
            self.fail_fast(job, ended, out);
        }
        ended.push_back(job);
    }

    /// A job of a call has ended.
    fn ended_in_call(&mut self, job: JobId, ended: &mut VecDeque<JobId>, out: &mut Vec<Command>) {
        let Some(parent) = self.groups.parent[job] else { return };
        let call = &mut self.groups.calls[parent];
        call.open -= 1;
        call.cancelled |= self.state[job] == State::Ended(JobResult::Cancelled);
        if call.open == 0 && self.state[parent] == State::Open {
            self.close(parent, ended, out);
        }
    }

    /// Ends the jobs of a call that never opened.
    fn close_unopened(&mut self, job: JobId, ended: &mut VecDeque<JobId>, out: &mut Vec<Command>) {
        let Some(result @ (JobResult::Skipped | JobResult::Cancelled | JobResult::Failure)) =
            self.result(job)
        else {
            return;
        };
        let decided_by = Some(Decider { name: Name::from(self.plan.jobs[job].name.as_str()), result });
        for child in self.groups.calls[job].children.clone() {
            if !matches!(self.state[child], State::Waiting(_)) {
                continue;
            }
            ended.push_back(child);
            if result == JobResult::Cancelled {
                self.state[child] = State::Ended(JobResult::Cancelled);
                out.push(Command::Drop(child));
                continue;
            }
            self.state[child] = State::Ended(JobResult::Skipped);
            let condition = "success()".to_owned();
            let reason = SkipReason::Status { condition, decided_by: decided_by.clone(), cancelled: false };
            out.push(Command::Skip(child, reason));
        }
    }

    /// Tells dependents of ended jobs, then fills the free slots.
    fn settle(&mut self, mut ended: VecDeque<JobId>, out: &mut Vec<Command>) {
        if ended.is_empty() {
            self.fill(&mut ended, out);
        }
        while let Some(job) = ended.pop_front() {
            self.open -= 1;
            let mut ancestry = self.ancestry[job];
            match self.state[job] {
                State::Ended(JobResult::Failure) => ancestry.failed = ancestry.failed.or(Some(job)),
                State::Ended(JobResult::Success) => {}
                _ if self.presets[job] == Preset::LeaveOut => {}
                _ => ancestry.other = ancestry.other.or(Some(job)),
            }
            for edge in self.graph.edges(job) {
                let dependent = self.graph.targets[edge];
                if self.groups.parent[dependent] == Some(job) {
                    continue;
                }
                self.ancestry[dependent].merge(ancestry);
                self.release(dependent, &mut ended, out);
            }
            self.close_unopened(job, &mut ended, out);
            self.ended_in_call(job, &mut ended, out);
            // Also one that ended while it waited: it may have been woken in another's place.
            for limit in self.groups.give_back(job) {
                let state = &self.state;
                for place in self.groups.wake(limit, |id| state[id] == State::Ready) {
                    self.admit(place, &mut ended, out);
                }
            }
            if ended.is_empty() {
                // Filling may open a call whose jobs all end at once.
                self.fill(&mut ended, out);
            }
        }
        if self.open == 0 && !self.finished {
            self.finished = true;
            out.push(Command::Finish);
        }
    }

    /// Starts ready jobs while there are slots.
    fn fill(&mut self, ended: &mut VecDeque<JobId>, out: &mut Vec<Command>) {
        while self.running < self.limit {
            let Some(place) = self.ready.pop() else { break };
            let job = place.2;
            if self.state[job] != State::Ready {
                continue;
            }
            if self.held.contains(&job) {
                self.parked.push(place);
                continue;
            }
            if self.groups.full(job).is_some() {
                self.admit(place, ended, out);
                continue;
            }
            self.groups.take(job);
            self.state[job] = State::Running;
            self.running += 1;
            out.push(Command::Start(job));
        }
    }
}

/// The edges, from each job to its dependents, in one array.
#[derive(Debug)]
pub(super) struct Graph {
    offsets: Vec<usize>,
    targets: Vec<JobId>,
    /// How many jobs each one needs.
    needs: Vec<u32>,
    /// Jobs on the longest path from each one to an end.
    path: Vec<u32>,
}

impl Graph {
    pub(super) fn new(plan: &Plan) -> Result<Graph, GraphError> {
        let mut by_name = HashMap::with_capacity(plan.jobs.len());
        for (id, job) in plan.jobs.iter().enumerate() {
            if by_name.insert(job.name.as_str(), id).is_some() {
                return Err(GraphError::Duplicate(job.name.clone()));
            }
        }
        let mut edges = Vec::new();
        for (id, job) in plan.jobs.iter().enumerate() {
            for need in &job.needs {
                let Some(&from) = by_name.get(need.as_str()) else {
                    return Err(GraphError::UnknownNeed { job: job.name.clone(), need: need.clone() });
                };
                edges.push((from, id));
            }
            if let Some(parent) = &job.parent {
                let Some(&from) = by_name.get(parent.as_str()) else {
                    return Err(GraphError::UnknownNeed { job: job.name.clone(), need: parent.clone() });
                };
                edges.push((from, id));
            }
        }
        edges.sort_unstable();
        edges.dedup();
        let mut needs = vec![0u32; plan.jobs.len()];
        let mut offsets = vec![0usize; plan.jobs.len() + 1];
        for &(from, to) in &edges {
            needs[to] += 1;
            offsets[from + 1] += 1;
        }
        for id in 0..plan.jobs.len() {
            offsets[id + 1] += offsets[id];
        }
        let targets = edges.into_iter().map(|(_, to)| to).collect();
        let mut graph = Graph { offsets, targets, needs, path: Vec::new() };
        graph.path = graph.longest_paths(plan)?;
        Ok(graph)
    }

    fn edges(&self, job: JobId) -> std::ops::Range<usize> {
        self.offsets[job]..self.offsets[job + 1]
    }

    /// The jobs that need this one.
    pub(super) fn dependents(&self, job: JobId) -> impl Iterator<Item = JobId> {
        self.targets[self.edges(job)].iter().copied()
    }

    fn longest_paths(&self, plan: &Plan) -> Result<Vec<u32>, GraphError> {
        let mut left = self.needs.clone();
        let mut order: Vec<JobId> = (0..left.len()).filter(|&id| left[id] == 0).collect();
        let mut next = 0;
        while next < order.len() {
            for edge in self.edges(order[next]) {
                let to = self.targets[edge];
                left[to] -= 1;
                if left[to] == 0 {
                    order.push(to);
                }
            }
            next += 1;
        }
        if order.len() < left.len() {
            return Err(GraphError::Cycle(self.cycle(plan, &left)));
        }
        let mut path = vec![1u32; left.len()];
        for &id in order.iter().rev() {
            let longest = self.dependents(id).map(|to| path[to]).max().unwrap_or(0);
            path[id] = longest.saturating_add(1);
        }
        Ok(path)
    }

    /// A circle among the jobs that Kahn's algorithm left over. Each of those has a need that is left
    /// over too, so walking needs comes back to where it was.
    fn cycle(&self, plan: &Plan, left: &[u32]) -> Vec<String> {
        let mut need_of = vec![None; left.len()];
        for from in (0..left.len()).filter(|&id| left[id] > 0) {
            for to in self.dependents(from) {
                need_of[to] = Some(from);
            }
        }
        let mut seen = vec![false; left.len()];
        let mut at = left.iter().position(|&n| n > 0).unwrap_or(0);
        while !seen[at] {
            seen[at] = true;
            at = need_of[at].unwrap_or(at);
        }
        let (first, mut circle) = (at, vec![plan.jobs[at].name.clone()]);
        loop {
            at = need_of[at].unwrap_or(first);
            circle.push(plan.jobs[at].name.clone());
            if at == first {
                return circle;
            }
        }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "groups_tests.rs"]
mod groups_tests;
