//! What an editor asks, on texts with the cursor at `$0` and the expected places under `^^^`.

mod features;
mod fixture;
mod random;
mod reparse;
#[path = "../support/mod.rs"]
mod support;
