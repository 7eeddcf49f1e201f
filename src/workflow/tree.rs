//! The evaluated workflow as an owned tree with a span on every value and key.
//!
//! Everything after evaluation works on this tree: the evaluator's heap is gone by then. A value
//! whose evaluation failed is an [`Kind::Error`] node, so that one bad field hides no other.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::base::source::SpanId;
use crate::diag::Diagnostic;
use crate::ir::text::ContextElem;

/// A value and where it was written.
#[derive(Clone)]
pub struct Node {
    /// The text that made the value.
    pub span: SpanId,
    /// The value.
    pub kind: Kind,
    /// What its text refers to in the store (the context of a string).
    pub context: Vec<ContextElem>,
}

/// The shape of a value.
#[derive(Clone)]
pub enum Kind {
    /// `null`
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string: bytes, as in Nix.
    Str(Vec<u8>),
    /// A path, absolute.
    Path(PathBuf),
    /// A list.
    List(Vec<Node>),
    /// An attribute set, in the order of its names.
    Attrs(Vec<Attr>),
    /// A derivation.
    Derivation(Derivation),
    /// A function.
    Function,
    /// A value that nothing asked for (that of an unknown key, say).
    Unforced,
    /// A value that only a build or a fetch could tell, where neither is allowed.
    Unknown,
    /// A value whose evaluation failed.
    Error(Box<Diagnostic>),
}

/// One attribute of a set.
#[derive(Clone)]
pub struct Attr {
    /// Its name.
    pub name: String,
    /// Where the name was written.
    pub key: SpanId,
    /// Its value.
    pub value: Node,
}

/// What is needed of a derivation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derivation {
    /// Its `name`.
    pub name: String,
    /// Store path of its `.drv` file, when it could be computed.
    pub drv_path: Option<String>,
    /// The output that is used.
    pub output: String,
    /// Store path of the output that is used.
    pub out_path: Option<String>,
    /// `meta.mainProgram`, when it is set.
    pub main_program: Option<String>,
}

impl Node {
    /// A node.
    pub fn new(span: SpanId, kind: Kind) -> Node {
        Node { span, kind, context: Vec::new() }
    }

    /// Everything in the store that this value refers to, and what it holds; attributes for which
    /// `enter` is false are not looked at.
    pub fn store_references(&self, enter: &dyn Fn(&str) -> bool, out: &mut BTreeSet<ContextElem>) {
        out.extend(self.context.iter().cloned());
        match &self.kind {
            Kind::List(items) => items.iter().for_each(|n| n.store_references(&|_| true, out)),
            Kind::Attrs(attrs) => {
                for a in attrs.iter().filter(|a| enter(&a.name)) {
                    a.value.store_references(&|_| true, out);
                }
            }
            Kind::Derivation(Derivation { drv_path: Some(drv), output, .. }) => {
                out.insert(ContextElem::Built(drv.as_bytes().into(), output.as_bytes().into()));
            }
            _ => {}
        }
    }

    /// The attributes, for a set.
    pub fn attrs(&self) -> Option<&[Attr]> {
        match &self.kind {
            Kind::Attrs(a) => Some(a),
            _ => None,
        }
    }

    /// The attribute of this name.
    pub fn attr(&self, name: &str) -> Option<&Attr> {
        self.attrs()?.iter().find(|a| a.name == name)
    }

    /// The value of the attribute of this name, unless it is null.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.attr(name).map(|a| &a.value).filter(|v| !matches!(v.kind, Kind::Null))
    }

    /// The items, for a list.
    pub fn list(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text of a string that is UTF-8.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Str(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The value of a boolean.
    pub fn bool(&self) -> Option<bool> {
        match self.kind {
            Kind::Bool(b) => Some(b),
            _ => None,
        }
    }

    /// The value of an integer.
    pub fn int(&self) -> Option<i64> {
        match self.kind {
            Kind::Int(i) => Some(i),
            _ => None,
        }
    }

    /// The tag that the library put on a set (`executor`, `secret`, …).
    pub fn tag(&self) -> Option<&str> {
        self.attr("_type")?.value.text()
    }

    /// What the value is, with an article, for messages.
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) => "an integer",
            Kind::Float(_) => "a float",
            Kind::Str(s) if s.is_empty() => "an empty string",
            Kind::Str(s) if std::str::from_utf8(s).is_err() => "a string that is not UTF-8",
            Kind::Str(_) => "a string",
            Kind::Path(_) => "a path",
            Kind::List(_) => "a list",
            Kind::Attrs(_) => match self.tag() {
                Some("executor") => "an executor",
                Some("envProvider") => "an environment provider",
                Some("secret") => "a secret",
                Some("fromEnv") => "a reference to an environment variable",
                Some("workflow") => "a workflow",
                _ => "an attribute set",
            },
            Kind::Derivation(_) => "a derivation",
            Kind::Function => "a function",
            Kind::Unforced => "a value that was not evaluated",
            Kind::Unknown => "a value that is not known yet",
            Kind::Error(_) => "a value whose evaluation failed",
        }
    }

    /// The value as JSON; functions and what was not evaluated become null.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.kind {
            Kind::Bool(b) => Value::Bool(*b),
            Kind::Int(i) => Value::from(*i),
            Kind::Float(f) => Value::from(*f),
            Kind::Str(s) => Value::String(String::from_utf8_lossy(s).into_owned()),
            Kind::Path(p) => Value::String(p.to_string_lossy().into_owned()),
            Kind::List(items) => items.iter().map(Node::to_json).collect(),
            Kind::Attrs(attrs) => {
                Value::Object(attrs.iter().map(|a| (a.name.clone(), a.value.to_json())).collect())
            }
            Kind::Derivation(d) => Value::from(d.out_path.clone()),
            Kind::Null | Kind::Function | Kind::Unforced | Kind::Unknown | Kind::Error(_) => Value::Null,
        }
    }
}

/// Trees from JSON, for tests: no spans, otherwise as evaluation gives them.
#[cfg(test)]
pub(crate) fn from_json(v: &serde_json::Value) -> Node {
    use serde_json::Value;
    let kind = match v {
        Value::Null => Kind::Null,
        Value::Bool(b) => Kind::Bool(*b),
        Value::Number(n) => match n.as_i64() {
            Some(i) => Kind::Int(i),
            None => Kind::Float(n.as_f64().unwrap()),
        },
        Value::String(s) => Kind::Str(s.clone().into_bytes()),
        Value::Array(items) => Kind::List(items.iter().map(from_json).collect()),
        Value::Object(map) => {
            let mut attrs: Vec<Attr> = map
                .iter()
                .map(|(name, v)| Attr { name: name.clone(), key: SpanId::NONE, value: from_json(v) })
                .collect();
            attrs.sort_by(|a, b| a.name.cmp(&b.name));
            Kind::Attrs(attrs)
        }
    };
    Node::new(SpanId::NONE, kind)
}
