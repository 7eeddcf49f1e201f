//! The parser.

use super::insert::{self, How};
use super::scan::Scan;
use super::{Array, Item, Kind, Table};

/// Nesting of arrays and inline tables.
const MAX_DEPTH: u32 = 10_000;

/// The table of a text.
///
/// # Errors
/// The first error, with its place, on several lines.
pub fn parse(text: &[u8]) -> Result<Table, String> {
    let at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let mut parser = Parser { scan: Scan(text), at, depth: 0 };
    parser.document().map_err(|e| e.shown(text))
}

/// An error and its place.
pub(super) struct Error {
    title: &'static str,
    at: usize,
}

impl Error {
    fn shown(&self, text: &[u8]) -> String {
        let at = self.at.min(text.len());
        let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |n| n + 1);
        let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |n| at + n);
        let number = (memchr::memchr_iter(b'\n', &text[..at]).count() + 1).to_string();
        let line = String::from_utf8_lossy(&text[start..end]).into_owned();
        let (margin, pad) = (" ".repeat(number.len()), " ".repeat(at - start));
        format!(
            "[error] {}\n{margin}--> fromTOML\n {margin} |\n {number} | {}\n {margin} | {pad}^-- here\n",
            self.title,
            line.trim_end_matches('\r')
        )
    }
}

type Parse<T> = Result<T, Error>;

struct Parser<'t> {
    scan: Scan<'t>,
    at: usize,
    depth: u32,
}

const NO_STRING: &str = "toml::parse_basic_string: invalid string format";
const NO_LONG_STRING: &str = "toml::parse_ml_basic_string: invalid string format";

