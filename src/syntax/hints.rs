//! What a syntax error likely means to somebody who is new to the language.

use super::ast::Span;
use super::error::Context;

/// A way out for the token at a span, where one is known.
pub(super) fn help(text: &[u8], span: Span, found: &str, expected: &str, context: Context) -> Option<String> {
    let token = text.get(span.start as usize..span.end as usize).unwrap_or_default();
    let before = text.get(..span.start as usize).unwrap_or_default().trim_ascii_end();
    let opened = match context {
        Context::Open(open) => text.get(open.start as usize..open.end as usize).unwrap_or_default(),
        _ => &[],
    };
    let help = match (token, opened) {
        (b",", b"[") => "items of a list stand without commas: `[ \"a\" \"b\" ]`".into(),
        (b",", b"{") => "end each binding of a set with `;`, not with `,`".into(),
        (b":", _) if expected.contains("'='") => {
            "bind a name with `=` and end it with `;`: `name = value;`".into()
        }
        (b":", _) if expected == "end of file" => {
            "this looks like YAML; a workflow is written in Nix: `nixactions init` writes one to start from"
                .into()
        }
        (b"//", b"{") => "a comment begins with `#`".into(),
        (b"if" | b"then" | b"else" | b"with" | b"let" | b"in" | b"rec" | b"assert", b"{") => {
            let word = String::from_utf8_lossy(token);
            format!("`{word}` is a word of the language; as a name it stands in quotes: `\"{word}\" = …;`")
        }
        // The opening of an indented string goes to the end of its line.
        (_, [b'\'', b'\'', ..]) if found == "end of file" => "end the string with `''`".into(),
        (_, b"\"") if found == "end of file" => "end the string with `\"`".into(),
        (_, b"{" | b"[" | b"(") if found == "end of file" => {
            let close = match opened {
                b"{" => "}",
                b"[" => "]",
                _ => ")",
            };
            format!("close it with `{close}`")
        }
        _ if expected.contains("'='") && !token.is_empty() => {
            "bind a name with `=` and end it with `;`: `name = value;`".into()
        }
        _ if before.ends_with(b"'") || token.starts_with(b"'") => {
            "strings stand in `\"…\"`, or in `''…''` over several lines".into()
        }
        _ => return None,
    };
    Some(help)
}
