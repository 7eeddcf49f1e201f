//! The lexer: one token at a time, from bytes.
//!
//! Strings and paths with holes are read by the parser through [`Lexer::pos`], which stands right
//! after the token last given out; so the lexer itself needs no stack of states.

use super::ast::Span;

/// The kinds of token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Tok {
    Eof,
    /// A byte no token begins with.
    Invalid,
    Id,
    Int,
    Float,
    /// A path, or the part of it before its first hole; the text may end with a slash.
    Path,
    HomePath,
    SearchPath,
    Uri,
    /// `"`
    Quote,
    /// `''`
    IndentedQuote,
    /// `${`
    Hole,
    If,
    Then,
    Else,
    Assert,
    With,
    Let,
    In,
    Rec,
    Inherit,
    Or,
    Ellipsis,
    Implies,
    OrOr,
    AndAnd,
    Eq,
    Ne,
    Lt,
    Gt,
    Le,
    Ge,
    Update,
    Concat,
    PipeFrom,
    PipeInto,
    Plus,
    Minus,
    Star,
    Slash,
    Bang,
    Question,
    Dot,
    Comma,
    Colon,
    Semicolon,
    At,
    Assign,
    ParenOpen,
    ParenClose,
    BracketOpen,
    BracketClose,
    BraceOpen,
    BraceClose,
}

impl Tok {
    /// How Nix's messages call it.
    pub fn describe(self) -> &'static str {
        match self {
            Tok::Eof => "end of file",
            Tok::Invalid => "invalid token",
            Tok::Id => "identifier",
            Tok::Int => "integer",
            Tok::Float => "floating-point literal",
            Tok::Path => "path",
            Tok::HomePath => "'~/…' path",
            Tok::SearchPath => "'<…>' path",
            Tok::Uri => "URI",
            Tok::Quote => "'\"'",
            Tok::IndentedQuote => "start of an indented string",
            Tok::Hole => "'${'",
            Tok::If => "'if'",
            Tok::Then => "'then'",
            Tok::Else => "'else'",
            Tok::Assert => "'assert'",
            Tok::With => "'with'",
            Tok::Let => "'let'",
            Tok::In => "'in'",
            Tok::Rec => "'rec'",
            Tok::Inherit => "'inherit'",
            Tok::Or => "'or'",
            Tok::Ellipsis => "'...'",
            Tok::Implies => "'->'",
            Tok::OrOr => "'||'",
            Tok::AndAnd => "'&&'",
            Tok::Eq => "'=='",
            Tok::Ne => "'!='",
            Tok::Lt => "'<'",
            Tok::Gt => "'>'",
            Tok::Le => "'<='",
            Tok::Ge => "'>='",
            Tok::Update => "'//'",
            Tok::Concat => "'++'",
            Tok::PipeFrom => "'<|'",
            Tok::PipeInto => "'|>'",
            Tok::Plus => "'+'",
            Tok::Minus => "'-'",
            Tok::Star => "'*'",
            Tok::Slash => "'/'",
            Tok::Bang => "'!'",
            Tok::Question => "'?'",
            Tok::Dot => "'.'",
            Tok::Comma => "','",
            Tok::Colon => "':'",
            Tok::Semicolon => "';'",
            Tok::At => "'@'",
            Tok::Assign => "'='",
            Tok::ParenOpen => "'('",
            Tok::ParenClose => "')'",
            Tok::BracketOpen => "'['",
            Tok::BracketClose => "']'",
            Tok::BraceOpen => "'{'",
            Tok::BraceClose => "'}'",
        }
    }
}

