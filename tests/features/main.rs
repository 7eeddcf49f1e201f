//! Every part of the workflow language, from a file through the program to real processes.

#[path = "../support/services.rs"]
mod services_support;

mod beside;
mod calls;
mod debugging;
mod harness;
mod inputs;
mod kept;
mod language;
mod limits;
mod matrix;
mod providers;
mod queue;
mod regressions;
mod results;
mod steps;
mod watching;
mod webhooks;
