//! One evaluation: its heap, its settings, its caches, its limits.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::builtins;
use super::error::{ErrorKind, EvalError};
use super::heap::{FrameStack, Heap};
use super::io::EvalIo;
use super::value::{Res, Slot, Value};
use super::world::World;
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::diag::Diagnostic;
use crate::syntax::Lints;
use rustc_hash::FxHashMap;

/// Where evaluation stops, with an error.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Nested calls; Nix's `max-call-depth`.
    pub call_depth: u32,
    /// Bytes of heap.
    pub heap: Option<usize>,
    /// Wall time.
    pub time: Option<Duration>,
    /// Set from another thread to cancel.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { call_depth: 10_000, heap: None, time: None, cancel: None }
    }
}

/// What evaluation is told about its surroundings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `builtins.currentSystem`.
    pub system: String,
    /// `builtins.storeDir`.
    pub store_dir: String,
    /// Entries of the search path: prefix (may be empty) and path.
    pub search_path: Vec<(String, String)>,
    /// Experimental features, by Nix's names.
    pub features: Vec<String>,
    /// Refuse the ambient environment, the clock and paths outside the store.
    pub pure_eval: bool,
    /// Print `builtins.trace` of this; where those lines go.
    pub trace_verbose: bool,
    /// Stop at warnings of `builtins.warn`.
    pub abort_on_warn: bool,
    /// What is done about discouraged literals.
    pub lints: Lints,
    /// Home directory, for `~/`.
    pub home: Option<PathBuf>,
    /// Seconds since 1970 that `builtins.currentTime` gives.
    pub now: i64,
    /// Limits.
    pub limits: Limits,
}

impl Settings {
    /// Whether an experimental feature is on.
    pub fn feature(&self, name: &str) -> bool {
        let on = |name: &str| self.features.iter().any(|f| f == name);
        on(name) || (name == "fetch-tree" && on("flakes"))
    }
}

/// What prints a line of `trace` or `warn`.
pub type Messages = Box<dyn FnMut(&[u8])>;

/// An evaluation in progress. Everything it makes lives on its heap.
pub struct Evaluation<'h> {
    /// The heap.
    pub heap: &'h Heap,
    /// Its settings.
    pub settings: Settings,
    /// Files and environment.
    pub io: Rc<dyn EvalIo>,
    /// Builds, downloads and sources.
    pub world: Rc<dyn World>,
    /// Lines that `trace` and `warn` print.
    pub messages: Messages,
    /// Told of discouraged literals in files that are read.
    pub warn: Box<dyn Fn(&Diagnostic)>,
    pub(super) frames: FrameStack<'h>,
    pub(super) globals: &'h [Slot<'h>],
    pub(super) global_index: Rc<FxHashMap<Symbol, u32>>,
    /// Whether the clock was looked at, so that the result may differ another time.
    pub clock_was_read: bool,
    pub(super) depth: u32,
    pub(super) failures: Vec<EvalError>,
    pub(super) files: FxHashMap<PathBuf, &'h Slot<'h>>,
    pub(super) resolved: FxHashMap<PathBuf, PathBuf>,
    /// What the store builtins remember: copied paths, regular expressions, derivation hashes.
    pub caches: builtins::Caches<'h>,
    /// Names that evaluation itself looks up.
    pub(crate) words: super::words::Words,
    /// Where the attributes of a set in the making come from: the right operand, and an index.
    pub(super) sources: Vec<(bool, usize)>,
    /// Changes of frame slots to something on the heap, by sharing or forcing.
    pub(super) frame_writes: u32,
    stack_limit: usize,
    started: Instant,
    ticks: u32,
}

/// Machine stack for evaluation; address space, committed as it is touched.
const MACHINE_STACK: usize = 2 << 30;
/// What is kept free of it for builtins that recurse by themselves.
const STACK_RESERVE: usize = 4 << 20;

/// Runs `f` on a thread whose stack is large enough for deep evaluation.
pub fn on_big_stack<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|s| {
        let spawned =
            std::thread::Builder::new().name("eval".into()).stack_size(MACHINE_STACK).spawn_scoped(s, f);
        match spawned.map(|h| h.join()) {
            Ok(Ok(v)) => v,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(e) => panic!("cannot start the evaluation thread: {e}"),
        }
    })
}

