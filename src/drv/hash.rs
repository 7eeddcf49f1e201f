//! Cryptographic hashes: the algorithms Nix knows, whole and streaming.

use std::fmt;
use std::io;

use md5::Md5;
use sha1::Sha1;
use sha2::digest::Digest;
use sha2::{Sha256, Sha512};

const MAX_SIZE: usize = 64;

/// A hash algorithm.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Algo {
    /// BLAKE3 with 256 bits of output.
    Blake3,
    /// MD5; only for checking old fixed outputs.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256, the hash of store paths.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algo {
    /// Every algorithm, in the order of their names.
    pub const ALL: [Algo; 5] = [Algo::Blake3, Algo::Md5, Algo::Sha1, Algo::Sha256, Algo::Sha512];

    /// The name used in Nix expressions and store formats.
    pub const fn name(self) -> &'static str {
        match self {
            Algo::Blake3 => "blake3",
            Algo::Md5 => "md5",
            Algo::Sha1 => "sha1",
            Algo::Sha256 => "sha256",
            Algo::Sha512 => "sha512",
        }
    }

    /// The number of bytes of a hash.
    pub const fn size(self) -> usize {
        match self {
            Algo::Md5 => 16,
            Algo::Sha1 => 20,
            Algo::Blake3 | Algo::Sha256 => 32,
            Algo::Sha512 => 64,
        }
    }

    /// The algorithm of that name, if there is one.
    pub fn from_name(name: &[u8]) -> Option<Algo> {
        Algo::ALL.into_iter().find(|algo| algo.name().as_bytes() == name)
    }
}

impl fmt::Display for Algo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A hash with its algorithm. Text forms are in [`crate::drv::hash_text`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash {
    algo: Algo,
    // Bytes past the algorithm's size are zero, so derived equality holds.
    bytes: [u8; MAX_SIZE],
}

impl Hash {
    /// The hash with all bits zero, which stands for "not yet known".
    pub const fn zero(algo: Algo) -> Hash {
        Hash { algo, bytes: [0; MAX_SIZE] }
    }

    /// A hash from its raw bytes; `None` when their number is not that of the algorithm.
    pub fn from_bytes(algo: Algo, bytes: &[u8]) -> Option<Hash> {
        let mut hash = Hash::zero(algo);
        if bytes.len() != algo.size() {
            return None;
        }
        hash.bytes[..bytes.len()].copy_from_slice(bytes);
        Some(hash)
    }

    /// Hashes a whole string.
    pub fn of(algo: Algo, data: &[u8]) -> Hash {
        let mut hasher = Hasher::new(algo);
        hasher.update(data);
        hasher.finish()
    }

    /// SHA-256 of a whole string.
    pub fn sha256(data: &[u8]) -> Hash {
        Hash::of(Algo::Sha256, data)
    }

    /// The algorithm.
    pub const fn algo(&self) -> Algo {
        self.algo
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algo.size()]
    }

    /// The bytes folded with xor into `N` bytes, as in the hash part of store paths.
    pub fn compressed<const N: usize>(&self) -> [u8; N] {
        let mut folded = [0; N];
        for (i, byte) in self.as_bytes().iter().enumerate() {
            folded[i % N] ^= byte;
        }
        folded
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({})", self.prefixed(crate::drv::hash_text::Base::Base16))
    }
}

enum State {
    Blake3(Box<blake3::Hasher>),
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
}

/// A hash being computed; also a sink for [`io::Write`] that never fails.
pub struct Hasher {
    algo: Algo,
    state: State,
    written: u64,
}

impl Hasher {
    /// Starts a hash.
    pub fn new(algo: Algo) -> Hasher {
        let state = match algo {
            Algo::Blake3 => State::Blake3(Box::default()),
            Algo::Md5 => State::Md5(Md5::new()),
            Algo::Sha1 => State::Sha1(Sha1::new()),
            Algo::Sha256 => State::Sha256(Sha256::new()),
            Algo::Sha512 => State::Sha512(Sha512::new()),
        };
        Hasher { algo, state, written: 0 }
    }

    /// Takes in more data.
    pub fn update(&mut self, data: &[u8]) {
        self.written += data.len() as u64;
        match &mut self.state {
            State::Blake3(h) => {
                h.update(data);
            }
            State::Md5(h) => h.update(data),
            State::Sha1(h) => h.update(data),
            State::Sha256(h) => h.update(data),
            State::Sha512(h) => h.update(data),
        }
    }

    /// How many bytes were taken in.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The hash of all data.
    pub fn finish(self) -> Hash {
        let mut hash = Hash::zero(self.algo);
        let out = &mut hash.bytes[..self.algo.size()];
        match self.state {
            State::Blake3(h) => out.copy_from_slice(h.finalize().as_bytes()),
            State::Md5(h) => out.copy_from_slice(&h.finalize()),
            State::Sha1(h) => out.copy_from_slice(&h.finalize()),
            State::Sha256(h) => out.copy_from_slice(&h.finalize()),
            State::Sha512(h) => out.copy_from_slice(&h.finalize()),
        }
        hash
    }
}

impl io::Write for Hasher {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drv::hash_text::Base;

    #[test]
    fn hashes_of_abc() {
        let cases = [
            (Algo::Md5, "900150983cd24fb0d6963f7d28e17f72"),
            (Algo::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (Algo::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                Algo::Sha512,
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
            (Algo::Blake3, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
        ];
        for (algo, text) in cases {
            assert_eq!(Hash::of(algo, b"abc").bare(Base::Base16), text);
        }
    }

    #[test]
    fn streaming_equals_whole() {
        for algo in Algo::ALL {
            let mut hasher = Hasher::new(algo);
            hasher.update(b"a");
            hasher.update(b"bc");
            assert_eq!(hasher.written(), 3);
            assert_eq!(hasher.finish(), Hash::of(algo, b"abc"));
        }
    }

    #[test]
    fn wrong_number_of_bytes() {
        assert_eq!(Hash::from_bytes(Algo::Sha1, &[0; 19]), None);
        assert_eq!(Hash::from_bytes(Algo::Sha1, &[0; 20]), Some(Hash::zero(Algo::Sha1)));
    }

    #[test]
    fn folding() {
        let hash = Hash::from_bytes(Algo::Md5, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        assert_eq!(
            hash.map(|h| h.compressed::<5>()),
            Some([1 ^ 6 ^ 11 ^ 16, 2 ^ 7 ^ 12, 3 ^ 8 ^ 13, 4 ^ 9 ^ 14, 5 ^ 10 ^ 15])
        );
    }
}
