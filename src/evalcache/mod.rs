//! Owns: results of earlier evaluations, kept on disk with all that they depend on.
//! May import: base diag drv eval workflow.
//!
//! An entry belongs to one request: the file, its arguments, the settings, this very program. It
//! holds every question that the evaluation asked of the machine, with a hash of the answer. It is
//! used only if asking again gives the same answers; anything else is a miss, which evaluates and
//! writes the entry anew. What cannot be asked again (the clock, builds, downloads) is not kept.

mod answers;
mod bytes;
mod file;
mod findings;
mod record;
mod store;

pub use store::{Purpose, Store, load};
