//! Owns: plan to run: scheduling, events, artifacts, environment.
//! May import: base diag workflow drv.

pub mod event;
pub mod executor;
