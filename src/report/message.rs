//! An event as one line for people: how important it is, what it belongs to, and the text.

use std::io::Write;

use super::text::Took;
use crate::engine::event::{
    CancelCause, EventKind, Failure, JobResult, Level, Name, PackageState, RunResult, Scope, StepEnd, StepRef,
};

/// What a line belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) level: Level,
    pub(super) job: Option<&'a Name>,
    pub(super) step: Option<&'a StepRef>,
}

impl<'a> Line<'a> {
    fn run(level: Level) -> Line<'a> {
        Line { level, job: None, step: None }
    }

    fn job(level: Level, job: &'a Name) -> Line<'a> {
        Line { level, job: Some(job), step: None }
    }

    fn step(level: Level, job: &'a Name, step: &'a StepRef) -> Line<'a> {
        Line { level, job: Some(job), step: Some(step) }
    }
}

/// What the line of an event belongs to; cheap, so that lines below the level cost nothing more.
pub(super) fn line(kind: &EventKind) -> Line<'_> {
    use EventKind as E;
    match kind {
        E::RunStarted { .. } | E::RunResumed { .. } => Line::run(Level::Info),
        E::AmbientOverride { .. } => Line::run(Level::Info),
        E::RunCancelling { .. } => Line::run(Level::Warning),
        E::RunFinished { result, .. } => Line::run(match result {
            RunResult::Success => Level::Info,
            _ => Level::Error,
        }),
        E::Provider { scope, error, .. } => {
            let level = if error.is_some() { Level::Error } else { Level::Debug };
            match scope {
                Scope::Workflow => Line::run(level),
                Scope::Job { job } => Line::job(level, job),
                Scope::Step { job, step } => Line::step(level, job, step),
            }
        }
        E::JobReady { job } => Line::job(Level::Debug, job),
        E::JobStarted { job, .. } | E::JobSkipped { job, .. } | E::JobRestored { job, .. } => {
            Line::job(Level::Info, job)
        }
        E::JobRetry { job, .. } => Line::job(Level::Warning, job),
        E::JobFinished { job, outcome, .. } => Line::job(result_level(*outcome), job),
        E::StepStarted { job, step, .. } | E::StepSkipped { job, step, .. } => {
            Line::step(Level::Info, job, step)
        }
        E::StepRetry { job, step, .. } => Line::step(Level::Warning, job, step),
        E::StepFinished { job, step, end, result, .. } => {
            let level =
                if end.is_success() { Level::Info } else { result_level(*result).max(Level::Warning) };
            Line::step(level, job, step)
        }
        E::Log { job, step, .. } => Line { level: Level::Info, job: Some(job), step: step.as_ref() },
        E::Summary { job, step, .. } => Line::step(Level::Debug, job, step),
        E::ArtifactSaved { job, .. }
        | E::ArtifactRestored { job, .. }
        | E::CacheRestored { job, .. }
        | E::CacheSaved { job, .. }
        | E::JobUnchanged { job, .. } => Line::job(Level::Info, job),
        E::Package { state: PackageState::Failed { .. }, .. } => Line::run(Level::Error),
        E::Package { .. } | E::PackageLog { .. } => Line::run(Level::Info),
        E::Notice { level, job, .. } => Line { level: *level, job: job.as_ref(), step: None },
    }
}

fn result_level(result: JobResult) -> Level {
    match result {
        JobResult::Success | JobResult::Skipped => Level::Info,
        JobResult::Cancelled => Level::Warning,
        JobResult::Failure => Level::Error,
    }
}

/// Appends the text of an event's line.
pub(super) fn write(kind: &EventKind, out: &mut Vec<u8>) {
    // Writing into memory cannot fail.
    let _infallible = match kind {
        EventKind::Log { text, .. } => out.write_all(&text.0),
        EventKind::PackageLog { package, text } => {
            write!(out, "{package}> ").and_then(|()| out.write_all(&text.0))
        }
        kind => write_run(kind, out).unwrap_or_else(|| write_job(kind, out)),
    };
}

/// Events of the whole run; `None` for others.
fn write_run(kind: &EventKind, out: &mut Vec<u8>) -> Option<std::io::Result<()>> {
    use EventKind as E;
    Some(match kind {
        E::RunStarted { run, max_parallel, jobs, .. } => {
            let plural = if jobs.len() == 1 { "" } else { "s" };
            write!(out, "run {run} started: {} job{plural}, at most {max_parallel} at a time", jobs.len())
        }
        E::RunResumed { from, kept } => {
            let plural = if *kept == 1 { "" } else { "s" };
            write!(out, "{kept} job{plural} of run {from} kept")
        }
        E::RunCancelling { kill: true, .. } => write!(out, "killing what runs"),
        E::RunCancelling { cause, .. } => match cause {
            CancelCause::Signal { signal: 2 } => {
                write!(out, "cancelling: interrupted; running steps are asked to end, again to kill them")
            }
            CancelCause::Signal { signal } => write!(out, "cancelling: signal {signal}"),
            CancelCause::Budget => write!(out, "cancelling: the time budget of the workflow is used up"),
            CancelCause::FailFast { job } => write!(out, "cancelling: {job} failed and failFast is set"),
        },
        E::RunFinished { result, duration_us, error, .. } => {
            let took = Took(*duration_us);
            let written = match result {
                RunResult::Success => write!(out, "succeeded in {took}"),
                RunResult::Failure => write!(out, "failed in {took}"),
                RunResult::Infrastructure => write!(out, "could not be run to its end, after {took}"),
                RunResult::Cancelled { .. } => write!(out, "cancelled after {took}"),
            };
            written.and_then(|()| error.iter().try_for_each(|error| write!(out, ": {error}")))
        }
        E::AmbientOverride { names } => {
            write!(out, "taken from the environment, over the workflow: {}", list(names))
        }
        E::Provider { provider, names, error: None, .. } => write!(out, "{provider} set {}", list(names)),
        E::Provider { provider, error: Some(error), .. } => write!(out, "{provider} failed: {error}"),
        E::Package { package, state } => match state {
            PackageState::Building => write!(out, "building {package}"),
            PackageState::Fetching => write!(out, "fetching {package}"),
            PackageState::Done { duration_us } => {
                write!(out, "{package} is there, after {}", Took(*duration_us))
            }
            PackageState::Failed { message } => write!(out, "{package} failed: {message}"),
        },
        E::Notice { message, .. } => write!(out, "{message}"),
        _ => return None,
    })
}

