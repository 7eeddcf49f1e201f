//! The program as people call it: output, exit codes, files.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A step that needs nothing, for workflows that are about something else.
const WORKFLOW: &str = r#"{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs.lint.steps = [ { bash = "echo linted"; } ];
  jobs.test = { needs = [ "lint" ]; steps = [ { bash = "echo tested"; } ]; };
}
"#;

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nixactions"));
    command.args(args).current_dir(dir).stdin(Stdio::null());
    for name in ["NIX_PATH", "NIX_CONFIG", "NO_COLOR", "NIXACTIONS_LOG_FORMAT", "LC_ALL", "LANG"] {
        command.env_remove(name);
    }
    command.env("XDG_CACHE_HOME", dir.join(".cache"));
    command
}

fn run_in(dir: &Path, args: &[&str]) -> (i32, String, String) {
    result(command(dir, args).output().expect("the program starts"))
}

fn run(args: &[&str]) -> (i32, String, String) {
    let dir = tempfile::tempdir().expect("a directory");
    run_in(dir.path(), args)
}

fn result(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

#[test]
fn help_tells_examples_and_exit_codes() {
    let (code, out, _) = run(&["--help"]);
    assert_eq!(code, 0);
    assert!(out.contains("Examples:") && out.contains("Exit codes:"), "{out}");
}

#[test]
fn wrong_usage_exits_with_2_but_eval_and_parse_with_1() {
    for (args, expected) in [
        (&["run", "--nonsense"][..], 2),
        (&["nonsense"], 2),
        (&["explain", "NXA999"], 2),
        (&["check", "nowhere.nix"], 2),
        (&["run", "-e", "1X=2"], 2),
        (&["eval", "--nonsense"], 1),
        (&["--color", "never", "eval", "--nonsense"], 1),
        (&["parse", "nowhere.nix"], 1),
        (&["eval", "nowhere.nix"], 1),
    ] {
        let (code, out, err) = run(args);
        assert_eq!(code, expected, "{args:?}: {err}");
        assert!(!out.is_empty() || !err.is_empty(), "{args:?} says nothing");
    }
}

#[test]
fn explain_lists_and_explains() {
    let (code, out, _) = run(&["explain", "list"]);
    assert_eq!(code, 0);
    assert!(out.contains("NXA102  needs-cycle"), "{out}");
    let (code, out, _) = run(&["explain", "needs-cycle"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("# NXA102: needs-cycle\n"), "{out}");
}

#[test]
fn completions_and_manual_pages_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = run(&["completions", shell]);
        assert!(code == 0 && out.contains("explain"), "{shell}");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (code, _, _) = run_in(dir.path(), &["man", "--directory", "man"]);
    assert_eq!(code, 0);
    assert!(dir.path().join("man/nixactions-check.1").exists());
}

#[test]
fn init_writes_a_workflow_that_runs_and_overwrites_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (code, out, err) = run_in(dir.path(), &["init"]);
    assert_eq!((code, out.contains("nixactions.nix")), (0, true), "{err}");
    let (code, _, err) = run_in(dir.path(), &["init"]);
    assert_eq!((code, err.contains("exists already")), (2, true), "{err}");
    let (code, out, err) = run_in(dir.path(), &["check"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = run_in(dir.path(), &["run"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("hello from test"), "{out}");
    let (code, out, _) = run_in(dir.path(), &["clean"]);
    assert_eq!((code, out.starts_with("nothing to remove")), (0, true), "{out}");
}

#[test]
fn plans_are_printed_and_run() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("ci.nix"), WORKFLOW).expect("a file");
    let (code, out, err) = run_in(dir.path(), &["plan"]);
    assert_eq!((code, out.starts_with("ci: 2 jobs, 2 levels\n")), (0, true), "{out}{err}");
    let (_, dot, _) = run_in(dir.path(), &["plan", "--format", "dot"]);
    assert!(dot.contains("\"lint\" -> \"test\""), "{dot}");
    let (_, mermaid, _) = run_in(dir.path(), &["plan", "--format", "mermaid"]);
    assert!(mermaid.contains("j0 --> j1"), "{mermaid}");
    let (_, json, _) = run_in(dir.path(), &["plan", "--format", "json"]);
    fs::write(dir.path().join("plan.json"), json).expect("a file");
    let (code, out, err) = run_in(dir.path(), &["run", "--plan", "plan.json", "--format", "json"]);
    assert_eq!(code, 0, "{out}{err}");
    for line in out.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("one event a line");
        assert!(event["event"].is_string(), "{line}");
    }
}

