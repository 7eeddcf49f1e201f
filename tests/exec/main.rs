//! The executors, seen through the engine's trait.

mod local;
