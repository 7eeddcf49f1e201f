//! What GitHub Actions shows of a run: annotations, and a summary in Markdown.
//!
//! Formats: "Workflow commands for GitHub Actions" in GitHub's documentation.

use std::fmt::Write;

use super::record::{Job, Record, Step};
use super::text::{Took, printable};
use crate::engine::event::{JobResult, Level};

/// GitHub takes ten annotations of a kind from a step.
const MOST: usize = 10;
/// Lines of output that an annotation carries.
const LINES: usize = 15;

/// Annotations, a line each: failed steps as errors, then notices.
pub(super) fn annotations(record: &Record) -> String {
    let mut out = String::new();
    for (job, step) in failed_steps(record).take(MOST) {
        let end = step.end.as_ref().map(ToString::to_string).unwrap_or_default();
        let lines: Vec<String> = step.tail.lines().map(printable).collect();
        let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
        let text = format!("{end}\n{last}");
        command(&mut out, "error", &format!("{} / {}", job.info.name, step.step.name), text.trim_end());
    }
    let unexplained = record.jobs.iter().filter(|job| {
        job.outcome == Some(JobResult::Failure)
            && job.steps.iter().all(|step| step.result != Some(JobResult::Failure))
    });
    for job in unexplained.take(MOST) {
        command(&mut out, "error", &job.info.name, job.reason.as_deref().unwrap_or("failed"));
    }
    if let Some(error) = &record.error {
        command(&mut out, "error", &record.workflow, error);
    }
    for notice in record.notices.iter().take(MOST) {
        let kind = if notice.level == Level::Error { "error" } else { "warning" };
        let title = notice.job.as_ref().map_or(record.workflow.as_str(), |job| job.as_str());
        command(&mut out, kind, title, &notice.message);
    }
    out
}

fn failed_steps(record: &Record) -> impl Iterator<Item = (&Job, &Step)> {
    let steps = |job| -> Box<dyn Iterator<Item = (&Job, &Step)>> {
        let job: &Job = job;
        Box::new(job.steps.iter().map(move |step| (job, step)))
    };
    record.jobs.iter().flat_map(steps).filter(|(_, step)| step.result == Some(JobResult::Failure))
}

fn command(out: &mut String, kind: &str, title: &str, text: &str) {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let title = data(title).replace(':', "%3A").replace(',', "%2C");
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(out, "::{kind} title={title}::{}", data(text));
}

/// The run as Markdown: a table of jobs, what failed with its last lines, and the steps' summaries.
pub(super) fn summary(record: &Record) -> String {
    let total = record.finished.since(record.started).as_micros() as u64;
    let mut out = format!("## {} {} in {}\n\n", cell(&record.workflow), record.verdict(), Took(total));
    out.push_str("| | Job | Time | |\n|---|---|---:|---|\n");
    for job in &record.jobs {
        let mark = match job.outcome {
            Some(JobResult::Success) => "✅",
            Some(JobResult::Failure) => "❌",
            Some(JobResult::Skipped) => "⏭️",
            Some(JobResult::Cancelled) | None => "🚫",
        };
        let time = if job.duration_us > 0 { Took(job.duration_us).to_string() } else { String::new() };
        let reason = job.reason.as_deref().unwrap_or_default();
        let _ = writeln!(out, "| {mark} | {} | {time} | {} |", cell(&job.info.name), cell(reason));
    }
    for (job, step) in failed_steps(record) {
        let lines: Vec<String> = step.tail.lines().map(printable).collect();
        let place = format!("{} / {}", job.info.name, step.step.name);
        let fence = fence(&lines);
        let _ = write!(out, "\n<details open><summary>{}</summary>\n\n{fence}\n", cell(&place));
        let _ = write!(out, "{}\n{fence}\n\n</details>\n", lines.join("\n"));
    }
    for (_, _, text) in &record.summaries {
        let _ = write!(out, "\n{text}\n");
    }
    out
}

/// A text that stays inside its cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}

/// A fence longer than any in the lines.
fn fence(lines: &[String]) -> String {
    let longest = lines.iter().map(|line| line.chars().take_while(|c| *c == '`').count()).max();
    "`".repeat(longest.unwrap_or(0).max(2) + 1)
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn failed_steps_become_annotations() {
        let text = annotations(&record());
        assert_eq!(text, "::error title=test / unit::exit code 1%0Arunning%0Aassertion failed\n");
    }

    #[test]
    fn titles_are_escaped() {
        let mut out = String::new();
        command(&mut out, "warning", "a:b,c", "100%\nx");
        assert_eq!(out, "::warning title=a%3Ab%2Cc::100%25%0Ax\n");
    }

    #[test]
    fn the_summary_is_a_table() {
        let text = summary(&record());
        assert!(text.starts_with("## ci failed in 2.00s\n"), "{text}");
        assert!(text.contains("| ❌ | test | 500ms | step unit: exit code 1 |"), "{text}");
        assert!(text.contains("```\nrunning\nassertion failed\n```"), "{text}");
    }
}
