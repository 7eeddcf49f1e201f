//! Operations on attribute sets.

use super::Evaluation;
use super::error::{ErrorKind, EvalError};
use super::step::share_element;
use super::value::{Attr, Attrs, Value};
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;

/// A right side of at most this many attributes makes a layer instead of a copy.
const LAYER: usize = 16;
/// Layers over which a copy is made.
const MAX_DEPTH: u32 = 8;

impl<'h> Evaluation<'h> {
    /// `a // b`
    pub fn update(&mut self, a: &'h Attrs<'h>, b: &'h Attrs<'h>) -> &'h Attrs<'h> {
        if a.is_empty() {
            return b;
        }
        if b.is_empty() {
            return a;
        }
        let heap = self.heap;
        if b.base.is_none() && b.len() <= LAYER && a.len() > b.len() * 2 && a.depth < MAX_DEPTH {
            let common = b.names.iter().filter(|&&n| a.get(n).is_some()).count();
            let len = (a.len() + b.len() - common) as u32;
            return heap.keep_attrs(Attrs { base: Some(a), len, depth: a.depth + 1, origin: b.origin, ..*b });
        }
        if a.base.is_none() && b.base.is_none() {
            return self.merge_flat(a, b);
        }
        let (x, y) = (a.to_vec(), b.to_vec());
        let mut all: Vec<Attr<'h>> = Vec::with_capacity(x.len() + y.len());
        let (mut i, mut j) = (0, 0);
        while i < x.len() && j < y.len() {
            let (p, q) = (x[i], y[j]);
            if p.name < q.name {
                all.push(p);
                i += 1;
            } else {
                all.push(q);
                j += 1;
                if p.name == q.name {
                    i += 1;
                }
            }
        }
        all.extend_from_slice(&x[i..]);
        all.extend_from_slice(&y[j..]);
        self.set_of(&all, b.origin)
    }

    /// `a // b` of sets without layers.
    fn merge_flat(&mut self, a: &'h Attrs<'h>, b: &'h Attrs<'h>) -> &'h Attrs<'h> {
        let heap = self.heap;
        let (mut i, mut j, mut common) = (0, 0, 0);
        while i < a.names.len() && j < b.names.len() {
            let (p, q) = (a.names[i], b.names[j]);
            common += usize::from(p == q);
            i += usize::from(p <= q);
            j += usize::from(q <= p);
        }
        let n = a.names.len() + b.names.len() - common;
        // For each attribute of the result, where it comes from.
        let (mut i, mut j) = (0, 0);
        let mut next = || {
            let (p, q) = (a.names.get(i), b.names.get(j));
            match (p, q) {
                (Some(p), Some(q)) if p < q => (false, bump(&mut i)),
                (Some(p), Some(q)) => {
                    i += usize::from(p == q);
                    (true, bump(&mut j))
                }
                (Some(_), None) => (false, bump(&mut i)),
                _ => (true, bump(&mut j)),
            }
        };
        self.sources.clear();
        self.sources.extend((0..n).map(|_| next()));
        let from = |k: usize| if self.sources[k].0 { (b, self.sources[k].1) } else { (a, self.sources[k].1) };
        let names = heap.copies(n, |k| {
            let (set, i) = from(k);
            set.names[i]
        });
        let spans: &[SpanId] = if a.spans.is_empty() && b.spans.is_empty() {
            &[]
        } else {
            heap.copies(n, |k| {
                let (set, i) = from(k);
                set.spans.get(i).copied().unwrap_or(SpanId::NONE)
            })
        };
        let values = heap.new_slots(n, |k| {
            let (set, i) = from(k);
            share_element(&set.values[i])
        });
        heap.keep_attrs(Attrs::flat(names, spans, values, b.origin))
    }

    /// A set of these attributes, which are sorted by symbol and without duplicates; their cells
    /// are shared.
    pub fn set_of(&mut self, all: &[Attr<'h>], origin: SpanId) -> &'h Attrs<'h> {
        let heap = self.heap;
        let names = heap.slice_from(all.iter().map(|a| a.name));
        let spans: &[SpanId] = if all.iter().all(|a| a.span.is_none()) {
            &[]
        } else {
            heap.slice_from(all.iter().map(|a| a.span))
        };
        let values = heap.slots_from(all.iter().map(|a| share_element(a.slot)));
        heap.keep_attrs(Attrs::flat(names, spans, values, origin))
    }

    /// The place a span stands for, as `__curPos` and `unsafeGetAttrPos` give it; null if unknown.
    pub fn position(&mut self, span: SpanId) -> Value<'h> {
        let Some(place) = span.resolve() else { return Value::Null(SpanId::NONE) };
        let Some(path) = place.source.path() else { return Value::Null(SpanId::NONE) };
        let (line, column) = place.line_col();
        let file = self.heap.string(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()));
        let (w_file, w_line, w_column) = (self.words.file, self.words.line, self.words.column);
        self.heap.attrs_from(vec![
            (w_file, SpanId::NONE, file),
            (w_line, SpanId::NONE, Value::Int(SpanId::NONE, i64::from(line))),
            (w_column, SpanId::NONE, Value::Int(SpanId::NONE, i64::from(column))),
        ])
    }
}

fn bump(i: &mut usize) -> usize {
    *i += 1;
    *i - 1
}

/// The error for an attribute that is not there.
#[cold]
#[inline(never)]
pub fn missing(name: Symbol, set: &Attrs<'_>, span: SpanId) -> Box<EvalError> {
    let near = near(name, set.to_vec().into_iter().map(|a| a.name));
    EvalError::new(
        ErrorKind::MissingAttr,
        format!("attribute '{}' missing", super::coerce::attr_text(name)),
        span,
    )
    .suggest(near)
}

/// Names near to one that was not found, as Nix chooses them: at most two letters apart, nearest first, at most
/// five.
#[cold]
pub fn near(name: Symbol, known: impl Iterator<Item = Symbol>) -> Vec<String> {
    let mut found: Vec<(usize, &'static [u8])> = known
        .filter(|k| k.name().len().abs_diff(name.name().len()) <= MOST_APART)
        .map(|k| (letters_apart(name.name(), k.name()), k.name()))
        .filter(|(distance, _)| *distance <= MOST_APART)
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(5).map(|(_, k)| String::from_utf8_lossy(k).into_owned()).collect()
}

const MOST_APART: usize = 2;

/// The edit distance: insertions, deletions and changes of bytes.
fn letters_apart(a: &[u8], b: &[u8]) -> usize {
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = std::mem::replace(&mut last[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let here = (corner + usize::from(x != y)).min(last[j] + 1).min(last[j + 1] + 1);
            corner = std::mem::replace(&mut last[j + 1], here);
        }
    }
    last[b.len()]
}
