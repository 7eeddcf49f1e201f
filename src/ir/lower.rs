//! Lowering: from the syntax tree to the intermediate representation.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::module::Module;
use crate::base::source::Source;
use crate::base::symbol::Symbol;
use crate::diag::Diagnostic;

/// What lowering is told.
pub struct LowerOptions<'a> {
    /// Directory that relative path literals start from; absolute.
    pub base_dir: &'a Path,
    /// Global names and their indices.
    pub globals: &'a HashMap<Symbol, u32>,
    /// Whether `|>` and `<|` are accepted.
    pub pipe_operators: bool,
}

/// Parses and lowers a source.
///
/// # Errors
/// All syntax errors, duplicate definitions and undefined variables that were found.
pub fn load(source: Arc<Source>, options: &LowerOptions<'_>) -> Result<Arc<Module>, Vec<Diagnostic>> {
    let _ = (source, options);
    Err(vec![Diagnostic::error("NXA000", "cannot be read yet")])
}
