//! Lock files of flakes. (Nix manual: "flake.lock", version 7; older versions differ in what is not
//! looked at here.)

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::eval::builtins::flake_ref::{Field, FlakeRef};

/// Why a lock file cannot be used.
#[derive(Debug, Error)]
pub enum LockError {
    /// It is no lock file.
    #[error("{file} is not a lock file: {reason}")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Its version is unknown.
    #[error("{file} has version {version}, and versions 5 to 7 are known")]
    Version {
        /// The file.
        file: String,
        /// Its version.
        version: u64,
    },
    /// An input leads to itself, or nowhere.
    #[error("the input `{0}` of the lock file leads nowhere")]
    Nowhere(String),
}

/// Where an input leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Edge {
    /// To a node.
    Node(String),
    /// To where another input leads, named from the root.
    Follows(Vec<String>),
}

/// A source with what it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Node {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) inputs: BTreeMap<String, Edge>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) locked: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) original: Map<String, Value>,
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub(super) flake: bool,
    /// For a path relative to another node: that node, named from the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<Vec<String>>,
}

fn yes() -> bool {
    true
}

fn is_true(b: &bool) -> bool {
    *b
}

impl Default for Node {
    fn default() -> Node {
        Node { inputs: BTreeMap::new(), locked: Map::new(), original: Map::new(), flake: true, parent: None }
    }
}

/// A lock file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LockFile {
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) root: String,
    pub(super) version: u64,
}

impl Default for LockFile {
    fn default() -> LockFile {
        let nodes = BTreeMap::from([("root".to_owned(), Node::default())]);
        LockFile { nodes, root: "root".into(), version: 7 }
    }
}

/// Steps from input to input, at most; a lock file needs few.
const LONGEST: u32 = 100;

impl LockFile {
    /// Reads a lock file; `file` is its name for messages.
    pub fn parse(text: &[u8], file: &str) -> Result<LockFile, LockError> {
        let malformed = |reason: String| LockError::Malformed { file: file.to_owned(), reason };
        let lock: LockFile = serde_json::from_slice(text).map_err(|e| malformed(e.to_string()))?;
        if !(5..=7).contains(&lock.version) {
            return Err(LockError::Version { file: file.to_owned(), version: lock.version });
        }
        if !lock.nodes.contains_key(&lock.root) {
            return Err(malformed(format!("it has no node `{}`", lock.root)));
        }
        Ok(lock)
    }

    /// The node that a chain of inputs leads to from the root.
    pub(super) fn follow(&self, path: &[String]) -> Result<&str, LockError> {
        self.follow_at(path, 0)
    }

    fn follow_at(&self, path: &[String], steps: u32) -> Result<&str, LockError> {
        let nowhere = || LockError::Nowhere(path.join("/"));
        if steps > LONGEST {
            return Err(nowhere());
        }
        let mut at = self.root.as_str();
        for name in path {
            at = match self.nodes.get(at).and_then(|n| n.inputs.get(name)).ok_or_else(nowhere)? {
                Edge::Node(key) => key,
                Edge::Follows(path) => self.follow_at(path, steps + 1)?,
            };
        }
        self.nodes.contains_key(at).then_some(at).ok_or_else(nowhere)
    }

    /// The locked source of an input of the root.
    pub fn input(&self, name: &str) -> Option<FlakeRef> {
        let key = self.follow(&[name.to_owned()]).ok()?;
        self.nodes.get(key).map(|node| reference(&node.locked))
    }

    /// A key that no node has yet.
    pub(super) fn fresh(&self, name: &str) -> String {
        let taken = |key: &String| self.nodes.contains_key(key);
        let names = (2u32..).map(|n| format!("{name}_{n}"));
        let mut names = std::iter::once(name.to_owned()).chain(names);
        names.find(|key| !taken(key)).unwrap_or_default()
    }
}

/// A reference from its attributes in a lock file.
pub(super) fn reference(attrs: &Map<String, Value>) -> FlakeRef {
    let mut found = FlakeRef::default();
    for (name, value) in attrs {
        let field = match value {
            Value::String(s) => Field::Text(s.clone()),
            Value::Bool(b) => Field::Bool(*b),
            Value::Number(n) => Field::Int(n.as_i64().unwrap_or_default()),
            _ => continue,
        };
        found.set(name, field);
    }
    found
}

/// The attributes of a reference, as a lock file has them.
pub(super) fn attributes(source: &FlakeRef) -> Map<String, Value> {
    let one = |(name, field): (&String, &Field)| {
        let value = match field {
            Field::Text(s) => Value::from(s.as_str()),
            Field::Bool(b) => Value::from(*b),
            Field::Int(n) => Value::from(*n),
        };
        (name.clone(), value)
    };
    source.fields().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"{ "version": 7, "root": "root", "nodes": {
        "root": { "inputs": { "a": "a", "n": ["a", "nixpkgs"], "loop": ["loop"] } },
        "a": { "inputs": { "nixpkgs": "pk" }, "locked": { "type": "path", "path": "/a" }, "flake": false },
        "pk": { "locked": { "type": "github", "owner": "o", "repo": "r", "lastModified": 3, "narHash": "h" } } } }"#;

    #[test]
    fn inputs_are_followed() {
        let lock = LockFile::parse(SAMPLE.as_bytes(), "flake.lock").unwrap();
        assert_eq!(lock.input("n").unwrap().text("owner"), Some("o"));
        assert_eq!(lock.input("a").unwrap().text("path"), Some("/a"));
        assert_eq!(lock.input("loop"), None);
        assert_eq!(lock.input("none"), None);
        assert_eq!(lock.fresh("a"), "a_2");
        assert_eq!(attributes(&reference(&lock.nodes["pk"].locked)), lock.nodes["pk"].locked);
    }

    #[test]
    fn wrong_files_are_named() {
        let error = |text: &str| LockFile::parse(text.as_bytes(), "x/flake.lock").unwrap_err().to_string();
        assert!(error("{").starts_with("x/flake.lock is not a lock file"));
        assert!(error(&SAMPLE.replace("7,", "9,")).contains("version 9"));
        assert!(error(&SAMPLE.replace("\"root\": \"root\"", "\"root\": \"r\"")).contains("no node `r`"));
    }
}
