//! "Did you mean": the names nearest to one that is not there.

/// The edit distance of two texts (insertions, deletions, substitutions and swaps of neighbours,
/// a change of case counting half), times two.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).map(|j| 2 * j).collect();
    for i in 1..=a.len() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(2 * i);
        for j in 1..=b.len() {
            let same = if a[i - 1] == b[j - 1] {
                0
            } else if a[i - 1].eq_ignore_ascii_case(&b[j - 1]) {
                1
            } else {
                2
            };
            let mut best = (last[j - 1] + same).min(last[j] + 2).min(row[j - 1] + 2);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 2);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// Letters and digits only, in lower case: `continue-on-error` and `continueOnError` are equal.
fn folded(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Up to three candidates that `name` was likely meant to be, nearest first. Candidates that begin
/// with `_` are never offered.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    // Names longer than this are data, not typing mistakes.
    const LONGEST: usize = 200;
    let a: Vec<char> = name.chars().collect();
    let fold = folded(name);
    let mut found: Vec<(usize, &str)> = Vec::new();
    for c in candidates {
        if c.starts_with('_') || c == name || c.len() > LONGEST || a.len() > LONGEST {
            continue;
        }
        let b: Vec<char> = c.chars().collect();
        let d = if !fold.is_empty() && fold == folded(c) { 0 } else { distance(&a, &b) };
        // A third of the longer name may differ, at least one character.
        if d <= (2 * a.len().max(b.len()) / 3).max(2) && d < 2 * a.len().min(b.len()).max(1) {
            found.push((d, c));
        }
    }
    found.sort();
    found.dedup();
    let best = found.first().map_or(0, |f| f.0);
    found.into_iter().filter(|f| f.0 <= best + 1).take(3).map(|f| f.1).collect()
}

/// "did you mean `a` or `b`?", or nothing when no candidate is near.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let names: Vec<String> = nearest(name, candidates).iter().map(|n| format!("`{n}`")).collect();
    let (last, first) = names.split_last()?;
    Some(if first.is_empty() {
        format!("did you mean {last}?")
    } else {
        format!("did you mean {} or {last}?", first.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let keys = ["needs", "steps", "executor", "continueOnError", "name", "env"];
        assert_eq!(nearest("neds", keys), ["needs"]);
        assert_eq!(nearest("continue_on_error", keys), ["continueOnError"]);
        assert_eq!(nearest("setps", keys), ["steps"]);
        assert!(nearest("banana", keys).is_empty());
        assert!(nearest("x", ["y"]).is_empty());
        assert_eq!(did_you_mean("sucess", ["success"]).unwrap(), "did you mean `success`?");
    }
}
