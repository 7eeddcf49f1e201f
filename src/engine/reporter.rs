//! The way from the engine to the journal and the event sink: time stamps and masking.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use super::event::{Event, EventKind, EventSink, Level, LogText, Name, StepRef, Stream, Timestamp};
use super::executor::OutputSink;
use super::history::recorder::Recorder;
use super::mask::{LineMasker, Masker};

/// Sends events; knows the secrets.
pub(super) struct Reporter {
    sink: Arc<dyn EventSink>,
    recorder: Option<Arc<Recorder>>,
    masker: RwLock<Arc<Masker>>,
    /// The system's clock when the run began, and the monotonic one at the same moment.
    begun: (Timestamp, Instant),
}

impl Reporter {
    pub(super) fn new(sink: Arc<dyn EventSink>, masker: Masker, recorder: Option<Arc<Recorder>>) -> Reporter {
        Reporter {
            sink,
            recorder,
            masker: RwLock::new(Arc::new(masker)),
            begun: (Timestamp::now(), Instant::now()),
        }
    }

    /// The time of an event: it goes on evenly, whatever happens to the system's clock meanwhile.
    pub(super) fn now(&self) -> Timestamp {
        let (time, instant) = self.begun;
        Timestamp(time.0 + instant.elapsed().as_micros() as u64)
    }

    /// Records and sends an event; what it tells of may take effect afterwards. Its texts must be
    /// masked already.
    pub(super) fn emit(&self, kind: EventKind) {
        let event = Event { time: self.now(), kind };
        if let Some(Err(message)) = self.recorder.as_ref().map(|recorder| recorder.record(&event)) {
            let kind = EventKind::Notice { level: Level::Warning, job: None, message };
            self.sink.event(&Event { time: event.time, kind });
        }
        self.sink.event(&event);
    }

    /// Completes when all that was recorded is on the disk.
    pub(super) async fn on_disk(&self) {
        if let Some(recorder) = self.recorder.clone() {
            // The recorder has told already why it cannot write, if so.
            let _ = tokio::task::spawn_blocking(move || recorder.synced()).await;
        }
    }

    pub(super) fn notice(&self, level: Level, job: Option<&Name>, message: &str) {
        let message = self.mask(message).into_owned();
        self.emit(EventKind::Notice { level, job: job.cloned(), message });
    }

    /// The masker as it is now.
    pub(super) fn masker(&self) -> Arc<Masker> {
        Arc::clone(&self.masker.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.masker().mask_str(text)
    }

    /// From here on these are masked too, in what starts after.
    pub(super) fn add_secrets<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) {
        let mut current = self.masker.write().unwrap_or_else(PoisonError::into_inner);
        let mut masker = Masker::clone(&current);
        if masker.add(secrets) {
            *current = Arc::new(masker);
        }
    }
}

/// Turns the output of one process into log events.
pub(super) struct StepLog<'a> {
    reporter: &'a Reporter,
    masker: Arc<Masker>,
    job: Name,
    step: Option<StepRef>,
    streams: Mutex<[LineMasker; 2]>,
    /// What each line begins with.
    prefix: String,
    silent: bool,
}

impl<'a> StepLog<'a> {
    pub(super) fn new(reporter: &'a Reporter, job: &Name, step: Option<&StepRef>) -> StepLog<'a> {
        let streams = Mutex::default();
        let (masker, job, step) = (reporter.masker(), job.clone(), step.cloned());
        StepLog { reporter, masker, job, step, streams, prefix: String::new(), silent: false }
    }

    /// Begins each line with this.
    pub(super) fn prefixed(self, prefix: String) -> StepLog<'a> {
        StepLog { prefix, ..self }
    }

    /// Drops what is printed.
    pub(super) fn silent(self) -> StepLog<'a> {
        StepLog { silent: true, ..self }
    }

    /// The process has ended: lets go what has no newline.
    pub(super) fn finish(&self) {
        let mut streams = self.lock();
        for (stream, lines) in [Stream::Stdout, Stream::Stderr].into_iter().zip(streams.iter_mut()) {
            lines.finish(&self.masker, &mut |text, partial| self.emit(stream, text, partial));
        }
    }

    fn lock(&self) -> MutexGuard<'_, [LineMasker; 2]> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn emit(&self, stream: Stream, mut text: Vec<u8>, partial: bool) {
        if self.silent {
            return;
        }
        if !self.prefix.is_empty() {
            text.splice(0..0, self.prefix.bytes());
        }
        let (job, step, text) = (self.job.clone(), self.step.clone(), LogText(text));
        self.reporter.emit(EventKind::Log { job, step, stream, text, partial });
    }
}

impl OutputSink for StepLog<'_> {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        let mut streams = self.lock();
        let lines = &mut streams[usize::from(stream == Stream::Stderr)];
        lines.push(&self.masker, bytes, &mut |text, partial| self.emit(stream, text, partial));
    }
}

/// Keeps standard output, up to a limit, and logs standard error.
pub(super) struct Capture<'a> {
    log: &'a StepLog<'a>,
    kept: Mutex<Vec<u8>>,
    limit: usize,
}

impl<'a> Capture<'a> {
    pub(super) fn new(log: &'a StepLog<'a>, limit: usize) -> Capture<'a> {
        Capture { log, kept: Mutex::default(), limit }
    }

    /// What was kept; `None` when it was more than the limit.
    pub(super) fn into_bytes(self) -> Option<Vec<u8>> {
        let kept = self.kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        (kept.len() <= self.limit).then_some(kept)
    }
}

impl OutputSink for Capture<'_> {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Stderr {
            return self.log.write(stream, bytes);
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = (self.limit + 1).saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}
