//! How types and keys of the workflow language are described to people.

use crate::workflow::schema::{Key, Table, Type};

/// A type in a few words.
pub fn type_name(ty: &Type) -> String {
    match ty {
        Type::Any | Type::Data => "any value".into(),
        Type::Text => "string".into(),
        Type::Name => "non-empty string".into(),
        Type::Bool => "boolean".into(),
        Type::Int(least) => format!("integer, at least {least}"),
        Type::Number => "number".into(),
        Type::Duration => "duration: seconds, or a text like `\"90s\"`, `\"5m\"`, `\"1h30m\"`".into(),
        Type::Condition => {
            "condition: `success()`, `failure()`, `always()`, `cancelled()`, or a bash script".into()
        }
        Type::EnvValue => "string, number, boolean, path or null".into(),
        Type::PathText => "string or path".into(),
        Type::OneOf(words) => words.iter().map(|w| format!("`\"{w}\"`")).collect::<Vec<_>>().join(" or "),
        Type::List(_, what) => format!("list of {what}"),
        Type::OneOrList(_, what) => format!("list of {what}, or one alone"),
        Type::Map(_, what) => format!("set of {what}"),
        Type::Record(table) => article(table),
        Type::TextOr(table) => format!("string, or {}", article(table)),
        Type::Function => "function".into(),
        Type::Executor => "executor".into(),
        Type::Provider => "environment provider, or a derivation".into(),
        Type::Package => "package".into(),
        Type::Step => "step".into(),
        Type::Callable => "workflow file or function".into(),
        Type::Either(a, b) => format!("{} or {}", type_name(a), type_name(b)),
    }
}

fn article(table: &Table) -> String {
    let an = table.what.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {}", if an { "an" } else { "a" }, table.what)
}

/// A key in Markdown: name, type, default, meaning.
pub fn key_doc(table: &Table, key: &Key) -> String {
    let mut out = format!("**`{}`** of {}: {}\n\n{}", key.name, article(table), type_name(&key.ty), key.doc);
    if key.required {
        out += "\n\nRequired.";
    } else if !key.default.is_empty() {
        out += &format!("\n\nDefault: `{}`", key.default);
    }
    if !key.aliases.is_empty() {
        let names: Vec<String> = key.aliases.iter().map(|a| format!("`{a}`")).collect();
        out += &format!("\n\nAlso written {}.", names.join(", "));
    }
    out
}

/// What an entry of a kind of value is begun with, as a snippet.
pub fn value_snippet(ty: &Type) -> &'static str {
    match ty {
        Type::Text | Type::Name | Type::PathText | Type::Duration | Type::Condition => "\"$1\"",
        Type::Bool => "${1|true,false|}",
        Type::List(..) | Type::OneOrList(..) => "[ $1 ]",
        Type::Map(..) | Type::Record(_) => "{\n  $1\n}",
        _ => "$1",
    }
}

/// The arguments that a workflow file may ask for, with their meaning.
pub const OFFERED: [(&str, &str); 6] = [
    ("nixactions", "The workflow library: `mkWorkflow`, `executors`, `actions`, …; needs no nixpkgs."),
    ("pkgs", "nixpkgs, evaluated only when it is used."),
    ("lib", "`pkgs.lib`; without nixpkgs a small set of the usual functions."),
    ("system", "The current system, or `--system`."),
    ("inputs", "The workflow's inputs: `--input NAME=VALUE` over their defaults."),
    ("platform", "The older name of `nixactions`."),
];
