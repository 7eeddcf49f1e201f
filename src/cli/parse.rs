//! `nixactions parse`: accepts or rejects files as Nix would.

use std::io::{self, Read};
use std::rc::Rc;

use clap::Args;

use super::error::{CliError, Exit};
use super::nix_error::plain;
use super::nix_options::NixOptions;
use crate::base::source::{Source, SourceName};
use crate::eval::io::System;
use crate::eval::{Evaluation, Heap, on_big_stack};

const EXAMPLES: &str = "\
Examples:
  nixactions parse ci.nix
  nixactions parse -E 'x: x + 1'
  git ls-files '*.nix' | xargs nixactions parse";

/// Say whether files are valid Nix; evaluates nothing
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub(super) struct ParseArgs {
    /// Files, expressions with `-E`, or `-` for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// Take the arguments as expressions
    #[arg(short = 'E', long)]
    expr: bool,
    #[command(flatten)]
    nix: NixOptions,
}

/// Reads every file; the errors of all of them are shown.
pub(super) fn run(args: &ParseArgs) -> Result<Exit, CliError> {
    let resolved = args.nix.resolve()?;
    for warning in &resolved.warnings {
        eprintln!("warning: {warning}");
    }
    let here = std::env::current_dir().map_err(CliError::io("finding the current directory"))?;
    let errors = on_big_stack(|| -> Result<Vec<String>, CliError> {
        let mut errors = Vec::new();
        for file in &args.files {
            // A heap for each keeps no more than one file in memory.
            let heap = Heap::new();
            let evaluation = Evaluation::new(&heap, resolved.settings.clone(), Rc::new(System));
            let evaluation = evaluation.map_err(CliError::io("preparing evaluation"))?;
            let (name, text) = match file.as_str() {
                "-" => {
                    let mut text = Vec::new();
                    let read = io::stdin().lock().read_to_end(&mut text);
                    read.map_err(CliError::io("reading standard input"))?;
                    (SourceName::Stdin, text)
                }
                expr if args.expr => (SourceName::String, expr.as_bytes().to_vec()),
                path => {
                    let path = here.join(path);
                    match std::fs::read(&path) {
                        Ok(text) => (SourceName::Path(path), text),
                        Err(e) => {
                            errors.push(format!("error: reading {}: {e}", path.display()));
                            continue;
                        }
                    }
                }
            };
            let dir = match &name {
                SourceName::Path(path) => path.parent().unwrap_or(&here).to_owned(),
                _ => here.clone(),
            };
            if let Err(e) = evaluation.lower_source(Source::new(name, text), &dir) {
                errors.push(plain(&e, resolved.show_trace));
            }
        }
        Ok(errors)
    })?;
    match errors.is_empty() {
        true => Ok(Exit::Success),
        false => Err(CliError::Nix(errors.join("\n"))),
    }
}
