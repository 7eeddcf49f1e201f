//! Owns: plan to run: scheduling, events, artifacts, environment.
//! May import: base diag workflow drv.

pub mod artifact;
pub mod condition;
pub mod dotenv;
pub mod event;
pub mod executor;
pub mod machine;
pub mod mask;
pub mod retry;
pub mod rundir;
