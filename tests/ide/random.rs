//! Any text, any place: no feature fails, and edits made from a text stay inside of it.

use nixactions::eval::io::System;
use nixactions::eval::on_big_stack;
use nixactions::ide::document::{Document, range};
use nixactions::ide::facts::Shift;
use nixactions::ide::place::Context;
use nixactions::ide::probe::{NoProbe, text_for};
use nixactions::ide::{
    actions, calls, completion, definition, folding, hover, inlay, lens, links, references, rename,
    selection, symbols, tokens,
};
use proptest::prelude::*;

use super::fixture::{evaluate, no_dir};

/// Pieces of the language, broken ones too.
pub(super) fn piece() -> impl Strategy<Value = String> {
    let words = [
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        ";",
        ":",
        "=",
        ".",
        ",",
        "@",
        "?",
        "...",
        "\"",
        "''",
        "${",
        "let ",
        " in ",
        "with ",
        "rec ",
        "inherit ",
        "if ",
        " then ",
        " else ",
        "assert ",
        " or ",
        "//",
        "++",
        "|>",
        "./a",
        "<a>",
        "~/b",
        "# c\n",
        "/* d */",
        "jobs = ",
        "needs = [ \"a\" ]",
        "steps = ",
        "name",
        "x",
        "a",
        "1",
        "1.5",
        "\n",
        " ",
        "nixactions.mkWorkflow ",
        "{ nixactions, ... }: ",
        "builtins.",
        "ü",
        "😀",
        "\r\n",
        "\\",
        "'",
        "_",
    ];
    prop_oneof![
        8 => prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..60).prop_map(|p| p.concat())
}

fn ask_everything(text: &str, offset: u32) {
    let document = Document::new("/fixture/ci.nix", text);
    let context = Context::new(&document, None);
    let end = text.len() as u32;
    let whole = range(0, end);
    drop(hover::hover(&context, offset, &NoProbe));
    drop(definition::definition(&context, offset, &NoProbe, &no_dir));
    drop(references::references(&context, offset));
    drop(rename::prepare(&context, offset));
    if let Ok(edits) = rename::rename(&context, offset, "other", &|_| None) {
        for (r, _) in edits.values().flatten() {
            assert!(
                u32::from(r.end()) <= end && text.is_char_boundary(r.start().into()),
                "{r:?} in {text:?}"
            );
        }
    }
    let found = completion::complete(&context, offset, &NoProbe, &System);
    assert!(text.is_char_boundary(found.range.start().into()), "{text:?}");
    drop(symbols::outline(&document));
    drop(folding::folds(&document));
    let chain = selection::ranges(&document, offset);
    assert!(chain.windows(2).all(|w| w[1].contains_range(w[0]) && w[0] != w[1]), "{chain:?} in {text:?}");
    drop(links::links(&document));
    drop(inlay::hints(&context, whole));
    drop(lens::lenses(&context));
    drop(calls::prepare(&context, offset));
    let all = tokens::tokens(&context, whole);
    assert!(all.windows(2).all(|w| w[0].range.end() <= w[1].range.start()), "tokens overlap in {text:?}");
    for action in actions::actions(&context, range(offset, offset), &[]) {
        assert!(action.edits.iter().all(|(r, _)| u32::from(r.end()) <= end));
    }
    if let Some(node) = document.token_at(offset).and_then(|t| t.parent()) {
        drop(text_for(&context.scopes, &node, "x"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_served(text in text(), at in any::<prop::sample::Index>()) {
        let mut offset = at.index(text.len() + 1);
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        ask_everything(&text, offset as u32);
    }

    #[test]
    fn places_that_are_kept_keep_their_text(
        before in "[abc]{0,12}", old in "[abc]{0,6}", new in "[abc]{0,6}", after in "[abc]{0,12}",
        start in 0usize..30, length in 0usize..10,
    ) {
        let (a, b) = (format!("{before}{old}{after}"), format!("{before}{new}{after}"));
        let start = start.min(a.len());
        let end = (start + length).min(a.len());
        let shift = Shift::between(a.as_bytes(), b.as_bytes());
        if let Some(moved) = shift.apply(range(start as u32, end as u32)) {
            prop_assert!(usize::from(moved.end()) <= b.len());
            let unchanged = a[start..end] == b[usize::from(moved.start())..usize::from(moved.end())];
            let (from, to) = (usize::from(moved.start()), usize::from(moved.end()));
            let around = a[..start] == b[..from] && a[end..] == b[to..];
            prop_assert!(unchanged || around, "{a} {b} {start}..{end} {moved:?}");
        }
    }
}

#[test]
fn texts_that_are_deep_or_long_are_served() {
    on_big_stack(|| {
        for text in [
            "[".repeat(3000),
            "(".repeat(3000),
            "a.".repeat(3000),
            "x: ".repeat(3000),
            "1 + ".repeat(3000),
            "f ".repeat(3000),
            "{ a = ".repeat(3000),
            "let a = 1; in ".repeat(600),
            "\"${".repeat(600),
        ] {
            ask_everything(&text, text.len() as u32);
            ask_everything(&text, text.len() as u32 / 2);
        }
    });
}

#[test]
fn broken_workflows_are_served_with_the_facts_of_good_ones() {
    let good = "{ nixactions, ... }: nixactions.mkWorkflow { name = \"n\"; jobs.a.steps = [ { bash = \"b\"; } ]; }\n";
    let (facts, _) = evaluate(good);
    for cut in 0..good.len() {
        let text = format!("{}{}", &good[..cut], &good[(cut + 3).min(good.len())..]);
        let document = Document::new("/fixture/ci.nix", text.as_str());
        let context = Context::new(&document, Some(&facts));
        for offset in [0, cut as u32, text.len() as u32] {
            drop(hover::hover(&context, offset, &NoProbe));
            drop(references::references(&context, offset));
            drop(rename::rename(&context, offset, "b", &|_| None));
            drop(completion::complete(&context, offset, &NoProbe, &System));
            drop(inlay::hints(&context, range(0, text.len() as u32)));
        }
    }
}
