//! Strings, indented strings and paths, with their holes.

use super::*;

/// A piece of an indented string.
enum Piece<'a> {
    /// Text as it stands in the source.
    Text(&'a [u8]),
    /// The meaning of an escape; counts as something other than indentation.
    Escaped(&'a [u8]),
    Hole(ExprRef<'a>),
}

impl<'a> Parser<'a> {
    fn here(&self) -> Span {
        let at = self.lexer.pos as u32;
        Span::new(at, at)
    }

    /// Makes the bytes up to here, from `start`, the current token and consumes it.
    fn close(&mut self, start: usize) {
        self.span = Span::new(start as u32, self.lexer.pos as u32);
        self.bump();
    }

    /// Reads `${ … }` from the lexer's position on, and leaves it after the brace.
    fn hole(&mut self) -> Parse<ExprRef<'a>> {
        let open = Span::new(self.lexer.pos as u32, self.lexer.pos as u32 + 2);
        self.lexer.pos += 2;
        self.span = open;
        self.bump();
        let inside = self.expr()?;
        if self.tok != Tok::BraceClose {
            return self.unexpected_in("'}'", Context::Open(open));
        }
        Ok(inside)
    }

    fn unfinished<T>(&mut self, expected: &'static str, open: Span) -> Parse<T> {
        self.tok = Tok::Eof;
        self.span = self.here();
        self.unexpected_in(expected, Context::Open(open))
    }

    /// `"…"`, at the quote.
    pub(super) fn string(&mut self) -> Parse<ExprRef<'a>> {
        let open = self.span;
        let mark = self.exprs.len();
        loop {
            let start = self.lexer.pos;
            let part = self.string_part(open)?;
            if !part.is_empty() {
                self.prev_end = self.lexer.pos as u32;
                let text = self.alloc(start as u32, ExprKind::Str(part));
                self.exprs.push(text);
            }
            if self.lexer.byte(self.lexer.pos) == b'"' {
                break;
            }
            let inside = self.hole()?;
            self.exprs.push(inside);
        }
        let quote = self.lexer.pos;
        self.lexer.pos += 1;
        self.close(quote);
        // A single hole still makes a string of its value.
        let kind = match self.exprs[mark..] {
            [] => ExprKind::Str(b""),
            [Expr { kind: ExprKind::Str(text), span }] if self.ends_before(*span, quote) => {
                ExprKind::Str(text)
            }
            _ => ExprKind::Interp(self.take_exprs(mark)),
        };
        self.exprs.truncate(mark);
        Ok(self.alloc(open.start, kind))
    }

    /// Whether a part is literal text that ends where the string does, not a hole with a string.
    fn ends_before(&self, part: Span, quote: usize) -> bool {
        part.end as usize == quote
    }

    /// The text up to a quote or a hole, with escapes replaced.
    fn string_part(&mut self, open: Span) -> Parse<&'a [u8]> {
        let text = self.lexer.text();
        let start = self.lexer.pos;
        let mut at = start;
        let mut copied = start;
        let (mut nul, mut unfinished) = (false, false);
        self.scratch.clear();
        loop {
            while text.get(at).is_some_and(|&c| !matches!(c, b'"' | b'$' | b'\\' | b'\r' | 0)) {
                at += 1;
            }
            match text.get(at) {
                Some(b'"') => break,
                Some(b'$') => match text.get(at + 1) {
                    Some(b'{') => break,
                    Some(b'$') => at += 2,
                    _ => at += 1,
                },
                Some(b'\\') if at + 1 < text.len() => {
                    self.scratch.extend_from_slice(&text[copied..at]);
                    match text[at + 1] {
                        // The byte after a backslash is checked by the loop where it matters.
                        0 => at += 1,
                        c => {
                            self.scratch.push(unescape(c));
                            at += 2;
                        }
                    }
                    copied = at;
                }
                Some(b'\r') => {
                    self.scratch.extend_from_slice(&text[copied..at]);
                    self.scratch.push(b'\n');
                    at += if text.get(at + 1) == Some(&b'\n') { 2 } else { 1 };
                    copied = at;
                }
                Some(0) => {
                    nul = true;
                    at += 1;
                }
                _ => {
                    unfinished = true;
                    break;
                }
            }
        }
        if nul {
            self.scratch.extend_from_slice(&text[copied..at]);
            return self.fail(Span::new(start as u32, at as u32), Problem::nul_byte(&self.scratch));
        }
        if unfinished {
            self.lexer.pos = text.len();
            return self.unfinished("'\"'", open);
        }
        self.lexer.pos = at;
        if copied == start {
            return Ok(&text[start..at]);
        }
        self.scratch.extend_from_slice(&text[copied..at]);
        Ok(self.arena.alloc_slice_copy(&self.scratch))
    }

    /// `''…''`, at the opening.
    pub(super) fn indented_string(&mut self) -> Parse<ExprRef<'a>> {
        let open = self.span;
        let mut pieces = Vec::new();
        loop {
            let text = self.lexer.text();
            let start = self.lexer.pos;
            let end = plain_run(text, start);
            if end > start {
                if memchr::memchr(0, &text[start..end]).is_some() {
                    let span = Span::new(start as u32, end as u32);
                    return self.fail(span, Problem::nul_byte(&text[start..end]));
                }
                pieces.push(Piece::Text(&text[start..end]));
            }
            self.lexer.pos = end;
            let (escaped, len): (&'a [u8], usize) = match &text[end..] {
                [b'$', b'{', ..] => {
                    pieces.push(Piece::Hole(self.hole()?));
                    continue;
                }
                [b'\'', b'\'', b'$', ..] => (b"$", 3),
                [b'\'', b'\'', b'\'', ..] => (b"''", 3),
                [b'\'', b'\'', b'\\', 0, ..] => {
                    let at = end as u32 + 3;
                    return self.fail(Span::new(at, at + 1), Problem::nul_byte(b"\0"));
                }
                [b'\'', b'\'', b'\\', c, ..] => (self.arena.alloc_slice_copy(&[unescape(*c)]), 4),
                [b'\'', b'\'', ..] => break,
                [b'$', ..] => (b"$", 1),
                [b'\'', ..] => (b"'", 1),
                _ => {
                    let expected = "indented string or '${' or end of an indented string";
                    return self.unfinished(expected, open);
                }
            };
            pieces.push(Piece::Escaped(escaped));
            self.lexer.pos = end + len;
        }
        let quote = self.lexer.pos;
        self.lexer.pos += 2;
        self.close(quote);
        Ok(self.strip_indentation(open.start, &pieces))
    }

    fn strip_indentation(&mut self, start: u32, pieces: &[Piece<'a>]) -> ExprRef<'a> {
        let indent = common_indent(pieces);
        let mark = self.exprs.len();
        let mut line_start = true;
        let mut dropped = 0;
        self.scratch.clear();
        for (i, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Hole(inside) => {
                    self.flush_text(start);
                    self.exprs.push(inside);
                    line_start = false;
                    dropped = 0;
                }
                Piece::Text(text) | Piece::Escaped(text) => {
                    let from = self.scratch.len();
                    for &c in *text {
                        if line_start && c == b' ' {
                            dropped += 1;
                            if dropped <= indent {
                                continue;
                            }
                        } else if line_start {
                            dropped = 0;
                            line_start = c == b'\n';
                        } else {
                            line_start = c == b'\n';
                        }
                        self.scratch.push(c);
                    }
                    if i + 1 == pieces.len() {
                        drop_blank_last_line(&mut self.scratch, from);
                    }
                }
            }
        }
        if self.exprs.len() == mark {
            let text = self.arena.alloc_slice_copy(&self.scratch);
            return self.alloc(start, ExprKind::Str(text));
        }
        self.flush_text(start);
        let parts = self.take_exprs(mark);
        self.alloc(start, ExprKind::Interp(parts))
    }

    fn flush_text(&mut self, start: u32) {
        if !self.scratch.is_empty() {
            let text = self.arena.alloc_slice_copy(&self.scratch);
            self.scratch.clear();
            let part = self.alloc(start, ExprKind::Str(text));
            self.exprs.push(part);
        }
    }

    /// A path, at its first token.
    pub(super) fn path(&mut self) -> Parse<ExprRef<'a>> {
        self.lint_literal()?;
        let span = self.span;
        let literal = self.text(span);
        let kind = match self.tok {
            Tok::HomePath => ExprKind::HomePath(&literal[1..]),
            _ => ExprKind::Path(literal),
        };
        let slash = literal.last() == Some(&b'/');
        if !slash && !self.at_hole() {
            self.bump();
            return Ok(self.alloc(span.start, kind));
        }
        let mark = self.exprs.len();
        self.prev_end = span.end;
        let prefix = self.alloc(span.start, kind);
        self.exprs.push(prefix);
        if slash && self.lexer.byte(self.lexer.pos) == b'/' {
            // `./a//b`: scanned as two parts, which only a hole may follow.
            let from = self.lexer.pos;
            let end = self.lexer.path_rest(from).unwrap_or(from + 1);
            self.path_text(from, end)?;
            if !self.at_hole() {
                let (found, expected) = ("end of path", "'${'");
                let problem = Problem::Unexpected { found, expected, context: Context::Plain };
                return self.fail(self.here(), problem);
            }
        } else if slash && !self.at_hole() {
            return self.fail(self.trailing_slash(), Problem::TrailingSlash);
        }
        while self.at_hole() {
            let inside = self.hole()?;
            self.exprs.push(inside);
            let from = self.lexer.pos;
            let end = self.lexer.path_part(from);
            self.path_text(from, end)?;
        }
        self.close(span.start as usize);
        let parts = self.take_exprs(mark);
        Ok(self.alloc(span.start, ExprKind::InterpPath(parts)))
    }

    /// Takes the text `from..end` as a part of a path.
    fn path_text(&mut self, from: usize, end: usize) -> Parse<()> {
        self.lexer.pos = end;
        if end == from {
            return Ok(());
        }
        let text = &self.lexer.text()[from..end];
        if text.ends_with(b"/") && !self.at_hole() {
            return self.fail(self.trailing_slash(), Problem::TrailingSlash);
        }
        self.prev_end = end as u32;
        let part = self.alloc(from as u32, ExprKind::Str(text));
        self.exprs.push(part);
        Ok(())
    }

    fn trailing_slash(&self) -> Span {
        let end = self.lexer.pos as u32;
        Span::new(end - 1, end)
    }

    fn at_hole(&self) -> bool {
        self.lexer.byte(self.lexer.pos) == b'$' && self.lexer.byte(self.lexer.pos + 1) == b'{'
    }
}

