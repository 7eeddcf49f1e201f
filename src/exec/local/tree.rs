//! Finding and ending everything that a step started, however it hid.
//!
//! The runner is a child subreaper, so each descendant stays one: a daemon that forks twice and
//! opens its own session becomes the runner's child. Which step or job a descendant belongs to is
//! told by its control group, where it has one, by its process group, by a tag in its environment, or
//! by its parent belonging there.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use super::group::{RunGroup, StepGroup};

/// The variable that marks the processes of a step.
pub(super) const TAG_VARIABLE: &str = "NIXACTIONS_PROCESS_TAG";
/// Longest wait for killed processes to be gone; only a process stuck in the kernel takes longer.
const GONE_LIMIT: Duration = Duration::from_secs(5);
/// How often the orphans are looked at in a row while new ones turn up.
const ORPHAN_ROUNDS: usize = 200;
/// Longest search for more while only processes turn up that may be another step's.
const DOUBT_LIMIT: Duration = Duration::from_millis(500);

/// Children that a step's own future waits for; nobody else may reap them.
static DIRECT: Mutex<Option<HashSet<i32>>> = Mutex::new(None);

pub(super) fn register_direct(pid: Pid) {
    let mut direct = DIRECT.lock().unwrap_or_else(|e| e.into_inner());
    direct.get_or_insert_default().insert(pid.as_raw_nonzero().get());
}

pub(super) fn forget_direct(pid: Pid) {
    let mut direct = DIRECT.lock().unwrap_or_else(|e| e.into_inner());
    direct.get_or_insert_default().remove(&pid.as_raw_nonzero().get());
}

fn is_direct(pid: i32) -> bool {
    let direct = DIRECT.lock().unwrap_or_else(|e| e.into_inner());
    direct.as_ref().is_some_and(|direct| direct.contains(&pid))
}

/// Makes this process the new parent of every orphan among its descendants.
pub(super) fn become_subreaper() -> std::io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// The tag of a step: a path `RUN/JOB/STEP`, behind the tag of the run around this one if a step
/// runs nixactions itself.
pub(super) fn tag_value(path: &str) -> String {
    match std::env::var(TAG_VARIABLE) {
        Ok(outer) if !outer.is_empty() => format!("{outer} {path}"),
        _ => path.to_owned(),
    }
}

/// A process as `/proc/PID/stat` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    state: u8,
    /// In clock ticks since boot; with the pid it names a process for ever.
    start: u64,
}

impl Process {
    fn read(pid: i32) -> Option<Process> {
        Process::parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(pid: i32, stat: &[u8]) -> Option<Process> {
        // The command's name stands in parentheses and may itself hold any byte.
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let start = fields.nth(16)?.parse().ok()?;
        Some(Process { pid, parent, group, state, start })
    }

    fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }

    /// Signals this very process, not one that got its number afterwards.
    fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        let Ok(fd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return };
        if Process::read(self.pid).is_some_and(|now| now.start == self.start) {
            // A failure means that it is gone or not ours to signal; the next look shows which.
            let _gone = rustix::process::pidfd_send_signal(fd, signal);
        }
    }
}

fn all_processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(Process::read).collect()
}

/// Whether a process's environment, as it was when it was started, carries a tag below `prefix`; `None`
/// when it shows none: it has ended, is between two programs, or was started without.
fn has_tag(pid: i32, prefix: &str) -> Option<bool> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok().filter(|text| !text.is_empty())?;
    Some(environment.split(|byte| *byte == 0).any(|variable| {
        let value = variable
            .strip_prefix(TAG_VARIABLE.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="))
            .unwrap_or_default();
        value.split(|byte| *byte == b' ').any(|tag| tag.starts_with(prefix.as_bytes()))
    }))
}

/// What one look at the descendants found.
#[derive(Default)]
struct Look {
    /// Living members.
    members: Vec<Process>,
    /// Dead orphans, of this tree or unknown.
    dead: Vec<(i32, u64)>,
    /// Whether there was a living orphan of which it could not be told whose it is.
    unknown: bool,
}

