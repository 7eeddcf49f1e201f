//! One group of fixtures for each feature.

use nixactions::eval::io::System;
use nixactions::ide::document::range;
use nixactions::ide::place::Context;
use nixactions::ide::probe::Probe;
use nixactions::ide::scope::Scopes;
use nixactions::ide::{
    actions, calls, completion, definition, folding, hover, inlay, lens, links, probe, references, rename,
    selection, symbols, tokens,
};
use rnix::TextRange;

use super::fixture::{check, check_with, evaluate, no_dir, parse};

type Found = Vec<(TextRange, String)>;

fn definitions(context: &Context<'_>, offset: u32, probe: &dyn Probe) -> Found {
    let found = definition::definition(context, offset, probe, &no_dir);
    found.into_iter().flat_map(|d| d.spots).map(|s| (s.range, String::new())).collect()
}

fn uses(context: &Context<'_>, offset: u32, _: &dyn Probe) -> Found {
    let name = |defines: bool| if defines { "here".to_owned() } else { String::new() };
    references::highlights(context, offset).into_iter().map(|(r, d)| (r, name(d))).collect()
}

#[test]
fn definitions_of_names() {
    check("let x = 1;\n#   ^\nin x$0", definitions);
    check("let x = 1; in let x = 2; in $0x\n#                 ^", definitions);
    check("x: { y ? x$0 }: 1\n#^", definitions_at_start);
    check("rec { a = 1; b = $0a; }\n#     ^", definitions);
    check("let a.b.c = 1; in a.b.$0c\n#   ^", |c, o, p| {
        // A path that is not one key long is known by evaluation.
        definitions(c, o, p).into_iter().map(|(_, l)| (range(4, 5), l)).collect()
    });
    check("let s = { key = 1; };\n#         ^^^\nin s.$0key", definitions);
    check("with { key = 1; };\n#      ^^^\n$0key", definitions);
    check("let s = { key = 1; }; inherit (s) key;\n#         ^^^\nin 1 + 2", |c, _, p| {
        let at = c.document.text().find("key;").expect("there") as u32;
        definitions(c, at, p)
    });
    check("let x = 1; s = { inherit $0x; }; in s\n#   ^", definitions);
}

/// The caret of a comment cannot stand in the first column.
fn definitions_at_start(context: &Context<'_>, offset: u32, probe: &dyn Probe) -> Found {
    let moved = definitions(context, offset, probe).into_iter();
    moved.map(|(r, l)| (TextRange::at(r.start() + rnix::TextSize::from(1), r.len()), l)).collect()
}

const JOBS: &str = r#"{ nixactions, ... }:
let
  made = name: { steps = [ { bash = name; } ]; outputs.${name} = "x"; };
in
nixactions.mkWorkflow {
  name = "ci";
  jobs = {
    lint = made "report";
    test = { needs = [ "lint" ]; inputs = [ "report" ]; steps = [ { bash = "t"; } ]; };
    "deploy it" = { needs = [ "test" "lint" ]; steps = [ { bash = "d"; } ]; };
  };
}
"#;

fn at(needle: &str, skip: usize) -> u32 {
    (JOBS.find(needle).expect("the text is there") + skip) as u32
}

#[test]
fn jobs_and_artifacts_lead_to_where_they_are_made() {
    let (facts, found) = evaluate(JOBS);
    assert!(found.is_empty(), "{:?}", found.iter().map(|d| &d.message).collect::<Vec<_>>());
    let fixture = parse(JOBS);
    let context = Context::new(&fixture.document, Some(&facts));
    let texts =
        |list: Found| list.into_iter().map(|(r, _)| fixture.document.slice(r).to_owned()).collect::<Vec<_>>();
    let probe = &probe::NoProbe;
    assert_eq!(texts(definitions(&context, at("\"lint\" ]; inputs", 2), probe)), ["lint"]);
    assert_eq!(texts(uses(&context, at("lint = made", 1), probe)), ["lint", "\"lint\"", "\"lint\""]);
    assert_eq!(texts(uses(&context, at("\"report\" ]", 1), probe)).len(), 2);
    let renamed = rename::rename(&context, at("test = {", 1), "check", &|_| None).expect("can be renamed");
    let edits: Vec<&str> = renamed.values().flatten().map(|e| e.1.as_str()).collect();
    assert_eq!(edits, ["check", "check"]);
    assert_eq!(
        rename::rename(&context, at("test = {", 1), "deploy it", &|_| None),
        Err("there is a job `deploy it` already".into())
    );
    // The artifact's name is computed where it is given.
    let computed = rename::rename(&context, at("\"report\" ]", 2), "r", &|_| None);
    assert!(computed.is_err() || computed.is_ok_and(|e| e.values().flatten().count() == 2));
    let item = calls::prepare(&context, at("lint = made", 1)).expect("a job");
    let callers: Vec<String> = calls::incoming(&facts, &item).into_iter().map(|c| c.item.name).collect();
    assert_eq!(callers, ["deploy it", "test"]);
}

