//! Loading a workflow file through the cache.

use std::cell::RefCell;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::answers::{Again, Answers};
use super::bytes::Out;
use super::file::{self, Entry};
use super::findings;
use super::record::{Notes, Recorder};
use crate::eval::Heap;
use crate::eval::io::EvalIo;
use crate::workflow::load::{self, Argument, Inspect, Outcome, Request, Session};

/// What an outcome is for; results for one are not used for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Findings alone, with those of the caller's rules. A hit has no plans.
    Findings,
    /// Plans.
    Plans,
}

/// What answers of programs begin with: an evaluation opened as one has something else there.
const SAID: &[u8] = b"said:";

/// The place of the entries.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    program: Vec<u8>,
}

impl Store {
    /// The cache `eval` below the directory of all caches. `None` if this program cannot tell itself
    /// from other builds of it.
    pub fn below(cache_root: &Path) -> Option<Store> {
        Some(Store { dir: cache_root.join("eval"), program: program()? })
    }

    /// Number and bytes of the entries.
    pub fn usage(cache_root: &Path) -> (usize, u64) {
        file::usage(&cache_root.join("eval"))
    }

    /// Removes all entries; how many went.
    pub fn clear(cache_root: &Path) -> usize {
        file::clear(&cache_root.join("eval"))
    }

    /// What was kept of a question whose answer depends on nothing but its text.
    pub fn said(&self, what: &[u8]) -> Option<Vec<u8>> {
        let path = self.entry(what);
        let Entry { salt, mut payload, .. } = file::read(&path)?;
        file::seal(&mut payload, &salt, what);
        let answer = payload.strip_prefix(SAID)?.to_vec();
        file::touch(&path);
        Some(answer)
    }

    /// Keeps the answer to such a question. It cannot be read from the cache without the question.
    pub fn keep(&self, what: &[u8], answer: Vec<u8>) {
        let salt = file::salt();
        let mut payload = [SAID, &answer].concat();
        file::seal(&mut payload, &salt, what);
        file::write(&self.entry(what), &Entry { salt, answers: Answers::default(), payload });
    }

    fn entry(&self, key: &[u8]) -> PathBuf {
        self.dir.join(&blake3::hash(key).to_hex()[..40])
    }
}

/// What tells this build of the program from every other.
fn program() -> Option<Vec<u8>> {
    let path = std::env::current_exe().ok()?;
    let m = std::fs::metadata(&path).ok()?;
    let mut out = Out::default();
    out.text(env!("CARGO_PKG_VERSION").as_bytes());
    out.text(path.as_os_str().as_encoded_bytes());
    for n in [m.dev(), m.ino(), m.size(), m.mtime() as u64, m.mtime_nsec() as u64, m.ctime() as u64] {
        out.number(n);
    }
    Some(out.0)
}

/// All that a request says, but the time of day, which is not kept.
fn key(store: &Store, request: &Request, purpose: Purpose) -> Vec<u8> {
    let Request { file, name, all, project_dir, current_dir, pkgs, inputs, placeholders, args, settings } =
        request;
    let mut out = Out::default();
    out.text(&store.program);
    out.byte(purpose as u8);
    for path in [file, project_dir, current_dir] {
        out.text(path.as_os_str().as_encoded_bytes());
    }
    out.byte(u8::from(*all));
    out.byte(u8::from(*placeholders));
    for optional in
        [name.as_deref().map(str::as_bytes), pkgs.as_ref().map(|p| p.as_os_str().as_encoded_bytes())]
    {
        out.byte(u8::from(optional.is_some()));
        out.text(optional.unwrap_or_default());
    }
    out.number(inputs.len() as u64);
    for (name, value) in inputs {
        out.text(name.as_bytes());
        out.text(value.as_bytes());
    }
    out.number(args.len() as u64);
    for (name, value) in args {
        let (kind, text) = match value {
            Argument::Text(text) => (0, text),
            Argument::Expr(text) => (1, text),
        };
        out.text(name.as_bytes());
        out.byte(kind);
        out.text(text.as_bytes());
    }
    // Every setting is in what it prints, and none but the clock changes by itself.
    let settings = crate::eval::Settings { now: 0, ..settings.clone() };
    out.text(format!("{settings:?}").as_bytes());
    out.0
}

