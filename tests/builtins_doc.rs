//! `docs/builtins.md` lists every builtin of Nix 2.34 with what holds of it, and is what this test makes of
//! the tables of builtins and of the corpus. `UPDATE_DOCS=1` writes it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use nixactions::eval::builtins::{all, is_global};

/// Values in `builtins` that are no functions.
const VALUES: [(&str, &str); 10] = [
    ("true", "The boolean."),
    ("false", "The boolean."),
    ("null", "The null value."),
    ("builtins", "The set of all of these."),
    ("langVersion", "The version of the language: 6."),
    ("nixVersion", "The version of Nix that evaluation follows: 2.34.8."),
    ("storeDir", "The store directory."),
    ("nixPath", "The search path, as a list of sets of `path` and `prefix`."),
    ("currentSystem", "The system type; absent in pure evaluation."),
    ("currentTime", "Seconds since 1970; absent in pure evaluation."),
];

/// Names of Nix 2.34 that are left out, and why.
const OUT: [(&str, &str); 4] = [
    (
        "exec",
        "runs programs during evaluation; exists in Nix only with `allow-unsafe-native-code-during-evaluation`",
    ),
    (
        "importNative",
        "loads native code; exists in Nix only with `allow-unsafe-native-code-during-evaluation`",
    ),
    (
        "fetchClosure",
        "copies built paths between binary caches, which is the daemon's work; exists in Nix only with the experimental feature `fetch-closure`",
    ),
    ("fetchFinalTree", "is internal to Nix's own flake code, which is not used"),
];

/// Builtins whose work goes beyond a corpus of expressions, and what tests it.
const ELSEWHERE: [(&str, &str); 8] = [
    ("import", "`tests/conformance`"),
    ("scopedImport", "`tests/conformance`"),
    ("readDir", "`tests/conformance`"),
    ("readFile", "`tests/conformance`"),
    ("filterSource", "`tests/conformance`"),
    ("path", "`tests/conformance`"),
    ("derivationStrict", "`tests/conformance/nixpkgs-drvpaths.sh`"),
    ("toFile", "`tests/conformance/nixpkgs-drvpaths.sh`"),
];

/// How many expressions of the corpus use each name.
fn uses() -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lang");
    for file in fs::read_dir(dir).expect("the corpus is there") {
        let path = file.expect("the corpus can be listed").path();
        if path.extension().is_none_or(|e| e != "nixt") {
            continue;
        }
        let bytes = fs::read(&path).expect("the corpus can be read");
        let text = String::from_utf8_lossy(&bytes);
        let mut expr = String::new();
        for line in text.lines() {
            match line.strip_prefix("> ") {
                Some(part) => expr.push_str(part),
                None => {
                    count(&expr, &mut found);
                    expr.clear();
                }
            }
        }
    }
    found
}

fn count(expr: &str, found: &mut BTreeMap<String, usize>) {
    let mut names: Vec<String> = Vec::new();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '\'';
    let mut rest = expr;
    let mut before = ' ';
    while let Some(start) = rest.find(word) {
        if start > 0 {
            before = rest[..start].chars().next_back().unwrap_or(' ');
        }
        let tail = &rest[start..];
        let end = tail.find(|c| !word(c)).unwrap_or(tail.len());
        let name = &tail[..end];
        let qualified = before == '.';
        if qualified || is_global(name) {
            names.push(name.trim_start_matches('_').to_owned());
        }
        before = 'x';
        rest = &tail[end..];
    }
    names.sort();
    names.dedup();
    for name in names {
        *found.entry(name).or_default() += 1;
    }
}

fn document() -> String {
    let uses = uses();
    let mut out = String::from(
        "# Builtins\n\nWhat of `builtins` in Nix 2.34 there is. *Corpus* is the number of expressions in `tests/lang` that use\nthe builtin and whose result, or error, is that of Nix 2.34.8. This page is generated: `UPDATE_DOCS=1 cargo test\n--test builtins_doc`.\n\n| name | arguments | what it gives | corpus | also tested by | needs |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let mut rows: BTreeMap<&str, (String, &str, &str)> = BTreeMap::new();
    for b in all() {
        rows.insert(b.name, (b.arity.to_string(), b.doc, b.feature));
    }
    rows.entry("derivation").or_insert(("1".into(), "A derivation: its attributes, and its outputs.", ""));
    for (name, doc) in VALUES {
        rows.insert(name, (String::new(), doc, ""));
    }
    for (name, (arity, doc, feature)) in &rows {
        let elsewhere = ELSEWHERE.iter().find(|(n, _)| n == name).map_or("", |(_, by)| by);
        let needs = if feature.is_empty() { String::new() } else { format!("`{feature}`") };
        let corpus = uses.get(*name).copied().unwrap_or(0);
        let doc = doc.replace('|', "\\|");
        let _ = writeln!(out, "| `{name}` | {arity} | {doc} | {corpus} | {elsewhere} | {needs} |");
    }
    out.push_str("\n## Left out\n\n| name | why |\n| --- | --- |\n");
    for (name, why) in OUT {
        let _ = writeln!(out, "| `{name}` | It {why}. |");
    }
    out
}

#[test]
fn the_page_of_builtins_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/builtins.md");
    let made = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, made).expect("the page can be written");
        return;
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/builtins.md is not up to date: run UPDATE_DOCS=1 cargo test --test builtins_doc"
    );
}

#[test]
fn every_builtin_is_tested() {
    let uses = uses();
    let untested: Vec<_> = all()
        .map(|b| b.name)
        .filter(|n| !uses.contains_key(*n) && !ELSEWHERE.iter().any(|(e, _)| e == n))
        .collect();
    assert!(untested.is_empty(), "no expression of the corpus uses {untested:?}");
    for (name, _) in OUT {
        assert!(!all().any(|b| b.name == name), "{name} is not left out");
    }
}
