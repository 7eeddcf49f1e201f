//! Tests of the scheduler: every small graph against a reference model that shares no code with it,
//! random graphs, and its speed.

use super::*;
use crate::workflow::plan::{Condition, Job, StatusExpr};

fn job(name: &str, needs: &[&str]) -> Job {
    let local = serde_json::json!({ "kind": "local", "name": "local" });
    let value = serde_json::json!({ "name": name, "needs": needs, "executor": local, "steps": [] });
    serde_json::from_value(value).expect("a job")
}

fn plan(jobs: Vec<Job>) -> Plan {
    let value = serde_json::json!({ "version": 1, "name": "w", "projectDir": "/", "jobs": [] });
    let mut plan: Plan = serde_json::from_value(value).expect("a plan");
    plan.jobs = jobs;
    plan
}

/// Runs a plan to its end with simulated jobs; `end` says how each one ends, `cancel_at` after how
/// many ends the run is cancelled. Returns the results and the order of starts.
fn simulate(
    plan: &Plan,
    limit: usize,
    cancel_at: Option<usize>,
    mut end: impl FnMut(JobId) -> JobEnd,
) -> (Vec<JobResult>, Vec<JobId>, RunResult) {
    let mut machine = Machine::new(plan, limit).expect("schedulable");
    let (mut out, mut running, mut starts) = (Vec::new(), VecDeque::new(), Vec::new());
    let mut stopped = vec![false; plan.jobs.len()];
    let (mut finished, mut ends) = (false, 0);
    machine.start(&mut out);
    loop {
        if cancel_at == Some(ends) && !machine.is_cancelled() {
            machine.cancel(CancelCause::Signal { signal: 2 }, &mut out);
        }
        for command in out.drain(..) {
            match command {
                Command::Start(id) => {
                    for need in &plan.jobs[id].needs {
                        let need = plan.jobs.iter().position(|j| j.name == *need).expect("job");
                        assert!(machine.result(need).is_some(), "started before its need ended");
                    }
                    starts.push(id);
                    running.push_back(id);
                }
                Command::Stop(id) => stopped[id] = true,
                Command::Finish => finished = true,
                _ => {}
            }
        }
        assert!(running.len() <= limit);
        let Some(id) = running.pop_front() else { break };
        let how = if stopped[id] { JobEnd::Cancelled } else { end(id) };
        ends += 1;
        machine.ended(id, &how, &mut out);
        assert_eq!(machine.ended(id, &JobEnd::Success, &mut Vec::new()), None, "a job ends once");
    }
    assert!(finished, "the run must finish");
    let results = (0..plan.jobs.len()).map(|id| machine.result(id).expect("ended")).collect();
    (results, starts, machine.run_result())
}

