//! What `shellcheck` says of scripts, found out on a thread of its own and remembered by script.
//!
//! A check of a file takes what is known already, and asks for the rest. The thread waits a moment
//! for more keystrokes, is stopped when the scripts have changed meanwhile, and has the file checked
//! again once it knows more. So scripts that did not change are never checked again, and nothing
//! waits for a program.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::lint::verdict::{ShellCheck, Verdict};

/// Runs `shellcheck` on scripts: its output, `None` when it failed or was stopped.
pub type Runner = Box<dyn Fn(&[&str], &AtomicBool) -> Option<Vec<u8>> + Send + Sync>;

/// Time without a new question before the program is run.
const PAUSE: Duration = Duration::from_millis(250);
/// Scripts of one run.
const AT_ONCE: usize = 24;
/// Verdicts that are remembered at least; twice as many at most.
const REMEMBERED: usize = 2048;

type Hash = [u8; 32];

/// Verdicts by script. Those not asked for go, a generation at a time.
#[derive(Default)]
struct Memory {
    recent: HashMap<Hash, Option<Verdict>>,
    older: HashMap<Hash, Option<Verdict>>,
}

impl Memory {
    /// What is known of a script: nothing, or a verdict, or that it could not be had.
    fn get(&mut self, script: &str) -> Option<Option<Verdict>> {
        let hash = *blake3::hash(script.as_bytes()).as_bytes();
        if let Some(known) = self.recent.get(&hash) {
            return Some(known.clone());
        }
        let known = self.older.remove(&hash)?;
        self.put(hash, known.clone());
        Some(known)
    }

    fn put(&mut self, hash: Hash, verdict: Option<Verdict>) {
        if self.recent.len() >= REMEMBERED {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(hash, verdict);
    }
}

/// The scripts of one file that nothing is known of.
struct Wanted {
    scripts: Vec<String>,
    due: Instant,
}

#[derive(Default)]
struct Queue {
    wanted: BTreeMap<PathBuf, Wanted>,
    /// The file whose scripts are being checked, they, and the flag that stops it.
    running: Option<(PathBuf, HashSet<String>, Arc<AtomicBool>)>,
    stop: bool,
}

/// The thread, seen from outside.
#[derive(Default)]
pub struct Scripts {
    memory: Mutex<Memory>,
    queue: Mutex<Queue>,
    work: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl Scripts {
    /// Starts the thread; `done` is called on it with each file of whose scripts more is known now.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(runner: Runner, done: impl Fn(PathBuf) + Send + 'static) -> std::io::Result<Arc<Scripts>> {
        let scripts = Arc::new(Scripts::default());
        let own = scripts.clone();
        std::thread::Builder::new().name("scripts".into()).spawn(move || {
            while let Some((file, list, stop)) = own.next() {
                let said = own.judge(&runner, &list, &stop);
                lock(&own.queue).running = None;
                own.work.notify_all();
                if said && !stop.load(Ordering::Relaxed) {
                    done(file);
                }
            }
        })?;
        Ok(scripts)
    }

    /// Asks for verdicts on scripts of a file, in place of what was asked for it before.
    pub fn want(&self, file: &Path, scripts: Vec<String>) {
        let mut queue = lock(&self.queue);
        if let Some((of, running, stop)) = &queue.running
            && of == file
        {
            if !scripts.is_empty() && scripts.iter().all(|s| running.contains(s)) {
                // They are on their way.
                queue.wanted.remove(file);
                return;
            }
            stop.store(true, Ordering::Relaxed);
        }
        match scripts.is_empty() {
            true => drop(queue.wanted.remove(file)),
            false => {
                let wanted = Wanted { scripts, due: Instant::now() + PAUSE };
                queue.wanted.insert(file.to_owned(), wanted);
            }
        }
        self.work.notify_all();
    }

    /// Ends the thread, stopping what it does, and waits for a moment until that is done: a program
    /// that runs would otherwise outlive this one.
    pub fn stop(&self) {
        let mut queue = lock(&self.queue);
        queue.stop = true;
        if let Some((_, _, stop)) = &queue.running {
            stop.store(true, Ordering::Relaxed);
        }
        self.work.notify_all();
        let wait = Duration::from_secs(2);
        drop(self.work.wait_timeout_while(queue, wait, |queue| queue.running.is_some()));
    }

    /// Whether anything is waiting or running.
    pub fn is_busy(&self) -> bool {
        let queue = lock(&self.queue);
        queue.running.is_some() || !queue.wanted.is_empty()
    }