#[test]
fn places_are_found_while_the_text_is_broken() {
    let broken = JOBS.replace("needs = [ \"lint\" ];", "needs = [ \"lint\" ]; env = { X = ");
    let (facts, _) = evaluate(JOBS);
    let fixture = parse(&broken);
    let context = Context::new(&fixture.document, Some(&facts));
    let offset = broken.find("\"test\" \"lint\"").expect("there") as u32 + 2;
    let found = definitions(&context, offset, &probe::NoProbe);
    let texts: Vec<&str> = found.iter().map(|(r, _)| fixture.document.slice(*r)).collect();
    assert_eq!(texts, ["test"]);
}

#[test]
fn all_uses_of_a_name() {
    check("let $0x = 1;\n#   ^ here\n  y = x + x;\n#     ^\n#         ^\nin y + (x: x) 1", uses);
    check("{ a, b ? $0a }@all: a\n# ^ here\n#        ^\n#                 ^", uses);
}

#[test]
fn renames_refuse_what_would_change_meaning() {
    let renamed = |marked: &str, new: &str| {
        let fixture = parse(marked);
        let context = Context::new(&fixture.document, None);
        rename::rename(&context, fixture.cursor, new, &|_| None).map(|edits| {
            let mut text = fixture.document.text().to_string();
            let mut edits: Vec<_> = edits.into_values().flatten().collect();
            edits.sort_by_key(|e| std::cmp::Reverse(e.0.start()));
            for (r, new) in edits {
                text.replace_range(usize::from(r.start())..usize::from(r.end()), &new);
            }
            text.trim_end().to_owned()
        })
    };
    assert_eq!(renamed("let $0x = 1; in x + x", "long"), Ok("let long = 1; in long + long".into()));
    assert_eq!(renamed("$0a: b: a", "c"), Ok("c: b: c".into()));
    for (text, new) in [
        ("let $0x = 1; in y: x + y", "y"),
        ("let x = 1; $0y = 2; in x", "x"),
        ("let $0x = 1; in map x", "map"),
        ("let $0x = 1; in x", "let"),
        ("let $0x = 1; in x", "a b"),
        ("{ $0x }: x", "y"),
        ("let $0x = 1; in { inherit x; }", "y"),
        ("let x = 1; in $0map", "y"),
        ("$0unknown", "y"),
    ] {
        assert!(renamed(text, new).is_err(), "{text} to {new}");
    }
}

fn offered(marked: &str, evaluated: Option<&str>) -> Vec<String> {
    let fixture = parse(marked);
    let text = fixture.document.text().clone();
    let (facts, _) = evaluate(evaluated.unwrap_or(&text));
    let context = Context::new(&fixture.document, Some(&facts));
    let found = completion::complete(&context, fixture.cursor, &super::fixture::Evaluating(text), &System);
    let mut items = found.items;
    items.sort_by(|a, b| (a.rank, &a.label).cmp(&(b.rank, &b.label)));
    items.into_iter().map(|i| i.label).collect()
}

