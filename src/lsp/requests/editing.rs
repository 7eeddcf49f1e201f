//! Requests that change a text, or help to write it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rnix::TextRange;
use serde_json::{Value, json};

use super::super::overlay::Overlay;
use super::super::snapshot::Snapshot;
use super::super::transport::{ResponseError, code};
use crate::ide::actions::{self, ActionKind};
use crate::ide::completion::{Item, ItemKind, complete};
use crate::ide::document::{Document, range};
use crate::ide::rename as ide_rename;

type Answer = Result<Value, ResponseError>;

fn refused(why: impl Into<String>) -> ResponseError {
    ResponseError::new(code::REQUEST_FAILED, why)
}

/// Numbers of the protocol's `CompletionItemKind`.
fn item_kind(kind: ItemKind) -> u32 {
    match kind {
        ItemKind::Key => 10,
        ItemKind::Job => 23,
        ItemKind::Artifact => 18,
        ItemKind::Value => 20,
        ItemKind::Member => 5,
        ItemKind::Function => 3,
        ItemKind::Variable => 6,
        ItemKind::Keyword => 14,
        ItemKind::File => 17,
        ItemKind::Folder => 19,
    }
}

/// `textDocument/completion`
pub fn completion(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let offset = s.offset(&document, &params["position"])?;
    let found = complete(&s.context(&document), offset, &s.probe(&document), &Overlay::default());
    let range = s.range(&document, found.range);
    let one = |i: &Item| {
        let mut out = json!({
            "label": i.label, "kind": item_kind(i.kind), "sortText": format!("{}{}", i.rank, i.label),
            "filterText": i.label
        });
        let snippet = i.snippet.as_ref().filter(|_| s.client.snippets);
        if snippet.is_some() {
            out["insertTextFormat"] = 2.into();
        }
        out["textEdit"] = json!({ "range": range, "newText": snippet.unwrap_or(&i.insert) });
        if !i.detail.is_empty() {
            out["detail"] = i.detail.as_str().into();
        }
        if !i.doc.is_empty() {
            out["documentation"] = json!({ "kind": "markdown", "value": i.doc });
        }
        if i.deprecated {
            out["tags"] = json!([1]);
        }
        out
    };
    Ok(json!({
        "isIncomplete": found.incomplete, "items": found.items.iter().map(one).collect::<Vec<_>>()
    }))
}

/// `textDocument/prepareRename`
pub fn prepare_rename(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let offset = s.offset(&document, &params["position"])?;
    let (range, name) = ide_rename::prepare(&s.context(&document), offset).map_err(refused)?;
    Ok(json!({ "range": s.range(&document, range), "placeholder": name }))
}

/// `textDocument/rename`
pub fn rename(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let offset = s.offset(&document, &params["position"])?;
    let new = params["newName"].as_str();
    let new = new.ok_or_else(|| ResponseError::new(code::INVALID_PARAMS, "no newName"))?;
    let open = |path: &std::path::PathBuf| s.read(path).map(|d| Document::new(d.path(), d.text().clone()));
    let edits = ide_rename::rename(&s.context(&document), offset, new, &open).map_err(refused)?;
    let mut files: Vec<_> = edits.into_iter().collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let mut changes = Vec::new();
    for (path, edits) in files {
        let document = s.read(&path).ok_or_else(|| refused(format!("{} cannot be read", path.display())))?;
        let edits: Vec<(TextRange, String)> = edits;
        changes.push(file_edit(s, &document, &edits));
    }
    Ok(workspace_edit(s, changes))
}

/// The edits of one file: its URI, version and text edits.
fn file_edit(
    s: &Snapshot,
    document: &Document,
    edits: &[(TextRange, String)],
) -> (String, Value, Vec<Value>) {
    let version = s.open.get(document.path()).map_or(Value::Null, |o| o.version.into());
    let edits = edits.iter().map(|(r, text)| json!({ "range": s.range(document, *r), "newText": text }));
    (s.uri(document.path()), version, edits.collect())
}

fn workspace_edit(s: &Snapshot, files: Vec<(String, Value, Vec<Value>)>) -> Value {
    if s.client.document_changes {
        let changes = files.into_iter().map(|(uri, version, edits)| {
            json!({ "textDocument": { "uri": uri, "version": version }, "edits": edits })
        });
        return json!({ "documentChanges": changes.collect::<Vec<_>>() });
    }
    let changes = files.into_iter().map(|(uri, _, edits)| (uri, Value::Array(edits)));
    json!({ "changes": changes.collect::<serde_json::Map<_, _>>() })
}

