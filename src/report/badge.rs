//! A status badge as SVG, in the flat style that READMEs know.

use super::record::Record;
use super::text::{escape_markup, width};
use crate::engine::event::RunResult;

/// Width of a column of text at the badge's size.
const COLUMN: usize = 7;

/// Draws the badge: the workflow's name, and how its run ended.
pub(super) fn render(record: &Record) -> String {
    let (word, color) = match record.result {
        Some(RunResult::Success) => ("passing", "#2da44e"),
        Some(RunResult::Failure) => ("failing", "#cf222e"),
        Some(RunResult::Infrastructure) => ("error", "#bc4c00"),
        Some(RunResult::Cancelled { .. }) | None => ("cancelled", "#6e7781"),
    };
    let name = escape_markup(&record.workflow);
    let (left, right) = (width(&record.workflow) * COLUMN + 12, width(word) * COLUMN + 12);
    let total = left + right;
    let (name_at, word_at) = (left / 2, left + right / 2);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{total}\" height=\"20\" role=\"img\" \
         aria-label=\"{name}: {word}\">\
         <title>{name}: {word}</title>\
         <clipPath id=\"c\"><rect width=\"{total}\" height=\"20\" rx=\"3\"/></clipPath>\
         <g clip-path=\"url(#c)\">\
         <rect width=\"{left}\" height=\"20\" fill=\"#555\"/>\
         <rect x=\"{left}\" width=\"{right}\" height=\"20\" fill=\"{color}\"/></g>\
         <g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">\
         <text x=\"{name_at}\" y=\"14\">{name}</text>\
         <text x=\"{word_at}\" y=\"14\">{word}</text></g></svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn a_badge_names_the_workflow_and_its_state() {
        let mut record = record();
        assert!(render(&record).contains("aria-label=\"ci: failing\""));
        record.workflow = "<ci>".into();
        record.result = Some(RunResult::Success);
        assert!(render(&record).contains("aria-label=\"&lt;ci&gt;: passing\""));
    }
}
