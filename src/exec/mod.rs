//! Owns: executors.
//! May import: base diag workflow engine.
