//! Owns: text to tree, for evaluation and for tools.
//! May import: base diag.

pub mod ast;
pub mod error;
mod hints;
pub mod lexer;
pub mod names;
pub mod parser;
pub mod reparse;
pub mod show;
pub mod tree;

pub use error::{ParseError, Problem};
pub use parser::{Lint, Lints, Options, parse, parse_warning};
pub use tree::{accepts, syntax_diagnostics, syntax_errors};
