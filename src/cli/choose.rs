//! Which jobs of a workflow are run: the options, and what earlier runs give for those left out.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use clap::Args;

use super::error::CliError;
use crate::engine::begin::Choice;
use crate::engine::condition::{self, Verdict};
use crate::engine::event::Name;
use crate::engine::executor::safe_file_name;
use crate::engine::history::record;
use crate::engine::history::replay::replay;
use crate::engine::history::store::{self, Entry, RunState};
use crate::engine::machine::Preset;
use crate::engine::select::Selection;
use crate::workflow::plan::{Condition, Job, Plan};

/// Options that choose jobs by what they are called.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Choosing jobs")]
pub(super) struct Named {
    /// Only this job and what it needs; a name, a glob, a matrix or a call
    #[arg(long, value_name = "JOB")]
    job: Vec<String>,
    /// Only jobs with this tag, and what they need
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Only this job and what comes after it; artifacts of earlier jobs come from earlier runs
    #[arg(long, value_name = "JOB")]
    from: Vec<String>,
    /// All but this job; what needs it runs all the same
    #[arg(long, value_name = "JOB")]
    skip: Vec<String>,
}

impl Named {
    fn selection(&self) -> Selection {
        Selection {
            jobs: self.job.clone(),
            tags: self.tag.clone(),
            from: self.from.clone(),
            skip: self.skip.clone(),
        }
    }

    /// Which jobs of a plan are chosen.
    pub(super) fn jobs(&self, plan: &Plan) -> Result<Vec<bool>, CliError> {
        let mut presets = vec![Preset::Run; plan.jobs.len()];
        let selection = self.selection();
        if !selection.is_empty() {
            selection.apply(plan, &mut presets).map_err(|e| CliError::Usage(e.to_string()))?;
        }
        Ok(presets.iter().map(|preset| *preset == Preset::Run).collect())
    }
}

/// Options that choose jobs.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Choosing jobs")]
pub(super) struct Choose {
    #[command(flatten)]
    named: Named,
    /// Only what did not succeed in the last run of this workflow, and what comes after
    #[arg(long)]
    only_failed: bool,
}

impl Choose {
    /// What is chosen, over what is known already.
    pub(super) fn choice(&self, plan: &Plan, root: &Path, base: Choice) -> Result<Choice, CliError> {
        let selection = self.named.selection();
        let mut choice = base;
        if self.only_failed {
            let last = past_runs(plan, root)?.into_iter().next();
            let last = last.ok_or_else(|| {
                CliError::Usage(format!("`--only-failed`: no run of `{}` is remembered", plan.name))
            })?;
            choice =
                Choice::rerun_failed(&last, plan).map_err(|e| CliError::Infrastructure(e.to_string()))?;
            if choice.presets.iter().all(|preset| matches!(preset, Preset::Keep { .. })) {
                return Err(CliError::Usage(format!("`--only-failed`: nothing failed in run {}", last.id)));
            }
        }
        if !selection.is_empty() {
            choice.left_out_by =
                selection.apply(plan, &mut choice.presets).map_err(|e| CliError::Usage(e.to_string()))?;
            self.borrow(plan, root, &mut choice)?;
        }
        Ok(choice)
    }

