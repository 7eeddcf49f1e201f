//! What ends a command early, and the exit code for it.

use std::io::{self, Write};

use super::args::Global;
use super::render::{self, Format, Style};
use crate::diag::Diagnostic;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Everything succeeded.
    Success,
    /// The workflow failed, or evaluating it did.
    Failed,
    /// Wrong usage, a syntax error, or an invalid workflow.
    Invalid,
    /// Something other than the workflow failed.
    Infrastructure,
    /// As the run says: 1, 3, or 128 and the signal that cancelled it.
    Code(u8),
}

impl Exit {
    /// The process's exit code.
    pub(super) fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Failed => 1,
            Exit::Invalid => 2,
            Exit::Infrastructure => 3,
            Exit::Code(n) => n,
        }
    }
}

/// What ends a command early.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The command line, or a file that it names, is wrong.
    #[error("{0}")]
    Usage(String),
    /// The machine did not do what was asked of it.
    #[error("{what}: {error}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        error: io::Error,
    },
    /// Something other than the workflow failed.
    #[error("{0}")]
    Infrastructure(String),
    /// Text written as Nix writes it, exit code 1.
    #[error("{0}")]
    Nix(String),
    /// Findings, and the exit code that they mean.
    #[error("findings")]
    Findings(Findings, Exit),
}

/// Findings that end a command.
pub(super) struct Findings(pub(super) Vec<Diagnostic>);

impl std::fmt::Debug for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} findings", self.0.len())
    }
}

impl CliError {
    /// An I/O error with what was being done.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> CliError {
        let what = what.into();
        move |error| CliError::Io { what, error }
    }

    /// The exit code.
    pub(super) fn exit(&self) -> Exit {
        match self {
            CliError::Usage(_) => Exit::Invalid,
            // A reader that went away is how `| head` ends a command, not a failure.
            CliError::Io { error, .. } if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
            CliError::Io { .. } | CliError::Infrastructure(_) => Exit::Infrastructure,
            CliError::Nix(_) => Exit::Failed,
            CliError::Findings(_, exit) => *exit,
        }
    }

    /// Writes the error to standard error.
    pub(super) fn report(&self, global: &Global) {
        let stderr = io::stderr();
        let style = Style::detect(global.color, global.ascii, &stderr);
        let mut out = stderr.lock();
        let written = match self {
            CliError::Findings(findings, _) => render::write(&findings.0, Format::Human, &style, &mut out),
            CliError::Io { error, .. } if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            CliError::Nix(text) => writeln!(out, "{}", text.trim_end()),
            other if style.color => writeln!(out, "\x1b[1;31merror:\x1b[0m {other}"),
            other => writeln!(out, "error: {other}"),
        };
        // With standard error gone there is nobody left to tell.
        drop(written);
    }
}

/// Writes text to standard output.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    print_bytes(text.as_bytes())
}

/// Writes bytes to standard output.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(CliError::io("writing to standard output"))
}
