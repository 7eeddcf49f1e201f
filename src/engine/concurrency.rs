//! One run per group on this host: runs of a group queue with tickets and go in the order of arrival.
//!
//! `concurrency/GROUP/` below the cache directory holds a file `N` for each run of the group, numbered
//! in order, which its run keeps locked while it lives. A run waits for the lock of the one before it;
//! the kernel lets a lock go when its run dies, whatever it died of. `turn` is locked while a number is
//! drawn.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

use super::executor::safe_file_name;
use super::rundir::create_private;
use crate::workflow::plan::Concurrency;

/// A run's place in the queue of its group; dropped, it leaves the queue.
pub(super) struct Ticket {
    dir: PathBuf,
    number: u64,
    file: PathBuf,
    _lock: File,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // One that stays is taken for that of a dead run, and removed by the next.
        let _ = fs::remove_file(&self.file);
        let _ = fs::remove_file(superseded(&self.file));
    }
}

/// The mark that tells a run why it gets a signal.
fn superseded(ticket: &Path) -> PathBuf {
    ticket.with_extension("superseded")
}

impl Ticket {
    /// Draws a ticket for a run of this group.
    pub(super) fn draw(cache_root: &Path, rule: &Concurrency) -> io::Result<Ticket> {
        let group = safe_file_name(&rule.group.to_lowercase());
        let dir = cache_root.join("concurrency").join(group);
        create_private(&dir)?;
        let turn = File::create(dir.join("turn"))?;
        flock(&turn, FlockOperation::LockExclusive)?;
        let number = tickets(&dir)?.last().map_or(1, |last| last + 1);
        let file = dir.join(number.to_string());
        let mut lock = File::create(&file)?;
        flock(&lock, FlockOperation::LockExclusive)?;
        write!(lock, "{}", std::process::id())?;
        Ok(Ticket { dir, number, file, _lock: lock })
    }

    /// Runs of the group that came before and still live, the first one first.
    pub(super) fn before(&self) -> io::Result<Vec<u64>> {
        let mut live = Vec::new();
        for number in tickets(&self.dir)?.into_iter().filter(|&n| n < self.number) {
            let file = self.dir.join(number.to_string());
            match File::open(&file) {
                Ok(lock) if flock(&lock, FlockOperation::NonBlockingLockShared).is_err() => live.push(number),
                // Left behind by a run that died.
                Ok(_) => fs::remove_file(&file).or_else(absent_is_fine)?,
                Err(e) => absent_is_fine(e)?,
            }
        }
        Ok(live)
    }

    /// Asks the runs that came before to end.
    pub(super) fn cancel_those_before(&self) -> io::Result<()> {
        for number in self.before()? {
            let file = self.dir.join(number.to_string());
            let mut text = String::new();
            match File::open(&file).and_then(|mut f| f.read_to_string(&mut text)) {
                Ok(_) => {}
                Err(e) => {
                    absent_is_fine(e)?;
                    continue;
                }
            }
            let pid = text.trim().parse().ok().and_then(Pid::from_raw);
            if let Some(pid) = pid.filter(|pid| pid.as_raw_nonzero().get() > 1) {
                File::create(superseded(&file))?;
                // Its lock is held, so it lives; one that ends just now is what is wanted.
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        Ok(())
    }

    /// What waits on a thread until this ticket's run has ended.
    pub(super) fn wait_for(&self, number: u64) -> impl FnOnce() -> io::Result<()> + Send + 'static {
        let file = self.dir.join(number.to_string());
        move || match File::open(&file) {
            Ok(lock) => Ok(flock(&lock, FlockOperation::LockShared)?),
            Err(e) => absent_is_fine(e),
        }
    }

    /// Whether a newer run has asked this one to end.
    pub(super) fn is_superseded(&self) -> bool {
        superseded(&self.file).exists()
    }
}

fn absent_is_fine(e: io::Error) -> io::Result<()> {
    if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) }
}

fn tickets(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_in_order_and_those_of_the_dead_do_not_count() {
        let root = tempfile::tempdir().expect("a directory");
        let rule = |group: &str| Concurrency { group: group.into(), cancel_in_progress: false };
        let first = Ticket::draw(root.path(), &rule("Deploy")).expect("drawn");
        let second = Ticket::draw(root.path(), &rule("deploy")).expect("drawn");
        let third = Ticket::draw(root.path(), &rule("deploy")).expect("drawn");
        let other = Ticket::draw(root.path(), &rule("other")).expect("drawn");
        assert_eq!(first.before().expect("read"), Vec::<u64>::new());
        assert_eq!(third.before().expect("read"), [1, 2]);
        assert_eq!(other.before().expect("read"), Vec::<u64>::new());
        fs::write(first.dir.join("0"), "1").expect("written");
        assert_eq!(second.before().expect("read"), [1]);
        drop(first);
        assert_eq!(third.before().expect("read"), [2]);
        second.wait_for(1)().expect("no wait for what is gone");
    }
}
