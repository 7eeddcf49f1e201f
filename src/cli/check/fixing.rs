//! `check --fix`: rounds of checking and fixing until nothing is left to fix, then the files are
//! written.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::Input;
use super::overlay::Overlay;
use super::{CheckArgs, Round, exit, write};
use crate::base::source::{Source, SourceName};
use crate::cli::args::Global;
use crate::cli::error::{CliError, Exit};
use crate::lint::fix;

/// Rounds after which fixes that bring each other back are left alone.
const MOST_ROUNDS: usize = 20;

/// Fixes what can be fixed, writes the files, and shows what is left.
pub(super) fn run(
    args: &CheckArgs,
    global: &Global,
    inputs: &[Input],
    overlay: &Arc<Overlay>,
) -> Result<Exit, CliError> {
    let mut fixed: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut round = super::check(args, inputs, overlay)?;
    for _ in 0..MOST_ROUNDS {
        let applied = apply(args, inputs, overlay, &round);
        if applied.is_empty() {
            break;
        }
        for (file, count) in applied {
            *fixed.entry(file).or_default() += count;
        }
        round = super::check(args, inputs, overlay)?;
    }
    let from_stdin = inputs.iter().find(|i| i.stdin).map(|i| i.target.file.clone());
    for (file, count) in &fixed {
        if from_stdin.as_ref() == Some(file) {
            continue;
        }
        let Some(text) = overlay.get(file) else { continue };
        replace(file, &text).map_err(CliError::io(format!("writing {}", file.display())))?;
        let plural = if *count == 1 { "" } else { "s" };
        eprintln!("fixed {count} finding{plural} in {}", shown(file));
    }
    match from_stdin.and_then(|file| overlay.get(&file)) {
        // The text is what was asked for; findings go beside it.
        Some(text) => {
            crate::cli::error::print_bytes(&text)?;
            if !round.findings.is_empty() {
                write(args, global, &round, io::stderr())?;
            }
        }
        None => write(args, global, &round, io::stdout())?,
    }
    Ok(exit(args, &round.findings))
}

/// Applies one round of fixes in the overlay: files of the inputs only.
fn apply(args: &CheckArgs, inputs: &[Input], overlay: &Overlay, round: &Round) -> Vec<(PathBuf, usize)> {
    let mut sources: BTreeMap<PathBuf, Arc<Source>> = BTreeMap::new();
    for d in &round.findings {
        let Some(fix) = fix::chosen(d, args.unsafe_fixes) else { continue };
        for edit in &fix.edits {
            let source = &edit.place.source;
            if let SourceName::Path(path) = source.name()
                && inputs.iter().any(|i| i.target.file == *path)
            {
                sources.insert(path.clone(), source.clone());
            }
        }
    }
    let mut applied = Vec::new();
    for (path, source) in sources {
        if let Some(fixed) = fix::apply(&source, &round.findings, args.unsafe_fixes) {
            overlay.put(path.clone(), fixed.text);
            applied.push((path, fixed.applied));
        }
    }
    applied
}

/// Writes a file by renaming a complete new one over it, keeping its mode; a link is followed.
fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let file = fs::canonicalize(file)?;
    let mode = fs::metadata(&file)?.permissions();
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let new = file.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        let mut out = fs::OpenOptions::new().write(true).create_new(true).open(&new)?;
        out.write_all(text)?;
        out.set_permissions(mode)?;
        out.sync_all()?;
        fs::rename(&new, &file)
    })();
    if written.is_err() {
        // What matters is the first error; the new file may not be there.
        drop(fs::remove_file(&new));
    }
    written
}

fn shown(file: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    file.strip_prefix(here).unwrap_or(file).display().to_string()
}
