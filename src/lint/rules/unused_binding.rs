//! NXA012: a `let` binding that nothing uses.

use rnix::ast::{self, HasEntry};
use rnix::{SyntaxKind, SyntaxNode, TextRange};
use rowan::ast::AstNode;

use super::says_unused;
use crate::diag::{Applicability, Diagnostic, Edit, Fix, Severity};
use crate::lint::text::Text;
use crate::syntax::names::{Binding, BindingKind, Names};

pub(in crate::lint) fn check(text: &Text, out: &mut Vec<Diagnostic>) {
    // What is missing in a broken text may be the use.
    if !text.errors().is_empty() {
        return;
    }
    let names = text.names();
    let dead = dead(names);
    for (i, b) in names.bindings.iter().enumerate().filter(|(_, b)| b.kind == BindingKind::Let) {
        if dead[i] {
            let mut d = text.find(
                Severity::Warning,
                "NXA012",
                format!("`{}` is bound and never used", b.name),
                b.range,
                "not used",
            );
            d.fixes.extend(remove(text, names, &dead, i));
            d.help = Some(format!("remove it, or name it `_{}` to keep it", b.name));
            out.push(d);
        } else if says_unused(&b.name) && b.name.len() > 1 && !b.uses.is_empty() {
            let mut d = text.find(
                Severity::Hint,
                "NXA012",
                format!("`{}` is used, although its name says that it is not", b.name),
                b.range,
                "a name for what is not used",
            );
            let at = names.uses[b.uses[0]].range;
            d.secondary.push(text.label(at, "used here"));
            d.help = Some("rename it".into());
            out.push(d);
        }
    }
}

/// Which bindings nothing needs: unused ones, and those that only these use.
fn dead(names: &Names) -> Vec<bool> {
    let mut dead = vec![false; names.bindings.len()];
    let mut gone = vec![false; names.uses.len()];
    // A binding's own value does not keep it alive.
    let is_dead = |b: &Binding, gone: &[bool]| {
        let own = |r: TextRange| b.value.as_ref().is_some_and(|v| v.text_range().contains_range(r));
        b.uses.iter().all(|&u| gone[u] || own(names.uses[u].range))
    };
    loop {
        let mut changed = false;
        for (i, b) in names.bindings.iter().enumerate() {
            if dead[i] || b.kind != BindingKind::Let || says_unused(&b.name) || !is_dead(b, &gone) {
                continue;
            }
            (dead[i], changed) = (true, true);
            if let Some(value) = &b.value {
                let range = value.text_range();
                for (u, used) in names.uses.iter().enumerate() {
                    gone[u] |= range.contains_range(used.range);
                }
            }
        }
        if !changed {
            return dead;
        }
    }
}

/// Removes a binding, and the whole `let … in` when no binding is left in it.
fn remove(text: &Text, names: &Names, dead: &[bool], index: usize) -> Option<Fix> {
    let b = &names.bindings[index];
    let siblings = || {
        names.bindings.iter().enumerate().filter(|(_, other)| other.owner == b.owner && other.kind == b.kind)
    };
    let let_in = ast::LetIn::cast(b.owner.clone())?;
    let all_dead = siblings().all(|(i, _)| dead[i]);
    // A binding with a computed name has no entry in the table of names.
    let only_static = let_in.entries().all(|e| siblings().any(|(_, s)| s.entries.contains(e.syntax())));
    let edits = if all_dead && only_static {
        let body = let_in.body()?;
        let range = TextRange::new(let_in.syntax().text_range().start(), body.syntax().text_range().start());
        vec![text.edit(range, "")]
    } else {
        b.entries.iter().map(|e| remove_entry(text, e, b)).collect::<Option<Vec<Edit>>>()?
    };
    Some(Fix { title: format!("remove `{}`", b.name), edits, applicability: Applicability::Unsafe })
}

/// Removes one binding, or one name of an `inherit` list.
fn remove_entry(text: &Text, entry: &SyntaxNode, b: &Binding) -> Option<Edit> {
    if entry.kind() == SyntaxKind::NODE_INHERIT {
        let inherit = ast::Inherit::cast(entry.clone())?;
        if inherit.attrs().count() > 1 {
            return Some(text.edit(text.removal(b.range), ""));
        }
    }
    Some(text.edit(text.removal(entry.text_range()), ""))
}
