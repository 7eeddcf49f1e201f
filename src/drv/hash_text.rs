//! The text forms of hashes: base 16, nix32, base 64 and SRI, read and written as Nix does.

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use thiserror::Error;

use super::base32;
use super::hash::{Algo, Hash};

/// How the bytes of a hash are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// Lower-case hexadecimal.
    Base16,
    /// Nix's base 32.
    Nix32,
    /// Padded base 64.
    Base64,
}

/// A form a hash can be asked for: bytes in a base, or SRI (`sha256-…`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Bare bytes in a base.
    Bare(Base),
    /// `algo-base64`, the form of Subresource Integrity.
    Sri,
}

/// Why a text is not a hash.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum HashError {
    /// The algorithm's name is not known.
    #[error("unknown hash algorithm '{0}', expect 'blake3', 'md5', 'sha1', 'sha256', or 'sha512'")]
    UnknownAlgo(String),
    /// The name of a format is not known.
    #[error("unknown hash format '{0}', expect 'base16', 'base32', 'base64', or 'sri'")]
    UnknownFormat(String),
    /// The text names another algorithm than the one asked for.
    #[error("hash '{text}' should have type '{expected}'")]
    OtherAlgo {
        /// The whole text.
        text: String,
        /// The algorithm asked for.
        expected: Algo,
    },
    /// Neither the text nor the caller names an algorithm.
    #[error("hash '{0}' does not include a type, nor is the type otherwise known from context")]
    NoAlgo(String),
    /// The text has an algorithm but not in SRI form.
    #[error("hash '{0}' is not SRI")]
    NotSri(String),
    /// The number of characters fits none of the bases.
    #[error("hash '{text}' has wrong length for hash algorithm '{algo}'")]
    Length {
        /// The text without its prefix.
        text: String,
        /// The algorithm.
        algo: Algo,
    },
    /// The characters are not those of the base, or mean another number of bytes.
    #[error("invalid {base} hash '{text}', length {found} != expected length {expected}")]
    Digits {
        /// The base the length suggested.
        base: &'static str,
        /// The text without its prefix.
        text: String,
        /// How many bytes were read; 0 when a character was not a digit.
        found: usize,
        /// How many bytes the algorithm has.
        expected: usize,
    },
}

impl Algo {
    /// The algorithm of that name.
    pub fn parse(name: &[u8]) -> Result<Algo, HashError> {
        Algo::from_name(name).ok_or_else(|| HashError::UnknownAlgo(lossy(name)))
    }
}

impl Format {
    /// The format of that name. `base32` is an old word for `nix32`; whether to warn is up to the caller.
    pub fn parse(name: &[u8]) -> Result<Format, HashError> {
        Ok(match name {
            b"base16" => Format::Bare(Base::Base16),
            b"nix32" | b"base32" => Format::Bare(Base::Nix32),
            b"base64" => Format::Bare(Base::Base64),
            b"sri" => Format::Sri,
            _ => return Err(HashError::UnknownFormat(lossy(name))),
        })
    }
}

impl Hash {
    /// The bytes in `base`, without the algorithm.
    pub fn bare(&self, base: Base) -> String {
        match base {
            Base::Base16 => HEXLOWER.encode(self.as_bytes()),
            Base::Nix32 => base32::encode(self.as_bytes()),
            Base::Base64 => BASE64.encode(self.as_bytes()),
        }
    }

    /// `algo:bytes`.
    pub fn prefixed(&self, base: Base) -> String {
        format!("{}:{}", self.algo(), self.bare(base))
    }

    /// `algo-base64`.
    pub fn sri(&self) -> String {
        format!("{}-{}", self.algo(), self.bare(Base::Base64))
    }

    /// The text in any format.
    pub fn format(&self, format: Format) -> String {
        match format {
            Format::Bare(base) => self.bare(base),
            Format::Sri => self.sri(),
        }
    }

    /// Reads any form. The algorithm comes from the text's prefix, or else from `hint`; when both are
    /// there they must agree.
    pub fn parse(text: &[u8], hint: Option<Algo>) -> Result<Hash, HashError> {
        let (prefix, rest) = split_prefix(text)?;
        match (prefix, hint) {
            (Some((algo, _)), Some(expected)) if algo != expected => {
                Err(HashError::OtherAlgo { text: lossy(text), expected })
            }
            (Some((algo, sri)), _) => parse_bytes(rest, algo, sri),
            (None, Some(algo)) => parse_bytes(rest, algo, false),
            (None, None) => Err(HashError::NoAlgo(lossy(rest))),
        }
    }

    /// Reads bare bytes in any base of an algorithm known beforehand.
    pub fn parse_bare(text: &[u8], algo: Algo) -> Result<Hash, HashError> {
        parse_bytes(text, algo, false)
    }

    /// Reads SRI only.
    pub fn parse_sri(text: &[u8]) -> Result<Hash, HashError> {
        match split_prefix(text)? {
            (Some((algo, true)), rest) => parse_bytes(rest, algo, true),
            _ => Err(HashError::NotSri(lossy(text))),
        }
    }
}

/// An algorithm and whether the text that follows it is SRI.
type Prefix = Option<(Algo, bool)>;

/// Splits `algo:rest` and `algo-rest`; the flag tells that it was the latter, SRI.
fn split_prefix(text: &[u8]) -> Result<(Prefix, &[u8]), HashError> {
    let separator = memchr::memchr(b':', text).or_else(|| memchr::memchr(b'-', text));
    match separator {
        Some(at) => Ok((Some((Algo::parse(&text[..at])?, text[at] == b'-')), &text[at + 1..])),
        None => Ok((None, text)),
    }
}

