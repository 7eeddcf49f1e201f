//! The scheduler: a pure state machine from `state x input` to commands.
//!
//! It does no I/O and knows no time. Each job carries the aggregate of all its ancestors, pushed
//! along the edges as jobs end, so that a transition costs its out-edges and no more.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use super::condition::{Status, Verdict, decide, status_text};
use super::event::{CancelCause, Decider, JobResult, Name, RunResult, SkipReason};
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
    /// Ask the running job to end; its end is still to be reported.
    Stop(JobId),
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Needs that have not ended.
    Waiting(u32),
    Ready,
    Running,
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
    state: Vec<State>,
    ancestry: Vec<Ancestry>,
    ready: BinaryHeap<(u32, Reverse<u64>, JobId)>,
    sequence: u64,
    running: usize,
    open: usize,
    limit: usize,
    cancelled: Option<CancelCause>,
    failed: bool,
    infrastructure: bool,
    finished: bool,
}

impl<'p> Machine<'p> {
    /// A machine for a plan, with at most `limit` jobs at a time.
    pub fn new(plan: &'p Plan, limit: usize) -> Result<Machine<'p>, GraphError> {
        let graph = Graph::new(plan)?;
        let count = plan.jobs.len();
        Ok(Machine {
            plan,
            state: graph.needs.iter().map(|&n| State::Waiting(n)).collect(),
            graph,
            ancestry: vec![Ancestry::default(); count],
            ready: BinaryHeap::new(),
            sequence: 0,
            running: 0,
            open: count,
            limit: limit.max(1),
            cancelled: None,
            failed: false,
            infrastructure: false,
            finished: false,
        })
    }

    /// Begins: jobs without needs become ready.
    pub fn start(&mut self, out: &mut Vec<Command>) {
        let mut ended = VecDeque::new();
        for job in 0..self.state.len() {
            if self.state[job] == State::Waiting(0) {
                self.judge(job, &mut ended, out);
            }
        }
        self.settle(ended, out);
    }

    /// A started job ended. Reports about jobs that are not running are ignored. Returns what
    /// dependents see.
    pub fn ended(&mut self, job: JobId, end: &JobEnd, out: &mut Vec<Command>) -> Option<JobResult> {
        if self.state.get(job) != Some(&State::Running) {
            return None;
        }
        self.running -= 1;
        let tolerated = self.plan.jobs[job].continue_on_error;
        let result = match end {
            JobEnd::Success => JobResult::Success,
            JobEnd::Failure { .. } if tolerated => JobResult::Success,
            JobEnd::Failure { infrastructure } => {
                self.failed = true;
                self.infrastructure |= infrastructure;
                JobResult::Failure
            }
            JobEnd::Cancelled => JobResult::Cancelled,
            JobEnd::Skipped => JobResult::Skipped,
        };
        self.state[job] = State::Ended(result);
        if result == JobResult::Failure && self.plan.fail_fast && self.cancelled.is_none() {
            self.cancel(CancelCause::FailFast { job: self.plan.jobs[job].name.as_str().into() }, out);
        }
        self.settle(VecDeque::from([job]), out);
        Some(result)
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
        let cancelled = self.cancelled.is_some();
        let clean = ancestry.failed.is_none() && ancestry.other.is_none();
        Status { success: clean && !cancelled, failure: ancestry.failed.is_some(), cancelled }
    }

    /// All needs of a job have ended: it is ready, skipped or dropped.
    fn judge(&mut self, job: JobId, ended: &mut VecDeque<JobId>, out: &mut Vec<Command>) {
        let condition = &self.plan.jobs[job].condition;
        let status = self.status(job);
        if decide(condition, status) != Verdict::No {
            self.state[job] = State::Ready;
            self.ready.push((self.graph.path[job], Reverse(self.sequence), job));
            self.sequence += 1;
            out.push(Command::Ready(job));
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

    /// Tells dependents of ended jobs, then fills the free slots.
    fn settle(&mut self, mut ended: VecDeque<JobId>, out: &mut Vec<Command>) {
        while let Some(job) = ended.pop_front() {
            self.open -= 1;
            let mut ancestry = self.ancestry[job];
            match self.state[job] {
                State::Ended(JobResult::Failure) => ancestry.failed = ancestry.failed.or(Some(job)),
                State::Ended(JobResult::Success) => {}
                _ => ancestry.other = ancestry.other.or(Some(job)),
            }
            for edge in self.graph.dependents(job) {
                let dependent = self.graph.targets[edge];
                self.ancestry[dependent].merge(ancestry);
                if let State::Waiting(left) = self.state[dependent] {
                    self.state[dependent] = State::Waiting(left - 1);
                    if left == 1 {
                        self.judge(dependent, &mut ended, out);
                    }
                }
            }
        }
        while self.running < self.limit {
            let Some((_, _, job)) = self.ready.pop() else { break };
            if self.state[job] == State::Ready {
                self.state[job] = State::Running;
                self.running += 1;
                out.push(Command::Start(job));
            }
        }
        if self.open == 0 && !self.finished {
            self.finished = true;
            out.push(Command::Finish);
        }
    }
}

/// The edges, from each job to its dependents, in one array.
#[derive(Debug)]
struct Graph {
    offsets: Vec<usize>,
    targets: Vec<JobId>,
    /// How many jobs each one needs.
    needs: Vec<u32>,
    /// Jobs on the longest path from each one to an end.
    path: Vec<u32>,
}

impl Graph {
    fn new(plan: &Plan) -> Result<Graph, GraphError> {
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

    fn dependents(&self, job: JobId) -> std::ops::Range<usize> {
        self.offsets[job]..self.offsets[job + 1]
    }

    fn longest_paths(&self, plan: &Plan) -> Result<Vec<u32>, GraphError> {
        let mut left = self.needs.clone();
        let mut order: Vec<JobId> = (0..left.len()).filter(|&id| left[id] == 0).collect();
        let mut next = 0;
        while next < order.len() {
            for edge in self.dependents(order[next]) {
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
            let longest = self.dependents(id).map(|e| path[self.targets[e]]).max().unwrap_or(0);
            path[id] = longest.saturating_add(1);
        }
        Ok(path)
    }

    /// A circle among the jobs that Kahn's algorithm left over. Each of those has a need that is left
    /// over too, so walking needs comes back to where it was.
    fn cycle(&self, plan: &Plan, left: &[u32]) -> Vec<String> {
        let mut need_of = vec![None; left.len()];
        for from in (0..left.len()).filter(|&id| left[id] > 0) {
            for edge in self.dependents(from) {
                need_of[self.targets[edge]] = Some(from);
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