/// What shows that a process belongs to a step.
#[derive(Debug)]
pub(super) struct Belonging {
    /// The step's process group.
    pub(super) group: Pid,
    /// Its control group, where it has one.
    pub(super) control: Option<StepGroup>,
}

impl Belonging {
    /// Whether a step that has just ended may have left something behind: cheap, and wrong only on the
    /// safe side.
    pub(super) fn may_live(&self) -> bool {
        while let Ok(Some(_)) = rustix::process::waitpgid(self.group, WaitOptions::NOHANG) {}
        // What was forked before the step was put into its control group is outside it.
        self.control.as_ref().is_some_and(StepGroup::is_populated)
            || rustix::process::test_kill_process_group(self.group).is_ok()
            || has_unknown_child()
    }
}

/// A set of processes: those of a step, of a job, or of a run.
#[derive(Debug)]
pub(super) struct Tree {
    /// Prefix of the tags, ending in `/`.
    tag: String,
    /// The steps whose processes belong here.
    steps: Vec<Belonging>,
    /// Who was a member once, by number and start: one in a session of its own and with an
    /// environment of its own is known by its parent alone, and the parent may end.
    seen: Mutex<HashMap<i32, u64>>,
}

impl Tree {
    pub(super) fn new(tag: String, steps: Vec<Belonging>) -> Tree {
        Tree { tag, steps, seen: Mutex::default() }
    }

    /// The steps, when the tree is done with.
    pub(super) fn into_steps(self) -> Vec<Belonging> {
        self.steps
    }

    fn controls(&self) -> impl Iterator<Item = &StepGroup> {
        self.steps.iter().filter_map(|step| step.control.as_ref())
    }

    /// Looks at all descendants of this process. What was a member once stays one: a dead process
    /// no longer shows its environment.
    fn look(&self, seen: &mut HashMap<i32, u64>) -> Look {
        let own = std::process::id() as i32;
        let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
        for process in all_processes() {
            children.entry(process.parent).or_default().push(process);
        }
        let mut look = Look::default();
        // Whoever descends from a member is one too, even with an environment of its own.
        let mut open = vec![(own, false)];
        while let Some((parent, inside)) = open.pop() {
            for process in children.remove(&parent).unwrap_or_default() {
                let named = if inside { Some(true) } else { self.names(&process, seen) };
                let member = named == Some(true);
                open.push((process.pid, member));
                if !process.is_dead() {
                    if member {
                        seen.insert(process.pid, process.start);
                        look.members.push(process);
                    } else {
                        look.unknown |= parent == own && named.is_none() && !is_direct(process.pid);
                    }
                } else if process.parent == own && !is_direct(process.pid) {
                    if member {
                        reap(process.pid);
                    }
                    look.dead.push((process.pid, process.start));
                }
            }
        }
        look
    }

    fn names(&self, process: &Process, seen: &HashMap<i32, u64>) -> Option<bool> {
        let known = self.steps.iter().any(|step| step.group.as_raw_nonzero().get() == process.group)
            || seen.get(&process.pid) == Some(&process.start);
        if known { Some(true) } else { has_tag(process.pid, &self.tag) }
    }

    fn members(&self) -> Vec<Process> {
        let mut seen = self.seen.lock().unwrap_or_else(|e| e.into_inner());
        let held = self.controls().flat_map(StepGroup::members).filter_map(Process::read);
        seen.extend(held.filter(|process| !process.is_dead()).map(|process| (process.pid, process.start)));
        self.look(&mut seen).members
    }

    /// Whether nothing of the tree lives.
    pub(super) fn is_empty(&self) -> bool {
        !self.controls().any(StepGroup::is_populated) && self.members().is_empty()
    }

    /// Sends a signal to every member.
    pub(super) fn signal(&self, signal: Signal) {
        for process in self.members() {
            process.signal(signal);
        }
    }

