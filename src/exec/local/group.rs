//! Control groups of version 2: one around the run, and in it one around each step, in which nothing
//! can hide and which the kernel kills as a whole.
//!
//! A run's group is `nixactions-run-ID-RUNNER`, RUNNER being the runner's process, below the group
//! that the program was started in. The runner sits in its subgroup `runner`, each step in one of its
//! own; the run's group has no processes itself, so that controllers may be enabled in it (the rule of
//! "no internal processes"). Where groups may not be made there are none, and everything else finds a
//! step's processes by its tag.
//!
//! Sources: the kernel's `cgroup-v2.rst`, proc(5).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Pid;

/// The subgroup of the runner itself.
const RUNNER: &str = "runner";
/// How long killed processes may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// The group of a run, by its path; it need not be there.
#[derive(Clone, Debug)]
pub(super) struct RunGroup(PathBuf);

impl RunGroup {
    /// The group of a run, seen from its runner or from what the runner has started before it went
    /// into the group. `None` where there is no hierarchy of version 2. A run that is resumed has
    /// another runner, and so another group than the one that the dead runner's guard kills.
    pub(super) fn of(run: &str, runner: u32) -> Option<RunGroup> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own_group(&mounts, &groups)?;
        let name = format!("nixactions-run-{run}-{runner}");
        match own.parent() {
            Some(above) if own.ends_with(RUNNER) && above.ends_with(&name) => Some(RunGroup(above.into())),
            _ => Some(RunGroup(own.join(name))),
        }
    }

    /// The groups that a run's dead runners have left beside that of this process.
    pub(super) fn left_of(run: &str) -> Vec<RunGroup> {
        // A runner that cannot be stands for the one that is not known.
        let Some(RunGroup(none)) = RunGroup::of(run, 0) else { return Vec::new() };
        let prefix = format!("nixactions-run-{run}-");
        let beside = none.parent().map(groups_below).unwrap_or_default();
        let named = |dir: &PathBuf| {
            dir.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
        };
        beside.into_iter().filter(named).map(RunGroup).collect()
    }

    /// A group at this path.
    #[cfg(test)]
    pub(super) fn at(path: PathBuf) -> RunGroup {
        RunGroup(path)
    }

    /// Makes the group, or finds that it is there; `None` where that is not allowed or the kernel is older than
    /// 5.14, which cannot kill a group.
    pub(super) fn create(self) -> Option<RunGroup> {
        make(&self.0).ok()?;
        self.0.join("cgroup.kill").exists().then_some(self)
    }

    /// Puts this process, with all that it will start, into the group's part for the runner.
    pub(super) fn shelter_runner(&self) {
        let dir = self.0.join(RUNNER);
        // Without it, what the runner starts beside steps is found by its descent alone.
        let _sheltered = make(&dir).and_then(|()| fs::write(dir.join("cgroup.procs"), "0"));
    }

    /// Lets the groups below have a controller; false where it is not delegated to us.
    pub(super) fn enable(&self, controller: &str) -> bool {
        let available = fs::read_to_string(self.0.join("cgroup.controllers")).unwrap_or_default();
        available.split_whitespace().any(|name| name == controller)
            && fs::write(self.0.join("cgroup.subtree_control"), format!("+{controller}")).is_ok()
    }

    /// The path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Kills all members.
    pub(super) fn kill(&self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        self.wait_until_empty();
    }

    fn wait_until_empty(&self) -> bool {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(1);
        while is_populated(&self.0) {
            if begun.elapsed() > PATIENCE {
                return false;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
        true
    }

    /// Removes the group with the groups below it, once nobody is in it any more.
    pub(super) fn remove(&self) {
        if self.0.exists() && self.wait_until_empty() {
            remove_tree(&self.0);
        }
    }
}

/// Groups for steps, below one that has no processes itself. A group that is empty again is used
/// again: to make one takes longer than to enter it.
#[derive(Debug)]
pub(super) struct StepGroups {
    parent: PathBuf,
    free: Mutex<Vec<Group>>,
    next: AtomicU64,
}

impl StepGroups {
    /// For the steps below this group, which exists.
    pub(super) fn below(parent: PathBuf) -> Arc<StepGroups> {
        Arc::new(StepGroups { parent, free: Mutex::default(), next: AtomicU64::new(1) })
    }

    /// Puts a process that has just been started into a group of its own. `None` when it has ended
    /// already, or may not be moved.
    pub(super) fn enter(self: &Arc<Self>, pid: Pid) -> Option<StepGroup> {
        let kept = self.free.lock().unwrap_or_else(|e| e.into_inner()).pop();
        let group = match kept {
            Some(group) => group,
            None => Group::open(self.make()?)?,
        };
        let entered = group.procs.write_all_at(pid.as_raw_nonzero().to_string().as_bytes(), 0);
        let group = StepGroup { group: Some(group), groups: Arc::clone(self) };
        entered.ok().map(|()| group)
    }

    fn make(&self) -> Option<PathBuf> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let dir = self.parent.join(format!("step-{number}"));
            match fs::create_dir(&dir) {
                Ok(()) => return Some(dir),
                // Another executor's of the same run, or one that a killed runner has left.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // Another executor of the run has ended, and took the run's group for empty.
                Err(error) if error.kind() == io::ErrorKind::NotFound => make(&self.parent).ok()?,
                Err(_) => return None,
            }
        }
    }
}