    /// The next scripts to be checked, when their time has come; `None` at the end.
    fn next(&self) -> Option<(PathBuf, Vec<String>, Arc<AtomicBool>)> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.stop {
                return None;
            }
            let now = Instant::now();
            let first = queue.wanted.iter().min_by_key(|(_, w)| w.due);
            let wait = match first.map(|(file, w)| (file.clone(), w.due)) {
                Some((file, due)) if due <= now => {
                    let wanted = queue.wanted.remove(&file)?;
                    let stop = Arc::new(AtomicBool::new(false));
                    let set = wanted.scripts.iter().cloned().collect();
                    queue.running = Some((file.clone(), set, stop.clone()));
                    return Some((file, wanted.scripts, stop));
                }
                Some((_, due)) => due - now,
                None => Duration::from_secs(3600),
            };
            queue = self.work.wait_timeout(queue, wait).unwrap_or_else(|e| e.into_inner()).0;
        }
    }

    /// Runs the program, some scripts at a time. Whether it said anything.
    fn judge(&self, runner: &Runner, scripts: &[String], stop: &AtomicBool) -> bool {
        let mut any = false;
        for some in scripts.chunks(AT_ONCE) {
            let texts: Vec<&str> = some.iter().map(String::as_str).collect();
            let output = runner(&texts, stop);
            if stop.load(Ordering::Relaxed) {
                return any;
            }
            let verdicts = output.and_then(|output| Verdict::read(&output, some.len()));
            let mut memory = lock(&self.memory);
            // What failed would fail again: it is not asked for a second time.
            let verdicts = verdicts.map_or_else(
                || vec![None; some.len()],
                |list| {
                    any = true;
                    list.into_iter().map(Some).collect()
                },
            );
            for (script, verdict) in some.iter().zip(verdicts) {
                memory.put(*blake3::hash(script.as_bytes()).as_bytes(), verdict);
            }
        }
        any
    }
}

/// What is known while one file is checked, and what is not.
pub struct Known<'a> {
    scripts: &'a Scripts,
    missing: Mutex<Vec<String>>,
}

impl<'a> Known<'a> {
    /// What these scripts know.
    pub fn of(scripts: &'a Scripts) -> Known<'a> {
        Known { scripts, missing: Mutex::default() }
    }

    /// The scripts that were asked about and that nothing is known of, each once.
    pub fn missing(self) -> Vec<String> {
        let mut missing = self.missing.into_inner().unwrap_or_else(|e| e.into_inner());
        let mut seen = HashSet::new();
        missing.retain(|s| seen.insert(*blake3::hash(s.as_bytes()).as_bytes()));
        missing
    }
}

impl ShellCheck for Known<'_> {
    fn check(&self, scripts: &[&str]) -> Vec<Option<Verdict>> {
        let mut memory = lock(&self.scripts.memory);
        let one = |script: &&str| match memory.get(script) {
            Some(known) => known,
            None => {
                lock(&self.missing).push((*script).to_owned());
                None
            }
        };
        scripts.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const NOTHING: &[u8] = br#"{"comments":[]}"#;
    const PATIENCE: Duration = Duration::from_secs(60);

    fn missing(scripts: &Scripts, of: &[&str]) -> Vec<String> {
        let known = Known::of(scripts);
        known.check(of);
        known.missing()
    }

    #[test]
    fn each_script_is_checked_once() {
        let (runs, ran) = channel();
        let (done, ended) = channel();
        let runs = Mutex::new(runs);
        let runner: Runner = Box::new(move |scripts, _| {
            let list: Vec<String> = scripts.iter().map(|s| (*s).to_owned()).collect();
            lock(&runs).send(list).expect("somebody looks");
            Some(NOTHING.to_vec())
        });
        let scripts = Scripts::start(runner, move |file| drop(done.send(file))).expect("a thread");
        let file = Path::new("/ci.nix");
        assert_eq!(missing(&scripts, &["a", "b", "a"]), ["a", "b"]);
        scripts.want(file, missing(&scripts, &["a", "b", "a"]));
        assert_eq!(ended.recv_timeout(PATIENCE).expect("an end"), file);
        assert_eq!(ran.recv_timeout(PATIENCE).expect("a run"), ["a", "b"]);
        assert_eq!(missing(&scripts, &["a", "c"]), ["c"]);
        scripts.want(file, missing(&scripts, &["a", "c"]));
        ended.recv_timeout(PATIENCE).expect("an end");
        assert_eq!(ran.recv_timeout(PATIENCE).expect("a run"), ["c"]);
        assert!(missing(&scripts, &["a", "b", "c"]).is_empty());
        scripts.stop();
    }

    #[test]
    fn what_has_changed_meanwhile_is_stopped_and_what_fails_is_not_tried_again() {
        let (began, beginning) = channel();
        let (done, ended) = channel();
        let began = Mutex::new(began);
        let runner: Runner = Box::new(move |scripts, stop| {
            lock(&began).send(scripts[0].to_owned()).expect("somebody looks");
            while scripts[0] == "slow" && !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            (scripts[0] == "good").then(|| NOTHING.to_vec())
        });
        let scripts = Scripts::start(runner, move |file| drop(done.send(file))).expect("a thread");
        let file = Path::new("/ci.nix");
        scripts.want(file, vec!["slow".into()]);
        assert_eq!(beginning.recv_timeout(PATIENCE).expect("a run"), "slow");
        scripts.want(file, vec!["bad".into()]);
        assert_eq!(beginning.recv_timeout(PATIENCE).expect("a run"), "bad");
        while scripts.is_busy() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(missing(&scripts, &["bad"]).is_empty());
        assert_eq!(missing(&scripts, &["slow"]), ["slow"]);
        scripts.want(file, vec!["good".into()]);
        ended.recv_timeout(PATIENCE).expect("an end");
        assert!(ended.try_recv().is_err(), "only what said something has the file checked again");
        scripts.stop();
    }

    #[test]
    fn memory_has_an_end() {
        let mut memory = Memory::default();
        for i in 0..3 * REMEMBERED {
            memory.put(*blake3::hash(i.to_string().as_bytes()).as_bytes(), None);
            assert!(memory.get("0").is_some(), "asked for all the time");
        }
        assert!(memory.recent.len() + memory.older.len() <= 2 * REMEMBERED);
        assert!(memory.get("1").is_none());
    }
}
