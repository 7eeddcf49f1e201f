//! NXA013: an argument of a function that its body does not use.

use rnix::ast;
use rnix::{NodeOrToken, SyntaxKind, TextRange};
use rowan::ast::AstNode;

use super::says_unused;
use crate::diag::{Applicability, Diagnostic, Severity};
use crate::lint::text::{Text, next_token, previous_token};
use crate::syntax::names::{Binding, BindingKind};

pub(in crate::lint) fn check(text: &Text, out: &mut Vec<Diagnostic>) {
    // What is missing in a broken text may be the use.
    if !text.errors().is_empty() {
        return;
    }
    for b in &text.names().bindings {
        if !b.uses.is_empty() || says_unused(&b.name) {
            continue;
        }
        match b.kind {
            BindingKind::Argument => {
                let mut d = text.find(
                    Severity::Hint,
                    "NXA013",
                    format!("the argument `{}` is not used", b.name),
                    b.range,
                    "not used",
                );
                d.help = Some(format!("name it `_{}` to say so", b.name));
                let free = text.names().bindings.iter().all(|o| o.name != format!("_{}", b.name));
                if free {
                    let edit = text.edit(b.range, format!("_{}", b.name));
                    d.fixes.push(text.fix(format!("rename it to `_{}`", b.name), edit, Applicability::Safe));
                }
                out.push(d);
            }
            // Through `args@{ a, … }` all of them are used.
            BindingKind::Formal if !has_whole(b) => {
                let mut d = text.find(
                    Severity::Warning,
                    "NXA013",
                    format!("the argument `{}` is not used", b.name),
                    b.range,
                    "not used",
                );
                if let Some(range) = formal(b) {
                    let edit = text.edit(range, "");
                    d.fixes.push(text.fix(format!("remove `{}`", b.name), edit, Applicability::Unsafe));
                }
                out.push(d);
            }
            BindingKind::Whole => {
                let mut d = text.find(
                    Severity::Warning,
                    "NXA013",
                    format!("the name `{}` of the whole argument is not used", b.name),
                    b.range,
                    "not used",
                );
                if let Some(range) = b.entries.first().map(|n| n.text_range()) {
                    let edit = text.edit(whole(text, range), "");
                    d.fixes.push(text.fix(format!("remove `{}`", b.name), edit, Applicability::Safe));
                }
                out.push(d);
            }
            _ => {}
        }
    }
}

fn has_whole(b: &Binding) -> bool {
    let lambda = ast::Lambda::cast(b.owner.clone());
    matches!(lambda.and_then(|l| l.param()), Some(ast::Param::Pattern(p)) if p.pat_bind().is_some())
}

/// A formal with one of the commas beside it.
fn formal(b: &Binding) -> Option<TextRange> {
    let entry = b.entries.first()?;
    let (first, last) = (entry.first_token()?, entry.last_token()?);
    let before = previous_token(&first).filter(|t| t.kind() == SyntaxKind::TOKEN_COMMA);
    if let Some(comma) = before {
        return Some(TextRange::new(comma.text_range().start(), entry.text_range().end()));
    }
    let after = next_token(&last).filter(|t| t.kind() == SyntaxKind::TOKEN_COMMA);
    let end = match after {
        // The blanks after the comma go too, so that what follows takes the place.
        Some(comma) => match comma.next_sibling_or_token() {
            Some(NodeOrToken::Token(blank)) if blank.kind() == SyntaxKind::TOKEN_WHITESPACE => {
                blank.text_range().end()
            }
            _ => comma.text_range().end(),
        },
        None => entry.text_range().end(),
    };
    Some(TextRange::new(entry.text_range().start(), end))
}

/// `args@` or `@args`, which the tree has as a node that may or may not hold the `@`.
fn whole(text: &Text, range: TextRange) -> TextRange {
    let all = text.str();
    let (start, end): (usize, usize) = (range.start().into(), range.end().into());
    let before = all[..start].trim_end();
    let after = all[end..].trim_start();
    if before.ends_with('@') {
        return TextRange::new((before.trim_end_matches('@').trim_end().len() as u32).into(), range.end());
    }
    if let Some(rest) = after.strip_prefix('@') {
        let rest = rest.trim_start();
        return TextRange::new(range.start(), ((all.len() - rest.len()) as u32).into());
    }
    range
}
