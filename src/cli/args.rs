//! The command line as a whole: commands and what all of them take.

use clap::{Args, Parser, Subcommand};

use super::render::Color;
use super::{
    build, check, clean, completions, derivation, doctor, eval, exec, explain, graph, init, list, logs, lsp,
    man, parse, plan, rerun, resume, run, runs, show,
};

const EXAMPLES: &str = "\
Examples:
  nixactions init                 write a starter nixactions.nix
  nixactions check                check the workflow found here
  nixactions run ci.nix           run a workflow
  nixactions run ci.nix#deploy    run one of several workflows in a file
  nixactions plan --format dot    print the graph of jobs
  nixactions explain NXA101       tell more about a finding

Exit codes:
  0    everything succeeded
  1    the workflow failed, or evaluating it did
  2    wrong usage, a syntax error, or an invalid workflow
  3    something other than the workflow failed (a full disk, a missing executor)
  130  cancelled by Ctrl-C (SIGINT)
  143  cancelled by SIGTERM
`eval` and `parse` exit with 1 for every error, as Nix does.";

/// Runs CI/CD workflows written in the Nix language, anywhere, without Nix.
#[derive(Debug, Parser)]
#[command(name = "nixactions", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// What all commands take.
    #[command(flatten)]
    pub(super) global: Global,
    /// The command.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What all commands take.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Global {
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(super) color: Color,
    /// Draw with ASCII characters only
    #[arg(long, global = true)]
    pub(super) ascii: bool,
}

/// The commands, in the order of the help.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Run(run::RunArgs),
    Check(check::CheckArgs),
    Plan(plan::PlanArgs),
    Graph(graph::GraphArgs),
    List(list::ListArgs),
    Init(init::InitArgs),
    Exec(exec::ExecArgs),
    Runs(runs::RunsArgs),
    Show(show::ShowArgs),
    Logs(logs::LogsArgs),
    Rerun(rerun::RerunArgs),
    Resume(resume::ResumeArgs),
    Build(build::BuildArgs),
    Clean(clean::CleanArgs),
    Doctor(doctor::DoctorArgs),
    Explain(explain::ExplainArgs),
    Lsp(lsp::LspArgs),
    Eval(eval::EvalArgs),
    Derivation(derivation::DerivationArgs),
    Parse(parse::ParseArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "{} has no examples", command.get_name());
            assert!(command.get_about().is_some(), "{} has no description", command.get_name());
        }
    }
}
