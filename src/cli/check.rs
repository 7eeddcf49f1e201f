//! `nixactions check`: all that is wrong with workflows, without running anything.

use std::io::{self, Write};
use std::rc::Rc;

use clap::Args;

use super::args::Global;
use super::error::{CliError, Exit};
use super::load::{self, Evaluation};
use super::render::{self, Counts, Format, Style};
use super::target::Target;
use crate::diag::Diagnostic;
use crate::eval::io::System;
use crate::lint::{self, Levels};

const EXAMPLES: &str = "\
Examples:
  nixactions check
  nixactions check ci.nix deploy.nix
  nixactions check --format github
  nixactions check --format sarif > findings.sarif";

/// Check workflows; runs, builds, fetches and writes nothing
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    /// The files, each as FILE or FILE#NAME; by default the nearest nixactions.nix or ci.nix
    #[arg(value_name = "FILE")]
    targets: Vec<String>,
    /// How to write the findings
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Treat warnings as errors
    #[arg(long)]
    deny_warnings: bool,
    #[command(flatten)]
    evaluation: Evaluation,
}

/// Checks every file and writes all findings.
pub(super) fn run(args: &CheckArgs, global: &Global) -> Result<Exit, CliError> {
    let targets: Vec<Option<&str>> = match args.targets.is_empty() {
        true => vec![None],
        false => args.targets.iter().map(|t| Some(t.as_str())).collect(),
    };
    let mut findings: Vec<Diagnostic> = Vec::new();
    let mut workflows = 0;
    for target in targets {
        let request = load::request(Target::find(target)?, &args.evaluation, true)?;
        let linted = lint::file(&request, || Rc::new(System), &Levels::default());
        findings.extend(linted.diagnostics);
        workflows += linted.outcome.workflows.len();
    }
    let stdout = io::stdout();
    let style = Style::detect(global.color, global.ascii, &stdout);
    let mut out = stdout.lock();
    let written = match (args.format, findings.is_empty()) {
        (Format::Human | Format::Short, true) => {
            let plural = if workflows == 1 { "" } else { "s" };
            writeln!(out, "{workflows} workflow{plural} checked, nothing found")
        }
        (format, _) => render::write(&findings, format, &style, &mut out),
    };
    written.and_then(|()| out.flush()).map_err(CliError::io("writing to standard output"))?;
    match load::exit(&findings) {
        Exit::Success if args.deny_warnings && Counts::of(&findings).warnings > 0 => Ok(Exit::Invalid),
        exit => Ok(exit),
    }
}
