//! The language corpus: every expression of `tests/lang/*.nixt` must give what C++ Nix 2.34 gives.
//!
//! A corpus file is one family. An entry is the lines of an expression, each after `> `, and one line with
//! the result of `nix-instantiate --eval --strict`: `= ` and what it prints, or `! ` and the last `error:`
//! line. Lines starting with `#` are comments; one that starts with `#! features ` names experimental
//! features that the whole file is evaluated with. Files are bytes, not text: some entries test invalid UTF-8.
//!
//! `tests/lang/notyetpassing` names the entries known to differ (`@ family` before the expression); an entry
//! listed there that agrees fails the test too, so the list only shrinks.
//!
//! Environment: `LANG_FAMILY=sort,json` runs some families; `LANG_BINARY=1` runs the program, one process an
//! expression, in place of the library; `LANG_UPDATE=1` rewrites `notyetpassing`;
//! `LANG_RECORD=/path/to/nix-instantiate` rewrites the stored results of the chosen families from that
//! program (which must be a 2.34).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use nixactions::base::source::{SourceName, SpanId};
use nixactions::eval::io::System;
use nixactions::eval::{EvalError, Evaluation, Heap, Limits, Settings, on_big_stack};

/// One expression of the corpus with its recorded result (`= …` or `! …`).
#[derive(Clone, Debug, Default)]
struct Entry {
    expr: Vec<u8>,
    result: Vec<u8>,
}

fn corpus_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lang")
}

fn parse(bytes: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut expr: Option<Vec<u8>> = None;
    for line in bytes.split(|&b| b == b'\n') {
        match line {
            [b'>', b' ', rest @ ..] => match &mut expr {
                Some(expr) => {
                    expr.push(b'\n');
                    expr.extend_from_slice(rest);
                }
                None => expr = Some(rest.to_vec()),
            },
            [b'>'] => expr.get_or_insert_default().push(b'\n'),
            [b'=' | b'!', b' ', ..] => {
                let expr = expr.take().expect("a result line follows an expression");
                entries.push(Entry { expr, result: line.to_vec() });
            }
            [] | [b'#', ..] => {}
            other => panic!("unexpected line in the corpus: {}", String::from_utf8_lossy(other)),
        }
    }
    assert!(expr.is_none(), "an expression without a result ends the file");
    entries
}

/// The experimental features that a corpus file asks for.
fn features(bytes: &[u8]) -> Vec<String> {
    let line = bytes.split(|&b| b == b'\n').find_map(|l| l.strip_prefix(b"#! features "));
    String::from_utf8_lossy(line.unwrap_or_default()).split_whitespace().map(str::to_owned).collect()
}

