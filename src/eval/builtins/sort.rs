//! The merge sort that `builtins.sort` uses.
//!
//! "Peeksort" of J. Ian Munro and Sebastian Wild, "Nearly-Optimal Mergesorts" (ESA 2018), which C++
//! Nix 2.34 uses too: it makes the same comparisons in the same order, so that even comparison
//! functions that are not orders give the same list.

use crate::eval::value::{Res, Value};

type Less<'a, 'h> = &'a mut dyn FnMut(Value<'h>, Value<'h>) -> Res<bool>;

/// Sorts stably.
///
/// # Errors
/// The first error of the comparison; the order is then unspecified.
pub(crate) fn peek_sort<'h>(items: &mut [Value<'h>], less: Less<'_, 'h>) -> Res<()> {
    let n = items.len();
    if n < 2 {
        return Ok(());
    }
    let left = run_right(items, 0, n, less)?;
    if left == n {
        return Ok(());
    }
    let right = run_left(items, left, n, less)?;
    let mut buffer = Vec::with_capacity(n);
    sort_between(items, 0, left, right, n, &mut buffer, less)
}

/// Length of the sorted prefix of `items[from..to]` as an end index; a strictly falling one is reversed.
fn run_right<'h>(items: &mut [Value<'h>], from: usize, to: usize, less: Less<'_, 'h>) -> Res<usize> {
    let mut i = from + 1;
    if i >= to {
        return Ok(to);
    }
    if less(items[i], items[i - 1])? {
        i += 1;
        while i < to && less(items[i], items[i - 1])? {
            i += 1;
        }
        items[from..i].reverse();
    } else {
        i += 1;
        while i < to && !less(items[i], items[i - 1])? {
            i += 1;
        }
    }
    Ok(i)
}

/// Start of the sorted suffix of `items[from..to]`.
fn run_left<'h>(items: &mut [Value<'h>], from: usize, to: usize, less: Less<'_, 'h>) -> Res<usize> {
    let mut i = to - 1;
    if i <= from {
        return Ok(from);
    }
    if less(items[i], items[i - 1])? {
        i -= 1;
        while i > from && less(items[i], items[i - 1])? {
            i -= 1;
        }
        items[i..to].reverse();
    } else {
        i -= 1;
        while i > from && !less(items[i], items[i - 1])? {
            i -= 1;
        }
    }
    Ok(i)
}

/// Sorts `items[from..to]`, whose parts before `left` and from `right` on are sorted runs.
fn sort_between<'h>(
    items: &mut [Value<'h>],
    from: usize,
    left: usize,
    right: usize,
    to: usize,
    buffer: &mut Vec<Value<'h>>,
    less: Less<'_, 'h>,
) -> Res<()> {
    if left == to || right == from {
        return Ok(());
    }
    let mid = from + (to - from) / 2;
    if mid <= left {
        if to - left > 0 {
            let end = if left < right { run_right(items, left, right, less)? } else { left };
            sort_between(items, left, end.max(left), right, to, buffer, less)?;
        }
        merge(items, from, left, to, buffer, less)
    } else if mid >= right {
        let start = if left < right { run_left(items, left, right, less)? } else { right };
        sort_between(items, from, left, start, right, buffer, less)?;
        merge(items, from, right, to, buffer, less)
    } else {
        let i = run_left(items, left, mid + 1, less)?;
        let j = if i == mid { run_right(items, mid, right, less)? } else { mid + 1 };
        if mid - i < j - mid {
            sort_between(items, from, left, i, i, buffer, less)?;
            sort_between(items, i, j, right, to, buffer, less)?;
            merge(items, from, i, to, buffer, less)
        } else {
            sort_between(items, from, left, i, j, buffer, less)?;
            sort_between(items, j, j, right, to, buffer, less)?;
            merge(items, from, j, to, buffer, less)
        }
    }
}

fn merge<'h>(
    items: &mut [Value<'h>],
    from: usize,
    mid: usize,
    to: usize,
    buffer: &mut Vec<Value<'h>>,
    less: Less<'_, 'h>,
) -> Res<()> {
    if from == mid || mid == to {
        return Ok(());
    }
    buffer.clear();
    buffer.extend_from_slice(&items[from..mid]);
    let (mut i, mut j, mut k) = (0, mid, from);
    while i < buffer.len() && j < to {
        if less(items[j], buffer[i])? {
            items[k] = items[j];
            j += 1;
        } else {
            items[k] = buffer[i];
            i += 1;
        }
        k += 1;
    }
    let rest = buffer.len() - i;
    items[k..k + rest].copy_from_slice(&buffer[i..]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::source::SpanId;

    fn sorted(v: &[i64]) -> Vec<i64> {
        let mut items: Vec<Value<'_>> = v.iter().map(|&n| Value::Int(SpanId::NONE, n)).collect();
        let int = |v| match v {
            Value::Int(_, n) => n,
            _ => 0,
        };
        peek_sort(&mut items, &mut |a, b| Ok(int(a) / 10 < int(b) / 10)).unwrap();
        items.into_iter().map(int).collect()
    }

    #[test]
    fn sorts_stably() {
        let mut seed = 7u64;
        for n in 0..200 {
            let v: Vec<i64> = (0..n)
                .map(|_| {
                    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                    (seed >> 40) as i64 % 300
                })
                .collect();
            let mut want = v.clone();
            want.sort_by_key(|x| x / 10);
            assert_eq!(sorted(&v), want, "{v:?}");
        }
    }
}
