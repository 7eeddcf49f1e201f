//! Traces of errors: what `eval` writes to stderr, word for word as C++ Nix 2.34 with `--show-trace`.
//!
//! `tests/lang/traces.txt` holds blocks: the lines of an expression after `> `, then what Nix printed.
//! `LANG_TRACES_RECORD=/path/to/nix-instantiate` rewrites the expected text.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

struct Case {
    expr: String,
    expected: String,
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lang/traces.txt")
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut in_expr = false;
    for line in text.lines() {
        if let Some(code) = line.strip_prefix("> ") {
            match cases.last_mut().filter(|_| in_expr) {
                Some(case) => write!(case.expr, "\n{code}").expect("writing to a string"),
                None => cases.push(Case { expr: code.to_owned(), expected: String::new() }),
            }
            in_expr = true;
        } else if let Some(case) = cases.last_mut() {
            case.expected.push_str(line);
            case.expected.push('\n');
            in_expr = false;
        }
    }
    cases
}

/// What a program writes to stderr for an expression.
fn stderr(mut command: Command, expr: &str) -> String {
    let mut child = command
        .args(["--eval", "--strict", "--show-trace", "-E", "-"])
        .env_remove("NIX_CONFIG")
        .env("NIX_PATH", "")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("piped").write_all(expr.as_bytes()).expect("it reads the expression");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().map(|l| format!("{}\n", l.trim_end())).collect::<String>().trim_end().to_owned()
}

#[test]
fn traces_are_those_of_nix() {
    let text = std::fs::read_to_string(file()).expect("the cases");
    let cases = cases(&text);
    assert!(cases.len() > 50, "only {} cases", cases.len());
    if let Some(nix) = std::env::var_os("LANG_TRACES_RECORD") {
        let mut out = String::new();
        for case in &cases {
            for line in case.expr.lines() {
                let _ = writeln!(out, "> {line}");
            }
            let _ = writeln!(out, "{}\n", stderr(Command::new(&nix), &case.expr));
        }
        std::fs::write(file(), out).expect("the cases are written");
        return;
    }
    let mut wrong = Vec::new();
    for case in &cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nixactions"));
        command.arg("eval");
        let got = stderr(command, &case.expr);
        if got != case.expected.trim_end() {
            wrong.push(format!("{}\n--- expected\n{}\n--- got\n{got}\n", case.expr, case.expected));
        }
    }
    assert!(wrong.is_empty(), "{} of {} traces differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