impl Parser<'_> {
    fn fail<T>(&self, title: &'static str) -> Parse<T> {
        Err(Error { title, at: self.at })
    }

    fn eof(&self) -> bool {
        self.at >= self.scan.0.len()
    }

    fn byte(&self) -> u8 {
        self.scan.byte(self.at)
    }

    fn next_is(&self, text: &[u8]) -> bool {
        self.scan.0.get(self.at..).is_some_and(|rest| rest.starts_with(text))
    }

    fn spaces(&mut self) {
        self.at = self.scan.spaces(self.at);
    }

    /// A comment to the end of its line; whether there was one.
    fn comment(&mut self) -> Parse<bool> {
        let start = self.scan.spaces(self.at);
        let Some(end) = self.scan.comment(start) else { return Ok(false) };
        self.at = end;
        match self.scan.newline(end) {
            Some(next) => self.at = next,
            None if self.eof() => {}
            None => {
                return self.fail("toml::parse_comment_line: newline (LF / CRLF) or EOF is expected");
            }
        }
        Ok(true)
    }

    /// Spaces, newlines and comments; whether a line ended.
    fn blank(&mut self) -> Parse<bool> {
        let mut ended = false;
        loop {
            self.spaces();
            if let Some(next) = self.scan.newline(self.at) {
                self.at = next;
            } else if !self.comment()? {
                return Ok(ended);
            }
            ended = true;
        }
    }

    fn document(&mut self) -> Parse<Table> {
        let mut root = Table::new(Kind::Explicit);
        self.table(&mut root)?;
        while !self.eof() {
            self.blank()?;
            if self.eof() {
                break;
            }
            let start = self.at;
            let how = if self.next_is(b"[[") { How::ArrayHeader } else { How::Header };
            let Some(keys) = self.header(how) else {
                self.at = start;
                return self.fail(match how {
                    How::ArrayHeader => "toml::parse_file: invalid array-table key",
                    _ => "toml::parse_file: invalid table key",
                });
            };
            if !self.comment()? {
                self.spaces();
                match self.scan.newline(self.at) {
                    Some(next) => self.at = next,
                    None if self.eof() => {}
                    None => return self.fail("toml::parse_file: newline (or EOF) expected"),
                }
            }
            let table = insert::header(&mut root, &keys, how).map_err(|title| Error { title, at: start })?;
            self.table(table)?;
        }
        Ok(root)
    }

    /// The keys of `[…]` or `[[…]]`.
    fn header(&mut self, how: How) -> Option<Vec<Vec<u8>>> {
        let (open, close): (&[u8], &[u8]) =
            if how == How::ArrayHeader { (b"[[", b"]]") } else { (b"[", b"]") };
        if !self.next_is(open) {
            return None;
        }
        self.at += open.len();
        self.spaces();
        let keys = self.keys().ok()?;
        self.spaces();
        if !self.next_is(close) {
            return None;
        }
        self.at += close.len();
        Some(keys)
    }

    /// Lines of `key = value`, up to a header.
    fn table(&mut self, table: &mut Table) -> Parse<()> {
        let mut line_ended = true;
        while !self.eof() {
            line_ended |= self.blank()?;
            if self.eof() || self.byte() == b'[' {
                break;
            }
            if !line_ended {
                return self.fail("toml::parse_table: newline (LF / CRLF) or EOF is expected");
            }
            self.pair(table)?;
            line_ended = self.comment()?;
        }
        Ok(())
    }

    fn pair(&mut self, table: &mut Table) -> Parse<()> {
        let start = self.at;
        let keys = self.keys()?;
        let equals = self.scan.spaces(self.at);
        if self.scan.byte(equals) != b'=' {
            return self.fail("toml::parse_key_value_pair: invalid key value separator `=`");
        }
        self.at = self.scan.spaces(equals + 1);
        let value = self.value()?;
        insert::value(table, &keys, value).map_err(|title| Error { title, at: start })
    }

    fn keys(&mut self) -> Parse<Vec<Vec<u8>>> {
        let mut keys = Vec::new();
        loop {
            keys.push(self.key()?);
            let dot = self.scan.spaces(self.at);
            if self.scan.byte(dot) != b'.' {
                return Ok(keys);
            }
            self.at = self.scan.spaces(dot + 1);
        }
    }

    fn key(&mut self) -> Parse<Vec<u8>> {
        match self.byte() {
            b'"' => return self.basic_string(),
            b'\'' => return self.literal_string(),
            _ => {}
        }
        let start = self.at;
        while matches!(self.byte(), b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-') {
            self.at += 1;
        }
        if self.at == start {
            return self.fail(
                "toml::parse_simple_key: invalid key: key must be \"quoted\", 'quoted-literal', or bare key.",
            );
        }
        Ok(self.scan.0[start..self.at].to_vec())
    }

    fn value(&mut self) -> Parse<Item> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail("arrays and tables are nested too deeply (limit: 10000 levels)");
        }
        let value = self.value_inside();
        self.depth -= 1;
        value
    }

    fn value_inside(&mut self) -> Parse<Item> {
        Ok(match self.byte() {
            b'"' if self.next_is(b"\"\"\"") => Item::Str(self.long_basic_string()?),
            b'"' => Item::Str(self.basic_string()?),
            b'\'' if self.next_is(b"'''") => Item::Str(self.long_literal_string()?),
            b'\'' => Item::Str(self.literal_string()?),
            b'[' => self.array()?,
            b'{' => self.inline_table()?,
            b't' | b'f' => self.boolean()?,
            b'T' => {
                return self.fail(
                    "toml::parse_value: `true` must be in lowercase. A string must be surrounded by quotes.",
                );
            }
            b'F' => {
                return self.fail(
                    "toml::parse_value: `false` must be in lowercase. A string must be surrounded by quotes.",
                );
            }
            b'i' | b'I' if !self.next_is(b"inf") => {
                return self.fail(
                    "toml::parse_value: `inf` must be in lowercase. A string must be surrounded by quotes.",
                );
            }
            b'n' | b'N' if !self.next_is(b"nan") => {
                return self.fail(
                    "toml::parse_value: `nan` must be in lowercase. A string must be surrounded by quotes.",
                );
            }
            _ => self.number()?,
        })
    }

    fn boolean(&mut self) -> Parse<Item> {
        for (word, value) in [(&b"true"[..], true), (b"false", false)] {
            if self.next_is(word) {
                self.at += word.len();
                return Ok(Item::Bool(value));
            }
        }
        self.fail(
            "toml::parse_boolean: invalid boolean: boolean must be `true` or `false`, in lowercase. string must be surrounded by `\"`",
        )
    }

    fn array(&mut self) -> Parse<Item> {
        self.at += 1;
        self.blank()?;
        let mut items = Vec::new();
        let mut comma = true;
        while !self.eof() && self.byte() != b']' {
            if !comma {
                return self.fail("toml::parse_array: expected value-separator `,` or closing `]`");
            }
            items.push(self.value()?);
            self.blank()?;
            comma = self.byte() == b',';
            if comma {
                self.at += 1;
                self.blank()?;
            }
        }
        if self.byte() != b']' {
            return self.fail("toml::parse_array: missing closing bracket `]`");
        }
        self.at += 1;
        Ok(Item::Array(Array { items, of_tables: false }))
    }

    fn inline_table(&mut self) -> Parse<Item> {
        self.at += 1;
        self.spaces();
        let mut table = Table::new(Kind::Dotted);
        let (mut empty, mut comma) = (true, false);
        while self.byte() != b'}' {
            if !comma && !empty {
                return self.fail("toml::parse_inline_table: expected value-separator `,` or closing `}`");
            }
            empty = false;
            self.pair(&mut table)?;
            self.spaces();
            comma = self.byte() == b',';
            self.at += usize::from(comma);
            self.spaces();
        }
        if comma {
            return self.fail("toml::parse_inline_table: trailing comma is not allowed in TOML-v1.0.0)");
        }
        self.at += 1;
        table.kind = Kind::Inline;
        Ok(Item::Table(table))
    }

    /// The meaning of an escape, at its backslash.
    fn escape(&mut self, invalid: &'static str, start: usize, out: &mut Vec<u8>) -> Parse<()> {
        let digits = match self.scan.byte(self.at + 1) {
            b'u' => 4,
            b'U' => 8,
            c => {
                out.push(match c {
                    b'"' | b'\\' => c,
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    _ => return Err(Error { title: invalid, at: start }),
                });
                self.at += 2;
                return Ok(());
            }
        };
        let code = self.scan.0.get(self.at + 2..self.at + 2 + digits);
        let code = code
            .filter(|c| c.iter().all(u8::is_ascii_hexdigit))
            .and_then(|c| u32::from_str_radix(std::str::from_utf8(c).ok()?, 16).ok());
        let Some(code) = code else { return Err(Error { title: invalid, at: start }) };
        let Some(c) = char::from_u32(code) else {
            return self.fail(match code {
                0xd800..=0xdfff => "toml::parse_utf8_codepoint: [0xD800, 0xDFFF] is not a valid UTF-8",
                _ => "toml::parse_utf8_codepoint: input codepoint is too large.",
            });
        };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += 2 + digits;
        Ok(())
    }

    /// The end of a character that may stand in a string as it is.
    fn plain(&self, quote: u8) -> Option<usize> {
        match self.byte() {
            b if b == quote => None,
            b'\\' if quote == b'"' => None,
            b'\t' | 0x20..=0x7e => Some(self.at + 1),
            _ => self.scan.wide(self.at),
        }
    }

    fn basic_string(&mut self) -> Parse<Vec<u8>> {
        let start = self.at;
        let mut out = Vec::new();
        self.at += 1;
        loop {
            match self.byte() {
                b'"' => break,
                b'\\' => self.escape(NO_STRING, start, &mut out)?,
                _ => {
                    let Some(end) = self.plain(b'"') else {
                        return Err(Error { title: NO_STRING, at: start });
                    };
                    out.extend_from_slice(&self.scan.0[self.at..end]);
                    self.at = end;
                }
            }
        }
        self.at += 1;
        Ok(out)
    }

    fn literal_string(&mut self) -> Parse<Vec<u8>> {
        let start = self.at;
        self.at += 1;
        while self.byte() != b'\'' {
            match self.plain(b'\'') {
                Some(end) => self.at = end,
                None => {
                    let title = "toml::parse_literal_string: invalid string format";
                    return Err(Error { title, at: start });
                }
            }
        }
        self.at += 1;
        Ok(self.scan.0[start + 1..self.at - 1].to_vec())
    }

    /// Quotes inside or at the end of a long string; whether it ends with them.
    fn quotes(&mut self, quote: u8, out: &mut Vec<u8>) -> bool {
        let n = self.scan.0[self.at..].iter().take(5).take_while(|&&b| b == quote).count();
        let ends = n >= 3;
        out.extend(std::iter::repeat_n(quote, if ends { n - 3 } else { n }));
        self.at += n;
        ends
    }

    fn long_basic_string(&mut self) -> Parse<Vec<u8>> {
        let start = self.at;
        let mut out = Vec::new();
        self.at += 3;
        self.at = self.scan.newline(self.at).unwrap_or(self.at);
        loop {
            match self.byte() {
                b'"' => {
                    if self.quotes(b'"', &mut out) {
                        return Ok(out);
                    }
                }
                b'\\' => match self.scan.newline(self.scan.spaces(self.at + 1)) {
                    Some(next) => {
                        self.at = next;
                        loop {
                            self.spaces();
                            match self.scan.newline(self.at) {
                                Some(next) => self.at = next,
                                None => break,
                            }
                        }
                    }
                    None => self.escape(NO_LONG_STRING, start, &mut out)?,
                },
                _ => match self.scan.newline(self.at).or_else(|| self.plain(b'"')) {
                    Some(end) => {
                        out.extend_from_slice(&self.scan.0[self.at..end]);
                        self.at = end;
                    }
                    None => return Err(Error { title: NO_LONG_STRING, at: start }),
                },
            }
        }
    }

    fn long_literal_string(&mut self) -> Parse<Vec<u8>> {
        let start = self.at;
        let mut out = Vec::new();
        self.at += 3;
        self.at = self.scan.newline(self.at).unwrap_or(self.at);
        loop {
            if self.byte() == b'\'' {
                if self.quotes(b'\'', &mut out) {
                    return Ok(out);
                }
                continue;
            }
            match self.scan.newline(self.at).or_else(|| self.plain(b'\'')) {
                Some(end) => {
                    out.extend_from_slice(&self.scan.0[self.at..end]);
                    self.at = end;
                }
                None => {
                    let title = "toml::parse_ml_literal_string: invalid string format";
                    return Err(Error { title, at: start });
                }
            }
        }
    }

    /// A number, a date or a time: what it is is seen by what it looks like.
    fn number(&mut self) -> Parse<Item> {
        let (scan, start) = (self.scan, self.at);
        if let Some(end) = scan.datetime(start) {
            if let Some(end) = scan.offset(end) {
                return self.timestamp(end);
            }
            if matches!(scan.byte(end), b'+' | b'-') {
                return Err(Error { title: "bad offset: must be [+-]HH:MM or Z", at: end });
            }
            return self.timestamp(end);
        }
        if let Some(end) = scan.date(start) {
            let after = scan.byte(end + 1);
            let bad = match scan.byte(end) {
                b'T' | b't' => Some(("bad time: must be HH:MM:SS.subsec", end + 1)),
                b' ' if after.is_ascii_digit() => Some(("bad time: must be HH:MM:SS.subsec", end + 1)),
                b'0'..=b'9' => Some(("bad datetime: missing T or space", end)),
                _ => None,
            };
            return match bad {
                Some((title, at)) => Err(Error { title, at }),
                None => self.timestamp(end),
            };
        }
        if let Some(end) = scan.time(start) {
            return self.timestamp(end);
        }
        if let Some(end) = scan.float(start) {
            self.at = end;
            if self.byte() == b'_' {
                return self.fail("bad float: `_` must be surrounded by digits");
            }
            return self.float(start, end);
        }
        let integer = scan
            .prefixed(start, b'x', 16)
            .or_else(|| scan.prefixed(start, b'o', 8))
            .or_else(|| scan.prefixed(start, b'b', 2))
            .or_else(|| scan.decimal(start));
        if let Some(end) = integer {
            self.at = end;
            let zero = end - start <= 2 && scan.byte(end - 1) == b'0';
            return match self.byte() {
                b'_' if zero => self.fail("bad integer: leading zero is not allowed in decimal int"),
                b'_' => self.fail("bad integer: `_` must be surrounded by digits"),
                b'0' => self.fail("bad integer: leading zero"),
                b'1'..=b'9' => self.fail("bad integer: invalid digit after an integer"),
                b':' | b'-' => self.fail("bad datetime: invalid format"),
                b'.' | b'e' | b'E' => self.fail("bad float: invalid format"),
                _ => self.integer(start, end),
            };
        }
        match self.byte() {
            b'.' => self.fail("bad float: integer part is required before decimal point"),
            b'_' => self.fail("bad number: `_` must be surrounded by digits"),
            _ => self.fail("bad format: unknown value appeared"),
        }
    }

    fn digits(&self, start: usize, end: usize) -> String {
        self.scan.0[start..end].iter().filter(|&&b| b != b'_').map(|&b| b as char).collect()
    }

    fn float(&self, start: usize, end: usize) -> Parse<Item> {
        match self.digits(start, end).parse::<f64>() {
            Ok(x) if x.is_finite() || self.scan.byte(end - 1).is_ascii_alphabetic() => Ok(Item::Float(x)),
            _ => Err(Error {
                title: "toml::parse_floating: failed to read floating point value from stream",
                at: end,
            }),
        }
    }

    fn integer(&mut self, start: usize, end: usize) -> Parse<Item> {
        let unsigned = start + usize::from(matches!(self.scan.byte(start), b'+' | b'-'));
        let prefix = if self.scan.byte(unsigned) == b'0' { self.scan.byte(unsigned + 1) } else { 0 };
        let (base, malformed, too_large) = match prefix {
            b'x' => (
                16,
                "toml::parse_hex_integer: invalid integer: hex_int must be like: 0xC0FFEE, 0xdead_beef",
                "toml::parse_hex_integer: too large integer: current max value = 2^63",
            ),
            b'o' => (
                8,
                "toml::parse_oct_integer: invalid integer: oct_int must be like: 0o775, 0o04_44",
                "toml::parse_oct_integer: too large integer: current max value = 2^63",
            ),
            b'b' => (
                2,
                "toml::parse_bin_integer: invalid integer: bin_int must be like: 0b0101, 0b1111_0000",
                "toml::parse_bin_integer: too large integer: current max value = 2^63",
            ),
            _ => (10, "", "toml::parse_dec_integer: too large integer: current max digits = 2^63"),
        };
        if base != 10 && (unsigned != start || end - start < 3) {
            return Err(Error { title: malformed, at: start });
        }
        let from = if base == 10 { start } else { start + 2 };
        match i64::from_str_radix(&self.digits(from, end), base) {
            Ok(n) => Ok(Item::Int(n)),
            Err(_) => Err(Error { title: too_large, at: end }),
        }
    }

    /// A date, a time or both, up to `end`, in a uniform manner.
    fn timestamp(&mut self, end: usize) -> Parse<Item> {
        let start = self.at;
        let text = String::from_utf8_lossy(&self.scan.0[start..end]).into_owned();
        let (date, rest) = if self.scan.date(start).is_some() { text.split_at(10) } else { ("", &*text) };
        let number = |s: Option<&str>| s.and_then(|s| s.parse::<u32>().ok()).unwrap_or(u32::MAX);
        if !date.is_empty() {
            let (year, month, day) = (number(date.get(..4)), number(date.get(5..7)), number(date.get(8..10)));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let most = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            if !(1..=12).contains(&month) || !(1..=most).contains(&day) {
                return self.fail("toml::parse_local_date: invalid date.");
            }
        }
        self.at = end;
        let rest = rest.trim_start_matches(['T', 't', ' ']);
        if rest.is_empty() {
            return Ok(Item::Time(date.to_owned()));
        }
        let (time, offset) = rest.split_at(rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len()));
        if number(time.get(..2)) > 23 || number(time.get(3..5)) > 59 || number(time.get(6..8)) > 60 {
            return Err(Error { title: "toml::parse_local_time: invalid time.", at: start });
        }
        let sign = offset.get(..1).unwrap_or_default();
        let (hours, minutes) = (offset.get(1..3), offset.get(4..6));
        if hours.is_some() && (number(hours) > 24 || number(minutes) > 60) {
            let title = "toml::parse_offset_datetime: too large offset: |hour| <= 24, |minute| <= 60";
            return Err(Error { title, at: start });
        }
        let offset = match sign {
            "" => String::new(),
            "+" | "-" if number(hours) + number(minutes) > 0 => offset.to_owned(),
            _ => "Z".into(),
        };
        let between = if date.is_empty() { "" } else { "T" };
        Ok(Item::Time(format!("{date}{between}{}{}{offset}", &time[..8], fraction(&time[8..]))))
    }
}

/// The fraction of a second, with three, six or nine digits as it needs; digits after those are lost.
fn fraction(written: &str) -> String {
    let digits = format!("{:0<9.9}", written.trim_start_matches('.'));
    let used = digits.trim_end_matches('0').len().div_ceil(3) * 3;
    if used == 0 { String::new() } else { format!(".{}", &digits[..used]) }
}