fn push_expr(out: &mut Vec<u8>, expr: &[u8]) {
    for line in expr.split(|&b| b == b'\n') {
        out.extend_from_slice(b"> ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
}

/// The known differences: `(family, expression)`.
fn parse_not_yet_passing(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut list: Vec<(String, Vec<u8>)> = Vec::new();
    let mut family = String::new();
    let mut fresh = true;
    for line in bytes.split(|&b| b == b'\n') {
        match line {
            [b'@', b' ', rest @ ..] => {
                family = String::from_utf8_lossy(rest).into_owned();
                fresh = true;
            }
            [b'>', b' ', rest @ ..] if fresh => {
                list.push((family.clone(), rest.to_vec()));
                fresh = false;
            }
            [b'>', b' ', rest @ ..] => {
                if let Some((_, expr)) = list.last_mut() {
                    expr.push(b'\n');
                    expr.extend_from_slice(rest);
                }
            }
            _ => fresh = true,
        }
    }
    list
}

/// Evaluates `expr` through the library, as `evaluate` does through a program.
fn evaluate_here(expr: &[u8], features: &[String]) -> Vec<u8> {
    evaluate_within(expr, features, Limits::default())
}

fn evaluate_within(expr: &[u8], features: &[String], limits: Limits) -> Vec<u8> {
    let settings = Settings {
        system: "x86_64-linux".into(),
        store_dir: "/nix/store".into(),
        search_path: Vec::new(),
        features: features.to_vec(),
        pure_eval: false,
        trace_verbose: false,
        abort_on_warn: false,
        lints: Default::default(),
        home: Some(PathBuf::from("/homeless")),
        now: 1_700_000_000,
        limits,
    };
    let heap = Heap::new();
    let mut evaluation = Evaluation::new(&heap, settings, Rc::new(System)).expect("memory for an evaluation");
    evaluation.messages = Box::new(|_| {});
    let printed =
        evaluation.eval_text(SourceName::String, &as_argument(expr), Path::new("/")).and_then(|value| {
            let slot = evaluation.slot(value);
            evaluation.force_deep(slot, SpanId::NONE)?;
            let mut out = b"= ".to_vec();
            evaluation.print(slot, &mut out)?;
            Ok(out)
        });
    printed.unwrap_or_else(|error: Box<EvalError>| {
        let message = error.message.split(|&b| b == b'\n').next().unwrap_or_default().trim_ascii();
        if message.is_empty() {
            return b"! ?".to_vec();
        }
        [b"! error: ", message].concat()
    })
}

/// Evaluates `expr` with `program args… --eval --strict -E` in `/`, in an environment without Nix settings.
fn evaluate(program: &Path, args: &[&str], expr: &[u8]) -> Vec<u8> {
    let output = Command::new(program)
        .args(args)
        .args(["--eval", "--strict", "-E"])
        .arg(OsStr::from_bytes(&as_argument(expr)))
        .current_dir("/")
        .env("HOME", "/homeless")
        .env("NIX_PATH", "")
        .env("NIX_CONFIG", "")
        .env_remove("NIX_REMOTE")
        .stdin(Stdio::null())
        .output()
        .expect("the evaluator starts");
    if output.status.success() {
        let mut printed = b"= ".to_vec();
        printed.extend_from_slice(output.stdout.strip_suffix(b"\n").unwrap_or(&output.stdout));
        return printed;
    }
    let mut result = b"! ".to_vec();
    match last_error_line(&output.stderr) {
        Some(line) if output.status.code() == Some(1) => result.extend_from_slice(&line),
        // An error whose message is empty, as of `throw ""`.
        None if output.status.code() == Some(1) => result.push(b'?'),
        _ => {
            let tail = output.stderr.len().saturating_sub(200);
            result.extend_from_slice(format!("{}: ", output.status).as_bytes());
            result.extend_from_slice(&output.stderr[tail..]);
        }
    }
    result
}

/// A space keeps an expression such as `-1` from being taken for an option.
fn as_argument(expr: &[u8]) -> Vec<u8> {
    [if expr.starts_with(b"-") { b" " } else { &b""[..] }, expr].concat()
}

fn last_error_line(stderr: &[u8]) -> Option<Vec<u8>> {
    let plain = without_colour(stderr);
    let mut lines = plain.split(|&b| b == b'\n').map(<[u8]>::trim_ascii);
    lines
        .rfind(|l| l.strip_prefix(b"error:").is_some_and(|rest| !rest.trim_ascii().is_empty()))
        .map(<[u8]>::to_vec)
}

fn without_colour(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        if let (0x1b, [b'[', code @ ..]) = (first, tail) {
            let end = code.iter().position(|&b| b == b'm').map_or(code.len(), |i| i + 1);
            rest = &code[end..];
        } else {
            out.push(first);
            rest = tail;
        }
    }
    out
}

/// Evaluates every entry on all cores, in the order of `entries`.
fn evaluate_all(entries: &[Entry], evaluate: impl Fn(&[u8]) -> Vec<u8> + Sync) -> Vec<Vec<u8>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![Vec::new(); entries.len()]);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                on_big_stack(|| {
                    while let Some((i, entry)) = {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        entries.get(i).map(|e| (i, e))
                    } {
                        let result = evaluate(&entry.expr);
                        results.lock().expect("no worker panics with the lock")[i] = result;
                    }
                })
            });
        }
    });
    results.into_inner().expect("no worker panics with the lock")
}

fn feature_args(features: &[String]) -> Vec<String> {
    match features {
        [] => Vec::new(),
        some => vec!["--extra-experimental-features".into(), some.join(" ")],
    }
}

fn families() -> BTreeMap<String, PathBuf> {
    let chosen = std::env::var("LANG_FAMILY").ok();
    let chosen: Option<Vec<&str>> = chosen.as_deref().map(|c| c.split(',').collect());
    let mut families = BTreeMap::new();
    for file in fs::read_dir(corpus_dir()).expect("the corpus is there") {
        let path = file.expect("the corpus can be listed").path();
        let Some(name) = path.file_name().and_then(OsStr::to_str).and_then(|n| n.strip_suffix(".nixt"))
        else {
            continue;
        };
        if chosen.as_ref().is_none_or(|c| c.contains(&name)) {
            families.insert(name.to_owned(), path);
        }
    }
    families
}

