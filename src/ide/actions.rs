//! Code actions: the fixes of findings, all safe fixes at once, and rewrites at the cursor.

use rnix::ast;
use rnix::{SyntaxKind, SyntaxNode, TextRange};
use rowan::ast::AstNode;

use super::facts::Shift;
use super::place::Context;
use super::scope::{attr_name, plain_string};
use crate::diag::{Applicability, Diagnostic, Edit, Fix};
use crate::eval::coerce::is_identifier;
use crate::lint::Levels;

/// What an action is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// Removes a finding.
    QuickFix,
    /// Writes the same in another way.
    Rewrite,
    /// Applies every safe fix of the file.
    FixAll,
}

/// A change that is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What it does.
    pub title: String,
    /// What it is for.
    pub kind: ActionKind,
    /// Code of the finding that it removes.
    pub code: Option<&'static str>,
    /// Whether it is what is most likely wanted.
    pub preferred: bool,
    /// The edits, in order and not overlapping.
    pub edits: Vec<(TextRange, String)>,
}

/// The actions for a range. `findings` are those of the file, possibly of an older version.
pub fn actions(context: &Context<'_>, at: TextRange, findings: &[Diagnostic]) -> Vec<Action> {
    let mut out = Vec::new();
    let mut safe: Vec<(TextRange, String)> = Vec::new();
    let mut fixes = 0;
    for finding in findings {
        let touched = finding.primary.as_ref().and_then(|l| present(context, &l.place));
        let touched = touched.filter(|r| r.intersect(at).is_some());
        for (i, fix) in finding.fixes.iter().enumerate() {
            let Some(edits) = edits_of(context, fix) else { continue };
            let is_safe = fix.applicability == Applicability::Safe;
            if is_safe && i == 0 && !overlaps(&safe, &edits) {
                safe.extend(edits.clone());
                fixes += 1;
            }
            if touched.is_some() {
                let (title, code) = (fix.title.clone(), Some(finding.code));
                out.push(Action { title, kind: ActionKind::QuickFix, code, preferred: is_safe, edits });
            }
        }
    }
    for finding in findings {
        let place = finding.primary.as_ref().and_then(|l| present(context, &l.place));
        let touched = place.filter(|r| r.intersect(at).is_some());
        out.extend(touched.and_then(|r| allow(context, finding.code, r)));
    }
    out.dedup();
    if fixes > 0 {
        safe.sort_by_key(|e| (e.0.start(), e.0.end()));
        let plural = if fixes == 1 { "" } else { "es" };
        out.push(Action {
            title: format!("apply {fixes} safe fix{plural} to this file"),
            kind: ActionKind::FixAll,
            code: None,
            preferred: false,
            edits: safe,
        });
    }
    out.extend(inherit(context, at));
    out.extend(quotes(context, at));
    out
}

/// A comment that allows a finding, before the binding or element that holds it.
fn allow(context: &Context<'_>, code: &'static str, at: TextRange) -> Option<Action> {
    if code.is_empty() || !Levels::default().may_change(code) {
        return None;
    }
    let element = context.root.covering_element(at);
    let covered = element.ancestors().find(|n| {
        let listed = n.parent().is_some_and(|p| p.kind() == SyntaxKind::NODE_LIST);
        listed || matches!(n.kind(), SyntaxKind::NODE_ATTRPATH_VALUE | SyntaxKind::NODE_INHERIT)
    })?;
    let start = usize::from(covered.text_range().start());
    let text = context.document.text();
    let line = text[..start].rfind('\n').map_or(0, |n| n + 1);
    let before = &text[line..start];
    let indent: String = before.chars().take_while(|c| *c == ' ' || *c == '\t').collect();
    // At the end of a line a comment speaks of what ends there, so it gets a line of its own.
    let comment = match before.trim().is_empty() {
        true => format!("# nixactions: allow({code})\n{indent}"),
        false => format!("\n{indent}# nixactions: allow({code})\n{indent}"),
    };
    Some(Action {
        title: format!("allow {code} here, with a comment"),
        kind: ActionKind::QuickFix,
        code: Some(code),
        preferred: false,
        edits: vec![(TextRange::empty((start as u32).into()), comment)],
    })
}

