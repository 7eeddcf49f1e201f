//! What short names of flakes stand for: registries of the user, of the system, and the public one.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::lock::reference;
use crate::eval::builtins::flake_ref::{Field, FlakeRef};

/// The public registry.
pub(super) const PUBLIC: &str = "https://channels.nixos.org/flake-registry.json";

/// The registries of this machine, the user's first.
pub(super) fn files(env: impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let set = |name: &str| env(name).filter(|v| !v.is_empty());
    let config = set("XDG_CONFIG_HOME").or_else(|| Some(format!("{}/.config", set("HOME")?)));
    let system = set("NIX_CONF_DIR").unwrap_or_else(|| "/etc/nix".into());
    config
        .map(|c| format!("{c}/nix"))
        .into_iter()
        .chain([system])
        .map(|d| format!("{d}/registry.json").into())
        .collect()
}

/// What a registry says that a short name stands for. A revision or branch that was asked for is
/// kept.
pub(super) fn look(registry: &[u8], wanted: &FlakeRef) -> Option<FlakeRef> {
    let id = wanted.text("id")?;
    let registry: Value = serde_json::from_slice(registry).ok()?;
    let entry = registry.get("flakes")?.as_array()?.iter().find(|e| {
        e.get("from").and_then(Value::as_object).is_some_and(|from| text(from, "id") == Some(id))
    })?;
    let mut found = reference(entry.get("to")?.as_object()?);
    for name in ["ref", "rev"] {
        if let Some(value) = wanted.text(name) {
            found.set(name, Field::Text(value.to_owned()));
        }
    }
    Some(found)
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    map.get(name)?.as_str()
}

/// What `nixpkgs` stands for when no registry can be read.
pub(super) fn known(wanted: &FlakeRef) -> Option<FlakeRef> {
    const KNOWN: &str = r#"{ "flakes": [ { "from": { "type": "indirect", "id": "nixpkgs" },
        "to": { "type": "github", "owner": "NixOS", "repo": "nixpkgs", "ref": "nixpkgs-unstable" } } ] }"#;
    look(KNOWN.as_bytes(), wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_that_was_asked_for_is_kept() {
        let wanted = crate::eval::builtins::flake_ref::parse("flake:nixpkgs/nixos-24.05").unwrap();
        let found = known(&wanted).unwrap();
        assert_eq!((found.text("owner"), found.text("ref")), (Some("NixOS"), Some("nixos-24.05")));
        let other = crate::eval::builtins::flake_ref::parse("flake:other").unwrap();
        assert_eq!(known(&other), None);
    }
}
