//! Findings as SARIF 2.1.0.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Style, place};
use crate::base::source::Place;
use crate::diag::{Code, Diagnostic, Severity};

/// Writes one run with the rules that its results refer to.
pub(super) fn write(diagnostics: &[&Diagnostic], style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut rules: Vec<&'static Code> = diagnostics.iter().filter_map(|d| Code::find(d.code)).collect();
    rules.sort_by_key(|c| c.code);
    rules.dedup_by_key(|c| c.code);
    let results: Vec<Value> = diagnostics.iter().map(|d| result(d, &rules, style)).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "nixactions",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules.iter().map(|c| rule(c)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

fn rule(code: &Code) -> Value {
    json!({
        "id": code.code,
        "name": code.name,
        "shortDescription": { "text": code.title },
        "help": { "text": code.page, "markdown": code.page },
        "defaultConfiguration": { "level": level(code.severity) },
    })
}

fn result(d: &Diagnostic, rules: &[&'static Code], style: &Style) -> Value {
    let mut text = d.message.clone();
    for extra in d.help.iter().chain(&d.notes) {
        text.push('\n');
        text.push_str(extra);
    }
    let mut result = json!({ "level": level(d.severity), "message": { "text": text } });
    if let Some(index) = rules.iter().position(|c| c.code == d.code) {
        result["ruleId"] = json!(d.code);
        result["ruleIndex"] = json!(index);
    }
    if let Some(label) = &d.primary {
        result["locations"] = json!([location(&label.place, &label.text, style)]);
    }
    if !d.secondary.is_empty() {
        let related: Vec<Value> = d.secondary.iter().map(|l| location(&l.place, &l.text, style)).collect();
        result["relatedLocations"] = Value::Array(related);
    }
    if !d.fixes.is_empty() {
        let fixes: Vec<Value> = d.fixes.iter().map(|f| fix(f, style)).collect();
        result["fixes"] = Value::Array(fixes);
    }
    result
}

fn fix(fix: &crate::diag::Fix, style: &Style) -> Value {
    let changes: Vec<Value> = fix
        .edits
        .iter()
        .map(|e| {
            json!({
                "artifactLocation": { "uri": uri(&e.place, style) },
                "replacements": [{
                    "deletedRegion": region(&e.place),
                    "insertedContent": { "text": e.text },
                }],
            })
        })
        .collect();
    json!({ "description": { "text": fix.title }, "artifactChanges": changes })
}

fn location(place: &Place, text: &str, style: &Style) -> Value {
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(place, style) },
            "region": region(place),
        },
    });
    if !text.is_empty() {
        location["message"] = json!({ "text": text });
    }
    location
}

fn region(place: &Place) -> Value {
    let (start, end) = place::positions(place);
    json!({
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
    })
}

/// A relative reference, or a `file:` URI for a path elsewhere, with everything escaped that needs it.
fn uri(place: &Place, style: &Style) -> String {
    let name = place::name(place, &style.base);
    let mut uri = String::with_capacity(name.len());
    if name.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(byte as char)
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "note",
    }
}
