//! References to sources: `path:/x`, `github:owner/repo`, and the sets of attributes they mean.

use std::collections::BTreeMap;
use std::fmt::Write;

use thiserror::Error;

/// The value of an attribute of a reference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Field {
    /// A string.
    Text(String),
    /// A boolean.
    Bool(bool),
    /// A number.
    Int(i64),
}

/// A reference as its attributes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FlakeRef(BTreeMap<String, Field>);

/// Why a text is not a reference.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum FlakeRefError {
    /// It has no known form.
    #[error("'{0}' is not a valid URL")]
    NotAUrl(String),
    /// A path that depends on the current directory.
    #[error("flake reference '{0}' is not an absolute path")]
    Relative(String),
    /// The host's form is known, the path is not.
    #[error("URL '{0}' is invalid")]
    Invalid(String),
}

/// Hosts whose references are `host:owner/repo`.
const HOSTS: [&str; 3] = ["github", "gitlab", "sourcehut"];

impl FlakeRef {
    /// Sets an attribute.
    pub fn set(&mut self, name: &str, field: Field) {
        self.0.insert(name.to_owned(), field);
    }

    /// An attribute that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Field::Text(s)) => Some(s),
            _ => None,
        }
    }

    /// The attributes by name.
    pub fn fields(&self) -> impl Iterator<Item = (&String, &Field)> {
        self.0.iter()
    }

    /// The reference as text.
    pub fn show(&self) -> String {
        let kind = self.text("type").unwrap_or_default();
        let mut used = vec!["type"];
        let mut text = match kind {
            "path" => {
                used.push("path");
                format!("path:{}", self.text("path").unwrap_or_default())
            }
            "indirect" => {
                used.extend(["id", "ref", "rev"]);
                self.joined("flake:", &["id", "ref", "rev"])
            }
            host if HOSTS.contains(&host) => {
                used.extend(["owner", "repo", "ref", "rev"]);
                self.joined(&format!("{host}:"), &["owner", "repo", "ref", "rev"])
            }
            "git" | "hg" => {
                used.push("url");
                format!("{kind}+{}", self.text("url").unwrap_or_default())
            }
            _ => {
                used.push("url");
                self.text("url").unwrap_or_default().to_owned()
            }
        };
        let mut mark = if text.contains('?') { '&' } else { '?' };
        for (name, field) in self.0.iter().filter(|(n, _)| !used.contains(&n.as_str())) {
            let value = match field {
                Field::Text(s) => encode(s),
                Field::Bool(b) => u8::from(*b).to_string(),
                Field::Int(n) => n.to_string(),
            };
            let _ = write!(text, "{mark}{name}={value}");
            mark = '&';
        }
        text
    }

    fn joined(&self, head: &str, parts: &[&str]) -> String {
        let parts: Vec<&str> = parts.iter().filter_map(|p| self.text(p)).collect();
        format!("{head}{}", parts.join("/"))
    }
}

/// Reads a reference.
pub fn parse(text: &str) -> Result<FlakeRef, FlakeRefError> {
    let (body, query) = text.split_once('?').unwrap_or((text, ""));
    let mut found = FlakeRef::default();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let field = match (name, value) {
            ("shallow" | "submodules" | "allRefs" | "lfs" | "exportIgnore", v) => Field::Bool(v == "1"),
            ("revCount" | "lastModified", v) if v.parse::<i64>().is_ok() => {
                Field::Int(v.parse().unwrap_or_default())
            }
            (_, v) => Field::Text(decode(v)),
        };
        found.set(name, field);
    }
    let kind = match body.split_once(':') {
        None if body.starts_with('/') => {
            found.set("path", Field::Text(body.to_owned()));
            "path"
        }
        None if body.is_empty() || body.starts_with('.') => {
            return Err(FlakeRefError::Relative(text.to_owned()));
        }
        None => indirect(&mut found, body).ok_or_else(|| FlakeRefError::NotAUrl(text.to_owned()))?,
        Some(("path", path)) => {
            found.set("path", Field::Text(decode(path)));
            "path"
        }
        Some(("flake", rest)) => {
            indirect(&mut found, rest).ok_or_else(|| FlakeRefError::Invalid(text.to_owned()))?
        }
        Some((host, rest)) if HOSTS.contains(&host) => {
            repository(&mut found, rest).ok_or_else(|| FlakeRefError::Invalid(text.to_owned()))?;
            host
        }
        Some((scheme, rest)) => by_scheme(&mut found, scheme, rest, body)
            .ok_or_else(|| FlakeRefError::NotAUrl(text.to_owned()))?,
    };
    found.set("type", Field::Text(kind.to_owned()));
    Ok(found)
}

fn by_scheme(found: &mut FlakeRef, scheme: &str, rest: &str, body: &str) -> Option<&'static str> {
    let (kind, url) = match scheme.split_once('+') {
        Some(("git", transport)) => ("git", format!("{transport}:{rest}")),
        Some(("hg", transport)) => ("hg", format!("{transport}:{rest}")),
        Some(("tarball", transport)) => ("tarball", format!("{transport}:{rest}")),
        Some(("file", transport)) => ("file", format!("{transport}:{rest}")),
        None if matches!(scheme, "http" | "https" | "file") => {
            const ARCHIVES: [&str; 8] =
                [".zip", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst", ".txz"];
            let archive = ARCHIVES.iter().any(|a| rest.ends_with(a));
            (if archive { "tarball" } else { "file" }, body.to_owned())
        }
        None if scheme == "git" => ("git", body.to_owned()),
        _ => return None,
    };
    found.set("url", Field::Text(url));
    Some(kind)
}

fn indirect(found: &mut FlakeRef, text: &str) -> Option<&'static str> {
    let mut parts = text.split('/');
    let id = parts.next().filter(|id| is_id(id))?;
    found.set("id", Field::Text(id.to_owned()));
    match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => {}
        (Some(one), None, _) => set_revision(found, one),
        (Some(name), Some(rev), None) => {
            found.set("ref", Field::Text(decode(name)));
            found.set("rev", Field::Text(rev.to_owned()));
        }
        _ => return None,
    }
    Some("indirect")
}

fn repository(found: &mut FlakeRef, text: &str) -> Option<()> {
    let mut parts = text.splitn(3, '/');
    let (owner, repo) = (parts.next()?, parts.next()?);
    if owner.is_empty() || repo.is_empty() {
        return None;
    }
    found.set("owner", Field::Text(decode(owner)));
    found.set("repo", Field::Text(decode(repo)));
    if let Some(revision) = parts.next() {
        set_revision(found, revision);
    }
    Some(())
}

fn set_revision(found: &mut FlakeRef, text: &str) {
    let is_rev = text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    found.set(if is_rev { "rev" } else { "ref" }, Field::Text(decode(text)));
}

fn is_id(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let digits = bytes.get(i + 1..i + 3).and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|d| u8::from_str_radix(d, 16).ok()) {
            Some(b) if bytes[i] == b'%' => {
                out.push(b);
                i += 3;
            }
            _ => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn encode(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~!$'()*,;:@/".contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for text in [
            "path:/tmp/x",
            "github:NixOS/nixpkgs/nixos-unstable",
            "git+https://example.org/a.git?ref=main",
            "flake:nixpkgs/release",
            "https://example.org/a.tar.gz",
        ] {
            assert_eq!(parse(text).unwrap().show(), text);
        }
        assert_eq!(parse("/tmp").unwrap().show(), "path:/tmp");
        assert_eq!(parse("nixpkgs").unwrap().show(), "flake:nixpkgs");
        assert!(parse("./x").is_err());
        assert!(parse("github:x").is_err());
    }
}