/// `textDocument/codeAction`
pub fn code_action(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let at = s.text_range(&document, &params["range"])?;
    let only: Option<Vec<&str>> =
        params["context"]["only"].as_array().map(|a| a.iter().filter_map(Value::as_str).collect());
    let findings = s.findings.get(document.path()).map(Vec::as_slice).unwrap_or_default();
    let mut out = Vec::new();
    for action in actions::actions(&s.context(&document), at, findings) {
        let kind = match action.kind {
            ActionKind::QuickFix => "quickfix",
            ActionKind::Rewrite => "refactor.rewrite",
            ActionKind::FixAll => "source.fixAll",
        };
        let matches = |o: &&str| kind == *o || kind.strip_prefix(*o).is_some_and(|r| r.starts_with('.'));
        if only.as_ref().is_some_and(|only| !only.iter().any(matches)) {
            continue;
        }
        let mut one = json!({
            "title": action.title, "kind": kind,
            "edit": workspace_edit(s, vec![file_edit(s, &document, &action.edits)])
        });
        if action.preferred {
            one["isPreferred"] = true.into();
        }
        if let Some(code) = action.code {
            let given = params["context"]["diagnostics"].as_array().into_iter().flatten();
            let of_it: Vec<&Value> = given.filter(|d| d["code"] == code).collect();
            one["diagnostics"] = json!(of_it);
        }
        out.push(one);
    }
    Ok(Value::Array(out))
}

/// Time that the formatter may take.
const FORMAT_TIME: Duration = Duration::from_secs(10);

/// `textDocument/formatting`: by the formatter, from standard input to standard output.
pub fn formatting(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let fallback = ["nixfmt".to_owned()];
    let argv = if s.config.formatter.is_empty() { &fallback[..] } else { &s.config.formatter };
    let formatted = run(argv, document.text())?;
    if formatted == **document.text() {
        return Ok(json!([]));
    }
    let (edit, text) = difference(document.text(), &formatted);
    Ok(json!([{ "range": s.range(&document, edit), "newText": text }]))
}

/// The part of a text that differs, and what it becomes.
fn difference<'n>(old: &str, new: &'n str) -> (TextRange, &'n str) {
    let common = |a: &mut dyn Iterator<Item = (char, char)>| {
        a.take_while(|(x, y)| x == y).map(|(x, _)| x.len_utf8()).sum::<usize>()
    };
    let start = common(&mut old.chars().zip(new.chars()));
    let (a, b) = (&old[start..], &new[start..]);
    let end = common(&mut a.chars().rev().zip(b.chars().rev()));
    (range(start as u32, (old.len() - end) as u32), &new[start..new.len() - end])
}

fn run(argv: &[String], text: &str) -> Result<String, ResponseError> {
    let (program, args) = argv.split_first().ok_or_else(|| refused("no formatter is set"))?;
    let spawned = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            refused(format!("`{program}` is not installed; install it, or set `formatter` to another"))
        }
        _ => refused(format!("cannot start `{program}`: {e}")),
    })?;
    let mut stdin = child.stdin.take();
    let input = text.to_owned();
    // Written on its own thread: the formatter may answer before it has read everything.
    let writer = std::thread::spawn(move || {
        if let Some(stdin) = &mut stdin {
            // A formatter that ends early says why on its standard error.
            drop(stdin.write_all(input.as_bytes()));
        }
    });
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let out = std::thread::spawn(move || stdout.map(read_all).unwrap_or_default());
    let err = std::thread::spawn(move || stderr.map(read_all).unwrap_or_default());
    let until = Instant::now() + FORMAT_TIME;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
            _ => {
                drop(child.kill());
                drop(child.wait());
                break None;
            }
        }
    };
    let Some(status) = status else {
        return Err(refused(format!("`{program}` took longer than {}s", FORMAT_TIME.as_secs())));
    };
    drop(writer.join());
    let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
    if !status.success() {
        let why = String::from_utf8_lossy(&err);
        return Err(refused(format!(
            "`{program}` failed: {}",
            why.lines().next().unwrap_or("no reason given")
        )));
    }
    String::from_utf8(out).map_err(|_| refused(format!("`{program}` gave a text that is not UTF-8")))
}

fn read_all(mut from: impl std::io::Read) -> Vec<u8> {
    let mut out = Vec::new();
    // What was read before an error is all there is.
    drop(from.read_to_end(&mut out));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_replaced() {
        assert_eq!(difference("a  b c", "a b c"), (range(2, 3), ""));
        assert_eq!(difference("aü", "aöü"), (range(1, 1), "ö"));
        assert_eq!(difference("aa", "aaa"), (range(2, 2), "a"));
    }

    #[test]
    fn a_formatter_fails_with_a_reason() {
        let words = |w: &[&str]| w.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(run(&words(&["cat"]), "x = 1"), Ok("x = 1".into()));
        let e = run(&words(&["no-such-formatter"]), "").expect_err("not there");
        assert!(e.message.contains("not installed"), "{}", e.message);
        let e = run(&words(&["sh", "-c", "echo broken >&2; exit 1"]), "x").expect_err("fails");
        assert_eq!(e.message, "`sh` failed: broken");
    }
}
