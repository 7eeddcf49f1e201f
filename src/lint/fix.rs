//! Applying fixes to a text.

use crate::base::source::Source;
use crate::diag::{Applicability, Diagnostic, Edit, Fix};
use crate::syntax;

/// A text with fixes applied.
pub struct Fixed {
    /// The new text.
    pub text: Vec<u8>,
    /// How many fixes went into it.
    pub applied: usize,
}

/// The fix of a finding that may be applied: the first that is safe, or with `unsafe_too` the first
/// of all.
pub fn chosen(d: &Diagnostic, unsafe_too: bool) -> Option<&Fix> {
    let safe = d.fixes.iter().find(|f| f.applicability == Applicability::Safe);
    safe.or_else(|| d.fixes.first().filter(|_| unsafe_too))
}

/// Applies to one source the fixes that speak of it alone and do not touch each other, in the order
/// of their places. What is left out comes with the next round, on the new text. `None` when there
/// is nothing to apply, or when the result would no longer parse although the text does.
pub fn apply(source: &Source, findings: &[Diagnostic], unsafe_too: bool) -> Option<Fixed> {
    let here = |e: &Edit| e.place.source.name() == source.name() && e.place.source.text() == source.text();
    let mut fixes: Vec<&Fix> = findings
        .iter()
        .filter_map(|d| chosen(d, unsafe_too))
        .filter(|f| !f.edits.is_empty() && f.edits.iter().all(here))
        .collect();
    fixes.sort_by_key(|f| f.edits.iter().map(|e| e.place.start).min());
    let mut taken: Vec<&Edit> = Vec::new();
    let mut applied = 0;
    for fix in fixes {
        let free =
            |e: &Edit| taken.iter().all(|t| e.place.start > t.place.end || e.place.end < t.place.start);
        if fix.edits.iter().all(free) {
            taken.extend(&fix.edits);
            applied += 1;
        }
    }
    taken.sort_by_key(|e| e.place.start);
    let old = source.text();
    let mut text = Vec::with_capacity(old.len());
    let mut at = 0usize;
    for e in taken {
        let range = e.place.range();
        // The edits of one fix do not overlap; one that did would be left out.
        if range.start < at || range.end > old.len() {
            continue;
        }
        text.extend_from_slice(&old[at..range.start]);
        text.extend_from_slice(e.text.as_bytes());
        at = range.end;
    }
    text.extend_from_slice(&old[at..]);
    let good = applied > 0 && text[..] != old[..] && (syntax::accepts(&text) || !syntax::accepts(old));
    good.then_some(Fixed { text, applied })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::source::{Place, SourceName};
    use std::sync::Arc;

    fn finding(
        source: &Arc<Source>,
        start: u32,
        end: u32,
        text: &str,
        applicability: Applicability,
    ) -> Diagnostic {
        let place = Place { source: source.clone(), start, end };
        let edits = vec![Edit { place, text: text.into() }];
        Diagnostic::warning("NXA012", "x").fix(Fix { title: "fix".into(), edits, applicability })
    }

    #[test]
    fn fixes_that_touch_wait_for_the_next_round() {
        use Applicability::{Safe, Unsafe};
        let source = Source::new(SourceName::Stdin, b"[ 1 2 3 ]".to_vec());
        let all = [
            finding(&source, 2, 3, "4", Safe),
            finding(&source, 3, 5, "", Safe),
            finding(&source, 6, 7, "5", Unsafe),
        ];
        let fixed = apply(&source, &all, false).expect("a fix");
        assert_eq!((&fixed.text[..], fixed.applied), (&b"[ 4 2 3 ]"[..], 1));
        let fixed = apply(&source, &all, true).expect("a fix");
        assert_eq!((&fixed.text[..], fixed.applied), (&b"[ 4 2 5 ]"[..], 2));
    }

    #[test]
    fn a_fix_never_breaks_a_text() {
        let source = Source::new(SourceName::Stdin, b"[ 1 ]".to_vec());
        assert!(apply(&source, &[finding(&source, 4, 5, "", Applicability::Safe)], true).is_none());
    }
}
