//! Buffered output that never keeps a line back for long.
//!
//! Lines gather in one buffer under a lock, so they are never interleaved. A full buffer is written
//! by whoever filled it, which slows a run down to the speed of its reader; otherwise a thread of
//! its own writes what has gathered, soon after the first line came.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// Size from which on the buffer is written at once.
const FULL: usize = 64 * 1024;
/// How long a line may wait for others.
const DELAY: Duration = Duration::from_millis(10);

struct State {
    buffer: Vec<u8>,
    out: Box<dyn Write + Send>,
    closed: bool,
    /// Nobody reads any more; the run goes on without a report.
    broken: bool,
}

impl State {
    fn write_out(&mut self) {
        if !self.buffer.is_empty() && !self.broken {
            self.broken = self.out.write_all(&self.buffer).and_then(|()| self.out.flush()).is_err();
        }
        self.buffer.clear();
    }
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The thread that writes what has gathered.
    fn write_when_idle(&self) {
        let mut state = self.lock();
        while !state.closed {
            if state.buffer.is_empty() {
                state = self.changed.wait(state).unwrap_or_else(|e| e.into_inner());
                continue;
            }
            state = self.changed.wait_timeout(state, DELAY).unwrap_or_else(|e| e.into_inner()).0;
            state.write_out();
        }
    }
}

/// The output of a report.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Writer {
        let state = State { buffer: Vec::with_capacity(FULL + 4096), out, closed: false, broken: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let other = Arc::clone(&shared);
        // Without the thread, every addition is written at once.
        let thread = std::thread::Builder::new().name("report".into()).spawn(move || other.write_when_idle());
        Writer { shared, thread: thread.ok() }
    }

    /// Lets `add` append whole lines to the buffer.
    pub(super) fn append(&self, add: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.shared.lock();
        let was_empty = state.buffer.is_empty();
        add(&mut state.buffer);
        if state.buffer.len() >= FULL || self.thread.is_none() {
            state.write_out();
        } else if was_empty && !state.buffer.is_empty() {
            self.shared.changed.notify_one();
        }
    }

    /// Writes everything now.
    pub(super) fn flush(&self) {
        self.shared.lock().write_out();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.write_out();
        state.closed = true;
        drop(state);
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It holds no result; a panic in it was reported by the panic hook.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::time::Instant;

    /// Output that tests can read.
    #[derive(Clone, Default)]
    pub(in crate::report) struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Memory {
        pub(in crate::report) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn a_lone_line_appears_without_another() {
        let memory = Memory::default();
        let writer = Writer::new(Box::new(memory.clone()));
        writer.append(|buffer| buffer.extend_from_slice(b"hello\n"));
        let begun = Instant::now();
        while memory.text().is_empty() && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(memory.text(), "hello\n");
    }

    #[test]
    fn a_reader_that_left_does_not_stop_the_run() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let writer = Writer::new(Box::new(Gone));
        for _ in 0..10_000 {
            writer.append(|buffer| buffer.extend_from_slice(&[b'x'; 100]));
        }
        writer.flush();
        assert!(writer.shared.lock().broken);
    }
}
