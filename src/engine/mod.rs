//! Owns: plan to run: scheduling, events, artifacts, environment.
//! May import: base diag workflow drv.

pub mod artifact;
pub mod attend;
pub mod begin;
mod beside;
mod cache;
mod concurrency;
pub mod condition;
pub mod dotenv;
pub mod driver;
pub mod environment;
pub mod event;
pub mod executor;
mod git;
mod groups;
pub mod history;
mod host;
mod job;
pub mod kept;
pub mod machine;
pub mod mask;
mod notify;
pub mod packages;
mod printed;
mod provider;
mod reporter;
mod results;
pub mod retry;
pub mod rundir;
pub mod select;
mod service;
mod step;
pub mod unchanged;
