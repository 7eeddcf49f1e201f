//! Changes of a project's files: what there is, and waiting until something is different.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ignore::WalkBuilder;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

/// Files are looked at this often even when the kernel reports nothing: it may be unable to (a network
/// file system, or the limit of watches is reached).
const LOOK: Duration = Duration::from_secs(2);
/// An editor writes a file in several steps, and git writes many files: the last of them is waited for.
const QUIET: Duration = Duration::from_millis(60);

/// What tells that a file is not what it was: change time, size, inode; `None` when it is absent.
pub(super) type State = Option<(i64, i64, u64, u64)>;

/// The state of a file.
pub(super) fn state(path: &Path) -> State {
    let m = std::fs::metadata(path).ok()?;
    Some((m.ctime(), m.ctime_nsec(), m.size(), m.ino()))
}

/// The files of a project that git does not ignore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    files: BTreeMap<PathBuf, State>,
    dirs: Vec<PathBuf>,
}

impl Snapshot {
    /// Looks at a project. What is below `except` does not count: nixactions itself writes there.
    pub(super) fn of(project: &Path, except: &[PathBuf]) -> Snapshot {
        let mut snapshot = Snapshot { files: BTreeMap::new(), dirs: Vec::new() };
        let left_out = except.to_vec();
        let walk = WalkBuilder::new(project)
            .hidden(false)
            .filter_entry(move |entry| {
                entry.file_name() != ".git" && !left_out.iter().any(|dir| dir == entry.path())
            })
            .build();
        // What cannot be read cannot be seen to change.
        for entry in walk.flatten() {
            if entry.file_type().is_some_and(|kind| kind.is_dir()) {
                snapshot.dirs.push(entry.path().to_path_buf());
            } else {
                let state = state(entry.path());
                snapshot.files.insert(entry.into_path(), state);
            }
        }
        snapshot
    }

    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// The paths that are there in one only, or differ.
    pub(super) fn changed(&self, before: &Snapshot) -> Vec<PathBuf> {
        let differs = |(path, state): &(&PathBuf, &State)| before.files.get(*path) != Some(*state);
        let mut changed: Vec<PathBuf> =
            self.files.iter().filter(differs).map(|(path, _)| path.clone()).collect();
        changed.extend(before.files.keys().filter(|path| !self.files.contains_key(*path)).cloned());
        changed
    }
}

/// Waits until the files of a project differ from a snapshot; the new one.
pub(super) fn wait(project: &Path, except: &[PathBuf], before: &Snapshot) -> Snapshot {
    let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
    let kinds = WatchFlags::CLOSE_WRITE
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::ATTRIB;
    let mut watched: Vec<PathBuf> = Vec::new();
    loop {
        let now = Snapshot::of(project, except);
        if let Some(events) = &events {
            for dir in now.dirs.iter().filter(|dir| !watched.contains(dir)) {
                // One that cannot be watched is looked at now and then.
                let _ = inotify::add_watch(events, dir, kinds);
            }
            watched.clone_from(&now.dirs);
        }
        // Looked at once more, because something may have changed before the watches were there.
        let now = Snapshot::of(project, except);
        if now.files != before.files {
            std::thread::sleep(QUIET);
            let settled = Snapshot::of(project, except);
            if settled.files == now.files {
                return settled;
            }
            continue;
        }
        let Some(events) = &events else {
            std::thread::sleep(LOOK);
            continue;
        };
        let patience = Timespec::try_from(LOOK).ok();
        let _ = poll(&mut [PollFd::new(events, PollFlags::IN)], patience.as_ref());
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(events, &mut buffer);
        while reader.next().is_ok_and(|event| !event.events().contains(ReadFlags::QUEUE_OVERFLOW)) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_ignores_and_what_we_write_does_not_count() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("inside")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write(".git/HEAD", "x");
        write(".gitignore", "*.log\n");
        write("a", "1");
        write("gone", "1");
        let except = [dir.path().join("cache")];
        let before = Snapshot::of(dir.path(), &except);
        assert_eq!(before.len(), 3);
        for name in [".git/HEAD", "b.log", "cache/c"] {
            write(name, "changed");
        }
        assert_eq!(
            Snapshot::of(dir.path(), &except),
            Snapshot { dirs: before.dirs.clone(), ..before.clone() }
        );
        write("a", "12");
        write("new/file", "");
        std::fs::remove_file(dir.path().join("gone")).expect("removed");
        let now = wait(dir.path(), &except, &before);
        let names = |name: &str| dir.path().join(name);
        assert_eq!(now.changed(&before), [names("a"), names("new/file"), names("gone")]);
    }

    #[test]
    fn a_change_in_a_new_directory_is_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let before = Snapshot::of(dir.path(), &[]);
        let root = dir.path().to_path_buf();
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            std::fs::create_dir(root.join("d")).expect("made");
            std::thread::sleep(Duration::from_millis(50));
            std::fs::write(root.join("d/f"), "").expect("written");
        });
        let now = wait(dir.path(), &[], &before);
        assert_eq!(now.changed(&before), [dir.path().join("d/f")]);
        writer.join().expect("written");
    }
}
