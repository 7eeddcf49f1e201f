//! What the renderers write, to the letter.

use std::path::PathBuf;

use super::*;
use crate::base::source::{Place, Source, SourceName};
use crate::diag::{Label, Severity};

fn style() -> Style {
    Style { color: false, unicode: true, width: 80, base: PathBuf::from("/p") }
}

fn place(path: &str, text: &str, what: &str) -> Place {
    let start = text.find(what).expect("the text holds it") as u32;
    let source = Source::new(SourceName::Path(path.into()), text.as_bytes().to_vec());
    Place { source, start, end: start + what.len() as u32 }
}

fn label(place: Place, text: &str) -> Label {
    Label { place, text: text.into() }
}

fn sample() -> Vec<Diagnostic> {
    let text = "{\n  jobs.lint.steps = [ ];\n  jobs.tést.needs = [ \"lnit\" ];\n}\n";
    let mut unknown = Diagnostic::error("NXA101", "job `tést` needs `lnit`, which does not exist")
        .help("did you mean `lint`?")
        .note("the jobs are `lint`, `tést`");
    unknown.primary = Some(label(place("/p/ci.nix", text, "\"lnit\""), "no job of this name"));
    unknown.secondary.push(label(place("/p/lib/jobs.nix", "{ lint = 1; }\n", "lint"), "the nearest job"));
    let mut dropped = Diagnostic::new(Severity::Warning, "NXA006", "job `lint` has no steps");
    dropped.primary = Some(label(place("/p/ci.nix", text, "[ ]"), ""));
    vec![unknown, dropped]
}

fn rendered(format: Format, style: &Style) -> String {
    let mut out = Vec::new();
    write(&sample(), format, style, &mut out).expect("memory takes everything");
    String::from_utf8(out).expect("text")
}

#[test]
fn human_shows_every_file_and_the_way_out() {
    insta::assert_snapshot!(rendered(Format::Human, &style()));
}

#[test]
fn human_in_ascii_has_no_other_characters_than_the_source() {
    let text = rendered(Format::Human, &Style { unicode: false, ..style() });
    assert!(text.replace("tést", "").is_ascii(), "{text}");
}

#[test]
fn colour_is_only_used_when_asked_for() {
    assert!(!rendered(Format::Human, &style()).contains('\x1b'));
    assert!(rendered(Format::Human, &Style { color: true, ..style() }).contains('\x1b'));
}

#[test]
fn short_is_one_line_a_finding() {
    let text = rendered(Format::Short, &style());
    let expected = "ci.nix:2:21: warning[NXA006]: job `lint` has no steps\n\
        ci.nix:3:23: error[NXA101]: job `tést` needs `lnit`, which does not exist\n\
        1 error, 1 warning\n";
    assert_eq!(text, expected);
}

#[test]
fn github_escapes_what_commands_need() {
    let text = rendered(Format::Github, &style());
    let line = text.lines().nth(1).expect("two findings");
    let expected = "::error file=ci.nix,line=3,endLine=3,col=23,endColumn=29,title=NXA101 unknown-need\
        ::job `tést` needs `lnit`, which does not exist%0Adid you mean `lint`?%0Athe jobs are `lint`, `tést`";
    assert_eq!(line, expected);
}

#[test]
fn json_and_sarif_are_json() {
    let json: serde_json::Value = serde_json::from_str(&rendered(Format::Json, &style())).expect("JSON");
    assert_eq!(json["errors"], 1);
    assert_eq!(json["diagnostics"][1]["primary"]["start"]["column"], 23);
    let sarif: serde_json::Value = serde_json::from_str(&rendered(Format::Sarif, &style())).expect("JSON");
    let result = &sarif["runs"][0]["results"][1];
    assert_eq!(result["ruleId"], "NXA101");
    assert_eq!(result["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"], "lib/jobs.nix");
}

#[test]
fn only_fifty_findings_are_shown() {
    let many: Vec<Diagnostic> = (0..60).map(|i| Diagnostic::error("", format!("finding {i:02}"))).collect();
    let mut out = Vec::new();
    write(&many, Format::Short, &style(), &mut out).expect("memory takes everything");
    let text = String::from_utf8(out).expect("text");
    assert!(text.ends_with("and 10 more\n60 errors\n"), "{text}");
}

#[test]
fn spans_of_text_that_is_not_utf8_stay_in_place() {
    let source = Source::new(SourceName::Stdin, b"\xff\xff\xff oops".to_vec());
    let mut d = Diagnostic::error("NXA000", "not UTF-8");
    d.primary = Some(label(Place { source, start: 4, end: 8 }, "here"));
    let mut out = Vec::new();
    write(&[d], Format::Human, &style(), &mut out).expect("memory takes everything");
    let text = String::from_utf8(out).expect("text");
    assert!(text.contains("oops"), "{text}");
}