fn overlaps(taken: &[(TextRange, String)], new: &[(TextRange, String)]) -> bool {
    let meet = |a: TextRange, b: TextRange| {
        a.intersect(b)
            .is_some_and(|i| !i.is_empty() || a.start() == b.start() || a.is_empty() || b.is_empty())
    };
    new.iter().any(|n| taken.iter().any(|t| meet(n.0, t.0)))
}

/// Where a place of a finding is in the present text.
fn present(context: &Context<'_>, place: &crate::base::source::Place) -> Option<TextRange> {
    if place.source.path() != Some(context.document.path()) {
        return None;
    }
    let old = super::document::range(place.start, place.end);
    let new = context.document.text().as_bytes();
    if **place.source.text() == *new {
        return Some(old);
    }
    Shift::between(place.source.text(), new).apply(old)
}

/// The edits of a fix; `None` when a text that it replaces has changed, or is in another file.
fn edits_of(context: &Context<'_>, fix: &Fix) -> Option<Vec<(TextRange, String)>> {
    let one = |e: &Edit| Some((present(context, &e.place)?, e.text.clone()));
    let mut edits: Vec<_> = fix.edits.iter().map(one).collect::<Option<_>>()?;
    edits.sort_by_key(|e| (e.0.start(), e.0.end()));
    Some(edits)
}

/// `x = x;` to `inherit x;`, and `x = a.x;` to `inherit (a) x;`.
fn inherit(context: &Context<'_>, at: TextRange) -> Option<Action> {
    let token = context.document.token_at(at.start().into())?;
    let entry = token.parent_ancestors().find(|n| n.kind() == SyntaxKind::NODE_ATTRPATH_VALUE)?;
    let entry = ast::AttrpathValue::cast(entry)?;
    let mut attrs = entry.attrpath()?.attrs();
    let name = attr_name(&attrs.next()?)?;
    if attrs.next().is_some() || !is_identifier(name.as_bytes()) {
        return None;
    }
    let value = entry.value()?;
    let set = entry.syntax().parent()?;
    let recursive = set.kind() != SyntaxKind::NODE_ATTR_SET || super::scope::is_rec(&set);
    let text = match &value {
        // In a recursive set `x = x;` speaks of itself.
        ast::Expr::Ident(i) if i.syntax().text() == name.as_str() && !recursive => format!("inherit {name};"),
        ast::Expr::Select(s) if s.default_expr().is_none() => {
            let path: Vec<ast::Attr> = s.attrpath()?.attrs().collect();
            let (last, rest) = path.split_last()?;
            if attr_name(last)? != name {
                return None;
            }
            let mut from = s.expr()?.syntax().text().to_string();
            for attr in rest {
                from += &format!(".{}", attr.syntax().text());
            }
            format!("inherit ({from}) {name};")
        }
        _ => return None,
    };
    Some(Action {
        title: format!("write `{text}`"),
        kind: ActionKind::Rewrite,
        code: None,
        preferred: false,
        edits: vec![(entry.syntax().text_range(), text)],
    })
}

/// Quotes around a key, taken away where they are not needed.
fn quotes(context: &Context<'_>, at: TextRange) -> Option<Action> {
    let node: SyntaxNode = context
        .document
        .token_at(at.start().into())?
        .parent_ancestors()
        .find(|n| n.parent().is_some_and(|p| p.kind() == SyntaxKind::NODE_ATTRPATH))?;
    let range = node.text_range();
    let action = |title: String, text: String| Action {
        title,
        kind: ActionKind::Rewrite,
        code: None,
        preferred: false,
        edits: vec![(range, text)],
    };
    match node.kind() {
        SyntaxKind::NODE_STRING => {
            let name = plain_string(&node).filter(|n| is_identifier(n.as_bytes()))?;
            Some(action(format!("take the quotes off `{name}`"), name))
        }
        SyntaxKind::NODE_IDENT => {
            let name = node.text().to_string();
            Some(action(format!("put `{name}` in quotes"), format!("\"{name}\"")))
        }
        _ => None,
    }
}
