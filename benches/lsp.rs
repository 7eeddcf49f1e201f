//! How long an editor waits, and what memory the server takes: through the program, over its streams.
//!
//!     cargo bench --bench lsp -- [--nixpkgs DIR] [--quick]
//!
//! `NIXACTIONS` chooses another program than the one built with this. Prints p50, p95 and p99 in milliseconds. Without `--nixpkgs` the rows about `pkgs` use a set of
//! 20,000 packages made for this. The numbers are of this machine; the goals are in docs/editors.md.

use std::fmt::Write as _;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nixactions::lsp::transport::{self, Incoming};
use nixactions::lsp::uri;
use serde_json::{Value, json};

/// Longer than anything measured here.
const PATIENCE: Duration = Duration::from_secs(120);

struct Server {
    child: Child,
    input: ChildStdin,
    inbox: Receiver<Incoming>,
    next: u64,
    version: i64,
    uri: String,
}

impl Server {
    fn start(dir: &Path, args: &[String]) -> Server {
        let program =
            std::env::var_os("NIXACTIONS").unwrap_or_else(|| env!("CARGO_BIN_EXE_nixactions").into());
        let mut child = Command::new(program)
            .arg("lsp")
            .args(args)
            .env_remove("NIX_PATH")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = child.stdout.take().expect("a pipe");
        let (send, inbox) = channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Ok(Some(message)) = transport::read(&mut output) {
                if send.send(message).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take().expect("a pipe");
        let uri = uri::of_path(&dir.join("ci.nix"));
        let mut server = Server { child, input, inbox, next: 1, version: 0, uri };
        let options = json!({ "evaluation": { "timeout": 60000 } });
        server.request("initialize", json!({ "capabilities": {}, "initializationOptions": options }));
        server.notify("initialized", json!({}));
        server
    }

    fn send(&mut self, message: &Value) {
        transport::write(&mut self.input, message).expect("the server reads");
    }

    fn notify(&mut self, method: &str, params: Value) {
        self.send(&transport::notification(method, params));
    }

    fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.next;
        self.next += 1;
        self.send(&transport::request(id, method, params));
        loop {
            if let Incoming::Response { id: of, result } =
                self.inbox.recv_timeout(PATIENCE).expect("an answer")
                && of == id
            {
                return result;
            }
        }
    }

    /// Opens a text; the time until its findings.
    fn open(&mut self, text: &str) -> Duration {
        self.version += 1;
        let began = Instant::now();
        let item = json!({ "uri": self.uri, "languageId": "nix", "version": self.version, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": item }));
        self.findings();
        began.elapsed()
    }

    fn insert(&mut self, line: usize, column: usize, remove: usize, text: &str) {
        self.version += 1;
        let at = |c: usize| json!({ "line": line, "character": c });
        let change = json!({ "range": { "start": at(column), "end": at(column + remove) }, "text": text });
        let document = json!({ "uri": self.uri, "version": self.version });
        self.notify(
            "textDocument/didChange",
            json!({ "textDocument": document, "contentChanges": [change] }),
        );
    }

    /// Waits for the findings of the present version; their number.
    fn findings(&mut self) -> usize {
        loop {
            match self.inbox.recv_timeout(PATIENCE).expect("findings") {
                Incoming::Notification { method, params }
                    if method == "textDocument/publishDiagnostics" && params["version"] == self.version =>
                {
                    return params["diagnostics"].as_array().map_or(0, Vec::len);
                }
                _ => {}
            }
        }
    }

    fn at(&mut self, method: &str, line: usize, column: usize) -> Value {
        let params = json!({
            "textDocument": { "uri": self.uri }, "position": { "line": line, "character": column }
        });
        self.request(method, params)
    }

    /// Processor time so far, in milliseconds: what a busy machine does not change much.
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok());
        // Linux counts in hundredths of a second for programs, whatever the kernel does inside.
        ticks.sum::<f64>() * 10.0
    }

    /// Resident memory in KiB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn row(name: &str, times: &mut [Duration], goal: &str) {
    times.sort();
    let at = |p: usize| times[(times.len() * p / 100).min(times.len() - 1)].as_secs_f64() * 1000.0;
    println!("{name:<58} {:>8.2} {:>8.2} {:>8.2}   {goal}", at(50), at(95), at(99));
}

fn per(name: &str, total: f64, count: usize) {
    println!("{name:<58} {:>8.2}", total / count.max(1) as f64);
}

