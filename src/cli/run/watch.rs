//! `run --watch`: runs, and runs again what a change of the project's files affects.
//!
//! A job is affected when the workflow now says something else of it, when what a `skipIfUnchanged` of
//! it names has changed, or, without one, when any file but the workflow's own has. What comes after an
//! affected job is run too; what succeeded before and is not affected is kept, as in `rerun --failed`.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};

use super::{RunArgs, prepare};
use crate::cli::args::Global;
use crate::cli::changes::{self, Snapshot};
use crate::cli::choose;
use crate::cli::error::{CliError, Exit};
use crate::engine::begin::Choice;
use crate::engine::history::store::Origin;
use crate::engine::machine::{JobId, Preset};
use crate::engine::rundir;
use crate::engine::unchanged;
use crate::workflow::plan::{Job, Plan};

/// Runs until it is interrupted.
pub(super) fn run(args: &RunArgs, global: &Global) -> Result<Exit, CliError> {
    let (mut plan, mut origin) = prepare(args, global)?;
    let project = plan.project_dir.clone();
    let except = [rundir::cache_root()];
    let mut seen = Snapshot::of(&project, &except);
    let mut choice = args.choose.choice(&plan, &except[0], Choice::default())?;
    loop {
        let ran = args.how.run(plan.clone(), global, origin, choice);
        if let Ok(exit @ Exit::Code(130 | 143)) = ran {
            return Ok(exit);
        }
        tell(ran);
        // A file that cannot be evaluated leaves the last plan in force for the comparison.
        (plan, origin, choice) = loop {
            eprintln!("watching {} files of {} for changes; Ctrl-C ends", seen.len(), project.display());
            let Some(now) = next(&project, &except, &seen)? else { return Ok(Exit::Code(130)) };
            let changed = now.changed(&seen);
            seen = now;
            match again(args, global, &plan, &changed) {
                Ok(Some(next)) => break next,
                Ok(None) => eprintln!("{}: no job depends on it", shown(&changed, &project)),
                Err(error) => tell(Err(error)),
            }
        };
    }
}

/// The files after the next change; `None` when it is interrupted first. A run has left its handlers of
/// signals behind, so that Ctrl-C would do nothing by itself.
fn next(project: &Path, except: &[PathBuf], seen: &Snapshot) -> Result<Option<Snapshot>, CliError> {
    let failed = CliError::io("waiting for changes");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return Err(failed(error)),
    };
    let (project, except, seen) = (project.to_path_buf(), except.to_vec(), seen.clone());
    let changed = runtime.block_on(async move {
        let mut terminate = signal(SignalKind::terminate())?;
        let waiting = tokio::task::spawn_blocking(move || changes::wait(&project, &except, &seen));
        tokio::select! {
            changed = waiting => changed.map(Some).map_err(io::Error::other),
            _ = tokio::signal::ctrl_c() => Ok(None),
            _ = terminate.recv() => Ok(None),
        }
    });
    // The thread that waits ends with the process.
    runtime.shutdown_background();
    changed.map_err(failed)
}

/// What to run after a change; nothing when no job is affected.
fn again(
    args: &RunArgs,
    global: &Global,
    before: &Plan,
    changed: &[PathBuf],
) -> Result<Option<(Plan, Origin, Choice)>, CliError> {
    let (plan, origin) = prepare(args, global)?;
    let file =
        origin.target.as_deref().map(|target| target.rsplit_once('#').map_or(target, |(file, _)| file));
    let files: Vec<&Path> = changed
        .iter()
        .filter(|path| file.is_none_or(|file| **path != Path::new(file)))
        .filter_map(|path| path.strip_prefix(&plan.project_dir).ok())
        .collect();
    let affected = affected(before, &plan, &files);
    let root = rundir::cache_root();
    let base = match choose::past_runs(&plan, &root)?.into_iter().next() {
        Some(last) => Choice::rerun_affected(&last, &plan, &affected)
            .map_err(|e| CliError::Infrastructure(e.to_string()))?,
        None => Choice::default(),
    };
    let choice = args.choose.choice(&plan, &root, base)?;
    let some = choice.presets.is_empty() || choice.presets.contains(&Preset::Run);
    if some {
        eprintln!("{} changed", shown(changed, &plan.project_dir));
    }
    Ok(some.then_some((plan, origin, choice)))
}

/// The jobs that differ, or whose files have changed.
fn affected(before: &Plan, now: &Plan, files: &[&Path]) -> HashSet<JobId> {
    let frame = |plan: &Plan| Plan { jobs: Vec::new(), ..plan.clone() };
    if frame(before) != frame(now) {
        return (0..now.jobs.len()).collect();
    }
    let was = |job: &Job| before.jobs.iter().find(|old| old.name == job.name);
    let depends = |job: &Job| match &job.skip_if_unchanged {
        Some(rule) => unchanged::any_matches(&rule.inputs, files),
        None => !files.is_empty(),
    };
    let affected = |(_, job): &(JobId, &Job)| was(job) != Some(*job) || depends(job);
    now.jobs.iter().enumerate().filter(affected).map(|(id, _)| id).collect()
}

fn tell(ran: Result<Exit, CliError>) {
    if let Err(error) = ran {
        eprintln!("{error}");
    }
}

/// A few of the paths.
fn shown(changed: &[PathBuf], project: &Path) -> String {
    let name = |path: &PathBuf| path.strip_prefix(project).unwrap_or(path).display().to_string();
    match changed {
        [] => String::new(),
        [one] => name(one),
        [one, two] => format!("{} and {}", name(one), name(two)),
        [one, rest @ ..] => format!("{} and {} more files", name(one), rest.len()),
    }
}
