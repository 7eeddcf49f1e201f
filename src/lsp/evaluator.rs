//! The thread that evaluates: checks of workflow files, and questions about values.
//!
//! It keeps one evaluation as long as that pays, so that nixpkgs and the library are evaluated once
//! and not at every keystroke. The evaluation is dropped, with all its memory, when it has grown too
//! much, when it was stopped half-way, when files changed that are taken to be fixed, and when
//! nobody asked for a while.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::levels;
use super::overlay::{Overlay, Texts};
use super::scripts::{Known, Scripts};
use crate::base::source::{Source, SourceName};
use crate::diag::Diagnostic;
use crate::eval::io::EvalIo;
use crate::eval::{Heap, Settings, on_big_stack};
use crate::ide::document::Document;
use crate::ide::facts::Facts;
use crate::ide::probe::{self, Answer, Query, Remembered};
use crate::lint::verdict::ShellCheck;
use crate::lint::{self, Text};
use crate::workflow::load::{Request, Session};

/// Growth of the heap after which an evaluation is begun anew.
const MOST_GROWTH: usize = 48 << 20;
/// Checks after which an evaluation is begun anew: the code of each stays in memory.
const MOST_CHECKS: u32 = 100;
/// Time without work after which the evaluation is dropped.
const IDLE: Duration = Duration::from_secs(120);
/// Answers that are remembered.
const MOST_ANSWERS: usize = 256;

/// How much one piece of work may use.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Wall time.
    pub time: Duration,
    /// Bytes of heap, beyond what the evaluation holds already.
    pub heap: usize,
}

/// A check of a workflow file.
pub struct Check {
    /// What is checked, and how.
    pub request: Request,
    /// The open texts.
    pub texts: Texts,
    /// The file itself, when it is open.
    pub document: Option<Arc<Document>>,
    /// Whether it is evaluated, or only the text is looked at.
    pub evaluate: bool,
    /// What is known of scripts, if they are checked.
    pub scripts: Option<Arc<Scripts>>,
    /// Number of the check, for the answer.
    pub serial: u64,
}

/// What came of a check.
pub struct Checked {
    /// The file that was checked.
    pub file: PathBuf,
    /// Number of the check.
    pub serial: u64,
    /// All findings.
    pub findings: Vec<Diagnostic>,
    /// What the evaluation told; `None` when it gave no workflow.
    pub facts: Option<Facts>,
    /// Files that were read or looked for.
    pub seen: BTreeSet<PathBuf>,
    /// Its scripts that nothing is known of yet.
    pub unknown_scripts: Vec<String>,
    /// Whether scripts are written out in it.
    pub has_scripts: bool,
    /// How long it took.
    pub took: Duration,
}

/// A question and where its answer goes.
struct Question {
    request: Request,
    texts: Texts,
    text: String,
    query: Query,
    slot: Arc<ReplySlot>,
}

/// Where an answer is put.
#[derive(Default)]
pub struct ReplySlot {
    answer: Mutex<Option<Option<Answer>>>,
    ready: Condvar,
    cancelled: AtomicBool,
}

impl ReplySlot {
    fn put(&self, answer: Option<Answer>) {
        *lock(&self.answer) = Some(answer);
        self.ready.notify_all();
    }