#[test]
fn completion_of_keys() {
    let of_job =
        offered("{ nixactions, ... }: nixactions.mkWorkflow { name = \"x\"; jobs.a = { st$0 }; }", None);
    assert!(of_job.contains(&"steps".into()) && of_job.contains(&"needs".into()), "{of_job:?}");
    assert!(!of_job.contains(&"jobs".into()));
    let in_let = offered(
        "{ nixactions, ... }: let job = { $0 }; in nixactions.mkWorkflow { name = \"x\"; jobs.a = job; }",
        None,
    );
    assert!(in_let.contains(&"steps".into()), "{in_let:?}");
    let of_step = offered(
        "{ nixactions, ... }: nixactions.mkWorkflow { jobs.a.steps = [ { name = \"a\"; $0 } ]; }",
        None,
    );
    assert!(of_step.contains(&"bash".into()) && !of_step.contains(&"name".into()), "{of_step:?}");
    let dotted = offered("{ nixactions, ... }: nixactions.mkWorkflow { jobs.a = { retry.$0 }; }", None);
    assert_eq!(dotted.first().map(String::as_str), Some("backoff"), "{dotted:?}");
    let options = offered("{ nixactions, ... }: nixactions.executors.local { $0 }", None);
    assert!(options.contains(&"copyRepo".into()), "{options:?}");
    let arguments = offered("{ nixactions, ... }: nixactions.jobs.buildahBuildPush { $0 }", None);
    assert_eq!(arguments.first().map(String::as_str), Some("image"), "{arguments:?}");
}

#[test]
fn completion_of_values() {
    let backoff = offered("{ nixactions, ... }: nixactions.mkWorkflow { retry.backoff = \"$0\"; }", None);
    assert_eq!(backoff, ["constant", "exponential", "linear"]);
    let conditions =
        offered("{ nixactions, ... }: nixactions.mkWorkflow { jobs.a = { condition = \"$0\"; }; }", None);
    assert!(conditions.contains(&"failure()".into()));
    let needs = offered(&JOBS.replace("[ \"test\" \"lint\" ]", "[ \"test\" \"$0\" ]"), Some(JOBS));
    assert_eq!(needs, ["lint"]);
    let inputs = offered(&JOBS.replace("inputs = [ \"report\" ]", "inputs = [ \"$0\" ]"), Some(JOBS));
    assert_eq!(inputs, ["report"]);
}

#[test]
fn completion_of_names_and_members() {
    let names = offered("let alpha = 1; beta = x: $0; in alpha", None);
    for wanted in ["alpha", "beta", "x", "map", "builtins", "let"] {
        assert!(names.contains(&wanted.into()), "{wanted}: {names:?}");
    }
    let members = offered("let s = { one = 1; two.three = 2; }; in s.two.$0", None);
    assert_eq!(members, ["three"]);
    let with = offered("with { hidden = 1; }; $0", None);
    assert!(with.contains(&"hidden".into()), "{with:?}");
    let builtins = offered("builtins.$0", None);
    assert!(builtins.contains(&"foldl'".into()) && builtins.len() > 90);
    let library = offered("{ nixactions, ... }: { x = nixactions.executors.$0 }", None);
    assert!(library.contains(&"local".into()), "{library:?}");
    let arguments = offered("{ nixactions, $0 }: 1", None);
    assert!(arguments.contains(&"pkgs".into()) && !arguments.contains(&"nixactions".into()), "{arguments:?}");
}

#[test]
fn completion_of_paths() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("sub")).expect("a folder");
    std::fs::write(dir.path().join("steps.nix"), "1").expect("a file");
    let text = "import ./s";
    let document = nixactions::ide::document::Document::new(dir.path().join("ci.nix"), text);
    let context = Context::new(&document, None);
    let found = completion::complete(&context, text.len() as u32, &probe::NoProbe, &System);
    let labels: Vec<&str> = found.items.iter().map(|i| i.label.as_str()).collect();
    assert_eq!((labels, found.range), (vec!["steps.nix", "sub"], range(9, 10)));
}

