//! Owns: the resolved intermediate representation.
//! May import: base diag syntax.
