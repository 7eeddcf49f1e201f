//! Evaluation errors: kind, message, place and trace.

use std::rc::Rc;

use crate::base::source::SpanId;
use crate::diag::Diagnostic;

/// What went wrong, as far as the program distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// `throw`, or a failed search path lookup: caught by `tryEval`.
    Throw,
    /// A failed `assert`: caught by `tryEval`.
    Assertion,
    /// `abort`.
    Abort,
    /// A value of the wrong type.
    Type,
    /// An attribute that is not there.
    MissingAttr,
    /// A name that is not defined.
    Undefined,
    /// A function called with wrong arguments.
    Argument,
    /// A value that depends on itself.
    InfiniteRecursion,
    /// Too many nested calls.
    StackOverflow,
    /// A limit of memory or time.
    Limit,
    /// Cancelled from outside.
    Cancelled,
    /// A syntax error in a file.
    Syntax,
    /// Reading something failed.
    Io,
    /// Something that pure evaluation, or this command, does not allow.
    Restricted,
    /// Something that only a build or a fetch could tell, where neither is allowed.
    Unavailable,
    /// Anything else.
    Other,
}

impl ErrorKind {
    /// Whether `builtins.tryEval` catches it.
    pub fn catchable(self) -> bool {
        matches!(self, ErrorKind::Throw | ErrorKind::Assertion)
    }

    /// Whether forcing the same value again may give another result.
    pub fn transient(self) -> bool {
        matches!(self, ErrorKind::StackOverflow | ErrorKind::Limit | ErrorKind::Cancelled)
    }
}

/// One line of a trace, innermost first.
pub struct TraceFrame {
    /// What was being done.
    pub text: String,
    /// Where.
    pub span: SpanId,
    /// The offset that Nix tells, where that is not the beginning of the span.
    pub offset: Option<u32>,
    /// Whether `builtins.addErrorContext` added it: always shown.
    pub user: bool,
    /// The frame inside of it.
    inner: Option<Rc<TraceFrame>>,
}

/// An evaluation error. Cheap to clone: failures are remembered by the values that failed.
#[derive(Clone)]
pub struct EvalError {
    /// Its kind.
    pub kind: ErrorKind,
    /// The message as Nix words it; bytes, since strings are.
    pub message: Rc<[u8]>,
    /// The place of the failing expression.
    pub span: SpanId,
    /// Where Nix says it is, if elsewhere; [`SpanId::NONE`] beside `placeless` if nowhere.
    pub nix_span: SpanId,
    /// The offset that Nix tells, where that is not the beginning of `nix_span`.
    pub nix_offset: Option<u32>,
    /// Whether Nix gives it no place of its own, as for what builtins find wrong: the frame of the call tells it.
    pub placeless: bool,
    /// Names that may have been meant.
    pub suggestions: Rc<[String]>,
    /// Diagnostics of a file with syntax errors.
    pub diagnostics: Rc<[Diagnostic]>,
    trace: Option<Rc<TraceFrame>>,
    depth: u32,
}

/// Frames kept of a trace; more say nothing.
const MAX_TRACE: u32 = 12_000;

impl EvalError {
    /// An error of this kind.
    #[cold]
    pub fn new(kind: ErrorKind, message: impl AsRef<[u8]>, span: SpanId) -> Box<EvalError> {
        Box::new(EvalError {
            kind,
            message: message.as_ref().into(),
            span,
            nix_span: SpanId::NONE,
            nix_offset: None,
            placeless: matches!(kind, ErrorKind::Throw | ErrorKind::Abort),
            suggestions: Rc::new([]),
            diagnostics: Rc::new([]),
            trace: None,
            depth: 0,
        })
    }

    /// A type error.
    #[cold]
    pub fn type_error(message: impl AsRef<[u8]>, span: SpanId) -> Box<EvalError> {
        Self::new(ErrorKind::Type, message, span)
    }

    /// An error of no special kind.
    #[cold]
    pub fn other(message: impl AsRef<[u8]>, span: SpanId) -> Box<EvalError> {
        Self::new(ErrorKind::Other, message, span)
    }

    /// Adds the names that may have been meant.
    pub fn suggest(mut self: Box<Self>, names: Vec<String>) -> Box<EvalError> {
        self.suggestions = names.into();
        self
    }

    /// Sets the place, where none is known yet.
    #[cold]
    pub fn or_at(mut self: Box<Self>, span: SpanId) -> Box<EvalError> {
        if self.span.is_none() {
            self.span = span;
        }
        if self.kind == ErrorKind::InfiniteRecursion && self.nix_span.is_none() && self.trace.is_none() {
            self.nix_span = span;
        }
        self
    }

    /// Sets the place that Nix tells, where it is another one.
    #[cold]
    pub fn nix_at(mut self: Box<Self>, span: SpanId) -> Box<EvalError> {
        self.nix_span = span;
        self
    }

