//! Levels of findings for a file: those of the nearest `nixactions.toml`.

use std::path::Path;

use crate::base::source::{Source, SourceName};
use crate::diag::Diagnostic;
use crate::eval::io::EvalIo;
use crate::lint::Levels;

/// The file that holds them.
pub const FILE: &str = "nixactions.toml";

/// The levels for a file, and what is wrong with the file that gives them: the first `nixactions.toml`
/// in its folder or upwards to the root of the repository.
pub fn of(file: &Path, io: &dyn EvalIo) -> (Levels, Vec<Diagnostic>) {
    let mut levels = Levels::default();
    for dir in file.ancestors().skip(1) {
        let path = dir.join(FILE);
        if let Ok(text) = io.read_file(&path) {
            let source = Source::new(SourceName::Path(path), text);
            let wrong = levels.read(&source).err().unwrap_or_default();
            return (levels, wrong);
        }
        if dir.join(".git").exists() {
            break;
        }
    }
    (levels, Vec::new())
}
