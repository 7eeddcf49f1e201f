//! `nixactions doctor`: whether the executors of a workflow can work here.

use clap::{Args, ValueEnum};

use super::args::Global;
use super::error::{CliError, Exit, print};
use super::load::{self, Selection};
use crate::engine::rundir;
use crate::exec::doctor::{self, Report};
use crate::exec::registry::Registry;

const EXAMPLES: &str = "\
Examples:
  nixactions doctor
  nixactions doctor ci.nix#deploy
  nixactions doctor --format json";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Try the executors of a workflow: whether each can work here, and what is missing
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    selection: Selection,
    /// How to write what was found
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// Tries each executor and tells.
pub(super) fn run(args: &DoctorArgs, global: &Global) -> Result<Exit, CliError> {
    let plan = load::plan(&args.selection, global)?;
    let reports = doctor::examine(&plan, &rundir::cache_root(), &Registry)
        .map_err(|e| CliError::Infrastructure(format!("cannot try the executors: {e}")))?;
    match args.format {
        Format::Text => print(&text(&reports))?,
        Format::Json => {
            let json = serde_json::to_string_pretty(&reports)
                .map_err(|e| CliError::Infrastructure(format!("cannot write JSON: {e}")))?;
            print(&format!("{json}\n"))?;
        }
    }
    let works = reports.iter().all(|report| report.problem.is_none());
    Ok(if works { Exit::Success } else { Exit::Infrastructure })
}

fn text(reports: &[Report]) -> String {
    let mut out = String::new();
    for report in reports {
        let Report { name, kind, jobs, problem, missing } = report;
        let kind = if name == kind { String::new() } else { format!(" ({kind})") };
        let verdict = if problem.is_some() { "cannot work" } else { "works" };
        out += &format!("{name}{kind}: {verdict}, for {}\n", jobs.join(", "));
        for line in problem.iter().flat_map(|problem| problem.lines()) {
            out += &format!("  {line}\n");
        }
        for (program, why) in missing {
            out += &format!("  there is no `{program}`, which is needed for {why}\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let report = Report {
            name: "build".into(),
            kind: "ssh".into(),
            jobs: vec!["a".into(), "b".into()],
            problem: None,
            missing: [("git".to_owned(), "actions.checkout".to_owned())].into(),
        };
        let broken = Report {
            problem: Some("host `h` is down".into()),
            missing: Default::default(),
            ..report.clone()
        };
        assert_eq!(
            text(&[report, broken]),
            "build (ssh): works, for a, b\n  there is no `git`, which is needed for actions.checkout\n\
             build (ssh): cannot work, for a, b\n  host `h` is down\n"
        );
    }
}
