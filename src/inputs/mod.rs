//! Owns: sources from elsewhere: fetchers and their cache, lock files, flakes, the search path.
//! May import: base drv eval store.

mod archive;
mod auth;
mod cache;
mod error;
mod fetch;
mod flake;
mod git;
mod http;
mod lock;
mod proxy;
mod registry;
mod world;

pub use cache::Cache;
pub use error::FetchError;
pub use fetch::{Fetched, Fetcher, LazyHttp};
pub use http::{Http, Progress};
pub use lock::{LockError, LockFile};
pub use world::Real;
