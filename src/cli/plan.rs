//! `nixactions plan`: what would run, as text or data. Runs nothing.

use clap::Args;

use super::args::Global;
use super::error::{CliError, Exit, print};
use super::load::{self, Selection};
use super::outline;
use crate::engine::mask::{Masker, mask_json};
use crate::report::{Picture, draw};

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
        PlanFormat::Text => outline::text(&plan),
        PlanFormat::Dot => draw(&plan, Picture::Dot),
        PlanFormat::Mermaid => draw(&plan, Picture::Mermaid),
        PlanFormat::Json => {
            let failed = |e: serde_json::Error| CliError::Infrastructure(format!("writing the plan: {e}"));
            let mut json = serde_json::to_value(&plan).map_err(failed)?;
            // A printed plan is read by people and kept in files.
            mask_json(&mut json, &Masker::new(&plan.secrets));
            serde_json::to_string_pretty(&json).map_err(failed)? + "\n"
        }
    };
    print(&text)?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_in_a_printed_plan() {
        let mut json = serde_json::json!({ "env": { "TOKEN": "s3cret" }, "script": ["curl -H s3cret"] });
        mask_json(&mut json, &Masker::new(["s3cret"]));
        assert!(!json.to_string().contains("s3cret"));
        assert_eq!(json["env"]["TOKEN"], "***");
    }
}
