//! Owns: the nix daemon: its protocol, adding to the store and building through it.
//! May import: base drv.

mod activity;
mod add;
mod config;
mod connection;
mod error;
mod location;
mod ops;
mod realise;
mod wire;

pub use activity::{Activity, Field, Message, NoMessages, Observer};
pub use config::nix_settings;
pub use connection::{Connection, Trust, Version};
pub use error::{DaemonError, StoreError};
pub use location::Location;
pub use ops::{BuildOptions, BuildResult, BuildStatus, Missing, PathInfo, Wanted};
pub use realise::{Closure, NarSink};
