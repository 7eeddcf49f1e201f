//! Findings for people: excerpts of the source, labels, the way out.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceSpan};

use super::{Counts, Style, place, severity_word, summary};
use crate::base::source::{Place, Source};
use crate::diag::{Diagnostic, Label, Severity};

/// Writes up to `cap` findings and a closing line.
pub(super) fn write(
    diagnostics: &[&Diagnostic],
    cap: usize,
    style: &Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let handler = handler(style);
    for d in diagnostics.iter().take(cap) {
        for (i, report) in reports(d, style).iter().enumerate() {
            let mut text = String::new();
            // The handler writes to a string; only a span outside the text could make it fail, and
            // those are clamped.
            if handler.render_report(&mut text, report).is_err() {
                text = format!("{}\n", report.message);
            }
            // An excerpt of a further file follows the first without a heading of its own.
            for line in text.trim_matches('\n').lines().skip(usize::from(i > 0)) {
                writeln!(out, "{}", line.trim_end())?;
            }
        }
        writeln!(out)?;
    }
    if diagnostics.len() > cap {
        writeln!(out, "and {} more", diagnostics.len() - cap)?;
    }
    let n = |s| diagnostics.iter().filter(|d| d.severity == s).count();
    let counts =
        Counts { errors: n(Severity::Error), warnings: n(Severity::Warning), hints: n(Severity::Hint) };
    let Some(line) = summary(counts) else { return Ok(()) };
    let worst = diagnostics.iter().filter(|d| !d.code.is_empty()).rev().max_by_key(|d| d.severity);
    match worst {
        Some(d) => writeln!(out, "{line}; `nixactions explain {}` tells more", d.code),
        None => writeln!(out, "{line}"),
    }
}

fn handler(style: &Style) -> GraphicalReportHandler {
    let theme = match (style.unicode, style.color) {
        (true, true) => GraphicalTheme::unicode(),
        (true, false) => GraphicalTheme::unicode_nocolor(),
        (false, true) => GraphicalTheme::ascii(),
        (false, false) => GraphicalTheme::none(),
    };
    GraphicalReportHandler::new_themed(theme)
        .with_width(style.width)
        .with_links(false)
        .with_context_lines(1)
        .tab_width(2)
        .with_break_words(false)
}

/// An excerpt of one file as miette sees it; a finding has one for each file that it has labels in.
#[derive(Debug)]
struct Report {
    severity: miette::Severity,
    message: String,
    help: Option<String>,
    source: Option<NamedSource<String>>,
    labels: Vec<LabeledSpan>,
}

/// A label, and whether it is the primary one.
type Marked<'a> = (&'a Label, bool);

/// The excerpts of a finding, the primary one first; the help stands below the last.
fn reports(d: &Diagnostic, style: &Style) -> Vec<Report> {
    let mut files: Vec<(Arc<Source>, Vec<Marked<'_>>)> = Vec::new();
    let labels = d.primary.iter().map(|l| (l, true)).chain(d.secondary.iter().map(|l| (l, false)));
    for (label, primary) in labels {
        let source = &label.place.source;
        match files.iter_mut().find(|(s, _)| s.name() == source.name() && s.text() == source.text()) {
            Some((_, list)) => list.push((label, primary)),
            None => files.push((source.clone(), vec![(label, primary)])),
        }
    }
    let severity = match d.severity {
        Severity::Error => miette::Severity::Error,
        Severity::Warning => miette::Severity::Warning,
        Severity::Hint => miette::Severity::Advice,
    };
    let word = severity_word(d.severity);
    let message = match d.code {
        "" => format!("{word}: {}", d.message),
        code => format!("{word}[{code}]: {}", d.message),
    };
    let empty = Report { severity, message, help: None, source: None, labels: Vec::new() };
    let mut reports = vec![empty];
    for (i, (_, labels)) in files.iter().enumerate() {
        if i > 0 {
            let message = "also".into();
            reports.push(Report { severity, message, help: None, source: None, labels: Vec::new() });
        }
        if let Some(report) = reports.last_mut() {
            excerpt(report, labels, style);
        }
    }
    if let Some(report) = reports.last_mut() {
        report.help = help(d);
    }
    reports
}

/// The help, what the fixes would do where the help does not say it, and the notes.
fn help(d: &Diagnostic) -> Option<String> {
    let mut parts: Vec<String> = d.help.iter().cloned().collect();
    if d.help.is_none() {
        parts.extend(d.fixes.iter().map(|f| f.title.clone()));
    }
    parts.extend(d.notes.iter().map(|n| format!("note: {n}")));
    (!parts.is_empty()).then(|| parts.join("\n"))
}

/// Fills in the text of one file and the labels in it.
fn excerpt(report: &mut Report, labels: &[Marked<'_>], style: &Style) {
    let Some(&(first, _)) = labels.first() else { return };
    let (text, offset_of) = utf8(&first.place);
    for &(label, primary) in labels {
        let start = offset_of(label.place.start);
        let end = offset_of(label.place.end).max(start);
        let span = SourceSpan::from(start..end);
        let words = (!label.text.is_empty()).then(|| label.text.clone());
        report.labels.push(match primary {
            true => LabeledSpan::new_primary_with_span(words, span),
            false => LabeledSpan::new_with_span(words, span),
        });
    }
    report.source = Some(NamedSource::new(place::name(&first.place, &style.base), text));
}

/// The text of a source with bytes that are not UTF-8 replaced, and a map from offsets in the
/// source to offsets in that text.
fn utf8(place: &Place) -> (String, impl Fn(u32) -> usize) {
    let bytes = place.source.text().clone();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let valid = std::str::from_utf8(&bytes).is_ok();
    let length = text.len();
    let map = move |offset: u32| {
        let offset = (offset as usize).min(bytes.len());
        let mapped = if valid { offset } else { String::from_utf8_lossy(&bytes[..offset]).len() };
        mapped.min(length)
    };
    (text, map)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report {}

impl miette::Diagnostic for Report {
    fn severity(&self) -> Option<miette::Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.source.as_ref().map(|t| t as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.labels.is_empty()).then(|| Box::new(self.labels.iter().cloned()) as Box<_>)
    }
}
