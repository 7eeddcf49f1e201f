//! A run as one HTML page: graph, timeline, jobs with their steps' last lines, summaries. The page
//! stands alone: no scripts, nothing is fetched.

mod timeline;

use std::fmt::Write;

use super::graph::{Edge, Graph, Look, Node, STYLE as GRAPH_STYLE, svg_fragment};
use super::markdown;
use super::record::{Job, Record, Step};
use super::text::{Took, escape_markup, printable};
use crate::engine::event::{JobResult, Level};

const STYLE: &str = include_str!("style.css");
/// More jobs than this, and the graph is left out: nobody could read it.
const MOST_DRAWN: usize = 400;

/// Writes the page.
pub(super) fn render(record: &Record) -> String {
    let name = escape_markup(&record.workflow);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\
         <title>{name} {}</title>\n<style>\n{STYLE}{GRAPH_STYLE}</style></head><body>\n",
        record.verdict(),
    );
    head(record, &name, &mut out);
    notices(record, &mut out);
    if (2..=MOST_DRAWN).contains(&record.jobs.len()) {
        let _ = writeln!(out, "<h2>Graph</h2>\n<div class=\"scroll\">{}</div>", svg_fragment(&graph(record)));
    }
    timeline::render(record, &mut out);
    summaries(record, &mut out);
    out.push_str("<h2>Jobs</h2>\n");
    for job in &record.jobs {
        details(job, &mut out);
    }
    out.push_str("</body></html>\n");
    out
}

fn head(record: &Record, name: &str, out: &mut String) {
    let class = match record.verdict() {
        "succeeded" => "success",
        "failed" => "failure",
        _ => "cancelled",
    };
    let duration = record.finished.since(record.started).as_micros() as u64;
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        out,
        "<h1><span class=\"{class}\">●</span> {name} {}</h1>\n<p class=\"dim\">run {} · {} · {}",
        record.verdict(),
        escape_markup(&record.run),
        record.started,
        Took(duration),
    );
    for result in [JobResult::Success, JobResult::Failure, JobResult::Skipped, JobResult::Cancelled] {
        let count = record.count(result);
        if count > 0 {
            let _ = write!(out, " · <span class=\"{result}\">{count} {result}</span>");
        }
    }
    out.push_str("</p>\n");
    if let Some(error) = &record.error {
        let _ = writeln!(out, "<pre class=\"failure\">{}</pre>", escape_markup(error));
    }
}

fn notices(record: &Record, out: &mut String) {
    for notice in &record.notices {
        let class = if notice.level == Level::Error { "failure" } else { "cancelled" };
        let job = notice.job.as_ref().map(|job| format!("{job}: ")).unwrap_or_default();
        let text = escape_markup(&format!("{job}{}", notice.message));
        let _ = writeln!(out, "<p class=\"{class}\">{text}</p>");
    }
}

fn graph(record: &Record) -> Graph {
    let node = |job: &Job| Node {
        name: job.info.name.to_string(),
        note: match job.outcome {
            Some(JobResult::Skipped) => "skipped".to_owned(),
            Some(_) => Took(job.duration_us).to_string(),
            None => "not run".to_owned(),
        },
        conditional: false,
        look: look(job.outcome),
    };
    let mut edges = Vec::new();
    for (to, job) in record.jobs.iter().enumerate() {
        let needs = job.info.needs.iter().filter_map(|need| record.index(need));
        edges.extend(needs.map(|from| Edge { from, to, label: String::new() }));
    }
    Graph { name: record.workflow.clone(), nodes: record.jobs.iter().map(node).collect(), edges }
}

fn look(outcome: Option<JobResult>) -> Look {
    match outcome {
        Some(JobResult::Success) => Look::Success,
        Some(JobResult::Failure) => Look::Failure,
        Some(JobResult::Skipped) => Look::Skipped,
        Some(JobResult::Cancelled) => Look::Cancelled,
        None => Look::Planned,
    }
}

fn summaries(record: &Record, out: &mut String) {
    if record.summaries.is_empty() {
        return;
    }
    out.push_str("<h2>Summaries</h2>\n");
    for (job, step, text) in &record.summaries {
        let place = escape_markup(&format!("{job} / {step}"));
        let _ =
            writeln!(out, "<p class=\"dim\">{place}</p><div class=\"md\">{}</div>", markdown::to_html(text));
    }
}

/// The word and class of a result that may not be there.
fn word(result: Option<JobResult>) -> &'static str {
    result.map_or("cancelled", JobResult::as_str)
}

fn details(job: &Job, out: &mut String) {
    let open = if job.outcome == Some(JobResult::Failure) { " open" } else { "" };
    let class = word(job.outcome);
    let _ = write!(
        out,
        "<details{open}><summary><span class=\"{class}\">●</span> {} <span class=\"dim\">{class}",
        escape_markup(&job.info.name)
    );
    if job.duration_us > 0 {
        let _ = write!(out, " in {}", Took(job.duration_us));
    }
    if let Some(reason) = &job.reason {
        let _ = write!(out, " · {}", escape_markup(reason));
    }
    if job.forgiven {
        out.push_str(" · continueOnError");
    }
    out.push_str("</span></summary>\n");
    for artifact in &job.artifacts {
        let name = escape_markup(&artifact.name);
        let _ = writeln!(
            out,
            "<p class=\"dim\">artifact {name}: {} files, {} bytes</p>",
            artifact.files, artifact.bytes
        );
    }
    job.steps.iter().for_each(|step| step_details(step, out));
    out.push_str("</details>\n");
}

fn step_details(step: &Step, out: &mut String) {
    let class = word(step.result);
    let open = if step.result == Some(JobResult::Failure) { " open" } else { "" };
    let mut facts = Took(step.duration_us).to_string();
    if step.attempts > 1 {
        let _ = write!(facts, " · {} attempts", step.attempts);
    }
    match (&step.skipped, &step.end) {
        (Some(why), _) => facts.clone_from(why),
        (None, Some(end)) if !end.is_success() => drop(write!(facts, " · {end}").is_ok()),
        _ => {}
    }
    let name = escape_markup(&step.step.name);
    let facts = escape_markup(&facts);
    let _ = write!(
        out,
        "<details{open}><summary><span class=\"{class}\">●</span> {name} <span class=\"dim\">{facts}</span></summary>"
    );
    if step.tail.dropped() > 0 {
        let _ = write!(out, "<p class=\"dim\">{} lines before</p>", step.tail.dropped());
    }
    let lines: Vec<String> = step.tail.lines().map(|line| escape_markup(&printable(line))).collect();
    if !lines.is_empty() {
        let _ = write!(out, "<pre>{}</pre>", lines.join("\n"));
    }
    out.push_str("</details>\n");
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn a_page_shows_everything_and_fetches_nothing() {
        let mut record = record();
        record.workflow = "c<i>".into();
        record.summaries.push(("test".into(), "unit".into(), "**bold**".into()));
        let page = render(&record);
        for part in
            ["c&lt;i&gt; failed", "assertion failed", "<strong>bold</strong>", "class=\"lane\"", "<svg"]
        {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        let fetched = ["<script", "src=\"http", "<link", "url(http"];
        assert!(fetched.iter().all(|part| !page.contains(part)), "{page}");
    }
}
