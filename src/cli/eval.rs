//! `nixactions eval`: what `nix-instantiate --eval` does, without Nix.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bumpalo::Bump;
use clap::Args;

use super::derivation::instantiate;
use super::error::{CliError, Exit};
use super::machine::{Machine, Reach};
use super::nix_error::{plain, warning};
use super::nix_options::{Argument, NixOptions};
use crate::base::source::{Source, SourceName, SpanId};
use crate::base::symbol::Symbol;
use crate::eval::builtins::xml::{self, settled};
use crate::eval::coerce::{Coerce, type_name};
use crate::eval::error::{ErrorKind, EvalError};
use crate::eval::{Attrs, Evaluation, Heap, Res, Slot, Value, attrs, builtins, on_big_stack};
use crate::syntax;

const EXAMPLES: &str = "\
Examples:
  nixactions eval -E '1 + 1'
  nixactions eval --strict --json default.nix
  nixactions eval -A version package.nix
  echo '{ a = 1; }' | nixactions eval -";

/// Evaluate Nix expressions and print their values, as `nix-instantiate --eval` does
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub(super) struct EvalArgs {
    /// Files, `<names>` of the search path, expressions with `-E`, or `-` for standard input
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    /// Take the arguments as expressions
    #[arg(short = 'E', long)]
    expr: bool,
    /// Select an attribute of the value
    #[arg(short = 'A', long, value_name = "PATH")]
    attr: Vec<String>,
    /// Evaluate also what lists and sets hold
    #[arg(long)]
    strict: bool,
    /// Add derivations to the store, and print their paths
    #[arg(long, conflicts_with_all = ["json", "xml", "raw", "strict"])]
    instantiate: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print XML
    #[arg(long)]
    xml: bool,
    /// Leave out of XML where things were written
    #[arg(long)]
    no_location: bool,
    /// Print a string as it is
    #[arg(long)]
    raw: bool,
    /// Print the expressions as they are understood, and evaluate nothing
    #[arg(long)]
    parse: bool,
    /// Evaluate; what this command does anyway
    #[arg(long, hide = true, alias = "eval-only")]
    eval: bool,
    /// Accepted for its meaning to Nix, to which it limits builds; nothing is built
    #[arg(long, hide = true, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Accepted for its meaning to Nix; evaluation never writes to the store
    #[arg(long, hide = true)]
    readonly_mode: bool,
    /// Accepted for its meaning to Nix; evaluation never writes to the store
    #[arg(long, hide = true)]
    read_write_mode: bool,
    /// Fetch nothing: take sources from the store and the cache
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    nix: NixOptions,
}

/// What evaluation of the command line ended with.
enum Failure {
    Evaluation(String),
    Io(CliError),
}

/// Evaluates and prints.
pub(super) fn run(args: &EvalArgs) -> Result<Exit, CliError> {
    let resolved = args.nix.resolve()?;
    for warning in &resolved.warnings {
        eprintln!("warning: {warning}");
    }
    let show_trace = resolved.show_trace;
    let outcome = on_big_stack(|| {
        let heap = Heap::new();
        let failed = |e: Box<EvalError>| Failure::Evaluation(plain(&e, show_trace));
        let machine = Machine::new(Reach::Everything, &resolved.settings.store_dir, args.offline);
        let evaluation = Evaluation::new(&heap, resolved.settings.clone(), machine)
            .map_err(CliError::io("preparing evaluation"))
            .map_err(Failure::Io)?;
        let mut session = Session { ev: evaluation, args, auto: Vec::new() };
        session.ev.warn = Box::new(|of| eprintln!("{}", warning(of)));
        session.all(failed)
    });
    match outcome {
        Ok(()) => Ok(Exit::Success),
        Err(Failure::Evaluation(text)) => Err(CliError::Nix(text)),
        Err(Failure::Io(e)) => Err(e),
    }
}

struct Session<'a, 'h> {
    ev: Evaluation<'h>,
    args: &'a EvalArgs,
    /// Arguments for functions.
    auto: Vec<(Symbol, Value<'h>)>,
}

impl<'h> Session<'_, 'h> {
    fn all(mut self, failed: impl Fn(Box<EvalError>) -> Failure) -> Result<(), Failure> {
        let here = std::env::current_dir()
            .map_err(CliError::io("finding the current directory"))
            .map_err(Failure::Io)?;
        for (name, argument) in self.args.nix.arguments() {
            let value = match argument {
                Argument::Str(text) => self.ev.heap.string(text.as_bytes()),
                Argument::Expr(text) => {
                    self.ev.eval_text(SourceName::String, text.as_bytes(), &here).map_err(&failed)?
                }
            };
            self.auto.retain(|(n, _)| *n != Symbol::intern(&name));
            self.auto.push((Symbol::intern(&name), value));
        }
        let mut targets: Vec<&str> = self.args.files.iter().map(String::as_str).collect();
        if targets.is_empty() && !self.args.expr {
            targets.push("./default.nix");
        }
        // Standard input comes first, as with Nix.
        targets.sort_by_key(|t| *t != "-");
        for target in targets {
            let output = self.target(target, &here).map_err(|e| match e {
                TargetError::Evaluation(e) => failed(e),
                TargetError::Io(e) => Failure::Io(e),
            })?;
            let mut out = io::stdout().lock();
            out.write_all(&output)
                .and_then(|()| out.flush())
                .map_err(CliError::io("writing to standard output"))
                .map_err(Failure::Io)?;
        }
        Ok(())
    }