#[inline(always)]
fn stack_pointer() -> usize {
    let here = 0u8;
    std::ptr::from_ref(&here) as usize
}

impl<'h> Evaluation<'h> {
    /// An evaluation on this heap; must run inside [`on_big_stack`].
    pub fn new(heap: &'h Heap, settings: Settings, io: Rc<dyn EvalIo>) -> std::io::Result<Self> {
        let (globals, global_index) = builtins::globals(heap, &settings);
        Ok(Evaluation {
            heap,
            settings,
            world: io.world(),
            io,
            messages: Box::new(|line| {
                use std::io::Write;
                let mut err = std::io::stderr().lock();
                let _ = err.write_all(line).and_then(|()| err.write_all(b"\n"));
            }),
            warn: Box::new(|_| {}),
            frames: FrameStack::new()?,
            globals,
            global_index: Rc::new(global_index),
            clock_was_read: false,
            depth: 0,
            failures: Vec::new(),
            files: FxHashMap::default(),
            resolved: FxHashMap::default(),
            caches: builtins::Caches::default(),
            words: super::words::Words::new(),
            sources: Vec::new(),
            frame_writes: 0,
            stack_limit: stack_pointer().saturating_sub(MACHINE_STACK - STACK_RESERVE),
            started: Instant::now(),
            ticks: 0,
        })
    }

    /// Counts one level of nesting, as Nix counts for `max-call-depth`; [`Evaluation::leave`] ends it.
    #[inline(always)]
    pub fn enter(&mut self, span: SpanId) -> Res<()> {
        self.depth += 1;
        if self.depth > self.settings.limits.call_depth || stack_pointer() < self.stack_limit {
            return Err(self.too_deep(span));
        }
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks & 0x3ff == 0 {
            self.check_limits(span)?;
        }
        Ok(())
    }

    /// Ends the level that [`Evaluation::enter`] began, also when that failed.
    #[inline(always)]
    pub fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Fails when the machine stack is used up.
    #[inline(always)]
    pub(super) fn check_stack(&mut self, span: SpanId) -> Res<()> {
        if stack_pointer() < self.stack_limit { Err(self.too_deep(span)) } else { Ok(()) }
    }

    #[cold]
    fn too_deep(&self, span: SpanId) -> Box<EvalError> {
        EvalError::new(ErrorKind::StackOverflow, "stack overflow; max-call-depth exceeded", span)
    }

    #[cold]
    fn check_limits(&mut self, span: SpanId) -> Res<()> {
        let limits = &self.settings.limits;
        if limits.cancel.as_ref().is_some_and(|c| c.load(Ordering::Relaxed)) {
            return Err(EvalError::new(ErrorKind::Cancelled, "evaluation was cancelled", span));
        }
        if limits.time.is_some_and(|t| self.started.elapsed() > t) {
            return Err(EvalError::new(ErrorKind::Limit, "evaluation took longer than it may", span));
        }
        self.make_room(0, span)
    }

    /// Fails if the heap may not grow by so many bytes: for what takes much memory at once.
    #[inline]
    pub(super) fn make_room(&self, bytes: usize, span: SpanId) -> Res<()> {
        match self.settings.limits.heap {
            Some(max) if self.heap.bytes().saturating_add(bytes) > max => {
                Err(EvalError::new(ErrorKind::Limit, "evaluation needs more memory than it may have", span))
            }
            _ => Ok(()),
        }
    }

    /// The value of a global name such as `builtins` or `derivation`.
    pub fn global(&self, name: &str) -> Option<Value<'h>> {
        let i = *self.global_index.get(&Symbol::intern(name))?;
        Some(Value::Ref(&self.globals[i as usize]))
    }

    /// The path without `.` and `..`, lexically, as Nix canonicalises path values.
    pub fn canonical(path: &[u8]) -> Vec<u8> {
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in path.split(|&b| b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    parts.pop();
                }
                p => parts.push(p),
            }
        }
        let mut out = Vec::with_capacity(path.len());
        for p in &parts {
            out.push(b'/');
            out.extend_from_slice(p);
        }
        if out.is_empty() {
            out.push(b'/');
        }
        out
    }

    /// A path value's bytes as a path of the system.
    pub fn os_path(bytes: &[u8]) -> &Path {
        use std::os::unix::ffi::OsStrExt;
        Path::new(std::ffi::OsStr::from_bytes(bytes))
    }
}
