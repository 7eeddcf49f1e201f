//! What a text shows of a workflow without being evaluated: unknown and older keys (NXA001, NXA004),
//! needs that are no jobs, doubled and circular ones (NXA101, NXA103). For files whose evaluation
//! fails, and for libraries of jobs; where there is a model, that speaks.

use std::collections::HashMap;

use rnix::ast::{self, HasEntry};
use rnix::{SyntaxKind, TextRange};
use rowan::ast::AstNode;

use crate::base::suggest;
use crate::diag::{Applicability, Diagnostic, Fix, Severity};
use crate::lint::text::Text;
use crate::lint::written::{self, Key, Known, Set};
use crate::syntax::names::{static_name, static_text};
use crate::workflow::schema::{self, Table, Type};
use crate::workflow::shape::describe;

/// NXA001
pub(in crate::lint) fn unknown_keys(text: &Text, out: &mut Vec<Diagnostic>) {
    out.extend(keys(text).into_iter().filter(|d| d.code == "NXA001"));
}

/// NXA004
pub(in crate::lint) fn older_keys(text: &Text, out: &mut Vec<Diagnostic>) {
    out.extend(keys(text).into_iter().filter(|d| d.code == "NXA004"));
}

/// NXA101
pub(in crate::lint) fn unknown_needs(text: &Text, out: &mut Vec<Diagnostic>) {
    out.extend(needs(text).into_iter().filter(|d| d.code == "NXA101"));
}

/// NXA103
pub(in crate::lint) fn repeated_needs(text: &Text, out: &mut Vec<Diagnostic>) {
    out.extend(needs(text).into_iter().filter(|d| d.code == "NXA103"));
}

fn keys(text: &Text) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    let written = written::of(text);
    for key in &written.keys {
        match key.table.find(&key.name) {
            Some(known) if known.deprecated.contains(&key.name.as_str()) => {
                let mut d = text.find(
                    Severity::Warning,
                    "NXA004",
                    format!("`{}` is the older name of `{}`", key.name, known.name),
                    key.attr.syntax().text_range(),
                    format!("now called `{}`", known.name),
                );
                d.fixes.extend(rename(text, key, known.name, Applicability::Safe));
                out.push(d);
            }
            Some(_) => {}
            None => out.push(unknown_key(text, key, &written.keys)),
        }
    }
    out
}

fn unknown_key(text: &Text, key: &Key, all: &[Key]) -> Diagnostic {
    let names = key.table.keys.iter().map(|k| k.name);
    let mut d = text.find(
        Severity::Error,
        "NXA001",
        format!("{} has no key `{}`", key.owner, key.name),
        key.attr.syntax().text_range(),
        match key.table.what.strip_prefix("set of ") {
            Some(members) => format!("not one of the {members}"),
            None => format!("not a key of {}", describe(&Type::Record(key.table))),
        },
    );
    d.help = suggest::did_you_mean(&key.name, names.clone());
    if d.help.is_none() && key.table.keys.len() <= 14 {
        let all: Vec<_> = names.clone().map(|k| format!("`{k}`")).collect();
        d.notes.push(format!("its keys are {}", all.join(", ")));
    }
    let given = |name: &str| {
        let beside = all.iter().filter(|k| k.owner == key.owner);
        beside.filter_map(|k| key.table.find(&k.name)).any(|k| k.name == name)
    };
    if let [only] = suggest::nearest(&key.name, names)[..]
        && !given(only)
    {
        d.fixes.extend(rename(text, key, only, Applicability::Unsafe));
    }
    d
}

fn rename(text: &Text, key: &Key, to: &str, how: Applicability) -> Option<Fix> {
    // What `inherit` takes over is a name of the scope too.
    let bound = key.attr.syntax().parent().is_some_and(|p| p.kind() == SyntaxKind::NODE_ATTRPATH);
    let edit = text.edit(key.attr.syntax().text_range(), to);
    bound.then(|| text.fix(format!("rename `{}` to `{to}`", key.name), edit, how))
}

fn needs(text: &Text) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    let sets = written::of(text).sets;
    let is = |set: &Set, table: &'static Table| std::ptr::eq(set.table, table);
    for workflow in sets.iter().filter(|s| is(s, &schema::WORKFLOW)) {
        let jobs: Vec<&Set> =
            sets.iter().filter(|s| is(s, &schema::JOB) && s.of == Some(workflow.id)).collect();
        let known = written::job_names(workflow);
        for job in jobs {
            let Some(me) = &job.key else { continue };
            of_job(text, me, job, &known, &mut out);
        }
    }
    out
}

fn of_job(text: &Text, me: &str, job: &Set, known: &Known, out: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<String, TextRange> = HashMap::new();
    for (need, at) in needs_of(job) {
        if let Some(&first) = seen.get(&need) {
            let message = format!("job `{me}` needs `{need}` twice");
            let mut d = text.find(Severity::Warning, "NXA103", message, at, "again");
            d.secondary.push(text.label(first, "first here"));
            d.fixes.push(text.fix("remove the second", text.edit(at, ""), Applicability::Safe));
            out.push(d);
        } else if need == me {
            let message = format!("job `{me}` needs itself");
            let mut d = text.find(Severity::Error, "NXA103", message, at, "this job");
            d.help = Some("remove it: a job cannot wait for its own end".into());
            out.push(d);
        } else if !known.may_be(&need) {
            let others: Vec<&str> = known.names.iter().map(String::as_str).filter(|n| *n != me).collect();
            let message = format!("job `{me}` needs `{need}`, which is not a job of this workflow");
            let mut d = text.find(Severity::Error, "NXA101", message, at, "no job has this name");
            d.help = suggest::did_you_mean(&need, others.iter().copied());
            match suggest::nearest(&need, others.iter().copied())[..] {
                [only] => {
                    let edit = text.edit(at, format!("\"{only}\""));
                    let title = format!("replace it with `{only}`");
                    d.fixes.push(text.fix(title, edit, Applicability::Unsafe));
                }
                [] if d.help.is_none() && !others.is_empty() => {
                    let shown: Vec<String> = others.iter().take(12).map(|n| format!("`{n}`")).collect();
                    d.notes.push(format!("the other jobs are {}", shown.join(", ")));
                }
                _ => {}
            }
            out.push(d);
        }
        seen.entry(need).or_insert(at);
    }
}

/// The names under `needs` that are written out.
fn needs_of(job: &Set) -> Vec<(String, TextRange)> {
    let value = job.set.attrpath_values().find_map(|b| {
        let path: Vec<_> = b.attrpath()?.attrs().collect();
        let [only] = &path[..] else { return None };
        (static_name(only)? == "needs").then(|| b.value())?
    });
    let items: Vec<ast::Expr> = match value {
        Some(ast::Expr::List(list)) => list.items().collect(),
        Some(one @ ast::Expr::Str(_)) => vec![one],
        _ => Vec::new(),
    };
    let plain = items.into_iter().filter_map(|item| match item {
        ast::Expr::Str(s) => Some((static_text(&s)?, s.syntax().text_range())),
        _ => None,
    });
    plain.collect()
}
