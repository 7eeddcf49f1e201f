//! Findings as the protocol's diagnostics.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rnix::TextRange;
use serde_json::{Value, json};

use super::snapshot::{Open, range_json};
use super::uri;
use crate::base::lines::{Encoding, Lines};
use crate::base::source::Place;
use crate::diag::{Code, Diagnostic, Severity};
use crate::ide::document::range;
use crate::ide::facts::Shift;
use crate::workflow::nixlib;

/// Where the explanations of codes can be read.
const PAGES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/src/diag/explain");
/// Diagnostics that are sent of one file.
const MOST: usize = 200;

/// The findings by the file they are shown in: that of the primary label, or else the checked file.
pub fn by_file(root: &Path, findings: Vec<Diagnostic>) -> HashMap<PathBuf, Vec<Diagnostic>> {
    let mut out: HashMap<PathBuf, Vec<Diagnostic>> = HashMap::new();
    for d in findings {
        let file = d.primary.as_ref().and_then(|l| l.place.source.path());
        let file = file.filter(|f| !f.starts_with(nixlib::ROOT)).unwrap_or(root).to_owned();
        out.entry(file).or_default().push(d);
    }
    out
}

/// Converts places, remembering the lines of each text.
pub struct Converter<'a> {
    open: &'a HashMap<PathBuf, Open>,
    encoding: Encoding,
    related: bool,
    lines: HashMap<*const u8, (Lines, String)>,
}

impl<'a> Converter<'a> {
    /// A converter for these open texts.
    pub fn new(open: &'a HashMap<PathBuf, Open>, encoding: Encoding, related: bool) -> Self {
        Converter { open, encoding, related, lines: HashMap::new() }
    }

    /// The range of a place, moved to the present text of its file.
    fn range(&mut self, place: &Place) -> Value {
        let old = range(place.start, place.end);
        let open = place.source.path().and_then(|p| self.open.get(p));
        if let Some(open) = open {
            let text = open.document.text();
            let now = match **place.source.text() == *text.as_bytes() {
                true => Some(old),
                false => Shift::between(place.source.text(), text.as_bytes()).apply(old),
            };
            let now = now.unwrap_or_else(|| {
                // The text itself was changed: its beginning is the nearest that is left.
                TextRange::empty(place.start.min(text.len() as u32).into())
            });
            return range_json(open.document.lines(), text, now, self.encoding);
        }
        let source = place.source.text();
        let (lines, text) = self.lines.entry(source.as_ptr()).or_insert_with(|| {
            let text = String::from_utf8_lossy(source).into_owned();
            (Lines::new(&text), text)
        });
        range_json(lines, text, old, self.encoding)
    }

    fn uri(&self, path: &Path) -> String {
        self.open.get(path).map_or_else(|| uri::of_path(path), |o| o.uri.clone())
    }

    /// One finding.
    pub fn diagnostic(&mut self, file: &Path, d: &Diagnostic) -> Value {
        let zero = json!({ "line": 0, "character": 0 });
        let range = match &d.primary {
            Some(l) if l.place.source.path() == Some(file) => self.range(&l.place),
            _ => json!({ "start": zero, "end": zero }),
        };
        let severity = match d.severity {
            Severity::Error => 1,
            Severity::Warning => 2,
            Severity::Hint => 4,
        };
        let mut out = json!({
            "range": range, "severity": severity, "source": "nixactions", "message": message(d)
        });
        if !d.code.is_empty() {
            out["code"] = d.code.into();
            out["codeDescription"] = json!({ "href": format!("{PAGES}/{}.md", d.code) });
        }
        let tags = tags(d.code);
        if !tags.is_empty() {
            out["tags"] = json!(tags);
        }
        if self.related {
            let label = |c: &mut Self, l: &crate::diag::Label| {
                let path = l.place.source.path().filter(|p| !p.starts_with(nixlib::ROOT))?;
                let (uri, range) = (c.uri(path), c.range(&l.place));
                let text = if l.text.is_empty() { "see here" } else { &l.text };
                Some(json!({ "location": { "uri": uri, "range": range }, "message": text }))
            };
            let related: Vec<Value> = d.secondary.iter().filter_map(|l| label(self, l)).collect();
            if !related.is_empty() {
                out["relatedInformation"] = related.into();
            }
        }
        out
    }

    /// All findings of a file, each once, in the order of places; beyond some, their number.
    pub fn all(&mut self, file: &Path, findings: &[Diagnostic]) -> Vec<Value> {
        let mut out: Vec<Value> = findings.iter().map(|d| self.diagnostic(file, d)).collect();
        let key = |v: &Value| {
            let start = &v["range"]["start"];
            (
                start["line"].as_u64(),
                start["character"].as_u64(),
                v["code"].to_string(),
                v["message"].to_string(),
            )
        };
        out.sort_by_key(key);
        out.dedup();
        if out.len() > MOST {
            let more = out.len() - MOST;
            out.truncate(MOST);
            let zero = json!({ "line": 0, "character": 0 });
            out.push(json!({
                "range": { "start": zero, "end": zero }, "severity": 3, "source": "nixactions",
                "message": format!("and {more} more findings")
            }));
        }
        out
    }
}

/// Message, what the label adds, notes and the way out, which is all that many editors show.
fn message(d: &Diagnostic) -> String {
    let mut out = d.message.clone();
    let label = d.primary.as_ref().map(|l| l.text.as_str()).unwrap_or_default();
    if !label.is_empty() && !out.contains(label) {
        out += &format!(": {label}");
    }
    for note in &d.notes {
        out += &format!("\nnote: {note}");
    }
    if let Some(help) = &d.help {
        out += &format!("\nhelp: {help}");
    }
    out
}

/// Numbers of the protocol's `DiagnosticTag`, told by the code's name.
fn tags(code: &str) -> Vec<u32> {
    let name = Code::find(code).map(|c| c.name).unwrap_or_default();
    if name.starts_with("unused") || name.starts_with("redundant") {
        vec![1]
    } else if name.starts_with("deprecated") {
        vec![2]
    } else {
        Vec::new()
    }
}
