//! Hover: what a key means, what an expression evaluates to, where a job stands.

use rnix::ast;
use rnix::{SyntaxKind, SyntaxNode, TextRange};
use rowan::ast::AstNode;

use super::inlay::and;
use super::place::Context;
use super::probe::{Answer, Probe, Query, text_for};
use super::scope::{DefKind, Resolved, attr_name};
use super::target::{Role, Target, at, base_text, mentions};
use super::words::{OFFERED, key_doc};
use crate::eval::builtins;

/// Text about a range, in Markdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hover {
    /// What it is about.
    pub range: TextRange,
    /// The text.
    pub markdown: String,
}

/// What is to be said about an offset.
pub fn hover(context: &Context<'_>, offset: u32, probe: &dyn Probe) -> Option<Hover> {
    if let Some((range, Target::Job(name))) = at(context, offset)
        && let Some(markdown) = job(context, &name)
    {
        return Some(Hover { range, markdown });
    }
    if let Some((range, Target::Artifact(name))) = at(context, offset) {
        return Some(Hover { range, markdown: artifact(context, &name) });
    }
    let token = context.document.token_at(offset)?;
    let node = token.parent()?;
    if let Some(h) = key(context, &node) {
        return Some(h);
    }
    let (range, target) = at(context, offset)?;
    let markdown = match target {
        Target::Variable(ident, resolved) => variable(context, &ident, &resolved, probe)?,
        Target::Attribute(select, index, name) => attribute(context, &select, index, &name, probe)?,
        Target::File(path) => format!("`{}`", path.display()),
        Target::Job(_) | Target::Artifact(_) => return None,
    };
    Some(Hover { range, markdown })
}

/// A key of the workflow language.
fn key(context: &Context<'_>, node: &SyntaxNode) -> Option<Hover> {
    let path = node.parent().filter(|p| p.kind() == SyntaxKind::NODE_ATTRPATH)?;
    let entry = path.parent().filter(|p| p.kind() == SyntaxKind::NODE_ATTRPATH_VALUE)?;
    let attrs: Vec<ast::Attr> = ast::Attrpath::cast(path)?.attrs().collect();
    let index = attrs.iter().position(|a| a.syntax() == node)?;
    let set = entry.parent()?;
    let mut table = context.table(&set);
    let mut ty = match table {
        Some(t) => crate::workflow::schema::Type::Record(t),
        None => context.expected(&set)?,
    };
    for attr in attrs.iter().take(index) {
        ty = super::place::descend(&ty, &[attr_name(attr)?])?;
        table = super::facts::table_of(&ty);
    }
    let table = table?;
    let key = table.find(&attr_name(&attrs[index])?)?;
    Some(Hover { range: node.text_range(), markdown: key_doc(table, key) })
}

fn job(context: &Context<'_>, name: &str) -> Option<String> {
    let present = context.facts.as_ref()?;
    let named: Vec<_> =
        present.facts.jobs().filter(|(_, j)| j.name.name == name || j.written_as == name).collect();
    let &(w, job) = named.first()?;
    let mut out = format!("**job `{}`** of `{}`", job.written_as, w.name.name);
    if let Some(d) = &job.description {
        out += &format!("\n\n{d}");
    }
    out += &format!("\n\n- level {}, runs on `{}`", job.level, job.executor);
    if named.len() > 1 {
        out += &format!("\n- {} copies by its matrix", named.len());
    }
    let names = |list: Vec<&str>| {
        let mut list = list;
        list.sort_unstable();
        list.dedup();
        and(&list)
    };
    let needs = names(job.needed.iter().map(|&n| w.jobs[n].written_as.as_str()).collect());
    out += &if needs.is_empty() { "\n- needs no job".into() } else { format!("\n- needs {needs}") };
    let index = w.jobs.iter().position(|j| j.name.name == job.name.name)?;
    let dependents = w.jobs.iter().filter(|j| j.needed.contains(&index));
    let dependents = names(dependents.map(|j| j.written_as.as_str()).collect());
    if !dependents.is_empty() {
        out += &format!("\n- needed by {dependents}");
    }
    let plural = if job.steps.len() == 1 { "" } else { "s" };
    let steps: Vec<&str> = job.steps.iter().map(|s| s.name.as_str()).collect();
    out += &format!("\n- {} step{plural}: {}", steps.len(), and(&steps));
    for (what, list) in [("takes", &job.inputs), ("gives", &job.outputs)] {
        let list = names(list.iter().map(|n| n.name.as_str()).collect());
        if !list.is_empty() {
            out += &format!("\n- {what} {list}");
        }
    }
    Some(out)
}