#[test]
fn list_shows_every_workflow_of_a_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = r#"{ nixactions, ... }: {
      quick = nixactions.mkWorkflow { name = "quick"; jobs.a.steps = [ { bash = "true"; } ]; };
      slow = nixactions.mkWorkflow { name = "slow"; jobs.a.steps = [ { bash = "exit 7"; } ]; };
    }"#;
    fs::write(dir.path().join("ci.nix"), text).expect("a file");
    let (code, out, err) = run_in(dir.path(), &["list"]);
    assert_eq!((code, out.as_str()), (0, "quick  1 job\nslow   1 job\n"), "{err}");
    let (code, _, err) = run_in(dir.path(), &["run"]);
    assert_eq!((code, err.contains("NXA023")), (2, true), "{err}");
    assert_eq!(run_in(dir.path(), &["run", "#quick"]).0, 0);
    assert_eq!(run_in(dir.path(), &["run", "ci.nix#slow"]).0, 1);
}

#[test]
fn bad_files_are_findings_with_their_exit_codes() {
    let dir = tempfile::tempdir().expect("a directory");
    let deep = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    let cases: [(&str, &[u8], i32, &str); 7] = [
        ("syntax.nix", b"{\n  a = 1\n  b = 2;\n}", 2, "NXA000"),
        ("utf8.nix", b"# \xff\n{ }", 2, "NXA000"),
        ("undefined.nix", b"{ nixactions, ... }: nope", 2, "NXA011"),
        ("loop.nix", b"{ nixactions, ... }: let x = x; in x", 1, "NXA022"),
        ("throw.nix", b"{ nixactions, ... }: throw \"no\"", 1, "NXA022"),
        ("shape.nix", b"{ nixactions, ... }: 1", 2, "NXA003"),
        ("deep.nix", deep.as_bytes(), 2, ""),
    ];
    for (name, text, expected, finding) in cases {
        fs::write(dir.path().join(name), text).expect("a file");
        let (code, out, err) = run_in(dir.path(), &["check", "--format", "short", name]);
        assert_eq!(code, expected, "{name}: {out}{err}");
        assert!(out.contains(finding) && err.is_empty(), "{name}: {out}{err}");
        let (code, out, err) = run_in(dir.path(), &["run", name]);
        assert_eq!((code, out.as_str()), (expected, ""), "{name}: {err}");
    }
    let (code, _, err) = run_in(dir.path(), &["run", "."]);
    assert_eq!((code, err.contains("directory")), (2, true), "{err}");
}

#[test]
fn eval_prints_what_nix_prints() {
    let cases: [(&[&str], &str); 12] = [
        (&["-E", "1", "2"], "1\n2\n"),
        (&["--strict", "-E", "{ a = 1 + 1; b = [ 1.5 \"x\\n\" ]; }"], "{ a = 2; b = [ 1.5 \"x\\n\" ]; }\n"),
        (&["-E", "{ a = 1 + 1; }"], "{ a = <CODE>; }\n"),
        (
            &["--json", "--strict", "-E", "{ a = 1 + 1; b = [ 1.5 \"x\\n\" ]; }"],
            "{\"a\":2,\"b\":[1.5,\"x\\n\"]}\n",
        ),
        (&["--raw", "-E", "\"a\\nb\""], "a\nb"),
        (&["-A", "a.\"b.c\".1", "-E", "{ a.\"b.c\" = [ 1 2 ]; }"], "2\n"),
        (&["--arg", "a", "40", "--argstr", "b", "x", "-E", "{ a, ... }: a + 2"], "42\n"),
        (&["-E", "{ a }: a"], "<LAMBDA>\n"),
        (&["-I", "x=/etc", "-E", "<x>"], "/etc\n"),
        (&["--extra-experimental-features", "pipe-operators", "-E", "1 |> (x: x + 1)"], "2\n"),
        (&["--option", "experimental-features", "pipe-operators", "-E", "1 |> (x: x + 1)"], "2\n"),
        (
            &["--xml", "--no-location", "--strict", "-E", "rec { a = 1 + 1; b = a; }"],
            "<?xml version='1.0' encoding='utf-8'?>\n<expr>\n  <attrs>\n    <attr name=\"a\">\n      <int value=\"2\" />\n    \
             </attr>\n    <attr name=\"b\">\n      <int value=\"2\" />\n    </attr>\n  </attrs>\n</expr>\n",
        ),
    ];
    for (args, expected) in cases {
        let (code, out, err) = run(&[&["eval"], args].concat());
        assert_eq!((code, out.as_str(), err.as_str()), (0, expected, ""), "{args:?}");
    }
}

