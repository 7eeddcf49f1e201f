//! From a journal to where its run stood.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use crate::engine::event::{Event, EventKind, Failure, JobResult, Name, RunResult, SkipReason, StepEnd};
use crate::engine::executor::safe_file_name;
use crate::engine::machine::{JobId, Preset};
use crate::workflow::plan::{Job, Plan};

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// What dependents see.
    pub result: JobResult,
    /// The machine was to blame.
    pub infrastructure: bool,
}

/// Where a run stood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Jobs that ended by themselves: not those that were cancelled.
    pub ended: HashMap<Name, End>,
    /// What ended jobs hand on, in the order in which they ended.
    pub results: Vec<(Name, BTreeMap<Name, String>)>,
    /// Jobs that had begun and have no end.
    pub interrupted: HashSet<Name>,
    /// How the run ended, if it did.
    pub result: Option<RunResult>,
}

/// Which ended jobs are not run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All: the run goes on where it stopped.
    Ended,
    /// Those that succeeded: what failed, or came after, is tried again.
    Succeeded,
}

/// Reads the events of a run, which may have been resumed before.
pub fn replay(events: &[Event]) -> Progress {
    let mut progress = Progress::default();
    for event in events {
        match &event.kind {
            EventKind::RunStarted { .. } => progress.result = None,
            EventKind::JobStarted { job, .. } => {
                progress.ended.remove(job);
                progress.interrupted.insert(job.clone());
            }
            EventKind::JobSkipped { job, reason } => {
                progress.interrupted.remove(job);
                // What was skipped because the run was cancelled has not been decided.
                if !matches!(reason, SkipReason::Status { cancelled: true, .. }) {
                    progress.end(job, JobResult::Skipped, false);
                }
            }
            EventKind::JobFinished { job, result, failure, results, .. } => {
                progress.interrupted.remove(job);
                if *result != JobResult::Cancelled {
                    progress.end(job, *result, failure.as_ref().is_some_and(is_infrastructure));
                    progress.results.push((job.clone(), results.clone()));
                }
            }
            EventKind::JobRestored { job, result } => progress.end(job, *result, false),
            EventKind::RunFinished { result, .. } => progress.result = Some(*result),
            _ => {}
        }
    }
    progress
}

fn is_infrastructure(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Infrastructure { .. } | Failure::Step { end: StepEnd::Infrastructure { .. }, .. }
    )
}

impl Progress {
    fn end(&mut self, job: &Name, result: JobResult, infrastructure: bool) {
        self.ended.insert(job.clone(), End { result, infrastructure });
    }

    /// What becomes of each job when the run goes on. A job is only kept when all that it needs is,
    /// and when the artifacts that others will ask of it are still below `artifacts`.
    pub fn presets(
        &self,
        plan: &Plan,
        artifacts: &Path,
        keep: Keep,
        affected: &HashSet<JobId>,
    ) -> Vec<Preset> {
        let ids: HashMap<&str, usize> =
            plan.jobs.iter().enumerate().map(|(id, job)| (job.name.as_str(), id)).collect();
        let id = |name: &String| ids.get(name.as_str()).copied();
        let preset = |(id, job)| if affected.contains(&id) { Preset::Run } else { self.preset(job, keep) };
        let mut presets: Vec<Preset> = plan.jobs.iter().enumerate().map(preset).collect();
        // Jobs that begin anew because something before them does; so do all jobs of such a call.
        let mut anew = vec![false; plan.jobs.len()];
        loop {
            let mut changed = false;
            for (at, job) in plan.jobs.iter().enumerate() {
                let parent = job.parent.as_ref().and_then(id);
                let before = job.needs.iter().filter_map(id).any(|need| presets[need] == Preset::Run);
                if !anew[at] && (before || parent.is_some_and(|parent| anew[parent])) {
                    anew[at] = true;
                    changed |=
                        std::mem::replace(&mut presets[at], Preset::Run) != Preset::Run || job.call.is_some();
                }
                // A call goes on when one of its jobs does.
                if presets[at] == Preset::Run
                    && let Some(parent) = parent
                {
                    changed |= std::mem::replace(&mut presets[parent], Preset::Run) != Preset::Run;
                }
            }
            if !changed {
                changed = self.without_artifacts(plan, artifacts, &mut presets);
            }
            if !changed {
                return presets;
            }
        }
    }

    /// Marks kept jobs to be run whose artifacts are asked for and gone; whether there was one.
    fn without_artifacts(&self, plan: &Plan, artifacts: &Path, presets: &mut [Preset]) -> bool {
        let asked: HashSet<&str> = plan
            .jobs
            .iter()
            .zip(&*presets)
            .filter(|(_, preset)| **preset == Preset::Run)
            .flat_map(|(job, _)| job.inputs.iter().map(|input| input.name.as_str()))
            .collect();
        let mut found = false;
        for (job, preset) in plan.jobs.iter().zip(presets) {
            let kept = matches!(preset, Preset::Keep { result: JobResult::Success, .. });
            let mut outputs = job.outputs.iter().map(|output| output.name.as_str());
            let gone = |name| asked.contains(name) && !artifacts.join(safe_file_name(name)).is_dir();
            if kept && outputs.any(gone) {
                (*preset, found) = (Preset::Run, true);
            }
        }
        found
    }

    fn preset(&self, job: &Job, keep: Keep) -> Preset {
        match self.ended.get(job.name.as_str()) {
            Some(end) if keep == Keep::Ended || end.result == JobResult::Success => {
                Preset::Keep { result: end.result, infrastructure: end.infrastructure }
            }
            None if keep == Keep::Ended
                && !job.idempotent
                && self.interrupted.contains(job.name.as_str()) =>
            {
                Preset::Interrupted
            }
            _ => Preset::Run,
        }
    }
}