impl Drop for StepGroups {
    fn drop(&mut self) {
        for group in self.free.get_mut().unwrap_or_else(|e| e.into_inner()) {
            let _ = fs::remove_dir(&group.dir);
        }
        // The last one out; another that is still in use keeps it.
        let _ = fs::remove_dir(&self.parent);
    }
}

/// A group for one step at a time, with the files of it that each step needs: to open them takes longer
/// than to use them.
#[derive(Debug)]
struct Group {
    dir: PathBuf,
    procs: File,
    events: Option<File>,
}

impl Group {
    fn open(dir: PathBuf) -> Option<Group> {
        let procs = File::create(dir.join("cgroup.procs")).ok()?;
        let events = File::open(dir.join("cgroup.events")).ok();
        Some(Group { dir, procs, events })
    }

    fn is_populated(&self) -> bool {
        let mut text = [0; 256];
        let length = self.events.as_ref().and_then(|events| events.read_at(&mut text, 0).ok());
        says_populated(&text[..length.unwrap_or_default()])
    }

    /// Whether there may be groups below: a directory has a link from each of those in it.
    fn may_have_groups_below(&self) -> bool {
        fs::metadata(&self.dir).is_ok_and(|found| found.nlink() > 2)
    }
}

/// The group of a step. Dropping it gives it back when it is empty.
#[derive(Debug)]
pub(super) struct StepGroup {
    /// There until it is dropped.
    group: Option<Group>,
    groups: Arc<StepGroups>,
}

impl StepGroup {
    /// Whether something in it lives.
    pub(super) fn is_populated(&self) -> bool {
        self.group.as_ref().is_some_and(Group::is_populated)
    }

    /// The numbers of its living members, those of groups below included.
    pub(super) fn members(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        let mut open: Vec<PathBuf> = self.group.iter().map(|group| group.dir.clone()).collect();
        while let Some(dir) = open.pop() {
            let members = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            pids.extend(members.lines().filter_map(|pid| pid.parse::<i32>().ok()));
            open.extend(groups_below(&dir));
        }
        pids
    }

    /// Kills all members, also those that are being forked (`cgroup.kill`).
    pub(super) fn kill(&self) {
        if let Some(group) = &self.group {
            let _ = fs::write(group.dir.join("cgroup.kill"), "1");
        }
    }
}

impl Drop for StepGroup {
    fn drop(&mut self) {
        let Some(group) = self.group.take().filter(|group| !group.is_populated()) else { return };
        if group.may_have_groups_below() {
            remove_tree(&group.dir);
        } else {
            self.groups.free.lock().unwrap_or_else(|e| e.into_inner()).push(group);
        }
    }
}

fn make(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn groups_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn is_populated(dir: &Path) -> bool {
    fs::read(dir.join("cgroup.events")).is_ok_and(|events| says_populated(&events))
}

fn says_populated(events: &[u8]) -> bool {
    events.split(|byte| *byte == b'\n').any(|line| line == b"populated 1")
}

fn remove_tree(dir: &Path) {
    for below in groups_below(dir) {
        remove_tree(&below);
    }
    let _ = fs::remove_dir(dir);
}

/// The directory of a process's version 2 group, from `mountinfo` and `/proc/PID/cgroup`.
fn own_group(mounts: &str, groups: &str) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then(|| fields.split(' ').nth(4)).flatten()
    })?;
    Some(Path::new(mount).join(path.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_a_process_is_below_the_mount() {
        let mounts = "30 24 0:26 / /sys/fs/cgroup rw shared:4 - tmpfs tmpfs rw\n\
                      31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:5 - cgroup2 cgroup2 rw\n";
        let groups = "4:memory:/x\n0::/user.slice/session-1.scope\n";
        let found = own_group(mounts, groups);
        assert_eq!(found, Some("/sys/fs/cgroup/unified/user.slice/session-1.scope".into()));
        assert_eq!(own_group(mounts, "4:memory:/x\n"), None);
        assert_eq!(own_group("", groups), None);
    }

    #[test]
    fn an_empty_group_is_used_again() {
        let root = tempfile::tempdir().expect("a directory");
        let parent = root.path().join("run");
        fs::create_dir(&parent).expect("made");
        let groups = StepGroups::below(parent.clone());
        let pid = rustix::process::getpid();
        let enter = || groups.enter(pid).expect("entered");
        let dir = |entered: &StepGroup| entered.group.as_ref().expect("kept until the end").dir.clone();
        let first = dir(&enter());
        assert_eq!(dir(&enter()), first);
        let held = enter();
        assert_ne!(dir(&enter()), dir(&held));
        assert_eq!(held.members(), [pid.as_raw_nonzero().get()]);
    }
}
