//! Owns: what an editor asks about a workflow file; plain data in and out.
//! May import: base diag syntax ir eval workflow lint.

pub mod actions;
pub mod calls;
pub mod completion;
pub mod definition;
pub mod document;
pub mod facts;
pub mod folding;
pub mod hover;
pub mod inlay;
pub mod lens;
pub mod links;
pub mod place;
pub mod probe;
pub mod references;
pub mod rename;
pub mod scope;
pub mod selection;
pub mod symbols;
pub mod target;
pub mod tokens;
pub mod words;
