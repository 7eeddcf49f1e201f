//! Store paths: their names, their parts, and how they are computed from content.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::base32;
use super::content_address::{ContentAddress, Method};
use super::hash::{Algo, Hash};
use super::hash_text::Base;

/// The longest name of a store path.
pub const MAX_NAME_LEN: usize = 211;

/// The number of characters of the hash part.
pub const HASH_PART_LEN: usize = 32;

/// Why a name or a path is refused.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum StorePathError {
    /// The path is not below the store directory.
    #[error("path '{0}' is not in the Nix store")]
    NotInStore(String),
    /// There is no room for a hash, a dash and a name.
    #[error("'{0}' is too short to be a valid store path")]
    TooShort(String),
    /// A character of the hash part is not a nix32 digit.
    #[error("store path '{path}' contains illegal base-32 character '{character}'")]
    HashDigit {
        /// The base name.
        path: String,
        /// The offending character.
        character: char,
    },
    /// The name is refused, seen from the base name.
    #[error("path '{path}' is not a valid store path: {reason}")]
    BadName {
        /// The base name.
        path: String,
        /// What is wrong with the name.
        reason: NameError,
    },
    /// References are only possible for some ways of hashing content.
    #[error(
        "fixed output derivation '{0}' is not allowed to refer to other store paths.\n\
         You may need to use the 'unsafeDiscardReferences' derivation attribute, see the manual for more details."
    )]
    References(String),
    /// Git trees are hashed with SHA-1 or SHA-256 only.
    #[error("Git file ingestion must use SHA-1 or SHA-256 hash")]
    GitAlgo,
    /// Text is hashed with SHA-256 only.
    #[error("text-hashed store path '{0}' must use a SHA-256 hash")]
    TextAlgo(String),
}

/// Why a name is refused.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("name must not be empty")]
    Empty,
    /// More than [`MAX_NAME_LEN`] bytes.
    #[error("name '{0}' must be no longer than {MAX_NAME_LEN} characters")]
    TooLong(String),
    /// `.` or `..`.
    #[error("name '{0}' is not valid")]
    Dots(String),
    /// `.` or `..` before the first dash.
    #[error("name '{name}' is not valid: first dash-separated component must not be '{component}'")]
    DotComponent {
        /// The name.
        name: String,
        /// Its first component.
        component: &'static str,
    },
    /// A character outside `[0-9a-zA-Z+._?=-]`.
    #[error("name '{name}' contains illegal character '{character}'")]
    Character {
        /// The name.
        name: String,
        /// The offending character.
        character: String,
    },
}

/// Checks the name of a store path.
pub fn check_name(name: &[u8]) -> Result<(), NameError> {
    let text = || lossy(name);
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME_LEN {
        return Err(NameError::TooLong(text()));
    }
    for dots in [".", ".."] {
        match name.strip_prefix(dots.as_bytes()) {
            Some([]) => return Err(NameError::Dots(text())),
            Some([b'-', ..]) => return Err(NameError::DotComponent { name: text(), component: dots }),
            _ => {}
        }
    }
    match name.iter().find(|c| !is_name_char(**c)) {
        Some(&c) => Err(NameError::Character { name: text(), character: lossy(&[c]) }),
        None => Ok(()),
    }
}

fn is_name_char(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"+-._?=".contains(&c)
}

/// The base name of a store object, `hash-name`, known to be well formed. Cheap to clone, and ordered
/// as text, which is the order of every list of paths that gets hashed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath(Arc<str>);

impl StorePath {
    /// Checks a base name.
    pub fn from_base_name(base: &[u8]) -> Result<StorePath, StorePathError> {
        if base.len() < HASH_PART_LEN + 1 {
            return Err(StorePathError::TooShort(lossy(base)));
        }
        let (hash, rest) = base.split_at(HASH_PART_LEN);
        if let Some(&c) = hash.iter().find(|c| !base32::is_digit(**c)) {
            return Err(StorePathError::HashDigit { path: lossy(base), character: char::from(c) });
        }
        check_name(&rest[1..]).map_err(|reason| StorePathError::BadName { path: lossy(base), reason })?;
        // Everything but the separator, which Nix does not look at, is known to be ASCII here.
        match std::str::from_utf8(base) {
            Ok(text) => Ok(StorePath(text.into())),
            Err(_) => Err(StorePathError::NotInStore(lossy(base))),
        }
    }

    /// A path from its hash part and name.
    pub fn new(hash: &[u8; 20], name: &[u8]) -> Result<StorePath, StorePathError> {
        let mut base = base32::encode(hash).into_bytes();
        base.push(b'-');
        base.extend_from_slice(name);
        StorePath::from_base_name(&base)
    }

    /// `hash-name`.
    pub fn base_name(&self) -> &str {
        &self.0
    }

    /// The 32 characters of the hash.
    pub fn hash_part(&self) -> &str {
        &self.0[..HASH_PART_LEN]
    }

    /// The name after the hash.
    pub fn name(&self) -> &str {
        &self.0[HASH_PART_LEN + 1..]
    }

