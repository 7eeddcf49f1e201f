//! Errors found while names are looked up, and what syntax errors say.

use rustc_hash::FxHashMap;
use std::path::Path;

use nixactions::base::source::{Source, SourceName};
use nixactions::base::symbol::Symbol;
use nixactions::ir::lower::{LowerOptions, load};
use nixactions::syntax::{Options, syntax_diagnostics};

/// Messages with line and column, and the help text if there is one.
fn errors(text: &str) -> Vec<String> {
    let globals: FxHashMap<_, _> =
        ["true", "builtins", "map"].iter().enumerate().map(|(i, n)| (Symbol::intern(n), i as u32)).collect();
    let options = LowerOptions {
        base_dir: Path::new("/base"),
        globals: &globals,
        syntax: Options::default(),
        warn: &|_| {},
    };
    let source = Source::new(SourceName::String, text.as_bytes());
    let found = load(source.clone(), &options).err().unwrap_or_default();
    let said = |d: &nixactions::diag::Diagnostic| {
        let (line, column) = d.primary.as_ref().map_or((0, 0), |l| l.place.line_col());
        let help = d.help.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
        format!("{line}:{column} {} {}{help}", d.code, d.message)
    };
    let all = found.iter().map(said).collect();
    assert_eq!(syntax_diagnostics(&source).is_empty(), found.iter().all(|d| d.code == "NXA011"), "{text}");
    all
}

#[test]
fn every_undefined_variable_is_reported_with_a_suggestion() {
    assert_eq!(
        errors("let name = 1; in [ nmae (x: y) builtins ]"),
        [
            "1:20 NXA011 undefined variable 'nmae' (did you mean `name`?)",
            "1:29 NXA011 undefined variable 'y'",
        ]
    );
    assert!(errors("with { }; y").is_empty());
    assert_eq!(errors("{ inherit q; a = with { }; z; }"), ["1:11 NXA011 undefined variable 'q'"]);
    assert_eq!(
        errors("rec { inherit a; a.b = 1; }"),
        [
            "1:18 NXA010 attribute 'a' already defined at «string»:1:15 (remove one of the two definitions; only \
         attribute sets written out are merged)"
        ]
    );
    assert_eq!(errors("rec { inherit a; b = a; }"), ["1:15 NXA011 undefined variable 'a'"]);
    assert_eq!(errors("{ a, b ? c }@d: [ a b d e ]").len(), 2);
}

#[test]
fn all_syntax_errors_are_reported_the_first_in_nix_words() {
    assert_eq!(
        errors("{\n  a = 1\n  b = 2;\n}"),
        ["3:5 NXA000 syntax error, unexpected '=', expecting ';' (add a `;` at the end of the binding \
         before this)"]
    );
    assert_eq!(errors("[ 1 2"), ["1:6 NXA000 syntax error, unexpected end of file (close it with `]`)"]);
    assert_eq!(errors("./a/"), ["1:4 NXA000 path has a trailing slash (leave out the slash at the end)"]);
    let two = errors("{\n  a = ;\n  b = 1;\n  c = );\n}");
    assert_eq!(two[0], "2:7 NXA000 syntax error, unexpected ';'");
    assert_eq!(two[1..], ["4:7 NXA000 syntax error, unexpected ')'"]);
}
