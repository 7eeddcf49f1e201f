//! The report for a terminal: what has ended scrolls by, what runs is shown below and redrawn.
//!
//! The cursor is never hidden and no mode of the terminal is changed, so there is nothing that a
//! killed runner could leave behind.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::message;
use super::settings::Settings;
use super::summary;
use super::text::{Color, Took, fit, paint, printable};
use super::tracker::{Job, Status, Tracker};
use crate::engine::event::{Event, EventKind, EventSink, JobResult, Level, Timestamp};

/// Time between two drawings.
const TICK: Duration = Duration::from_millis(100);
/// Most lines of running jobs.
const ROWS: usize = 12;
/// Size of gathered text from which on it is written at once.
const FULL: usize = 64 * 1024;

struct State {
    tracker: Tracker,
    settings: Settings,
    out: Box<dyn Write + Send>,
    /// Lines that scroll by, not yet written.
    pending: String,
    /// Lines of the region below, as drawn last.
    drawn: usize,
    drawn_at: Option<Instant>,
    frame: usize,
    closed: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn tick(&self) {
        let mut state = self.lock();
        while !state.closed {
            state = self.changed.wait_timeout(state, TICK).unwrap_or_else(|e| e.into_inner()).0;
            if !state.closed && state.tracker.finished.is_none() && !state.tracker.jobs.is_empty() {
                state.frame += 1;
                state.draw();
            }
        }
    }
}

/// The live report.
pub(super) struct Live {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Live {
    pub(super) fn new(settings: Settings, out: Box<dyn Write + Send>) -> Live {
        let state = State {
            tracker: Tracker::default(),
            settings,
            out,
            pending: String::new(),
            drawn: 0,
            drawn_at: None,
            frame: 0,
            closed: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let other = Arc::clone(&shared);
        // Without the thread, the view is redrawn with the events alone.
        let thread = std::thread::Builder::new().name("live".into()).spawn(move || other.tick());
        Live { shared, thread: thread.ok() }
    }
}

impl EventSink for Live {
    fn event(&self, event: &Event) {
        let mut state = self.shared.lock();
        state.tracker.event(event);
        state.print(event);
        if matches!(event.kind, EventKind::RunFinished { .. }) {
            let summary = summary::render(&state.tracker, state.settings.color);
            state.pending.push_str(&summary);
            state.draw();
        } else if state.pending.len() >= FULL || state.drawn_at.is_none_or(|at| at.elapsed() >= TICK) {
            state.draw();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.clear_region();
        drop(state);
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It holds no result; a panic in it was reported by the panic hook.
            let _ended = thread.join();
        }
    }
}

impl State {
    /// Adds the line of an event to what scrolls by, if it is worth one.
    fn print(&mut self, event: &Event) {
        let line = message::line(&event.kind);
        // Steps' output scrolls by when it cannot be mixed up: with one job, or when asked for.
        let output = self.tracker.jobs.len() == 1 || self.settings.level == Level::Debug;
        let shown = match &event.kind {
            EventKind::Log { .. } => output,
            EventKind::PackageLog { .. } => self.settings.level == Level::Debug,
            EventKind::RunStarted { .. } | EventKind::RunFinished { .. } | EventKind::JobStarted { .. } => {
                self.settings.level == Level::Debug
            }
            EventKind::StepStarted { .. } => output,
            EventKind::StepFinished { end, .. } => !end.is_success() || output,
            _ => true,
        };
        if !shown || line.level < self.settings.level {
            return;
        }
        let color = self.settings.color;
        let mut text = Vec::new();
        message::write(&event.kind, &mut text);
        for (index, row) in text.split(|byte| *byte == b'\n').enumerate() {
            if index > 0 && row.is_empty() {
                continue;
            }
            let (mark, shade) = mark(&event.kind, line.level);
            paint(&mut self.pending, color, shade, mark);
            self.pending.push(' ');
            if let Some(job) = line.job {
                let mut place = printable(job.as_bytes());
                if let Some(step) = line.step {
                    let _infallible = write!(place, "/{}", printable(step.name.as_bytes()));
                }
                let shade =
                    if matches!(event.kind, EventKind::Log { .. }) { Color::Dim } else { Color::Cyan };
                paint(&mut self.pending, color, shade, &place);
                self.pending.push(' ');
            }
            self.pending.push_str(&printable(row));
            self.pending.push('\n');
        }
    }

    /// Writes what scrolls by and the region below it, in one write.
    fn draw(&mut self) {
        let mut out = erase(self.drawn);
        out.push_str(&self.pending);
        self.pending.clear();
        let (columns, rows) = size();
        let region = match self.tracker.finished {
            Some(_) => Vec::new(),
            None => region(&self.tracker, Timestamp::now(), columns, rows, self.frame, self.settings.color),
        };
        self.drawn = region.len();
        for line in region {
            out.push_str(&line);
            out.push('\n');
        }
        self.drawn_at = Some(Instant::now());
        self.write(&out);
    }

    fn clear_region(&mut self) {
        let mut out = erase(self.drawn);
        out.push_str(&std::mem::take(&mut self.pending));
        self.drawn = 0;
        self.write(&out);
    }

