//! Running a program, depth first.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use rustc_hash::FxHasher;

use super::{Groups, Inst, Regex};

const UNSET: usize = usize::MAX;

enum Task {
    Go(u32, usize),
    Restore(u32, usize),
    /// All that follows from there has been tried.
    Done(u32, usize),
}

/// The longest match that begins at `start` (or, for `whole`, the match that ends at the end), and
/// its groups.
pub(super) fn run(re: &Regex, text: &[u8], start: usize, whole: bool) -> Option<(usize, Groups)> {
    let mut slots = vec![UNSET; re.slots];
    // A place that is still being tried may be met again, in an empty round of a loop, whose groups
    // then count; a place that has been tried leads nowhere new.
    let mut done: HashSet<(u32, usize), BuildHasherDefault<FxHasher>> = HashSet::default();
    let mut tasks = vec![Task::Go(0, start)];
    let mut best: Option<(usize, Vec<usize>)> = None;
    while let Some(task) = tasks.pop() {
        let (mut pc, mut at) = match task {
            Task::Restore(slot, old) => {
                slots[slot as usize] = old;
                continue;
            }
            Task::Done(pc, at) => {
                done.insert((pc, at));
                continue;
            }
            Task::Go(pc, at) => (pc, at),
        };
        loop {
            match &re.program[pc as usize] {
                Inst::Byte(b) if text.get(at) == Some(b) => (pc, at) = (pc + 1, at + 1),
                Inst::Set(s) if text.get(at).is_some_and(|&b| s.has(b)) => (pc, at) = (pc + 1, at + 1),
                Inst::Byte(_) | Inst::Set(_) => break,
                Inst::Split(a, b) => {
                    if done.contains(&(pc, at)) {
                        break;
                    }
                    tasks.push(Task::Done(pc, at));
                    tasks.push(Task::Go(*b, at));
                    pc = *a;
                }
                Inst::Jump(to) => pc = *to,
                Inst::Save(slot) => {
                    tasks.push(Task::Restore(*slot, slots[*slot as usize]));
                    slots[*slot as usize] = at;
                    pc += 1;
                }
                Inst::Again { slot, head, out } => {
                    pc = if slots[*slot as usize] == at { *out } else { *head };
                }
                Inst::Start if at == 0 => pc += 1,
                Inst::End if at == text.len() => pc += 1,
                Inst::Start | Inst::End => break,
                Inst::Accept => {
                    let better =
                        if whole { at == text.len() } else { best.as_ref().is_none_or(|b| at > b.0) };
                    if better {
                        best = Some((at, slots.clone()));
                        if at == text.len() {
                            return finish(re, best);
                        }
                    }
                    break;
                }
            }
        }
    }
    finish(re, best)
}

fn finish(re: &Regex, best: Option<(usize, Vec<usize>)>) -> Option<(usize, Groups)> {
    let (end, slots) = best?;
    let groups = (0..re.groups)
        .map(|g| match (slots[2 * g], slots[2 * g + 1]) {
            (UNSET, _) | (_, UNSET) => None,
            (a, b) => Some((a, b)),
        })
        .collect();
    Some((end, groups))
}
