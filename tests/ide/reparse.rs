//! A tree that is kept up to date is the tree of the text.

use nixactions::base::lines::Lines;
use nixactions::syntax::reparse::{Change, Tree};
use proptest::prelude::*;

use super::random::piece;

const TEXTS: [&str; 4] = [
    include_str!("../../examples/03-real-world/complete.nix"),
    "{ a = 1; b = { c = \"x${toString 1}y\"; d = ''\n  echo ${a}\n  ''; }; inherit (x) y z; }\n",
    "let\n  a = { b, c ? 1, ... }@d: b;\n  e = with f; [ g h ];\n  # a comment\n  i = if j then k else l;\nin\n{ m = a { }; n.o.p = \"${let q = 1; in q}\"; }\n",
    "{ lib, ... }: rec { s = \"${{ t = 1; u = { v = 2; }; }.t}\"; w = let { body = 1; }; x = s; }",
];

fn same(tree: &Tree, text: &str) -> Result<(), TestCaseError> {
    let whole = Tree::of(text);
    prop_assert_eq!(format!("{:#?}", tree.root()), format!("{:#?}", whole.root()), "{}", text);
    prop_assert_eq!(tree.errors(), whole.errors(), "{}", text);
    Ok(())
}

/// Replaces characters of a text; where, and by what.
fn replace(text: &mut String, at: usize, remove: usize, with: &str) -> Change {
    let starts: Vec<usize> = text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
    let start = starts[at % starts.len()];
    let end = starts[(at % starts.len() + remove).min(starts.len() - 1)];
    text.replace_range(start..end, with);
    Change { start: start as u32, old_end: end as u32, new_end: (start + with.len()) as u32 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn of_one_change_after_the_other(
        which in 0..TEXTS.len(),
        edits in prop::collection::vec((any::<usize>(), 0..6usize, piece()), 1..12),
    ) {
        let mut text = TEXTS[which].to_owned();
        let mut tree = Tree::of(&text);
        let mut lines = Lines::new(&text);
        for (at, remove, with) in edits {
            let change = replace(&mut text, at, remove, &with);
            tree = tree.edited(&text, change);
            lines = lines.edited(&text, change.start, change.old_end, change.new_end);
            same(&tree, &text)?;
            prop_assert_eq!(&lines, &Lines::new(&text));
        }
    }

    #[test]
    fn of_several_changes_at_once(
        which in 0..TEXTS.len(),
        edits in prop::collection::vec((any::<usize>(), 0..9usize, piece()), 2..5),
    ) {
        let mut text = TEXTS[which].to_owned();
        let tree = Tree::of(&text);
        let changes = edits.iter().map(|(at, remove, with)| replace(&mut text, *at, *remove, with));
        let change = changes.collect::<Vec<_>>().into_iter().reduce(Change::then).expect("two or more");
        same(&tree.edited(&text, change), &text)?;
    }
}

#[test]
fn of_ordinary_typing_without_the_whole_text() {
    let mut text: String =
        (0..500).fold("{\n".to_owned(), |t, i| t + &format!("  a{i} = [ {i} ];\n")) + "}\n";
    let mut tree = Tree::of(&text);
    let mut at = text.find("  a250").expect("there");
    // A binding is written, as editors that close brackets have it; `^` goes back by a character.
    for piece in ["n", "e", "w", " ", "=", " ", "\"\"", ";", "^", "^", "y", "${w}", "^", "z"] {
        if piece == "^" {
            at -= 1;
            continue;
        }
        text.insert_str(at, piece);
        let change = Change { start: at as u32, old_end: at as u32, new_end: (at + piece.len()) as u32 };
        at += piece.len();
        tree = tree.reparsed(&text, change).unwrap_or_else(|| panic!("{piece:?} needs the whole text"));
        assert_eq!(format!("{:?}", tree.root()), format!("{:?}", Tree::of(&text).root()));
    }
    assert!(tree.errors().is_empty() && text.contains("new = \"y${wz}\";"), "{text}");
}
