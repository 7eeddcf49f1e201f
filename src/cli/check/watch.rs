//! `check --watch`: checks again whenever a file that was read has changed.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::overlay::Overlay;
use super::{CheckArgs, files, settings, write};
use crate::cli::args::Global;
use crate::cli::changes::{State, state};
use crate::cli::error::{CliError, Exit};

/// Time between looks at the files.
const PAUSE: Duration = Duration::from_millis(200);

/// Checks until it is interrupted.
pub(super) fn run(args: &CheckArgs, global: &Global) -> Result<Exit, CliError> {
    if args.targets.iter().any(|t| t == "-") {
        return Err(CliError::Usage("`--watch` cannot watch standard input".into()));
    }
    loop {
        let overlay = Arc::new(Overlay::default());
        let inputs = files::find(args, &overlay)?;
        let mut watched: Vec<PathBuf> = inputs.iter().map(|i| i.target.file.clone()).collect();
        watched.extend(inputs.iter().filter_map(|i| settings::nearest(&i.target.file)));
        watched.extend(inputs.iter().filter_map(|i| i.target.file.parent()).map(Path::to_path_buf));
        // Taken before the check, so that a change during it is seen.
        let before: Vec<(PathBuf, State)> = watched.into_iter().map(|p| (p.clone(), state(&p))).collect();
        let round = super::check(args, &inputs, &overlay)?;
        let mut seen = before;
        seen.extend(overlay.read());
        let mut out = io::stdout();
        if out.is_terminal() {
            let cleared = out.write_all(b"\x1b[2J\x1b[H");
            cleared.map_err(CliError::io("writing to standard output"))?;
        }
        write(args, global, &round, io::stdout())?;
        eprintln!("watching {} for changes; Ctrl-C ends", count(seen.len()));
        while seen.iter().all(|(path, was)| state(path) == *was) {
            std::thread::sleep(PAUSE);
        }
    }
}

fn count(files: usize) -> String {
    format!("{files} file{}", if files == 1 { "" } else { "s" })
}
