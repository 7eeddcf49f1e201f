//! `nixactions check`: all that is wrong with workflows and Nix files, without running anything.

mod files;
mod fixing;
mod overlay;
mod settings;
mod watch;

use std::io::{self, Write};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use clap::Args;

use super::args::Global;
use super::error::{CliError, Exit};
use super::load::{self, Evaluation};
use super::render::{self, Counts, Format, Style};
use super::shellcheck::{Program, Remembering};
use crate::diag::Diagnostic;
use crate::lint::verdict::ShellCheck;
use crate::lint::{self, Linted};
use crate::workflow::load::Request;
use files::Input;
use overlay::{Files, Overlay};

const EXAMPLES: &str = "\
Examples:
  nixactions check                            check the workflow found here
  nixactions check ci.nix deploy.nix
  nixactions check .                          every Nix file below this directory
  nixactions check --fix ci.nix               apply the fixes that keep the meaning
  nixactions check --deny unused-binding --allow NXA204
  nixactions check --format sarif > findings.sarif
  nixactions check --stdin-filename ci.nix - < ci.nix
  nixactions check --watch";

/// Check workflows and Nix files; runs, builds and fetches nothing
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    /// Files (FILE or FILE#NAME), directories with Nix files, or `-` for standard input; by default
    /// the nearest nixactions.nix or ci.nix
    #[arg(value_name = "FILE")]
    targets: Vec<String>,
    /// How to write the findings
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Apply the fixes that keep the meaning, and show what is left
    #[arg(long)]
    fix: bool,
    /// Apply the fixes that may change the meaning as well
    #[arg(long)]
    unsafe_fixes: bool,
    /// Where the text on standard input belongs: its name, and what its paths start from
    #[arg(long, value_name = "PATH")]
    stdin_filename: Option<std::path::PathBuf>,
    /// Leave out what shellcheck says of scripts, also when it is installed
    #[arg(long)]
    no_shellcheck: bool,
    /// Check again whenever a file changes
    #[arg(long, conflicts_with_all = ["fix", "unsafe_fixes"])]
    watch: bool,
    /// Treat warnings as errors
    #[arg(long)]
    deny_warnings: bool,
    #[command(flatten)]
    levels: settings::LevelArgs,
    #[command(flatten)]
    evaluation: Evaluation,
}

/// What one round of checking found.
#[derive(Default)]
struct Round {
    findings: Vec<Diagnostic>,
    files: usize,
    workflows: usize,
    plain: usize,
    /// Whether there are scripts and shellcheck is not installed.
    unchecked_scripts: bool,
}

/// Checks every file and writes all findings.
pub(super) fn run(args: &CheckArgs, global: &Global) -> Result<Exit, CliError> {
    args.levels.check()?;
    if args.watch {
        return watch::run(args, global);
    }
    let overlay = Arc::new(Overlay::default());
    let inputs = files::find(args, &overlay)?;
    if args.fix || args.unsafe_fixes {
        return fixing::run(args, global, &inputs, &overlay);
    }
    let round = check(args, &inputs, &overlay)?;
    write(args, global, &round, io::stdout())?;
    Ok(exit(args, &round.findings))
}

/// Checks inputs on all cores, in order.
fn check(args: &CheckArgs, inputs: &[Input], overlay: &Arc<Overlay>) -> Result<Round, CliError> {
    let requests: Vec<Request> = requests(args, inputs)?;
    let (levels, mut findings) = settings::levels(args, inputs)?;
    let kept = args.evaluation.cache()?;
    let shell = if args.no_shellcheck { None } else { Program::find() };
    let shell = shell.map(|program| Remembering::new(program, kept.clone()));
    let shell = shell.as_ref().map(|s| s as &dyn ShellCheck);
    // A text that takes the place of a file is in no cache, and a watch must see what is read.
    let cache = if args.watch || overlay.is_used() { None } else { kept };
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Linted>>> = Mutex::new(inputs.iter().map(|_| None).collect());
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(inputs.len());
    std::thread::scope(|s| {
        for _ in 0..threads {
            s.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let (Some(input), Some(request)) = (inputs.get(i), requests.get(i)) else { return };
                    let options = lint::Options {
                        levels: &levels[i],
                        shell,
                        guess: !input.certain,
                        cache: cache.as_ref(),
                    };
                    let linted = one(request, &options, overlay);
                    results.lock().unwrap_or_else(|e| e.into_inner())[i] = Some(linted);
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_else(|e| e.into_inner());
    let mut round = Round { files: inputs.len(), ..Round::default() };
    let mut scripts = false;
    for linted in results.into_iter().flatten() {
        round.workflows += linted.outcome.workflows.len();
        round.plain += usize::from(!linted.is_workflow);
        scripts |= linted.has_scripts;
        findings.extend(linted.diagnostics);
    }
    round.findings = findings;
    round.unchecked_scripts = shell.is_none() && !args.no_shellcheck && scripts;
    Ok(round)
}

/// Checks one input.
fn one(request: &Request, options: &lint::Options<'_>, overlay: &Arc<Overlay>) -> Linted {
    let io = {
        let overlay = overlay.clone();
        move || -> Rc<dyn crate::eval::io::EvalIo> { Rc::new(Files(overlay)) }
    };
    lint::check(request, io, options)
}

/// What is asked of the evaluator for each input.
fn requests(args: &CheckArgs, inputs: &[Input]) -> Result<Vec<Request>, CliError> {
    let Some(first) = inputs.first() else { return Ok(Vec::new()) };
    let base = load::request(first.target.clone(), &args.evaluation, true)?;
    let request = |input: &Input| Request {
        file: input.target.file.clone(),
        name: input.target.name.clone(),
        all: input.target.name.is_none(),
        project_dir: input.target.project_dir(),
        ..base.clone()
    };
    Ok(inputs.iter().map(request).collect())
}

/// Writes the findings of a round.
fn write(
    args: &CheckArgs,
    global: &Global,
    round: &Round,
    mut out: impl Write + io::IsTerminal + std::os::fd::AsFd,
) -> Result<(), CliError> {
    let style = Style::detect(global.color, global.ascii, &out);
    let written = match (args.format, round.findings.is_empty()) {
        (Format::Human | Format::Short, true) => writeln!(out, "{}", nothing_found(round)),
        (format, _) => render::write(&round.findings, format, &style, &mut out),
    };
    // Said beside the findings: it is no fault of the files.
    if round.unchecked_scripts && args.format == Format::Human {
        eprintln!("info: shellcheck is not installed, so scripts were not checked");
    }
    written.and_then(|()| out.flush()).map_err(CliError::io("writing to standard output"))
}

fn nothing_found(round: &Round) -> String {
    let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let workflows = count(round.workflows, "workflow");
    match (round.plain, round.workflows) {
        (0, _) => format!("{workflows} checked, nothing found"),
        (_, 0) => format!("{} checked, nothing found", count(round.files, "file")),
        _ => format!("{} checked, with {workflows}, nothing found", count(round.files, "file")),
    }
}

fn exit(args: &CheckArgs, findings: &[Diagnostic]) -> Exit {
    match load::exit(findings) {
        Exit::Success if args.deny_warnings && Counts::of(findings).warnings > 0 => Exit::Invalid,
        exit => exit,
    }
}
