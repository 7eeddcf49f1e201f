//! Owns: diagnostics as plain data, their codes and explanations.
//! May import: base.

pub mod codes;
pub mod diagnostic;

pub use codes::Code;
pub use diagnostic::{Applicability, Diagnostic, Edit, Fix, Label, Severity};
