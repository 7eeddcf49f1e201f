//! `nixactions run`: runs a workflow.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;

use super::args::Global;
use super::error::{CliError, Exit};
use super::load::{self, Selection};
use super::render::Color;
use super::reports::{self, ReportArgs};
use crate::engine::dotenv::{self, Dialect};
use crate::engine::driver::{self, Options};
use crate::engine::event::Level;
use crate::exec::registry::Registry;
use crate::report::{self, Format, Settings};
use crate::workflow::plan::Plan;

const EXAMPLES: &str = "\
Examples:
  nixactions run
  nixactions run ci.nix#deploy -e STAGE=prod
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
    /// Set a variable for every step, above all others
    #[arg(short = 'e', long = "env", value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Set the variables of a dotenv file for every step; `-e` wins over it
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Keep the environment that nixactions was started in away from the steps
    #[arg(long)]
    pure: bool,
    /// Jobs at a time
    #[arg(short = 'j', long, value_name = "N")]
    max_parallel: Option<std::num::NonZeroUsize>,
    /// How to show the run: live, structured, simple, grouped, json
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Least important lines to show: debug, info, warning, error
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
    /// Keep the directories of the run (also NIXACTIONS_KEEP_WORKSPACE=1)
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    reports: ReportArgs,
}

/// Loads, checks and runs.
pub(super) fn run(args: &RunArgs, global: &Global) -> Result<Exit, CliError> {
    let mut options = Options::from_process();
    options.outside.overrides = overrides(args)?;
    options.pure = args.pure;
    options.keep |= args.keep;
    options.max_parallel = args.max_parallel.map(Into::into);
    let plan = match &args.plan {
        Some(file) => read_plan(file)?,
        None => load::plan(&args.selection, global)?,
    };
    let settings = settings(args, global, &plan)?;
    let reports = args.reports.begin()?;
    let sink = reports.with(report::reporter(settings, Box::new(io::stdout())));
    let outcome = driver::run_blocking(plan, options, &Registry, sink);
    let written = reports.end();
    let outcome = outcome.map_err(|e| CliError::Infrastructure(e.to_string()))?;
    if let Some(kept) = &outcome.kept {
        eprintln!("kept {}", kept.display());
    }
    let exit = outcome.result.exit_code();
    // A run that went wrong says so itself, whatever became of its reports.
    match written {
        Err(e) if exit == 0 => Err(e),
        Err(e) => {
            eprintln!("{e}");
            Ok(Exit::Code(exit))
        }
        Ok(()) => Ok(Exit::Code(exit)),
    }
}

fn settings(args: &RunArgs, global: &Global, plan: &Plan) -> Result<Settings, CliError> {
    let terminal = io::stdout().is_terminal();
    let usage = |e: report::UnknownSetting| CliError::Usage(e.to_string());
    let environment = std::env::var("NIXACTIONS_LOG_FORMAT").ok();
    let format =
        Format::choose(args.format.as_deref(), environment.as_deref(), plan.log_format.as_deref(), terminal)
            .map_err(usage)?;
    let environment = std::env::var("NIXACTIONS_LOG_LEVEL").ok().filter(|l| !l.is_empty());
    let level = match args.level.as_ref().or(environment.as_ref()).or(plan.log_level.as_ref()) {
        Some(name) => report::parse_level(name).map_err(usage)?,
        None => Level::Info,
    };
    let color = match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => Settings::wants_color(terminal),
    };
    Ok(Settings { format, level, color, on_github: reports::on_github() })
}

/// The variables of `--env-file` and `-e`, later ones winning.
fn overrides(args: &RunArgs) -> Result<Vec<(String, String)>, CliError> {
    let mut all = Vec::new();
    for file in &args.env_file {
        let shown = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|e| CliError::Usage(format!("cannot read {shown}: {e}")))?;
        let lookup = |name: &str| std::env::var(name).ok();
        let found = dotenv::parse(&text, Dialect::Dotenv, &lookup)
            .map_err(|e| CliError::Usage(format!("{shown}: {e}")))?;
        all.extend(found);
    }
    for pair in &args.env {
        match pair.split_once('=') {
            Some((name, value)) if dotenv::is_name(name) => all.push((name.into(), value.into())),
            // The text is not repeated: it may hold a secret.
            _ => {
                let message = "`-e` takes NAME=VALUE, the name made of letters, digits and `_`";
                return Err(CliError::Usage(message.into()));
            }
        }
    }
    Ok(all)
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
