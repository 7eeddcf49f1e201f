//! From the command line to checked workflows.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::args::Global;
use super::elsewhere_flake;
use super::error::{CliError, Exit, Findings};
use super::machine::{Machine, Reach};
use super::nix_options::{Argument, NixOptions};
use super::render::{self, Format, Style};
use super::target::Target;
use crate::diag::{Diagnostic, Severity};
use crate::engine::rundir;
use crate::eval::{Settings, on_big_stack};
use crate::evalcache::{self, Purpose, Store};
use crate::workflow::load::{self, Outcome, Request};
use crate::workflow::plan::Plan;

/// Which workflow, and how to evaluate it.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Selection {
    /// The workflow: FILE, FILE#NAME or #NAME; by default the nearest nixactions.nix or ci.nix
    #[arg(value_name = "FILE#NAME")]
    pub(super) target: Option<String>,
    #[command(flatten)]
    pub(super) evaluation: Evaluation,
}

/// What a workflow file is evaluated with.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Evaluation")]
pub(super) struct Evaluation {
    /// Set an input of the workflow
    #[arg(long, value_name = "NAME=VALUE")]
    input: Vec<String>,
    /// Where nixpkgs is, for files that ask for `pkgs`
    #[arg(long, value_name = "PATH")]
    pkgs: Option<PathBuf>,
    /// The project's directory, instead of that of the file
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// Fetch nothing: take sources from the store and the cache
    #[arg(long)]
    pub(super) offline: bool,
    /// Evaluate, whether or not an earlier result could be used, and keep none
    #[arg(long)]
    no_eval_cache: bool,
    #[command(flatten)]
    nix: NixOptions,
}

/// The variable that switches the cache of evaluations off when it is `0`, `off`, `no` or `false`.
const SWITCH: &str = "NIXACTIONS_EVAL_CACHE";

impl Evaluation {
    /// The cache of evaluations, if it may be used.
    pub(super) fn cache(&self) -> Result<Option<Store>, CliError> {
        let switch = std::env::var(SWITCH).unwrap_or_default();
        let off = self.no_eval_cache || ["0", "off", "no", "false"].contains(&switch.as_str());
        if off || !self.nix.resolve()?.eval_cache {
            return Ok(None);
        }
        Ok(Store::below(&rundir::cache_root()))
    }

    /// Settings of the evaluator, and where nixpkgs is.
    pub(super) fn settings(&self) -> Result<(Settings, Option<PathBuf>), CliError> {
        let mut resolved = self.nix.resolve()?;
        with_fetch_tree(&mut resolved.settings);
        for warning in &resolved.warnings {
            eprintln!("warning: {warning}");
        }
        let current_dir = std::env::current_dir().map_err(CliError::io("finding the current directory"))?;
        Ok((resolved.settings, self.pkgs.as_ref().map(|p| current_dir.join(p))))
    }
}

/// Evaluates and checks a workflow file; with `all`, every workflow in it.
pub(super) fn outcome(target: Option<&str>, evaluation: &Evaluation, all: bool) -> Result<Outcome, CliError> {
    let here = std::env::current_dir().map_err(CliError::io("finding the current directory"))?;
    let found = match target.and_then(|t| elsewhere_flake::reference(t, &here)) {
        Some((reference, name)) => elsewhere_flake::fetch(reference, name, &here, evaluation)?,
        None => Target::find(target)?,
    };
    let request = request(found, evaluation, all)?;
    let (store, offline) = (request.settings.store_dir.clone(), evaluation.offline);
    let cache = evaluation.cache()?;
    Ok(on_big_stack(|| {
        let io = Machine::new(Reach::Everything, &store, offline);
        evalcache::load(cache.as_ref(), Purpose::Plans, &request, io, &mut |_| ())
    }))
}

/// The project that a directory belongs to: its repository's root, else itself.
fn project_of(dir: &Path) -> Result<PathBuf, CliError> {
    let shown = dir.display().to_string();
    let dir =
        dir.canonicalize().map_err(|e| CliError::Usage(format!("cannot use {shown} as the project: {e}")))?;
    let root = dir.ancestors().find(|d| d.join(".git").exists()).map(Path::to_owned);
    Ok(root.unwrap_or(dir))
}

/// Workflows may call `fetchTree`, as anything may that is evaluated from a flake.
fn with_fetch_tree(settings: &mut Settings) {
    if !settings.feature("fetch-tree") {
        settings.features.push("fetch-tree".into());
    }
}

/// What the command line asks to evaluate.
pub(super) fn request(target: Target, evaluation: &Evaluation, all: bool) -> Result<Request, CliError> {
    let current_dir = std::env::current_dir().map_err(CliError::io("finding the current directory"))?;
    let mut resolved = evaluation.nix.resolve()?;
    with_fetch_tree(&mut resolved.settings);
    for warning in &resolved.warnings {
        eprintln!("warning: {warning}");
    }
    let mut inputs = Vec::new();
    for pair in &evaluation.input {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(CliError::Usage(format!("`--input` takes NAME=VALUE, not `{pair}`")));
        };
        inputs.push((name.to_owned(), value.to_owned()));
    }
    let args = evaluation.nix.arguments().into_iter().map(|(name, argument)| {
        let argument = match argument {
            Argument::Expr(text) => load::Argument::Expr(text),
            Argument::Str(text) => load::Argument::Text(text),
        };
        (name, argument)
    });
    Ok(Request {
        project_dir: match &evaluation.project {
            Some(dir) => project_of(&current_dir.join(dir))?,
            None => target.project_dir(),
        },
        all: all && target.name.is_none(),
        name: target.name,
        file: target.file,
        pkgs: evaluation.pkgs.as_ref().map(|p| current_dir.join(p)),
        current_dir,
        inputs,
        placeholders: all,
        args: args.collect(),
        settings: resolved.settings,
    })
}

/// The plan of the selected workflow. Warnings are shown; errors end the command.
pub(super) fn plan(selection: &Selection, global: &Global) -> Result<Plan, CliError> {
    let outcome = outcome(selection.target.as_deref(), &selection.evaluation, false)?;
    let findings: Vec<Diagnostic> = outcome.findings().cloned().collect();
    if outcome.has_errors() {
        let exit = exit(&findings);
        return Err(CliError::Findings(Findings(findings), exit));
    }
    let shown: Vec<Diagnostic> = findings.into_iter().filter(|d| d.severity == Severity::Warning).collect();
    if !shown.is_empty() {
        let stderr = io::stderr();
        let style = Style::detect(global.color, global.ascii, &stderr);
        render::write(&shown, Format::Human, &style, &mut stderr.lock())
            .map_err(CliError::io("writing to standard error"))?;
    }
    let plan = outcome.workflows.into_iter().find_map(|w| w.plan);
    plan.ok_or_else(|| CliError::Infrastructure("the workflow has no plan, and no finding says why".into()))
}

/// Codes of errors that come from evaluating, not from what the file says.
const OF_EVALUATION: [&str; 2] = ["NXA021", "NXA022"];

/// The exit code for findings: 1 when evaluation failed and nothing else is wrong, 2 for any other
/// error.
pub(super) fn exit(findings: &[Diagnostic]) -> Exit {
    let errors: Vec<&Diagnostic> = findings.iter().filter(|d| d.severity == Severity::Error).collect();
    match errors.iter().all(|d| OF_EVALUATION.contains(&d.code)) {
        true if errors.is_empty() => Exit::Success,
        true => Exit::Failed,
        false => Exit::Invalid,
    }
}