/// The reference: ancestors by transitive closure, results in topological order, without cancel.
fn reference(plan: &Plan, fails: &dyn Fn(JobId) -> bool) -> Vec<JobResult> {
    let mut results: Vec<JobResult> = Vec::new();
    let mut ancestors: Vec<u32> = Vec::new();
    for (id, job) in plan.jobs.iter().enumerate() {
        let mut mask = 0u32;
        for need in &job.needs {
            let need = plan.jobs.iter().position(|j| j.name == *need).expect("job");
            mask |= ancestors[need] | 1 << need;
        }
        ancestors.push(mask);
        let among = |r: JobResult| (0..id).any(|a| mask >> a & 1 == 1 && results[a] == r);
        let failure = among(JobResult::Failure);
        let success = !failure && !among(JobResult::Skipped);
        let runs = match &job.condition {
            Condition::Expr(StatusExpr::Always) => true,
            Condition::Expr(StatusExpr::Failure) => failure,
            Condition::Expr(StatusExpr::Cancelled) => false,
            _ => success,
        };
        results.push(match (runs, fails(id) && !job.continue_on_error) {
            (false, _) => JobResult::Skipped,
            (true, false) => JobResult::Success,
            (true, true) => JobResult::Failure,
        });
    }
    results
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// All graphs of `n` jobs whose edges go from earlier to later ones, with all conditions and results.
fn all_graphs(n: usize, mut visit: impl FnMut(&Plan, u32)) {
    let edges: Vec<(usize, usize)> = (0..n).flat_map(|to| (0..to).map(move |from| (from, to))).collect();
    let conditions = [
        Condition::Success,
        Condition::Expr(StatusExpr::Always),
        Condition::Expr(StatusExpr::Failure),
        Condition::Expr(StatusExpr::Cancelled),
    ];
    for edge_mask in 0u32..1 << edges.len() {
        for condition_code in 0..4usize.pow(n as u32) {
            let mut jobs: Vec<Job> = NAMES[..n].iter().map(|name| job(name, &[])).collect();
            for (bit, &(from, to)) in edges.iter().enumerate() {
                if edge_mask >> bit & 1 == 1 {
                    jobs[to].needs.push(NAMES[from].into());
                }
            }
            for (id, job) in jobs.iter_mut().enumerate() {
                job.condition = conditions[condition_code / 4usize.pow(id as u32) % 4].clone();
            }
            let plan = plan(jobs);
            for fail_mask in 0..1u32 << n {
                visit(&plan, fail_mask);
            }
        }
    }
}

fn end_of(fails: bool) -> JobEnd {
    if fails { JobEnd::Failure { infrastructure: false } } else { JobEnd::Success }
}

#[test]
fn all_graphs_of_up_to_three_jobs_agree_with_the_reference() {
    for n in 1..=3 {
        all_graphs(n, |plan, mask| {
            let fails = |id: JobId| mask >> id & 1 == 1;
            let expected = reference(plan, &fails);
            for limit in 1..=n {
                let (results, _, run) = simulate(plan, limit, None, |id| end_of(fails(id)));
                assert_eq!(results, expected, "{plan:?} fails {mask:b}");
                assert_eq!(run == RunResult::Failure, expected.contains(&JobResult::Failure));
            }
        });
    }
}

#[test]
fn all_graphs_of_four_jobs_agree_with_the_reference() {
    let mut number = 0;
    all_graphs(4, |plan, mask| {
        let fails = |id: JobId| mask >> id & 1 == 1;
        let (results, _, _) = simulate(plan, 2, None, |id| end_of(fails(id)));
        assert_eq!(results, reference(plan, &fails), "{plan:?} fails {mask:b}");
        number += 1;
        let (resumed, again) = resume_after(plan, 2, number % 5, &fails);
        assert_eq!((resumed, again), (results, vec![]), "{plan:?} fails {mask:b}, resumed");
    });
}

#[test]
fn cancelling_at_any_point_ends_every_job_and_runs_what_must_run() {
    all_graphs(3, |plan, mask| {
        for at in 0..3 {
            let fails = |id: JobId| mask >> id & 1 == 1;
            let (results, starts, run) = simulate(plan, 2, Some(at), |id| end_of(fails(id)));
            for (id, job) in plan.jobs.iter().enumerate() {
                if job.condition == Condition::Expr(StatusExpr::Always) {
                    assert!(starts.contains(&id) && results[id] != JobResult::Cancelled);
                }
            }
            // Everything may have ended before the moment of the cancel.
            if let RunResult::Cancelled { signal } = run {
                assert_eq!(signal, Some(2));
            }
        }
    });
}

#[test]
fn random_graphs_respect_needs_and_the_limit() {
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut random = move |n: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % n
    };
    let full = std::env::var_os("NIXACTIONS_TEST_FULL").is_some_and(|value| value == "1");
    for _ in 0..if full { 100_000 } else { 2000 } {
        let n = 1 + random(30) as usize;
        let names: Vec<String> = (0..n).map(|i| format!("j{i}")).collect();
        let jobs = (0..n)
            .map(|id| {
                let needs: Vec<&str> =
                    (0..id).filter(|_| random(4) == 0).map(|f| names[f].as_str()).collect();
                let mut job = job(&names[id], &needs);
                job.continue_on_error = random(8) == 0;
                job.condition = match random(8) {
                    0 => Condition::Expr(StatusExpr::Always),
                    1 => Condition::Expr(StatusExpr::Failure),
                    _ => Condition::Success,
                };
                job
            })
            .collect();
        let plan = plan(jobs);
        let mask = random(1 << n.min(31)) as u32;
        let fails = |id: JobId| mask >> id & 1 == 1;
        let limit = 1 + random(5) as usize;
        let (results, _, _) = simulate(&plan, limit, None, |id| end_of(fails(id)));
        assert_eq!(results, reference(&plan, &fails));
        // The same, gone on with after the death of the runner at some moment.
        let (resumed, again) = resume_after(&plan, limit, random(n as u64 + 1) as usize, &fails);
        assert_eq!(resumed, results, "{plan:?}");
        assert!(again.is_empty(), "{again:?} had ended and ran again");
    }
}

