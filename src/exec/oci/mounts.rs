//! Directories of this machine that appear in a container.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::engine::executor::ExecError;
use crate::exec::options::Options;

/// The mounts of an option: sets, or `SOURCE:TARGET[:ro]`; as the engine wants them.
pub(in crate::exec) fn read(
    options: &Options<'_>,
    name: &str,
    project: &Path,
) -> Result<Vec<String>, ExecError> {
    let Some(value) = options.get(name) else { return Ok(Vec::new()) };
    let wrong =
        || options.wrong(name, "a list of sets with `source` and `target`, or of `SOURCE:TARGET[:ro]`");
    let Value::Array(items) = value else { return Err(wrong()) };
    let mut mounts = Vec::new();
    for item in items {
        let (source, target, read_only) = match item {
            Value::String(text) => {
                let mut parts = text.split(':');
                let source = parts.next().unwrap_or_default();
                let target = parts.next().unwrap_or(source);
                let read_only = match parts.next() {
                    None | Some("rw") => false,
                    Some("ro") => true,
                    Some(_) => return Err(wrong()),
                };
                (source.to_owned(), target.to_owned(), read_only)
            }
            Value::Object(map) => {
                let text =
                    |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned).ok_or_else(wrong);
                (
                    text("source")?,
                    text("target")?,
                    map.get("readOnly").and_then(Value::as_bool).unwrap_or(true),
                )
            }
            _ => return Err(wrong()),
        };
        let source = project.join(source).to_string_lossy().into_owned();
        if source.contains(':') || target.contains(':') || !target.starts_with('/') {
            return Err(wrong());
        }
        mounts.push(format!("{source}:{target}{}", if read_only { ":ro" } else { "" }));
    }
    Ok(mounts)
}

/// The mounts that make packages appear where they are here, read-only. Packages of the Nix store
/// need what they refer to, so the whole store is there.
pub(in crate::exec) fn of_packages(packages: &[PathBuf]) -> Vec<String> {
    let mut mounts: Vec<String> = Vec::new();
    for package in packages {
        let path = if package.starts_with("/nix/store") { Path::new("/nix/store") } else { package };
        let mount = format!("{0}:{0}:ro", path.display());
        if !mounts.contains(&mount) && !path.to_string_lossy().contains(':') {
            mounts.push(mount);
        }
    }
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_mounted_once() {
        let packages = ["/nix/store/a", "/nix/store/b", "/opt/tool"].map(PathBuf::from);
        assert_eq!(of_packages(&packages), ["/nix/store:/nix/store:ro", "/opt/tool:/opt/tool:ro"]);
    }
}