    fn write(&mut self, text: &str) {
        // A terminal that went away does not stop the run.
        let _gone = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

/// Moves to the region's first line and clears from there.
fn erase(lines: usize) -> String {
    match lines {
        0 => String::new(),
        lines => format!("\r\x1b[{lines}A\x1b[J"),
    }
}

fn mark(kind: &EventKind, level: Level) -> (&'static str, Color) {
    match (kind, level) {
        (EventKind::Log { .. } | EventKind::PackageLog { .. }, _) => ("│", Color::Dim),
        (EventKind::JobSkipped { .. } | EventKind::StepSkipped { .. }, _) => ("↷", Color::Dim),
        (EventKind::JobFinished { outcome: JobResult::Success, .. }, _) => ("✓", Color::Green),
        (EventKind::StepFinished { end, .. }, _) if end.is_success() => ("✓", Color::Green),
        (_, Level::Error) => ("✗", Color::Red),
        (_, Level::Warning) => ("!", Color::Yellow),
        _ => ("·", Color::Cyan),
    }
}

/// The size of the terminal: of standard error, else of standard output, else the usual.
fn size() -> (usize, usize) {
    rustix::termios::tcgetwinsize(rustix::stdio::stderr())
        .or_else(|_| rustix::termios::tcgetwinsize(rustix::stdio::stdout()))
        .ok()
        .filter(|size| size.ws_col > 0 && size.ws_row > 0)
        .map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
}

/// The lines below: one a running job, and a line of counts. None is wider than the terminal, as a
/// wrapped line could not be taken back.
fn region(
    tracker: &Tracker,
    now: Timestamp,
    columns: usize,
    rows: usize,
    frame: usize,
    color: bool,
) -> Vec<String> {
    const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
    let limit = columns.saturating_sub(1);
    let room = rows.saturating_sub(3).clamp(1, ROWS);
    let mut lines = Vec::new();
    for index in tracker.running.iter().take(room) {
        let Some(job) = tracker.jobs.get(*index) else { continue };
        let mut line = String::new();
        paint(&mut line, color, Color::Cyan, SPINNER[frame % SPINNER.len()]);
        let text = running_text(job, now);
        let _infallible = write!(line, " {}", fit(&text, limit.saturating_sub(2)));
        lines.push(line);
    }
    let ended = tracker.jobs.iter().filter(|job| matches!(job.status, Status::Ended(_))).count();
    let failed = tracker.count(JobResult::Failure);
    let running = tracker.running.len();
    let waiting = tracker.jobs.len().saturating_sub(ended + running + tracker.ready);
    let mut counts = format!("{ended}/{} done", tracker.jobs.len());
    for (count, word) in
        [(failed, "failed"), (running, "running"), (tracker.ready, "queued"), (waiting, "waiting")]
    {
        if count > 0 {
            let _infallible = write!(counts, ", {count} {word}");
        }
    }
    if running > room {
        let _infallible = write!(counts, " ({} not shown)", running - room);
    }
    if tracker.cancelling {
        counts.push_str(", cancelling");
    }
    let took = Took(now.since(tracker.started).as_micros() as u64);
    let mut line = String::new();
    let shade = if failed > 0 { Color::Red } else { Color::Dim };
    paint(&mut line, color, shade, &fit(&format!("{counts}  {took}"), limit));
    lines.push(line);
    lines
}

fn running_text(job: &Job, now: Timestamp) -> String {
    let mut text = printable(job.info.name.as_bytes());
    if let Some(step) = &job.step {
        let _infallible = write!(text, "/{}", printable(step.name.as_bytes()));
    }
    let _infallible = write!(text, "  {}", Took(now.since(job.started).as_micros() as u64));
    if let Some(last) = job.tail.last() {
        let _infallible = write!(text, "  {}", printable(last));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::settings::Format;
    use super::super::text::width;
    use super::super::tracker::tests::{event, run};
    use super::super::writer::tests::Memory;
    use super::*;

    #[test]
    fn the_region_shows_what_runs_and_fits() {
        let mut tracker = Tracker::default();
        run()[..7].iter().for_each(|event| tracker.event(event));
        let now = event(4000, EventKind::JobReady { job: "x".into() }).time;
        let lines = region(&tracker, now, 80, 24, 0, false);
        assert_eq!(lines, ["⠋ test/unit  2.50s  running", "1/3 done, 1 running, 1 waiting  4.00s"]);
        for columns in 0..30 {
            for line in region(&tracker, now, columns, 3, 0, false) {
                assert!(width(&line) <= columns.max(3), "{columns}: {line}");
            }
        }
    }

    #[test]
    fn the_region_is_taken_back_at_the_end() {
        let memory = Memory::default();
        let settings = Settings { format: Format::Live, level: Level::Info, color: false, on_github: false };
        let live = Live::new(settings, Box::new(memory.clone()));
        run().iter().for_each(|event| live.event(event));
        drop(live);
        let text = memory.text();
        assert!(text.contains("✗ test/unit failure in 500ms: exit code 1\n"), "{text}");
        assert!(text.contains("\x1b[J"), "{text}");
        assert!(text.ends_with("ci failed in 2.00s: 1 succeeded, 1 failed, 1 skipped\n"), "{text}");
        assert!(!text.contains("\x1b[?"), "a mode of the terminal was changed");
    }
}
