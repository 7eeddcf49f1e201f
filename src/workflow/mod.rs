//! Owns: the typed workflow model, its schema and checks, and the plan.
//! May import: base diag ir eval drv.

pub mod condition;
pub mod duration;
pub mod plan;
pub mod schema;
pub mod shape;
pub mod tree;
