//! Findings as one JSON document.

use std::io::{self, Write};

use serde::Serialize;

use super::{Style, place, severity_word};
use crate::base::source::Place;
use crate::diag::{Applicability, Code, Diagnostic, Label, Severity};

#[derive(Serialize)]
struct Document {
    version: u32,
    errors: usize,
    warnings: usize,
    diagnostics: Vec<Finding>,
}

#[derive(Serialize)]
struct Finding {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    severity: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary: Option<Range>,
    secondary: Vec<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    notes: Vec<String>,
    fixes: Vec<Fix>,
}

#[derive(Serialize)]
struct Range {
    file: String,
    start: Position,
    end: Position,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
}

#[derive(Serialize)]
struct Position {
    line: u32,
    column: u32,
    offset: u32,
}

#[derive(Serialize)]
struct Fix {
    title: String,
    applicability: &'static str,
    edits: Vec<Range>,
}

/// Writes the document, its keys in a fixed order.
pub(super) fn write(diagnostics: &[&Diagnostic], style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let n = |s| diagnostics.iter().filter(|d| d.severity == s).count();
    let document = Document {
        version: 1,
        errors: n(Severity::Error),
        warnings: n(Severity::Warning),
        diagnostics: diagnostics.iter().map(|d| finding(d, style)).collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

fn finding(d: &Diagnostic, style: &Style) -> Finding {
    let label = |l: &Label| range(&l.place, l.text.clone(), style);
    Finding {
        code: (!d.code.is_empty()).then_some(d.code),
        name: Code::find(d.code).map(|c| c.name),
        severity: severity_word(d.severity),
        message: d.message.clone(),
        primary: d.primary.as_ref().map(label),
        secondary: d.secondary.iter().map(label).collect(),
        help: d.help.clone(),
        notes: d.notes.clone(),
        fixes: d
            .fixes
            .iter()
            .map(|f| Fix {
                title: f.title.clone(),
                applicability: match f.applicability {
                    Applicability::Safe => "safe",
                    Applicability::Unsafe => "unsafe",
                },
                edits: f.edits.iter().map(|e| range(&e.place, e.text.clone(), style)).collect(),
            })
            .collect(),
    }
}

fn range(place: &Place, text: String, style: &Style) -> Range {
    let (start, end) = place::positions(place);
    let position = |p: place::Position, offset| Position { line: p.line, column: p.column, offset };
    Range {
        file: place::name(place, &style.base),
        start: position(start, place.start),
        end: position(end, place.end),
        text,
    }
}
