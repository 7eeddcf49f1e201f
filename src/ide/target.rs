//! What the text at an offset names: a variable, a job, an artifact, a file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rnix::ast;
use rnix::{SyntaxKind, SyntaxNode, TextRange};
use rowan::ast::AstNode;

use super::facts::{JobFacts, Named, Spot};
use super::place::{Context, path_names};
use super::scope::{Def, Resolved, attr_name, is_variable, plain_string};
use crate::eval::Evaluation;

/// What is named at a place.
pub enum Target {
    /// A variable, with the identifier that names it.
    Variable(SyntaxNode, Resolved),
    /// A job, by the name that is written.
    Job(String),
    /// An artifact.
    Artifact(String),
    /// A file, by a path literal.
    File(PathBuf),
    /// An attribute: the selection up to before it, as an expression, and its name.
    Attribute(SyntaxNode, usize, String),
}

/// Which names of jobs and artifacts the facts know.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Where a job is written.
    Job,
    /// A job in `needs`.
    Need,
    /// An artifact that is given.
    Output,
    /// An artifact that is taken.
    Input,
}

/// A place that names a job or artifact.
#[derive(Clone, Debug)]
pub struct Mention {
    /// What it is there.
    pub role: Role,
    /// The name.
    pub name: String,
    /// The place.
    pub spot: Spot,
    /// The job that it is in.
    pub job: String,
}

fn mentions_of(job: &JobFacts, out: &mut Vec<Mention>) {
    let mut add = |role: Role, name: &str, spot: Option<&Spot>| {
        if let Some(spot) = spot {
            let (name, spot) = (name.to_owned(), spot.clone());
            out.push(Mention { role, name, spot, job: job.name.name.clone() });
        }
    };
    add(Role::Job, &job.written_as, job.name.spot.as_ref());
    let mut all = |role: Role, names: &[Named]| {
        names.iter().for_each(|n| add(role, &n.name, n.spot.as_ref()));
    };
    all(Role::Need, &job.needs);
    all(Role::Input, &job.inputs);
    all(Role::Output, &job.outputs);
}

/// Every place that names a job or an artifact, in present places; each once.
pub fn mentions(context: &Context<'_>) -> Vec<Mention> {
    let Some(present) = &context.facts else { return Vec::new() };
    let mut all = Vec::new();
    for (_, job) in present.facts.jobs() {
        mentions_of(job, &mut all);
    }
    let mut out: Vec<Mention> = Vec::new();
    let mut seen = HashSet::new();
    for mut m in all {
        let Some(spot) = present.anywhere_named(Some(&m.spot), &m.name) else { continue };
        m.spot = spot;
        if seen.insert((m.spot.file.clone(), m.spot.range, m.role)) {
            out.push(m);
        }
    }
    out
}

/// What is named at an offset.
pub fn at(context: &Context<'_>, offset: u32) -> Option<(TextRange, Target)> {
    let token = context.document.token_at(offset)?;
    let node = token.parent()?;
    // A name of a job or artifact is known best from the evaluation.
    let known = mentions(context);
    for n in node.ancestors().take(3) {
        let here = n.text_range();
        let found =
            known.iter().find(|m| m.spot.file == context.document.path() && m.spot.range == here).cloned();
        if let Some(m) = found {
            let target = match m.role {
                Role::Job | Role::Need => Target::Job(m.name),
                Role::Input | Role::Output => Target::Artifact(m.name),
            };
            return Some((here, target));
        }
    }
    match node.kind() {
        SyntaxKind::NODE_IDENT if is_variable(&node) || context.scopes_bind(&node) => {
            let resolved = context.scopes.resolve(&node);
            Some((node.text_range(), Target::Variable(node, resolved)))
        }
        SyntaxKind::NODE_IDENT | SyntaxKind::NODE_STRING => {
            job_name(context, &node).or_else(|| attribute(&node))
        }
        SyntaxKind::NODE_PATH_REL | SyntaxKind::NODE_PATH_ABS => {
            let path = file_of(context.document.directory(), &node)?;
            Some((node.text_range(), Target::File(path)))
        }
        _ => None,
    }
}

impl Context<'_> {
    fn scopes_bind(&self, ident: &SyntaxNode) -> bool {
        matches!(self.scopes.resolve(ident), Resolved::Def(d) if d.range == ident.text_range())
    }

    /// The binding that an expression is, when it is a variable that `let`, `rec` or a function binds.
    pub fn def_of(&self, expr: &SyntaxNode) -> Option<Def> {
        match self.scopes.resolve(expr) {
            Resolved::Def(def) if expr.kind() == SyntaxKind::NODE_IDENT => Some(def),
            _ => None,
        }
    }
}

/// Without an evaluation: a key of the set `jobs`, and a string in `needs`.
fn job_name(context: &Context<'_>, node: &SyntaxNode) -> Option<(TextRange, Target)> {
    let range = node.text_range();
    if let Some(name) = plain_string(node)
        && is_need(node)
    {
        return Some((range, Target::Job(name)));
    }
    let entry = node.parent().filter(|p| p.kind() == SyntaxKind::NODE_ATTRPATH)?.parent()?;
    let found = jobs_written(&context.root).into_iter().find(|j| j.range == range)?;
    (entry.kind() == SyntaxKind::NODE_ATTRPATH_VALUE).then_some((range, Target::Job(found.name)))
}

