//! Owns: what people see of a run: log lines, JSON, the live view, the summary.
//! May import: base diag workflow engine.

mod badge;
mod critical_path;
mod files;
mod github;
mod graph;
mod grouped;
mod history;
mod html;
mod json;
mod junit;
mod lines;
mod live;
mod markdown;
mod message;
pub mod otlp;
mod record;
mod settings;
mod simple;
mod spool;
mod structured;
mod summary;
mod tee;
mod text;
mod tracker;
mod writer;

pub use files::{Document, DocumentError, github};
pub use graph::{Picture, draw};
pub use history::{duration, summarise};
pub use record::{Record, Recorder};
pub use settings::{Format, Settings, UnknownSetting, parse_level, reporter};
pub use tee::Tee;