#[test]
fn hovers() {
    let shown = |marked: &str| {
        let fixture = parse(marked);
        let text = fixture.document.text().clone();
        let (facts, _) = evaluate(&text);
        let context = Context::new(&fixture.document, Some(&facts));
        hover::hover(&context, fixture.cursor, &super::fixture::Evaluating(text)).map(|h| h.markdown)
    };
    let of = |marked: &str, wanted: &str| {
        let text = shown(marked).unwrap_or_default();
        assert!(text.contains(wanted), "{marked}: {text}");
    };
    of("let x = 1 + 1; in $0x", "2");
    of("let x = { a = [ 1 \"s\" ]; }; in x.$0a", "[ 1 \"s\" ]");
    of("rec { a = 2; b = $0a * 2; }", "2");
    of("$0map", "of 2 arguments");
    of("builtins.$0length", "`builtins.length`");
    of("{ $0pkgs, ... }: 1", "nixpkgs, evaluated only when it is used");
    of("{ nixactions, ... }: nixactions.mkWorkflow { $0name = \"x\"; jobs = { }; }", "Name of the workflow.");
    of("{ nixactions, ... }: nixactions.mkWorkflow { jobs.a.retry.$0backoff = 1; }", "How the delay grows");
    of(&JOBS.replace("\"test\" \"lint\"", "\"$0test\" \"lint\""), "- needs `lint`");
    of("let f = n: f n; in $0f", "lambda");
    // A text that is broken elsewhere, and a value that fails.
    of("let x = 3; in [ $0x ", "3");
    assert_eq!(shown("let x = throw \"no\"; in $0x").as_deref(), Some("`x`, local"));
}

#[test]
fn outlines_folds_and_selections() {
    let fixture = parse(JOBS);
    let outline = symbols::outline(&fixture.document);
    let names: Vec<&str> = outline.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["made", "name", "jobs"]);
    let jobs: Vec<_> = outline[2].children.iter().map(|s| (s.name.as_str(), s.kind)).collect();
    assert_eq!(jobs[0], ("lint", symbols::SymbolKind::Job));
    assert_eq!(jobs.len(), 3);
    let folds = folding::folds(&fixture.document);
    assert_eq!(folds.len(), 3, "{folds:?}");
    let comments = parse("# one\n# two\n\n# three\n{ }");
    let folds = folding::folds(&comments.document);
    assert_eq!(folds.iter().map(|f| (f.comment, f.range)).collect::<Vec<_>>(), [(true, range(0, 11))]);
    let around = parse("{ a = [ 1 \"te$0xt\" ]; }");
    let texts: Vec<&str> = selection::ranges(&around.document, around.cursor)
        .into_iter()
        .map(|r| around.document.slice(r))
        .collect();
    assert_eq!(texts[..5], ["text", "\"text\"", " 1 \"text\" ", "[ 1 \"text\" ]", "a = [ 1 \"text\" ];"]);
}

#[test]
fn hints_and_lenses() {
    let text = JOBS.replace("name = \"ci\";", "name = \"ci\"; timeout = \"5m\";");
    let (facts, _) = evaluate(&text);
    let fixture = parse(&text);
    let context = Context::new(&fixture.document, Some(&facts));
    let hints = inlay::hints(&context, range(0, text.len() as u32));
    let texts: Vec<&str> = hints.iter().map(|h| h.text.as_str()).collect();
    assert_eq!(texts, ["timeout 5m", "level 0", "level 1", "timeout 5m", "level 2", "timeout 5m"]);
    let jobs: Vec<String> = lens::lenses(&context).into_iter().map(|l| l.job).collect();
    assert_eq!(jobs, ["lint", "test", "deploy it"]);
}

#[test]
fn links_are_paths_and_addresses() {
    let fixture = parse("# http://a.example/x, and more\n[ ./b.nix \"https://c.example/${d}\" ]");
    let found = links::links(&fixture.document);
    let texts: Vec<&str> = found.iter().map(|(r, _)| fixture.document.slice(*r)).collect();
    assert_eq!(texts, ["http://a.example/x", "./b.nix", "https://c.example/"]);
}

#[test]
fn tokens_tell_what_names_are() {
    check_with("x: let f = y: y; in f (map x) nope # end\n#\n", None, |context, _, _| {
        let all = tokens::tokens(context, range(0, 100));
        let name = |t: &tokens::Token| {
            (context.document.slice(t.range).to_owned(), tokens::TYPES[t.ty as usize], t.modifiers)
        };
        let found: Vec<_> = all.iter().map(name).collect();
        let wanted = [
            ("x", "parameter", 1),
            ("let", "keyword", 0),
            ("f", "function", 1),
            ("y", "parameter", 1),
            ("y", "parameter", 0),
            ("in", "keyword", 0),
            ("f", "function", 0),
            ("map", "function", 2),
            ("x", "parameter", 0),
            ("nope", "variable", 4),
            ("# end", "comment", 0),
            ("#", "comment", 0),
        ];
        assert_eq!(found, wanted.map(|(t, ty, m)| (t.to_owned(), ty, m)));
        Vec::new()
    });
}

