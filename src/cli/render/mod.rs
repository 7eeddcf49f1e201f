//! Findings as text: for people, for editors' problem lists, for other programs.

mod github;
mod human;
mod json;
mod place;
mod sarif;
mod short;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use crate::diag::{Diagnostic, Severity};

/// How findings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Excerpts of the source with labels.
    #[default]
    Human,
    /// One line a finding: `path:line:column: severity[CODE]: message`.
    Short,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// GitHub's workflow commands, shown as annotations.
    Github,
}

/// When colour is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What the place that the text goes to can show.
#[derive(Clone, Debug)]
pub struct Style {
    /// Escape sequences for colour.
    pub color: bool,
    /// Box-drawing characters.
    pub unicode: bool,
    /// Columns.
    pub width: usize,
    /// Paths below this directory are shown relative to it.
    pub base: PathBuf,
}

impl Style {
    /// The style for a stream, given what the user asked for.
    pub fn detect(color: Color, ascii: bool, stream: &(impl IsTerminal + std::os::fd::AsFd)) -> Style {
        let terminal = stream.is_terminal();
        let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !dumb && !set("NO_COLOR"),
        };
        let width = rustix::termios::tcgetwinsize(stream).ok().map(|w| usize::from(w.ws_col));
        let width = width.filter(|&w| terminal && w > 0).unwrap_or(80).clamp(40, 200);
        let base = std::env::current_dir().unwrap_or_default();
        Style { color, unicode: !ascii && locale_is_utf8(), width, base }
    }
}

/// Whether the locale can show more than ASCII. Without any setting the answer is yes: containers
/// set none, and what reads their logs understands UTF-8.
fn locale_is_utf8() -> bool {
    let set = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
    match ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set) {
        None => true,
        Some(v) => {
            let v = v.to_ascii_lowercase();
            v.contains("utf-8") || v.contains("utf8")
        }
    }
}

/// Number of findings of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Errors.
    pub errors: usize,
    /// Warnings.
    pub warnings: usize,
    /// Hints.
    pub hints: usize,
}

impl Counts {
    /// Counts findings.
    pub fn of(diagnostics: &[Diagnostic]) -> Counts {
        let n = |s| diagnostics.iter().filter(|d| d.severity == s).count();
        Counts { errors: n(Severity::Error), warnings: n(Severity::Warning), hints: n(Severity::Hint) }
    }
}

/// Findings shown to people at most; the rest is counted.
const CAP: usize = 50;

/// Writes findings, sorted by file, offset and code.
pub fn write(
    diagnostics: &[Diagnostic],
    format: Format,
    style: &Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_cached_key(|d| place::sort_key(d));
    match format {
        Format::Human => human::write(&sorted, CAP, style, out),
        Format::Short => short::write(&sorted, CAP, style, out),
        Format::Json => json::write(&sorted, style, out),
        Format::Sarif => sarif::write(&sorted, style, out),
        Format::Github => github::write(&sorted, style, out),
    }
}

/// The word for a severity.
fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "hint",
    }
}

/// `1 error`, `2 errors`.
fn plural(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

/// The closing line: how many findings there are; `None` when there are none.
fn summary(counts: Counts) -> Option<String> {
    let parts: Vec<String> = [(counts.errors, "error"), (counts.warnings, "warning"), (counts.hints, "hint")]
        .into_iter()
        .filter(|&(n, _)| n > 0)
        .map(|(n, word)| plural(n, word))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests;
