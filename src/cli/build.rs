//! `nixactions build`: makes the packages of a workflow, and runs nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;

use super::args::Global;
use super::choose::Named;
use super::error::{CliError, Exit, print};
use super::load::{self, Selection};
use crate::engine::event::PackageState;
use crate::engine::packages::{News, PackageError, Packages, Report};
use crate::packages::{Daemon, Needs};
use crate::workflow::plan::Plan;

const EXAMPLES: &str = "\
Examples:
  nixactions build
  nixactions build ci.nix#deploy
  nixactions build --job 'test-*'
  nixactions build --dry-run
  nixactions build --format json | jq -r '.paths[]'";

/// Build the packages that a workflow needs, and run nothing
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct BuildArgs {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    named: Named,
    /// Only say what would be built and fetched
    #[arg(long)]
    dry_run: bool,
    /// How to write the result
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: BuildFormat,
}

/// How the result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum BuildFormat {
    /// One path a line
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// Builds, or says what would be built.
pub(super) fn run(args: &BuildArgs, global: &Global) -> Result<Exit, CliError> {
    let plan = load::plan(&args.selection, global)?;
    let chosen = args.named.jobs(&plan)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(CliError::io("starting the runtime"))?;
    let work = async {
        tokio::select! {
            done = work(args, &plan, &chosen) => done,
            _ = tokio::signal::ctrl_c() => Ok(Exit::Code(130)),
        }
    };
    runtime.block_on(work)
}

async fn work(args: &BuildArgs, plan: &Plan, chosen: &[bool]) -> Result<Exit, CliError> {
    let daemon = Daemon::from_environment();
    if args.dry_run {
        return dry_run(args, &daemon, plan, chosen).await;
    }
    daemon.prepare(plan, chosen).await.map_err(CliError::Infrastructure)?;
    let tell: Report = Arc::new(|news| eprintln!("{}", line(&news)));
    daemon.start(tell);
    let mut failures: Vec<(String, PackageError)> = Vec::new();
    let owners = std::iter::once(None).chain((0..plan.jobs.len()).map(Some));
    for owner in owners {
        if let Err(e) = daemon.ready(owner).await {
            let name =
                owner.map_or_else(|| "the workflow".into(), |id| format!("job `{}`", plan.jobs[id].name));
            failures.push((name, e));
        }
    }
    let needs = Needs::of(plan).only(chosen);
    let paths: BTreeSet<String> =
        needs.all().filter_map(|n| n.path.as_ref()).map(|p| needs.dir.print(p)).collect();
    daemon.finish().await;
    for (owner, e) in &failures {
        let step = e.step.as_ref().map_or(String::new(), |s| format!(", step `{s}`"));
        eprintln!("error: {owner}{step} needs the package `{}`: {}", e.package, e.message);
    }
    if failures.is_empty() {
        let text = match args.format {
            BuildFormat::Text => paths.iter().map(|p| format!("{p}\n")).collect(),
            BuildFormat::Json => serde_json::json!({ "paths": paths }).to_string() + "\n",
        };
        print(&text)?;
        return Ok(Exit::Success);
    }
    match failures.iter().any(|(_, e)| e.infrastructure) {
        true => Ok(Exit::Infrastructure),
        false => Ok(Exit::Failed),
    }
}

fn line(news: &News) -> String {
    match news {
        News::Log { package, line } => format!("{package}> {line}"),
        News::State { package, state } => match state {
            PackageState::Building => format!("building {package}"),
            PackageState::Fetching => format!("fetching {package}"),
            PackageState::Done { .. } => format!("{package} is there"),
            PackageState::Failed { message } => format!("{package} failed: {message}"),
        },
    }
}

async fn dry_run(args: &BuildArgs, daemon: &Daemon, plan: &Plan, chosen: &[bool]) -> Result<Exit, CliError> {
    let (dir, missing) = daemon.missing(plan, chosen).await.map_err(CliError::Infrastructure)?;
    let shown = |paths: &BTreeSet<_>| paths.iter().map(|p| dir.print(p)).collect::<Vec<String>>();
    let (build, fetch, unknown) = (shown(&missing.build), shown(&missing.fetch), shown(&missing.unknown));
    let text = match args.format {
        BuildFormat::Json => {
            let value = serde_json::json!({
                "build": build,
                "fetch": fetch,
                "unknown": unknown,
                "downloadBytes": missing.download_size,
            });
            value.to_string() + "\n"
        }
        BuildFormat::Text => {
            let list = |head: &str, paths: &[String]| match paths {
                [] => String::new(),
                paths => format!("{head}\n{}", paths.iter().map(|p| format!("  {p}\n")).collect::<String>()),
            };
            let text = list("would be built:", &build)
                + &list("would be fetched:", &fetch)
                + &list("nobody knows how to make:", &unknown);
            if text.is_empty() { "everything is there\n".into() } else { text }
        }
    };
    print(&text)?;
    Ok(Exit::Success)
}
