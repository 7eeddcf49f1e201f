//! Owns: checks of Nix text and of workflows beyond what a run needs: rules, suppressions, levels, fixes.
//! May import: base diag syntax ir eval evalcache workflow.
//!
//! A rule is a file in `rules/` and a row in [`registry`]. Rules of the text work on any Nix file,
//! broken or not; rules of the workflow see the decoded model while its spans still resolve. What
//! stands against a run is found by `workflow` itself.

pub mod check;
pub mod fix;
pub mod levels;
mod programs;
pub mod registry;
mod rules;
mod shell;
mod shellcheck;
mod suppress;
pub mod text;
pub mod verdict;
mod workflow_file;
mod written;

pub use check::{
    Linted, Options, Ran, check, file, file_with, finish, guess, has_scripts, plain, syntax, text_alone,
};
pub use levels::{Level, Levels};
pub use text::Text;
