//! Past runs, shown as new ones are.

use super::summary;
use super::text::Took;
use super::tracker::Tracker;
use crate::engine::event::Event;

/// A duration in microseconds, as reports show it.
pub fn duration(us: u64) -> String {
    Took(us).to_string()
}

/// The summary of a run from its events.
pub fn summarise(events: impl IntoIterator<Item = Event>, color: bool) -> String {
    let mut tracker = Tracker::default();
    events.into_iter().for_each(|event| tracker.event(&event));
    summary::render(&tracker, color)
}
