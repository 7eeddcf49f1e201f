//! TOML 1.0, with the errors of the library that C++ Nix reads it with (toml11), since users see its
//! words. Specification: <https://toml.io/en/v1.0.0>.

mod insert;
mod parse;
mod scan;

pub use parse::parse;

use std::collections::BTreeMap;

/// A value of a TOML text.
#[derive(Debug, PartialEq)]
pub enum Item {
    /// A string.
    Str(Vec<u8>),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A date, a time, or both, as they are written in a uniform manner.
    Time(String),
    /// An array.
    Array(Array),
    /// A table.
    Table(Table),
}

/// An array.
#[derive(Debug, PartialEq)]
pub struct Array {
    /// Its elements.
    pub items: Vec<Item>,
    /// Whether it was written as `[[name]]`, which can be written again to add to it.
    of_tables: bool,
}

/// How a table came to be, which decides what may be added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `[name]`, and the whole text.
    Explicit,
    /// Named on the way in a header, `[here.name]`.
    Implicit,
    /// Named on the way in a key, `here.key = …`.
    Dotted,
    /// `{ … }`
    Inline,
}

/// A table.
#[derive(Debug, PartialEq)]
pub struct Table {
    /// Its members.
    pub members: BTreeMap<Vec<u8>, Item>,
    kind: Kind,
}

impl Table {
    fn new(kind: Kind) -> Table {
        Table { members: BTreeMap::new(), kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text.as_bytes()).expect_err(text)
    }

    #[test]
    fn tables_open_and_close() {
        let text =
            "[a.b]\nx = 1\n[a]\ny.z = 2\ny.w = 3\n[[p]]\nq = 'r'\n[p.s]\n[[p]]\n[p.s]\nt = {u.v = []}\n";
        let root = parse(text.as_bytes()).expect("well formed");
        let Some(Item::Array(p)) = root.members.get(b"p".as_slice()) else { panic!("an array of tables") };
        assert_eq!(p.items.len(), 2);
        for text in ["[a]\n[a]", "[a]\nb.c = 1\n[a.b]", "a = {}\na.b = 1", "a = [{}]\n[[a]]", "[[a]]\n[a]"] {
            assert!(error(text).starts_with("[error] toml::insert_value:"), "{text}");
        }
    }

    #[test]
    fn errors_show_where() {
        let shown =
            "[error] bad float: invalid format\n --> fromTOML\n   |\n 2 | b = 1.\n   |      ^-- here\n";
        assert_eq!(error("a = 1\nb = 1."), shown);
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let text = format!("a = {}", "[".repeat(200_000));
        assert!(crate::eval::on_big_stack(|| error(&text)).contains("nested"));
    }
}
