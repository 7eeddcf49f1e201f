//! The engine with the local executor, run on hand-made plans.

mod harness;
mod regressions;
mod resume;
mod semantics;
mod simulated;
