//! What the steps of a run printed, kept compactly.
//!
//! A record is a header of 20 bytes, little endian, and the text: length of the text (u32), place of
//! the job in the plan (u32), place of the step (u16; `0xffff`: none), flags (u16: 1 standard error,
//! 2 the line goes on), and the time in microseconds since 1970 (u64). A record that is cut off ends
//! the file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::event::{LogText, Stream, Timestamp};

const HEADER: usize = 20;
const NO_STEP: u16 = u16::MAX;
/// Size from which on the buffer is written at once.
const FULL: usize = 64 * 1024;
/// Most that is kept of one run's output.
pub const LIMIT: u64 = 256 * 1024 * 1024;

/// A kept line, or a piece of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was printed.
    pub time: Timestamp,
    /// Place of the job in the plan.
    pub job: u32,
    /// Place of the step in the job.
    pub step: Option<u32>,
    /// On which stream.
    pub stream: Stream,
    /// The text, masked.
    pub text: LogText,
    /// It goes on in the next record of this stream.
    pub partial: bool,
}

struct State {
    file: File,
    buffer: Vec<u8>,
    /// Bytes that may still be kept.
    room: u64,
    /// Nothing is kept any more: the limit was reached, or the disk takes no more.
    closed: bool,
}

impl State {
    fn flush(&mut self) -> io::Result<()> {
        let done = if self.buffer.is_empty() { Ok(()) } else { self.file.write_all(&self.buffer) };
        self.buffer.clear();
        self.closed |= done.is_err();
        done
    }
}

/// Keeps the output of a run.
pub struct Output(Mutex<State>);

impl Output {
    /// Begins, or goes on with, a file.
    pub fn open(path: &Path, limit: u64) -> io::Result<Output> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let room = limit.saturating_sub(file.metadata()?.len());
        Ok(Output(Mutex::new(State { file, buffer: Vec::with_capacity(FULL), room, closed: false })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a line. What went wrong is told once, and nothing is kept from then on.
    pub fn push(
        &self,
        time: Timestamp,
        (job, step): (u32, Option<u32>),
        stream: Stream,
        text: &[u8],
        partial: bool,
    ) -> Result<(), String> {
        let mut state = self.lock();
        if state.closed {
            return Ok(());
        }
        let size = (HEADER + text.len()) as u64;
        if size > state.room {
            state.closed = true;
            let kept = state.flush();
            return Err(kept.err().map_or_else(
                || {
                    "the run printed too much: the rest is shown, but not kept for `nixactions logs`"
                        .to_owned()
                },
                |error| error.to_string(),
            ));
        }
        state.room -= size;
        let step = step.and_then(|n| u16::try_from(n).ok()).unwrap_or(NO_STEP);
        let flags = u16::from(stream == Stream::Stderr) | u16::from(partial) << 1;
        let buffer = &mut state.buffer;
        buffer.extend_from_slice(&(text.len() as u32).to_le_bytes());
        buffer.extend_from_slice(&job.to_le_bytes());
        buffer.extend_from_slice(&step.to_le_bytes());
        buffer.extend_from_slice(&flags.to_le_bytes());
        buffer.extend_from_slice(&time.0.to_le_bytes());
        buffer.extend_from_slice(text);
        match state.buffer.len() >= FULL {
            true => state.flush().map_err(|error| format!("the output of this run is not kept: {error}")),
            false => Ok(()),
        }
    }

    /// Writes what has gathered.
    pub fn flush(&self) {
        // A failure closes the file, which the next line would tell.
        let _ = self.lock().flush();
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Reads the kept output from its beginning.
pub struct Lines(Option<BufReader<File>>);

impl Lines {
    /// Opens a file; one that is not there holds nothing.
    pub fn open(path: &Path) -> io::Result<Lines> {
        match File::open(path) {
            Ok(file) => Ok(Lines(Some(BufReader::with_capacity(FULL, file)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Lines(None)),
            Err(error) => Err(error),
        }
    }
}

impl Iterator for Lines {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let file = self.0.as_mut()?;
        let mut header = [0u8; HEADER];
        file.read_exact(&mut header).ok()?;
        let [a, b, c, d, e, f, g, h, i, j, k, l, time @ ..] = header;
        let (length, job) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let (step, flags) = (u16::from_le_bytes([i, j]), u16::from_le_bytes([k, l]));
        let mut text = Vec::new();
        file.take(u64::from(length)).read_to_end(&mut text).ok()?;
        if text.len() < length as usize {
            return None;
        }
        Some(Line {
            time: Timestamp(u64::from_le_bytes(time)),
            job,
            step: (step != NO_STEP).then_some(u32::from(step)),
            stream: if flags & 1 == 1 { Stream::Stderr } else { Stream::Stdout },
            text: LogText(text),
            partial: flags & 2 == 2,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_and_a_torn_one_ends_them() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("log");
        let output = Output::open(&path, 1000).expect("opened");
        output.push(Timestamp(7), (3, Some(1)), Stream::Stderr, b"one", true).expect("kept");
        output.push(Timestamp(8), (4, None), Stream::Stdout, b"", false).expect("kept");
        drop(output);
        let lines: Vec<Line> = Lines::open(&path).expect("opened").collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].job, lines[0].step, lines[0].stream), (3, Some(1), Stream::Stderr));
        assert_eq!((lines[0].text.0.as_slice(), lines[0].partial), (&b"one"[..], true));
        assert_eq!((lines[1].step, lines[1].time), (None, Timestamp(8)));
        let whole = std::fs::read(&path).expect("there");
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("torn");
            let expected = usize::from(cut >= HEADER + 3);
            assert_eq!(Lines::open(&path).expect("opened").count(), expected, "cut at {cut}");
        }
        assert_eq!(Lines::open(&dir.path().join("none")).expect("opened").count(), 0);
    }

    #[test]
    fn the_limit_is_told_once() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("log");
        let output = Output::open(&path, 100).expect("opened");
        let push = |_| output.push(Timestamp(0), (0, None), Stream::Stdout, &[b'x'; 20], false).err();
        assert_eq!((0..10).filter_map(push).count(), 1);
        drop(output);
        assert_eq!(Lines::open(&path).expect("opened").count(), 2);
    }
}
