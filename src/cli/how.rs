//! How a plan is run: what `run`, `resume` and `rerun` have in common.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use clap::Args;

use super::args::Global;
use super::error::{CliError, Exit};
use super::load::{self, Evaluation, Selection};
use super::render::Color;
use super::reports::{self, ReportArgs};
use super::target::Target;
use crate::engine::attend::{Attendant, Scene};
use crate::engine::begin::{Choice, GuardStarter, Record};
use crate::engine::dotenv::{self, Dialect};
use crate::engine::driver::{self, Options};
use crate::engine::event::{Event, EventSink, Level};
use crate::engine::history::store::{Entry, Origin, Stored};
use crate::engine::rundir;
use crate::exec::local::{self, guard::Guard};
use crate::exec::registry::Registry;
use crate::packages::Daemon;
use crate::report::{self, Format, Settings};
use crate::workflow::plan::Plan;

/// Variables, and how the run is shown.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Running")]
pub(super) struct How {
    /// Set a variable for every step, above all others
    #[arg(short = 'e', long = "env", value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Set the variables of a dotenv file for every step; `-e` wins over it
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Keep the environment that nixactions was started in away from the steps
    #[arg(long)]
    pure: bool,
    /// Jobs at a time
    #[arg(short = 'j', long, value_name = "N")]
    max_parallel: Option<std::num::NonZeroUsize>,
    /// How to show the run: live, structured, simple, grouped, json
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Least important lines to show: debug, info, warning, error
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
    /// Keep the directories of the run (also NIXACTIONS_KEEP_WORKSPACE=1)
    #[arg(long, visible_alias = "keep-workspace")]
    keep: bool,
    /// Open a shell where a step failed, with its environment, before the job goes on
    #[arg(long)]
    shell_on_failure: bool,
    #[command(flatten)]
    reports: ReportArgs,
}

impl How {
    /// Whether JSON was asked for.
    pub(super) fn wants_json(&self) -> bool {
        self.format.as_deref().is_some_and(|format| format.eq_ignore_ascii_case("json"))
    }

    /// Runs a plan to its end.
    pub(super) fn run(
        &self,
        plan: Plan,
        global: &Global,
        origin: Origin,
        choice: Choice,
    ) -> Result<Exit, CliError> {
        let mut options = Options::from_process();
        options.record = Some(Record { origin, ..Record::default() });
        if self.shell_on_failure {
            if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
                return Err(CliError::Usage("`--shell-on-failure` needs a terminal".into()));
            }
            options.attendant = Some(Attendant::new(false, |scene| local::open_shell(scene, &[])));
        }
        self.go(plan, global, choice, options, View::Run)
    }

    /// Opens a shell in the place of a plan's steps. Nothing of it is remembered, and only what keeps the
    /// shell from being opened is told; the exit code is the shell's.
    pub(super) fn attend(
        &self,
        plan: Plan,
        global: &Global,
        choice: Choice,
        open: impl Fn(&Scene) -> io::Result<i32> + Send + Sync + 'static,
    ) -> Result<Exit, CliError> {
        let mut quiet = self.clone();
        quiet.level.get_or_insert_with(|| "error".to_owned());
        quiet.format.get_or_insert_with(|| "simple".to_owned());
        let opened = Arc::new(AtomicBool::new(false));
        let code = Arc::new(OnceLock::new());
        let (begun, ended) = (Arc::clone(&opened), Arc::clone(&code));
        let attendant = Attendant::new(true, move |scene| {
            begun.store(true, Ordering::Release);
            let code = open(scene)?;
            let _first = ended.set(code);
            Ok(code)
        });
        let options = Options { attendant: Some(attendant), ..Options::from_process() };
        let exit = quiet.go(plan, global, choice, options, View::UntilOpened(opened))?;
        Ok(code.get().map_or(exit, |&code| Exit::Code(u8::try_from(code).unwrap_or(1))))
    }

    fn go(
        &self,
        plan: Plan,
        global: &Global,
        choice: Choice,
        mut options: Options,
        view: View,
    ) -> Result<Exit, CliError> {
        options.outside.overrides = overrides(self)?;
        options.pure = self.pure;
        options.keep |= self.keep;
        options.max_parallel = self.max_parallel.map(Into::into);
        options.choice = choice;
        options.packages = Some(Arc::new(Daemon::from_environment()));
        options.guard = Some(GuardStarter::new(|run_dir| {
            // The file itself, also when another has taken its place meanwhile.
            let guard = Guard::start(Path::new("/proc/self/exe"), run_dir)?;
            Ok(Box::new(guard))
        }));
        let mut settings = settings(self, global, &plan)?;
        if options.attendant.is_some() && settings.format == Format::Live {
            // What redraws itself would draw over the shell.
            settings.format = Format::Structured;
        }
        end_dead_runs(&options.cache_root);
        let reports = self.reports.begin()?;
        let sink = match view {
            View::Run => reports.with(report::reporter(settings, Box::new(io::stdout()))),
            View::UntilOpened(opened) => {
                let told = report::reporter(settings, Box::new(io::stderr()));
                Arc::new(Until { opened, told }) as Arc<dyn EventSink>
            }
        };
        let outcome = driver::run_blocking(plan, options, &Registry, sink);
        local::end_orphans();
        let written = reports.end();
        let outcome = outcome.map_err(|e| CliError::Infrastructure(e.to_string()))?;
        if let Some(kept) = &outcome.kept {
            eprintln!("kept {}", kept.display());
        }
        let exit = outcome.result.exit_code();
        // A run that went wrong says so itself, whatever became of its reports.
        match written {
            Err(e) if exit == 0 => Err(e),
            Err(e) => {
                eprintln!("{e}");
                Ok(Exit::Code(exit))
            }
            Ok(()) => Ok(Exit::Code(exit)),
        }
    }
}

