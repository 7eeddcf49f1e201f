//! The language server as editors use it: transcripts through the program itself.

mod client;
mod random;
mod requests;
#[path = "../support/services.rs"]
mod services;
mod session;
mod shellcheck;
mod transcripts;
mod wire;
