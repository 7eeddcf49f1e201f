//! `nixactions graph`: a picture of a workflow's jobs and what they need.

use clap::Args;

use super::args::Global;
use super::error::{CliError, Exit, print};
use super::load::{self, Selection};
use crate::report::{Picture, draw};

const EXAMPLES: &str = "\
Examples:
  nixactions graph > ci.svg
  nixactions graph ci.nix#deploy --format mermaid
  nixactions graph --format dot | dot -Tpng > ci.png";

/// Draw the graph of a workflow
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct GraphArgs {
    /// Which workflow.
    #[command(flatten)]
    selection: Selection,
    /// How to write the picture
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: GraphFormat,
}

/// How a picture is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum GraphFormat {
    /// A drawing for a browser or a README
    #[default]
    Svg,
    /// Mermaid, as Markdown viewers draw it
    Mermaid,
    /// Graphviz
    Dot,
}

/// Prints the picture.
pub(super) fn run(args: &GraphArgs, global: &Global) -> Result<Exit, CliError> {
    let plan = load::plan(&args.selection, global)?;
    let picture = match args.format {
        GraphFormat::Svg => Picture::Svg,
        GraphFormat::Mermaid => Picture::Mermaid,
        GraphFormat::Dot => Picture::Dot,
    };
    print(&draw(&plan, picture))?;
    Ok(Exit::Success)
}
