//! Places as lines, columns and names that are shown.

use std::path::Path;

use crate::base::source::{Place, SourceName};
use crate::diag::Diagnostic;

/// A position in a text, both numbers from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// Start and end of a place.
pub(super) fn positions(place: &Place) -> (Position, Position) {
    (position(place, place.start), position(place, place.end.max(place.start)))
}

fn position(place: &Place, offset: u32) -> Position {
    let offset = offset.min(place.source.text().len() as u32);
    let (line, column) = place.source.line_col(offset);
    let text = place.source.text();
    let start = (offset + 1 - column) as usize;
    let before = text.get(start..offset as usize).unwrap_or_default();
    Position { line, column: String::from_utf8_lossy(before).chars().count() as u32 + 1 }
}

/// The name of a source: relative to `base` when it is below it.
pub(super) fn name(place: &Place, base: &Path) -> String {
    match place.source.name() {
        SourceName::Path(path) => {
            let relative = path.strip_prefix(base).ok().filter(|p| !p.as_os_str().is_empty());
            relative.unwrap_or(path).display().to_string()
        }
        other => other.to_string(),
    }
}

/// Findings are ordered by file, offset and code; those without a place come last.
pub(super) fn sort_key(d: &Diagnostic) -> (bool, String, u32, &'static str, String) {
    match &d.primary {
        Some(l) => (false, l.place.source.name().to_string(), l.place.start, d.code, d.message.clone()),
        None => (true, String::new(), 0, d.code, d.message.clone()),
    }
}
