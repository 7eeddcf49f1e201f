//! `nixactions plan`: what would run, as text or data. Runs nothing.

use clap::Args;

use super::args::Global;
use super::error::{CliError, Exit, print};
use super::graph;
use super::load::{self, Selection};

const EXAMPLES: &str = "\
Examples:
  nixactions plan
  nixactions plan ci.nix#deploy
  nixactions plan --format json > plan.json
  nixactions plan --format dot | dot -Tsvg > plan.svg";

/// Show what a workflow would run
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct PlanArgs {
    /// Which workflow.
    #[command(flatten)]
    selection: Selection,
    /// How to write the plan
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: PlanFormat,
}

/// How a plan is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum PlanFormat {
    /// Jobs by level
    #[default]
    Text,
    /// The plan as `nixactions run --plan` takes it
    Json,
    /// Graphviz
    Dot,
    /// Mermaid
    Mermaid,
}

/// Prints the plan.
pub(super) fn run(args: &PlanArgs, global: &Global) -> Result<Exit, CliError> {
    let plan = load::plan(&args.selection, global)?;
    let text = match args.format {
        PlanFormat::Text => graph::text(&plan),
        PlanFormat::Dot => graph::dot(&plan),
        PlanFormat::Mermaid => graph::mermaid(&plan),
        PlanFormat::Json => {
            let json = serde_json::to_string_pretty(&plan)
                .map_err(|e| CliError::Infrastructure(format!("writing the plan: {e}")))?;
            json + "\n"
        }
    };
    print(&text)?;
    Ok(Exit::Success)
}
