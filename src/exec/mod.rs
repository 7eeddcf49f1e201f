//! Owns: executors.
//! May import: base diag drv store workflow engine.

mod compose;
mod custom;
pub mod doctor;
pub mod local;
mod nspawn;
mod oci;
mod options;
mod owner;
mod packages;
pub mod registry;
mod remote;
mod ssh;