    /// Finds in earlier runs what jobs that are left out would have given.
    fn borrow(&self, plan: &Plan, root: &Path, choice: &mut Choice) -> Result<(), CliError> {
        let giver: BTreeMap<&str, usize> = plan
            .jobs
            .iter()
            .enumerate()
            .flat_map(|(id, job)| job.outputs.iter().map(move |output| (output.name.as_str(), id)))
            .collect();
        let mut past: Option<Vec<Entry>> = None;
        for (id, job) in plan.jobs.iter().enumerate() {
            if choice.presets[id] != Preset::Run {
                continue;
            }
            for input in &job.inputs {
                let Some(&from) = giver.get(input.name.as_str()) else { continue };
                if choice.presets[from] != Preset::LeaveOut || choice.artifacts.contains_key(&input.name) {
                    continue;
                }
                let past = match &mut past {
                    Some(past) => past,
                    none => none.insert(past_runs(plan, root)?),
                };
                let file = safe_file_name(&input.name);
                let found = past.iter().map(|run| run.artifacts().join(&file)).find(|path| path.is_dir());
                let path = found.ok_or_else(|| {
                    CliError::Usage(format!(
                        "job `{}` takes the artifact `{}`, but `{}`, which gives it, is left out by {}, and no \
                         earlier run has kept it; run the workflow once without these options",
                        job.name, input.name, plan.jobs[from].name, choice.left_out_by[&from]
                    ))
                })?;
                choice.artifacts.insert(input.name.clone(), path);
            }
        }
        let asked = |id: usize| {
            let name = &plan.jobs[id].name;
            plan.jobs
                .iter()
                .zip(&choice.presets)
                .any(|(job, preset)| *preset == Preset::Run && job.needs.contains(name))
        };
        let lent = |id: usize| {
            choice.presets[id] == Preset::LeaveOut && !plan.jobs[id].results.is_empty() && asked(id)
        };
        let lenders: Vec<&str> =
            (0..plan.jobs.len()).filter(|&id| lent(id)).map(|id| plan.jobs[id].name.as_str()).collect();
        if !lenders.is_empty() {
            for run in past_runs(plan, root)? {
                let Ok(found) = record::read(&run.journal()) else { continue };
                let results = replay(&found.events).results;
                let known = |name: &Name| lenders.contains(&name.as_str());
                let results: Vec<_> =
                    results.into_iter().filter(|(job, values)| known(job) && !values.is_empty()).collect();
                if !results.is_empty() {
                    choice.results.extend(results);
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Earlier runs of a workflow in this project that have ended, newest first.
pub(super) fn past_runs(plan: &Plan, root: &Path) -> Result<Vec<Entry>, CliError> {
    let all = store::list(root).map_err(|e| CliError::Infrastructure(e.to_string()))?;
    let of_this = |entry: &Entry| {
        entry.brief().is_ok_and(|brief| {
            let ended = !matches!(brief.state, RunState::Running);
            ended && *brief.workflow == *plan.name && brief.project_dir == plan.project_dir
        })
    };
    Ok(all.into_iter().filter(of_this).collect())
}

/// The job of a name.
pub(super) fn job_of(plan: &Plan, name: &str) -> Result<usize, CliError> {
    plan.jobs.iter().position(|job| job.name == name).ok_or_else(|| {
        let known: Vec<&str> = plan.jobs.iter().map(|job| job.name.as_str()).collect();
        CliError::Usage(format!("there is no job `{name}`; there are: {}", known.join(", ")))
    })
}

/// Only this job, with the artifacts and results that earlier runs have for it.
pub(super) fn alone(plan: &mut Plan, at: usize, root: &Path) -> Result<Choice, CliError> {
    let name = plan.jobs[at].name.clone();
    let mut choice = Choice::default();
    for id in (0..plan.jobs.len()).filter(|&id| id != at) {
        choice.left_out_by.insert(id, format!("exec {name}"));
    }
    choice.presets = vec![Preset::LeaveOut; plan.jobs.len()];
    choice.presets[at] = Preset::Run;
    for call in std::iter::successors(plan.jobs[at].parent.clone(), |name| {
        plan.jobs.iter().find(|job| job.name == *name)?.parent.clone()
    }) {
        let id = job_of(plan, &call)?;
        choice.presets[id] = Preset::Run;
        choice.left_out_by.remove(&id);
    }
    let past = past_runs(plan, root)?;
    let mut missing = Vec::new();
    for input in &plan.jobs[at].inputs {
        let file = safe_file_name(&input.name);
        match past.iter().map(|run| run.artifacts().join(&file)).find(|path| path.is_dir()) {
            Some(path) => drop(choice.artifacts.insert(input.name.clone(), path)),
            None => missing.push(input.name.clone()),
        }
    }
    for name in &missing {
        eprintln!("warning: no earlier run has kept the artifact `{name}`; it is missing here");
    }
    plan.jobs[at].inputs.retain(|input| !missing.contains(&input.name));
    Ok(choice)
}

/// What would run, and why: a line a job, in an order in which they could run.
pub(super) fn dry_run(plan: &Plan, choice: &Choice, json: bool) -> Result<String, CliError> {
    let order = in_order(plan);
    let rows: Vec<(&Job, &str, String)> = order
        .into_iter()
        .map(|id| {
            let job = &plan.jobs[id];
            let (what, why) = match choice.presets.get(id).copied().unwrap_or_default() {
                Preset::Run => ("run", reason(job)),
                Preset::Keep { result, .. } => ("keep", format!("it ended with {result} before")),
                Preset::Interrupted => ("fail", "it was interrupted, and is not `idempotent`".to_owned()),
                Preset::LeaveOut => {
                    let by = choice.left_out_by.get(&id).cloned().unwrap_or_default();
                    ("skip", format!("left out by {by}"))
                }
            };
            (job, what, why)
        })
        .collect();
    if json {
        let rows: Vec<serde_json::Value> = rows
            .iter()
            .map(|(job, what, why)| {
                let steps: Vec<&str> = job.steps.iter().map(|step| step.name.as_str()).collect();
                serde_json::json!({ "job": job.name, "action": what, "reason": why, "needs": job.needs,
                    "executor": job.executor.name, "steps": steps })
            })
            .collect();
        let text = serde_json::to_string_pretty(&rows)
            .map_err(|e| CliError::Infrastructure(format!("writing the list: {e}")))?;
        return Ok(text + "\n");
    }
    let width = rows.iter().map(|(job, ..)| job.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (job, what, why) in &rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{what:<4}  {:width$}  {why}", job.name);
    }
    let run = rows.iter().filter(|(_, what, _)| *what == "run").count();
    let _ = writeln!(text, "{run} of {} jobs would run; nothing was run", rows.len());
    Ok(text)
}

/// When a job that is not left out runs.
fn reason(job: &Job) -> String {
    let after = match job.needs.as_slice() {
        [] => "at once".to_owned(),
        needs => format!("after {}", needs.join(", ")),
    };
    match &job.condition {
        Condition::Success if job.needs.is_empty() => after,
        Condition::Success => format!("{after}, if all succeed"),
        Condition::Script(script) => format!("{after}, if `{}` exits with 0", script.trim()),
        Condition::Expr(_) => {
            let all_well = condition::Status { success: true, failure: false, cancelled: false };
            let text = condition::status_text(&job.condition);
            match condition::decide(&job.condition, all_well) {
                Verdict::No => format!("{after}, only if {text}: not when all goes well"),
                _ => format!("{after}, if {text}"),
            }
        }
    }
}

/// The jobs, each after those that it needs.
fn in_order(plan: &Plan) -> Vec<usize> {
    let ids: BTreeMap<&str, usize> =
        plan.jobs.iter().enumerate().map(|(id, job)| (job.name.as_str(), id)).collect();
    let mut left: Vec<usize> =
        plan.jobs.iter().map(|job| job.needs.len() + usize::from(job.parent.is_some())).collect();
    let mut dependents = vec![Vec::new(); plan.jobs.len()];
    for (id, job) in plan.jobs.iter().enumerate() {
        for need in job.needs.iter().chain(&job.parent) {
            match ids.get(need.as_str()) {
                Some(&need) => dependents[need].push(id),
                None => left[id] -= 1,
            }
        }
    }
    let mut order: Vec<usize> = (0..left.len()).filter(|&id| left[id] == 0).collect();
    let mut next = 0;
    while next < order.len() {
        for &to in &dependents[order[next]] {
            left[to] -= 1;
            if left[to] == 0 {
                order.push(to);
            }
        }
        next += 1;
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let local = serde_json::json!({ "kind": "local", "name": "local" });
        serde_json::from_value(serde_json::json!({ "version": 1, "name": "w", "projectDir": "/", "jobs": [
            { "name": "a", "executor": local, "steps": [], "outputs": [{ "name": "data", "path": "x" }] },
            { "name": "b", "needs": ["a"], "executor": local, "steps": [],
              "inputs": [{ "name": "data", "path": "." }] },
            { "name": "c", "needs": ["b"], "executor": local, "steps": [], "condition": { "expr": "failure" } },
        ]}))
        .expect("a plan")
    }

    #[test]
    fn a_dry_run_says_what_and_why() {
        let root = tempfile::tempdir().expect("tempdir");
        let choose =
            Choose { named: Named { skip: vec!["c".into()], ..Named::default() }, ..Choose::default() };
        let choice = choose.choice(&plan(), root.path(), Choice::default()).expect("chosen");
        let text = dry_run(&plan(), &choice, false).expect("text");
        assert_eq!(
            text,
            "run   a  at once\nrun   b  after a, if all succeed\nskip  c  left out by --skip c\n\
             2 of 3 jobs would run; nothing was run\n"
        );
        let all = dry_run(&plan(), &Choice::default(), false).expect("text");
        assert!(all.contains("run   c  after b, only if failure(): not when all goes well"), "{all}");
    }

    #[test]
    fn an_artifact_that_nobody_has_is_told_before_anything_runs() {
        let root = tempfile::tempdir().expect("tempdir");
        let choose =
            Choose { named: Named { from: vec!["b".into()], ..Named::default() }, ..Choose::default() };
        let error =
            choose.choice(&plan(), root.path(), Choice::default()).expect_err("no artifact").to_string();
        assert!(error.contains("`data`") && error.contains("`a`") && error.contains("--from b"), "{error}");
    }
}
