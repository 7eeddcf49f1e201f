//! `nixactions clean`: removes what runs left behind that ended without cleaning up.

use std::fmt::Write;

use clap::Args;

use super::error::{CliError, Exit, print};
use crate::engine::kept;
use crate::engine::rundir::{self, Found};
use crate::evalcache::Store;
use crate::exec::local;

const EXAMPLES: &str = "\
Examples:
  nixactions clean --dry-run
  nixactions clean
  nixactions clean --caches";

/// Remove workspaces and processes that earlier runs left behind
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct CleanArgs {
    /// Only show what would be removed
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Also remove what is kept for later runs: caches, results of
    /// evaluation, and the outputs of unchanged jobs
    #[arg(long)]
    caches: bool,
}

/// Removes the directories of all runs that are no longer going.
pub(super) fn run(args: &CleanArgs) -> Result<Exit, CliError> {
    let root = rundir::cache_root();
    let shown = root.join("runs");
    let found = rundir::list(&root).map_err(CliError::io(format!("reading {}", shown.display())))?;
    let (live, left): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|run| run.live);
    let mut text = String::new();
    let mut failed = Vec::new();
    for run in &left {
        if args.dry_run {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "would remove {}", run.path.display());
            continue;
        }
        let killed = local::kill_run(&run.id);
        match rundir::remove_tree(&run.path) {
            Err(e) => failed.push(e.to_string()),
            Ok(()) if killed > 0 => {
                let _ = writeln!(text, "removed {} and ended {killed} processes of it", run.path.display());
            }
            Ok(()) => {
                let _ = writeln!(text, "removed {}", run.path.display());
            }
        }
    }
    for run in &live {
        let _ = writeln!(text, "kept {}, which is running", run.path.display());
    }
    if args.caches {
        let (kept, evaluated) = (kept::usage(&root), Store::usage(&root));
        let (entries, bytes) = (kept.0 + evaluated.0, kept.1 + evaluated.1);
        let _ = match args.dry_run {
            true => writeln!(text, "would remove {entries} cache entries of {bytes} bytes"),
            false => {
                let removed = kept::clear(&root) + Store::clear(&root);
                writeln!(text, "removed {removed} of {entries} cache entries")
            }
        };
    }
    if text.is_empty() && failed.is_empty() {
        let _ = writeln!(text, "nothing to remove in {}", shown.display());
    }
    print(&text)?;
    match failed.is_empty() {
        true => Ok(Exit::Success),
        false => Err(CliError::Infrastructure(failed.join("\nerror: "))),
    }
}