    /// Whether the name ends in `.drv`.
    pub fn is_derivation(&self) -> bool {
        self.name().ends_with(".drv")
    }

    /// The name without `.drv`, when it ends so.
    pub fn derivation_name(&self) -> Option<&str> {
        self.name().strip_suffix(".drv")
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an output's path: the derivation's name, with the output's name unless that is `out`.
pub fn output_path_name(name: &[u8], output: &[u8]) -> Vec<u8> {
    if output == b"out" { name.to_vec() } else { [name, b"-", output].concat() }
}

/// What else a content-addressed store object refers to.
#[derive(Clone, Default, Debug)]
pub struct References {
    /// Other store objects.
    pub others: BTreeSet<StorePath>,
    /// Whether the object refers to itself.
    pub itself: bool,
}

impl References {
    /// No references.
    pub fn none() -> References {
        References::default()
    }

    /// References to other objects only.
    pub fn to(others: BTreeSet<StorePath>) -> References {
        References { others, itself: false }
    }

    fn is_empty(&self) -> bool {
        self.others.is_empty() && !self.itself
    }
}

/// A store directory; it takes part in the hash of every path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreDir(Arc<str>);

impl Default for StoreDir {
    fn default() -> StoreDir {
        StoreDir(StoreDir::STANDARD.into())
    }
}

impl StoreDir {
    /// The directory of nearly every Nix.
    pub const STANDARD: &str = "/nix/store";

    /// A store directory, an absolute path without a slash at its end.
    pub fn new(dir: &str) -> StoreDir {
        StoreDir(dir.trim_end_matches('/').into())
    }

    /// The directory's path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full path of a store object.
    pub fn print(&self, path: &StorePath) -> String {
        format!("{}/{}", self.0, path.base_name())
    }

    /// Whether a path lies below the directory.
    pub fn contains(&self, path: &[u8]) -> bool {
        self.strip(path).is_some_and(|rest| !rest.is_empty())
    }

    /// Reads a full path of a store object, with nothing below it.
    pub fn parse(&self, path: &[u8]) -> Result<StorePath, StorePathError> {
        match self.strip(path) {
            Some(base) if !base.contains(&b'/') => StorePath::from_base_name(base),
            _ => Err(StorePathError::NotInStore(lossy(path))),
        }
    }

    /// Splits a path into the store object and the rest below it, which is empty or starts with `/`.
    pub fn split<'a>(&self, path: &'a [u8]) -> Result<(StorePath, &'a [u8]), StorePathError> {
        let not_in_store = || StorePathError::NotInStore(lossy(path));
        let rest = self.strip(path).ok_or_else(not_in_store)?;
        let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        if end == 0 {
            return Err(not_in_store());
        }
        Ok((StorePath::from_base_name(&rest[..end])?, &rest[end..]))
    }

    fn strip<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        path.strip_prefix(self.0.as_bytes())?.strip_prefix(b"/")
    }

    /// The path of an object of a kind, from the hash that identifies it.
    pub fn make_path(&self, kind: &str, hash: &Hash, name: &[u8]) -> Result<StorePath, StorePathError> {
        let head = format!("{kind}:{}:{}:", hash.prefixed(Base::Base16), self.0);
        let fingerprint = [head.as_bytes(), name].concat();
        StorePath::new(&Hash::sha256(&fingerprint).compressed(), name)
    }

    /// The path of an input-addressed output of a derivation.
    pub fn make_output_path(
        &self,
        output: &[u8],
        hash: &Hash,
        name: &[u8],
    ) -> Result<StorePath, StorePathError> {
        self.make_path(&format!("output:{}", lossy(output)), hash, &output_path_name(name, output))
    }

    /// The path of a text file such as a `.drv`, whose content has this SHA-256 hash.
    pub fn make_text_path(
        &self,
        name: &[u8],
        hash: &Hash,
        references: &BTreeSet<StorePath>,
    ) -> Result<StorePath, StorePathError> {
        if hash.algo() != Algo::Sha256 {
            return Err(StorePathError::TextAlgo(lossy(name)));
        }
        self.make_path(&self.kind_with("text", references, false), hash, name)
    }

    /// The path of an object known by its content address.
    pub fn make_fixed_path(
        &self,
        name: &[u8],
        address: &ContentAddress,
        references: &References,
    ) -> Result<StorePath, StorePathError> {
        let ContentAddress { method, hash } = address;
        match (method, hash.algo()) {
            (Method::Text, _) if references.itself => Err(StorePathError::References(lossy(name))),
            (Method::Text, _) => self.make_text_path(name, hash, &references.others),
            (Method::Git, algo) if !matches!(algo, Algo::Sha1 | Algo::Sha256) => Err(StorePathError::GitAlgo),
            (Method::Nar, Algo::Sha256) => {
                self.make_path(&self.kind_with("source", &references.others, references.itself), hash, name)
            }
            _ if !references.is_empty() => Err(StorePathError::References(lossy(name))),
            _ => {
                let text = format!("fixed:out:{}{}:", method.prefix(), hash.prefixed(Base::Base16));
                self.make_path("output:out", &Hash::sha256(text.as_bytes()), name)
            }
        }
    }