#[test]
fn the_corpus_gives_what_nix_gives() {
    if let Some(reference) = std::env::var_os("LANG_RECORD") {
        return record(Path::new(&reference));
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_nixactions"));
    let known_file = corpus_dir().join("notyetpassing");
    let known = parse_not_yet_passing(&fs::read(&known_file).unwrap_or_default());
    let by_binary = std::env::var_os("LANG_BINARY").is_some();
    let update = std::env::var_os("LANG_UPDATE").is_some();
    let (mut agree, mut total, mut unexpected) = (0, 0, 0);
    let mut differing = Vec::new();
    for (family, path) in families() {
        let bytes = fs::read(&path).expect("the corpus can be read");
        let (entries, features) = (parse(&bytes), features(&bytes));
        let args = feature_args(&features);
        let args: Vec<&str> = ["eval"].into_iter().chain(args.iter().map(String::as_str)).collect();
        let results = evaluate_all(&entries, |expr| {
            if by_binary { evaluate(binary, &args, expr) } else { evaluate_here(expr, &features) }
        });
        let mut agree_here = 0;
        for (entry, ours) in entries.iter().zip(&results) {
            let listed = known.iter().any(|(f, e)| *f == family && *e == entry.expr);
            let same = *ours == entry.result;
            agree_here += usize::from(same);
            if !same {
                differing.extend_from_slice(format!("@ {family}\n").as_bytes());
                push_expr(&mut differing, &entry.expr);
            }
            if same == listed {
                unexpected += 1;
                report(&family, entry, ours, listed);
            }
        }
        println!("{family:24} {agree_here:5} of {:5}", entries.len());
        agree += agree_here;
        total += entries.len();
    }
    println!("{:24} {agree:5} of {total:5}", "all");
    if update {
        fs::write(&known_file, &differing).expect("the list of known differences can be written");
        return;
    }
    assert_eq!(unexpected, 0, "{unexpected} entries differ from what is expected of them");
}

/// Entries with a few bytes changed, or parts of others put in: whatever comes of them, it must be a value or
/// an error. `LANG_MUTATE` sets how many are tried, `LANG_SEED` where to begin.
#[test]
fn changed_entries_end_in_a_value_or_an_error() {
    let number = |name: &str, default| {
        std::env::var(name).map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name}={v}: no number")))
    };
    let (count, seed): (u64, u64) = (number("LANG_MUTATE", 2_000), number("LANG_SEED", 1));
    let mut texts = Vec::new();
    for path in families().values() {
        texts.extend(parse(&fs::read(path).expect("the corpus can be read")).into_iter().map(|e| e.expr));
    }
    let changed: Vec<Entry> =
        (seed..seed + count).map(|n| Entry { expr: change(&texts, n), result: Vec::new() }).collect();
    let results = evaluate_all(&changed, |expr| {
        let limits = Limits {
            call_depth: 2_000,
            heap: Some(256 << 20),
            time: Some(std::time::Duration::from_secs(5)),
            cancel: None,
        };
        // A crash that ends the process names nothing; the text is then in this file.
        if let Ok(file) = std::env::var("LANG_TRIED") {
            let thread = format!("{:?}", std::thread::current().id());
            let _ = fs::write(format!("{file}.{}", thread.replace(['(', ')'], "")), expr);
        }
        evaluate_within(expr, &[], limits)
    });
    assert!(results.iter().all(|r| r.starts_with(b"= ") || r.starts_with(b"! ")));
}

/// A text made of the corpus by the number `n`.
fn change(texts: &[Vec<u8>], n: u64) -> Vec<u8> {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut text = texts[random(texts.len())].clone();
    for _ in 0..=random(4) {
        let at = random(text.len() + 1);
        let other = &texts[random(texts.len())];
        let (from, to) = (random(other.len() + 1), random(other.len() + 1));
        let part = &other[from.min(to)..from.max(to)];
        match random(5) {
            0 => text.insert(at, b"(){}[]\"'$;:=?@.,-+*/<>&|!~#\\\n 09aex"[random(35)]),
            1 if at < text.len() => {
                text.remove(at);
            }
            2 => text.truncate(at),
            3 => drop(text.splice(at..at, part.iter().copied())),
            _ => {
                let end = (at + random(8)).min(text.len());
                drop(text.splice(at..end, part.iter().copied()));
            }
        }
    }
    text
}

fn report(family: &str, entry: &Entry, ours: &[u8], listed: bool) {
    let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    println!("--- {family}: {}", show(&entry.expr));
    if listed {
        println!("    agrees, but is listed in notyetpassing");
    } else {
        println!("    Nix:  {}\n    ours: {}", show(&entry.result), show(ours));
    }
}

/// Rewrites the results of the chosen families from `reference`, keeping comments and order.
fn record(reference: &Path) {
    for (_, path) in families() {
        let bytes = fs::read(&path).expect("the corpus can be read");
        let entries = parse(&bytes);
        let args = feature_args(&features(&bytes));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut results = evaluate_all(&entries, |expr| evaluate(reference, &args, expr)).into_iter();
        let mut out = Vec::with_capacity(bytes.len());
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            if line.starts_with(b"= ") || line.starts_with(b"! ") {
                out.extend_from_slice(&results.next().expect("one result an entry"));
                out.push(b'\n');
            } else {
                out.extend_from_slice(line);
            }
        }
        fs::write(&path, out).expect("the corpus can be written");
    }
}
