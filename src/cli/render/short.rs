//! One line a finding, for editors' problem lists and for `grep`.

use std::io::{self, Write};

use super::{Counts, Style, place, plural, severity_word, summary};
use crate::diag::{Diagnostic, Severity};

/// Writes `path:line:column: severity[CODE]: message` lines and a closing line.
pub(super) fn write(
    diagnostics: &[&Diagnostic],
    cap: usize,
    style: &Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    for d in diagnostics.iter().take(cap) {
        if let Some(label) = &d.primary {
            let (start, _) = place::positions(&label.place);
            write!(out, "{}:{}:{}: ", place::name(&label.place, &style.base), start.line, start.column)?;
        }
        let word = severity_word(d.severity);
        match d.code {
            "" => write!(out, "{word}")?,
            code => write!(out, "{word}[{code}]")?,
        }
        writeln!(out, ": {}", d.message.replace('\n', " "))?;
    }
    if diagnostics.len() > cap {
        writeln!(out, "and {} more", diagnostics.len() - cap)?;
    }
    let n = |s| diagnostics.iter().filter(|d| d.severity == s).count();
    let counts =
        Counts { errors: n(Severity::Error), warnings: n(Severity::Warning), hints: n(Severity::Hint) };
    match summary(counts) {
        Some(line) => writeln!(out, "{line}"),
        None => writeln!(out, "{}", plural(0, "error")),
    }
}
