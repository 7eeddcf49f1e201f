//! Go to definition: variables, jobs, artifacts, attributes, files.

use std::path::Path;

use rnix::ast;
use rnix::{SyntaxKind, SyntaxNode, TextRange};
use rowan::ast::AstNode;

use super::document::range;
use super::facts::{Spot, part_of_path};
use super::place::{Context, path_names};
use super::probe::{Answer, Probe, Query, Sliced, slice, slice_text};
use super::scope::{DefKind, Resolved};
use super::target::{Role, Target, at, base_text, jobs_written, mentions};

/// Where something is defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The text that was asked about.
    pub origin: TextRange,
    /// The places.
    pub spots: Vec<Spot>,
}

/// Where what is named at an offset is defined. `is_dir` tells folders from files.
pub fn definition(
    context: &Context<'_>,
    offset: u32,
    probe: &dyn Probe,
    is_dir: &dyn Fn(&Path) -> bool,
) -> Option<Definition> {
    let (origin, target) = at(context, offset)?;
    let here = |range: TextRange| Spot { file: context.document.path().to_owned(), range };
    let spots = match target {
        Target::Variable(ident, resolved) => match resolved {
            // `inherit name;` leads on to what it takes over.
            Resolved::Def(d) if d.kind == DefKind::Inherit && d.range == origin => {
                let outer = match context.scopes.resolve_outer(&ident) {
                    Resolved::Def(outer) => Some(here(outer.range)),
                    _ => None,
                };
                vec![inherited(context, &ident, probe).or(outer).unwrap_or_else(|| here(d.range))]
            }
            Resolved::Def(d) => vec![here(d.range)],
            Resolved::With(namespaces) => {
                let name = ident.text().to_string();
                let found = namespaces.iter().find_map(|n| attribute_of(context, n, &name, probe));
                found.into_iter().collect()
            }
            Resolved::Builtin(_) | Resolved::Unknown => Vec::new(),
        },
        Target::Job(name) => jobs_named(context, &name),
        Target::Artifact(name) => {
            let given = mentions(context).into_iter().filter(|m| m.role == Role::Output && m.name == name);
            given.map(|m| m.spot).collect()
        }
        Target::File(path) => {
            let file = if is_dir(&path) { path.join("default.nix") } else { path };
            vec![Spot { file, range: range(0, 0) }]
        }
        Target::Attribute(select, index, name) => {
            let written = written_attribute(context, &select, index).map(here);
            let asked = || {
                let base = ast::Select::cast(select.clone())?.expr()?;
                let sliced = match index {
                    0 => slice(&context.scopes, base.syntax()),
                    _ => slice_text(&context.scopes, &select, &base_text(&select, index)?),
                };
                attribute_in(context, &sliced, &name, probe)
            };
            written.or_else(asked).into_iter().collect()
        }
    };
    (!spots.is_empty()).then_some(Definition { origin, spots })
}

/// Where an attribute of the value of an expression was written.
fn attribute_of(context: &Context<'_>, expr: &SyntaxNode, name: &str, probe: &dyn Probe) -> Option<Spot> {
    attribute_in(context, &slice(&context.scopes, expr), name, probe)
}

fn attribute_in(context: &Context<'_>, sliced: &Sliced, name: &str, probe: &dyn Probe) -> Option<Spot> {
    match probe.ask(sliced.text.clone(), Query::AttributePlace(name.to_owned()))? {
        Answer::Place(spot) => Some(spot),
        Answer::Inside(inside) => {
            let range = part_of_path(&context.root, sliced.back(inside)?, name);
            Some(Spot { file: context.document.path().to_owned(), range })
        }
        _ => None,
    }
}

fn inherited(context: &Context<'_>, ident: &SyntaxNode, probe: &dyn Probe) -> Option<Spot> {
    let from = ast::Inherit::cast(ident.parent()?)?.from()?.expr()?;
    attribute_of(context, from.syntax(), &ident.text().to_string(), probe)
}

/// Where the job of a name is written; of a copy in a matrix, the job it is a copy of.
pub fn jobs_named(context: &Context<'_>, name: &str) -> Vec<Spot> {
    if let Some(present) = &context.facts {
        let named = present.facts.jobs().filter(|(_, j)| j.name.name == name || j.written_as == name);
        let mut spots: Vec<Spot> =
            named.filter_map(|(_, j)| present.anywhere_named(j.name.spot.as_ref(), &j.written_as)).collect();
        spots.dedup();
        if !spots.is_empty() {
            return spots;
        }
    }
    let file = context.document.path();
    let written = jobs_written(&context.root).into_iter().filter(|j| j.name == name);
    written.map(|j| Spot { file: file.to_owned(), range: j.range }).collect()
}

/// The key of a set that is written out in this text and bound to the name the selection begins
/// with.
fn written_attribute(context: &Context<'_>, select: &SyntaxNode, index: usize) -> Option<TextRange> {
    let select = ast::Select::cast(select.clone())?;
    let base = select.expr()?;
    let mut value = context.def_of(base.syntax())?.value?;
    let names: Vec<String> =
        select.attrpath()?.attrs().take(index + 1).filter_map(|a| super::scope::attr_name(&a)).collect();
    for (i, name) in names.iter().enumerate() {
        if value.kind() != SyntaxKind::NODE_ATTR_SET {
            return None;
        }
        let entry = value.children().find(|e| path_names(e).is_some_and(|p| p.first() == Some(name)))?;
        let entry = ast::AttrpathValue::cast(entry)?;
        let path = entry.attrpath()?;
        if i + 1 == names.len() {
            return path.attrs().next().map(|a| a.syntax().text_range());
        }
        if path.attrs().count() != 1 {
            return None;
        }
        value = entry.value()?.syntax().clone();
    }
    None
}