    /// The text of one argument, and the directory that its paths start from.
    fn source(&mut self, target: &str, here: &Path) -> Result<(Arc<Source>, PathBuf), TargetError> {
        if target == "-" {
            let mut text = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut text);
            read.map_err(CliError::io("reading standard input")).map_err(TargetError::Io)?;
            return Ok((Source::new(SourceName::Stdin, text), here.to_owned()));
        }
        if self.args.expr {
            return Ok((Source::new(SourceName::String, target.as_bytes().to_vec()), here.to_owned()));
        }
        let path = self.file(target, here)?;
        let file = self.ev.resolve_import(&path, SpanId::NONE)?;
        Ok(self.ev.read_source(&file, SpanId::NONE)?)
    }

    /// What is printed for one argument.
    fn target(&mut self, target: &str, here: &Path) -> Result<Vec<u8>, TargetError> {
        let (source, dir) = self.source(target, here)?;
        if self.args.parse {
            return Ok(self.parsed(source, &dir)?);
        }
        let root = self.ev.eval_source(source, &dir)?;
        let whole = [String::new()];
        let paths = if self.args.attr.is_empty() { &whole[..] } else { &self.args.attr };
        let mut out = Vec::new();
        for path in paths {
            let value = self.select(root, path)?;
            // Without arguments a function is a value like any other.
            let value = match self.auto.is_empty() {
                true => self.ev.force_value(value)?,
                false => {
                    let value = self.ev.force_value(value)?;
                    let called = self.ev.auto_call(value, &self.auto, SpanId::NONE)?;
                    self.ev.force_value(called)?
                }
            };
            if self.args.instantiate {
                out.extend(instantiate(&mut self.ev, value)?.into_bytes());
                continue;
            }
            self.print(value, &mut out)?;
        }
        Ok(out)
    }

    /// The expression as Nix understands it, with what it is short for.
    fn parsed(&self, source: Arc<Source>, dir: &Path) -> Res<Vec<u8>> {
        self.ev.lower_source(source.clone(), dir)?;
        let arena = Bump::new();
        let options = syntax::Options { lints: syntax::Lints::default(), ..self.ev.syntax_options() };
        let tree = syntax::parse(source.text(), &arena, options)
            .map_err(|e| EvalError::new(ErrorKind::Syntax, e.to_string(), SpanId::NONE))?;
        let mut out = syntax::show::show(tree, dir.as_os_str().as_encoded_bytes());
        out.push(b'\n');
        Ok(out)
    }

    /// The path that a file argument names.
    fn file(&mut self, target: &str, here: &Path) -> Result<PathBuf, Box<EvalError>> {
        if let Some(name) = target.strip_prefix('<').and_then(|t| t.strip_suffix('>')) {
            return match self.ev.search_path(name.as_bytes(), SpanId::NONE)? {
                Value::Path(p) => Ok(Evaluation::os_path(p.bytes).to_owned()),
                _ => Ok(here.join(name)),
            };
        }
        Ok(here.join(target))
    }

    /// The value at an attribute path.
    fn select(&mut self, root: Value<'h>, path: &str) -> Res<Value<'h>> {
        let mut value = root;
        for part in split_path(path)? {
            let forced = self.ev.force_value(value)?;
            let called = self.ev.auto_call(forced, &self.auto, SpanId::NONE)?;
            value = self.ev.force_value(called)?;
            let wrong = |wanted: &str| {
                let text = format!(
                    "the expression selected by the selection path '{path}' should be {wanted} but is {}",
                    type_name(value)
                );
                EvalError::type_error(text, SpanId::NONE)
            };
            let slot = match (value, part.parse::<u32>()) {
                (Value::List(list), Ok(index)) => list.items.get(index as usize).ok_or_else(|| {
                    let text = format!("list index {index} in selection path '{path}' is out of range");
                    EvalError::new(ErrorKind::MissingAttr, text, SpanId::NONE)
                })?,
                (_, Ok(_)) => return Err(wrong("a list")),
                (Value::Attrs(set), Err(_)) => {
                    if part.is_empty() {
                        let text = format!("empty attribute name in selection path '{path}'");
                        return Err(EvalError::other(text, SpanId::NONE));
                    }
                    let name = Symbol::intern(&part);
                    set.get(name).ok_or_else(|| {
                        let text = format!("attribute '{part}' in selection path '{path}' not found");
                        let known = set.sorted().into_iter().map(|a| a.name);
                        EvalError::new(ErrorKind::MissingAttr, text, SpanId::NONE)
                            .suggest(attrs::near(name, known))
                    })?
                }
                (_, Err(_)) => return Err(wrong("a set")),
            };
            value = Value::Ref(slot);
        }
        Ok(value)
    }

    fn print(&mut self, value: Value<'h>, out: &mut Vec<u8>) -> Res<()> {
        let args = self.args;
        if args.raw {
            let text = self
                .ev
                .coerce_to_str(value, Coerce::Strict, true, SpanId::NONE)
                .map_err(|e| e.context("while generating the nix-instantiate output", SpanId::NONE))?;
            out.extend_from_slice(text.bytes);
        } else if args.xml {
            let document = xml::document(&mut self.ev, value, args.strict, !args.no_location)?;
            out.extend_from_slice(document.as_bytes());
        } else if args.json {
            if !args.strict {
                no_thunks(self.ev.slot(value))?;
            }
            let to_json = builtins::all().find(|b| b.name == "toJSON");
            let to_json = to_json.ok_or_else(|| EvalError::other("there is no toJSON", SpanId::NONE))?;
            let argument = [Slot::new(value)];
            let text = (to_json.run)(&mut self.ev, &argument, SpanId::NONE)?;
            if let Value::Str(s) = self.ev.force_value(text)? {
                out.extend_from_slice(s.bytes);
            }
            out.push(b'\n');
        } else {
            let slot = self.ev.slot(value);
            if args.strict {
                self.ev.force_deep(slot, SpanId::NONE)?;
                self.ev.print(slot, out)?;
            } else {
                self.ev.print_lazily(slot, out)?;
            }
            out.push(b'\n');
        }
        Ok(())
    }
}

