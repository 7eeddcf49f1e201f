//! `nixactions list`: the workflows of a file.

use std::fmt::Write;

use clap::Args;

use super::args::Global;
use super::error::{CliError, Exit, Findings, print};
use super::load::{self, Selection};
use crate::diag::Diagnostic;

const EXAMPLES: &str = "\
Examples:
  nixactions list
  nixactions list ci.nix
  nixactions list --json ci.nix";

/// Show the workflows of a file
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ListArgs {
    #[command(flatten)]
    selection: Selection,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists what the file holds, also workflows that have errors.
pub(super) fn run(args: &ListArgs, _: &Global) -> Result<Exit, CliError> {
    let outcome = load::outcome(args.selection.target.as_deref(), &args.selection.evaluation, true)?;
    if outcome.workflows.is_empty() {
        let findings: Vec<Diagnostic> = outcome.diagnostics;
        let exit = load::exit(&findings);
        return Err(CliError::Findings(Findings(findings), exit));
    }
    let mut text = String::new();
    if args.json {
        let all: Vec<serde_json::Value> = outcome
            .workflows
            .iter()
            .map(|w| {
                let jobs = w.plan.as_ref().map(|p| p.jobs.iter().map(|j| &j.name).collect::<Vec<_>>());
                serde_json::json!({ "key": w.key, "name": w.title, "jobs": jobs, "valid": w.plan.is_some() })
            })
            .collect();
        text = serde_json::to_string_pretty(&all)
            .map_err(|e| CliError::Infrastructure(format!("writing the list: {e}")))?;
        text.push('\n');
    } else {
        let shown = |w: &crate::workflow::load::Loaded| w.key.clone().unwrap_or_else(|| w.title.clone());
        let width = outcome.workflows.iter().map(|w| shown(w).chars().count()).max().unwrap_or(0);
        for w in &outcome.workflows {
            let key = shown(w);
            let title = if key == w.title { String::new() } else { format!("  {}", w.title) };
            let state = match &w.plan {
                Some(plan) if plan.jobs.len() == 1 => "1 job".to_owned(),
                Some(plan) => format!("{} jobs", plan.jobs.len()),
                None => "has errors; `nixactions check` shows them".to_owned(),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key:width$}{title}  {state}");
        }
    }
    print(&text)?;
    Ok(Exit::Success)
}
