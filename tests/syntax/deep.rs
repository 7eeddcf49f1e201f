//! Deep nesting ends in an error, never in a crash.

use rustc_hash::FxHashMap;
use std::path::Path;

use nixactions::base::source::{Source, SourceName};
use nixactions::eval::on_big_stack;
use nixactions::ir::lower::{LowerOptions, load};
use nixactions::syntax::Options;

fn message(text: &str) -> Option<String> {
    let globals = FxHashMap::default();
    let options = LowerOptions {
        base_dir: Path::new("/"),
        globals: &globals,
        syntax: Options { pipes: true, ..Options::default() },
        warn: &|_| {},
    };
    let source = Source::new(SourceName::String, text.as_bytes());
    load(source, &options).err().and_then(|e| e.first().map(|d| d.message.clone()))
}

#[test]
fn a_hundred_thousand_levels_of_anything_are_refused() {
    const N: usize = 100_000;
    let texts = [
        format!("{}{}", "[".repeat(N), "]".repeat(N)),
        "(".repeat(N),
        "-".repeat(2 * N).replace("--", "- ") + "1",
        format!("{}1", "!".repeat(N)),
        format!("{}1", "x: ".repeat(N)),
        format!("1{}", " + 1".repeat(N)),
        format!("1{}", " ++ 1".repeat(N)),
        format!("1{}", " |> 1".repeat(N)),
        format!("1{}", " <| 1".repeat(N)),
        format!("{}1", "{ a = ".repeat(N)),
        format!("{{ a{} = 1; }}", ".a".repeat(N)),
        "\"${".repeat(N),
        "''${".repeat(N),
        format!("{}1", "let a = 1; in ".repeat(N)),
        format!("{}1", "with { }; ".repeat(N)),
        format!("{}1", "if true then 1 else ".repeat(N)),
        format!("{{ }}.a{}", " or { }.a".repeat(N)),
    ];
    on_big_stack(|| {
        for text in texts {
            let message = message(&text).unwrap_or_default();
            let start: String = text.chars().take(20).collect();
            assert!(message.contains("nested too deeply"), "{start}: {message:?}");
        }
    });
}

#[test]
fn long_texts_that_are_not_deep_are_accepted() {
    const N: usize = 50_000;
    on_big_stack(|| {
        assert_eq!(message(&format!("[{}]", " 1".repeat(N))), None);
        assert_eq!(message(&format!("x: x{}", " 1".repeat(N))), None);
        let bindings: String = (0..N).map(|i| format!("a{i} = {i};")).collect();
        assert_eq!(message(&format!("rec {{ {bindings} }}")), None);
        assert_eq!(message(&format!("let {bindings} in a1")), None);
    });
}
