//! `nixactions explain`: what a code means, why it is reported, and the way out.

use clap::Args;

use super::error::{CliError, Exit, print};
use crate::diag::codes::CODES;
use crate::diag::{Code, Severity};

const EXAMPLES: &str = "\
Examples:
  nixactions explain NXA101
  nixactions explain unknown-need
  nixactions explain list";

/// Explain the code of a finding
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExplainArgs {
    /// A code or its name, or `list` for all of them
    #[arg(value_name = "CODE")]
    code: String,
}

/// Prints one page, or the list of codes.
pub(super) fn run(args: &ExplainArgs) -> Result<Exit, CliError> {
    if args.code == "list" {
        print(&list())?;
        return Ok(Exit::Success);
    }
    let Some(code) = Code::find(&args.code) else {
        return Err(CliError::Usage(format!(
            "there is no code `{}`; `nixactions explain list` shows all of them",
            args.code
        )));
    };
    print(code.page)?;
    Ok(Exit::Success)
}

fn list() -> String {
    let width = CODES.iter().map(|c| c.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for c in CODES {
        let level = match c.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Hint => "hint",
        };
        text.push_str(&format!("{}  {:width$}  {level:7}  {}\n", c.code, c.name, c.title));
    }
    text
}
