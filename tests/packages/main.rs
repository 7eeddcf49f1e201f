//! Packages of workflows: built by a real nix daemon, with packages of the tests' own making.

mod client;
mod faults;
mod inputs;
mod run;

#[path = "../support/daemon.rs"]
mod daemon;
#[path = "../support/services.rs"]
mod services;
