//! What goes wrong between this program and the nix daemon.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::drv::store_path::StorePathError;

/// An error that the daemon reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonError {
    /// Its text, without colours.
    pub message: String,
    /// What it was doing, innermost first.
    pub traces: Vec<String>,
}

impl std::fmt::Display for DaemonError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message.strip_prefix("error: ").unwrap_or(&self.message))
    }
}

/// Why something asked of the store was not done.
#[derive(Debug, Error)]
pub enum StoreError {
    /// `NIX_REMOTE` asks for a store that is not behind a socket.
    #[error(
        "NIX_REMOTE is `{0}`, and only a daemon behind a unix socket can be used: set it to `daemon`, or to `unix://` and the socket's path"
    )]
    Remote(String),
    /// Nothing answers at the socket.
    #[error("cannot reach the nix daemon at {}: {error}", .socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// It does not answer.
    #[error("the nix daemon at {} did not answer within {seconds} s ({doing})", .socket.display())]
    Timeout {
        /// The socket.
        socket: PathBuf,
        /// What was asked.
        doing: String,
        /// How long was waited.
        seconds: u64,
    },
    /// It went away.
    #[error("the nix daemon at {} closed the connection ({doing})", .socket.display())]
    Closed {
        /// The socket.
        socket: PathBuf,
        /// What was asked.
        doing: String,
    },
    /// Reading or writing failed.
    #[error("the connection to the nix daemon at {} failed ({doing}): {error}", .socket.display())]
    Io {
        /// The socket.
        socket: PathBuf,
        /// What was asked.
        doing: String,
        /// What happened.
        error: io::Error,
    },
    /// Something else than a daemon listens.
    #[error("what listens at {} is not a nix daemon", .0.display())]
    NotADaemon(PathBuf),
    /// Its protocol is too old, or of another kind.
    #[error("the nix daemon at {} speaks protocol {major}.{minor}, and 1.34 (Nix 2.8) or newer is needed", .socket.display())]
    TooOld {
        /// The socket.
        socket: PathBuf,
        /// Major version.
        major: u64,
        /// Minor version.
        minor: u64,
    },
    /// It sent something that the protocol does not have.
    #[error("the nix daemon at {} sent what its protocol does not allow: {what}", .socket.display())]
    Protocol {
        /// The socket.
        socket: PathBuf,
        /// What it sent.
        what: String,
    },
    /// It refused, and says why.
    #[error("the nix daemon: {0}")]
    Daemon(DaemonError),
    /// A file to be added cannot be read.
    #[error("cannot add {} to the store: {error}", .path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// What was added is not what evaluation saw.
    #[error("{} is not what it was when the workflow was evaluated: it would become {found}, and {expected} is needed", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Store path that was expected.
        expected: String,
        /// Store path that came out.
        found: String,
    },
    /// A store path that is needed is nowhere.
    #[error("the store has no {0}, and nothing says how to make it")]
    Unknown(String),
    /// A store path is malformed.
    #[error(transparent)]
    Path(#[from] StorePathError),
    /// The caller gave up.
    #[error("cancelled")]
    Cancelled,
}

impl StoreError {
    /// Whether no daemon can be spoken with at all.
    pub fn is_no_daemon(&self) -> bool {
        matches!(self, StoreError::Connect { .. } | StoreError::Remote(_))
    }
}
