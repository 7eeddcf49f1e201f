//! `nixactions lsp`: the language server.

use std::io;

use clap::Args;

use super::error::{CliError, Exit};
use super::load::Evaluation;
use super::shellcheck::Program;
use crate::eval::on_big_stack;
use crate::lsp::scripts::Runner;
use crate::lsp::server::{Ending, Options, serve};

const EXAMPLES: &str = "\
Examples:
  nixactions lsp                        started by an editor, which speaks over standard input and output
  nixactions lsp --pkgs ~/src/nixpkgs   the same, with nixpkgs for files that ask for `pkgs`

docs/editors.md has the settings of Neovim, Helix, Emacs, Zed and VS Code.";

/// Serve an editor: the Language Server Protocol over standard input and output
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct LspArgs {
    /// Speak over standard input and output; this is always so, and editors may say it
    #[arg(long)]
    stdio: bool,
    #[command(flatten)]
    evaluation: Evaluation,
}

/// Serves until the editor says `exit` or goes away.
pub(super) fn run(args: &LspArgs) -> Result<Exit, CliError> {
    let (settings, pkgs) = args.evaluation.settings()?;
    let shellcheck = Program::find()
        .map(|program| -> Runner { Box::new(move |scripts, stop| program.run(scripts, stop)) });
    let options = Options { settings, pkgs, shellcheck };
    let ending = on_big_stack(|| serve(io::stdin(), io::stdout(), options));
    match ending.map_err(CliError::io("starting the language server"))? {
        Ending::Orderly => Ok(Exit::Success),
        Ending::Abrupt => Ok(Exit::Failed),
    }
}
