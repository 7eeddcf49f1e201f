//! What can be wrong with a text, in the words C++ Nix uses.

use std::sync::Arc;

use super::ast::Span;
use crate::base::source::{Place, Source};
use crate::diag::diagnostic::{Diagnostic, Label};

/// The first thing the parser could not accept.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{problem}")]
pub struct ParseError {
    /// Where.
    pub span: Span,
    /// What.
    pub problem: Problem,
}

/// The kinds of syntax error.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Problem {
    /// A token that cannot stand here; `expected` is empty where many could.
    #[error("syntax error, unexpected {found}{}", expecting(.expected))]
    Unexpected { found: &'static str, expected: &'static str, context: Context },
    #[error("attribute '{name}' already defined")]
    DuplicateAttr { name: String, first: Span },
    #[error("duplicate formal function argument '{0}'")]
    DuplicateFormal(String),
    #[error("dynamic attributes not allowed in let")]
    DynamicInLet,
    #[error("dynamic attributes not allowed in inherit")]
    DynamicInInherit,
    #[error("invalid integer '{0}'")]
    InvalidInt(String),
    #[error("invalid float '{0}'")]
    InvalidFloat(String),
    #[error("path has a trailing slash")]
    TrailingSlash,
    #[error("input string '{0}' cannot be represented as Nix string because it contains null bytes")]
    NulByte(String),
    #[error("{}", kind.describe(literal, *.fatal))]
    Discouraged { kind: Discouraged, literal: String, fatal: bool },
    #[error(
        "experimental Nix feature 'pipe-operators' is disabled; add '--extra-experimental-features pipe-operators' to enable it"
    )]
    PipesDisabled,
    #[error("expressions are nested too deeply (limit: {0} levels)")]
    TooDeep(u32),
    #[error("a source text cannot be larger than 4 GiB")]
    TooLarge,
}

impl Problem {
    /// The problem of this text, in which a byte is zero.
    pub fn nul_byte(text: &[u8]) -> Problem {
        Problem::NulByte(String::from_utf8_lossy(text).replace('\0', "␀"))
    }
}

/// Kinds of literal that Nix can be told to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Discouraged {
    Url,
    AbsolutePath,
    HomePath,
    ShortPath,
}

impl Discouraged {
    fn describe(self, literal: &str, fatal: bool) -> String {
        match self {
            Discouraged::Url => format!(
                "URL literals are {}. Consider using a string literal \"{literal}\" instead (lint-url-literals)",
                if fatal { "disallowed" } else { "discouraged" }
            ),
            Discouraged::AbsolutePath | Discouraged::HomePath => format!(
                "{} path literals are not portable. Consider replacing path literal '{literal}' by a string, relative path, or parameter (lint-absolute-path-literals)",
                if self == Discouraged::HomePath { "home" } else { "absolute" }
            ),
            Discouraged::ShortPath => format!(
                "relative path literal '{literal}' should be prefixed with '.' for clarity: './{literal}' (lint-short-path-literals)"
            ),
        }
    }
}

/// The construct in which an unexpected token stood, with its opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Context {
    /// No particular one.
    #[default]
    Plain,
    /// A construct opened here and not closed yet.
    Open(Span),
    /// Before this token the binding that starts here should have ended.
    Binding(Span),
}

fn expecting(expected: &str) -> String {
    if expected.is_empty() { String::new() } else { format!(", expecting {expected}") }
}

impl ParseError {
    /// The error as a diagnostic of this source.
    pub fn diagnostic(&self, source: &Arc<Source>) -> Diagnostic {
        let place = |s: Span| Place { source: source.clone(), start: s.start, end: s.end };
        let label = |s: Span, text: &str| Label { place: place(s), text: text.to_owned() };
        let code = match self.problem {
            Problem::DuplicateAttr { .. } | Problem::DuplicateFormal(_) => "NXA010",
            _ => "NXA000",
        };
        let mut d = Diagnostic::error(code, self.to_string());
        d.primary = Some(label(self.span, ""));
        match &self.problem {
            Problem::DuplicateAttr { name, first } => {
                let (line, column) = source.line_col(first.start);
                d.message =
                    format!("attribute '{name}' already defined at {}:{line}:{column}", source.name());
                d.primary = Some(label(self.span, "defined again here"));
                d.secondary.push(label(*first, "first defined here"));
                d.help = Some(
                    "remove one of the two definitions; only attribute sets written out are merged".into(),
                );
            }
            Problem::Unexpected { found, expected, context } => {
                d.help = super::hints::help(source.text(), self.span, found, expected, *context);
                match (context, *expected) {
                    (Context::Binding(b), "';'") => {
                        d.secondary.push(label(*b, "this binding is not ended"));
                        d.help = Some(match *found {
                            // What was not closed goes on to the end.
                            "end of file" => {
                                "a `}` is missing somewhere in here, or the `;` at its end".into()
                            }
                            _ => "add a `;` at the end of the binding before this".into(),
                        });
                    }
                    (Context::Open(open), _) => d.secondary.push(label(*open, "opened here")),
                    _ => {}
                }
            }
            Problem::TrailingSlash => d.help = Some("leave out the slash at the end".into()),
            Problem::DynamicInLet => {
                d.help = Some(
                    "names bound by `let` must be known when the file is read; use an attribute set".into(),
                );
            }
            Problem::DynamicInInherit => d.help = Some("write `name = set.${…};` instead".into()),
            Problem::InvalidInt(_) => {
                d.help = Some("integers lie between -9223372036854775807 and 9223372036854775807".into());
            }
            Problem::PipesDisabled => d.help = Some("write the call as `f x`".into()),
            _ => {}
        }
        d
    }
}
