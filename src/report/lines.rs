//! The reports that print a line an event, and a summary at the end.

use std::io::Write;
use std::sync::Mutex;

use super::message::{self, Line};
use super::settings::Settings;
use super::summary;
use super::tracker::Tracker;
use super::writer::Writer;
use crate::engine::event::{Event, EventKind, EventSink, Timestamp};

/// What stands before the text of a line.
pub(super) trait Prefix: Send + Sync {
    /// Appends it.
    fn write(&self, time: Timestamp, workflow: &str, line: &Line<'_>, out: &mut Vec<u8>);
}

/// A report in lines.
pub(super) struct Lines<P> {
    prefix: P,
    settings: Settings,
    tracker: Mutex<Tracker>,
    writer: Writer,
}

impl<P: Prefix> Lines<P> {
    pub(super) fn new(prefix: P, settings: Settings, out: Box<dyn Write + Send>) -> Lines<P> {
        Lines { prefix, settings, tracker: Mutex::default(), writer: Writer::new(out) }
    }
}

impl<P: Prefix> EventSink for Lines<P> {
    fn event(&self, event: &Event) {
        let mut tracker = self.tracker.lock().unwrap_or_else(|e| e.into_inner());
        tracker.event(event);
        let line = message::line(&event.kind);
        if line.level >= self.settings.level {
            self.writer.append(|buffer| {
                let begin = buffer.len();
                self.prefix.write(event.time, tracker.workflow(), &line, buffer);
                let text = buffer.len();
                message::write(&event.kind, buffer);
                if !matches!(event.kind, EventKind::Log { .. }) {
                    prefix_further_lines(buffer, begin, text);
                }
                buffer.push(b'\n');
            });
        }
        if matches!(event.kind, EventKind::RunFinished { .. }) {
            let summary = summary::render(&tracker, self.settings.color);
            self.writer.append(|buffer| buffer.extend_from_slice(summary.as_bytes()));
            self.writer.flush();
        }
    }
}

/// A message of several lines (the stderr of a provider, say) gets the prefix on each, so that a
/// line can be judged alone.
fn prefix_further_lines(buffer: &mut Vec<u8>, begin: usize, text: usize) {
    while buffer.len() > text && buffer.ends_with(b"\n") {
        buffer.pop();
    }
    if !buffer[text..].contains(&b'\n') {
        return;
    }
    let prefix = buffer[begin..text].to_vec();
    let message = buffer.split_off(text);
    for (index, line) in message.split(|byte| *byte == b'\n').enumerate() {
        if index > 0 {
            buffer.push(b'\n');
            buffer.extend_from_slice(&prefix);
        }
        buffer.extend_from_slice(line);
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Format;
    use super::super::tracker::tests::{event, run};
    use super::super::writer::tests::Memory;
    use super::super::{Settings, reporter};
    use super::*;
    use crate::engine::event::{Level, LogText, Stream};

    fn settings(format: Format, level: Level) -> Settings {
        Settings { format, level, color: false, on_github: false }
    }

    fn report(settings: Settings) -> String {
        let memory = Memory::default();
        let sink = reporter(settings, Box::new(memory.clone()));
        run().iter().for_each(|event| sink.event(event));
        memory.text()
    }

    #[test]
    fn structured_lines_carry_time_workflow_job_and_step() {
        let text = report(settings(Format::Structured, Level::Info));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "[2024-11-24T00:00:00.000000Z] [workflow:ci] run r1 started: 3 jobs, at most 4 at a time"
        );
        assert!(text.contains("[workflow:ci] [job:test] [step:unit] assertion failed\n"), "{text}");
        assert!(text.contains("[step:unit] failure in 500ms: exit code 1\n"), "{text}");
        assert!(
            text.contains("[job:deploy] skipped: success() is false: test ended with failure\n"),
            "{text}"
        );
    }

    #[test]
    fn simple_lines_are_short() {
        let text = report(settings(Format::Simple, Level::Info));
        assert!(text.contains("\ntest/unit: assertion failed\n"), "{text}");
        assert!(text.contains("\nci: failed in 2.00s\n"), "{text}");
    }

    #[test]
    fn levels_filter_lines_but_not_the_summary() {
        let text = report(settings(Format::Simple, Level::Error));
        assert!(!text.contains("started"), "{text}");
        assert!(text.contains("test/unit: failure") && text.contains("assertion failed"), "{text}");
    }

    #[test]
    fn json_is_an_object_a_line() {
        let text = report(settings(Format::Json, Level::Error));
        assert_eq!(text.lines().count(), run().len());
        for (line, event) in text.lines().zip(run()) {
            assert_eq!(serde_json::from_str::<Event>(line).unwrap(), event);
        }
    }

    #[test]
    fn messages_of_several_lines_are_prefixed_throughout() {
        let memory = Memory::default();
        let sink = reporter(settings(Format::Simple, Level::Info), Box::new(memory.clone()));
        sink.event(&event(
            0,
            EventKind::Notice { level: Level::Error, job: Some("a".into()), message: "one\ntwo\n".into() },
        ));
        drop(sink);
        assert_eq!(memory.text(), "a: one\na: two\n");
    }

    #[test]
    fn lines_are_not_interleaved() {
        let memory = Memory::default();
        let sink = reporter(settings(Format::Simple, Level::Info), Box::new(memory.clone()));
        std::thread::scope(|scope| {
            for letter in ["a", "b", "c", "d"] {
                let sink = &sink;
                scope.spawn(move || {
                    for _ in 0..2000 {
                        sink.event(&event(
                            0,
                            EventKind::Log {
                                job: letter.into(),
                                step: None,
                                stream: Stream::Stdout,
                                text: LogText(letter.repeat(50).into_bytes()),
                                partial: false,
                            },
                        ));
                    }
                });
            }
        });
        drop(sink);
        let text = memory.text();
        assert_eq!(text.lines().count(), 8000);
        assert!(
            text.lines().all(|line| line.len() == 53 && line[3..].bytes().all(|b| b == line.as_bytes()[0]))
        );
    }
}
