//! Tokens of JSON, with the errors and the positions that the library of C++ Nix (nlohmann/json)
//! reports, since users see its words.

/// What a token is, and its value where it has one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// The bytes of a string, with its escapes replaced.
    Str(Vec<u8>),
    /// A number, as it stands in the text.
    Number,
    /// One of `[ ] { } : ,`
    Sign(u8),
    /// The end of the text.
    End,
    /// Something that is none; the message says why.
    Wrong(String),
}

impl Token {
    /// The token as messages name it.
    fn name(&self) -> String {
        match self {
            Token::Null => "null literal".into(),
            Token::Bool(true) => "true literal".into(),
            Token::Bool(false) => "false literal".into(),
            Token::Str(_) => "string literal".into(),
            Token::Number => "number literal".into(),
            Token::Sign(b) => format!("'{}'", *b as char),
            Token::End => "end of input".into(),
            Token::Wrong(_) => "<parse error>".into(),
        }
    }
}

/// The names of the characters below U+0020, and their short escapes.
const CONTROL: [&str; 32] = [
    "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "HT", "LF", "VT", "FF", "CR", "SO", "SI",
    "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC", "FS", "GS", "RS",
    "US",
];

/// Reads tokens.
pub(super) struct Lexer<'t> {
    text: &'t [u8],
    /// Bytes read; the end counts as one each time it is met.
    at: usize,
    /// Where what messages show as read last begins: the last string or number.
    start: usize,
}

impl<'t> Lexer<'t> {
    /// A lexer at the beginning of a text.
    pub(super) fn new(text: &'t [u8]) -> Self {
        let at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Lexer { text, at, start: 0 }
    }

    #[inline]
    fn get(&mut self) -> Option<u8> {
        let byte = self.text.get(self.at).copied();
        self.at += 1;
        byte
    }

