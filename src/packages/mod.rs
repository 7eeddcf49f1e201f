//! Owns: packages of a plan through the nix daemon: what is needed, what is missing, builds, roots.
//! May import: base drv store workflow engine.

mod builds;
mod daemon;
mod needs;

pub use daemon::Daemon;
pub use needs::{Need, Needs};
