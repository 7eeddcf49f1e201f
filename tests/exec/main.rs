//! The executors, seen through the engine: one suite for all of them, and what each has of its own.

mod beside;
mod compose;
mod conformance;
mod custom;
mod engines;
mod faults;
#[allow(dead_code, reason = "the tests of the engine use more of it")]
#[path = "../engine/harness.rs"]
mod harness;
mod local;
mod nspawn;
mod oci;
mod podman;
mod proxy;
#[path = "../support/services.rs"]
mod services;
mod ssh;
#[allow(dead_code, reason = "the tests of packages use more of it")]
mod sshd;
mod staging;
