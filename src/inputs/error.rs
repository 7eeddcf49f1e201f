//! Why a source could not be had.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::lock::LockError;

/// Why a source could not be had.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The server cannot be reached, after all attempts.
    #[error("cannot download {url}: {reason} (tried {attempts} times)")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What happened last.
        reason: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The server says no.
    #[error("cannot download {url}: the server answers {status}{}", .help.as_deref().unwrap_or_default())]
    Status {
        /// What was asked for.
        url: String,
        /// Its answer.
        status: u16,
        /// A way out.
        help: Option<String>,
    },
    /// Nothing may be fetched, and the cache does not have it.
    #[error("{0} is not in the cache, and nothing may be fetched (`--offline`)")]
    Offline(String),
    /// The content is not what was promised.
    #[error("hash mismatch in {what}:\n  specified: {expected}\n  got:       {found}")]
    Hash {
        /// What was fetched.
        what: String,
        /// The hash that was promised.
        expected: String,
        /// The hash of what came.
        found: String,
    },
    /// The cache cannot be written.
    #[error("cannot write to the cache of fetched sources below {}: {error}; `XDG_CACHE_HOME` says where it is", .path.display())]
    Cache {
        /// Its directory.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// A file of this machine cannot be read.
    #[error("cannot read {}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// What came cannot be unpacked.
    #[error("cannot unpack {what}: {reason}")]
    Archive {
        /// What was fetched.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// git failed.
    #[error("git {doing} failed for {url}: {reason}")]
    Git {
        /// Its command.
        doing: String,
        /// The repository.
        url: String,
        /// What it printed.
        reason: String,
    },
    /// A reference lacks something, or has what its kind does not.
    #[error("the input `{reference}` {problem}")]
    Reference {
        /// The reference.
        reference: String,
        /// What is wrong.
        problem: String,
    },
    /// A lock file is wrong.
    #[error(transparent)]
    Lock(#[from] LockError),
}
