//! The journal's writer.
//!
//! A record is written to the file before its event takes effect, so that it survives the death of
//! the runner whenever that comes. A thread of its own syncs the file to the disk soon after each
//! record, many at once when they come fast; who must not go on before the disk has it, waits for
//! [`Journal::synced`]. What a power failure takes is thus a short tail, never the middle.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::record::Chain;
use crate::engine::event::Event;

/// Pause between two syncs that nobody waits for.
const PAUSE: Duration = Duration::from_millis(20);

/// A place at which tests let something go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The event is not in the journal yet; an error stands for the disk's.
    Before,
    /// It is, and has had no effect yet.
    After,
}

/// What tests hook into a journal: called with the number of the record, from 0.
pub type Gate = Arc<dyn Fn(Moment, u64, &Event) -> io::Result<()> + Send + Sync>;

struct State {
    chain: Chain,
    /// Records written, and how many of them are on the disk.
    written: u64,
    synced: u64,
    /// Someone waits for a sync.
    hurry: bool,
    closed: bool,
    /// Why nothing can be written any more.
    broken: Option<String>,
    line: Vec<u8>,
}

struct Shared {
    file: File,
    path: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// A journal with a hole is worse than none: it is put aside, so that nobody resumes from it.
    fn give_up(&self, state: &mut State, error: &io::Error) -> String {
        let message = format!("the journal {} cannot be written: {error}", self.path.display());
        state.broken = Some(message.clone());
        let mut aside = self.path.clone().into_os_string();
        aside.push(".broken");
        // On a disk that takes nothing more even this may fail; the chain then ends at the hole.
        let _ = std::fs::rename(&self.path, aside);
        self.changed.notify_all();
        message
    }

    /// The thread that syncs; `first` is other work of that kind, done before.
    fn sync_when_written(&self, first: impl FnOnce()) {
        first();
        loop {
            let mut state = self.lock();
            while state.written == state.synced && !state.closed && state.broken.is_none() {
                state = self.wait(state);
            }
            if state.written == state.synced || state.broken.is_some() {
                return;
            }
            if !state.hurry && !state.closed {
                let waited = self
                    .changed
                    .wait_timeout_while(state, PAUSE, |s| !s.hurry && !s.closed)
                    .unwrap_or_else(PoisonError::into_inner);
                state = waited.0;
            }
            let target = state.written;
            state.hurry = false;
            drop(state);
            let done = rustix::fs::fdatasync(&self.file);
            let mut state = self.lock();
            match done {
                Ok(()) => state.synced = target,
                Err(error) => drop(self.give_up(&mut state, &error.into())),
            }
            self.changed.notify_all();
        }
    }
}

/// A journal that is being written.
pub struct Journal {
    shared: Arc<Shared>,
    gate: Option<Gate>,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Begins a journal, or goes on with one after its sound part. `first` runs on the thread that
    /// syncs, before its first sync.
    pub fn open(
        path: &Path,
        sound: u64,
        chain: Chain,
        gate: Option<Gate>,
        first: impl FnOnce() + Send + 'static,
    ) -> io::Result<Journal> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.set_len(sound)?;
        file.seek(SeekFrom::Start(sound))?;
        let state = State {
            chain,
            written: 0,
            synced: 0,
            hurry: false,
            closed: false,
            broken: None,
            line: Vec::new(),
        };
        let shared = Arc::new(Shared {
            file,
            path: path.to_path_buf(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let other = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || other.sync_when_written(first))?;
        Ok(Journal { shared, gate, thread: Some(thread) })
    }

    /// Appends an event. An error is given once; from then on nothing is written.
    pub fn append(&self, event: &Event) -> Result<(), String> {
        let json = serde_json::to_vec(event);
        let mut state = self.shared.lock();
        if state.broken.is_some() {
            return Ok(());
        }
        let number = state.written;
        let gate = |moment| self.gate.as_ref().map_or(Ok(()), |gate| gate(moment, number, event));
        let State { chain, line, .. } = &mut *state;
        let done = gate(Moment::Before).and_then(|()| {
            line.clear();
            chain.seal(&json?, line);
            (&self.shared.file).write_all(line)
        });
        if let Err(error) = done {
            return Err(self.shared.give_up(&mut state, &error));
        }
        state.written += 1;
        if state.written == state.synced + 1 {
            self.shared.changed.notify_all();
        }
        drop(state);
        // Nothing can fail here any more; a test may end the process.
        gate(Moment::After).map_err(|error| error.to_string())
    }

    /// Blocks until everything appended so far is on the disk; false when it never will be.
    pub fn synced(&self) -> bool {
        let mut state = self.shared.lock();
        let target = state.written;
        while state.synced < target && state.broken.is_none() {
            state.hurry = true;
            self.shared.changed.notify_all();
            state = self.shared.wait(state);
        }
        state.broken.is_none()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It holds no result; a panic in it was reported by the panic hook.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::event::{EventKind, Level, Timestamp};
    use crate::engine::history::record;

    fn event(n: u64) -> Event {
        let kind = EventKind::Notice { level: Level::Info, job: None, message: n.to_string() };
        Event { time: Timestamp(n), kind }
    }

    #[test]
    fn a_journal_goes_on_after_its_sound_part() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("journal");
        let first = Journal::open(&path, 0, Chain::default(), None, || ()).expect("opened");
        (0..3).for_each(|n| first.append(&event(n)).expect("appended"));
        assert!(first.synced());
        drop(first);
        let whole = std::fs::read(&path).expect("there");
        std::fs::write(&path, &whole[..whole.len() - 5]).expect("torn");
        let found = record::read(&path).expect("readable");
        assert_eq!(found.events.len(), 2);
        let second = Journal::open(&path, found.sound, found.chain, None, || ()).expect("opened");
        second.append(&event(9)).expect("appended");
        drop(second);
        let events = record::read(&path).expect("readable").events;
        assert_eq!(events, [event(0), event(1), event(9)]);
    }

    #[test]
    fn a_full_disk_is_told_once_and_nobody_resumes_from_the_rest() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("journal");
        let gate: Gate = Arc::new(|moment, number, _: &Event| match (moment, number) {
            (Moment::Before, 2) => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        });
        let journal = Journal::open(&path, 0, Chain::default(), Some(gate), || ()).expect("opened");
        let told: Vec<String> = (0..5).filter_map(|n| journal.append(&event(n)).err()).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("cannot be written"));
        assert!(!journal.synced());
        drop(journal);
        assert!(!path.exists());
    }
}