const ID_START: u8 = 1;
const ID: u8 = 2;
const PATH: u8 = 4;
const SCHEME: u8 = 8;
const URI: u8 = 16;
const DIGIT: u8 = 32;
const SPACE: u8 = 64;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut t = [0u8; 256];
    let mut i = 0;
    while i < 256 {
        let c = i as u8;
        if c.is_ascii_alphabetic() {
            t[i] |= ID_START | ID | PATH | SCHEME | URI;
        }
        if c.is_ascii_digit() {
            t[i] |= ID | PATH | SCHEME | URI | DIGIT;
        }
        t[i] |= match c {
            b'_' => ID_START | ID | PATH | URI,
            b'-' => ID | PATH | SCHEME | URI,
            b'\'' => ID | URI,
            b'.' | b'+' => PATH | SCHEME | URI,
            b'%' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b'$' | b',' | b'!' | b'~' | b'*' => URI,
            b' ' | b'\t' | b'\r' | b'\n' => SPACE,
            _ => 0,
        };
        i += 1;
    }
    t
}

#[inline(always)]
fn is(c: u8, class: u8) -> bool {
    CLASS[c as usize] & class != 0
}

/// Reads tokens from a text.
pub struct Lexer<'s> {
    text: &'s [u8],
    /// One past the last byte of the token last given out.
    pub pos: usize,
    /// No path begins before this byte: a run of path characters ends here without a slash.
    no_path_before: usize,
    /// Likewise for URLs and the characters of a scheme.
    no_uri_before: usize,
}

impl<'s> Lexer<'s> {
    /// A lexer at the start of a text.
    pub fn new(text: &'s [u8]) -> Self {
        Lexer { text, pos: 0, no_path_before: 0, no_uri_before: 0 }
    }

