//! Rules that the compiler does not know: layering, file sizes, documentation, names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use nixactions::diag::codes::CODES;

/// Lines of a file without its tests.
const HARD_CAP: usize = 800;

/// The only files that may hold `unsafe` code; each states its invariants.
const UNSAFE_FILES: [&str; 5] = [
    "src/eval/arena.rs",
    "src/eval/heap.rs",
    "src/eval/value.rs",
    "src/ir/module.rs",
    "src/exec/local/process.rs",
];

struct File {
    /// Relative to the repository, with `/`.
    path: String,
    text: String,
}

impl File {
    /// The text without the tests at its end.
    fn without_tests(&self) -> &str {
        let end = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        &self.text[..end]
    }

    /// Lines of code, without comments.
    fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.without_tests().lines().enumerate().map(|(i, l)| (i + 1, l));
        lines.filter(|(_, l)| !l.trim_start().starts_with("//"))
    }

    /// The folder or file directly below `src`.
    fn module(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("src/")?;
        Some(rest.split('/').next()?.trim_end_matches(".rs"))
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder that end so, in order.
fn files(folder: &str, ending: &str) -> Vec<File> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(dir) = folders.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(read(&path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn read(path: &Path) -> File {
    let bytes = fs::read(path).expect("a readable file");
    let path = path.strip_prefix(root()).expect("a path below the root").to_string_lossy().into_owned();
    File { path, text: String::from_utf8_lossy(&bytes).into_owned() }
}

fn complain(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let all = files("src", ".rs").into_iter().chain(files("tests", ".rs"));
    let silent = all.filter(|f| !f.text.starts_with("//! "));
    complain(&silent.map(|f| format!("{}: begins without `//!`", f.path)).collect::<Vec<_>>());
}

#[test]
fn no_file_is_too_long() {
    let mut faults = Vec::new();
    for f in files("src", ".rs") {
        let lines = f.without_tests().lines().count();
        if lines > HARD_CAP && !f.path.ends_with("/tests.rs") {
            faults.push(format!("{}: {lines} lines, at most {HARD_CAP}", f.path));
        }
    }
    complain(&faults);
}

/// What each top folder states that it may import.
fn may_import() -> BTreeMap<String, BTreeSet<String>> {
    let mut table = BTreeMap::new();
    for f in files("src", "/mod.rs") {
        let Some(module) = f.path.strip_prefix("src/").and_then(|p| p.strip_suffix("/mod.rs")) else {
            continue;
        };
        if module.contains('/') {
            continue;
        }
        let mut lines = f.text.lines();
        let owns = lines.next().unwrap_or_default();
        assert!(owns.starts_with("//! Owns: "), "{}: its first line states what it owns", f.path);
        let list = f.text.lines().find_map(|l| l.strip_prefix("//! May import: "));
        let list = list.unwrap_or_else(|| panic!("{}: does not state what it may import", f.path));
        let names = list.trim_end_matches('.').split([' ', ',']).filter(|n| !n.is_empty());
        let names = names.map(|n| n.split('(').next().unwrap_or(n).to_owned()).filter(|n| n != "nothing");
        table.insert(module.to_owned(), names.collect());
    }
    table
}

/// The modules that a line names by `crate::`, also in `crate::{a, b}`.
fn crate_paths(line: &str) -> Vec<String> {
    let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group.split(',').map(|part| word(part.trim()))),
            None => found.push(word(rest)),
        }
    }
    found.retain(|w| !w.is_empty());
    found
}

#[test]
fn imports_go_downwards_only() {
    let table = may_import();
    let mut faults = Vec::new();
    for f in files("src", ".rs") {
        let Some(module) = f.module() else { continue };
        let Some(allowed) = table.get(module) else { continue };
        let depth = f.path.matches('/').count() - usize::from(f.path.ends_with("/mod.rs"));
        for (number, line) in f.code_lines() {
            for name in crate_paths(line) {
                if table.contains_key(&name) && name != module && !allowed.contains(&name) {
                    faults.push(format!("{}:{number}: {module} may not import {name}", f.path));
                }
            }
            if line.contains(&"super::".repeat(depth + 1)) {
                faults.push(format!("{}:{number}: leaves its folder by `super`", f.path));
            }
        }
    }
    complain(&faults);
}

#[test]
fn the_modules_form_no_circle() {
    let mut left = may_import();
    for allowed in left.values() {
        for name in allowed {
            assert!(root().join("src").join(name).is_dir(), "`May import: {name}` names no folder");
        }
    }
    while !left.is_empty() {
        let ground: Vec<String> = left
            .iter()
            .filter(|(_, allowed)| allowed.iter().all(|n| !left.contains_key(n)))
            .map(|(name, _)| name.clone())
            .collect();
        assert!(!ground.is_empty(), "a circle among {:?}", left.keys().collect::<Vec<_>>());
        left.retain(|name, _| !ground.contains(name));
    }
}

