//! `nixactions resume`: goes on with a run that was cancelled, or whose runner died.

use clap::Args;

use super::args::Global;
use super::error::{CliError, Exit};
use super::how::{How, stored_plan};
use super::load::Evaluation;
use crate::engine::begin::Choice;
use crate::engine::event::RunResult;
use crate::engine::history::store::{self, Entry, RunState};
use crate::engine::rundir;
use crate::exec::local;

const EXAMPLES: &str = "\
Examples:
  nixactions resume            the newest run that has not come to its end
  nixactions resume 3f9a       a run by a part of its identifier";

/// Go on with a run that was cancelled or killed, or whose machine went down
///
/// Jobs that had ended are not run again. A job that was running begins anew in a fresh directory,
/// unless it is not `idempotent`: then it has failed.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ResumeArgs {
    /// The run, by its identifier or a part of it
    run: Option<String>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    evaluation: Evaluation,
}

/// Goes on.
pub(super) fn run(args: &ResumeArgs, global: &Global) -> Result<Exit, CliError> {
    let entry = find(args.run.as_deref())?;
    let stored = stored_plan(&entry, &args.evaluation, global)?;
    // What the dead runner left running must not meet what runs now.
    local::kill_run(&entry.id);
    let choice = Choice::resume(&entry, &stored.plan).map_err(|e| CliError::Infrastructure(e.to_string()))?;
    args.how.run(stored.plan, global, stored.origin, choice)
}

fn find(given: Option<&str>) -> Result<Entry, CliError> {
    let root = rundir::cache_root();
    let usage = |e: store::FindError| CliError::Usage(e.to_string());
    let open = |state| {
        let cancelled = RunResult::Cancelled { signal: None };
        match state {
            RunState::Interrupted => true,
            RunState::Ended { result: RunResult::Cancelled { .. }, .. } => true,
            RunState::Ended { result, .. } => result == cancelled,
            RunState::Running => false,
        }
    };
    if given.is_none() {
        let all = store::list(&root).map_err(usage)?;
        let found = all.into_iter().find(|entry| entry.brief().is_ok_and(|brief| open(brief.state)));
        return found.ok_or_else(|| {
            let help = "`nixactions rerun --failed` runs again what failed";
            CliError::Usage(format!("every run has come to its end, there is none to resume; {help}"))
        });
    }
    let entry = store::find(&root, given).map_err(usage)?;
    let state = entry.brief().map_err(CliError::Infrastructure)?.state;
    let id = &entry.id;
    match state {
        state if open(state) => Ok(entry),
        RunState::Running => Err(CliError::Usage(format!("run {id} is still going"))),
        RunState::Ended { result: RunResult::Success, .. } => {
            Err(CliError::Usage(format!("run {id} has succeeded, there is nothing left to do")))
        }
        _ => Err(CliError::Usage(format!(
            "run {id} has come to its end; `nixactions rerun --failed {id}` runs again what failed"
        ))),
    }
}
