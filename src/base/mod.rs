//! Owns: sources, spans, positions, symbols, edit distance.
//! May import: nothing.

pub mod lines;
pub mod source;
mod spans;
pub mod suggest;
pub mod symbol;
