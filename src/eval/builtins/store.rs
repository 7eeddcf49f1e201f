//! Builtins that deal with store paths and string contexts.

use std::collections::HashMap;

use super::Builtin;
use crate::base::source::SpanId;
use crate::eval::Evaluation;
use crate::eval::error::EvalError;
use crate::eval::value::Res;
use crate::ir::text::ContextElem;

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[];

/// Store paths of copied files, by their path.
pub type Copied = HashMap<Vec<u8>, Vec<u8>>;

/// The store path that a file or directory has when it is copied to the store, and its context.
pub fn copy_to_store<'h>(
    _ev: &mut Evaluation<'h>,
    path: &[u8],
    span: SpanId,
) -> Res<(&'h [u8], &'h ContextElem)> {
    Err(EvalError::other(format!("cannot copy '{}' to the store", String::from_utf8_lossy(path)), span))
}
