//! `nixactions run`: runs a workflow.

mod watch;

use std::path::{Path, PathBuf};

use clap::Args;

use super::args::Global;
use super::choose::{self, Choose};
use super::elsewhere;
use super::error::{CliError, Exit, print};
use super::how::{self, How};
use super::load::{self, Selection};
use crate::engine::begin::Choice;
use crate::engine::history::store::Origin;
use crate::engine::rundir;
use crate::workflow::plan::Plan;

const EXAMPLES: &str = "\
Examples:
  nixactions run
  nixactions run ci.nix#deploy -e STAGE=prod
  nixactions run --executor ssh:build1
  nixactions run --from test --skip lint --dry-run
  nixactions run --only-failed
  nixactions run --watch --job test
  nixactions run --env-file .env --format json > events.jsonl
  nixactions run --junit results.xml --report run.html --badge ci.svg
  nixactions plan --format json > plan.json && nixactions run --plan plan.json";

/// Run a workflow
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunArgs {
    #[command(flatten)]
    selection: Selection,
    /// Run a plan that `nixactions plan --format json` printed
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    plan: Option<PathBuf>,
    /// Show what would run, and why; run nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// When it has ended, run again what a change of the project's files affects, until Ctrl-C
    #[arg(short = 'w', long, conflicts_with_all = ["dry_run", "plan", "only_failed"])]
    watch: bool,
    /// Run all jobs elsewhere than the file says: the name of one of its executors, or local,
    /// ssh:HOST, oci:IMAGE, podman:IMAGE, nixos-container:ROOT
    #[arg(long, value_name = "NAME")]
    executor: Option<String>,
    #[command(flatten)]
    choose: Choose,
    #[command(flatten)]
    how: How,
}

/// Loads, checks and runs.
pub(super) fn run(args: &RunArgs, global: &Global) -> Result<Exit, CliError> {
    if args.watch {
        return watch::run(args, global);
    }
    let (plan, origin) = prepare(args, global)?;
    let choice = args.choose.choice(&plan, &rundir::cache_root(), Choice::default())?;
    if args.dry_run {
        print(&choose::dry_run(&plan, &choice, args.how.wants_json())?)?;
        return Ok(Exit::Success);
    }
    args.how.run(plan, global, origin, choice)
}

/// The plan as the arguments want it, and where it comes from.
fn prepare(args: &RunArgs, global: &Global) -> Result<(Plan, Origin), CliError> {
    let (mut plan, origin) = match &args.plan {
        Some(file) => (read_plan(file)?, Origin::default()),
        None => (load::plan(&args.selection, global)?, how::origin(args.selection.target.as_deref())?),
    };
    if let Some(word) = &args.executor {
        elsewhere::apply(&mut plan, word)?;
    }
    Ok((plan, origin))
}

fn read_plan(file: &Path) -> Result<Plan, CliError> {
    let shown = file.display();
    let text = std::fs::read(file).map_err(|e| CliError::Usage(format!("cannot read {shown}: {e}")))?;
    let plan: Plan =
        serde_json::from_slice(&text).map_err(|e| CliError::Usage(format!("{shown} is not a plan: {e}")))?;
    match plan.version {
        1 => Ok(plan),
        n => Err(CliError::Usage(format!("{shown} is a plan of version {n}; this program knows version 1"))),
    }
}
