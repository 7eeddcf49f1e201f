//! Content addresses: how the content of a store object is hashed, and with what result.

use std::fmt;

use thiserror::Error;

use super::hash::{Algo, Hash};
use super::hash_text::{Base, HashError};

/// What of a store object is hashed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Method {
    /// The bytes of a single file.
    Flat,
    /// The NAR of a file system object.
    Nar,
    /// The git tree or blob.
    Git,
    /// The bytes of a single file that may hold references, such as a `.drv`.
    Text,
}

impl Method {
    /// What stands before the algorithm in `.drv` files and in the text hashed for a fixed output.
    pub const fn prefix(self) -> &'static str {
        match self {
            Method::Flat => "",
            Method::Nar => "r:",
            Method::Git => "git:",
            Method::Text => "text:",
        }
    }

    /// The method that `outputHashMode` names.
    pub fn from_mode(mode: &[u8]) -> Option<Method> {
        Some(match mode {
            b"flat" => Method::Flat,
            b"recursive" | b"nar" => Method::Nar,
            b"git" => Method::Git,
            b"text" => Method::Text,
            _ => return None,
        })
    }

    /// The method and algorithm together, as in `r:sha256`.
    pub fn with_algo(self, algo: Algo) -> String {
        format!("{}{algo}", self.prefix())
    }

    /// Reads a method and an algorithm such as `r:sha256`.
    pub fn parse_with_algo(text: &[u8]) -> Result<(Method, Algo), HashError> {
        let (method, rest) = Method::split(text);
        Ok((method, Algo::parse(rest)?))
    }

    fn split(text: &[u8]) -> (Method, &[u8]) {
        for method in [Method::Nar, Method::Git, Method::Text] {
            if let Some(rest) = text.strip_prefix(method.prefix().as_bytes()) {
                return (method, rest);
            }
        }
        (Method::Flat, text)
    }
}

/// The content address of a store object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ContentAddress {
    /// What was hashed.
    pub method: Method,
    /// The hash.
    pub hash: Hash,
}

/// Why a text is not a content address.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ContentAddressError {
    /// There is no known kind before the first colon.
    #[error("content address '{0}' is not in the form 'text:…' or 'fixed:…'")]
    Kind(String),
    /// The hash is malformed.
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl ContentAddress {
    /// The method and the algorithm, as in `r:sha256`.
    pub fn method_algo(&self) -> String {
        self.method.with_algo(self.hash.algo())
    }

    /// Reads `text:…` and `fixed:…`, the form of path infos.
    pub fn parse(text: &[u8]) -> Result<ContentAddress, ContentAddressError> {
        let (method, rest) = if let Some(rest) = text.strip_prefix(b"text:") {
            (Method::Text, rest)
        } else if let Some(rest) = text.strip_prefix(b"fixed:") {
            match Method::split(rest) {
                (Method::Text, _) => (Method::Flat, rest),
                split => split,
            }
        } else {
            return Err(ContentAddressError::Kind(String::from_utf8_lossy(text).into_owned()));
        };
        Ok(ContentAddress { method, hash: Hash::parse(rest, None)? })
    }
}

impl fmt::Display for ContentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.method == Method::Text { "" } else { "fixed:" };
        write!(f, "{kind}{}{}", self.method.prefix(), self.hash.prefixed(Base::Nix32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods() {
        assert_eq!(Method::parse_with_algo(b"r:sha256"), Ok((Method::Nar, Algo::Sha256)));
        assert_eq!(Method::parse_with_algo(b"sha1"), Ok((Method::Flat, Algo::Sha1)));
        assert!(Method::parse_with_algo(b"x:sha1").is_err());
        assert_eq!(Method::from_mode(b"recursive"), Method::from_mode(b"nar"));
        assert_eq!(Method::from_mode(b"tree"), None);
    }

    #[test]
    fn text_round_trip() {
        let hash = Hash::sha256(b"abc");
        for method in [Method::Flat, Method::Nar, Method::Git, Method::Text] {
            let address = ContentAddress { method, hash };
            assert_eq!(ContentAddress::parse(address.to_string().as_bytes()), Ok(address));
        }
        let nar = ContentAddress { method: Method::Nar, hash };
        assert_eq!(nar.to_string(), "fixed:r:sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s");
        assert!(ContentAddress::parse(b"other:sha256:abc").is_err());
        assert!(ContentAddress::parse(b"fixed:text:sha256:abc").is_err());
    }
}