/// What is shown of a run.
enum View {
    /// All of it.
    Run,
    /// On standard error, what happens before a shell is opened.
    UntilOpened(Arc<AtomicBool>),
}

/// Tells events until a shell is open: from then on the terminal is the shell's.
struct Until {
    opened: Arc<AtomicBool>,
    told: Arc<dyn EventSink>,
}

impl EventSink for Until {
    fn event(&self, event: &Event) {
        if !self.opened.load(Ordering::Acquire) {
            self.told.event(event);
        }
    }
}

/// The plan of a past run. Where secrets were left out of it, the workflow is evaluated again, and
/// must be the same but for them.
pub(super) fn stored_plan(
    entry: &Entry,
    evaluation: &Evaluation,
    global: &Global,
) -> Result<Stored, CliError> {
    let stored = entry.stored().map_err(CliError::Infrastructure)?;
    if !stored.redacted {
        return Ok(stored);
    }
    let selection = Selection { target: stored.origin.target.clone(), evaluation: evaluation.clone() };
    let plan = load::plan(&selection, global)?;
    if !stored.is_of(&plan) {
        let message = format!(
            "run {} has secrets, which are not kept, so that its workflow is evaluated again; but it has \
             changed since. `nixactions run` runs it as it is now",
            entry.id
        );
        return Err(CliError::Usage(message));
    }
    Ok(Stored { plan, ..stored })
}

/// Where a plan comes from, for who runs it again.
pub(super) fn origin(target: Option<&str>) -> Result<Origin, CliError> {
    // Absolute, because it may be looked at from anywhere.
    let here = std::env::current_dir().map_err(CliError::io("finding the current directory"))?;
    if let Some(target) = target.filter(|t| super::elsewhere_flake::reference(t, &here).is_some()) {
        return Ok(Origin { target: Some(target.to_owned()) });
    }
    let found = Target::find(target)?;
    let file = found.file.display();
    let target = found.name.as_ref().map_or_else(|| file.to_string(), |name| format!("{file}#{name}"));
    Ok(Origin { target: Some(target) })
}

/// Ends what runs left behind whose runner was killed, and removes their workspaces, in which
/// secrets may lie. Their artifacts stay, so that they can be resumed.
fn end_dead_runs(root: &Path) {
    // What cannot be removed now is tried again by the next run and by `nixactions clean`.
    for dead in rundir::list(root).unwrap_or_default().into_iter().filter(|run| !run.live) {
        let workspace = dead.path.join("ws");
        if workspace.is_dir() && std::fs::read_dir(&workspace).is_ok_and(|mut dir| dir.next().is_some()) {
            local::kill_run(&dead.id);
            let _ = rundir::remove_tree(&workspace);
        }
    }
}

fn settings(how: &How, global: &Global, plan: &Plan) -> Result<Settings, CliError> {
    let terminal = io::stdout().is_terminal();
    let usage = |e: report::UnknownSetting| CliError::Usage(e.to_string());
    let environment = std::env::var("NIXACTIONS_LOG_FORMAT").ok();
    let format =
        Format::choose(how.format.as_deref(), environment.as_deref(), plan.log_format.as_deref(), terminal)
            .map_err(usage)?;
    let environment = std::env::var("NIXACTIONS_LOG_LEVEL").ok().filter(|l| !l.is_empty());
    let level = match how.level.as_ref().or(environment.as_ref()).or(plan.log_level.as_ref()) {
        Some(name) => report::parse_level(name).map_err(usage)?,
        None => Level::Info,
    };
    let color = match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => Settings::wants_color(terminal),
    };
    Ok(Settings { format, level, color, on_github: reports::on_github() })
}

/// The variables of `--env-file` and `-e`, later ones winning.
fn overrides(how: &How) -> Result<Vec<(String, String)>, CliError> {
    let mut all = Vec::new();
    for file in &how.env_file {
        let shown = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|e| CliError::Usage(format!("cannot read {shown}: {e}")))?;
        let lookup = |name: &str| std::env::var(name).ok();
        let found = dotenv::parse(&text, Dialect::Dotenv, &lookup)
            .map_err(|e| CliError::Usage(format!("{shown}: {e}")))?;
        all.extend(found);
    }
    for pair in &how.env {
        match pair.split_once('=') {
            Some((name, value)) if dotenv::is_name(name) => all.push((name.into(), value.into())),
            // The text is not repeated: it may hold a secret.
            _ => {
                let message = "`-e` takes NAME=VALUE, the name made of letters, digits and `_`";
                return Err(CliError::Usage(message.into()));
            }
        }
    }
    Ok(all)
}
