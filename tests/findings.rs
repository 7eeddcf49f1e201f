//! What the documents show of findings is what `check` says: the picture in the README, the index of
//! codes; and findings stand where the wrong text was written, whatever way it took.
//!
//! `CHECK_UPDATE=1 cargo test --test findings` draws and writes the documents again.

mod support;

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use nixactions::base::source::{Source, SourceName};
use nixactions::cli::render::{self, Format, Style};
use nixactions::diag::codes::{CODES, Code};
use nixactions::diag::{Applicability, Diagnostic, Severity};
use nixactions::eval::io::System;
use nixactions::lint::{self, Level, Levels, fix};
use support::request;

const WORKFLOW: &str = r#"{ nixactions, ... }:
let
  patience = "10 minutes";
in
nixactions.mkWorkflow {
  name = "ci";
  jobs = {
    lint.steps = [ { bash = "make lint"; } ];
    test = {
      needs = [ "lnit" ];
      timeout = patience;
      steps = [ { bash = "make test"; pure = true; } ];
    };
  };
}
"#;

/// Size of a character cell.
const CELL: (f64, f64) = (8.4, 18.0);

/// Colours of the terminal, by the number of the escape sequence.
fn colour(code: u32) -> Option<&'static str> {
    Some(match code {
        30 | 90 => "#7d8590",
        31 | 91 => "#ff7b72",
        32 | 92 => "#7ee787",
        33 | 93 => "#e3b341",
        34 | 94 => "#79c0ff",
        35 | 95 => "#d2a8ff",
        36 | 96 => "#56d4dd",
        37 | 97 => "#f0f6fc",
        _ => return None,
    })
}

/// Text with escape sequences as an SVG of a dark terminal.
fn svg(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let (width, height) = (80.0 * CELL.0 + 32.0, lines.len() as f64 * CELL.1 + 32.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"14\">\n\
         <title>Three findings of nixactions check</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#0d1117\"/>\n"
    );
    let mut style = (None, false);
    for (row, line) in lines.iter().enumerate() {
        let y = 16.0 + CELL.1 * (row as f64 + 0.75);
        let mut column = 0;
        for (i, part) in line.split("\x1b[").enumerate() {
            let words = match (i, part.split_once('m')) {
                (0, _) | (_, None) => part,
                (_, Some((codes, rest))) => {
                    codes.split(';').for_each(|c| apply(c, &mut style));
                    rest
                }
            };
            // Blanks need no element, and characters of boxes are as wide as others.
            let blanks = words.len() - words.trim_start_matches(' ').len();
            let visible = words.trim_matches(' ');
            if !visible.is_empty() {
                let x = 16.0 + CELL.0 * (column + blanks) as f64;
                let length = CELL.0 * visible.chars().count() as f64;
                let fill = style.0.unwrap_or("#c9d1d9");
                let weight = if style.1 { " font-weight=\"bold\"" } else { "" };
                let text = visible.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                let _ = writeln!(
                    out,
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\" fill=\"{fill}\"{weight} xml:space=\"preserve\">{text}</text>"
                );
            }
            column += words.chars().count();
        }
    }
    out.push_str("</svg>\n");
    out
}

fn apply(code: &str, style: &mut (Option<&'static str>, bool)) {
    match code.parse().unwrap_or(0) {
        0 => *style = (None, false),
        1 => style.1 = true,
        22 => style.1 = false,
        39 => style.0 = None,
        code => style.0 = colour(code).or(style.0),
    }
}

#[test]
fn the_picture_shows_what_is_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ci.nix");
    fs::write(&file, WORKFLOW).expect("a file");
    let found = lint::file(&request(&file), || Rc::new(System), &Levels::default()).diagnostics;
    assert_eq!(found.len(), 3, "{:?}", found.iter().map(|d| &d.message).collect::<Vec<_>>());
    let style = Style { color: true, unicode: true, width: 80, base: dir.path().to_path_buf() };
    let mut out = Vec::new();
    render::write(&found, Format::Human, &style, &mut out).expect("memory takes everything");
    let picture = svg(&format!("\x1b[1m$ nixactions check ci.nix\x1b[0m\n{}", String::from_utf8_lossy(&out)));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/findings.svg");
    if std::env::var_os("CHECK_UPDATE").is_some() {
        fs::write(&path, &picture).expect("writing the picture");
    }
    let recorded = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        recorded == picture,
        "docs/findings.svg is not what is written now; CHECK_UPDATE=1 draws it again"
    );
}

/// The findings of an example.
fn findings(text: &str) -> Vec<Diagnostic> {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ci.nix");
    fs::write(&file, text).expect("a file");
    let mut levels = Levels::default();
    levels.set("NXA105", Level::Warn).expect("a code that is off by default");
    lint::file(&request(&file), || Rc::new(System), &levels).diagnostics
}

