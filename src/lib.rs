//! nixactions: CI/CD workflows written in Nix, evaluated in-process and run anywhere.
//!
//! The modules are the rooms of the house, listed ground floor first; a module imports only from
//! the floors below it (see `docs/architecture.md`).

pub mod base;
pub mod cli;
pub mod diag;
pub mod drv;
pub mod engine;
pub mod eval;
pub mod evalcache;
pub mod exec;
pub mod ide;
pub mod inputs;
pub mod ir;
pub mod lint;
pub mod lsp;
pub mod packages;
pub mod report;
pub mod store;
pub mod syntax;
pub mod workflow;
