//! `nixactions rerun`: a past run once more, as a new one.

use clap::Args;

use super::args::Global;
use super::error::{CliError, Exit};
use super::how::{How, stored_plan};
use super::load::Evaluation;
use crate::engine::begin::Choice;
use crate::engine::event::JobResult;
use crate::engine::history::store;
use crate::engine::machine::Preset;
use crate::engine::rundir;

const EXAMPLES: &str = "\
Examples:
  nixactions rerun               the newest run, all of it
  nixactions rerun --failed      only what failed, and what comes after
  nixactions rerun 3f9a          a run by a part of its identifier";

/// Run a past run's plan again, or only what failed in it
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct RerunArgs {
    /// The run, by its identifier or a part of it; the newest by default
    run: Option<String>,
    /// Keep the jobs that succeeded, with their artifacts
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    evaluation: Evaluation,
}

/// Runs it again.
pub(super) fn run(args: &RerunArgs, global: &Global) -> Result<Exit, CliError> {
    let root = rundir::cache_root();
    let entry = store::find(&root, args.run.as_deref()).map_err(|e| CliError::Usage(e.to_string()))?;
    if entry.is_live() {
        return Err(CliError::Usage(format!("run {} is still going", entry.id)));
    }
    let stored = stored_plan(&entry, &args.evaluation, global)?;
    let mut choice = Choice::default();
    if args.failed {
        choice = Choice::rerun_failed(&entry, &stored.plan)
            .map_err(|e| CliError::Infrastructure(e.to_string()))?;
        let succeeded = |preset: &Preset| matches!(preset, Preset::Keep { result: JobResult::Success, .. });
        if choice.presets.iter().all(succeeded) {
            return Err(CliError::Usage(format!("nothing failed in run {}", entry.id)));
        }
    }
    args.how.run(stored.plan, global, stored.origin, choice)
}
