//! Owns: pure store formats (hashes, base32, store paths, ATerm, NAR).
//! May import: base.

pub mod aterm;
pub mod base32;
pub mod content_address;
pub mod derivation;
pub mod disk;
pub mod hash;
pub mod hash_text;
pub mod modulo;
pub mod nar;
pub mod object;
pub mod placeholder;
pub mod store_path;
