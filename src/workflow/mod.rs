//! Owns: the typed workflow model, its schema and checks, and the plan.
//! May import: base diag ir eval drv.

pub mod plan;
