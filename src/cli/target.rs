//! Which workflow file a command is about.

use std::path::{Path, PathBuf};

use super::error::CliError;

/// A workflow file, and which of its workflows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The file, absolute.
    pub(super) file: PathBuf,
    /// The name after `#`.
    pub(super) name: Option<String>,
    /// The fetched source that it is in, for a flake that is elsewhere.
    pub(super) fetched: Option<PathBuf>,
}

/// File names looked for when none is given, in order.
const NAMES: [&str; 3] = ["nixactions.nix", "ci.nix", FLAKE];
/// The file of a flake, whose outputs hold workflows.
const FLAKE: &str = "flake.nix";

impl Target {
    /// The target that an argument such as `ci.nix#test` or `#test` names; without a file, the
    /// nearest workflow file here or upwards.
    pub(super) fn find(argument: Option<&str>) -> Result<Target, CliError> {
        let here = std::env::current_dir().map_err(CliError::io("finding the current directory"))?;
        Target::find_in(argument, &here)
    }

    fn find_in(argument: Option<&str>, here: &Path) -> Result<Target, CliError> {
        let (path, name) = split(argument.unwrap_or(""), here);
        if path.is_empty() {
            let file = search(here)?;
            return Ok(Target { file, name, fetched: None });
        }
        // Without `.` in it, so that each file has one name.
        let file: PathBuf = here.join(&path).components().collect();
        if file.is_dir() {
            // `.#ci` is how flakes are named.
            let flake = name.as_ref().map(|_| FLAKE);
            let mut names = flake.into_iter().chain(NAMES).map(|n| file.join(n));
            let Some(found) = names.find(|p| p.is_file()) else {
                return Err(CliError::Usage(format!(
                    "`{path}` is a directory without a {}",
                    NAMES.join(" or ")
                )));
            };
            return Ok(Target { file: found, name, fetched: None });
        }
        Ok(Target { file, name, fetched: None })
    }

    /// The directory that the workflow is about: the repository's root, else where the file is.
    pub(super) fn project_dir(&self) -> PathBuf {
        if let Some(fetched) = &self.fetched {
            return fetched.clone();
        }
        let dir = self.file.parent().unwrap_or(Path::new("/"));
        let root = dir.ancestors().find(|d| d.join(".git").exists());
        root.unwrap_or(dir).to_path_buf()
    }
}

/// Splits `FILE#NAME`. A file whose own name holds a `#` is taken whole.
fn split(argument: &str, here: &Path) -> (String, Option<String>) {
    match argument.rsplit_once('#') {
        Some((path, name)) if !here.join(argument).is_file() => {
            (path.into(), (!name.is_empty()).then(|| name.into()))
        }
        _ => (argument.into(), None),
    }
}

/// Looks for a workflow file here and upwards to the root of the repository.
fn search(here: &Path) -> Result<PathBuf, CliError> {
    let mut looked_in = here;
    for dir in here.ancestors() {
        looked_in = dir;
        if let Some(file) = NAMES.iter().map(|n| dir.join(n)).find(|p| p.is_file()) {
            return Ok(file);
        }
        if dir.join(".git").exists() {
            break;
        }
    }
    Err(CliError::Usage(format!(
        "no workflow file: looked for {} in {} and upwards to {}; name one, or `nixactions init` writes one",
        NAMES.join(" and "),
        here.display(),
        looked_in.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_follows_the_hash() {
        let dir = tempfile::tempdir().expect("a directory");
        let target = Target::find_in(Some("ci.nix#test"), dir.path()).expect("a target");
        assert_eq!(
            target,
            Target { file: dir.path().join("ci.nix"), name: Some("test".into()), fetched: None }
        );
        std::fs::write(dir.path().join("a#b.nix"), "").expect("a file");
        let target = Target::find_in(Some("a#b.nix"), dir.path()).expect("a target");
        assert_eq!(target, Target { file: dir.path().join("a#b.nix"), name: None, fetched: None });
    }

    #[test]
    fn the_search_ends_at_the_repository() {
        let dir = tempfile::tempdir().expect("a directory");
        let inner = dir.path().join("repo/deep/er");
        std::fs::create_dir_all(&inner).expect("directories");
        std::fs::create_dir(dir.path().join("repo/.git")).expect("a directory");
        std::fs::write(dir.path().join("ci.nix"), "").expect("a file");
        assert!(Target::find_in(None, &inner).is_err());
        std::fs::write(dir.path().join("repo/ci.nix"), "").expect("a file");
        let target = Target::find_in(Some("#x"), &inner).expect("a target");
        assert_eq!(target.file, dir.path().join("repo/ci.nix"));
        assert_eq!(target.name.as_deref(), Some("x"));
        assert_eq!(target.project_dir(), dir.path().join("repo"));
    }
}