/// A workflow of 500 lines: 62 jobs that need each other, artifacts, shared values.
fn workflow(pkgs: bool) -> String {
    let mut out =
        String::from(if pkgs { "{ nixactions, pkgs, lib, ... }:\n" } else { "{ nixactions, lib, ... }:\n" });
    out += "let\n  shared = { CI_LEVEL = \"3\"; };\n  tools = [ ";
    out += if pkgs { "pkgs.hello pkgs.gnused" } else { "" };
    out += " ];\n  step = name: script: { inherit name; bash = script; deps = tools; };\nin\nnixactions.mkWorkflow {\n";
    out += "  name = \"bench\";\n  timeout = \"30m\";\n  retry.max_attempts = 2;\n  jobs = {\n";
    for i in 0..61 {
        let needs = match i {
            0 => String::new(),
            _ => format!("\"job-{}\"", i - 1),
        };
        let inputs = if i == 0 { String::new() } else { format!("\"out-{}\"", i - 1) };
        write!(
            out,
            "    job-{i} = {{\n      needs = [ {needs} ];\n      env = shared // {{ INDEX = {i}; }};\n      inputs = [ {inputs} ];\n      outputs.out-{i} = \"dist/{i}\";\n      steps = [ (step \"build\" \"make -C part-{i} build\") (step \"test\" \"make -C part-{i} test\") ];\n      condition = \"success()\";\n    }};\n"
        )
        .expect("memory");
    }
    out + "  };\n}\n"
}

/// A package set with as many packages as nixpkgs has, made by a fixpoint over functions.
fn stand_in(dir: &Path) -> PathBuf {
    let mut packages = String::new();
    for i in 0..20_000 {
        writeln!(
            packages,
            "  package-{i} = callPackage (import ./package.nix) {{ pname = \"package-{i}\"; }};"
        )
        .expect("memory");
    }
    let set = format!(
        "{{ system }}:\nlet\n  self = packages // {{ callPackage = f: args: f ({{ inherit system; inherit (self) hello; }} // args); }};\n  inherit (self) callPackage;\n  packages = {{\n  hello = callPackage (import ./package.nix) {{ pname = \"hello\"; }};\n  gnused = callPackage (import ./package.nix) {{ pname = \"gnused\"; }};\n{packages}  }};\nin self\n"
    );
    let package = "{ system, pname, ... }:\nderivation { name = \"${pname}-1.0\"; inherit system; builder = \"/bin/sh\"; args = [ \"-c\" \"true\" ]; }\n";
    let root = dir.join("nixpkgs");
    std::fs::create_dir_all(root.join("lib")).expect("a folder");
    std::fs::write(root.join("default.nix"), set).expect("a file");
    std::fs::write(root.join("package.nix"), package).expect("a file");
    std::fs::write(root.join("lib/default.nix"), "{ }").expect("a file");
    root
}

fn line_of(text: &str, needle: &str) -> (usize, usize) {
    let offset = text.find(needle).expect("the text is there");
    let before = &text[..offset];
    (before.matches('\n').count(), offset - before.rfind('\n').map_or(0, |n| n + 1))
}

/// Keystrokes in a script, in a key and in `needs`; then completion and hover.
fn typing(title: &str, dir: &Path, args: &[String], pkgs: bool, rounds: usize, goal: &str) {
    let text = workflow(pkgs);
    let mut server = Server::start(dir, args);
    let first = server.open(&text);
    println!("{:<58} {:>8.2}", format!("{title}: first findings"), first.as_secs_f64() * 1000.0);
    let places = ["make -C part-30 build", "condition = \"success()\";\n    };\n    job-31", "\"job-29\""];
    let places = places.map(|needle| line_of(&text, needle));
    let mut keys = Vec::new();
    let cpu = server.cpu();
    for i in 0..rounds {
        let (line, column) = places[i % 3];
        for (remove, letter) in [(0, "x"), (1, "")] {
            let began = Instant::now();
            server.insert(line, column + 2, remove, letter);
            server.findings();
            keys.push(began.elapsed());
        }
    }
    row(&format!("{title}: keystroke to findings"), &mut keys, goal);
    per(&format!("{title}: processor time of a keystroke"), server.cpu() - cpu, keys.len());
    let mut complete = Vec::new();
    let mut hover = Vec::new();
    let (line, column) = line_of(&text, "\"job-29\"");
    let (key_line, key_column) = line_of(&text, "      condition = \"success()\";\n    };\n    job-31");
    let (value_line, value_column) = line_of(&text, "shared // { INDEX = 40");
    for _ in 0..rounds {
        server.insert(line, column + 1, 0, "j");
        let began = Instant::now();
        let answer = server.at("textDocument/completion", line, column + 2);
        complete.push(began.elapsed());
        assert!(!answer["items"].as_array().expect("items").is_empty());
        server.insert(line, column + 1, 1, "");
        let began = Instant::now();
        let answer = server.at("textDocument/completion", key_line, key_column + 6);
        complete.push(began.elapsed());
        assert!(!answer["items"].as_array().expect("items").is_empty());
        for (line, column) in [(key_line, key_column + 8), (value_line, value_column + 2)] {
            let began = Instant::now();
            let answer = server.at("textDocument/hover", line, column);
            hover.push(began.elapsed());
            assert!(answer["contents"]["value"].is_string(), "{answer}");
        }
    }
    row(&format!("{title}: completion of jobs and keys"), &mut complete, "goal: p95 30");
    row(&format!("{title}: hover of keys and values"), &mut hover, "goal: p95 30");
    if pkgs {
        members(title, &mut server, &text, rounds.min(60));
    }
    let status = server.request("nixactions/status", Value::Null);
    println!(
        "{:<58} {:>8.2}",
        format!("{title}: longest turn of the loop"),
        status["longestTurnMs"].as_f64().unwrap_or(0.0)
    );
}