/// Runs a plan until so many jobs have ended, forgets the machine, and goes on with a new one that
/// knows what had ended. Gives the results, and the jobs that ran although they had ended.
fn resume_after(
    plan: &Plan,
    limit: usize,
    stop: usize,
    fails: &dyn Fn(JobId) -> bool,
) -> (Vec<JobResult>, Vec<JobId>) {
    let mut machine = Machine::new(plan, limit).expect("schedulable");
    let mut out = Vec::new();
    let mut running = VecDeque::new();
    let mut ends = 0;
    machine.start(&mut out);
    loop {
        running
            .extend(out.drain(..).filter_map(|c| if let Command::Start(id) = c { Some(id) } else { None }));
        if ends == stop {
            break;
        }
        let Some(id) = running.pop_front() else { break };
        ends += 1;
        machine.ended(id, &end_of(fails(id)), &mut out);
    }
    let presets: Vec<Preset> = (0..plan.jobs.len())
        .map(|id| match machine.result(id) {
            Some(result) => Preset::Keep { result, infrastructure: false },
            None => Preset::Run,
        })
        .collect();
    let mut machine = Machine::with(plan, limit, presets.clone()).expect("schedulable");
    let (mut out, mut running, mut again) = (Vec::new(), VecDeque::new(), Vec::new());
    machine.start(&mut out);
    loop {
        for command in out.drain(..) {
            if let Command::Start(id) = command {
                again.extend((presets[id] != Preset::Run).then_some(id));
                running.push_back(id);
            }
        }
        assert!(running.len() <= limit);
        let Some(id) = running.pop_front() else { break };
        machine.ended(id, &end_of(fails(id)), &mut out);
    }
    ((0..plan.jobs.len()).map(|id| machine.result(id).expect("ended")).collect(), again)
}

#[test]
fn what_is_left_out_stands_in_nobodys_way_but_keeps_the_order() {
    let plan = plan(vec![job("a", &[]), job("b", &["a"]), job("c", &["b"])]);
    let presets = vec![Preset::Run, Preset::LeaveOut, Preset::Run];
    for (fails, expected) in [(false, JobResult::Success), (true, JobResult::Skipped)] {
        let mut machine = Machine::with(&plan, 4, presets.clone()).expect("schedulable");
        let mut out = Vec::new();
        machine.start(&mut out);
        assert_eq!(out, [Command::Ready(0), Command::Start(0)], "c waits for a, through b");
        out.clear();
        machine.ended(0, &end_of(fails), &mut out);
        if !fails {
            assert!(out.contains(&Command::LeaveOut(1)) && out.contains(&Command::Start(2)), "{out:?}");
            machine.ended(2, &JobEnd::Success, &mut out);
        }
        assert_eq!(machine.result(2), Some(expected));
    }
}

