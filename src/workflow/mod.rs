//! Owns: the typed workflow model, its schema and checks, and the plan.
//! May import: base diag syntax ir eval drv.

mod artifacts;
pub mod build_plan;
mod call;
pub mod check;
pub mod condition;
pub mod decode;
pub mod duration;
pub mod evaluate;
mod fields;
pub mod graph;
pub mod load;
mod matrix;
pub mod model;
mod names;
pub mod nixlib;
mod origin;
mod parts;
pub mod plan;
mod providers;
mod results;
mod retry;
pub mod schema;
pub mod shape;
pub mod tree;
mod walk;
