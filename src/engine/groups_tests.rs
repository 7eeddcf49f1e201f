//! Random plans with matrices and nested calls, run to their end with simulated jobs: every job ends in
//! one state, limits and order hold, and calls sum up their jobs.

use super::*;
use crate::engine::event::JobResult;
use serde_json::json;

/// A small generator of numbers that need only look random (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Jobs of one workflow, those of its calls after them; needs go to earlier jobs of the same workflow.
fn jobs(random: &mut Random, parent: Option<&str>, depth: u32, out: &mut Vec<serde_json::Value>) {
    let mut names: Vec<String> = Vec::new();
    let prefix = parent.map_or(String::new(), |p| format!("{p}/"));
    for n in 0..1 + random.below(4) {
        let base = format!("{prefix}j{n}");
        let copies = if random.chance(25) { 2 + random.below(3) } else { 0 };
        let mut needs: Vec<String> = Vec::new();
        for name in &names {
            if random.chance(30) {
                needs.push(name.clone());
            }
        }
        let conditions = [json!("success"), json!({ "expr": "always" }), json!({ "expr": "failure" })];
        let condition = conditions[if random.chance(70) { 0 } else { random.below(3) as usize }].clone();
        let matrix = json!({
            "job": base, "values": {}, "failFast": random.chance(50),
            "maxParallel": if random.chance(50) { json!(1 + random.below(2)) } else { json!(null) },
        });
        let call = depth > 0 && random.chance(30);
        let tolerated = random.chance(15);
        for copy in 0..copies.max(1) {
            let name = if copies == 0 { base.clone() } else { format!("{base}-c{copy}") };
            let mut job = json!({
                "name": name, "needs": needs, "condition": condition, "continueOnError": tolerated,
                "executor": { "kind": "local", "name": "local" }, "steps": [], "parent": parent,
            });
            if copies > 0 {
                job["matrix"] = matrix.clone();
            }
            if call {
                let most = if random.chance(40) { json!(1 + random.below(2)) } else { json!(null) };
                job["call"] = json!({ "workflow": "w", "failFast": random.chance(40), "maxParallel": most });
            }
            out.push(job);
            if call {
                jobs(random, Some(&name), depth - 1, out);
            }
            names.push(name);
        }
    }
}

struct Simulation<'p> {
    plan: &'p Plan,
    machine: Machine<'p>,
    out: Vec<Command>,
    running: Vec<JobId>,
    stopped: Vec<bool>,
    open: Vec<bool>,
    finished: bool,
}

