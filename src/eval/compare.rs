//! Equality and order.

use super::Evaluation;
use super::error::EvalError;
use super::value::{Res, Slot, Value};
use crate::base::source::SpanId;

/// Re-exported order of the standard library: what comparisons yield.
pub use std::cmp::Ordering as Order;

impl<'h> Evaluation<'h> {
    /// `a == b` of two evaluated values.
    pub fn equal(&mut self, a: Value<'h>, b: Value<'h>, span: SpanId) -> Res<bool> {
        Ok(match (a, b) {
            (Value::Null(_), Value::Null(_)) => true,
            (Value::Bool(x), Value::Bool(y)) => x == y,
            (Value::Int(_, x), Value::Int(_, y)) => x == y,
            (Value::Int(_, x), Value::Float(_, y)) => x as f64 == y,
            (Value::Float(_, x), Value::Int(_, y)) => x == y as f64,
            (Value::Float(_, x), Value::Float(_, y)) => x == y,
            (Value::Str(x), Value::Str(y)) | (Value::Path(x), Value::Path(y)) => x.bytes == y.bytes,
            (Value::List(x), Value::List(y)) => {
                if x.items.len() != y.items.len() {
                    return Ok(false);
                }
                return self.nested(span, |ev| {
                    for (p, q) in x.items.iter().zip(y.items) {
                        if !ev.equal_slots(p, q, span)? {
                            return Ok(false);
                        }
                    }
                    Ok(true)
                });
            }
            (Value::Attrs(x), Value::Attrs(y)) => {
                if self.is_derivation(a)? && self.is_derivation(b)? {
                    let out = self.words.out_path;
                    if let (Some(p), Some(q)) = (x.get(out), y.get(out)) {
                        return self.nested(span, |ev| ev.equal_slots(p, q, span));
                    }
                }
                if x.len() != y.len() {
                    return Ok(false);
                }
                let (xs, ys) = (x.sorted(), y.sorted());
                if xs.iter().zip(&ys).any(|(p, q)| p.name != q.name) {
                    return Ok(false);
                }
                return self.nested(span, |ev| {
                    for (p, q) in xs.iter().zip(&ys) {
                        if !ev.equal_slots(p.slot, q.slot, span)? {
                            return Ok(false);
                        }
                    }
                    Ok(true)
                });
            }
            _ => false,
        })
    }

    /// Equality of two cells: the same cell is equal to itself, whatever it holds.
    pub fn equal_slots(&mut self, a: &Slot<'h>, b: &Slot<'h>, span: SpanId) -> Res<bool> {
        let x = self.force(a)?;
        let y = self.force(b)?;
        if same_cell(a, b) || same_set(x, y) {
            return Ok(true);
        }
        self.equal(x, y, span)
    }

    /// Whether a value is a set with `type = "derivation"`.
    pub fn is_derivation(&mut self, v: Value<'h>) -> Res<bool> {
        let Value::Attrs(a) = v else { return Ok(false) };
        let Some(t) = a.get(self.words.type_) else { return Ok(false) };
        Ok(matches!(self.force(t)?, Value::Str(s) if s.bytes == b"derivation"))
    }

    /// `a < b` of two evaluated values.
    pub fn less_than(&mut self, a: Value<'h>, b: Value<'h>, span: SpanId) -> Res<bool> {
        Ok(match (a, b) {
            (Value::Int(_, x), Value::Int(_, y)) => x < y,
            (Value::Int(_, x), Value::Float(_, y)) => (x as f64) < y,
            (Value::Float(_, x), Value::Int(_, y)) => x < y as f64,
            (Value::Float(_, x), Value::Float(_, y)) => x < y,
            (Value::Str(x), Value::Str(y)) | (Value::Path(x), Value::Path(y)) => x.bytes < y.bytes,
            (Value::List(x), Value::List(y)) => {
                for (i, q) in y.items.iter().enumerate() {
                    let Some(p) = x.items.get(i) else { return Ok(true) };
                    if !self.equal_slots(p, q, span)? {
                        let (p, q) = (self.force(p)?, self.force(q)?);
                        return self.nested(span, |ev| ev.less_than(p, q, span));
                    }
                }
                false
            }
            _ => {
                let mut text = b"cannot compare ".to_vec();
                text.extend_from_slice(&self.describe(a));
                text.extend_from_slice(b" with ");
                text.extend_from_slice(&self.describe(b));
                let alike = std::mem::discriminant(&a) == std::mem::discriminant(&b);
                text.extend_from_slice(if alike {
                    b"; values of that type are incomparable (values are "
                } else {
                    b"; values are "
                });
                text.extend_from_slice(&self.preview(a));
                text.extend_from_slice(b" and ");
                text.extend_from_slice(&self.preview(b));
                text.extend_from_slice(if alike { b")" } else { b"" });
                return Err(EvalError::type_error(text, span));
            }
        })
    }
}

/// Whether both are one set: uses of one variable are, and Nix does not look into those. It does
/// look where one set was selected twice, which can be told only if something in it fails.
pub(super) fn same_set<'h>(a: Value<'h>, b: Value<'h>) -> bool {
    matches!((a, b), (Value::Attrs(x), Value::Attrs(y)) if std::ptr::eq(x, y))
}

/// Whether both lead to one cell.
pub(super) fn same_cell<'h>(a: &Slot<'h>, b: &Slot<'h>) -> bool {
    std::ptr::eq(end(a), end(b))
}

/// The cell at the end of a chain of references.
fn end<'a, 'h>(slot: &'a Slot<'h>) -> &'a Slot<'h> {
    let mut s = slot;
    while let Value::Ref(next) = s.get() {
        s = next;
    }
    s
}
