//! `nixactions show`: a past run once more.

use std::io::{self, IsTerminal};

use clap::Args;

use super::error::{CliError, Exit};
use crate::engine::event::Level;
use crate::engine::history::{reader, store};
use crate::engine::rundir;
use crate::report::{self, Format, Settings};

const EXAMPLES: &str = "\
Examples:
  nixactions show                        the newest run: its jobs and what failed
  nixactions show 3f9a                   a run by a part of its identifier
  nixactions show --format structured    all of it, as it was printed
  nixactions show --format json > events.jsonl";

/// Show a past run: its jobs, how they ended, what failed
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ShowArgs {
    /// The run, by its identifier or a part of it; the newest by default
    run: Option<String>,
    /// How to show it: summary, structured, simple, json
    #[arg(long, default_value = "summary", value_name = "FORMAT")]
    format: String,
    /// Least important lines to show: debug, info, warning, error
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    level: String,
}

/// Shows it.
pub(super) fn run(args: &ShowArgs) -> Result<Exit, CliError> {
    let usage = |e: &dyn std::fmt::Display| CliError::Usage(e.to_string());
    let color = Settings::wants_color(io::stdout().is_terminal());
    let summary = args.format.eq_ignore_ascii_case("summary");
    let format =
        if summary { Format::Structured } else { Format::parse(&args.format).map_err(|e| usage(&e))? };
    if format == Format::Live {
        return Err(CliError::Usage(
            "a past run is not live; `--format` takes summary, structured, simple, json".into(),
        ));
    }
    let level: Level = report::parse_level(&args.level).map_err(|e| usage(&e))?;
    let entry = store::find(&rundir::cache_root(), args.run.as_deref()).map_err(|e| usage(&e))?;
    let events = reader::events(&entry).map_err(|e| CliError::Infrastructure(e.to_string()))?;
    if summary {
        super::error::print(&report::summarise(events, color))?;
        return Ok(Exit::Success);
    }
    let sink = report::reporter(
        Settings { format, level, color, on_github: super::reports::on_github() },
        Box::new(io::stdout()),
    );
    events.for_each(|event| sink.event(&event));
    Ok(Exit::Success)
}
