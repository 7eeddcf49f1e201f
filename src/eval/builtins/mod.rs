//! The builtin functions: one file a family, a table each.

use super::value::{Res, Slot, Value};
use super::Evaluation;
use crate::base::source::SpanId;

/// The Rust function of a builtin: its arguments, forced in place as it needs them, and the place
/// of the call.
pub type Run = for<'h> fn(&mut Evaluation<'h>, &[Slot<'h>], SpanId) -> Res<Value<'h>>;

/// A builtin function.
pub struct Builtin {
    /// Its name in `builtins`, without underscores.
    pub name: &'static str,
    /// Number of arguments, at least 1.
    pub arity: usize,
    /// What it does, for `hover` and the generated documentation.
    pub doc: &'static str,
    /// What runs it.
    pub run: Run,
}

impl Builtin {
    /// A row of a table.
    pub const fn new(name: &'static str, arity: usize, run: Run, doc: &'static str) -> Self {
        Builtin { name, arity, doc, run }
    }
}
