//! What `check` says about files that are wrong: the text, for every case in `tests/check`, and in
//! `tests/newcomers` for mistakes that people make in their first workflow.
//!
//! A case is `NAME.nix` and `NAME.out`, the findings as a terminal of 80 columns without colour
//! shows them. `CHECK_UPDATE=1` writes the `.out` files; read the difference as a user would.

mod support;

use std::fs;
use std::path::Path;
use std::rc::Rc;

use nixactions::cli::render::{Format, Style, write};
use nixactions::eval::io::System;
use nixactions::lint::{self, Levels};
use nixactions::workflow::load;
use support::request;

fn rendered(file: &Path) -> String {
    let findings = lint::file(&request(file), || Rc::new(System), &Levels::default()).diagnostics;
    let base = file.parent().unwrap_or(Path::new("/")).to_path_buf();
    let style = Style { color: false, unicode: true, width: 80, base };
    let mut out = Vec::new();
    write(&findings, Format::Human, &style, &mut out).expect("writing to memory");
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn findings_read_as_recorded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let update = std::env::var_os("CHECK_UPDATE").is_some();
    let mut files: Vec<_> = ["check", "newcomers"]
        .iter()
        .flat_map(|dir| fs::read_dir(root.join(dir)).expect("a directory of cases"))
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "nix"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for file in files {
        let got = rendered(&file);
        let out = file.with_extension("out");
        if update {
            fs::write(&out, &got).expect("writing the snapshot");
        } else if fs::read_to_string(&out).unwrap_or_default() != got {
            wrong.push(format!("== {}\n{got}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn endless_depth_is_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let n = 100_000;
    let cases = [
        ("calls.nix", "let f = x: f (x + 1); in f 0".to_string()),
        ("brackets.nix", format!("{}1{}", "(".repeat(n), ")".repeat(n))),
        ("lists.nix", format!("{}1{}", "[".repeat(n), "]".repeat(n))),
        ("cycle.nix", "let a = a; in a".to_string()),
    ];
    for (name, text) in cases {
        let file = dir.path().join(name);
        fs::write(&file, text).expect("writing a case");
        assert!(load::load(&request(&file), || Rc::new(System)).has_errors(), "{name}");
    }
}

#[test]
fn files_that_cannot_be_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let message = |file: &Path| {
        let o = load::load(&request(file), || Rc::new(System));
        o.diagnostics.first().map(|d| d.message.clone()).unwrap_or_default()
    };
    assert!(message(&dir.path().join("absent.nix")).ends_with("there is no such file"));
    assert!(message(dir.path()).ends_with("it is a directory"));
    let bytes = dir.path().join("latin1.nix");
    fs::write(&bytes, b"{ a = 1; }\n# caf\xe9\n").expect("writing a case");
    assert!(message(&bytes).ends_with("is not UTF-8: line 2 has the byte 0xe9"), "{}", message(&bytes));
}
