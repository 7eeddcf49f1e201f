//! `nixactions logs`: what the steps of a past run printed.

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};

use clap::Args;

use super::error::{CliError, Exit};
use crate::engine::event::{Event, EventKind, JobResult, Name, Stream};
use crate::engine::history::{reader, store};
use crate::engine::rundir;

const EXAMPLES: &str = "\
Examples:
  nixactions logs                        all output of the newest run
  nixactions logs --job test             that of one job, without prefixes
  nixactions logs --failed               that of the steps that failed
  nixactions logs 3f9a --format json";

/// Print what the steps of a past run printed
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct LogsArgs {
    /// The run, by its identifier or a part of it; the newest by default
    run: Option<String>,
    /// Only this job
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Only steps of this name
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// Only steps that failed
    #[arg(long)]
    failed: bool,
    /// Begin each line with its time
    #[arg(short = 't', long)]
    timestamps: bool,
    /// How to write it
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: super::runs::ListFormat,
}

/// Prints it.
pub(super) fn run(args: &LogsArgs) -> Result<Exit, CliError> {
    let usage = |e: &dyn std::fmt::Display| CliError::Usage(e.to_string());
    let entry = store::find(&rundir::cache_root(), args.run.as_deref()).map_err(|e| usage(&e))?;
    let read = || reader::events(&entry).map_err(|e| CliError::Infrastructure(e.to_string()));
    let events = read()?;
    if let Some(job) = &args.job
        && !events.jobs().iter().any(|info| *info.name == **job)
    {
        let known: Vec<&str> = events.jobs().iter().map(|info| info.name.as_str()).collect();
        return Err(CliError::Usage(format!(
            "run {} has no job `{job}`; it has: {}",
            entry.id,
            known.join(", ")
        )));
    }
    let failed = if args.failed { failed_steps(read()?) } else { HashSet::new() };
    let chosen = |job: &Name, step: Option<(u32, &Name)>| {
        args.job.as_ref().is_none_or(|wanted| **wanted == **job)
            && args.step.as_ref().is_none_or(|wanted| step.is_some_and(|(_, name)| **wanted == **name))
            && (!args.failed || step.is_some_and(|(index, _)| failed.contains(&(job.clone(), index))))
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut open: Option<(Name, Stream)> = None;
    for event in events {
        let EventKind::Log { job, step, stream, text, partial } = &event.kind else { continue };
        let place = step.as_ref().map(|step| (step.index, &step.name));
        if !chosen(job, place) {
            continue;
        }
        let written = match args.format {
            super::runs::ListFormat::Json => serde_json::to_writer(&mut out, &event)
                .map_err(io::Error::from)
                .and_then(|()| out.write_all(b"\n")),
            super::runs::ListFormat::Text => {
                let goes_on = open.as_ref().is_some_and(|(j, s)| j == job && s == stream);
                let prefix = if goes_on { String::new() } else { prefix(args, &event, job, place) };
                open = partial.then(|| (job.clone(), *stream));
                let end: &[u8] = if *partial { b"" } else { b"\n" };
                out.write_all(prefix.as_bytes())
                    .and_then(|()| out.write_all(&text.0))
                    .and_then(|()| out.write_all(end))
            }
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Success),
            other => other.map_err(CliError::io("writing to standard output"))?,
        }
    }
    match out.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::Io { what: "writing to standard output".into(), error })
        }
        _ => Ok(Exit::Success),
    }
}

fn prefix(args: &LogsArgs, event: &Event, job: &Name, step: Option<(u32, &Name)>) -> String {
    let mut prefix = if args.timestamps { format!("{} ", event.time) } else { String::new() };
    if args.job.is_none() {
        prefix += job;
        if let Some((_, step)) = step {
            prefix = prefix + "/" + step;
        }
        prefix += " | ";
    }
    prefix
}

fn failed_steps(events: reader::Events) -> HashSet<(Name, u32)> {
    events
        .filter_map(|event| match event.kind {
            EventKind::StepFinished { job, step, result: JobResult::Failure, .. } => Some((job, step.index)),
            _ => None,
        })
        .collect()
}
