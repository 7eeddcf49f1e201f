//! The lines of a journal: `SEAL JSON`, the seal being sixteen hexadecimal digits of a hash over the
//! seal before and the JSON. A line that is torn, changed, left out or moved breaks the chain.

use std::fs;
use std::io;
use std::path::Path;

use crate::engine::event::Event;

/// Length of a seal in bytes; twice as many digits are written.
const SEAL: usize = 8;

/// The seal of the last line, from which the next one's is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain([u8; SEAL]);

impl Chain {
    fn next(self, json: &[u8]) -> Chain {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0).update(json);
        let mut seal = [0; SEAL];
        seal.copy_from_slice(&hasher.finalize().as_bytes()[..SEAL]);
        Chain(seal)
    }

    /// Writes a record's line.
    pub fn seal(&mut self, json: &[u8], out: &mut Vec<u8>) {
        *self = self.next(json);
        out.extend_from_slice(data_encoding::HEXLOWER.encode(&self.0).as_bytes());
        out.push(b' ');
        out.extend_from_slice(json);
        out.push(b'\n');
    }

    /// The JSON of the next line (without its newline), if it is whole and belongs here.
    pub fn open<'l>(&mut self, line: &'l [u8]) -> Option<&'l [u8]> {
        let (seal, json) = line.split_at_checked(2 * SEAL)?;
        let json = json.strip_prefix(b" ")?;
        let next = self.next(json);
        if data_encoding::HEXLOWER.encode(&next.0).as_bytes() != seal {
            return None;
        }
        *self = next;
        Some(json)
    }
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Io {
        /// The journal.
        path: String,
        /// What happened.
        error: io::Error,
    },
    /// A line is sound, but says something that this program does not know.
    #[error("{path}, line {line}: written by another version of nixactions ({error})")]
    Version {
        /// The journal.
        path: String,
        /// Line, from 1.
        line: usize,
        /// What is not understood.
        error: serde_json::Error,
    },
}

/// A journal as it was found.
#[derive(Debug, Default)]
pub struct Read {
    /// The events of the sound lines at its beginning.
    pub events: Vec<Event>,
    /// How many bytes those lines take.
    pub sound: u64,
    /// How many bytes come after them: the last line, torn when the machine went down, or worse.
    pub lost: u64,
    /// The chain after the last sound line.
    pub chain: Chain,
}

/// Reads a journal up to its first line that is not sound.
pub fn read(path: &Path) -> Result<Read, ReadError> {
    let shown = || path.display().to_string();
    let bytes = fs::read(path).map_err(|error| ReadError::Io { path: shown(), error })?;
    let mut read = Read::default();
    let mut rest = bytes.as_slice();
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let Some(json) = read.chain.open(&rest[..end]) else { break };
        let event = serde_json::from_slice(json).map_err(|error| ReadError::Version {
            path: shown(),
            line: read.events.len() + 1,
            error,
        })?;
        read.events.push(event);
        read.sound += end as u64 + 1;
        rest = &rest[end + 1..];
    }
    read.lost = bytes.len() as u64 - read.sound;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::event::{EventKind, Level, Timestamp};

    fn lines(count: usize) -> (Vec<Vec<u8>>, Vec<Event>) {
        let mut chain = Chain::default();
        let event = |n| Event {
            time: Timestamp(n as u64),
            kind: EventKind::Notice { level: Level::Info, job: None, message: format!("number {n}") },
        };
        let events: Vec<Event> = (0..count).map(event).collect();
        let line = |event: &Event| {
            let mut line = Vec::new();
            chain.seal(&serde_json::to_vec(event).expect("serialises"), &mut line);
            line
        };
        (events.iter().map(line).collect(), events)
    }

    fn read_back(bytes: &[u8]) -> Read {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("journal");
        fs::write(&path, bytes).expect("written");
        read(&path).expect("readable")
    }

    #[test]
    fn what_was_sealed_is_read_back() {
        let (lines, events) = lines(5);
        let read = read_back(&lines.concat());
        assert_eq!((read.events, read.lost), (events, 0));
    }

    #[test]
    fn a_torn_line_is_left_out_wherever_it_was_torn() {
        let (lines, events) = lines(3);
        let whole = lines.concat();
        let sound = lines[0].len() + lines[1].len();
        for cut in sound..whole.len() {
            let read = read_back(&whole[..cut]);
            assert_eq!(read.events, events[..2], "cut at {cut}");
            assert_eq!((read.sound, read.lost), (sound as u64, (cut - sound) as u64));
        }
    }

    #[test]
    fn changed_missing_and_moved_lines_end_what_is_believed() {
        let (lines, _) = lines(4);
        let whole = lines.concat();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(read_back(&changed).events.len() < 4, "byte {at}");
        }
        assert_eq!(read_back(&[&lines[0][..], &lines[2], &lines[3]].concat()).events.len(), 1);
        assert_eq!(read_back(&[&lines[1][..], &lines[0]].concat()).events.len(), 0);
        assert_eq!(read_back(&[whole, vec![0; 4096]].concat()).lost, 4096);
    }
}
