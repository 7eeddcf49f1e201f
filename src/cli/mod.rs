//! Owns: commands, and findings as text.
//! May import: base diag syntax drv ir eval evalcache workflow lint engine exec report store packages inputs ide lsp.

mod args;
mod build;
mod changes;
mod check;
mod choose;
mod clean;
mod completions;
mod derivation;
mod doctor;
mod elsewhere;
mod elsewhere_flake;
mod error;
mod eval;
mod exec;
mod explain;
mod graph;
mod how;
mod init;
mod list;
mod load;
mod logs;
mod lsp;
mod machine;
mod man;
mod nix_error;
mod nix_options;
mod nix_settings;
mod outline;
mod parse;
mod plan;
pub mod render;
mod reports;
mod rerun;
mod resume;
mod run;
mod runs;
mod shellcheck;
mod show;
mod target;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

pub use args::Cli;
use args::Command;
use error::{CliError, Exit};

use crate::exec::local::guard;

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    // Not a command for people: see the guard.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|word| word == guard::WORD)
        && let (Some(run_dir), Some(runner)) = (args.next(), args.next())
        && let Some(runner) = runner.to_str().and_then(|pid| pid.parse().ok())
    {
        guard::watch(run_dir.as_ref(), runner);
        return ExitCode::SUCCESS;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return ExitCode::from(usage(&e) as u8),
    };
    let result = dispatch(&cli);
    let exit = result.unwrap_or_else(|e| {
        e.report(&cli.global);
        e.exit()
    });
    ExitCode::from(exit.code())
}

/// Prints what clap has to say. `eval` and `parse` answer as Nix does, with 1, even to wrong usage.
fn usage(e: &clap::Error) -> i32 {
    // Nothing can be done about a closed standard stream here.
    drop(e.print());
    match e.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
        _ => {
            let mut args = std::env::args_os().skip(1);
            // The first word that is no option is the command; `--color` takes the word after it.
            let command = loop {
                match args.next() {
                    Some(a) if a == "--color" => drop(args.next()),
                    Some(a) if a.as_encoded_bytes().starts_with(b"-") => {}
                    other => break other,
                }
            };
            if command.is_some_and(|a| a == "eval" || a == "parse") { 1 } else { 2 }
        }
    }
}

fn dispatch(cli: &Cli) -> Result<Exit, CliError> {
    let global = &cli.global;
    match &cli.command {
        Command::Check(args) => check::run(args, global),
        Command::Run(args) => run::run(args, global),
        Command::List(args) => list::run(args, global),
        Command::Plan(args) => plan::run(args, global),
        Command::Graph(args) => graph::run(args, global),
        Command::Exec(args) => exec::run(args, global),
        Command::Resume(args) => resume::run(args, global),
        Command::Rerun(args) => rerun::run(args, global),
        Command::Runs(args) => runs::run(args),
        Command::Show(args) => show::run(args),
        Command::Logs(args) => logs::run(args),
        Command::Build(args) => build::run(args, global),
        Command::Derivation(args) => derivation::run(args),
        Command::Clean(args) => clean::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Parse(args) => parse::run(args),
        Command::Init(args) => init::run(args),
        Command::Doctor(args) => doctor::run(args, global),
        Command::Explain(args) => explain::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Lsp(args) => lsp::run(args),
        Command::Man(args) => man::run(args),
    }
}