    /// Waits for the answer; gives up, and tells the evaluator so, after `time` or when `cancelled`.
    pub fn wait(&self, time: Duration, cancelled: &AtomicBool) -> Option<Answer> {
        let until = Instant::now() + time;
        let mut answer = lock(&self.answer);
        loop {
            if let Some(answer) = answer.take() {
                return answer;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || cancelled.load(Ordering::Relaxed) {
                self.cancelled.store(true, Ordering::Relaxed);
                return None;
            }
            let step = left.min(Duration::from_millis(20));
            answer = self.ready.wait_timeout(answer, step).unwrap_or_else(|e| e.into_inner()).0;
        }
    }
}

#[derive(Default)]
struct Queue {
    checks: VecDeque<Check>,
    questions: VecDeque<Question>,
    /// The check that runs, with its beginning and the flag that stops it.
    running: Option<(PathBuf, Instant, Arc<AtomicBool>)>,
    warm: bool,
    reset: bool,
    stop: bool,
}

/// The thread, seen from outside.
pub struct Evaluator {
    queue: Mutex<Queue>,
    work: Condvar,
    budget: Budget,
    /// Bytes of heap in use, for the status.
    pub heap_bytes: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl Evaluator {
    /// Starts the thread; `done` is called on it with what came of each check.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(
        budget: Budget,
        done: impl Fn(Checked) + Send + Sync + 'static,
    ) -> std::io::Result<Arc<Evaluator>> {
        let evaluator = Arc::new(Evaluator {
            queue: Mutex::default(),
            work: Condvar::new(),
            budget,
            heap_bytes: AtomicUsize::new(0),
        });
        let own = evaluator.clone();
        std::thread::Builder::new().name("evaluator".into()).spawn(move || {
            while own.wait_for_work() {
                on_big_stack(|| own.work_through(&done));
                own.heap_bytes.store(0, Ordering::Relaxed);
            }
        })?;
        Ok(evaluator)
    }

    /// Asks for a check. An older one of the same file that has not begun is replaced, and one that
    /// has been running for long is stopped.
    pub fn check(&self, check: Check) {
        let mut queue = lock(&self.queue);
        queue.checks.retain(|c| c.request.file != check.request.file);
        if let Some((file, since, stop)) = &queue.running
            && *file == check.request.file
            && queue.warm
            && since.elapsed() > Duration::from_millis(250)
        {
            stop.store(true, Ordering::Relaxed);
        }
        queue.checks.push_back(check);
        self.work.notify_all();
    }

    /// Asks a question.
    pub fn ask(&self, request: Request, texts: Texts, text: String, query: Query) -> Arc<ReplySlot> {
        let slot = Arc::new(ReplySlot::default());
        let mut queue = lock(&self.queue);
        queue.questions.push_back(Question { request, texts, text, query, slot: slot.clone() });
        self.work.notify_all();
        slot
    }

    /// Begins a new evaluation before the next piece of work: files changed that were taken to be
    /// fixed.
    pub fn reset(&self) {
        lock(&self.queue).reset = true;
        self.work.notify_all();
    }

    /// Ends the thread, stopping what it does.
    pub fn stop(&self) {
        let mut queue = lock(&self.queue);
        queue.stop = true;
        if let Some((_, _, stop)) = &queue.running {
            stop.store(true, Ordering::Relaxed);
        }
        self.work.notify_all();
    }

    /// Whether anything is waiting or running.
    pub fn is_busy(&self) -> bool {
        let queue = lock(&self.queue);
        queue.running.is_some() || !queue.checks.is_empty() || !queue.questions.is_empty()
    }

    fn wait_for_work(&self) -> bool {
        let mut queue = lock(&self.queue);
        queue.warm = false;
        while !queue.stop && queue.checks.is_empty() && queue.questions.is_empty() {
            queue = self.work.wait(queue).unwrap_or_else(|e| e.into_inner());
        }
        queue.reset = false;
        !queue.stop
    }