fn members(title: &str, server: &mut Server, text: &str, rounds: usize) {
    let (line, column) = line_of(text, "pkgs.hello pkgs.gnused");
    let mut times = Vec::new();
    for _ in 0..rounds {
        server.insert(line, column + 5, 0, "z");
        let began = Instant::now();
        let answer = server.at("textDocument/completion", line, column + 6);
        times.push(began.elapsed());
        assert!(answer["items"].is_array(), "{answer}");
        server.insert(line, column + 5, 1, "");
    }
    row(&format!("{title}: completion after `pkgs.`"), &mut times, "goal: p95 30");
}

/// Tokens of a screenful of a file of 30,000 lines: as one scrolls, and after a keystroke.
fn tokens(dir: &Path, rounds: usize) {
    let mut text = String::from("{ nixactions, ... }:\nlet\n  value = name: { inherit name; };\nin\n{\n");
    for i in 0..29_994 {
        writeln!(
            text,
            "  attribute-{i} = value \"text ${{toString {i}}}\" // {{ x = builtins.length [ 1 2 ]; }};"
        )
        .expect("memory");
    }
    text += "}\n";
    let mut server = Server::start(dir, &[]);
    server.uri = uri::of_path(&dir.join("large.nix"));
    server.version = 1;
    let item = json!({ "uri": server.uri, "languageId": "nix", "version": 1, "text": text });
    server.notify("textDocument/didOpen", json!({ "textDocument": item }));
    let range = |line: usize| json!({ "start": { "line": line, "character": 0 }, "end": { "line": line + 60, "character": 0 } });
    let ask = |server: &mut Server, line: usize| {
        let params = json!({ "textDocument": { "uri": server.uri }, "range": range(line) });
        let began = Instant::now();
        let answer = server.request("textDocument/semanticTokens/range", params);
        assert!(answer["data"].as_array().expect("numbers").len() > 1000, "{answer}");
        began.elapsed()
    };
    let first = ask(&mut server, 15_000);
    println!(
        "{:<58} {:>8.2}",
        "30,000 lines: tokens of a range, the first time",
        first.as_secs_f64() * 1000.0
    );
    let mut scrolling: Vec<Duration> = (0..rounds).map(|i| ask(&mut server, i * 97 % 29_000)).collect();
    row("30,000 lines: tokens of a range while scrolling", &mut scrolling, "goal: 20");
    let mut typing = Vec::new();
    let cpu = server.cpu();
    for _ in 0..rounds.min(100) {
        server.insert(15_020, 2, 0, "x");
        typing.push(ask(&mut server, 15_000));
    }
    row("30,000 lines: tokens of a range after a keystroke", &mut typing, "");
    per("30,000 lines: processor time of both", server.cpu() - cpu, typing.len());
    let status = server.request("nixactions/status", Value::Null);
    println!(
        "{:<58} {:>8.2}",
        "30,000 lines: longest turn of the loop",
        status["longestTurnMs"].as_f64().unwrap_or(0.0)
    );
}

/// Memory as somebody types for a long time.
fn memory(dir: &Path, args: &[String], pkgs: bool, edits: usize) {
    let title = if pkgs { "with pkgs" } else { "without pkgs" };
    let text = workflow(pkgs);
    let mut server = Server::start(dir, args);
    server.open(&text);
    let (line, column) = line_of(&text, "make -C part-30 build");
    let mut highest = 0;
    let mut seen = Vec::new();
    for i in 0..edits {
        let (remove, letter) = if i % 2 == 0 { (0, "y") } else { (1, "") };
        server.insert(line, column, remove, letter);
        server.findings();
        highest = highest.max(server.memory());
        if (i + 1) % (edits / 10).max(1) == 0 {
            seen.push(format!("{}", server.memory() / 1024));
        }
    }
    println!(
        "{title}: MiB after each tenth of {edits} edits: {}; highest {}",
        seen.join(" "),
        highest / 1024
    );
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let quick = args.iter().any(|a| a == "--quick");
    let nixpkgs = args.iter().position(|a| a == "--nixpkgs").and_then(|i| args.get(i + 1));
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join(".git")).expect("a folder");
    let (pkgs, of) = match nixpkgs {
        Some(path) => (std::fs::canonicalize(path).expect("a folder"), "nixpkgs"),
        None => (stand_in(dir.path()), "20,000 packages"),
    };
    let with = vec!["--pkgs".to_owned(), pkgs.display().to_string()];
    let rounds = if quick { 30 } else { 400 };
    println!("{:<58} {:>8} {:>8} {:>8}   milliseconds", "", "p50", "p95", "p99");
    typing("500 lines without pkgs", dir.path(), &[], false, rounds, "goal: p95 5");
    typing(&format!("500 lines with {of}"), dir.path(), &with, true, rounds, "goal: p95 50");
    tokens(dir.path(), rounds);
    let edits = if quick { 500 } else { 10_000 };
    memory(dir.path(), &[], false, edits);
    memory(dir.path(), &with, true, edits);
}