#[test]
fn continue_on_error_counts_as_success() {
    let mut tolerated = job("a", &[]);
    tolerated.continue_on_error = true;
    let plan = plan(vec![tolerated, job("b", &["a"])]);
    let (results, _, run) = simulate(&plan, 1, None, |id| end_of(id == 0));
    assert_eq!(results, [JobResult::Success, JobResult::Success]);
    assert_eq!(run, RunResult::Success);
}

#[test]
fn fail_fast_cancels_the_rest_but_failure_jobs_run() {
    let mut notify = job("notify", &["a"]);
    notify.condition = Condition::Expr(StatusExpr::Failure);
    let mut plan = plan(vec![job("a", &[]), job("b", &[]), job("c", &[]), notify]);
    plan.fail_fast = true;
    let (results, starts, run) = simulate(&plan, 2, None, |id| end_of(id == 0));
    use JobResult::*;
    assert_eq!(results, [Failure, Cancelled, Cancelled, Success]);
    assert_eq!((starts, run), (vec![0, 1, 3], RunResult::Failure));
}

#[test]
fn the_longest_path_goes_first_and_ties_are_first_come() {
    let plan = plan(vec![job("x", &[]), job("y", &[]), job("a", &[]), job("b", &["a"]), job("c", &["b"])]);
    let (_, starts, _) = simulate(&plan, 1, None, |_| JobEnd::Success);
    assert_eq!(starts, [2, 3, 0, 1, 4]);
}

#[test]
fn the_decider_is_the_root_cause() {
    let plan = plan(vec![job("a", &[]), job("b", &["a"]), job("c", &["b"])]);
    let mut machine = Machine::new(&plan, 1).expect("schedulable");
    let mut out = Vec::new();
    machine.start(&mut out);
    machine.ended(0, &JobEnd::Failure { infrastructure: true }, &mut out);
    let reasons: Vec<String> = out
        .iter()
        .filter_map(|c| if let Command::Skip(_, reason) = c { Some(reason.to_string()) } else { None })
        .collect();
    assert_eq!(reasons, ["success() is false: a ended with failure"; 2]);
    assert_eq!(machine.run_result(), RunResult::Infrastructure);
}

#[test]
fn faulty_graphs_are_errors() {
    let error = |jobs| Machine::new(&plan(jobs), 1).err().map(|e| e.to_string());
    assert_eq!(error(vec![job("a", &["x"])]), Some("job `a` needs `x`, which does not exist".into()));
    assert_eq!(error(vec![job("a", &[]), job("a", &[])]), Some("job `a` is defined twice".into()));
    let circle = error(vec![job("a", &["b"]), job("b", &["a"]), job("z", &["a"])]).expect("an error");
    assert!(circle.contains("a -> b -> a") || circle.contains("b -> a -> b"), "{circle}");
    assert!(error(vec![job("a", &["a"])]).expect("an error").ends_with("a -> a"));
}

#[test]
fn a_hundred_thousand_jobs_are_scheduled_quickly() {
    let names: Vec<String> = (0..100_000).map(|i| format!("job-{i}")).collect();
    let jobs = (0..names.len())
        .map(|i| {
            let needs: Vec<&str> = [i / 2, i / 3].iter().filter(|&&n| n < i).map(|&n| &*names[n]).collect();
            job(&names[i], &needs)
        })
        .collect();
    let plan = plan(jobs);
    let start = std::time::Instant::now();
    let mut machine = Machine::new(&plan, 64).expect("schedulable");
    let (mut out, mut queue) = (Vec::new(), VecDeque::new());
    machine.start(&mut out);
    loop {
        for command in out.drain(..) {
            if let Command::Start(id) = command {
                queue.push_back(id);
            }
        }
        let Some(id) = queue.pop_front() else { break };
        machine.ended(id, &JobEnd::Success, &mut out);
    }
    assert_eq!(machine.run_result(), RunResult::Success);
    // The goal is a second in a release build; this one is unoptimised and shares its cores.
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}
