//! `docs/semantics.md` names for every rule of the workflow language the test that proves it, and
//! `docs/reliability.md` for every promise; this test checks that each of these tests exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nixactions::workflow::schema::{self, Table};

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    fs::read_to_string(path).expect(name)
}

/// The tests that a row names: `FILE::TEST`.
fn named(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split('`').filter_map(|word| word.split_once("::")).filter(|(file, _)| file.ends_with(".rs"))
}

#[test]
fn every_named_test_exists_and_every_rule_names_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut faults, mut rows) = (Vec::new(), 0);
    let pages = page("semantics.md") + &page("reliability.md");
    let heads = ["| ---", "| rule", "| promise", "| fault |"];
    let is_row = |line: &&str| line.starts_with("| ") && !heads.iter().any(|head| line.starts_with(head));
    for line in pages.lines().filter(is_row) {
        rows += 1;
        if named(line).next().is_none() {
            faults.push(format!("names no test: {line}"));
        }
        for (file, test) in named(line) {
            let text = fs::read_to_string(root.join(file)).unwrap_or_default();
            let at = text.find(&format!("fn {test}("));
            let before = at.map_or("", |at| &text[..at]);
            let attribute = before.trim_end().trim_end_matches("async").trim_end();
            if !attribute.lines().last().is_some_and(|line| line.contains("test") && line.ends_with(']')) {
                faults.push(format!("no test `{test}` in {file}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(rows > 90, "only {rows} rows");
}

/// Every key of workflows, jobs and steps stands in the page.
#[test]
fn every_key_has_a_row() {
    let page = page("semantics.md");
    let words: BTreeSet<&str> = page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let tables: [&Table; 6] =
        [&schema::WORKFLOW, &schema::JOB, &schema::STEP, &schema::RETRY, &schema::INPUT, &schema::MATRIX];
    let keys = tables.iter().flat_map(|t| t.keys.iter().map(|k| k.name));
    let providers = schema::PROVIDERS_BY_KIND.iter().map(|p| p.0);
    let missing: Vec<&str> = keys.chain(providers).filter(|k| !words.contains(k)).collect();
    assert!(missing.is_empty(), "docs/semantics.md says nothing of {missing:?}");
}