/// Whether a string stands in a list `needs`, or is its value.
pub fn is_need(node: &SyntaxNode) -> bool {
    let entry = node.ancestors().skip(1).find(|n| {
        !matches!(n.kind(), SyntaxKind::NODE_LIST | SyntaxKind::NODE_PAREN | SyntaxKind::NODE_BIN_OP)
    });
    let names = entry.filter(|e| e.kind() == SyntaxKind::NODE_ATTRPATH_VALUE).and_then(|e| path_names(&e));
    names.and_then(|n| n.last().cloned()).is_some_and(|last| last == "needs")
}

/// A job as the text shows it, whether or not it evaluates.
#[derive(Clone, Debug)]
pub struct WrittenJob {
    /// Its name.
    pub name: String,
    /// The place of the name.
    pub range: TextRange,
    /// The whole entry.
    pub entry: SyntaxNode,
}

/// The jobs that stand in sets called `jobs` of a text: `jobs = { a = …; }` and `jobs.a = …`.
pub fn jobs_written(root: &SyntaxNode) -> Vec<WrittenJob> {
    let mut out: Vec<WrittenJob> = Vec::new();
    let entries = root.descendants().filter(|n| n.kind() == SyntaxKind::NODE_ATTRPATH_VALUE);
    for entry in entries {
        let Some(value) = ast::AttrpathValue::cast(entry.clone()) else { continue };
        let Some(path) = value.attrpath() else { continue };
        let attrs: Vec<ast::Attr> = path.attrs().collect();
        let Some(at) = attrs.iter().position(|a| attr_name(a).as_deref() == Some("jobs")) else { continue };
        if in_a_job(&entry) {
            continue;
        }
        if let Some(job) = attrs.get(at + 1) {
            add_written(job, &entry, &mut out);
        } else if let Some(set) = value.value() {
            for inner in sets_in(set.syntax()) {
                let inner_path = ast::AttrpathValue::cast(inner.clone()).and_then(|e| e.attrpath());
                let first = inner_path.and_then(|p| p.attrs().next());
                if let Some(first) = first {
                    add_written(&first, &inner, &mut out);
                }
            }
        }
    }
    let mut seen = HashSet::new();
    out.retain(|j| seen.insert(j.range));
    out
}

fn in_a_job(entry: &SyntaxNode) -> bool {
    let mut outer = entry.ancestors().skip(1).filter(|n| n.kind() == SyntaxKind::NODE_ATTRPATH_VALUE);
    outer.any(|n| path_names(&n).is_some_and(|names| names.iter().any(|x| x == "steps" || x == "jobs")))
}

/// The entries of the sets that a value is put together from.
fn sets_in(value: &SyntaxNode) -> Vec<SyntaxNode> {
    let set = |n: &SyntaxNode| n.children().filter(|c| c.kind() == SyntaxKind::NODE_ATTRPATH_VALUE).collect();
    match value.kind() {
        SyntaxKind::NODE_ATTR_SET => set(value),
        SyntaxKind::NODE_BIN_OP
        | SyntaxKind::NODE_PAREN
        | SyntaxKind::NODE_LET_IN
        | SyntaxKind::NODE_WITH => value.children().flat_map(|c| sets_in(&c)).collect(),
        SyntaxKind::NODE_APPLY => value.children().last().map(|c| sets_in(&c)).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn add_written(attr: &ast::Attr, entry: &SyntaxNode, out: &mut Vec<WrittenJob>) {
    let Some(name) = attr_name(attr) else { return };
    out.push(WrittenJob { name, range: attr.syntax().text_range(), entry: entry.clone() });
}

/// An attribute that is selected, or given in a set.
fn attribute(node: &SyntaxNode) -> Option<(TextRange, Target)> {
    let path = node.parent().filter(|p| p.kind() == SyntaxKind::NODE_ATTRPATH)?;
    let select = path.parent().filter(|p| p.kind() == SyntaxKind::NODE_SELECT)?;
    let attrs: Vec<ast::Attr> = ast::Attrpath::cast(path)?.attrs().collect();
    let index = attrs.iter().position(|a| a.syntax() == node)?;
    let name = attr_name(&attrs[index])?;
    Some((node.text_range(), Target::Attribute(select, index, name)))
}

/// The text that selects what stands before the `index`-th attribute of a selection.
pub fn base_text(select: &SyntaxNode, index: usize) -> Option<String> {
    let select = ast::Select::cast(select.clone())?;
    let mut text = select.expr()?.syntax().text().to_string();
    for attr in select.attrpath()?.attrs().take(index) {
        text.push('.');
        text += &attr.syntax().text().to_string();
    }
    Some(text)
}

/// The file that a path literal without holes means: of a folder, its `default.nix`.
pub fn file_of(directory: &Path, node: &SyntaxNode) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    if node.children().next().is_some() {
        return None;
    }
    let text = node.text().to_string();
    let joined = directory.join(text.trim());
    let canonical = Evaluation::canonical(joined.as_os_str().as_bytes());
    Some(Evaluation::os_path(&canonical).to_owned())
}