fn unescape(c: u8) -> u8 {
    match c {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        c => c,
    }
}

/// The end of the text of an indented string that needs no look at quotes or dollars.
fn plain_run(text: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(n) = memchr::memchr2(b'$', b'\'', &text[at..]) {
        at += n;
        match (text[at], text.get(at + 1)) {
            (b'$', Some(c)) if !matches!(c, b'{' | b'\'') => at += 2,
            (b'\'', Some(c)) if !matches!(c, b'\'' | b'$') => at += 2,
            _ => return at,
        }
    }
    text.len()
}

/// The least number of spaces before anything else on a line; lines of spaces do not count.
fn common_indent(pieces: &[Piece<'_>]) -> usize {
    let mut line_start = true;
    let mut least = usize::MAX;
    let mut current = 0;
    for piece in pieces {
        let Piece::Text(text) = piece else {
            if line_start {
                line_start = false;
                least = least.min(current);
            }
            continue;
        };
        for &c in *text {
            match c {
                b' ' if line_start => current += 1,
                b'\n' => {
                    line_start = true;
                    current = 0;
                }
                _ if line_start => {
                    line_start = false;
                    least = least.min(current);
                }
                _ => {}
            }
        }
    }
    least
}

/// Removes what follows the last newline of `text[from..]` if it is only spaces.
fn drop_blank_last_line(text: &mut Vec<u8>, from: usize) {
    if let Some(newline) = memchr::memrchr(b'\n', &text[from..]) {
        let after = from + newline + 1;
        if text[after..].iter().all(|&c| c == b' ') {
            text.truncate(after);
        }
    }
}