#[test]
fn nothing_is_left_for_later() {
    let words = [["to", "do!("], ["db", "g!("], ["unimple", "mented!("], ["TO", "DO"], ["FIX", "ME"]];
    let words = words.map(|parts| parts.concat());
    let mut faults = Vec::new();
    for f in files("src", ".rs").into_iter().chain(files("tests", ".rs")).chain(files("nixlib", ".nix")) {
        for (i, line) in f.text.lines().enumerate() {
            if let Some(word) = words.iter().find(|w| line.contains(w.as_str())) {
                faults.push(format!("{}:{}: {word}", f.path, i + 1));
            }
        }
    }
    complain(&faults);
}

#[test]
fn unsafe_code_stands_in_few_files() {
    let mut faults = Vec::new();
    for f in files("src", ".rs") {
        let unsafe_word = ["unsafe", " "].concat();
        let has = f.code_lines().any(|(_, l)| l.contains(&unsafe_word) || l.contains("allow(unsafe_code)"));
        if has && !UNSAFE_FILES.contains(&f.path.as_str()) {
            faults.push(format!("{}: holds unsafe code", f.path));
        }
    }
    complain(&faults);
}

#[test]
fn every_code_that_is_raised_is_in_the_table() {
    let known: BTreeSet<&str> = CODES.iter().map(|c| c.code).collect();
    let mut faults = Vec::new();
    for f in files("src", ".rs") {
        for (at, _) in f.without_tests().match_indices("\"NXA") {
            let code = f.text.get(at + 1..at + 7).unwrap_or_default();
            if code.ends_with(|c: char| c.is_ascii_digit()) && !known.contains(code) {
                faults.push(format!("{}: {code} is not in src/diag/codes.rs", f.path));
            }
        }
    }
    let all: String = files("src", ".rs").iter().map(|f| f.without_tests().to_owned()).collect();
    for code in CODES {
        // Once in the table, and where it is raised.
        if all.matches(&format!("\"{}\"", code.code)).count() < 2 {
            faults.push(format!("{} is never raised", code.code));
        }
    }
    for page in files("src/diag/explain", ".md") {
        let name = page.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".md");
        if !known.contains(name) {
            faults.push(format!("{}: explains a code that does not exist", page.path));
        }
    }
    complain(&faults);
}

#[test]
fn every_command_is_documented() {
    let docs = fs::read_to_string(root().join("docs/commands.md")).expect("docs/commands.md");
    let mut faults = Vec::new();
    for f in files("src/cli", ".rs") {
        let Some(name) = f.path.strip_prefix("src/cli/").and_then(|n| n.strip_suffix(".rs")) else {
            continue;
        };
        let is_command = f.text.contains("after_help = EXAMPLES") && name != "args";
        if is_command && !docs.contains(&format!("\n## nixactions {name}\n")) {
            faults.push(format!("docs/commands.md: says nothing of `nixactions {name}`"));
        }
    }
    complain(&faults);
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let docs = fs::read_to_string(root().join("docs/dependencies.md")).expect("docs/dependencies.md");
    let documented: BTreeSet<&str> =
        docs.lines().filter_map(|l| l.strip_prefix("| `")?.split_once('`')).map(|(n, _)| n).collect();
    let tables = ["dependencies", "dev-dependencies"].map(|t| manifest.get(t).and_then(|t| t.as_table()));
    let used: BTreeSet<&str> =
        tables.into_iter().flatten().flat_map(|t| t.keys()).map(String::as_str).collect();
    assert_eq!(documented, used, "docs/dependencies.md lists exactly what Cargo.toml does");
}

#[test]
fn no_machine_is_named() {
    let places = ["/wo", "/ho", "/ro"].into_iter().zip(["rk/", "me/", "ot/"]);
    let places: Vec<String> = places.map(|(a, b)| format!("{a}{b}")).collect();
    let mut all = files("docs", ".md");
    for (folder, ending) in [("src", ".rs"), ("src", ".md"), ("nixlib", ".nix"), ("examples", ".nix")] {
        all.extend(files(folder, ending));
    }
    all.push(read(&root().join("README.md")));
    let mut faults = Vec::new();
    for f in &all {
        // Tests may make such paths up.
        for (i, line) in f.without_tests().lines().enumerate() {
            if !f.path.ends_with("tests.rs") && places.iter().any(|p| line.contains(p.as_str())) {
                faults.push(format!("{}:{}: names a path of some machine", f.path, i + 1));
            }
        }
    }
    complain(&faults);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut faults = Vec::new();
    for f in files("docs", ".md").into_iter().chain([read(&root().join("README.md"))]) {
        let dir = root().join(&f.path).parent().expect("a file has a folder").to_path_buf();
        for (at, _) in f.text.match_indices("](") {
            let target = f.text[at + 2..].split([')', '#', ' ']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !dir.join(target).exists() {
                faults.push(format!("{}: a link to {target}, which does not exist", f.path));
            }
        }
    }
    complain(&faults);
}
