//! The parser against what C++ Nix makes of the same texts.

use super::*;
use crate::syntax::show::show;

fn dump(text: &[u8]) -> String {
    let arena = Bump::new();
    match parse(text, &arena, Options { pipes: true, ..Options::default() }) {
        Ok(e) => String::from_utf8_lossy(&show(e, b"/base")).into_owned(),
        Err(e) => format!("error: {e}"),
    }
}

#[test]
fn snippets_mean_what_nix_says() {
    let file = include_str!("../../../tests/syntax/snippets.txt");
    let mut lines = file.lines().filter(|l| !l.starts_with("# Each") && !l.starts_with("# with"));
    let mut wrong = Vec::new();
    while let (Some(text), Some(expected)) = (lines.next(), lines.next()) {
        let found = dump(text.as_bytes());
        if found != expected.trim_start_matches('\t') {
            wrong.push(format!("{text}\n  expected {expected}\n  found      {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
