//! Directories of this machine that appear in a container.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::engine::executor::ExecError;
use crate::exec::options::Options;
use crate::exec::packages::{self, Packages};

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

/// Most store paths that are mounted one by one.
const MOST: usize = 400;

/// The mounts that make packages appear where they are here, read-only, and what is to be told of
/// them. Of a container for one job only what the job's packages refer to is there. In a container
/// that jobs share the whole store is: what later jobs need may not be built yet.
pub(in crate::exec) fn of_packages(
    paths: &[PathBuf],
    job: Option<&Packages>,
) -> (Vec<String>, Option<String>) {
    let mut mounts: Vec<String> = Vec::new();
    let mut add = |path: &str| {
        let mount = format!("{path}:{path}:ro");
        if !mounts.contains(&mount) && !path.contains(':') {
            mounts.push(mount);
        }
    };
    let dir = job.map_or_else(packages::store_dir, Packages::dir);
    let in_store = |path: &PathBuf| dir.contains(path.as_os_str().as_encoded_bytes());
    paths.iter().filter(|path| !in_store(path)).for_each(|path| add(&path.to_string_lossy()));
    let count = job.map_or(0, |packages| packages.closure.paths.len());
    let note = match job {
        Some(packages) if count <= MOST => {
            packages.closure.paths.iter().for_each(|info| add(&dir.print(&info.path)));
            Some(format!("packages: {count} store paths of this machine are mounted"))
        }
        None if !paths.iter().any(in_store) => None,
        _ => {
            add(dir.as_str());
            Some(format!("packages: all of {} is mounted", dir.as_str()))
        }
    };
    (mounts, note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_mounted_once() {
        let packages = ["/nix/store/a", "/nix/store/b", "/opt/tool"].map(PathBuf::from);
        let (mounts, note) = of_packages(&packages, None);
        assert_eq!(mounts, ["/opt/tool:/opt/tool:ro", "/nix/store:/nix/store:ro"]);
        assert!(note.is_some_and(|note| note.contains("all of /nix/store")));
        assert_eq!(of_packages(&packages[2..], None).1, None);
    }
}
