//! What is checked: files, the Nix files below directories, standard input.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::CheckArgs;
use super::overlay::Overlay;
use crate::cli::error::CliError;
use crate::cli::target::Target;

/// One file to check.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// The file, and the workflow in it that is meant.
    pub(super) target: Target,
    /// Whether it is known to be a workflow file; otherwise its text decides.
    pub(super) certain: bool,
    /// Whether it was read from standard input.
    pub(super) stdin: bool,
}

/// The name of standard input in findings when it has none.
const STDIN: &str = "<stdin>";

/// The inputs that the command line names. Standard input is read here, into the overlay.
pub(super) fn find(args: &CheckArgs, overlay: &Arc<Overlay>) -> Result<Vec<Input>, CliError> {
    let here = std::env::current_dir().map_err(CliError::io("finding the current directory"))?;
    let from_stdin = args.targets.iter().any(|t| t == "-");
    if args.stdin_filename.is_some() && !from_stdin {
        return Err(CliError::Usage("`--stdin-filename` needs `-` among the files".into()));
    }
    if args.targets.is_empty() {
        let target = Target::find(None)?;
        return Ok(vec![Input { target, certain: true, stdin: false }]);
    }
    let mut inputs: Vec<Input> = Vec::new();
    for target in &args.targets {
        if target == "-" {
            let file = here.join(args.stdin_filename.as_deref().unwrap_or(Path::new(STDIN)));
            let mut text = Vec::new();
            std::io::stdin().lock().read_to_end(&mut text).map_err(CliError::io("reading standard input"))?;
            overlay.put(file.clone(), text);
            inputs.push(Input {
                target: Target { file, name: None, fetched: None },
                certain: false,
                stdin: true,
            });
            continue;
        }
        let path = here.join(target);
        if path.is_dir() {
            let found = below(&path)?;
            if found.is_empty() && args.targets.len() == 1 {
                return Err(CliError::Usage(format!("there is no Nix file below `{target}`")));
            }
            inputs.extend(found.into_iter().map(|file| Input {
                target: Target { file, name: None, fetched: None },
                certain: false,
                stdin: false,
            }));
            continue;
        }
        let target = Target::find(Some(target))?;
        inputs.push(Input { certain: target.name.is_some(), target, stdin: false });
    }
    // A file named twice, or named and found in a directory, is checked once.
    let mut seen = std::collections::HashSet::new();
    inputs.retain(|i| seen.insert((i.target.file.clone(), i.target.name.clone())));
    Ok(inputs)
}

/// The Nix files below a directory that git does not ignore, in order.
fn below(dir: &Path) -> Result<Vec<PathBuf>, CliError> {
    let mut found = Vec::new();
    for entry in ignore::WalkBuilder::new(dir).require_git(false).build() {
        let entry = entry.map_err(|e| CliError::Usage(e.to_string()))?;
        let is_file = entry.file_type().is_some_and(|t| t.is_file());
        if is_file && entry.path().extension().is_some_and(|e| e == "nix") {
            found.push(entry.into_path());
        }
    }
    found.sort();
    Ok(found)
}
