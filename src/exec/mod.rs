//! Owns: executors.
//! May import: base diag workflow engine.

pub mod local;
pub mod registry;
