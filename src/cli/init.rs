//! `nixactions init`: a workflow to begin with.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::Args;

use super::error::{CliError, Exit, print};

const STARTER: &str = include_str!("starter.nix");

const EXAMPLES: &str = "\
Examples:
  nixactions init
  nixactions init ci/build.nix";

/// Write a starter workflow; a file that is there is left alone
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct InitArgs {
    /// The file to write
    #[arg(default_value = "nixactions.nix", value_name = "FILE")]
    file: PathBuf,
}

/// Writes the file.
pub(super) fn run(args: &InitArgs) -> Result<Exit, CliError> {
    let shown = args.file.display();
    if let Some(parent) = args.file.parent() {
        std::fs::create_dir_all(parent).map_err(CliError::io(format!("making the directory of {shown}")))?;
    }
    let file = OpenOptions::new().write(true).create_new(true).open(&args.file);
    let mut file = match file {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            return Err(CliError::Usage(format!("{shown} exists already; it was left as it is")));
        }
        other => other.map_err(CliError::io(format!("creating {shown}")))?,
    };
    file.write_all(STARTER.as_bytes()).map_err(CliError::io(format!("writing {shown}")))?;
    print(&format!("wrote {shown}; `nixactions run {shown}` runs it\n"))?;
    Ok(Exit::Success)
}
