//! `nixactions runs`: the runs that are remembered.

use std::fmt::Write;

use clap::Args;

use super::error::{CliError, Exit, print};
use crate::engine::event::RunResult;
use crate::engine::history::store::{self, Brief, RunState};
use crate::engine::rundir;
use crate::report;

const EXAMPLES: &str = "\
Examples:
  nixactions runs
  nixactions runs -n 50
  nixactions runs --format json | jq -r '.[0].run'";

/// List past runs, newest first
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunsArgs {
    /// Most runs to list
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// How to write the list
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: ListFormat,
}

/// How a list is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ListFormat {
    /// A table
    #[default]
    Text,
    /// JSON
    Json,
}

/// A run's state in one word.
pub(super) fn state_word(state: RunState) -> &'static str {
    match state {
        RunState::Running => "running",
        RunState::Interrupted => "interrupted",
        RunState::Ended { result, .. } => match result {
            RunResult::Success => "success",
            RunResult::Failure => "failure",
            RunResult::Infrastructure => "infrastructure",
            RunResult::Cancelled { .. } => "cancelled",
        },
    }
}

/// Lists them.
pub(super) fn run(args: &RunsArgs) -> Result<Exit, CliError> {
    let root = rundir::cache_root();
    let all = store::list(&root).map_err(|e| CliError::Infrastructure(e.to_string()))?;
    let mut text = String::new();
    let mut rows = Vec::new();
    for entry in all.iter().take(args.limit) {
        match entry.brief() {
            Ok(brief) => rows.push((entry.id.as_str(), brief)),
            // A run that died before its first event left nothing to tell.
            Err(_) if !entry.journal().exists() => {}
            Err(error) => eprintln!("warning: {error}"),
        }
    }
    if args.format == ListFormat::Json {
        let rows: Vec<serde_json::Value> = rows.iter().map(|(id, brief)| json(id, brief)).collect();
        text = serde_json::to_string_pretty(&rows)
            .map_err(|e| CliError::Infrastructure(format!("writing the list: {e}")))?;
        text.push('\n');
        print(&text)?;
        return Ok(Exit::Success);
    }
    if rows.is_empty() {
        text.push_str("no run has been recorded yet\n");
    }
    for (id, brief) in &rows {
        let took = match brief.state {
            RunState::Ended { duration_us, .. } => report::duration(duration_us),
            _ => "-".to_owned(),
        };
        let (state, started) = (state_word(brief.state), brief.started.to_string());
        let jobs = if brief.jobs == 1 { "1 job".to_owned() } else { format!("{} jobs", brief.jobs) };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{id}  {state:<14}  {:<19}  {took:>7}  {jobs:<9}  {}",
            started.get(..19).unwrap_or(&started).replace('T', " "),
            brief.workflow
        );
    }
    print(&text)?;
    Ok(Exit::Success)
}

fn json(id: &str, brief: &Brief) -> serde_json::Value {
    let (exit_code, duration) = match brief.state {
        RunState::Ended { result, duration_us } => (Some(result.exit_code()), Some(duration_us)),
        _ => (None, None),
    };
    serde_json::json!({
        "run": id,
        "workflow": brief.workflow,
        "started": brief.started,
        "state": state_word(brief.state),
        "exitCode": exit_code,
        "durationUs": duration,
        "jobs": brief.jobs,
    })
}
