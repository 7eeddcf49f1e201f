//! Lowering: from the syntax tree to the intermediate representation.
//!
//! Two walks in the same order. The first (`resolve`) looks names up, finds undefined variables
//! and learns which constructs need an environment block of their own; the second (`emit`)
//! writes the tree, and takes from the first what each name stands for, in order.

mod emit;
mod function;
mod resolve;
mod set;
mod strict;

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use bumpalo::Bump;

use super::module::{CodeIds, Module};
use crate::base::source::{self, Place, Source};
use crate::base::suggest::did_you_mean;
use crate::base::symbol::Symbol;
use crate::diag::{Diagnostic, Label};
use crate::syntax::ast::{Expr, ExprKind, Span};
use crate::syntax::{self, ParseError, Problem};
use rustc_hash::FxHashMap;

/// What lowering is told.
pub struct LowerOptions<'a> {
    /// Directory that relative path literals start from; absolute.
    pub base_dir: &'a Path,
    /// Global names and their indices.
    pub globals: &'a FxHashMap<Symbol, u32>,
    /// Settings of the parser.
    pub syntax: syntax::Options,
    /// Told of discouraged literals.
    pub warn: &'a dyn Fn(&Diagnostic),
}

/// A variable that nothing defines.
struct Undefined {
    name: Symbol,
    span: Span,
    help: Option<String>,
}

/// Parses and lowers a source. Needs a large stack for deeply nested texts.
///
/// # Errors
/// All syntax errors, duplicate definitions and undefined variables that were found.
pub fn load(source: Arc<Source>, options: &LowerOptions<'_>) -> Result<Arc<Module>, Vec<Diagnostic>> {
    // The trees of one thread's files use the same memory one after the other: fresh pages are a
    // good part of the cost of a short file.
    let mut arena = TREES.take();
    let loaded = load_in(source, options, &arena);
    if arena.allocated_bytes() <= MOST_KEPT {
        arena.reset();
        TREES.set(arena);
    }
    loaded
}

const MOST_KEPT: usize = 64 << 20;

thread_local! {
    static TREES: Cell<Bump> = Cell::default();
}

fn load_in(
    source: Arc<Source>,
    options: &LowerOptions<'_>,
    arena: &Bump,
) -> Result<Arc<Module>, Vec<Diagnostic>> {
    let text = source.text().clone();
    let warn = |e: &ParseError| (options.warn)(&e.diagnostic(&source));
    let root =
        syntax::parse_warning(&text, arena, options.syntax, warn).map_err(|first| match first.problem {
            Problem::PipesDisabled
            | Problem::TooDeep(_)
            | Problem::TooLarge
            | Problem::Discouraged { .. } => vec![first.diagnostic(&source)],
            _ => syntax::syntax_errors(&source, &first),
        })?;
    lower(source, root, options)
}

fn lower(
    source: Arc<Source>,
    root: &Expr<'_>,
    options: &LowerOptions<'_>,
) -> Result<Arc<Module>, Vec<Diagnostic>> {
    let mut resolved = resolve::resolve(root, options.globals);
    if let Some(span) = resolved.too_deep {
        let problem = Problem::TooDeep(syntax::parser::MAX_DEPTH);
        return Err(vec![ParseError { span, problem }.diagnostic(&source)]);
    }
    if !resolved.undefined.is_empty() {
        resolved.undefined.sort_by_key(|u| u.span);
        return Err(resolved.undefined.iter().map(|u| undefined(u, &source)).collect());
    }
    let ids =
        CodeIds::reserve(resolved.codes).map_err(|e| vec![Diagnostic::error("NXA022", e.to_string())])?;
    // More spans than two for each byte cannot be needed; those beyond would have no place.
    let most = (source.text().len() as u32).saturating_mul(2).saturating_add(16);
    let source_len = source.text().len();
    let block = source::reserve(source, most);
    let spans = block.clone();
    let base_dir = std::os::unix::ffi::OsStrExt::as_bytes(options.base_dir.as_os_str());
    let capacity = likely_size(&resolved, source_len);
    Ok(Module::build(ids, block, capacity, |arena, ids| {
        emit::emit(root, &resolved, arena, ids, &spans, base_dir)
    }))
}

/// Bytes that a file's representation likely takes, a little more than less: fitted to the files of
/// nixpkgs, nine in ten of which fit. The memory of one that does not grows by more than it needs.
fn likely_size(resolved: &resolve::Resolved, text: usize) -> usize {
    let likely = resolved.codes as usize * 160
        + resolved.meanings.len() * 22
        + resolved.bindings.len() * 9
        + text * 8 / 5;
    likely + likely / 6
}

fn undefined(u: &Undefined, source: &Arc<Source>) -> Diagnostic {
    let mut d = Diagnostic::error("NXA011", format!("undefined variable '{}'", u.name.text()));
    let place = Place { source: source.clone(), start: u.span.start, end: u.span.end };
    d.primary = Some(Label { place, text: String::new() });
    d.help = u.help.clone();
    d
}

fn suggestion(name: Symbol, known: impl Iterator<Item = Symbol>) -> Option<String> {
    let names: Vec<_> = known.map(Symbol::text).collect();
    did_you_mean(&name.text(), names.iter().map(|n| &**n))
}

/// Whether an expression is cheap, cannot fail, and needs neither frame nor environment.
fn is_constant(e: &Expr<'_>) -> bool {
    match &e.kind {
        ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Str(_) | ExprKind::Path(_) => true,
        ExprKind::List(items) => items.is_empty(),
        _ => false,
    }
}
