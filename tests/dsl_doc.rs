//! `docs/dsl.md` is made from the table of keys; this test holds it to that.

use std::fmt::Write;
use std::path::Path;

use nixactions::workflow::schema::{self, Key, Table, Type};
use nixactions::workflow::shape::describe;

const PAGE: &str = "docs/dsl.md";

const INTRODUCTION: &str = "\
# Keys of the workflow language

Every key, its type, its default and what it means. What the words mean in a run is in
[semantics](semantics.md), each with the test that proves it.

This page is made from `src/workflow/schema/`: `UPDATE_DOCS=1 cargo test --test dsl_doc`.
";

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn kind(key: &Key) -> String {
    match &key.ty {
        Type::Any | Type::Data => "any value".into(),
        ty => describe(ty).trim_start_matches("a ").trim_start_matches("an ").to_owned(),
    }
}

fn table(title: &str, t: &Table, out: &mut String) {
    let _infallible =
        write!(out, "\n## {title}\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
    for key in t.keys {
        let mut name = format!("`{}`", key.name);
        for alias in key.aliases {
            let _infallible = write!(name, ", `{alias}`");
        }
        for older in key.deprecated {
            let _infallible = write!(name, ", older: `{older}`");
        }
        let default = match (key.required, key.default) {
            (true, _) => "required".to_owned(),
            (false, "") => "none".to_owned(),
            (false, text) if text.starts_with(['"', '[', '{']) || !text.contains(' ') => format!("`{text}`"),
            (false, text) => text.to_owned(),
        };
        let _infallible =
            writeln!(out, "| {name} | {} | {} | {} |", cell(&kind(key)), cell(&default), cell(key.doc));
    }
}

fn page() -> String {
    let mut out = INTRODUCTION.to_owned();
    for (title, t) in [
        ("Workflow", &schema::WORKFLOW),
        ("Job", &schema::JOB),
        ("Step", &schema::STEP),
        ("`retry`", &schema::RETRY),
        ("`logging`", &schema::LOGGING),
        ("An input of a workflow", &schema::INPUT),
        ("`concurrency`", &schema::CONCURRENCY),
        ("An item of `notify`", &schema::NOTIFY),
        ("An item of a job's `inputs`", &schema::ARTIFACT_INPUT),
        ("A value of a job's `outputs`", &schema::ARTIFACT_OUTPUT),
        ("An item of `cache`", &schema::CACHE),
        ("`skipIfUnchanged`", &schema::SKIP),
        ("`resources`", &schema::RESOURCES),
        ("A value of `services`", &schema::SERVICE),
        ("`matrix`", &schema::MATRIX),
    ] {
        table(title, t, &mut out);
    }
    for (name, t) in schema::PROVIDERS_BY_KIND {
        table(&format!("`envProviders.{name}`"), t, &mut out);
    }
    out
}

#[test]
fn the_page_of_keys_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page(), "{PAGE} is out of date: UPDATE_DOCS=1 cargo test --test dsl_doc");
}
