//! Owns: executors.
//! May import: base diag workflow store engine.

pub mod local;
pub mod registry;
