//! `nixactions exec`: a shell, or a command, where a job's steps run.

use std::ffi::OsString;
use std::io::{self, IsTerminal};

use clap::Args;

use super::args::Global;
use super::choose;
use super::error::{CliError, Exit};
use super::how::How;
use super::load::{self, Selection};
use crate::engine::rundir;
use crate::exec::local;
use crate::workflow::plan::{Condition, Plan};

const EXAMPLES: &str = "\
Examples:
  nixactions exec test                       a shell where the steps of `test` run
  nixactions exec test --step unit           with the environment of one of them
  nixactions exec test -- env                a command instead of the shell
  nixactions exec test -w ci.nix#nightly";

/// Open a shell, or run a command, in a job's directory with its environment
///
/// The directory is made as for a run: a copy of the project, and the artifacts that the job takes, as
/// far as an earlier run has kept them. It is removed afterwards.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExecArgs {
    /// The job
    job: String,
    /// The step whose environment is used; the first by default
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// The workflow: FILE, FILE#NAME or #NAME
    #[arg(short = 'w', long, value_name = "FILE#NAME")]
    workflow: Option<String>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    evaluation: load::Evaluation,
    /// The command; an interactive bash by default
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Opens it; the exit code is the shell's or command's.
pub(super) fn run(args: &ExecArgs, global: &Global) -> Result<Exit, CliError> {
    if args.command.is_empty() && !io::stdin().is_terminal() {
        return Err(CliError::Usage("a shell needs a terminal; `-- COMMAND` runs a command".into()));
    }
    let selection = Selection { target: args.workflow.clone(), evaluation: args.evaluation.clone() };
    let mut plan = load::plan(&selection, global)?;
    let at = choose::job_of(&plan, &args.job)?;
    reduce(&mut plan, at, args.step.as_deref())?;
    let choice = choose::alone(&mut plan, at, &rundir::cache_root())?;
    let command = args.command.clone();
    args.how.attend(plan, global, choice, move |scene| local::open_shell(scene, &command))
}

/// Leaves of the job what a shell needs: one step, and nothing that is saved.
fn reduce(plan: &mut Plan, at: usize, step: Option<&str>) -> Result<(), CliError> {
    let job = &mut plan.jobs[at];
    let index = match step {
        None => 0,
        Some(name) => job.steps.iter().position(|step| step.name == name).ok_or_else(|| {
            let known: Vec<&str> = job.steps.iter().map(|step| step.name.as_str()).collect();
            CliError::Usage(format!("job `{}` has no step `{name}`; it has: {}", job.name, known.join(", ")))
        })?,
    };
    if job.steps.is_empty() {
        return Err(CliError::Usage(format!("job `{}` has no steps of its own", job.name)));
    }
    let mut step = job.steps.swap_remove(index);
    (step.condition, step.retry, step.timeout, step.background) = (Condition::Success, None, None, false);
    job.steps = vec![step];
    (job.condition, job.retry, job.budget) = (Condition::Success, None, None);
    job.outputs.clear();
    job.results.clear();
    job.cache.clear();
    job.skip_if_unchanged = None;
    plan.notify.clear();
    plan.concurrency = None;
    Ok(())
}