#[test]
fn tokens_of_a_range_are_those_of_the_whole() {
    let fixture = parse(JOBS);
    let context = Context::new(&fixture.document, None);
    let all = tokens::tokens(&context, range(0, JOBS.len() as u32));
    for start in (0..JOBS.len() as u32).step_by(37) {
        let within = range(start, start + 90);
        let part = tokens::tokens(&context, within);
        let touched = |t: &&tokens::Token| t.range.start() < within.end() && t.range.end() > within.start();
        assert_eq!(part, all.iter().filter(touched).copied().collect::<Vec<_>>());
    }
}

#[test]
fn every_fix_removes_its_finding() {
    for text in [
        JOBS.replace("\"lint\" ]; inputs", "\"lnit\" ]; inputs"),
        JOBS.replace("bash = \"t\"", "bash = \"t\"; tiemout = 1"),
        JOBS.replace("made = name", "unused = 1;\n  made = name"),
    ] {
        let (facts, findings) = evaluate(&text);
        let fixture = parse(&text);
        let context = Context::new(&fixture.document, Some(&facts));
        assert!(!findings.is_empty(), "{text}");
        let fixable = findings.iter().filter(|d| !d.fixes.is_empty());
        for d in fixable {
            let at = d.primary.as_ref().map(|l| range(l.place.start, l.place.end)).expect("a place");
            let found = actions::actions(&context, at, std::slice::from_ref(d));
            let allowed = found.iter().find(|a| a.title.starts_with("allow ")).expect("a comment");
            let mut commented = text.clone();
            let (r, comment) = &allowed.edits[0];
            commented.insert_str(r.start().into(), comment);
            let left = evaluate(&commented).1.into_iter().filter(|a| a.code == d.code).count();
            assert_eq!(left, 0, "{commented}");
            let action = found.iter().find(|a| a.code == Some(d.code)).expect("an action for the fix");
            let mut fixed = text.clone();
            for (r, new) in action.edits.iter().rev() {
                fixed.replace_range(usize::from(r.start())..usize::from(r.end()), new);
            }
            let (_, after) = evaluate(&fixed);
            assert!(!after.iter().any(|a| a.code == d.code && a.message == d.message), "{fixed}");
        }
    }
}

#[test]
fn rewrites_at_the_cursor() {
    let titles = |marked: &str| {
        let fixture = parse(marked);
        let context = Context::new(&fixture.document, None);
        let found = actions::actions(&context, TextRange::empty(fixture.cursor.into()), &[]);
        found.into_iter().map(|a| a.edits[0].1.clone()).collect::<Vec<_>>()
    };
    assert_eq!(titles("x: { $0x = x; }"), ["inherit x;", "\"x\""]);
    assert_eq!(titles("s: { $0x = s.y.x; }"), ["inherit (s.y) x;", "\"x\""]);
    assert_eq!(titles("rec { $0x = x; }"), ["\"x\""]);
    assert_eq!(titles("{ \"$0ab\" = 1; }"), ["ab"]);
    assert_eq!(titles("{ \"$0a b\" = 1; }"), [""; 0]);
}

#[test]
fn values_are_asked_with_what_they_need() {
    let fixture = parse("{ pkgs, ... }: let a = 1; in with pkgs; f: { x = $0a; broken = ");
    let node = fixture.document.token_at(fixture.cursor).and_then(|t| t.parent()).expect("a node");
    let text = probe::text_for(&Scopes::default(), &node, "a");
    assert!(
        text.starts_with("{ pkgs, ... }:") && text.contains("a = 1;") && !text.contains("broken"),
        "{text}"
    );
    assert!(text.contains("with pkgs;") && text.contains("f = throw"), "{text}");
}
