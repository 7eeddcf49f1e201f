//! `nixactions check` as a program: what it reads, writes, fixes, and its exit codes.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_nixactions"));
    c.current_dir(dir).arg("check").args(args).env_remove("NIX_PATH").env("LC_ALL", "C.UTF-8");
    c
}

fn check(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().expect("the program runs")
}

fn check_text(dir: &Path, args: &[&str], text: &[u8]) -> Output {
    let mut c = command(dir, args);
    let mut child = c
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    child.stdin.take().expect("a pipe").write_all(text).expect("it reads");
    child.wait_with_output().expect("it ends")
}

fn out(o: &Output) -> String {
    String::from_utf8_lossy(&o.stdout).into_owned()
}

fn err(o: &Output) -> String {
    String::from_utf8_lossy(&o.stderr).into_owned()
}

const GOOD: &str = "{ nixactions, ... }:\nnixactions.mkWorkflow {\n  name = \"x\";\n  jobs.t.steps = [ { bash = \"true\"; } ];\n}\n";

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join(".git")).expect("a directory");
    for (name, text) in files {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().expect("a parent")).expect("directories");
        fs::write(file, text).expect("a file");
    }
    dir
}

/// Every kind of bad input: what is said, and the exit code. `CHECK_UPDATE=1` records it.
#[test]
fn bad_input_is_named() {
    let n = 100_000;
    let several = "{\n  a = ;\n  b = 1;\n\n  c = [ 1 2;\n\n  d = 3;\n\n  e = if x then;\n}\n";
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("syntax.nix", several.into()),
        ("latin1.nix", b"{ a = 1; }\n# caf\xe9\n".to_vec()),
        ("recursion.nix", b"{ nixactions, ... }:\nlet\n  name = \"a\" + name;\nin\nnixactions.mkWorkflow { inherit name; jobs = { }; }\n".to_vec()),
        ("endless/ci.nix", b"{ nixactions, ... }:\nlet f = x: f (x + 1);\nin\nnixactions.mkWorkflow { name = f 0; jobs = { }; }\n".to_vec()),
        ("brackets.nix", format!("{{ jobs = {}1{}; }}", "(".repeat(n), ")".repeat(n)).into()),
        ("lists.nix", format!("{{ jobs = {}1{}; }}", "[".repeat(n), "]".repeat(n)).into()),
        ("calls/ci.nix", format!("let f = x: x; in {}1{}", "f (".repeat(n), ")".repeat(n)).into()),
        ("empty.nix", b"".to_vec()),
        ("import/ci.nix", b"import ./absent.nix".to_vec()),
        ("cycle/ci.nix", b"import ./ci.nix".to_vec()),
    ];
    let dir = project(&[("sub/none.txt", "")]);
    let mut recorded = String::new();
    let mut record = |name: &str| {
        let o = check(dir.path(), &[name]);
        assert!(!err(&o).contains("panicked"), "{name}: {}", err(&o));
        let text: String = out(&o).lines().map(|l| format!("{}\n", shortened(l))).collect();
        let shown = dir.path().display().to_string();
        let text =
            format!("$ nixactions check {name}\n{text}{}exit {}\n\n", err(&o), o.status.code().unwrap_or(-1));
        recorded.push_str(&text.replace(&shown, "/p"));
    };
    record("absent.nix");
    record("sub");
    for (name, text) in cases {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().expect("a parent")).expect("directories");
        fs::write(file, text).expect("a file");
        record(name);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check/bad-input.txt");
    if std::env::var_os("CHECK_UPDATE").is_some() {
        fs::write(&file, &recorded).expect("writing the snapshot");
    }
    assert_eq!(fs::read_to_string(&file).unwrap_or_default(), recorded);
}

/// A line that is not longer than what a reader of the snapshot bears.
fn shortened(line: &str) -> String {
    let chars: Vec<char> = line.chars().collect();
    match chars.len() > 200 {
        true => format!("{}…", chars[..100].iter().collect::<String>()),
        false => line.into(),
    }
}

