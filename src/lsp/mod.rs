//! Owns: the language server: messages, open texts, the threads that answer.
//! May import: base diag syntax eval workflow lint ide.

pub mod checks;
pub mod config;
pub mod dispatch;
pub mod evaluator;
pub mod levels;
pub mod overlay;
pub mod publish;
pub mod requests;
pub mod scripts;
pub mod server;
pub mod snapshot;
pub mod texts;
pub mod transport;
pub mod uri;
pub mod workspace;
