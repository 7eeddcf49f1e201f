//! Several reports of one run.

use std::sync::Arc;

use crate::engine::event::{Event, EventSink};

/// Hands each event to all of its sinks, in order.
pub struct Tee(pub Vec<Arc<dyn EventSink>>);

impl EventSink for Tee {
    fn event(&self, event: &Event) {
        self.0.iter().for_each(|sink| sink.event(event));
    }
}