    /// Sets the place and offset that Nix tells.
    #[cold]
    pub fn nix_at_offset(mut self: Box<Self>, span: SpanId, offset: Option<u32>) -> Box<EvalError> {
        self.nix_span = span;
        self.nix_offset = offset;
        self.placeless = false;
        self
    }

    /// Marks an error that Nix gives no place of its own.
    #[cold]
    pub fn without_place(mut self: Box<Self>) -> Box<EvalError> {
        self.placeless = true;
        self
    }

    /// Whether nothing was added to the trace yet.
    pub fn untraced(&self) -> bool {
        self.trace.is_none()
    }

    /// Moves what stands at `from` to an offset, which is where Nix says it is: the error, and the frames since
    /// the last call of a builtin.
    #[cold]
    pub fn move_to(mut self: Box<Self>, from: SpanId, offset: Option<u32>) -> Box<EvalError> {
        if self.span == from && self.nix_span.is_none() {
            self.nix_span = from;
            self.nix_offset = offset;
        }
        self.each_new_frame(|frame| {
            if frame.span == from {
                frame.offset = offset;
            }
            true
        });
        self
    }

    /// Takes the place from what stands at `from`: the error, and the frames since the last call of a builtin.
    /// Nix passes no place on to what builtins and `==` do.
    #[cold]
    pub fn unplace(mut self: Box<Self>, from: SpanId) -> Box<EvalError> {
        if self.span == from && self.nix_span.is_none() {
            self.placeless = true;
        }
        self.each_new_frame(|frame| {
            if frame.span != from {
                return true;
            }
            frame.span = SpanId::NONE;
            frame.text != "from call site"
        });
        self
    }

    /// Changes the frames, outermost first, up to that of the call of a builtin; those for which `keep` answers
    /// no are left out. Frames that a remembered failure shares stay as they are.
    fn each_new_frame(&mut self, mut keep: impl FnMut(&mut TraceFrame) -> bool) {
        let mut kept: Vec<Rc<TraceFrame>> = Vec::new();
        let mut rest = self.trace.take();
        while let Some(mut frame) = rest.take() {
            let is_call = frame.text.starts_with("while calling the '");
            let Some(open) = Rc::get_mut(&mut frame).filter(|_| !is_call) else {
                rest = Some(frame);
                break;
            };
            rest = open.inner.take();
            if keep(open) {
                kept.push(frame);
            }
        }
        for mut frame in kept.into_iter().rev() {
            if let Some(open) = Rc::get_mut(&mut frame) {
                open.inner = rest.take();
            }
            rest = Some(frame);
        }
        self.trace = rest;
    }

    /// The text of the outermost frame.
    pub fn outermost(&self) -> Option<&str> {
        self.trace.as_ref().map(|f| f.text.as_str())
    }

    /// Marks an error that a builtin called at `span` has found itself.
    #[cold]
    pub fn of_builtin(mut self: Box<Self>, span: SpanId) -> Box<EvalError> {
        if self.span.is_none() || self.span == span {
            self.span = span;
            self.placeless = true;
        }
        self
    }

    /// Adds an outer frame to the trace.
    #[cold]
    pub fn context(self: Box<Self>, text: impl Into<String>, span: SpanId) -> Box<EvalError> {
        self.push(text.into(), span, None, false)
    }

    /// Adds an outer frame that Nix places at an offset.
    #[cold]
    pub fn context_at(
        self: Box<Self>,
        text: impl Into<String>,
        span: SpanId,
        offset: Option<u32>,
    ) -> Box<EvalError> {
        self.push(text.into(), span, offset, false)
    }

    /// Adds an outer frame from `builtins.addErrorContext`.
    #[cold]
    pub fn user_context(self: Box<Self>, text: impl Into<String>) -> Box<EvalError> {
        self.push(text.into(), SpanId::NONE, None, true)
    }

    fn push(
        mut self: Box<Self>,
        text: String,
        span: SpanId,
        offset: Option<u32>,
        user: bool,
    ) -> Box<EvalError> {
        if self.depth < MAX_TRACE {
            self.depth += 1;
            let inner = self.trace.take();
            self.trace = Some(Rc::new(TraceFrame { text, span, offset, user, inner }));
        }
        self
    }

    /// The trace, outermost first.
    pub fn trace(&self) -> impl Iterator<Item = &TraceFrame> {
        std::iter::successors(self.trace.as_deref(), |f| f.inner.as_deref())
    }

    /// The message as text.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.message)
    }
}

impl Drop for TraceFrame {
    fn drop(&mut self) {
        // Unlinked by hand: the chain is long enough to overflow the stack of a small thread.
        let mut next = self.inner.take();
        while let Some(frame) = next {
            match Rc::try_unwrap(frame) {
                Ok(mut f) => next = f.inner.take(),
                Err(_) => break,
            }
        }
    }
}

impl std::fmt::Debug for EvalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.text())
    }
}
