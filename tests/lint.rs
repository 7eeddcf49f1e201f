//! Fixes: after each the text still parses and the finding is gone; and rules agree with evaluation.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nixactions::base::source::{Source, SourceName};
use nixactions::diag::Diagnostic;
use nixactions::diag::codes::CODES;
use nixactions::eval::io::System;
use nixactions::lint::{self, Level, Levels, fix};
use nixactions::syntax;
use support::request;

fn levels() -> Levels {
    let mut levels = Levels::default();
    levels.set("NXA105", Level::Warn).expect("a code");
    levels
}

/// The findings of a text that stands at this path.
fn check(file: &Path, text: &[u8]) -> Vec<Diagnostic> {
    fs::write(file, text).expect("a file");
    lint::file(&request(file), || Rc::new(System), &levels()).diagnostics
}

/// The examples of all explanations, and the files whose findings are recorded.
fn corpus() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for code in CODES {
        for (i, example) in code.examples().iter().enumerate() {
            texts.push((format!("{} example {}", code.code, i + 1), example.to_string()));
        }
    }
    for dir in ["tests/check", "tests/newcomers", "tests/lint"] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
        let mut files: Vec<PathBuf> =
            fs::read_dir(&dir).expect("a directory").map(|e| e.expect("an entry").path()).collect();
        files.retain(|p| p.extension().is_some_and(|e| e == "nix"));
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file).expect("a file");
            texts.push((file.display().to_string(), text));
        }
    }
    texts
}

/// What identifies a finding when its place moves.
fn same(a: &Diagnostic, b: &Diagnostic) -> bool {
    a.code == b.code && a.message == b.message
}

#[test]
fn every_fix_parses_and_removes_its_finding() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ci.nix");
    let mut faults = Vec::new();
    let mut fixes = 0;
    for (name, text) in corpus() {
        let found = check(&file, text.as_bytes());
        let parses = syntax::accepts(text.as_bytes());
        for d in &found {
            let source = Source::new(SourceName::Path(file.clone()), text.as_bytes().to_vec());
            for fix in &d.fixes {
                fixes += 1;
                let alone = Diagnostic { fixes: vec![fix.clone()], ..d.clone() };
                let Some(fixed) = fix::apply(&source, &[alone], true) else {
                    faults.push(format!("{name}: {}: the fix is not applied: {}", d.code, fix.title));
                    continue;
                };
                if parses && !syntax::accepts(&fixed.text) {
                    faults.push(format!("{name}: {}: breaks the text: {}", d.code, fix.title));
                }
                let after = check(&file, &fixed.text);
                let count = |all: &[Diagnostic]| all.iter().filter(|o| same(o, d)).count();
                if count(&after) >= count(&found) {
                    let text = String::from_utf8_lossy(&fixed.text).into_owned();
                    faults.push(format!("{name}: {} is still there after: {}\n{text}", d.code, fix.title));
                }
            }
        }
    }
    assert!(fixes > 20, "only {fixes} fixes were tried");
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn fixing_ends_and_leaves_nothing_to_fix() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ci.nix");
    for (name, text) in corpus() {
        let mut text = text.into_bytes();
        let mut rounds = 0;
        loop {
            let found = check(&file, &text);
            let source = Source::new(SourceName::Path(file.clone()), text.clone());
            let Some(fixed) = fix::apply(&source, &found, true) else { break };
            text = fixed.text;
            rounds += 1;
            assert!(rounds < 20, "{name}: fixes go on for ever");
        }
        let left = check(&file, &text);
        let left: Vec<_> = left.iter().filter(|d| !d.fixes.is_empty()).map(|d| &d.message).collect();
        assert!(left.is_empty(), "{name}: {left:?} in\n{}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn names_mean_to_rules_what_they_mean_to_evaluation() {
    // Texts that evaluate have no undefined names, and the rules see none either.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> = Vec::new();
    for dir in ["nixlib", "examples", "benches/programs"] {
        for entry in ignore::WalkBuilder::new(root.join(dir)).build() {
            let path = entry.expect("an entry").into_path();
            if path.extension().is_some_and(|e| e == "nix") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 20);
    for file in files {
        let text = fs::read(&file).expect("a file");
        let source = Source::new(SourceName::Path(file.clone()), text);
        let found = lint::plain(source, &Levels::default());
        let undefined: Vec<_> = found.iter().filter(|d| d.code == "NXA011").map(|d| &d.message).collect();
        assert!(undefined.is_empty(), "{}: {undefined:?}", file.display());
    }
}
