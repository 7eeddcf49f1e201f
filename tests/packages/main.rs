//! Packages of workflows: built by a real nix daemon, with packages of the tests' own making.

mod chosen;
mod client;
mod disk;
mod elsewhere;
#[allow(dead_code, reason = "the tests of executors use more of it")]
#[path = "../exec/engines.rs"]
mod engines;
mod faults;
mod flake;
mod forges;
mod inputs;
mod network;
mod run;
mod server;

#[path = "../support/daemon.rs"]
mod daemon;
#[path = "../support/services.rs"]
mod services;
#[allow(dead_code, reason = "the tests of executors use more of it")]
#[path = "../exec/sshd.rs"]
mod sshd;
