//! The timeline of a run: a lane a job, a bar a step.

use std::fmt::Write;

use super::word;
use crate::engine::event::{JobResult, Timestamp};
use crate::report::record::{Job, Record};
use crate::report::text::{Took, escape_markup};

/// Appends the timeline. Jobs come in the order in which they began.
pub(super) fn render(record: &Record, out: &mut String) {
    let total = record.finished.since(record.started).as_micros().max(1) as f64;
    let path = record.critical_path();
    let mut ran: Vec<(usize, &Job)> =
        record.jobs.iter().enumerate().filter(|(_, job)| job.started.0 > 0).collect();
    if ran.is_empty() {
        return;
    }
    ran.sort_by_key(|(_, job)| job.started);
    out.push_str("<h2>Timeline</h2>\n<table class=\"timeline\">\n");
    let percent = |time: Timestamp| time.since(record.started).as_micros() as f64 / total * 100.0;
    for (index, job) in ran {
        let on_path =
            if path.contains(&index) { " class=\"path\" title=\"on the critical path\"" } else { "" };
        let name = escape_markup(&job.info.name);
        let (left, width) = (percent(job.started), job.duration_us as f64 / total * 100.0);
        // Writing to a string cannot fail, here and below.
        let _ = write!(
            out,
            "<tr{on_path}><td title=\"{name}\">{name}</td><td><div class=\"lane\">\
             <div class=\"bar {}\" style=\"left:{left:.2}%;width:{width:.2}%\"></div>",
            word(job.outcome)
        );
        for step in job.steps.iter().filter(|step| step.result != Some(JobResult::Skipped)) {
            let (left, width) = (percent(step.started), step.duration_us as f64 / total * 100.0);
            let title = escape_markup(&format!("{}: {}", step.step.name, Took(step.duration_us)));
            let _ = write!(
                out,
                "<div class=\"part {}\" title=\"{title}\" style=\"left:{left:.2}%;width:{width:.2}%\"></div>",
                word(step.result)
            );
        }
        let _ = writeln!(out, "</div></td><td>{}</td></tr>", Took(job.duration_us));
    }
    out.push_str("</table>\n");
    if path.len() > 1 {
        let names: Vec<&str> = path.iter().map(|job| record.jobs[*job].info.name.as_str()).collect();
        let _ = writeln!(out, "<p class=\"dim\">Critical path: {}</p>", escape_markup(&names.join(" → ")));
    }
}
