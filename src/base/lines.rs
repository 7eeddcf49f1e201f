//! Lines and columns of a text, with columns counted in bytes, UTF-16 units or characters.
//!
//! A line ends with `\n`, `\r\n` or a single `\r`, as the Language Server Protocol 3.17 has it
//! (section "Text Documents"). Columns beyond the end of a line mean its end.

use std::ops::Range;

/// What a column counts (the protocol's `PositionEncodingKind`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Bytes.
    Utf8,
    /// UTF-16 code units, the protocol's default.
    #[default]
    Utf16,
    /// Characters.
    Utf32,
}

impl Encoding {
    /// The protocol's name.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Utf16 => "utf-16",
            Encoding::Utf32 => "utf-32",
        }
    }

    /// The encoding of this name.
    pub fn of_name(name: &str) -> Option<Encoding> {
        [Encoding::Utf8, Encoding::Utf16, Encoding::Utf32].into_iter().find(|e| e.name() == name)
    }

    fn width(self, c: char) -> u32 {
        match self {
            Encoding::Utf8 => c.len_utf8() as u32,
            Encoding::Utf16 => c.len_utf16() as u32,
            Encoding::Utf32 => 1,
        }
    }

    /// How long a text is in this encoding.
    pub fn length(self, text: &str) -> u32 {
        match self {
            Encoding::Utf8 => text.len() as u32,
            _ if text.is_ascii() => text.len() as u32,
            _ => text.chars().map(|c| self.width(c)).sum(),
        }
    }
}

/// A place by line and column, both counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineCol {
    /// The line.
    pub line: u32,
    /// The column, in units of some [`Encoding`].
    pub column: u32,
}

/// Where the lines of a text begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    starts: Vec<u32>,
    len: u32,
}

impl Lines {
    /// The lines of a text, which must be shorter than 4 GiB.
    pub fn new(text: &str) -> Lines {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        for i in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            if bytes[i] == b'\n' || bytes.get(i + 1) != Some(&b'\n') {
                starts.push(i as u32 + 1);
            }
        }
        Lines { starts, len: bytes.len() as u32 }
    }

    /// The lines of the text after the bytes from `start` to `old_end` became those up to `new_end`.
    #[must_use]
    pub fn edited(&self, text: &str, start: u32, old_end: u32, new_end: u32) -> Lines {
        let bytes = text.as_bytes();
        // Whether a line begins somewhere is told by the bytes on both sides.
        let begins = |i: u32| match i.checked_sub(1).and_then(|before| bytes.get(before as usize)) {
            Some(b'\n') => true,
            Some(b'\r') => bytes.get(i as usize) != Some(&b'\n'),
            _ => i == 0,
        };
        let before = self.starts.partition_point(|&s| s < start);
        let after = self.starts.partition_point(|&s| s <= old_end);
        let mut starts = Vec::with_capacity(self.starts.len() + 8);
        starts.extend_from_slice(&self.starts[..before]);
        starts.extend((start..=new_end).filter(|&i| begins(i)));
        starts.extend(self.starts[after..].iter().map(|s| s - old_end + new_end));
        Lines { starts, len: bytes.len() as u32 }
    }

    /// Number of lines, at least one.
    pub fn count(&self) -> u32 {
        self.starts.len() as u32
    }

    /// The line, from 0, that a byte offset is in.
    pub fn line_of(&self, offset: u32) -> u32 {
        self.starts.partition_point(|&s| s <= offset).max(1) as u32 - 1
    }

    /// The bytes of a line, without its end.
    pub fn range(&self, text: &str, line: u32) -> Range<usize> {
        let Some(&start) = self.starts.get(line as usize) else {
            return self.len as usize..self.len as usize;
        };
        let next = self.starts.get(line as usize + 1).map_or(self.len, |&n| n) as usize;
        let start = start as usize;
        let content = text.get(start..next).unwrap_or_default().trim_end_matches(['\n', '\r']);
        start..start + content.len()
    }

    /// Line and column of a byte offset; an offset inside a character means its beginning.
    pub fn position(&self, text: &str, offset: u32, encoding: Encoding) -> LineCol {
        let line = self.line_of(offset);
        let range = self.range(text, line);
        let mut end = (offset as usize).clamp(range.start, range.end);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        LineCol { line, column: encoding.length(&text[range.start..end]) }
    }

    /// The byte offset of a line and column; a column inside a character means its beginning.
    pub fn offset(&self, text: &str, at: LineCol, encoding: Encoding) -> u32 {
        let range = self.range(text, at.line);
        let mut column = 0;
        for (i, c) in text[range.clone()].char_indices() {
            column += encoding.width(c);
            if column > at.column {
                return (range.start + i) as u32;
            }
        }
        range.end as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_counted_in_the_encoding() {
        let text = "a😀b\nü";
        let lines = Lines::new(text);
        let at = |offset| lines.position(text, offset, Encoding::Utf16);
        assert_eq!(at(5), LineCol { line: 0, column: 3 });
        assert_eq!(at(3), LineCol { line: 0, column: 1 });
        assert_eq!(lines.position(text, 5, Encoding::Utf32).column, 2);
        assert_eq!(lines.position(text, 5, Encoding::Utf8).column, 5);
        let offset = |line, column| lines.offset(text, LineCol { line, column }, Encoding::Utf16);
        assert_eq!((offset(0, 3), offset(0, 2), offset(0, 99), offset(7, 0)), (5, 1, 6, 9));
        assert_eq!(offset(1, 1), 9);
    }

    #[test]
    fn every_kind_of_line_end_counts() {
        let text = "a\r\nb\rc\n\n";
        let lines = Lines::new(text);
        assert_eq!(lines.count(), 5);
        let all: Vec<&str> = (0..5).map(|l| &text[lines.range(text, l)]).collect();
        assert_eq!(all, ["a", "b", "c", "", ""]);
        assert_eq!(lines.line_of(3), 1);
    }

    #[test]
    fn offsets_and_positions_are_inverse() {
        let text = "x = \"ä😀\";\r\n  y\n";
        let lines = Lines::new(text);
        for encoding in [Encoding::Utf8, Encoding::Utf16, Encoding::Utf32] {
            for (i, c) in text.char_indices() {
                if c != '\r' && c != '\n' {
                    let at = lines.position(text, i as u32, encoding);
                    assert_eq!(lines.offset(text, at, encoding), i as u32);
                }
            }
        }
    }
}
