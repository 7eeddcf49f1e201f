//! Owns: text to tree, for evaluation and for tools.
//! May import: base diag.