fn artifact(context: &Context<'_>, name: &str) -> String {
    let all = mentions(context);
    let jobs = |role: Role| {
        let named = all.iter().filter(|m| m.role == role && m.name == name);
        let mut jobs: Vec<&str> = named.map(|m| m.job.as_str()).collect();
        jobs.sort_unstable();
        jobs.dedup();
        and(&jobs)
    };
    let (from, to) = (jobs(Role::Output), jobs(Role::Input));
    let from = if from.is_empty() { "given by no job".into() } else { format!("given by {from}") };
    let to = if to.is_empty() { "taken by no job".into() } else { format!("taken by {to}") };
    format!("**artifact `{name}`**\n\n- {from}\n- {to}")
}

fn variable(
    context: &Context<'_>,
    ident: &SyntaxNode,
    resolved: &Resolved,
    probe: &dyn Probe,
) -> Option<String> {
    let name = ident.text().to_string();
    let (title, at) = match resolved {
        Resolved::Builtin(global) => return Some(builtin(global)),
        Resolved::Unknown => return Some(format!("`{name}` is not defined")),
        Resolved::With(_) => (format!("`{name}`, from a `with`"), ident.clone()),
        Resolved::Def(def) => {
            let at = inside(&def.scope).unwrap_or_else(|| ident.clone());
            let kind = match def.kind {
                DefKind::Let => "local",
                DefKind::Rec => "attribute of a recursive set",
                DefKind::Inherit => "inherited",
                DefKind::Parameter => "parameter",
                DefKind::Formal => match OFFERED.iter().find(|o| o.0 == name) {
                    Some((_, doc)) if super::place::is_at_root(&def.scope) => {
                        return Some(format!("`{name}`, an argument of the file\n\n{doc}"));
                    }
                    _ => "parameter",
                },
            };
            (format!("`{name}`, {kind}"), at)
        }
    };
    let text = text_for(&context.scopes, &at, &name);
    Some(with_value(title, probe.ask(text, Query::Value)))
}

/// A node from which the names that a construct binds are seen.
fn inside(scope: &SyntaxNode) -> Option<SyntaxNode> {
    match scope.kind() {
        SyntaxKind::NODE_LET_IN => scope.children().last(),
        SyntaxKind::NODE_ATTR_SET => scope.children().next(),
        _ => None,
    }
}

fn with_value(title: String, answer: Option<Answer>) -> String {
    match answer {
        Some(Answer::Value(value)) => format!("{title}\n\n```nix\n{value}\n```"),
        _ => title,
    }
}

fn attribute(
    context: &Context<'_>,
    select: &SyntaxNode,
    index: usize,
    name: &str,
    probe: &dyn Probe,
) -> Option<String> {
    let base = base_text(select, index)?;
    if base == "builtins" && builtins::all().any(|b| b.name == name) {
        return Some(builtin(name));
    }
    let text = text_for(&context.scopes, select, &format!("({base}).{name}"));
    Some(with_value(format!("`{base}.{name}`"), probe.ask(text, Query::Value)))
}

/// A builtin in Markdown.
pub fn builtin(name: &str) -> String {
    match builtins::all().find(|b| b.name == name) {
        Some(b) => {
            let plural = if b.arity == 1 { "" } else { "s" };
            format!("**`builtins.{name}`**, of {} argument{plural}\n\n{}", b.arity, b.doc)
        }
        None if name == "builtins" => "**`builtins`**: the set of all builtins".into(),
        None => format!("`{name}`"),
    }
}
