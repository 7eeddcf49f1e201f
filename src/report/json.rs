//! One JSON object an event, one event a line.

use std::io::Write;

use super::writer::Writer;
use crate::engine::event::{Event, EventKind, EventSink};

/// The JSON report.
pub(super) struct Json {
    writer: Writer,
}

impl Json {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Json {
        Json { writer: Writer::new(out) }
    }
}

impl EventSink for Json {
    fn event(&self, event: &Event) {
        self.writer.append(|buffer| {
            let begin = buffer.len();
            match serde_json::to_writer(&mut *buffer, event) {
                Ok(()) => buffer.push(b'\n'),
                // An event holds text and numbers only; should one not serialise all the same, half
                // a line must not spoil the next.
                Err(_) => buffer.truncate(begin),
            }
        });
        if matches!(event.kind, EventKind::RunFinished { .. }) {
            self.writer.flush();
        }
    }
}