enum TargetError {
    Evaluation(Box<EvalError>),
    Io(CliError),
}

impl From<Box<EvalError>> for TargetError {
    fn from(e: Box<EvalError>) -> Self {
        TargetError::Evaluation(e)
    }
}

/// Without `--strict` JSON is made only of what is evaluated already.
fn no_thunks(slot: &Slot<'_>) -> Res<()> {
    let special =
        |set: &Attrs<'_>| ["__toString", "outPath"].into_iter().any(|n| set.get(Symbol::intern(n)).is_some());
    // The way to each value, as the index of the step before and what the step is.
    let mut steps: Vec<(Option<usize>, String, SpanId)> = Vec::new();
    let mut pending = vec![(settled(slot), None::<usize>)];
    while let Some((value, step)) = pending.pop() {
        match value {
            Value::Thunk(..) | Value::Lazy(..) | Value::Failed(_) | Value::Blackhole(_) => {
                let span = step.map_or(SpanId::NONE, |i| steps[i].2);
                let mut error = EvalError::type_error("cannot convert a thunk to JSON", span);
                let mut at = step;
                while let Some((before, text, span)) = at.map(|i| &steps[i]) {
                    error = error.context(text.clone(), *span);
                    at = *before;
                }
                return Err(error);
            }
            Value::List(list) => {
                for (i, item) in list.items.iter().enumerate().rev() {
                    let span = step.map_or(SpanId::NONE, |i| steps[i].2);
                    steps.push((step, format!("while evaluating list element at index {i}"), span));
                    pending.push((settled(item), Some(steps.len() - 1)));
                }
            }
            Value::Attrs(set) if !special(set) => {
                for a in set.sorted().into_iter().rev() {
                    steps.push((step, format!("while evaluating attribute '{}'", a.name.text()), a.span));
                    pending.push((settled(a.slot), Some(steps.len() - 1)));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The parts of an attribute path; a part in double quotes may hold dots.
fn split_path(path: &str) -> Res<Vec<String>> {
    let mut parts = Vec::new();
    let mut current = String::new();
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '.' => parts.push(std::mem::take(&mut current)),
            '"' => loop {
                match chars.next() {
                    Some('"') => break,
                    Some(c) => current.push(c),
                    None => {
                        let text = format!("missing closing quote in selection path '{path}'");
                        return Err(EvalError::other(text, SpanId::NONE));
                    }
                }
            },
            c => current.push(c),
        }
    }
    if !current.is_empty() {
        parts.push(current);
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_paths_split_at_dots_outside_of_quotes() {
        let split = |p| split_path(p).map_err(|e| e.text().into_owned());
        assert_eq!(split("a.\"b.c\".0"), Ok(vec!["a".into(), "b.c".into(), "0".into()]));
        assert_eq!(split(""), Ok(vec![]));
        assert_eq!(split("x..y"), Ok(vec!["x".into(), "".into(), "y".into()]));
        assert!(split("\"a").is_err());
    }
}
