//! Markdown of step summaries, as HTML and as Markdown of reports.

use pulldown_cmark::{Event, Options, Parser, Tag};

/// The HTML of a summary. HTML inside it is shown as text, and links lead only to web pages: a report
/// must not run what a step wrote.
pub(super) fn to_html(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(markdown, options).map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let dest_url = if is_web(&dest_url) { dest_url } else { "#".into() };
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        // Pictures would be fetched when the report is opened; it stands alone.
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
            let dest_url = if dest_url.starts_with("data:image/") { dest_url } else { "".into() };
            Event::Start(Tag::Image { link_type, dest_url, title, id })
        }
        other => other,
    });
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, events);
    html
}

fn is_web(url: &str) -> bool {
    ["http://", "https://", "mailto:", "#"].iter().any(|scheme| url.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_html_that_runs_nothing() {
        let html = to_html(
            "# Done\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[x](javascript:alert(1)) <script>x</script>",
        );
        assert!(html.contains("<h1>Done</h1>") && html.contains("<td>1</td>"), "{html}");
        assert!(!html.contains("javascript:") && !html.contains("<script>"), "{html}");
        assert!(!to_html("![p](http://example.org/p.png)").contains("http"), "pictures are not fetched");
    }
}
