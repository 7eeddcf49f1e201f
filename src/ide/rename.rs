//! Rename variables, jobs and artifacts, unless the new name would mean something else somewhere.

use std::collections::HashMap;
use std::path::PathBuf;

use rnix::{SyntaxKind, TextRange};

use super::document::Document;
use super::facts::{Spot, part_of_path};
use super::place::Context;
use super::references::references;
use super::scope::{Def, DefKind, Resolved, Scopes, plain_content, uses, variables};
use super::target::{Target, at, jobs_written};
use crate::eval::coerce::is_identifier;

/// What can be renamed at an offset: its place without quotes, and its name.
pub fn prepare(context: &Context<'_>, offset: u32) -> Result<(TextRange, String), String> {
    let (range, target) = at(context, offset).ok_or("there is no name here that can be renamed")?;
    match target {
        Target::Variable(_, Resolved::Def(def)) => {
            renameable(context, &def)?;
            Ok((range, context.document.slice(range).to_owned()))
        }
        Target::Variable(ident, Resolved::Builtin(_)) => {
            Err(format!("`{}` is a builtin and cannot be renamed", ident.text()))
        }
        Target::Variable(ident, _) => {
            Err(format!("`{}` is not bound in this file and cannot be renamed", ident.text()))
        }
        Target::Job(name) => Ok((inner(context, range), name)),
        Target::Artifact(name) => Ok((inner(context, range), name)),
        Target::File(_) | Target::Attribute(..) => {
            Err("only variables, jobs and artifacts can be renamed".into())
        }
    }
}

/// The formals of a function are part of how it is called.
fn renameable(context: &Context<'_>, def: &Def) -> Result<(), String> {
    let name = &def.name;
    match def.kind {
        DefKind::Formal => Err(format!("`{name}` is an argument by name: callers would have to change too")),
        DefKind::Inherit => Err(format!("`{name}` is inherited: rename it where it is defined")),
        DefKind::Rec => Err(format!("`{name}` is an attribute: users of the set would have to change too")),
        DefKind::Let | DefKind::Parameter => {
            let inherited = uses(&context.root, &context.scopes, def).into_iter().find(|r| {
                let node = context.root.covering_element(*r);
                node.ancestors().take(3).any(|n| n.kind() == SyntaxKind::NODE_INHERIT)
            });
            match inherited {
                Some(_) => Err(format!(
                    "`{name}` is taken over by an `inherit`: write `{name} = {name};` there first"
                )),
                None => Ok(()),
            }
        }
    }
}

/// The place inside of quotes.
fn inner(context: &Context<'_>, range: TextRange) -> TextRange {
    let element = context.root.covering_element(range);
    let node = element.ancestors().find(|n| n.kind() == SyntaxKind::NODE_STRING && n.text_range() == range);
    node.and_then(|n| plain_content(&n)).unwrap_or(range)
}

/// Edits by file.
pub type Edits = HashMap<PathBuf, Vec<(TextRange, String)>>;

/// The edits that rename what is at an offset. `open` gives the text of other files.
///
/// # Errors
/// Why it cannot be renamed so.
pub fn rename(
    context: &Context<'_>,
    offset: u32,
    new: &str,
    open: &dyn Fn(&PathBuf) -> Option<Document>,
) -> Result<Edits, String> {
    prepare(context, offset)?;
    let (_, target) = at(context, offset).ok_or("there is no name here that can be renamed")?;
    match target {
        Target::Variable(_, Resolved::Def(def)) => variable(context, &def, new),
        Target::Job(name) => {
            let taken = |n: &str| {
                let known = context.facts.iter().flat_map(|f| f.facts.jobs());
                let mut known = known.map(|(_, j)| &j.written_as);
                known.any(|j| j == n) || jobs_written(&context.root).iter().any(|j| j.name == n)
            };
            valid_name(new, "job")?;
            if new != name && taken(new) {
                return Err(format!("there is a job `{new}` already"));
            }
            strings(context, offset, new, open)
        }
        Target::Artifact(name) => {
            valid_name(new, "artifact")?;
            let known = context.facts.iter().flat_map(|f| f.facts.jobs());
            let mut taken = known.flat_map(|(_, j)| &j.outputs).map(|o| &o.name);
            if new != name && taken.any(|o| o == new) {
                return Err(format!("there is an artifact `{new}` already"));
            }
            strings(context, offset, new, open)
        }
        _ => Err("this cannot be renamed".into()),
    }
}