    /// Kills every member and waits until all are gone; the pids of those that would not go.
    pub(super) async fn kill(&self) -> Vec<i32> {
        let limit = Instant::now() + GONE_LIMIT;
        loop {
            // First what the kernel kills as a whole, then who is outside it.
            self.controls().for_each(StepGroup::kill);
            let stopped = self.stop(limit).await;
            for process in &stopped {
                process.signal(Signal::KILL);
            }
            if (stopped.is_empty() && self.is_empty()) || Instant::now() >= limit {
                return stopped.iter().map(|process| process.pid).collect();
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Stops all members, so that a chain of processes that fork and exit cannot run ahead of the
    /// killing. Such a chain can slip through one look at `/proc`; but it leaves dead orphans, so
    /// only when two looks in a row find nobody new, dead or alive, has everyone been seen. The
    /// dead orphans of others, which look the same, prolong this only for a while. A control group
    /// does not make it needless: what was forked before the step was put into it is outside.
    async fn stop(&self, limit: Instant) -> Vec<Process> {
        let mut stopped: HashMap<i32, Process> = HashMap::new();
        let mut dead: HashSet<(i32, u64)> = HashSet::new();
        let mut gone: HashSet<i32> = HashSet::new();
        let doubt = Instant::now() + DOUBT_LIMIT;
        let mut first = true;
        let mut quiet = 0;
        while quiet < 2 && (first || Instant::now() < limit) {
            let mut fresh = false;
            {
                let seen = &mut self.seen.lock().unwrap_or_else(|e| e.into_inner());
                // The orphans first: they can be reached long before all of `/proc` is read.
                fresh |= self.stop_orphans(seen, &mut gone);
                let look = self.look(seen);
                for process in look.members {
                    if stopped.insert(process.pid, process).is_none_or(|old| old.start != process.start) {
                        process.signal(Signal::STOP);
                        fresh = true;
                    }
                }
                if Instant::now() < doubt {
                    for process in look.dead {
                        fresh |= dead.insert(process) && !first;
                    }
                    fresh |= look.unknown;
                }
            }
            quiet = if fresh { 0 } else { quiet + 1 };
            // Nobody there at all: the usual case, not worth another look.
            if first && !fresh && stopped.is_empty() && dead.is_empty() {
                break;
            }
            first = false;
            tokio::task::yield_now().await;
        }
        stopped.into_values().collect()
    }

    /// Stops the orphans that belong here, as long as new ones turn up; whether one did. The dead are
    /// looked at once: nobody gets their numbers before they are reaped.
    fn stop_orphans(&self, seen: &mut HashMap<i32, u64>, gone: &mut HashSet<i32>) -> bool {
        let mut found = false;
        for _ in 0..ORPHAN_ROUNDS {
            let mut news = false;
            for pid in orphans() {
                if gone.contains(&pid) {
                    continue;
                }
                let Some(process) = Process::read(pid) else { continue };
                if process.is_dead() {
                    gone.insert(pid);
                    news = true;
                } else if process.state != b'T' {
                    match self.names(&process, seen) {
                        Some(true) => {
                            seen.insert(pid, process.start);
                            process.signal(Signal::STOP);
                            found = true;
                        }
                        Some(false) => {}
                        None => news = true,
                    }
                }
            }
            if !news {
                break;
            }
        }
        found
    }

    /// Asks every member to end, and kills what is left after `grace`.
    pub(super) async fn end(&self, grace: Duration) -> Vec<i32> {
        let limit = Instant::now() + grace;
        self.signal(Signal::TERM);
        // A stopped process would see the TERM only when it is continued.
        self.signal(Signal::CONT);
        let mut pause = Duration::from_millis(1);
        while Instant::now() < limit {
            if self.is_empty() {
                return Vec::new();
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
        self.kill().await
    }
}

fn reap(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // ECHILD means that another thread was quicker.
        let _reaped = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

/// The orphans that fell to this process, which the kernel lists with its main thread.
fn orphans() -> impl Iterator<Item = i32> {
    let own = std::process::id();
    let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
    let pids: Vec<i32> = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    pids.into_iter().filter(|pid| !is_direct(*pid))
}

/// Orphans are given to the first living thread, which is the main one.
fn has_unknown_child() -> bool {
    let own = std::process::id();
    match fs::read_to_string(format!("/proc/{own}/task/{own}/children")) {
        Ok(children) => {
            children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).any(|pid| !is_direct(pid))
        }
        // The kernel may be built without that file.
        Err(_) => true,
    }
}

/// Kills all that is left below this process when its run has ended, save what somebody waits for: an
/// orphan without tag and group, whose step nobody can tell any more.
pub fn end_orphans() {
    let limit = Instant::now() + GONE_LIMIT;
    while has_unknown_child() && Instant::now() < limit {
        let own = std::process::id() as i32;
        let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
        for process in all_processes() {
            children.entry(process.parent).or_default().push(process);
        }
        let mut open: Vec<Process> = children.remove(&own).unwrap_or_default();
        open.retain(|process| !is_direct(process.pid));
        if open.is_empty() {
            return;
        }
        while let Some(process) = open.pop() {
            open.extend(children.remove(&process.pid).unwrap_or_default());
            process.signal(Signal::KILL);
            if process.parent == own {
                reap(process.pid);
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Kills what a run that ended without cleaning up (its runner was killed) left behind, wherever
/// its processes hang now. Returns how many there were.
pub fn kill_run(run: &str) -> usize {
    let prefix = format!("{run}/");
    let mut killed: HashSet<(i32, u64)> = HashSet::new();
    loop {
        let mut found = members_of_run(&prefix);
        found.retain(|process| !killed.contains(&(process.pid, process.start)));
        if found.is_empty() {
            end_groups(run);
            return killed.len();
        }
        for process in &found {
            process.signal(Signal::STOP);
        }
        for process in found {
            process.signal(Signal::KILL);
            killed.insert((process.pid, process.start));
        }
    }
}

/// Kills all members of the control groups of a run's dead runners, and removes the groups.
fn end_groups(run: &str) {
    for group in RunGroup::left_of(run) {
        group.kill();
        group.remove();
    }
}

/// The living processes with a tag, those of their groups, and all that descend from either.
fn members_of_run(prefix: &str) -> Vec<Process> {
    let own = std::process::id() as i32;
    let all: Vec<Process> = all_processes().into_iter().filter(|p| p.pid != own && !p.is_dead()).collect();
    let tagged: HashSet<i32> =
        all.iter().map(|p| p.pid).filter(|pid| has_tag(*pid, prefix) == Some(true)).collect();
    let groups: HashSet<i32> = all.iter().filter(|p| tagged.contains(&p.pid)).map(|p| p.group).collect();
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    let mut members: HashMap<i32, Process> = HashMap::new();
    let mut open = Vec::new();
    for process in all {
        if tagged.contains(&process.pid) || groups.contains(&process.group) {
            members.insert(process.pid, process);
            open.push(process.pid);
        } else {
            children.entry(process.parent).or_default().push(process);
        }
    }
    while let Some(parent) = open.pop() {
        for process in children.remove(&parent).unwrap_or_default() {
            members.insert(process.pid, process);
            open.push(process.pid);
        }
    }
    members.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_any_name() {
        let stat = b"42 (a) b) R) S 7 41 40 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 9876 1 2";
        let process = Process::parse(42, stat).expect("parses");
        assert_eq!((process.parent, process.group, process.state, process.start), (7, 41, b'S', 9876));
        assert!(Process::parse(42, b"42 (x").is_none());
    }

    #[test]
    fn own_process_is_listed() {
        let own = std::process::id() as i32;
        assert!(all_processes().iter().any(|process| process.pid == own));
    }
}
