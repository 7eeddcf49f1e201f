//! `nixactions man`: the manual pages, made from the command line's own description.

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use super::args::Cli;
use super::error::{CliError, Exit, print_bytes};

const EXAMPLES: &str = "\
Examples:
  nixactions man | man -l -
  nixactions man --directory share/man/man1";

/// Print the manual page, or write those of all commands
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ManArgs {
    /// Write one page a command into this directory
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Prints or writes the pages.
pub(super) fn run(args: &ManArgs) -> Result<Exit, CliError> {
    match &args.directory {
        Some(directory) => {
            let what = format!("writing manual pages to {}", directory.display());
            std::fs::create_dir_all(directory)
                .and_then(|()| clap_mangen::generate_to(Cli::command(), directory))
                .map_err(CliError::io(what))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut page)
                .map_err(CliError::io("writing the manual page"))?;
            print_bytes(&page)?;
        }
    }
    Ok(Exit::Success)
}
