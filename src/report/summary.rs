//! What stands at the end of a run: a table of jobs, the critical path, and the last lines of what
//! failed.

use std::fmt::Write;

use super::critical_path::{Span, critical_path};
use super::text::{Color, Took, fit, paint, printable, width};
use super::tracker::{FailedStep, Finished, Job, Status, Tracker};
use crate::engine::event::{JobResult, RunResult};

/// More jobs than this, and those that simply succeeded are only counted.
const LONG: usize = 60;
/// Widest job name before the table gives up on lining up.
const NAME_WIDTH: usize = 48;

/// The summary of a run that has ended.
pub(super) fn render(tracker: &Tracker, color: bool) -> String {
    let mut out = String::new();
    let Some(finished) = &tracker.finished else { return out };
    out.push('\n');
    table(tracker, color, &mut out);
    path_line(tracker, &mut out);
    for (job, step, markdown) in &tracker.summaries {
        let _infallible = writeln!(out, "\n{job}/{step}:\n{}", printable_block(markdown));
    }
    for job in &tracker.jobs {
        for failed in &job.failed {
            last_lines(job, failed, color, &mut out);
        }
    }
    verdict(tracker, finished, color, &mut out);
    out
}

fn result_color(status: Status) -> (&'static str, Color) {
    match status {
        Status::Ended(JobResult::Success) => ("success", Color::Green),
        Status::Ended(JobResult::Failure) => ("failure", Color::Red),
        Status::Ended(JobResult::Skipped) => ("skipped", Color::Dim),
        Status::Ended(JobResult::Cancelled) => ("cancelled", Color::Yellow),
        Status::Running => ("interrupted", Color::Yellow),
        Status::Waiting | Status::Ready => ("not run", Color::Dim),
    }
}

fn table(tracker: &Tracker, color: bool, out: &mut String) {
    let plain = |job: &&Job| job.status == Status::Ended(JobResult::Success);
    let long = tracker.jobs.len() > LONG;
    let shown: Vec<&Job> = tracker.jobs.iter().filter(|job| !long || !plain(job)).collect();
    let names = shown.iter().map(|job| width(&job.info.name)).max().unwrap_or(0).clamp(3, NAME_WIDTH);
    if !shown.is_empty() {
        let _infallible = writeln!(out, "{:names$}  {:11}  {:>8}", "Job", "Result", "Time");
    }
    for job in shown {
        let name = printable(job.info.name.as_bytes());
        out.push_str(&name);
        out.extend(std::iter::repeat_n(' ', names.saturating_sub(width(&name)) + 2));
        let (word, shade) = result_color(job.status);
        paint(out, color, shade, word);
        out.extend(std::iter::repeat_n(' ', 13_usize.saturating_sub(word.len())));
        match job.status {
            Status::Ended(JobResult::Success | JobResult::Failure | JobResult::Cancelled) => {
                let _infallible = write!(out, "{:>8}", Took(job.duration_us));
            }
            _ => out.push_str("       -"),
        }
        if let Some(reason) = &job.reason {
            let line = reason.lines().next().unwrap_or_default();
            let _infallible = write!(out, "  {}", printable(line.as_bytes()));
        }
        if job.forgiven {
            out.push_str("  (continueOnError)");
        }
        out.push('\n');
    }
    if long {
        let count = tracker.count(JobResult::Success);
        let _infallible = writeln!(out, "{count} of {} jobs succeeded", tracker.jobs.len());
    }
}

fn path_line(tracker: &Tracker, out: &mut String) {
    let span = |job: &Job| Span {
        needs: job.info.needs.iter().filter_map(|need| tracker.index(need)).collect(),
        started: job.started,
        finished: job.finished,
    };
    let spans: Vec<Span> = tracker.jobs.iter().map(span).collect();
    let path: Vec<&Job> = critical_path(&spans).into_iter().map(|job| &tracker.jobs[job]).collect();
    if path.len() < 2 {
        return;
    }
    let total: u64 = path.iter().map(|job| job.duration_us).sum();
    let names: Vec<&str> = path.iter().map(|job| job.info.name.as_str()).collect();
    let shown = match names.as_slice() {
        [first @ .., last] if names.len() > 12 => {
            format!("{} → … {} more … → {last}", first[..8].join(" → "), names.len() - 9)
        }
        names => names.join(" → "),
    };
    let _infallible = writeln!(out, "\nCritical path: {} ({})", printable(shown.as_bytes()), Took(total));
}

fn last_lines(job: &Job, failed: &FailedStep, color: bool, out: &mut String) {
    let place = format!("{}/{}: {}", job.info.name, failed.step.name, failed.end);
    out.push('\n');
    paint(out, color, Color::Red, &printable(place.lines().next().unwrap_or_default().as_bytes()));
    let count = failed.tail.lines().count();
    let _infallible = match (count, failed.tail.dropped()) {
        (0, _) => writeln!(out, ", it printed nothing"),
        (_, 0) => writeln!(out, ", what it printed:"),
        (_, _) => writeln!(out, ", its last {count} lines:"),
    };
    for line in failed.tail.lines() {
        let _infallible = writeln!(out, "  {}", fit(&printable(line), 400));
    }
}

fn printable_block(text: &str) -> String {
    let lines: Vec<String> =
        text.trim_end().lines().map(|line| format!("  {}", printable(line.as_bytes()))).collect();
    lines.join("\n")
}

fn verdict(tracker: &Tracker, finished: &Finished, color: bool, out: &mut String) {
    let took = Took(finished.duration_us);
    let (text, shade) = match finished.result {
        RunResult::Success => ("succeeded in", Color::Green),
        RunResult::Failure => ("failed in", Color::Red),
        RunResult::Infrastructure => ("could not be run to its end, after", Color::Red),
        RunResult::Cancelled { .. } => ("was cancelled after", Color::Yellow),
    };
    let mut counts = Vec::new();
    for (result, word) in [
        (JobResult::Success, "succeeded"),
        (JobResult::Failure, "failed"),
        (JobResult::Cancelled, "cancelled"),
        (JobResult::Skipped, "skipped"),
    ] {
        match tracker.count(result) {
            0 => {}
            count => counts.push(format!("{count} {word}")),
        }
    }
    out.push('\n');
    paint(out, color, shade, &format!("{} {text} {took}", tracker.workflow()));
    if !counts.is_empty() {
        let _infallible = write!(out, ": {}", counts.join(", "));
    }
    out.push('\n');
    if let Some(error) = &finished.error {
        let _infallible = writeln!(out, "{}", printable_block(error).trim_start());
    }
}

#[cfg(test)]
mod tests {
    use super::super::tracker::tests::run;
    use super::*;

    #[test]
    fn the_summary_names_what_failed_and_shows_its_last_lines_last() {
        let mut tracker = Tracker::default();
        run().iter().for_each(|event| tracker.event(event));
        let expected = "
Job     Result           Time
build   success         1.49s
deploy  skipped             -  success() is false: test ended with failure
test    failure         500ms  step unit: exit code 1

Critical path: build → test (1.99s)

test/unit: exit code 1, what it printed:
  running
  assertion failed

ci failed in 2.00s: 1 succeeded, 1 failed, 1 skipped
";
        assert_eq!(render(&tracker, false), expected);
        assert!(render(&tracker, true).contains("\x1b[31mfailure\x1b[0m"));
    }
}
