//! Owns: pure store formats (hashes, base32, store paths, ATerm, NAR).
//! May import: base.
