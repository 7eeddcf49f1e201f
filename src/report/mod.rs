//! Owns: what people see of a run: log lines, JSON, the live view, the summary.
//! May import: base diag workflow engine.

mod json;
mod lines;
mod live;
mod message;
mod settings;
mod simple;
mod structured;
mod summary;
mod text;
mod tracker;
mod writer;

pub use settings::{Format, Settings, UnknownSetting, parse_level, reporter};