    /// The text.
    pub fn text(&self) -> &'s [u8] {
        self.text
    }

    /// The byte at an offset; zero past the end, which no token begins with.
    #[inline(always)]
    pub fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    #[inline]
    fn run(&self, mut at: usize, class: u8) -> usize {
        while is(self.byte(at), class) {
            at += 1;
        }
        at
    }

    /// The next token and its place.
    #[inline]
    pub fn token(&mut self) -> (Tok, Span) {
        self.skip_trivia();
        let start = self.pos;
        let c = self.byte(start);
        let tok = if is(c, ID_START) { self.word(start) } else { self.other(start, c) };
        (tok, Span::new(start as u32, self.pos as u32))
    }

    #[inline]
    fn skip_trivia(&mut self) {
        loop {
            let at = self.run(self.pos, SPACE);
            self.pos = at;
            match self.byte(at) {
                b'#' => {
                    let rest = &self.text[at..];
                    self.pos = at + memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                }
                b'/' if self.byte(at + 1) == b'*' => {
                    match memchr::memmem::find(&self.text[at + 2..], b"*/") {
                        Some(n) => self.pos = at + 2 + n + 2,
                        None => return,
                    }
                }
                _ => return,
            }
        }
    }

    fn take(&mut self, start: usize, len: usize, tok: Tok) -> Tok {
        self.pos = start + len;
        tok
    }

    #[inline]
    fn word(&mut self, start: usize) -> Tok {
        let end = self.run(start, ID);
        if matches!(self.byte(end), b'.' | b'+' | b'/' | b':') {
            if let Some(tok) = self.path(start) {
                return tok;
            }
            if let Some(tok) = self.uri(start) {
                return tok;
            }
        }
        self.pos = end;
        keyword(&self.text[start..end]).unwrap_or(Tok::Id)
    }

    fn uri(&mut self, start: usize) -> Option<Tok> {
        if start < self.no_uri_before {
            return None;
        }
        let colon = self.run(start, SCHEME);
        if self.byte(colon) != b':' || !is(self.byte(colon + 1), URI) {
            self.no_uri_before = colon;
            return None;
        }
        self.pos = self.run(colon + 1, URI);
        Some(Tok::Uri)
    }

    /// A path that begins here, which may have no characters before its first slash.
    fn path(&mut self, start: usize) -> Option<Tok> {
        if start < self.no_path_before {
            return None;
        }
        let slash = self.run(start, PATH);
        if self.byte(slash) != b'/' {
            self.no_path_before = slash;
            return None;
        }
        match self.path_rest(slash) {
            Some(end) => self.pos = end,
            None if self.text[slash + 1..].starts_with(b"${") => self.pos = slash + 1,
            None => return None,
        }
        Some(Tok::Path)
    }

    /// The end of `(/ PATH_CHAR+)+ /?` from a slash on.
    pub fn path_rest(&self, slash: usize) -> Option<usize> {
        let mut at = slash;
        while self.byte(at) == b'/' && is(self.byte(at + 1), PATH) {
            at = self.run(at + 1, PATH);
        }
        match at == slash {
            true => None,
            false if self.byte(at) == b'/' => Some(at + 1),
            false => Some(at),
        }
    }

    /// The end of the literal part of a path after a hole or a first part: path characters and
    /// slashes.
    pub fn path_part(&self, mut at: usize) -> usize {
        while is(self.byte(at), PATH) || self.byte(at) == b'/' {
            at += 1;
        }
        at
    }

    fn number(&mut self, start: usize) -> Tok {
        if let Some(tok) = self.path(start) {
            return tok;
        }
        let end = self.run(start, DIGIT);
        self.pos = end;
        // A float starts with a non-zero digit or is `0.` or `.` followed by digits.
        let fraction = self.run(end + 1, DIGIT);
        let float = self.byte(end) == b'.'
            && match self.byte(start) {
                b'1'..=b'9' => true,
                _ => end - start <= 1 && fraction > end + 1,
            };
        if !float {
            return Tok::Int;
        }
        self.pos = fraction;
        if matches!(self.byte(fraction), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(fraction + 1), b'+' | b'-'));
            let exponent = self.run(fraction + 1 + sign, DIGIT);
            if exponent > fraction + 1 + sign {
                self.pos = exponent;
            }
        }
        Tok::Float
    }

    fn search_path(&self, start: usize) -> Option<usize> {
        let mut at = start + 1;
        loop {
            let end = self.run(at, PATH);
            if end == at {
                return None;
            }
            match self.byte(end) {
                b'/' => at = end + 1,
                b'>' => return Some(end + 1),
                _ => return None,
            }
        }
    }

    fn home_path(&mut self, start: usize) -> Tok {
        if self.byte(start + 1) == b'/' {
            if let Some(end) = self.path_rest(start + 1) {
                self.pos = end;
                return Tok::HomePath;
            }
            if self.text[start + 2..].starts_with(b"${") {
                return self.take(start, 2, Tok::HomePath);
            }
        }
        self.take(start, 1, Tok::Invalid)
    }

    fn other(&mut self, start: usize, c: u8) -> Tok {
        let next = self.byte(start + 1);
        match c {
            b'0'..=b'9' => self.number(start),
            b'.' | b'-' | b'+' | b'/' => self.path_like(start, c, next),
            b'<' => match (self.search_path(start), next) {
                (Some(end), _) => self.take(start, end - start, Tok::SearchPath),
                (_, b'=') => self.take(start, 2, Tok::Le),
                (_, b'|') => self.take(start, 2, Tok::PipeFrom),
                _ => self.take(start, 1, Tok::Lt),
            },
            b'~' => self.home_path(start),
            b'"' => self.take(start, 1, Tok::Quote),
            b'\'' if next == b'\'' => {
                self.pos = start + 2;
                // Spaces up to a newline right after the opening belong to it.
                let spaces = (self.pos..self.text.len()).find(|&i| self.text[i] != b' ');
                if let Some(i) = spaces
                    && self.text[i] == b'\n'
                {
                    self.pos = i + 1;
                }
                Tok::IndentedQuote
            }
            b'$' if next == b'{' => self.take(start, 2, Tok::Hole),
            b'|' if next == b'|' => self.take(start, 2, Tok::OrOr),
            b'|' if next == b'>' => self.take(start, 2, Tok::PipeInto),
            b'&' if next == b'&' => self.take(start, 2, Tok::AndAnd),
            b'=' if next == b'=' => self.take(start, 2, Tok::Eq),
            b'!' if next == b'=' => self.take(start, 2, Tok::Ne),
            b'>' if next == b'=' => self.take(start, 2, Tok::Ge),
            // Like C++ Nix, whose scanner hands a zero byte to its parser as the end.
            0 => Tok::Eof,
            _ => self.take(start, 1, single(c)),
        }
    }

    fn path_like(&mut self, start: usize, c: u8, next: u8) -> Tok {
        if let Some(tok) = self.path(start) {
            return tok;
        }
        match (c, next) {
            (b'.', b'0'..=b'9') => self.number(start),
            (b'.', b'.') if self.byte(start + 2) == b'.' => self.take(start, 3, Tok::Ellipsis),
            (b'.', _) => self.take(start, 1, Tok::Dot),
            (b'-', b'>') => self.take(start, 2, Tok::Implies),
            (b'-', _) => self.take(start, 1, Tok::Minus),
            (b'+', b'+') => self.take(start, 2, Tok::Concat),
            (b'+', _) => self.take(start, 1, Tok::Plus),
            (_, b'/') => self.take(start, 2, Tok::Update),
            _ => self.take(start, 1, Tok::Slash),
        }
    }
}

