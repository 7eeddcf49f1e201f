//! Store objects that exist on paper: what stands behind a store path before any store has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::content_address::Method;
use super::store_path::StorePath;

/// Objects by their paths.
pub type Objects = BTreeMap<StorePath, Object>;

/// An object that evaluation made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// Paths that it refers to.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub references: BTreeSet<StorePath>,
    /// What it holds.
    #[serde(flatten)]
    pub content: Content,
}

/// What an object holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Content {
    /// A text file, such as a derivation.
    Text(Text),
    /// A copy of a file or directory of this machine.
    Copy {
        /// What is copied, absolute, without symbolic links.
        source: PathBuf,
        /// How it is hashed.
        method: Method,
        /// Paths that a filter left out, and with them what is below.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        left_out: BTreeSet<PathBuf>,
    },
}

/// Bytes that are nearly always UTF-8; serialised as text, or else as a list of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub std::sync::Arc<[u8]>);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => s.serialize_str(text),
            Err(_) => self.0.serialize(s),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Text, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Bytes(Vec<u8>),
        }
        Ok(Text(match Either::deserialize(d)? {
            Either::Text(text) => text.into_bytes().into(),
            Either::Bytes(bytes) => bytes.into(),
        }))
    }
}

impl Serialize for StorePath {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.base_name())
    }
}

impl<'de> Deserialize<'de> for StorePath {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<StorePath, D::Error> {
        let text = String::deserialize(d)?;
        StorePath::from_base_name(text.as_bytes()).map_err(de::Error::custom)
    }
}

impl Serialize for Method {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(match self {
            Method::Flat => "flat",
            Method::Nar => "nar",
            Method::Git => "git",
            Method::Text => "text",
        })
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Method, D::Error> {
        let text = String::deserialize(d)?;
        Method::from_mode(text.as_bytes()).ok_or_else(|| de::Error::custom("not a way to hash an object"))
    }
}

/// Something in the store that is needed: an output of a derivation, or a path as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Needed {
    /// A path.
    Path(StorePath),
    /// An output of a derivation.
    Output(StorePath, String),
}

impl Needed {
    /// The path, or the derivation's path.
    pub fn root(&self) -> &StorePath {
        match self {
            Needed::Path(path) | Needed::Output(path, _) => path,
        }
    }
}

impl Serialize for Needed {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Needed::Path(path) => s.serialize_str(path.base_name()),
            Needed::Output(drv, output) => s.collect_str(&format_args!("{}!{output}", drv.base_name())),
        }
    }
}

impl<'de> Deserialize<'de> for Needed {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Needed, D::Error> {
        let text = String::deserialize(d)?;
        let (root, output) = match text.split_once('!') {
            Some((root, output)) => (root, Some(output.to_owned())),
            None => (text.as_str(), None),
        };
        let root = StorePath::from_base_name(root.as_bytes()).map_err(de::Error::custom)?;
        Ok(match output {
            Some(output) => Needed::Output(root, output),
            None => Needed::Path(root),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_survive_json() {
        let path = StorePath::from_base_name(b"pn5w9v350w6b152fg17i8iinyi3g0di4-a.drv").unwrap();
        let text = |bytes: &[u8]| Content::Text(Text(bytes.into()));
        let copy = Content::Copy {
            source: "/src".into(),
            method: Method::Nar,
            left_out: BTreeSet::from(["/src/a".into()]),
        };
        for content in [text(b"Derive("), text(b"\xff\0"), copy] {
            let object = Object { references: BTreeSet::from([path.clone()]), content };
            let json = serde_json::to_string(&object).unwrap();
            assert_eq!(serde_json::from_str::<Object>(&json).unwrap(), object, "{json}");
        }
        for needed in [Needed::Path(path.clone()), Needed::Output(path, "out".into())] {
            let json = serde_json::to_string(&needed).unwrap();
            assert_eq!(serde_json::from_str::<Needed>(&json).unwrap(), needed);
        }
    }
}
