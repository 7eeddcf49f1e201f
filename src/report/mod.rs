//! Owns: what people see of a run.
//! May import: base diag workflow engine.
