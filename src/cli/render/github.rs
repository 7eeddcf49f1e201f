//! GitHub's workflow commands: each finding becomes an annotation of the line it is about.

use std::io::{self, Write};

use super::{Style, place};
use crate::diag::{Code, Diagnostic, Severity};

/// Writes one command a finding.
pub(super) fn write(diagnostics: &[&Diagnostic], style: &Style, out: &mut dyn Write) -> io::Result<()> {
    for d in diagnostics {
        let command = match d.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Hint => "notice",
        };
        let mut properties = Vec::new();
        if let Some(label) = &d.primary {
            let (start, end) = place::positions(&label.place);
            properties.push(format!("file={}", property(&place::name(&label.place, &style.base))));
            properties.push(format!("line={},endLine={}", start.line, end.line));
            // GitHub ignores the line numbers when columns are given for several lines.
            if start.line == end.line {
                properties.push(format!("col={},endColumn={}", start.column, end.column));
            }
        }
        if let Some(code) = Code::find(d.code) {
            properties.push(format!("title={}", property(&format!("{} {}", code.code, code.name))));
        }
        let mut message = d.message.clone();
        for extra in d.help.iter().chain(&d.notes) {
            message.push('\n');
            message.push_str(extra);
        }
        let space = if properties.is_empty() { "" } else { " " };
        writeln!(out, "::{command}{space}{}::{}", properties.join(","), data(&message))?;
    }
    Ok(())
}

/// Escapes the text after `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property, where `:` and `,` mean something too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