/// What a payload is sealed with: the request, which may hold secrets, and the variables read.
fn secrets(key: &[u8], values: &[(String, Option<Vec<u8>>)]) -> Vec<u8> {
    let mut sorted: Vec<_> = values.iter().collect();
    sorted.sort();
    let mut out = Out::default();
    out.text(key);
    for (name, value) in sorted {
        out.text(name.as_bytes());
        out.byte(u8::from(value.is_some()));
        out.text(value.as_deref().unwrap_or_default());
    }
    out.0
}

/// Evaluates and checks a workflow file as [`load::load_with`] does, or gives what that gave earlier
/// when nothing has changed that it looked at. `inspect` sees workflows only if there is an evaluation;
/// what it adds to the findings is kept with them, so it must depend on nothing else. Must run on one
/// of the threads of [`crate::eval::on_big_stack`].
pub fn load(
    store: Option<&Store>,
    purpose: Purpose,
    request: &Request,
    io: Rc<dyn EvalIo>,
    inspect: Inspect<'_>,
) -> Outcome {
    let Some(store) = store else { return load::load_with(request, io, inspect) };
    let key = key(store, request, purpose);
    let path = store.entry(&key);
    if let Some((outcome, printed)) = find(&path, &key, &*io) {
        file::touch(&path);
        print(&printed);
        return outcome;
    }
    let salt = file::salt();
    let notes = Rc::new(RefCell::new(Notes::new(salt)));
    let recorder = Rc::new(Recorder { below: io, notes: notes.clone() });
    let printed: Rc<RefCell<Vec<Vec<u8>>>> = Rc::default();
    let (outcome, again) = evaluate(request, recorder, &printed, inspect);
    let notes = notes.borrow();
    if !again || notes.spoilt {
        return outcome;
    }
    let was_read = |path: &Path| notes.answers.paths.get(path).is_some_and(|p| p.text.is_some());
    let with_plans = purpose == Purpose::Plans;
    if let Some(mut payload) = findings::pack(&outcome, with_plans, &printed.borrow(), &was_read) {
        file::seal(&mut payload, &salt, &secrets(&key, &notes.values));
        file::write(&path, &Entry { salt, answers: notes.answers.clone(), payload });
    }
    outcome
}

/// Evaluates; whether the same would come of it again, as far as the evaluator itself knows.
fn evaluate(
    request: &Request,
    io: Rc<dyn EvalIo>,
    printed: &Rc<RefCell<Vec<Vec<u8>>>>,
    inspect: Inspect<'_>,
) -> (Outcome, bool) {
    let heap = Heap::new();
    let mut session = match Session::new(&heap, request.settings.clone(), io) {
        Ok(session) => session,
        Err(d) => return (Outcome { diagnostics: vec![d], ..Outcome::default() }, false),
    };
    let ev = session.evaluation();
    let mut show = std::mem::replace(&mut ev.messages, Box::new(|_| {}));
    let lines = printed.clone();
    ev.messages = Box::new(move |line| {
        lines.borrow_mut().push(line.to_vec());
        show(line);
    });
    let outcome = session.load(request, inspect);
    let limits = &request.settings.limits;
    let limited = limits.time.is_some() || limits.heap.is_some() || limits.cancel.is_some();
    // What ran into a limit of time or memory may get further another time.
    let once_only = session.evaluation().clock_was_read || limited && outcome.has_errors();
    (outcome, !once_only)
}

/// The outcome that is kept, if all that it depends on is as it was.
fn find(path: &Path, key: &[u8], io: &dyn EvalIo) -> Option<(Outcome, Vec<Vec<u8>>)> {
    let mut entry = file::read(path)?;
    let refreshed = match entry.answers.again(&entry.salt, &*io.world(), &|name| io.env(name)) {
        Again::Differs => return None,
        Again::Same => false,
        Again::Refreshed => true,
    };
    let values: Vec<_> = entry.answers.variables.keys().map(|name| (name.clone(), io.env(name))).collect();
    let mut payload = entry.payload.clone();
    file::seal(&mut payload, &entry.salt, &secrets(key, &values));
    let found = findings::unpack(&payload)?;
    if refreshed {
        file::write(path, &entry);
    }
    Some(found)
}

/// Prints the lines that the evaluation printed.
fn print(lines: &[Vec<u8>]) {
    use std::io::Write;
    let mut err = std::io::stderr().lock();
    for line in lines {
        // With standard error gone there is nobody to tell.
        let _ = err.write_all(line).and_then(|()| err.write_all(b"\n"));
    }
}
