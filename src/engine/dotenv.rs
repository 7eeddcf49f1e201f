//! Reading `NAME=value` lines: dotenv files, and the `export` lines that providers print.

use std::fmt;

/// Which rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A dotenv file: an unquoted value goes to the end of the line or to a ` #`; in double quotes
    /// `\n`, `\r` and `\t` are escapes; `${NAME}` and `${NAME:-default}` are replaced outside single
    /// quotes (a bare `$NAME` is not: passwords contain `$`).
    Dotenv,
    /// Shell assignments, as `export -p` and quoting tools print them: an unquoted value ends at a
    /// blank, quoted parts may touch, `$'…'` has C escapes. Nothing is expanded or run.
    Shell,
}

/// A line that cannot be read. It never holds a value, which may be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// Reads assignments, in order. `lookup` finds variables that are not in the text itself.
pub fn parse(
    text: &str,
    dialect: Dialect,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, ParseError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n");
    Parser { rest: &text, line: 1, dialect, lookup, found: Vec::new() }.run()
}

/// Whether a text is a variable's name.
pub fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    dialect: Dialect,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    found: Vec<(String, String)>,
}

impl Parser<'_> {
    fn run(mut self) -> Result<Vec<(String, String)>, ParseError> {
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return Ok(self.found),
                Some('\n') => drop(self.next()),
                Some(';') if self.dialect == Dialect::Shell => drop(self.next()),
                Some('#') => self.skip_line(),
                Some(_) => self.statement()?,
            }
        }
    }

    fn statement(&mut self) -> Result<(), ParseError> {
        let mut exported = false;
        for prefix in ["export", "declare -x", "declare -rx", "typeset -x"] {
            if let Some(after) = self.rest.strip_prefix(prefix)
                && after.starts_with([' ', '\t'])
                && (prefix == "export" || self.dialect == Dialect::Shell)
            {
                self.rest = after;
                self.skip_blanks();
                exported = self.dialect == Dialect::Shell;
                break;
            }
        }
        loop {
            self.assignment(exported)?;
            self.skip_blanks();
            match self.peek() {
                None | Some('\n') => return Ok(()),
                Some('#') => {
                    self.skip_line();
                    return Ok(());
                }
                Some(';') if self.dialect == Dialect::Shell => return Ok(()),
                Some(_) if self.dialect == Dialect::Shell => {}
                Some(_) => return Err(self.error("text after the closing quote")),
            }
        }
    }

    fn assignment(&mut self, exported: bool) -> Result<(), ParseError> {
        let end = self.rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let (name, after) = self.rest.split_at(end);
        if !is_name(name) {
            return Err(self.error("expected NAME=value"));
        }
        self.rest = after;
        if self.dialect == Dialect::Dotenv {
            self.skip_blanks();
        }
        if self.peek() != Some('=') {
            // `export NAME` alone exports what is set already.
            let ends = matches!(self.peek(), None | Some('\n' | ' ' | '\t' | ';'));
            if exported && ends {
                return Ok(());
            }
            return Err(self.error("expected `=` after the name"));
        }
        self.next();
        if self.dialect == Dialect::Dotenv {
            self.skip_blanks();
        }
        let value = self.value()?;
        if value.contains('\0') {
            return Err(self.error("a value must not contain a NUL"));
        }
        self.found.push((name.to_owned(), value));
        Ok(())
    }

    fn value(&mut self) -> Result<String, ParseError> {
        let mut value = String::new();
        if self.dialect == Dialect::Dotenv {
            match self.peek() {
                Some('"') => self.double_quoted(&mut value)?,
                Some('\'') => self.single_quoted(&mut value)?,
                _ => self.unquoted_line(&mut value)?,
            }
            return Ok(value);
        }
        loop {
            match self.peek() {
                None | Some('\n' | ' ' | '\t' | ';') => return Ok(value),
                Some('"') => self.double_quoted(&mut value)?,
                Some('\'') => self.single_quoted(&mut value)?,
                Some('$') if self.rest.starts_with("$'") => {
                    self.next();
                    self.ansi_quoted(&mut value)?;
                }
                Some('\\') => {
                    self.next();
                    match self.next() {
                        Some('\n') | None => {}
                        Some(c) => value.push(c),
                    }
                }
                Some(c) => {
                    self.next();
                    value.push(c);
                }
            }
        }
    }

    fn unquoted_line(&mut self, value: &mut String) -> Result<(), ParseError> {
        let mut previous = ' ';
        while let Some(c) = self.peek() {
            if c == '\n' || (c == '#' && previous.is_ascii_whitespace()) {
                break;
            }
            if !self.reference(value)? {
                self.next();
                value.push(c);
            }
            previous = c;
        }
        value.truncate(value.trim_end().len());
        Ok(())
    }

    fn single_quoted(&mut self, value: &mut String) -> Result<(), ParseError> {
        let line = self.line;
        self.next();
        loop {
            match self.next() {
                None => return Err(ParseError { line, message: "a quote is never closed" }),
                Some('\'') => return Ok(()),
                Some(c) => value.push(c),
            }
        }
    }

    fn double_quoted(&mut self, value: &mut String) -> Result<(), ParseError> {
        let line = self.line;
        self.next();
        loop {
            if self.dialect == Dialect::Dotenv && self.reference(value)? {
                continue;
            }
            match self.next() {
                None => return Err(ParseError { line, message: "a quote is never closed" }),
                Some('"') => return Ok(()),
                Some('\\') => match (self.next(), self.dialect) {
                    (None, _) => return Err(ParseError { line, message: "a quote is never closed" }),
                    (Some('\n'), _) => {}
                    (Some(c @ ('"' | '\\' | '$' | '`')), _) => value.push(c),
                    (Some('n'), Dialect::Dotenv) => value.push('\n'),
                    (Some('r'), Dialect::Dotenv) => value.push('\r'),
                    (Some('t'), Dialect::Dotenv) => value.push('\t'),
                    (Some(c), _) => value.extend(['\\', c]),
                },
                Some(c) => value.push(c),
            }
        }
    }

    /// The inside of `$'…'`, the first quote being next.
    fn ansi_quoted(&mut self, value: &mut String) -> Result<(), ParseError> {
        let unclosed = ParseError { line: self.line, message: "a quote is never closed" };
        let mut bytes = Vec::new();
        self.next();
        loop {
            let c = match self.next().ok_or_else(|| unclosed.clone())? {
                '\'' => break,
                '\\' => match self.next().ok_or_else(|| unclosed.clone())? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'a' => '\x07',
                    'b' => '\x08',
                    'e' | 'E' => '\x1b',
                    'f' => '\x0c',
                    'v' => '\x0b',
                    'x' => {
                        bytes.push(self.number(16, 2, 0)? as u8);
                        continue;
                    }
                    'u' => self.code_point(4)?,
                    'U' => self.code_point(8)?,
                    c @ '0'..='7' => {
                        bytes.push(self.number(8, 2, c as u32 - '0' as u32)? as u8);
                        continue;
                    }
                    c => c,
                },
                c => c,
            };
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        let text = String::from_utf8(bytes).map_err(|_| self.error("a value that is not UTF-8"))?;
        value.push_str(&text);
        Ok(())
    }

    fn code_point(&mut self, digits: usize) -> Result<char, ParseError> {
        let code = self.number(16, digits, 0)?;
        char::from_u32(code).ok_or_else(|| self.error("no such character"))
    }

    /// Up to `digits` further digits of a number that begins with `start`.
    fn number(&mut self, radix: u32, digits: usize, start: u32) -> Result<u32, ParseError> {
        let mut number = start;
        for _ in 0..digits {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(radix)) else { break };
            number = number.wrapping_mul(radix) | digit;
            self.next();
        }
        Ok(number)
    }

    /// Replaces `${NAME}` or `${NAME:-default}` when one is next.
    fn reference(&mut self, value: &mut String) -> Result<bool, ParseError> {
        let Some(inner) = self.rest.strip_prefix("${") else { return Ok(false) };
        let Some(end) = inner.find(['}', '\n']).filter(|&i| inner.as_bytes()[i] == b'}') else {
            return Err(self.error("`${` is never closed"));
        };
        let (name, default) = inner[..end].split_once(":-").unwrap_or((&inner[..end], ""));
        if !is_name(name) {
            return Err(self.error("`${…}` takes a name"));
        }
        let own = self.found.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let found = own.or_else(|| (self.lookup)(name)).filter(|v| !v.is_empty());
        value.push_str(found.as_deref().unwrap_or(default));
        self.rest = &inner[end + 1..];
        Ok(true)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r']);
    }

    fn skip_line(&mut self) {
        self.rest = self.rest.find('\n').map_or("", |i| &self.rest[i..]);
    }

    fn error(&self, message: &'static str) -> ParseError {
        ParseError { line: self.line, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, dialect: Dialect) -> Result<Vec<(String, String)>, ParseError> {
        parse(text, dialect, &|name| (name == "HOME").then(|| "/home/me".to_owned()))
    }

    fn dotenv(text: &str) -> Vec<String> {
        read(text, Dialect::Dotenv).expect("parses").into_iter().map(|(n, v)| format!("{n}={v}")).collect()
    }

    fn shell(text: &str) -> Vec<String> {
        read(text, Dialect::Shell).expect("parses").into_iter().map(|(n, v)| format!("{n}={v}")).collect()
    }

    #[test]
    fn dotenv_edge_cases() {
        assert_eq!(
            dotenv("\u{feff}A=1\r\nexport B = two words  # comment\r\n# C=3\n\nD=\n"),
            ["A=1", "B=two words", "D="]
        );
        assert_eq!(
            dotenv("A=x#y\nB='it # stays ${HOME}' # c\nC=\"a\\nb\\\"\\$\\q\""),
            ["A=x#y", "B=it # stays ${HOME}", "C=a\nb\"$\\q"]
        );
        assert_eq!(
            dotenv("K=\"-----BEGIN\nline two\n\"\nP=pa$$word\nQ=${HOME}/x\nR=${NO:-d}${P}"),
            ["K=-----BEGIN\nline two\n", "P=pa$$word", "Q=/home/me/x", "R=dpa$$word"]
        );
        assert_eq!(dotenv("A=#only a comment"), ["A="]);
        assert_eq!(dotenv("A==b=c"), ["A==b=c"]);
    }

    #[test]
    fn shell_assignments() {
        assert_eq!(
            shell("export A='it'\\''s' B=2; C=\"x\\ny$\"\ndeclare -x D=$'a\\tb\\x41\\u00e9'\nexport E"),
            ["A=it's", "B=2", "C=x\\ny$", "D=a\tbAé"]
        );
    }

    #[test]
    fn errors_name_the_line_and_no_value() {
        for (text, line) in
            [("A=1\nB='x\n\n", 2), ("1A=2", 1), ("A=1\n\njunk\n", 3), ("A=\"x\" y", 1), ("A=${x", 1)]
        {
            assert_eq!(read(text, Dialect::Dotenv).expect_err(text).line, line, "{text}");
        }
    }
}