impl Simulation<'_> {
    fn id(&self, name: &str) -> JobId {
        self.plan.jobs.iter().position(|j| j.name == name).expect("a job")
    }

    fn carry_out(&mut self, limit: usize) {
        for command in std::mem::take(&mut self.out) {
            match command {
                Command::Start(id) => self.started(id),
                Command::Open(id) => {
                    self.check_before(id);
                    self.open[id] = true;
                }
                Command::Stop(id) => self.stopped[id] = true,
                Command::Close(id, ..) => self.closed(id),
                Command::Finish => self.finished = true,
                _ => {}
            }
        }
        assert!(self.running.len() <= limit);
        self.check_limits();
    }

    fn check_before(&self, id: JobId) {
        let job = &self.plan.jobs[id];
        for need in &job.needs {
            assert!(self.machine.result(self.id(need)).is_some(), "{} before {need}", job.name);
        }
        if let Some(parent) = &job.parent {
            assert!(self.open[self.id(parent)], "{} before its call is open", job.name);
        }
    }

    fn started(&mut self, id: JobId) {
        assert!(self.plan.jobs[id].call.is_none(), "a call without a script needs no slot");
        self.check_before(id);
        self.running.push(id);
    }

    fn closed(&mut self, id: JobId) {
        assert!(self.open[id]);
        let name = &self.plan.jobs[id].name;
        let children = self.plan.jobs.iter().enumerate().filter(|(_, j)| j.parent.as_ref() == Some(name));
        let results: Vec<JobResult> =
            children.map(|(child, _)| self.machine.result(child).expect("children end first")).collect();
        let failed = results.contains(&JobResult::Failure);
        let cancelled = results.contains(&JobResult::Cancelled);
        let expected = match (failed, cancelled) {
            (true, _) if self.plan.jobs[id].continue_on_error => JobResult::Success,
            (true, _) => JobResult::Failure,
            (false, true) => JobResult::Cancelled,
            (false, false) => JobResult::Success,
        };
        assert_eq!(self.machine.result(id), Some(expected), "{name}: {results:?}");
    }

    fn check_limits(&self) {
        for (id, job) in self.plan.jobs.iter().enumerate() {
            if let Some((copy, most)) = job.matrix.as_ref().and_then(|m| Some((m, m.max_parallel?))) {
                let active = |(other, j): &(usize, &crate::workflow::plan::Job)| {
                    let opened = self.open[*other] && self.machine.result(*other).is_none();
                    j.matrix.as_ref().is_some_and(|m| m.job == copy.job)
                        && (self.running.contains(other) || opened)
                };
                assert!(self.plan.jobs.iter().enumerate().filter(active).count() <= most, "{}", copy.job);
            }
            if let Some(most) = job.call.as_ref().and_then(|call| call.max_parallel) {
                let prefix = format!("{}/", self.plan.jobs[id].name);
                let inside = |&&r: &&JobId| self.plan.jobs[r].name.starts_with(&prefix);
                assert!(self.running.iter().filter(inside).count() <= most, "{prefix}");
            }
        }
    }
}

#[test]
fn random_plans_of_matrices_and_calls_keep_their_rules() {
    let (mut calls, mut matrices, mut cancelled) = (0, 0, 0);
    for seed in 1..=3000u64 {
        let random = &mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut list = Vec::new();
        jobs(random, None, 2, &mut list);
        let value = json!({ "version": 1, "name": "w", "projectDir": "/", "jobs": list });
        let plan: Plan = serde_json::from_value(value).expect("a plan");
        calls += plan.jobs.iter().filter(|j| j.call.is_some()).count();
        matrices += plan.jobs.iter().filter(|j| j.matrix.is_some()).count();
        let limit = 1 + random.below(4) as usize;
        let cancel_at = random.chance(20).then(|| random.below(6));
        let count = plan.jobs.len();
        let mut s = Simulation {
            plan: &plan,
            machine: Machine::new(&plan, limit).expect("schedulable"),
            out: Vec::new(),
            running: Vec::new(),
            stopped: vec![false; count],
            open: vec![false; count],
            finished: false,
        };
        let Simulation { machine, out, .. } = &mut s;
        machine.start(out);
        for step in 0.. {
            s.carry_out(limit);
            if cancel_at == Some(step) && !s.finished {
                cancelled += 1;
                let Simulation { machine, out, .. } = &mut s;
                machine.cancel(CancelCause::Signal { signal: 2 }, out);
                s.carry_out(limit);
            }
            if s.running.is_empty() {
                break;
            }
            let id = s.running.remove(random.below(s.running.len() as u64) as usize);
            let end = match (s.stopped[id], random.chance(25)) {
                (true, _) => JobEnd::Cancelled,
                (false, true) => JobEnd::Failure { infrastructure: false },
                (false, false) => JobEnd::Success,
            };
            let Simulation { machine, out, .. } = &mut s;
            machine.ended(id, &end, out);
        }
        assert!(s.finished, "seed {seed}: the run must come to its end");
        assert!((0..count).all(|id| s.machine.result(id).is_some()), "seed {seed}: a job did not end");
    }
    assert!(calls > 500 && matrices > 500 && cancelled > 100, "{calls} {matrices} {cancelled}");
}
