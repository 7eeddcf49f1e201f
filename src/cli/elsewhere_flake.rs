//! Workflows of flakes that are elsewhere: `nixactions run github:OWNER/REPO#NAME`.

use std::path::Path;

use super::error::CliError;
use super::load::Evaluation;
use super::machine::{Machine, Reach};
use super::target::Target;
use crate::eval::io::EvalIo;
use crate::eval::world::WorldError;

/// What references to flakes begin with; `git+ssh:` and its like have their transport after a `+`.
const SCHEMES: [&str; 9] =
    ["github", "gitlab", "sourcehut", "git", "tarball", "flake", "http", "https", "path"];

/// The reference and the name of a workflow in an argument such as `github:a/b#ci`.
pub(super) fn reference<'a>(argument: &'a str, here: &Path) -> Option<(&'a str, Option<&'a str>)> {
    if here.join(argument).exists() {
        return None;
    }
    let (reference, name) = match argument.split_once('#') {
        Some((reference, name)) => (reference, Some(name).filter(|n| !n.is_empty())),
        None => (argument, None),
    };
    let scheme = reference.split_once(':')?.0;
    let scheme = scheme.split_once('+').map_or(scheme, |(kind, _)| kind);
    SCHEMES.contains(&scheme).then_some((reference, name))
}

/// Fetches a flake; the target is its `flake.nix`, and the project is the fetched source.
pub(super) fn fetch(
    reference: &str,
    name: Option<&str>,
    here: &Path,
    evaluation: &Evaluation,
) -> Result<Target, CliError> {
    let (settings, _) = evaluation.settings()?;
    let world = Machine::new(Reach::Everything, &settings.store_dir, evaluation.offline).world();
    let failed = |e: WorldError| match e {
        WorldError::Unavailable(text) | WorldError::Failed(text) => {
            CliError::Infrastructure(format!("cannot fetch the flake `{reference}`: {text}"))
        }
    };
    let source = world.parse_reference(reference, here).map_err(failed)?;
    let tree = world.tree(&source).map_err(failed)?;
    let file = tree.path.join(source.text("dir").unwrap_or_default()).join("flake.nix");
    if !file.is_file() {
        let dir = source.text("dir").map_or(String::new(), |dir| format!(" in its directory `{dir}`"));
        return Err(CliError::Usage(format!("`{reference}` is no flake: it has no flake.nix{dir}")));
    }
    Ok(Target { file, name: name.map(Into::into), fetched: Some(tree.path) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_from_files() {
        let here = Path::new("/nowhere");
        assert_eq!(reference("github:a/b#ci", here), Some(("github:a/b", Some("ci"))));
        assert_eq!(reference("git+ssh://h/r?ref=x", here), Some(("git+ssh://h/r?ref=x", None)));
        assert_eq!(reference("path:/a#", here), Some(("path:/a", None)));
        for file in ["ci.nix#test", ".#ci", "#ci", "a:b.nix", ""] {
            assert_eq!(reference(file, here), None, "{file}");
        }
    }
}
