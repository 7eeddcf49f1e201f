//! Requests: parameters to questions of `ide`, answers to JSON of the protocol.

pub mod display;
pub mod editing;
pub mod navigation;