/// The examples of the explanations, and the texts whose findings are recorded.
fn recorded() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut out = Vec::new();
    for dir in ["tests/check", "tests/newcomers"] {
        let entries = fs::read_dir(root.join(dir)).expect("a directory");
        let mut files: Vec<_> = entries.map(|e| e.expect("an entry").path()).collect();
        files.sort();
        for file in files.iter().filter(|p| p.extension().is_some_and(|e| e == "nix")) {
            let name = file.file_stem().and_then(|n| n.to_str()).unwrap_or_default();
            let text = fs::read_to_string(file).expect("a file");
            let said = fs::read_to_string(file.with_extension("out")).unwrap_or_default();
            out.push((format!("{dir}/{name}.out"), text, said));
        }
    }
    out
}

/// The tests of a code whose findings are not recorded: what shellcheck says depends on its version, and
/// that a file holds several workflows is said only to those who ask for one.
fn tested_elsewhere(code: &str) -> Option<&'static str> {
    match code {
        "NXA023" => Some("tests/workflow.rs"),
        "NXA501" => Some("tests/lsp/shellcheck.rs"),
        _ => None,
    }
}

/// How findings of a code can be mended, as far as the examples and the recorded texts show.
fn fixable(code: &Code, recorded: &[(String, String, String)], found: &[Diagnostic]) -> &'static str {
    let marked = format!("[{}]", code.code);
    let others = recorded.iter().filter(|(_, _, said)| said.contains(&marked));
    let others: Vec<Diagnostic> = others.flat_map(|(_, text, _)| findings(text)).collect();
    let all = found.iter().chain(&others).filter(|d| d.code == code.code);
    let kinds: Vec<Applicability> = all.flat_map(|d| d.fixes.iter().map(|f| f.applicability)).collect();
    assert!(
        kinds.is_empty() || code.page.contains("## Fix safety"),
        "{}: nothing is said of its fix",
        code.code
    );
    match (kinds.contains(&Applicability::Safe), kinds.contains(&Applicability::Unsafe)) {
        (true, true) => "safe, unsafe",
        (true, false) => "safe",
        (false, true) => "unsafe",
        (false, false) => "",
    }
}