    /// One evaluation's life.
    fn work_through(&self, done: &dyn Fn(Checked)) {
        let Some(settings) = self.next_settings() else { return };
        let heap = Heap::new();
        let io = Rc::new(Overlay::default());
        let mut life = match Session::new(&heap, settings.clone(), io.clone()) {
            Ok(session) => Life {
                session,
                io,
                settings,
                began: Instant::now(),
                budget: self.budget,
                first: None,
                checks: 0,
                answers: HashMap::new(),
                remembered: Remembered::default(),
                over: false,
            },
            Err(d) => return self.give_up(&d, done),
        };
        while let Some(work) = self.next(&life) {
            match work {
                Work::Check(check, stop) => {
                    let checked = life.check(check, stop);
                    lock(&self.queue).running = None;
                    done(checked);
                }
                Work::Question(q) => {
                    let answer = life.answer(&q);
                    q.slot.put(answer);
                    lock(&self.queue).running = None;
                }
            }
            lock(&self.queue).warm = true;
            let bytes = heap.bytes();
            self.heap_bytes.store(bytes, Ordering::Relaxed);
            let first = *life.first.get_or_insert(bytes);
            if life.over || life.checks >= MOST_CHECKS || bytes.saturating_sub(first) > MOST_GROWTH {
                return;
            }
        }
    }

    fn next_settings(&self) -> Option<Settings> {
        let queue = lock(&self.queue);
        let of_check = queue.checks.front().map(|c| c.request.settings.clone());
        of_check.or_else(|| queue.questions.front().map(|q| q.request.settings.clone()))
    }

    /// Without memory for an evaluation every piece of work has the same answer.
    fn give_up(&self, d: &Diagnostic, done: &dyn Fn(Checked)) {
        let (checks, questions) = {
            let mut queue = lock(&self.queue);
            (std::mem::take(&mut queue.checks), std::mem::take(&mut queue.questions))
        };
        questions.iter().for_each(|q| q.slot.put(None));
        for check in checks {
            done(Checked {
                file: check.request.file,
                serial: check.serial,
                findings: vec![d.clone()],
                facts: None,
                seen: BTreeSet::new(),
                unknown_scripts: Vec::new(),
                has_scripts: false,
                took: Duration::ZERO,
            });
        }
    }

    /// The next piece of work for this evaluation; `None` when another one must be begun, or none.
    fn next(&self, life: &Life<'_>) -> Option<Work> {
        let mut queue = lock(&self.queue);
        let idle_until = Instant::now() + IDLE;
        loop {
            if queue.stop || queue.reset {
                return None;
            }
            let stop = Arc::new(AtomicBool::new(false));
            if let Some(q) = queue.questions.front() {
                if q.request.settings.search_path != life.settings.search_path {
                    return None;
                }
                let q = queue.questions.pop_front()?;
                if q.slot.cancelled.load(Ordering::Relaxed) {
                    continue;
                }
                queue.running = Some((PathBuf::new(), Instant::now(), stop));
                return Some(Work::Question(q));
            }
            if let Some(c) = queue.checks.front() {
                if c.request.settings.search_path != life.settings.search_path {
                    return None;
                }
                let c = queue.checks.pop_front()?;
                queue.running = Some((c.request.file.clone(), Instant::now(), stop.clone()));
                return Some(Work::Check(c, stop));
            }
            let left = idle_until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            queue = self.work.wait_timeout(queue, left).unwrap_or_else(|e| e.into_inner()).0;
        }
    }
}

enum Work {
    Check(Check, Arc<AtomicBool>),
    Question(Question),
}

/// An evaluation, and what is remembered of it.
struct Life<'h> {
    session: Session<'h>,
    io: Rc<Overlay>,
    settings: Settings,
    began: Instant,
    budget: Budget,
    first: Option<usize>,
    checks: u32,
    answers: HashMap<(PathBuf, String, Query), Option<Answer>>,
    remembered: Remembered,
    over: bool,
}