fn single(c: u8) -> Tok {
    match c {
        b'>' => Tok::Gt,
        b'*' => Tok::Star,
        b'!' => Tok::Bang,
        b'?' => Tok::Question,
        b',' => Tok::Comma,
        b':' => Tok::Colon,
        b';' => Tok::Semicolon,
        b'@' => Tok::At,
        b'=' => Tok::Assign,
        b'(' => Tok::ParenOpen,
        b')' => Tok::ParenClose,
        b'[' => Tok::BracketOpen,
        b']' => Tok::BracketClose,
        b'{' => Tok::BraceOpen,
        b'}' => Tok::BraceClose,
        _ => Tok::Invalid,
    }
}

#[inline]
fn keyword(word: &[u8]) -> Option<Tok> {
    if word.len() < 2 || word.len() > 7 {
        return None;
    }
    Some(match word {
        b"if" => Tok::If,
        b"then" => Tok::Then,
        b"else" => Tok::Else,
        b"assert" => Tok::Assert,
        b"with" => Tok::With,
        b"let" => Tok::Let,
        b"in" => Tok::In,
        b"rec" => Tok::Rec,
        b"inherit" => Tok::Inherit,
        b"or" => Tok::Or,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Tok> {
        let mut lexer = Lexer::new(text.as_bytes());
        std::iter::from_fn(|| Some(lexer.token().0).filter(|&t| t != Tok::Eof)).collect()
    }

    #[test]
    fn paths_urls_and_numbers_are_told_apart() {
        assert_eq!(kinds("1/2"), [Tok::Path]);
        assert_eq!(kinds("6 /2"), [Tok::Int, Tok::Path]);
        assert_eq!(kinds("1/ 2"), [Tok::Int, Tok::Slash, Tok::Int]);
        assert_eq!(kinds("a.b/c"), [Tok::Path]);
        assert_eq!(kinds("a'b/c"), [Tok::Id, Tok::Path]);
        assert_eq!(kinds("a//b"), [Tok::Id, Tok::Update, Tok::Id]);
        assert_eq!(kinds("x:x"), [Tok::Uri]);
        assert_eq!(kinds("x: x"), [Tok::Id, Tok::Colon, Tok::Id]);
        assert_eq!(kinds("x_y:x"), [Tok::Id, Tok::Colon, Tok::Id]);
        assert_eq!(kinds("1.2.3"), [Tok::Float, Tok::Float]);
        assert_eq!(kinds("00.5"), [Tok::Int, Tok::Float]);
        assert_eq!(kinds("0."), [Tok::Int, Tok::Dot]);
        assert_eq!(kinds("1e5"), [Tok::Int, Tok::Id]);
        assert_eq!(kinds("5.e3"), [Tok::Float]);
        assert_eq!(kinds("<a/b> <a/> <="), [Tok::SearchPath, Tok::Lt, Tok::Id, Tok::Slash, Tok::Gt, Tok::Le]);
    }

    #[test]
    fn a_carriage_return_ends_a_comment() {
        assert_eq!(kinds("# a\r1 /* * /* */ 2 /* 3"), [Tok::Int, Tok::Int, Tok::Slash, Tok::Star, Tok::Int]);
    }
}