#[test]
fn eval_reads_standard_input_and_the_configuration() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = command(dir.path(), &["eval", "-"]);
    command.env("NIX_CONFIG", "experimental-features = pipe-operators");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(b"1 |> (x: x + 1)\n").expect("it reads");
    let (code, out, err) = result(child.wait_with_output().expect("it ends"));
    assert_eq!((code, out.as_str(), err.as_str()), (0, "2\n", ""));
}

#[test]
fn eval_words_errors_as_nix_does() {
    let cases: [(&[&str], &str); 6] = [
        (
            &["-E", "1 +"],
            "error: syntax error, unexpected end of file\n       at «string»:1:4:\n            1| 1 +\n             |    ^\n",
        ),
        (
            &["-E", "throw \"x\""],
            "error:\n       … while calling the 'throw' builtin\n         at «string»:1:1:\n            1| throw \"x\"\n             \
             | ^\n\n       error: x\n",
        ),
        (
            &["--raw", "-E", "1"],
            "error:\n       … while generating the nix-instantiate output\n\n       error: cannot coerce an integer to a string: 1\n",
        ),
        (
            &["-A", "aa", "-E", "{ ab = 1; ac = 2; }"],
            "error: attribute 'aa' in selection path 'aa' not found\n       Did you mean one of ab or ac?\n",
        ),
        (
            &["-A", "x.0", "-E", "{ x = [ ]; }"],
            "error: list index 0 in selection path 'x.0' is out of range\n",
        ),
        (
            &["--json", "-E", "{a=1+1;}"],
            "error:\n       … while evaluating attribute 'a'\n         at «string»:1:2:\n            1| {a=1+1;}\n             \
             |  ^\n\n       error: cannot convert a thunk to JSON\n       at «string»:1:2:\n            1| {a=1+1;}\n             |  ^\n",
        ),
    ];
    for (args, expected) in cases {
        let (code, out, err) = run(&[&["eval"], args].concat());
        assert_eq!((code, out.as_str(), err.as_str()), (1, "", expected), "{args:?}");
    }
    let (code, _, err) = run(&["eval", "--option", "nonsense", "1", "-E", "1"]);
    assert_eq!((code, err.as_str()), (0, "warning: unknown setting 'nonsense'\n"));
}

#[test]
fn parse_accepts_and_rejects() {
    assert_eq!(run(&["parse", "-E", "x: x + 1"]).0, 0);
    let (code, out, err) = run(&["parse", "-E", "x: y"]);
    assert_eq!((code, out.as_str(), err.contains("undefined variable 'y'")), (1, "", true), "{err}");
}

#[test]
fn findings_are_written_in_every_format() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = WORKFLOW.replace("[ \"lint\" ]", "[ \"lnit\" ]");
    fs::write(dir.path().join("ci.nix"), text).expect("a file");
    let check = |format: &str| run_in(dir.path(), &["check", "--format", format]);
    let (code, human, _) = check("human");
    assert_eq!(code, 2);
    assert!(human.contains("error[NXA101]") && human.contains("ci.nix:5:27"), "{human}");
    let (_, short, _) = check("short");
    assert!(short.starts_with("ci.nix:5:27: error[NXA101]: "), "{short}");
    let (_, github, _) = check("github");
    assert!(github.starts_with("::error file=ci.nix,line=5,"), "{github}");
    for format in ["json", "sarif"] {
        let (code, out, _) = check(format);
        let _: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(code, 2);
    }
}
