//! `nixactions completions`: completion scripts for shells.

use clap::{Args, CommandFactory};

use super::args::Cli;
use super::error::{CliError, Exit, print_bytes};

const EXAMPLES: &str = "\
Examples:
  nixactions completions bash > ~/.local/share/bash-completion/completions/nixactions
  nixactions completions zsh > ~/.zfunc/_nixactions
  nixactions completions fish > ~/.config/fish/completions/nixactions.fish";

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "nixactions", &mut script);
    print_bytes(&script)?;
    Ok(Exit::Success)
}
