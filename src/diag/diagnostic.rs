//! The one diagnostic type: plain data that terminals, JSON, SARIF and editors render.

use crate::base::source::{Place, SpanId};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; never affects the exit code.
    Hint,
    /// Likely a mistake; the workflow still runs.
    Warning,
    /// The workflow cannot run.
    Error,
}

/// A place in a source with a few words about it.
#[derive(Clone)]
pub struct Label {
    /// Where.
    pub place: Place,
    /// What is to be said about this text; may be empty for the primary label.
    pub text: String,
}

/// Whether a fix may be applied without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applicability {
    /// Keeps the meaning.
    Safe,
    /// A likely intention, which may change the meaning.
    Unsafe,
}

/// A replacement of one byte range.
#[derive(Clone)]
pub struct Edit {
    /// What is replaced (an empty range inserts).
    pub place: Place,
    /// The new text.
    pub text: String,
}

/// A concrete change that removes the finding.
#[derive(Clone)]
pub struct Fix {
    /// An imperative sentence: "rename `neds` to `needs`".
    pub title: String,
    /// The edits, not overlapping.
    pub edits: Vec<Edit>,
    /// Whether it is safe.
    pub applicability: Applicability,
}

/// A finding: message, places, a reason and a way out.
#[derive(Clone)]
pub struct Diagnostic {
    /// Stable code such as `NXA101`; see [`crate::diag`]. Empty for plain evaluation errors.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence, lower case, no full stop.
    pub message: String,
    /// The smallest text that is wrong.
    pub primary: Option<Label>,
    /// Other places that say why.
    pub secondary: Vec<Label>,
    /// The concrete way out.
    pub help: Option<String>,
    /// Further facts, such as the legal values.
    pub notes: Vec<String>,
    /// Machine-applicable changes.
    pub fixes: Vec<Fix>,
}

impl Diagnostic {
    /// A finding of this severity without places.
    pub fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity,
            message: message.into(),
            primary: None,
            secondary: Vec::new(),
            help: None,
            notes: Vec::new(),
            fixes: Vec::new(),
        }
    }

    /// An error.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// A warning.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    /// Sets the primary label; a span that cannot be resolved sets none.
    pub fn at(mut self, span: SpanId, text: impl Into<String>) -> Self {
        self.primary = span.resolve().map(|place| Label { place, text: text.into() });
        self
    }

    /// Sets the primary label to a place.
    pub fn at_place(mut self, place: Place, text: impl Into<String>) -> Self {
        self.primary = Some(Label { place, text: text.into() });
        self
    }

    /// Adds a secondary label; a span that cannot be resolved adds none.
    pub fn also(mut self, span: SpanId, text: impl Into<String>) -> Self {
        if let Some(place) = span.resolve() {
            self.secondary.push(Label { place, text: text.into() });
        }
        self
    }

    /// Sets the help text.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Adds a note.
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Adds a fix.
    pub fn fix(mut self, fix: Fix) -> Self {
        self.fixes.push(fix);
        self
    }
}
