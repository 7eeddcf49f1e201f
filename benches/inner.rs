//! The inner loops of the evaluator, one by one: `cargo bench --bench inner [FILTER]`.
//!
//! Each evaluates a text to the end on a fresh heap, as a file is. `benches/compare` runs whole programs
//! beside C++ Nix.

use std::path::Path;
use std::rc::Rc;

use divan::{Bencher, black_box};
use nixactions::base::source::{SourceName, SpanId};
use nixactions::eval::io::System;
use nixactions::eval::{Evaluation, Heap, Limits, Settings, on_big_stack};

fn main() {
    on_big_stack(divan::main);
}

fn settings() -> Settings {
    Settings {
        system: "x86_64-linux".into(),
        store_dir: "/nix/store".into(),
        search_path: Vec::new(),
        features: Vec::new(),
        pure_eval: false,
        trace_verbose: false,
        abort_on_warn: false,
        lints: Default::default(),
        home: None,
        now: 0,
        limits: Limits { call_depth: 100_000, ..Limits::default() },
    }
}

/// Evaluates a text; the bytes its heap holds at the end keep the work from being left out.
fn evaluate(text: &str) -> usize {
    let heap = Heap::new();
    let mut ev = Evaluation::new(&heap, settings(), Rc::new(System)).expect("memory for an evaluation");
    let value = ev.eval_text(SourceName::String, text.as_bytes(), Path::new("/"));
    let slot = ev.slot(value.unwrap_or_else(|e| panic!("{:?}", e.message)));
    ev.force_deep(slot, SpanId::NONE).unwrap_or_else(|e| panic!("{:?}", e.message));
    heap.bytes()
}

const LOOPS: [(&str, &str); 12] = [
    ("nothing", "1"),
    ("call", "let f = n: if n < 2 then n else f (n - 1) + f (n - 2); in f 18"),
    (
        "partial call",
        "let f = a: b: c: a + b + c; in builtins.foldl' (s: i: s + f 1 2 i) 0 (builtins.genList (i: i) 5000)",
    ),
    (
        "pattern call",
        "let f = { a, b ? 1, ... }: a + b; in builtins.foldl' (s: i: s + f { a = i; c = 2; }) 0 (builtins.genList (i: i) 5000)",
    ),
    (
        "select",
        "let s = { a.b.c = 1; }; in builtins.foldl' (x: i: x + s.a.b.c) 0 (builtins.genList (i: i) 5000)",
    ),
    (
        "computed select",
        "let s = { a0 = 1; a1 = 2; }; in builtins.foldl' (x: i: x + s.${if x < 9 then \"a0\" else \"a1\"}) 0 (builtins.genList (i: i) 5000)",
    ),
    ("with", "with { a = 1; b = 2; }; builtins.foldl' (x: i: x + a + b) 0 (builtins.genList (i: i) 5000)"),
    (
        "update",
        "builtins.foldl' (s: i: s // { x = i; }) { a = 1; b = 2; c = 3; } (builtins.genList (i: i) 5000)",
    ),
    (
        "list to set",
        "builtins.listToAttrs (builtins.genList (i: { name = \"n${toString i}\"; value = i; }) 2000)",
    ),
    ("map and filter", "builtins.filter (x: x > 100) (map (x: x * 2) (builtins.genList (i: i) 5000))"),
    ("append", "builtins.foldl' (l: i: l ++ [ i ]) [ ] (builtins.genList (i: i) 5000)"),
    ("interpolation", "builtins.concatStringsSep \",\" (builtins.genList (i: \"a${toString i}b\") 5000)"),
];

#[divan::bench(args = LOOPS.map(|l| l.0))]
fn eval(bencher: Bencher, name: &str) {
    let text = LOOPS.iter().find(|l| l.0 == name).map_or("1", |l| l.1);
    bencher.bench_local(|| black_box(evaluate(black_box(text))));
}

/// A text of this many bindings that is parsed and lowered, and of which nothing else is evaluated.
#[divan::bench(args = [100, 10_000])]
fn parse(bencher: Bencher, bindings: usize) {
    let binding = |i| {
        format!(
            "p{i} = {{ a, b ? null, ... }}@x: let v = \"1.{i}\"; in a (x // {{ inherit v; n = {i} + 1; }});"
        )
    };
    let text = format!("let {} in 1", (0..bindings).map(binding).collect::<String>());
    bencher.bench_local(|| black_box(evaluate(black_box(&text))));
}
