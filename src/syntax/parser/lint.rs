//! Literals that Nix can be told to warn of or to refuse.

use super::*;
use crate::syntax::error::Discouraged;

/// What is done about a literal of a discouraged kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lint {
    /// It is accepted.
    #[default]
    Ignore,
    /// It is accepted and reported.
    Warn,
    /// It is an error.
    Fatal,
}

/// Nix's settings `lint-url-literals`, `lint-absolute-path-literals` and `lint-short-path-literals`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lints {
    /// `https://…` without quotes.
    pub urls: Lint,
    /// `/…` and `~/…`.
    pub absolute_paths: Lint,
    /// `a/b` without `./`.
    pub short_paths: Lint,
}

impl<'a> Parser<'a> {
    /// Looks at the literal that is the current token.
    #[inline]
    pub(super) fn lint_literal(&mut self) -> Parse<()> {
        let lints = self.options.lints;
        let first = self.lexer.byte(self.span.start as usize);
        let (lint, kind) = match self.tok {
            Tok::Uri => (lints.urls, Discouraged::Url),
            Tok::HomePath => (lints.absolute_paths, Discouraged::HomePath),
            Tok::Path if first == b'/' => (lints.absolute_paths, Discouraged::AbsolutePath),
            Tok::Path if first != b'.' => (lints.short_paths, Discouraged::ShortPath),
            _ => return Ok(()),
        };
        match lint {
            Lint::Ignore => Ok(()),
            lint => self.discouraged(kind, lint == Lint::Fatal),
        }
    }

    #[cold]
    fn discouraged(&mut self, kind: Discouraged, fatal: bool) -> Parse<()> {
        let literal = String::from_utf8_lossy(self.text(self.span)).into_owned();
        let problem = Problem::Discouraged { kind, literal, fatal };
        if fatal {
            return self.fail(self.span, problem);
        }
        self.warnings.push(ParseError { span: self.span, problem });
        Ok(())
    }
}