/// The one table of rules: what each is about, what it looks at, and the tests of it.
#[test]
fn the_index_of_codes_is_current() {
    let mut text = String::from(
        "# Findings\n\nEvery code that `nixactions check` reports; `nixactions explain CODE` prints its page. \
         Written from `src/diag/codes.rs`;\n`CHECK_UPDATE=1 cargo test --test findings` writes it again.\n\n\
         Codes with \u{201c}yes\u{201d} under *text* are found without evaluating, so also in files that cannot be \
         evaluated. The\nbad and the good example of every page are tests (`tests/explain.rs`); what is said of the bad \
         one, and what\nits fixes make of it, is recorded in `tests/findings/`; `tests/lint.rs` applies every fix.\n\n\
         | code | name | level | text | fix | what it is about | tests |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let recorded = recorded();
    for c in CODES {
        let level = match c.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Hint => "hint",
        };
        let bad = c.examples()[0];
        let fix = fixable(c, &recorded, &findings(bad));
        let source = Source::new(SourceName::Path("/p/ci.nix".into()), bad.as_bytes().to_vec());
        let plain = lint::plain(source, &Levels::default()).iter().any(|d| d.code == c.code);
        let of_text = if plain { "yes" } else { "" };
        let marked = format!("[{}]", c.code);
        let mut tests: Vec<String> = match tested_elsewhere(c.code) {
            Some(file) => vec![format!("[{file}](../{file})")],
            None => vec![format!("[example](../tests/findings/{}.out)", c.code)],
        };
        tests.extend(recorded.iter().filter(|r| r.2.contains(&marked)).map(|r| {
            let name = r.0.rsplit('/').next().unwrap_or_default().trim_end_matches(".out");
            format!("[{name}](../{})", r.0)
        }));
        let _ = writeln!(
            text,
            "| [{0}](../src/diag/explain/{0}.md) | `{1}` | {level} | {of_text} | {fix} | {2} | {3} |",
            c.code,
            c.name,
            c.title,
            tests.join(", ")
        );
    }
    text.push_str(
        "\nThe level of a code is set with `--allow`, `--warn` and `--deny`, below `[lint]` in `nixactions.toml`, or by a\n\
         comment in the file; see [`nixactions check`](commands.md#nixactions-check). Where a fix is named,\n\
         `nixactions check --fix` applies the safe ones, `--unsafe-fixes` all of them.\n",
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/diagnostics.md");
    if std::env::var_os("CHECK_UPDATE").is_some() {
        fs::write(&path, &text).expect("writing the index");
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text, "CHECK_UPDATE=1 writes it again");
}

/// What people see of the bad example of every code, at 80 columns, and what its fixes make of it.
#[test]
fn what_is_said_of_every_bad_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/findings");
    let update = std::env::var_os("CHECK_UPDATE").is_some();
    let mut wrong = Vec::new();
    let recorded: Vec<&Code> = CODES.iter().filter(|c| tested_elsewhere(c.code).is_none()).collect();
    for c in &recorded {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("ci.nix");
        let bad = c.examples()[0];
        fs::write(&file, bad).expect("a file");
        let mut levels = Levels::default();
        levels.set("NXA105", Level::Warn).expect("a code that is off by default");
        let found = lint::file(&request(&file), || Rc::new(System), &levels).diagnostics;
        let style = Style { color: false, unicode: true, width: 80, base: dir.path().to_path_buf() };
        let mut out = Vec::new();
        render::write(&found, Format::Human, &style, &mut out).expect("memory takes everything");
        let source = Source::new(SourceName::Path(file.clone()), bad.as_bytes().to_vec());
        let own: Vec<Diagnostic> = found.into_iter().filter(|d| d.code == c.code).collect();
        assert!(!own.is_empty(), "{}: nothing is said of its bad example", c.code);
        if let Some(fixed) = fix::apply(&source, &own, true) {
            out.extend(b"\nfixed:\n\n");
            out.extend(fixed.text);
        }
        let said = String::from_utf8_lossy(&out).into_owned();
        let place = dir.path().display().to_string();
        assert!(!said.contains(&place), "{}: a path of this machine in\n{said}", c.code);
        let path = root.join(format!("{}.out", c.code));
        if update {
            fs::create_dir_all(&root).expect("a directory");
            fs::write(&path, &said).expect("writing what is said");
        }
        if fs::read_to_string(&path).unwrap_or_default() != said {
            wrong.push(format!("{}:\n{said}", c.code));
        }
    }
    let kept = fs::read_dir(&root).expect("a directory").count();
    assert_eq!(kept, recorded.len(), "a file for every code, and for nothing else");
    assert!(wrong.is_empty(), "CHECK_UPDATE=1 records what is said now:\n{}", wrong.join("\n"));
}

/// Each value gets to its job by another way, and is reported where it is written.
#[test]
fn findings_stand_at_the_text_that_is_wrong() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provenance/ci.nix");
    let found = lint::file(&request(&file), || Rc::new(System), &Levels::default()).diagnostics;
    // The job, the text that is wrong, and the text it came to when that is somewhere else.
    let expected = [
        ("by-function", "\"tags by function\"", None),
        ("by-argument", "\"argument\"", None),
        ("by-map", "\"mapped\"", None),
        ("by-update", "\"update\"", None),
        ("by-inherit", "\"function\"", Some("pure")),
        ("by-inherit-from", "1", Some("continueOnError")),
        ("by-import", "\"a while\"", None),
        ("by-imported-function", "\"nowhere\"", None),
        ("by-list", "1", None),
        ("by-default", "7", Some("tags")),
        ("by-if", "\"yes\"", None),
        ("by-concat", "\"con\" + \"cat\"", None),
        ("by-name", "\"listed\"", None),
        ("extended", "\"extension\"", None),
        ("matrix-version-one", "\"one\"", None),
        ("matrix-version-two", "\"two\"", None),
        ("fields-os-linux", "timeuot", None),
    ];
    for (job, wrong, came_to) in expected {
        let name = format!("job `{job}`");
        let d = found.iter().find(|d| d.message.contains(&name) && d.severity == Severity::Error);
        let d = d.unwrap_or_else(|| panic!("nothing is said of {name}"));
        let text = |l: &nixactions::diag::Label| {
            String::from_utf8_lossy(&l.place.source.text()[l.place.range()]).into_owned()
        };
        let at = d.primary.as_ref().map(text).unwrap_or_default();
        assert!(at == wrong || at == format!("({wrong})"), "{}: at {at}", d.message);
        if let Some(key) = came_to {
            assert!(d.secondary.iter().any(|l| text(l) == key), "{}: not how it got there", d.message);
        }
    }
    let import = found.iter().find(|d| d.message.contains("`by-import`")).and_then(|d| d.primary.as_ref());
    let file = import.and_then(|l| l.place.source.path()).map(Path::to_path_buf).unwrap_or_default();
    assert!(file.ends_with("tests/provenance/lib/jobs.nix"), "{}", file.display());
}
