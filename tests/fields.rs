//! A wrong value at every field: each is reported at exactly the text of the value.
//!
//! The fields come from the table of keys itself, so a new key is covered without further work.
//! What is said of each is recorded in `tests/check/every-field.txt`; `CHECK_UPDATE=1` writes it.

mod support;

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use nixactions::eval::io::System;
use nixactions::lint::{self, Levels};
use nixactions::workflow::schema::{self, Table, Type};
use support::request;

/// A value that fits.
fn right(ty: &Type) -> String {
    match ty {
        Type::Any | Type::Data | Type::Number => "1".into(),
        Type::Text | Type::Name | Type::EnvValue | Type::PathText | Type::TextOr(_) => "\"x\"".into(),
        Type::Bool => "true".into(),
        Type::Int(least) => least.max(&1).to_string(),
        Type::Duration => "\"5m\"".into(),
        Type::Condition => "\"always()\"".into(),
        Type::OneOf(words) => format!("\"{}\"", words[0]),
        Type::List(item, _) | Type::OneOrList(item, _) => format!("[ {} ]", right(item)),
        Type::Map(item, _) => format!("{{ k = {}; }}", right(item)),
        Type::Record(table) => record(table, None),
        Type::Function => "(x: x)".into(),
        Type::Executor => "nixactions.executors.local".into(),
        Type::Provider => "(nixactions.envProviders.static { })".into(),
        Type::Package => "\"/bin\"".into(),
        Type::Step => "{ bash = \"true\"; }".into(),
        Type::Callable => "(x: x)".into(),
        Type::Either(first, _) => right(first),
    }
}

/// A set with what a table requires, and one more binding.
fn record(table: &Table, more: Option<(&str, &str)>) -> String {
    let mut text = String::from("{ ");
    for key in table.keys.iter().filter(|k| k.required && more.is_none_or(|m| m.0 != k.name)) {
        let _ = write!(text, "{} = {}; ", key.name, right(&key.ty));
    }
    if std::ptr::eq(table, &schema::JOB) && more.is_none_or(|m| m.0 != "steps" && m.0 != "uses") {
        text.push_str("steps = [ { bash = \"true\"; } ]; ");
    }
    if table.what == "step" && more.is_none_or(|m| m.0 != "bash" && m.0 != "run") {
        text.push_str("bash = \"true\"; ");
    }
    if let Some((name, value)) = more {
        let _ = write!(text, "{name} = {value}; ");
    }
    text.push('}');
    text
}

/// Values that do not fit: a boolean, which carries no place of its own, where it can be wrong.
fn wrong(ty: &Type) -> Vec<&'static str> {
    match ty {
        Type::Any | Type::Data => vec![],
        Type::Bool => vec!["\"yes\"", "(x: x)"],
        Type::EnvValue => vec!["[ 1 ]", "(x: x)"],
        Type::Callable => vec!["3", "true"],
        Type::Function => vec!["true", "[ ]"],
        Type::Either(Type::Bool, _) => vec!["\"yes\""],
        Type::Either(_, Type::EnvValue) => vec!["[ 1 ]", "(x: x)"],
        Type::Number | Type::Either(..) => vec!["true", "(x: x)"],
        _ => vec!["true", "(x: x)", "1.5"],
    }
}

/// One wrong value in its place: name of the field, the value, the text of the workflow.
struct Case {
    field: String,
    value: &'static str,
    text: String,
}

type Around<'a> = &'a dyn Fn(&str) -> String;

fn in_table(field: &str, table: &'static Table, around: Around<'_>, out: &mut Vec<Case>) {
    for key in table.keys {
        let field = format!("{field}.{}", key.name);
        let whole = |value: &str| around(&record(table, Some((key.name, value))));
        in_type(&field, &key.ty, &whole, out);
    }
}

fn in_type(field: &str, ty: &Type, around: Around<'_>, out: &mut Vec<Case>) {
    for value in wrong(ty) {
        // A matrix copies jobs, and a workflow without jobs has nothing to look into.
        out.push(Case { field: field.into(), value, text: around(value) });
    }
    match ty {
        Type::List(item, _) | Type::OneOrList(item, _) => {
            in_type(&format!("{field}[]"), item, &|v| around(&format!("[ {} {v} ]", right(item))), out);
        }
        Type::Map(item, _) => {
            in_type(&format!("{field}.*"), item, &|v| around(&format!("{{ k = {v}; }}")), out);
        }
        Type::Record(table) | Type::TextOr(table) => in_table(field, table, around, out),
        Type::Step => in_table(field, &schema::STEP, around, out),
        _ => {}
    }
}

fn cases() -> Vec<Case> {
    let mut out = Vec::new();
    let file = |set: &str| format!("{{ nixactions, ... }}:\nnixactions.mkWorkflow {set}\n");
    in_table("workflow", &schema::WORKFLOW, &file, &mut out);
    let job = |more: &str| {
        file(&format!("{{ name = \"x\"; jobs.j = {{ steps = [ {{ bash = \"true\"; }} ]; {more} }}; }}"))
    };
    let local = |set: &str| job(&format!("executor = nixactions.executors.local {set};"));
    in_table("executors.local", &schema::LOCAL_EXECUTOR, &local, &mut out);
    let provider = |name: &'static str| {
        move |set: &str| format!("envFrom = [ (nixactions.envProviders.{name} {set}) ];")
    };
    for (name, table) in [
        ("file", &schema::FILE_PROVIDER),
        ("sops", &schema::SOPS_PROVIDER),
        ("command", &schema::COMMAND_PROVIDER),
    ] {
        let inner = provider(name);
        in_table(&format!("envProviders.{name}"), table, &|set| job(&inner(set)), &mut out);
    }
    out
}

#[test]
fn a_wrong_value_is_reported_at_its_text() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ci.nix");
    let cases = cases();
    assert!(cases.len() > 250, "{}", cases.len());
    let (mut recorded, mut faults) = (String::new(), Vec::new());
    for case in &cases {
        fs::write(&file, &case.text).expect("a file");
        let found = lint::file(&request(&file), || Rc::new(System), &Levels::default()).diagnostics;
        let at = |d: &nixactions::diag::Diagnostic| {
            d.primary
                .as_ref()
                .map(|l| String::from_utf8_lossy(&l.place.source.text()[l.place.range()]).into_owned())
        };
        let bare = case.value.trim_start_matches('(').trim_end_matches(')');
        let text = |t: &str| t == case.value || t == bare;
        let hit = found.iter().find(|d| at(d).is_some_and(|t| text(&t)) && d.code != "NXA013");
        match hit {
            Some(d) => {
                let _ = writeln!(recorded, "{} = {}: {} {}", case.field, case.value, d.code, d.message);
            }
            None => {
                let all: Vec<_> =
                    found.iter().map(|d| format!("{} {} at {:?}", d.code, d.message, at(d))).collect();
                faults.push(format!("{} = {}: {all:#?}\n{}", case.field, case.value, case.text));
            }
        }
    }
    assert!(faults.is_empty(), "{} of {} fields:\n{}", faults.len(), cases.len(), faults.join("\n"));
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check/every-field.txt");
    if std::env::var_os("CHECK_UPDATE").is_some() {
        fs::write(&out, &recorded).expect("writing the snapshot");
    }
    let expected = fs::read_to_string(&out).unwrap_or_default();
    assert_eq!(expected, recorded, "CHECK_UPDATE=1 records what is said now");
}
