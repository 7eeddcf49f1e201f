//! The language server as editors use it: transcripts through the program itself.

mod client;
mod random;
mod requests;
mod session;
