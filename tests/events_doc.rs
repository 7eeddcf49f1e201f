//! `docs/events.md` is made from the code of the events; this test holds it to that.

use std::fmt::Write;
use std::path::Path;

/// Where the events are defined, below the root of the repository.
const SOURCE: &str = "src/engine/event/mod.rs";
/// The page made from it.
const PAGE: &str = "docs/events.md";

const INTRODUCTION: &str = "\
# Events

`nixactions run --format json` writes one JSON object a line: every transition of the run, in order, and
every line that a step prints. Each has `time` (RFC 3339, UTC, microseconds) and `event`, the kind, beside
the fields below. Secrets are masked. Fields may be added; what is here keeps its meaning. Names of jobs and
steps are those of the plan.

This page is made from the code: `UPDATE_DOCS=1 cargo test --test events_doc`.
";

/// A field or case and what its comment says.
struct Entry {
    name: String,
    kind: String,
    text: String,
}

/// The items of an enum or struct at this indentation: `Name {`, `Name,` or `name: Type,`.
fn entries(body: &[&str], indent: usize) -> Vec<(Entry, Vec<Entry>)> {
    let pad = " ".repeat(indent);
    let mut found: Vec<(Entry, Vec<Entry>)> = Vec::new();
    let mut comment = String::new();
    let mut inner: Vec<&str> = Vec::new();
    let mut open: Option<String> = None;
    for line in body {
        let Some(rest) = line.strip_prefix(&pad) else { continue };
        if let Some(text) = rest.strip_prefix("/// ") {
            comment = if comment.is_empty() { text.to_owned() } else { format!("{comment} {text}") };
        } else if rest.starts_with(' ') {
            inner.push(line);
        } else if rest.starts_with('#') || rest.starts_with("//") {
            continue;
        } else if let Some(name) = rest.strip_suffix(" {") {
            open = Some(name.to_owned());
            inner.clear();
        } else if rest.starts_with('}') {
            if let Some(name) = open.take() {
                let fields = entries(&inner, indent + 4).into_iter().map(|(field, _)| field).collect();
                let entry = Entry { name, kind: String::new(), text: std::mem::take(&mut comment) };
                found.push((entry, fields));
            }
        } else if let Some(item) = rest.strip_suffix(',') {
            let (name, kind) = item.split_once(": ").unwrap_or((item, ""));
            let name = name.strip_prefix("pub ").unwrap_or(name).to_owned();
            found.push((
                Entry { name, kind: kind.to_owned(), text: std::mem::take(&mut comment) },
                Vec::new(),
            ));
        }
    }
    found
}

/// The lines between the braces of a definition.
fn body<'a>(source: &'a str, head: &str) -> Vec<&'a str> {
    let mut lines = source.lines().skip_while(|line| !line.starts_with(head));
    lines.next().unwrap_or_else(|| panic!("{SOURCE} has no `{head}`"));
    lines.take_while(|line| *line != "}").collect()
}

fn words(name: &str, separator: char) -> String {
    let mut out = String::new();
    for (at, c) in name.char_indices() {
        if c.is_uppercase() && at > 0 {
            out.push(separator);
        }
        out.extend(c.to_lowercase());
    }
    out
}

fn camel(name: &str) -> String {
    let mut out = String::new();
    let mut upper = false;
    for c in name.chars() {
        match (c, upper) {
            ('_', _) => upper = true,
            (c, true) => {
                out.extend(c.to_uppercase());
                upper = false;
            }
            (c, false) => out.push(c),
        }
    }
    out
}

/// A type of Rust as a reader of JSON knows it.
fn json_type(kind: &str) -> String {
    if let Some(inner) = kind.strip_prefix("Option<").and_then(|k| k.strip_suffix('>')) {
        return format!("{} or null", json_type(inner));
    }
    if let Some(inner) = kind.strip_prefix("Vec<").and_then(|k| k.strip_suffix('>')) {
        return format!("list of {}", json_type(inner));
    }
    if let Some((_, inner)) =
        kind.strip_prefix("BTreeMap<").and_then(|k| k.strip_suffix('>')?.split_once(", "))
    {
        return format!("object of {}", json_type(inner));
    }
    match kind {
        "Name" | "String" | "PathBuf" | "LogText" | "Arc<str>" => "string".into(),
        "Timestamp" => "time".into(),
        "bool" => "boolean".into(),
        "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" => "integer".into(),
        "f64" => "number".into(),
        other => format!("[{other}](#{})", other.to_lowercase()),
    }
}

fn table(fields: &[Entry], out: &mut String) {
    if fields.is_empty() {
        return;
    }
    out.push_str("\n| field | type | meaning |\n| --- | --- | --- |\n");
    for field in fields {
        let text = field.text.replace("[`EventKind::RunStarted`]", "`run-started`");
        let _ = writeln!(out, "| `{}` | {} | {text} |", camel(&field.name), json_type(&field.kind));
    }
}

fn page(source: &str) -> String {
    let mut out = INTRODUCTION.to_owned();
    for (event, fields) in entries(&body(source, "pub enum EventKind {"), 4) {
        let _ = write!(out, "\n## {}\n\n{}\n", words(&event.name, '-'), event.text);
        table(&fields, &mut out);
    }
    out.push_str("\n# Types\n");
    let mut types: Vec<(&str, &str)> = Vec::new();
    for line in source.lines() {
        for head in ["pub struct ", "pub enum "] {
            if let Some(name) = line.strip_prefix(head).and_then(|rest| rest.strip_suffix(" {")) {
                types.push((head, name));
            }
        }
    }
    let used = |name: &str| out.contains(&format!("(#{})", name.to_lowercase()));
    let mut wanted: Vec<(&str, &str)> = types.iter().copied().filter(|(_, name)| used(name)).collect();
    // A type that only another type names.
    for (head, name) in &types {
        let inside = wanted.iter().any(|(head, outer)| {
            body(source, &format!("{head}{outer} {{")).iter().any(|line| line.contains(&format!(": {name},")))
        });
        if inside && !wanted.contains(&(*head, *name)) {
            wanted.push((*head, *name));
        }
    }
    wanted.sort_by_key(|(_, name)| *name);
    for (head, name) in wanted {
        let _ = write!(out, "\n## {name}\n");
        let items = entries(&body(source, &format!("{head}{name} {{")), 4);
        if head == "pub struct " {
            let fields: Vec<Entry> = items.into_iter().map(|(field, _)| field).collect();
            table(&fields, &mut out);
            continue;
        }
        let tagged = items.iter().any(|(_, fields)| !fields.is_empty());
        let intro = if tagged { "An object whose `kind` is one of:" } else { "One of:" };
        let _ = write!(out, "\n{intro}\n\n");
        for (case, fields) in items {
            let word = if tagged { first_lower(&case.name) } else { case.name.to_lowercase() };
            let fields: Vec<String> =
                fields.iter().map(|f| format!("`{}` ({})", camel(&f.name), json_type(&f.kind))).collect();
            let with =
                if fields.is_empty() { String::new() } else { format!(", with {}", fields.join(", ")) };
            let _ = writeln!(out, "- `{word}`{with}: {}", case.text);
        }
    }
    out
}

fn first_lower(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[test]
fn the_page_of_events_is_what_the_code_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(root.join(SOURCE)).expect("the source");
    let expected = page(&source);
    let path = root.join(PAGE);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{PAGE} is not what {SOURCE} says; run UPDATE_DOCS=1 cargo test --test events_doc"
    );
}