#[test]
fn directories_are_searched_and_plain_nix_is_checked_too() {
    let dir = project(&[
        ("ci.nix", GOOD),
        ("lib/a.nix", "{ lib }: let unused = 1; in lib"),
        ("lib/b.nix", "{ lib }: lib"),
        ("old/c.nix", "let {"),
        (".gitignore", "old\n"),
    ]);
    let o = check(dir.path(), &["."]);
    assert_eq!(o.status.code(), Some(0), "{}", out(&o));
    assert!(out(&o).contains("lib/a.nix:1:14"), "{}", out(&o));
    assert!(out(&o).ends_with("1 warning; `nixactions explain NXA012` tells more\n"), "{}", out(&o));
    let o = check(dir.path(), &["--allow", "unused-binding", "."]);
    assert_eq!(out(&o), "3 files checked, with 1 workflow, nothing found\n");
    let o = check(dir.path(), &["--deny", "NXA012", "--format", "short", ".", "lib/a.nix"]);
    assert_eq!(o.status.code(), Some(2));
    assert_eq!(out(&o), "lib/a.nix:1:14: error[NXA012]: `unused` is bound and never used\n1 error\n");
    assert_eq!(out(&check(dir.path(), &[])), "1 workflow checked, nothing found\n");
}

#[test]
fn levels_come_from_the_project_and_the_command_line() {
    let text = GOOD.replace("nixactions, ...", "nixactions, pkgs, ...");
    let dir = project(&[("ci.nix", &text), ("nixactions.toml", "[lint]\ndeny = [\"unused-argument\"]\n")]);
    assert_eq!(check(dir.path(), &[]).status.code(), Some(2));
    assert_eq!(check(dir.path(), &["--warn", "NXA013"]).status.code(), Some(0));
    assert_eq!(check(dir.path(), &["--warn", "NXA013", "--deny-warnings"]).status.code(), Some(2));
    fs::write(dir.path().join("nixactions.toml"), "[lint]\nallow = [\"NXA999\", \"NXA013\"]\n")
        .expect("a file");
    let o = check(dir.path(), &["--format", "short"]);
    assert_eq!(o.status.code(), Some(2));
    assert_eq!(out(&o), "nixactions.toml:2:11: error: there is no code `NXA999`\n1 error\n");
    let o = check(dir.path(), &["--deny", "unused-argumnt"]);
    assert_eq!(o.status.code(), Some(2));
    assert_eq!(
        err(&o),
        "error: --deny: there is no code `unused-argumnt`; did you mean `unused-argument`?\n"
    );
}

#[test]
fn standard_input_takes_the_place_of_a_file() {
    let dir = project(&[("name.nix", "\"from a file\"")]);
    let text = GOOD.replace("\"x\"", "import ./name.nix");
    let o = check_text(dir.path(), &["-"], text.as_bytes());
    assert_eq!(out(&o), "1 workflow checked, nothing found\n", "{}", err(&o));
    let wrong = GOOD.replace("steps", "stesp");
    let o = check_text(
        dir.path(),
        &["--format", "short", "--stdin-filename", "sub/ci.nix", "-"],
        wrong.as_bytes(),
    );
    assert_eq!(o.status.code(), Some(2));
    assert!(
        out(&o).starts_with("sub/ci.nix:4:10: error[NXA001]: job `t` has no key `stesp`\n"),
        "{}",
        out(&o)
    );
    let o = check_text(dir.path(), &["--fix", "-"], b"{ lib }:\nlet a = http://x.y; in with a; lib + a");
    assert_eq!(out(&o), "{ lib }:\nlet a = \"http://x.y\"; in lib + a");
    let o = check(dir.path(), &["--stdin-filename", "x.nix", "name.nix"]);
    assert_eq!(o.status.code(), Some(2));
}

