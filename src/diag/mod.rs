//! Owns: diagnostics as plain data, their codes and explanations.
//! May import: base.

pub mod diagnostic;

pub use diagnostic::{Applicability, Diagnostic, Edit, Fix, Label, Severity};