fn write_job(kind: &EventKind, out: &mut Vec<u8>) -> std::io::Result<()> {
    use EventKind as E;
    match kind {
        E::JobReady { .. } => write!(out, "ready, waiting for a free slot"),
        E::JobStarted { attempt: 1, .. } => write!(out, "started"),
        E::JobStarted { attempt, .. } => write!(out, "started again, attempt {attempt}"),
        E::JobSkipped { reason, .. } | E::StepSkipped { reason, .. } => write!(out, "skipped: {reason}"),
        E::JobRestored { result, .. } => write!(out, "{result}, kept from before"),
        E::JobRetry { attempt, delay_ms, .. } => {
            write!(out, "attempt {attempt} failed, again in {}", Took(delay_ms * 1000))
        }
        E::JobFinished { result, outcome, duration_us, failure, .. } => {
            write!(out, "{outcome} in {}", Took(*duration_us))?;
            if let Some(failure) = failure {
                write!(out, ": {}", failure_text(failure))?;
            }
            if result != outcome {
                write!(out, " (continueOnError: counts as {result})")?;
            }
            Ok(())
        }
        E::StepStarted { attempt: 1, .. } => write!(out, "started"),
        E::StepStarted { attempt, max_attempts, .. } => {
            write!(out, "started, attempt {attempt} of {max_attempts}")
        }
        E::StepRetry { attempt, max_attempts, end, delay_ms, .. } => {
            let delay = Took(delay_ms * 1000);
            write!(out, "attempt {attempt} of {max_attempts} failed ({end}), again in {delay}")
        }
        E::StepFinished { end, attempts, duration_us, result, .. } => {
            let word = if end.is_success() { "success" } else { "failure" };
            let word = if *result == JobResult::Cancelled { "cancelled" } else { word };
            if *end == StepEnd::Cancelled && *result == JobResult::Success {
                return write!(out, "stopped with the job after {}", Took(*duration_us));
            }
            write!(out, "{word} in {}", Took(*duration_us))?;
            if !end.is_success() && *result != JobResult::Cancelled {
                write!(out, ": {end}")?;
            }
            if *attempts > 1 {
                write!(out, " (attempts: {attempts})")?;
            }
            if !end.is_success() && *result == JobResult::Success {
                write!(out, " (continueOnError: counts as success)")?;
            }
            Ok(())
        }
        E::Summary { markdown, .. } => write!(out, "wrote a summary of {} bytes", markdown.len()),
        E::ArtifactSaved { artifact, files, bytes, .. } => {
            let plural = if *files == 1 { "" } else { "s" };
            write!(out, "artifact {artifact} saved: {files} file{plural}, {bytes} bytes")
        }
        E::ArtifactRestored { artifact, path, .. } => write!(out, "artifact {artifact} restored into {path}"),
        E::CacheRestored { key, exact: true, .. } => write!(out, "cache {key} restored"),
        E::CacheRestored { key, found, .. } => write!(out, "cache {key} not found, {found} restored instead"),
        E::CacheSaved { key, files, bytes, .. } => {
            let plural = if *files == 1 { "" } else { "s" };
            write!(out, "cache {key} saved: {files} file{plural}, {bytes} bytes")
        }
        E::JobUnchanged { run, .. } => write!(out, "unchanged: what run {run} made is used again"),
        _ => Ok(()),
    }
}

fn list(names: &[Name]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names.iter().map(Name::as_str).collect::<Vec<_>>().join(", "),
    }
}

/// What failed a job, in a few words.
pub(super) fn failure_text(failure: &Failure) -> String {
    match failure {
        Failure::Step { step, end } => format!("step {}: {end}", step.name),
        Failure::Artifact { artifact, message } => format!("artifact {artifact}: {message}"),
        Failure::Provider { message }
        | Failure::Infrastructure { message }
        | Failure::Result { message }
        | Failure::Service { message } => message.clone(),
        Failure::Interrupted => {
            "it was interrupted, and is not `idempotent`: whether it did its work is unknown".to_owned()
        }
        Failure::Package { step: Some(step), package, message, .. } => {
            format!("step {step} needs the package {package}: {message}")
        }
        Failure::Package { step: None, package, message, .. } => {
            format!("it needs the package {package}: {message}")
        }
        Failure::Budget => "its time budget is used up".to_owned(),
    }
}
