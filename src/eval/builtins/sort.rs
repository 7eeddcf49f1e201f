//! The merge sort that `builtins.sort` uses.
//!
//! "Peeksort" of J. Ian Munro and Sebastian Wild, "Nearly-Optimal Mergesorts" (ESA 2018), which C++
//! Nix 2.34 uses too: it makes the same comparisons in the same order, so that even comparison
//! functions that are not orders give the same list.

use crate::eval::value::{Res, Value};

type Less<'a, 'h> = &'a mut dyn FnMut(Value<'h>, Value<'h>) -> Res<bool>;

/// Parts up to this long are sorted by insertion.
const SHORT: usize = 16;

/// Sorts stably.
///
/// # Errors
/// The first error of the comparison; the order is then unspecified.
pub(crate) fn peek_sort<'h>(items: &mut [Value<'h>], less: Less<'_, 'h>) -> Res<()> {
    let n = items.len();
    match n {
        0 | 1 => Ok(()),
        2 => {
            if less(items[1], items[0])? {
                items.swap(0, 1);
            }
            Ok(())
        }
        _ => sort_between(items, 0, 0, n, n, &mut Vec::with_capacity(n), less),
    }
}

fn insertion_sort<'h>(items: &mut [Value<'h>], less: Less<'_, 'h>) -> Res<()> {
    for i in 1..items.len() {
        let mut at = i;
        while at > 0 && less(items[at], items[at - 1])? {
            items.swap(at, at - 1);
            at -= 1;
        }
    }
    Ok(())
}

/// The end of the run at the start of `items[from..to]`: of falling neighbours, or of others.
fn run_end<'h>(
    items: &[Value<'h>],
    mut from: usize,
    to: usize,
    falling: bool,
    less: Less<'_, 'h>,
) -> Res<usize> {
    if from == to {
        return Ok(from);
    }
    while from + 1 != to && less(items[from + 1], items[from])? == falling {
        from += 1;
    }
    Ok(from + 1)
}

/// The start of the run at the end of `items[from..to]`: of falling neighbours, or of others.
fn run_start<'h>(
    items: &[Value<'h>],
    from: usize,
    mut to: usize,
    falling: bool,
    less: Less<'_, 'h>,
) -> Res<usize> {
    if from == to {
        return Ok(to);
    }
    while to - 1 > from && less(items[to - 1], items[to - 2])? == falling {
        to -= 1;
    }
    Ok(to - 1)
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
    if to - from <= SHORT {
        return insertion_sort(&mut items[from..to], less);
    }
    let mid = from + (to - from) / 2;
    if mid <= left {
        sort_between(items, left, left + 1, right, to, buffer, less)?;
        return merge(items, from, left, to, buffer, less);
    }
    if mid >= right {
        sort_between(items, from, left, right - 1, right, buffer, less)?;
        return merge(items, from, right, to, buffer, less);
    }
    let falling = less(items[mid], items[mid - 1])?;
    let i = run_start(items, left, mid, falling, less)?;
    let j = run_end(items, mid - 1, right, falling, less)?;
    if falling {
        items[i..j].reverse();
    }
    if i == from && j == to {
        return Ok(());
    }
    if mid - i < j - mid {
        sort_between(items, from, left, i - 1, i, buffer, less)?;
        sort_between(items, i, j, right, to, buffer, less)?;
        merge(items, from, i, to, buffer, less)
    } else {
        sort_between(items, from, left, i, j, buffer, less)?;
        sort_between(items, j, j + 1, right, to, buffer, less)?;
        merge(items, from, j, to, buffer, less)
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