#[test]
fn fixes_are_written() {
    let dir = project(&[("ci.nix", ""), ("other.nix", "let a = 1; in 2")]);
    let file = dir.path().join("ci.nix");
    let text = "{ nixactions, ... }:\nlet\n  unused = 1;\n  url = http://x.y;\nin\nnixactions.mkWorkflow {\n  name = url;\n  jobs.t.actions = [ { bash = \"true\"; } ];\n}\n";
    fs::write(&file, text).expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    fs::set_permissions(&file, mode).expect("a mode");
    let o = check(dir.path(), &["--fix"]);
    assert_eq!(err(&o), "fixed 2 findings in ci.nix\n");
    assert!(out(&o).contains("`unused` is bound and never used"), "{}", out(&o));
    let fixed = text.replace("http://x.y", "\"http://x.y\"").replace("actions = [", "steps = [");
    assert_eq!(fs::read_to_string(&file).expect("a file"), fixed);
    let o = check(dir.path(), &["--unsafe-fixes", "."]);
    assert_eq!(err(&o), "fixed 1 finding in ci.nix\nfixed 1 finding in other.nix\n");
    assert_eq!(fs::read_to_string(&file).expect("a file"), fixed.replace("  unused = 1;\n", ""));
    assert_eq!(fs::read_to_string(dir.path().join("other.nix")).expect("a file"), "2");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).expect("a file").permissions());
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 3, "nothing else is left behind");
}

#[test]
fn watching_sees_a_change() {
    use std::io::{BufRead, BufReader};
    let dir = project(&[("ci.nix", &GOOD.replace("\"x\"", "import ./name.nix")), ("name.nix", "1")]);
    let mut child = command(dir.path(), &["--watch", "--format", "short"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map(|l| l.expect("text"));
    let first = lines.next().unwrap_or_default();
    // The change is in a file that the workflow imports.
    fs::write(dir.path().join("name.nix"), "\"good\"").expect("a file");
    let after: Vec<String> = lines.by_ref().take_while(|l| !l.contains("nothing found")).collect();
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert!(first.contains("error[NXA003]"), "{first}");
    assert_eq!(after, ["1 error"]);
}

/// A `shellcheck` that notes its runs and objects to everything, on a `PATH` of its own.
fn counting_shellcheck(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let file = dir.join("bin/shellcheck");
    fs::create_dir_all(dir.join("bin")).expect("a directory");
    let said = r#"{"comments":[{"file":"0.sh","line":2,"endLine":2,"column":1,"endColumn":2,"level":"error","code":1,"message":"Said."}]}"#;
    fs::write(&file, format!("#!/bin/sh\necho run >> {}/runs\necho '{said}'\n", dir.display()))
        .expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a mode");
}

#[test]
fn scripts_that_did_not_change_are_not_checked_again() {
    let dir = project(&[("ci.nix", GOOD)]);
    counting_shellcheck(dir.path());
    let runs = || fs::read_to_string(dir.path().join("runs")).unwrap_or_default().lines().count();
    let checked = |args: &[&str]| {
        let mut c = command(dir.path(), args);
        c.env("PATH", dir.path().join("bin")).env("XDG_CACHE_HOME", dir.path().join("cache"));
        out(&c.output().expect("the program runs"))
    };
    let first = checked(&["--format", "short", "ci.nix"]);
    assert!(first.contains("NXA501") && first.contains("Said"), "{first}");
    assert_eq!(runs(), 1);
    assert_eq!(checked(&["--format", "short", "ci.nix"]), first);
    assert_eq!(runs(), 1, "said from the cache");
    fs::write(dir.path().join("ci.nix"), GOOD.replace("name = \"x\"", "name = \"y\"")).expect("a file");
    assert_eq!(checked(&["--format", "short", "ci.nix"]), first);
    assert_eq!(runs(), 1, "the scripts are the same");
    fs::write(dir.path().join("ci.nix"), GOOD.replace("\"true\"", "\"make\"")).expect("a file");
    checked(&["ci.nix"]);
    assert_eq!(runs(), 2, "another script");
    checked(&["--no-eval-cache", "ci.nix"]);
    assert_eq!(runs(), 3, "without a cache");
    // Another version of the program may say something else.
    counting_shellcheck(dir.path());
    let file = dir.path().join("bin/shellcheck");
    fs::write(&file, fs::read_to_string(&file).expect("a script") + "\n# newer\n").expect("a file");
    checked(&["ci.nix"]);
    assert_eq!(runs(), 4, "another program");
    assert!(!checked(&["--no-shellcheck", "ci.nix"]).contains("NXA501"));
    assert_eq!(runs(), 4);
}