    /// The text of the last number.
    pub(super) fn number_text(&self) -> &'t str {
        std::str::from_utf8(&self.text[self.start..self.at.min(self.text.len())]).unwrap_or_default()
    }

    /// The next token.
    pub(super) fn token(&mut self) -> Token {
        let first = loop {
            match self.get() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => {}
                other => break other,
            }
        };
        match first {
            None | Some(0) => Token::End,
            Some(b @ (b'[' | b']' | b'{' | b'}' | b':' | b',')) => Token::Sign(b),
            Some(b'n') => self.word(b"ull", Token::Null),
            Some(b't') => self.word(b"rue", Token::Bool(true)),
            Some(b'f') => self.word(b"alse", Token::Bool(false)),
            Some(b'"') => {
                self.start = self.at - 1;
                self.string().map_or_else(Token::Wrong, Token::Str)
            }
            Some(b @ (b'-' | b'0'..=b'9')) => {
                self.start = self.at - 1;
                match self.number(b) {
                    Ok(()) => Token::Number,
                    Err(expected) => Token::Wrong(format!("invalid number; expected {expected}")),
                }
            }
            Some(_) => Token::Wrong("invalid literal".into()),
        }
    }

    fn word(&mut self, rest: &[u8], token: Token) -> Token {
        for &b in rest {
            if self.get() != Some(b) {
                return Token::Wrong("invalid literal".into());
            }
        }
        token
    }

    /// The rest of a number; fails with what is missing.
    fn number(&mut self, first: u8) -> Result<(), &'static str> {
        let digit = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_digit());
        let mut next = if first == b'-' { self.get() } else { Some(first) };
        match next {
            Some(b'0') => next = self.get(),
            b if digit(b) => {
                while digit(next) {
                    next = self.get();
                }
            }
            _ => return Err("digit after '-'"),
        }
        if next == Some(b'.') {
            next = self.get();
            if !digit(next) {
                return Err("digit after '.'");
            }
            while digit(next) {
                next = self.get();
            }
        }
        if matches!(next, Some(b'e' | b'E')) {
            next = self.get();
            if matches!(next, Some(b'+' | b'-')) {
                next = self.get();
                if !digit(next) {
                    return Err("digit after exponent sign");
                }
            } else if !digit(next) {
                return Err("'+', '-', or digit after exponent");
            }
            while digit(next) {
                next = self.get();
            }
        }
        self.at -= 1;
        Ok(())
    }

    /// The rest of a string.
    fn string(&mut self) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = |b: &&u8| !matches!(**b, b'"' | b'\\' | 0..0x20 | 0x80..);
            let n = rest.iter().take_while(plain).count();
            out.extend_from_slice(&rest[..n]);
            self.at += n;
            match self.get() {
                Some(b'"') => return Ok(out),
                Some(b'\\') => self.escape(&mut out).map_err(|what| format!("invalid string: {what}"))?,
                None => return Err("invalid string: missing closing quote".into()),
                Some(b @ 0..0x20) => return Err(control(b)),
                Some(first) => self.sequence(first, &mut out)?,
            }
        }
    }

    /// The rest of a character of several bytes (RFC 3629, section 4).
    fn sequence(&mut self, first: u8, out: &mut Vec<u8>) -> Result<(), String> {
        let (second, more) = match first {
            0xc2..=0xdf => (0x80..=0xbf, 0),
            0xe0 => (0xa0..=0xbf, 1),
            0xed => (0x80..=0x9f, 1),
            0xe1..=0xef => (0x80..=0xbf, 1),
            0xf0 => (0x90..=0xbf, 2),
            0xf1..=0xf3 => (0x80..=0xbf, 2),
            0xf4 => (0x80..=0x8f, 2),
            _ => return Err("invalid string: ill-formed UTF-8 byte".into()),
        };
        out.push(first);
        for i in 0..=more {
            let range = if i == 0 { second.clone() } else { 0x80..=0xbf };
            match self.get() {
                Some(b) if range.contains(&b) => out.push(b),
                _ => return Err("invalid string: ill-formed UTF-8 byte".into()),
            }
        }
        Ok(())
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let c = match self.get() {
            Some(b @ (b'"' | b'\\' | b'/')) => b as char,
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => self.unicode()?,
            _ => return Err("forbidden character after backslash"),
        };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn hex4(&mut self) -> Result<u32, &'static str> {
        let mut n = 0;
        for _ in 0..4 {
            let digit = self.get().and_then(|b| (b as char).to_digit(16));
            n = n * 16 + digit.ok_or("'\\u' must be followed by 4 hex digits")?;
        }
        Ok(n)
    }

    fn unicode(&mut self) -> Result<char, &'static str> {
        const HIGH: &str = "surrogate U+D800..U+DBFF must be followed by U+DC00..U+DFFF";
        let mut n = self.hex4()?;
        if (0xd800..0xdc00).contains(&n) {
            if self.get() != Some(b'\\') || self.get() != Some(b'u') {
                return Err(HIGH);
            }
            let low = self.hex4()?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(HIGH);
            }
            n = 0x10000 + ((n - 0xd800) << 10) + (low - 0xdc00);
        }
        char::from_u32(n).ok_or("surrogate U+DC00..U+DFFF must follow U+D800..U+DBFF")
    }

    /// The message for a token that cannot stand here.
    #[cold]
    pub(super) fn unexpected(&self, token: &Token, context: &str, expected: Option<&str>) -> Vec<u8> {
        let read = &self.text[..self.at.min(self.text.len())];
        let line = read.iter().filter(|&&b| b == b'\n').count() + 1;
        let column = self.at - memchr::memrchr(b'\n', read).map_or(0, |n| n + 1);
        let mut out =
            format!("[json.exception.parse_error.101] parse error at line {line}, column {column}: ")
                .into_bytes();
        if *token == Token::End && self.at == 1 {
            out.extend_from_slice(
                b"attempting to parse an empty input; check that your input string or stream contains the expected JSON",
            );
            return out;
        }
        out.extend_from_slice(format!("syntax error while parsing {context} - ").as_bytes());
        match token {
            Token::Wrong(why) => {
                out.extend_from_slice(format!("{why}; last read: '").as_bytes());
                show(&read[self.start.min(read.len())..], &mut out);
                out.push(b'\'');
            }
            token => out.extend_from_slice(format!("unexpected {}", token.name()).as_bytes()),
        }
        if let Some(expected) = expected {
            out.extend_from_slice(format!("; expected {expected}").as_bytes());
        }
        out
    }
}

/// Text as messages show it: control characters by their number.
fn show(text: &[u8], out: &mut Vec<u8>) {
    for &b in text {
        match b {
            0..0x20 => out.extend_from_slice(format!("<U+{b:04X}>").as_bytes()),
            b => out.push(b),
        }
    }
}

fn control(b: u8) -> String {
    let short = match b {
        8 => " or \\b",
        9 => " or \\t",
        10 => " or \\n",
        12 => " or \\f",
        13 => " or \\r",
        _ => "",
    };
    let name = CONTROL[usize::from(b)];
    format!("invalid string: control character U+{b:04X} ({name}) must be escaped to \\u{b:04X}{short}")
}