    fn kind_with(&self, kind: &str, references: &BTreeSet<StorePath>, itself: bool) -> String {
        let mut text = kind.to_owned();
        for path in references {
            text.push(':');
            text.push_str(&self.print(path));
        }
        if itself {
            text.push_str(":self");
        }
        text
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_file(name: &[u8], text: &[u8], references: &[&StorePath]) -> Result<StorePath, StorePathError> {
        let references = references.iter().map(|p| (*p).clone()).collect();
        StoreDir::default().make_text_path(name, &Hash::sha256(text), &references)
    }

    #[test]
    fn text_files() {
        let dir = StoreDir::default();
        let hello = to_file(b"hello", b"world", &[]).unwrap();
        assert_eq!(dir.print(&hello), "/nix/store/a8pm5wln4zaphc7x9iaqrgm9fravifib-hello");
        let referrer = to_file(b"h", dir.print(&hello).as_bytes(), &[&hello]).unwrap();
        assert_eq!(dir.print(&referrer), "/nix/store/4mq140vq98jjpdb2hibickf4zkimfz35-h");
        assert!(to_file(b"...-a", b"", &[]).is_ok());
    }

    #[test]
    fn refused_names() {
        let message = |name: &[u8]| to_file(name, b"", &[]).unwrap_err().to_string();
        assert_eq!(
            message(b""),
            "path '9ip48nkc9rfy0a4yaw98lp6gipqlib1a-' is not a valid store path: name must not be empty"
        );
        assert_eq!(
            message(b".."),
            "path 'yc27spr25pmak3i9djrn9028qxdiyf84-..' is not a valid store path: name '..' is not valid"
        );
        assert_eq!(
            message(b".-a"),
            "path '5gpv15j2hawxl2wrjl6ap4jnkbn5gblk-.-a' is not a valid store path: name '.-a' is not valid: \
             first dash-separated component must not be '.'"
        );
        assert_eq!(
            message(b"a b"),
            "path 'sk64w0fn0hk63yrgvwpzkh853xfndyn1-a b' is not a valid store path: name 'a b' contains \
             illegal character ' '"
        );
        assert!(message(&[b'a'; 212]).ends_with("must be no longer than 211 characters"));
        assert!(to_file(&[b'a'; 211], b"", &[]).is_ok());
        assert!(to_file(b"\xc3\xa9", b"", &[]).is_err());
    }

    #[test]
    fn parsing() {
        let dir = StoreDir::default();
        let text = b"/nix/store/nnqh7675wghd0xmrywqm2yh9psrkk13q-a.drv";
        let path = dir.parse(text).unwrap();
        assert_eq!(path.hash_part(), "nnqh7675wghd0xmrywqm2yh9psrkk13q");
        assert_eq!(path.derivation_name(), Some("a"));
        assert_eq!(dir.print(&path).as_bytes(), text);
        let error = |text: &[u8]| dir.parse(text).unwrap_err().to_string();
        assert_eq!(error(b"/nix/store/foo"), "'foo' is too short to be a valid store path");
        assert_eq!(error(b"/foo"), "path '/foo' is not in the Nix store");
        assert_eq!(error(b"/nix/storefoo"), "path '/nix/storefoo' is not in the Nix store");
        assert_eq!(
            error(b"/nix/store/nnqh7675wghd0xmrywqm2yh9psrkk13e-a"),
            "store path 'nnqh7675wghd0xmrywqm2yh9psrkk13e-a' contains illegal base-32 character 'e'"
        );
        let inside = [text.as_slice(), b"/x/y"].concat();
        assert!(dir.parse(&inside).is_err());
        assert_eq!(dir.split(&inside).unwrap(), (path.clone(), &b"/x/y"[..]));
        assert_eq!(dir.split(text).unwrap(), (path, &b""[..]));
        assert!(dir.split(b"/nix/store/").is_err());
    }

    #[test]
    fn multibyte_separator_is_refused() {
        let mut base = vec![b'0'; HASH_PART_LEN];
        base.extend_from_slice("éa".as_bytes());
        assert!(StorePath::from_base_name(&base).is_err());
    }

    #[test]
    fn fixed_outputs() {
        let dir = StoreDir::default();
        let nar = ContentAddress { method: Method::Nar, hash: Hash::sha256(b"abc") };
        let path = dir.make_fixed_path(b"f", &nar, &References::none()).unwrap();
        assert_eq!(dir.print(&path), "/nix/store/92mx48lzpi4pbjmxnj2hdspiss0vgr6s-f");
        let flat = ContentAddress { method: Method::Flat, hash: Hash::of(Algo::Sha1, b"abc") };
        let path = dir.make_fixed_path(b"g", &flat, &References::none()).unwrap();
        assert_eq!(dir.print(&path), "/nix/store/p5c7xr6n06xasp9yx75z87d6rzzd8mqy-g");
        let references = References { itself: true, ..References::none() };
        assert!(dir.make_fixed_path(b"g", &flat, &references).is_err());
        assert!(dir.make_fixed_path(b"g", &nar, &references).is_ok());
    }
}
