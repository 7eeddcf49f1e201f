//! Owns: the resolved intermediate representation that is evaluated.
//! May import: base diag syntax.

pub mod expr;
pub mod lower;
pub mod module;
pub mod text;