fn valid_name(name: &str, what: &str) -> Result<(), String> {
    let bad = name.is_empty()
        || name.len() > 200
        || name.starts_with(['.', '-'])
        || name.trim() != name
        || name.chars().any(|c| c.is_control() || matches!(c, '/' | '"' | '\\' | '$'));
    if bad { Err(format!("`{name}` cannot be the name of a {what}")) } else { Ok(()) }
}

/// Renames where the name is a key or a plain string; a name that is computed cannot be followed.
fn strings(
    context: &Context<'_>,
    offset: u32,
    new: &str,
    open: &dyn Fn(&PathBuf) -> Option<Document>,
) -> Result<Edits, String> {
    let mut edits = Edits::new();
    let (_, target) = at(context, offset).ok_or("there is no name here")?;
    let (Target::Job(name) | Target::Artifact(name)) = target else { return Err("not a name".into()) };
    for Spot { file, range } in references(context, offset).into_iter().map(|r| r.spot) {
        let other = if file == context.document.path() { None } else { open(&file) };
        let document = match &other {
            Some(d) => d,
            None if file == context.document.path() => context.document,
            None => return Err(format!("{} cannot be read", file.display())),
        };
        let root = document.root();
        if range.end() > root.text_range().end() {
            return Err(format!("{} has changed since it was evaluated", file.display()));
        }
        let range = part_of_path(&root, range, &name);
        let element = root.covering_element(range);
        let node = element.ancestors().find(|n| n.text_range() == range);
        let edit = match node {
            Some(n) if n.kind() == SyntaxKind::NODE_IDENT => {
                let quoted =
                    if is_identifier(new.as_bytes()) { new.to_owned() } else { format!("\"{new}\"") };
                Some((range, quoted))
            }
            Some(n) if n.kind() == SyntaxKind::NODE_STRING => plain_content(&n).map(|r| (r, new.to_owned())),
            _ => None,
        };
        let line = document.lines().line_of(range.start().into()) + 1;
        let edit = edit.ok_or_else(|| {
            format!("the name is computed at {}:{line}; it cannot be followed there", file.display())
        })?;
        edits.entry(file).or_default().push(edit);
    }
    if edits.is_empty() { Err("nothing here names it".into()) } else { Ok(edits) }
}

fn variable(context: &Context<'_>, def: &Def, new: &str) -> Result<Edits, String> {
    if !is_identifier(new.as_bytes()) {
        return Err(format!("`{new}` is not an identifier"));
    }
    let ranges = uses(&context.root, &context.scopes, def);
    let edits: Vec<(TextRange, String)> = ranges.iter().map(|r| (*r, new.to_owned())).collect();
    if new != def.name {
        no_conflict(context, def, &ranges, new)?;
    }
    Ok(HashMap::from([(context.document.path().to_owned(), edits)]))
}

/// After the edits every variable must stand for what it stood for.
fn no_conflict(context: &Context<'_>, def: &Def, ranges: &[TextRange], new: &str) -> Result<(), String> {
    let mut text = context.document.text().to_string();
    for r in ranges.iter().rev() {
        text.replace_range(usize::from(r.start())..usize::from(r.end()), new);
    }
    let grown = new.len() as i64 - i64::from(u32::from(def.range.len()));
    let moved = |r: TextRange| {
        let before = ranges.iter().filter(|x| x.start() < r.start()).count() as i64;
        (i64::from(u32::from(r.start())) + before * grown) as u32
    };
    let meaning = |scopes: &Scopes, node: &rnix::SyntaxNode, outer: bool| {
        let r = if outer { scopes.resolve_outer(node) } else { scopes.resolve(node) };
        match r {
            Resolved::Def(d) => Some(d.range),
            _ => None,
        }
    };
    let after = Document::new(context.document.path(), text);
    let root = after.root();
    let scopes = Scopes::default();
    let found: HashMap<u32, rnix::SyntaxNode> =
        variables(&root).map(|n| (n.text_range().start().into(), n)).collect();
    for node in variables(&context.root) {
        let now = found.get(&moved(node.text_range())).ok_or("the text would not parse as before")?;
        for outer in [false, true] {
            let before = meaning(&context.scopes, &node, outer).map(moved);
            let then = meaning(&scopes, now, outer).map(|r| u32::from(r.start()));
            if before != then {
                let line = context.document.lines().line_of(node.text_range().start().into()) + 1;
                return Err(format!("`{new}` means something else on line {line} already"));
            }
        }
    }
    Ok(())
}
