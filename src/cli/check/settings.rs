//! Levels of findings: those of the nearest `nixactions.toml`, then those of the command line.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::CheckArgs;
use super::files::Input;
use crate::base::source::{Source, SourceName};
use crate::cli::error::CliError;
use crate::diag::Diagnostic;
use crate::lint::{Level, Levels};

/// The options that set levels.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Levels")]
pub(super) struct LevelArgs {
    /// Report this as a warning (a code or its name; may be given several times)
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    warn: Vec<String>,
    /// Report this as an error
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    deny: Vec<String>,
    /// Do not report this
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    allow: Vec<String>,
}

impl LevelArgs {
    /// Codes that do not exist are wrong usage.
    pub(super) fn check(&self) -> Result<(), CliError> {
        self.apply(&mut Levels::default())
    }

    fn apply(&self, levels: &mut Levels) -> Result<(), CliError> {
        let lists = [
            ("allow", &self.allow, Level::Allow),
            ("warn", &self.warn, Level::Warn),
            ("deny", &self.deny, Level::Deny),
        ];
        for (option, names, level) in lists {
            for name in names {
                levels.set(name, level).map_err(|e| CliError::Usage(format!("--{option}: {e}")))?;
            }
        }
        Ok(())
    }
}

/// Name of the project's settings.
const FILE: &str = "nixactions.toml";

/// The levels for each input, and what is wrong in the settings.
pub(super) fn levels(args: &CheckArgs, inputs: &[Input]) -> Result<(Vec<Levels>, Vec<Diagnostic>), CliError> {
    let mut by_file: HashMap<Option<PathBuf>, Levels> = HashMap::new();
    let mut wrong = Vec::new();
    let mut all = Vec::new();
    for input in inputs {
        let file = nearest(&input.target.file);
        if !by_file.contains_key(&file) {
            let mut levels = Levels::default();
            if let Some(path) = &file {
                let text =
                    std::fs::read(path).map_err(CliError::io(format!("reading {}", path.display())))?;
                let source = Source::new(SourceName::Path(path.clone()), text);
                wrong.extend(levels.read(&source).err().unwrap_or_default());
            }
            args.levels.apply(&mut levels)?;
            by_file.insert(file.clone(), levels);
        }
        all.push(by_file.get(&file).cloned().unwrap_or_default());
    }
    Ok((all, wrong))
}

/// The settings beside a file, or above it up to the root of the repository.
pub(super) fn nearest(file: &Path) -> Option<PathBuf> {
    for dir in file.parent()?.ancestors() {
        let settings = dir.join(FILE);
        if settings.is_file() {
            return Some(settings);
        }
        if dir.join(".git").exists() {
            break;
        }
    }
    None
}
