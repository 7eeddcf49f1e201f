//! Text for people: durations, widths on a terminal, colours.

use std::fmt;

/// A duration in microseconds, shown with the precision that is of use: `3ms`, `1.24s`, `2m05s`.
#[derive(Clone, Copy)]
pub(super) struct Took(pub(super) u64);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0 / 1000;
        let text = match ms {
            0..1000 => format!("{ms}ms"),
            1000..60_000 => format!("{}.{:02}s", ms / 1000, ms % 1000 / 10),
            60_000..3_600_000 => format!("{}m{:02}s", ms / 60_000, ms / 1000 % 60),
            _ => format!("{}h{:02}m", ms / 3_600_000, ms / 60_000 % 60),
        };
        f.pad(&text)
    }
}

/// A colour, as the parameter of its escape sequence.
#[derive(Clone, Copy)]
pub(super) enum Color {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
    Dim = 2,
}

/// Appends `text` in a colour, if colours are wanted.
pub(super) fn paint(out: &mut String, wanted: bool, color: Color, text: &str) {
    if wanted {
        out.push_str(&format!("\x1b[{}m{text}\x1b[0m", color as u8));
    } else {
        out.push_str(text);
    }
}

/// Columns that a character takes.
fn columns(c: char) -> usize {
    match u32::from(c) {
        0..0x20 | 0x7f..0xa0 => 0,
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f | 0x20d0..=0x20ff => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff => 2,
        0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 => 2,
        0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// The text, cut to `limit` columns, with `…` where something was cut off.
pub(super) fn fit(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += columns(c);
        if used + 1 > limit {
            break;
        }
        out.push(c);
    }
    if limit > 0 {
        out.push('…');
    }
    out
}

/// The text for a place in HTML or XML, between tags or in a quoted attribute; characters that XML
/// does not know are left out.
pub(super) fn escape_markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

/// What a line of output looks like on a terminal that only prints: no escape sequences, no control
/// characters, and of a line that was overwritten with `\r` only what was left.
pub(super) fn printable(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let last = bytes.rsplit(|byte| *byte == b'\r').next().unwrap_or_default();
    let text = String::from_utf8_lossy(last);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => skip_escape(&mut chars),
            '\t' => out.push_str("  "),
            c if c.is_control() => {}
            // Marks that turn the direction of text could make a line read as another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c => out.push(c),
        }
    }
    out
}

fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            // A control sequence ends with a byte from `@` to `~`.
            for c in chars.by_ref() {
                if ('@'..='~').contains(&c) {
                    break;
                }
            }
        }
        Some(']' | 'P' | '_' | '^') => {
            // A string (a title, a link) ends with BEL or ESC \.
            while let Some(c) = chars.next() {
                if c == '\x07' {
                    break;
                }
                if c == '\x1b' {
                    chars.next_if_eq(&'\\');
                    break;
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let shown = [3_400, 1_240_000, 125_000_000, 3_720_000_000].map(|us| Took(us).to_string());
        assert_eq!(shown, ["3ms", "1.24s", "2m05s", "1h02m"]);
    }

    #[test]
    fn lines_are_made_harmless_and_fit() {
        assert_eq!(printable(b"\x1b[31mred\x1b[0m \x1b]0;title\x07x\x08\ty"), "red x  y");
        assert_eq!(printable(b"10%\r20%\r"), "20%");
        assert_eq!(printable(b"\x1b]8;;http://x\x1b\\link\x1b"), "link");
        assert_eq!(fit("hello", 5), "hello");
        assert_eq!(fit("hello!", 5), "hell…");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("x", 0), "");
    }
}