fn parse_bytes(text: &[u8], algo: Algo, sri: bool) -> Result<Hash, HashError> {
    let size = algo.size();
    let (base, bytes) = if !sri && text.len() == size * 2 {
        ("base16", HEXLOWER_PERMISSIVE.decode(text).ok())
    } else if !sri && text.len() == base32::encoded_len(size) {
        ("nix32", base32::decode(text))
    } else if sri || text.len() == size.div_ceil(3) * 4 {
        (if sri { "SRI" } else { "Base64" }, decode_base64(text))
    } else {
        return Err(HashError::Length { text: lossy(text), algo });
    };
    let bytes = bytes.unwrap_or_default();
    Hash::from_bytes(algo, &bytes).ok_or_else(|| HashError::Digits {
        base,
        text: lossy(text),
        found: bytes.len(),
        expected: size,
    })
}

/// Base 64 as Nix reads it: all after the first `=` is ignored, newlines are skipped, padding may be
/// missing and the unused bits of the last digit may be anything.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for &c in text {
        let digit = match c {
            b'=' => break,
            b'\n' => continue,
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA1: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";

    fn error(text: &str, hint: Option<Algo>) -> String {
        Hash::parse(text.as_bytes(), hint).unwrap_err().to_string()
    }

    #[test]
    fn every_form_of_one_hash() {
        let hash = Hash::of(Algo::Sha1, b"abc");
        for text in [
            SHA1,
            "A9993E364706816ABA3E25717850C26C9CD0D89D",
            "kpcd173cq987hw957sx6m0868wv3x6d9",
            "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=",
            "sha1:a9993e364706816aba3e25717850c26c9cd0d89d",
            "sha1:qZk+NkcGgWq6PiVxeFDCbJzQ2J0=",
            "sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0=",
            "sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0",
            "sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0==",
            "sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0=?foo",
        ] {
            assert_eq!(Hash::parse(text.as_bytes(), Some(Algo::Sha1)), Ok(hash), "{text}");
        }
        assert_eq!(hash.prefixed(Base::Nix32), "sha1:kpcd173cq987hw957sx6m0868wv3x6d9");
        assert_eq!(hash.sri(), "sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0=");
    }

    #[test]
    fn nix32_of_every_algorithm() {
        let cases = [
            (Algo::Md5, "3jgzhjhz9zjvbb0kyj7jc500ch"),
            (Algo::Sha256, "1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s"),
            (
                Algo::Sha512,
                "2gs8k559z4rlahfx0y688s49m2vvszylcikrfinm30ly9rak69236nkam5ydvly1ai7xac99vxfc4ii84hawjbk876blyk1jfhkbbyx",
            ),
            (Algo::Blake3, "11cxppanr71mzl1xnyax8rccaj5milx2fx9vnvzk6la672nb6dv4"),
        ];
        for (algo, text) in cases {
            let hash = Hash::of(algo, b"abc");
            assert_eq!(hash.bare(Base::Nix32), text);
            for form in [text.to_owned(), hash.bare(Base::Base16), hash.bare(Base::Base64), hash.sri()] {
                assert_eq!(Hash::parse(form.as_bytes(), Some(algo)), Ok(hash));
            }
        }
    }

    #[test]
    fn messages() {
        let sha256 = Some(Algo::Sha256);
        assert_eq!(error("abc", sha256), "hash 'abc' has wrong length for hash algorithm 'sha256'");
        assert_eq!(
            error("abc", None),
            "hash 'abc' does not include a type, nor is the type otherwise known from context"
        );
        assert_eq!(error("sha256-abc", None), "invalid SRI hash 'abc', length 2 != expected length 32");
        assert_eq!(
            error("foo:abc", Some(Algo::Sha1)),
            "unknown hash algorithm 'foo', expect 'blake3', 'md5', 'sha1', 'sha256', or 'sha512'"
        );
        assert_eq!(
            error(&format!("sha1:{SHA1}"), sha256),
            format!("hash 'sha1:{SHA1}' should have type 'sha256'")
        );
        let long = format!("zzzz{}", "0".repeat(48));
        assert_eq!(
            error(&long, sha256),
            format!("invalid nix32 hash '{long}', length 33 != expected length 32")
        );
        let bad = format!("g{}", "0".repeat(39));
        assert_eq!(
            error(&bad, Some(Algo::Sha1)),
            format!("invalid base16 hash '{bad}', length 0 != expected length 20")
        );
        assert_eq!(
            error("sha1:qZk+NkcGgWq6PiVxeFDCbJzQ2J!=", None),
            "invalid Base64 hash 'qZk+NkcGgWq6PiVxeFDCbJzQ2J!=', length 0 != expected length 20"
        );
    }

    #[test]
    fn sri_only() {
        assert!(Hash::parse_sri(b"sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0=").is_ok());
        assert_eq!(Hash::parse_sri(b"sha1:abc").unwrap_err().to_string(), "hash 'sha1:abc' is not SRI");
    }

    #[test]
    fn formats_by_name() {
        assert_eq!(Format::parse(b"sri"), Ok(Format::Sri));
        assert_eq!(
            Format::parse(b"ff").unwrap_err().to_string(),
            "unknown hash format 'ff', expect 'base16', 'base32', 'base64', or 'sri'"
        );
    }
}
