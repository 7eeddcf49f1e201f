//! What executors on other machines and in containers share: jobs run by a small program for `sh`.
//!
//! A [`host::Host`] can start a command and connect its three streams; all else is done with that.
//! Scripts, environments and with them secrets travel through standard input alone, never in
//! arguments. The other side needs a POSIX shell and `tar`, and what the steps themselves use.

pub(super) mod control;
mod delta;
mod files;
pub(super) mod host;
pub(super) mod housed;
mod import;
pub(super) mod limits;
pub(super) mod marker;
mod pack;
mod port;
pub(super) mod program;
pub(super) mod site;
mod step;
mod trees;