impl Life<'_> {
    fn prepare(&mut self, request: &Request, texts: Texts, time: Duration, stop: Arc<AtomicBool>) {
        self.io.replace(texts);
        let fixed: Vec<PathBuf> = fixed_roots(request).collect();
        let (began, heap) = (self.began, self.budget.heap);
        let ev = self.session.evaluation();
        ev.forget_files(|path| !fixed.iter().any(|f| path.starts_with(f)));
        ev.messages = Box::new(|_| ());
        let limits = &mut ev.settings.limits;
        limits.time = Some(began.elapsed() + time);
        limits.heap = Some(ev.heap.bytes() + heap);
        limits.cancel = Some(stop);
    }

    fn check(&mut self, check: Check, stop: Arc<AtomicBool>) -> Checked {
        let start = Instant::now();
        self.checks += 1;
        self.answers.clear();
        self.prepare(&check.request, check.texts, self.budget.time, stop.clone());
        let mut facts = Facts::default();
        let (levels, wrong) = levels::of(&check.request.file, &*self.io);
        let request = &check.request;
        let text = match &check.document {
            // Its tree is shared with the requests, and grows with the edits.
            Some(open) => open.tree().cloned().map(|tree| {
                let bytes: Arc<[u8]> = open.text().clone().into();
                Text::with_tree(Source::new(SourceName::Path(request.file.clone()), bytes), tree)
            }),
            None => {
                let bytes = self.io.read_file(&request.file).ok();
                bytes.and_then(|b| Text::new(Source::new(SourceName::Path(request.file.clone()), b)))
            }
        };
        let text = text.map(Rc::new);
        let known = check.scripts.as_deref().map(Known::of);
        let shell = known.as_ref().map(|k| k as &dyn ShellCheck);
        let has_scripts = text.as_deref().is_some_and(lint::has_scripts);
        let mut findings = if check.evaluate {
            let linted = lint::file_with(text.as_ref(), &levels, shell, |rules| {
                self.session.load(request, &mut |seen| {
                    facts.add(seen);
                    rules(seen);
                })
            });
            linted.diagnostics
        } else {
            text.map(|t| lint::text_alone(&t, &levels, shell)).unwrap_or_default()
        };
        findings.extend(wrong);
        self.note_end(start, self.budget.time, &stop);
        Checked {
            file: check.request.file,
            serial: check.serial,
            findings,
            facts: (!facts.workflows.is_empty()).then(|| facts.finish()),
            seen: self.io.seen(),
            unknown_scripts: known.map(Known::missing).unwrap_or_default(),
            has_scripts,
            took: start.elapsed(),
        }
    }

    fn answer(&mut self, q: &Question) -> Option<Answer> {
        let key = (q.request.file.clone(), q.text.clone(), q.query.clone());
        if let Some(known) = self.answers.get(&key) {
            return known.clone();
        }
        let start = Instant::now();
        let stop = Arc::new(AtomicBool::new(false));
        let time = self.budget.time / 2;
        self.prepare(&q.request, q.texts.clone(), time, stop.clone());
        let answer = probe::answer(&mut self.session, &mut self.remembered, &q.request, &q.text, &q.query);
        self.note_end(start, time, &stop);
        if self.answers.len() >= MOST_ANSWERS {
            self.answers.clear();
        }
        // A text that does not change while files do is asked again after the next check.
        self.answers.insert(key, answer.clone());
        answer
    }

    /// An evaluation that was stopped half-way is not gone on with.
    fn note_end(&mut self, start: Instant, time: Duration, stop: &AtomicBool) {
        let ev = self.session.evaluation();
        let full = ev.settings.limits.heap.is_some_and(|most| ev.heap.bytes() > most);
        self.over |= stop.load(Ordering::Relaxed) || start.elapsed() >= time || full;
    }
}

/// Folders whose files are not expected to change while somebody edits.
fn fixed_roots(request: &Request) -> impl Iterator<Item = PathBuf> {
    let of_search = request.settings.search_path.iter().map(|(_, path)| PathBuf::from(path));
    let given = request.pkgs.clone();
    let always =
        [Path::new(crate::workflow::nixlib::ROOT).to_owned(), PathBuf::from(&request.settings.store_dir)];
    let project = request.project_dir.clone();
    always.into_iter().chain(given).chain(of_search).filter(move |root| !project.starts_with(root))
}
