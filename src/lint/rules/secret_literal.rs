//! NXA403: a secret written into the file. The value itself is never shown.

use rnix::SyntaxKind;
use rnix::ast;
use rowan::ast::AstNode;

use crate::diag::{Diagnostic, Severity};
use crate::lint::text::Text;
use crate::syntax::names::static_name;

/// Beginnings of well-known tokens, with the least length of what follows.
const SHAPES: [(&str, usize, &str); 14] = [
    ("ghp_", 36, "a GitHub token"),
    ("gho_", 36, "a GitHub token"),
    ("ghs_", 36, "a GitHub token"),
    ("github_pat_", 40, "a GitHub token"),
    ("glpat-", 20, "a GitLab token"),
    ("xoxb-", 20, "a Slack token"),
    ("xoxp-", 20, "a Slack token"),
    ("AKIA", 16, "an AWS access key"),
    ("ASIA", 16, "an AWS access key"),
    ("AIza", 35, "a Google API key"),
    ("npm_", 36, "an npm token"),
    ("sk_live_", 20, "a Stripe key"),
    ("AGE-SECRET-KEY-1", 40, "an age key"),
    ("dckr_pat_", 20, "a Docker token"),
];

/// Words in the name of a variable that holds a secret.
const NAMES: [&str; 9] =
    ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "API_KEY", "APIKEY", "PRIVATE_KEY", "CREDENTIAL"];

/// Values that stand for one to be filled in.
const PLACEHOLDERS: [&str; 9] =
    ["changeme", "change-me", "example", "dummy", "placeholder", "redacted", "none", "test", "secret"];

pub(in crate::lint) fn check(text: &Text, out: &mut Vec<Diagnostic>) {
    let all = text.str();
    for string in text.nodes_of(SyntaxKind::NODE_STRING).iter().cloned().filter_map(ast::Str::cast) {
        let range = string.syntax().text_range();
        let whole = &all[usize::from(range.start())..usize::from(range.end())];
        let what = shape(whole).map(str::to_string).or_else(|| named(&string, whole));
        let Some(what) = what else { continue };
        let mut d = text.find(
            Severity::Warning,
            "NXA403",
            format!("{what} is written into the file"),
            string.syntax().text_range(),
            "everybody who can read the file has it",
        );
        d.help = Some(
            "read it when the workflow runs: `nixactions.fromEnv \"NAME\"`, or a provider in `envFrom`"
                .into(),
        );
        d.notes.push("a secret that was committed should be replaced".into());
        out.push(d);
    }
}

/// What kind of token a text holds.
fn shape(text: &str) -> Option<&'static str> {
    // Few texts have so long a word, and looking for each beginning takes much longer than this.
    let shortest = SHAPES.iter().map(|s| s.0.len() + s.1).min().unwrap_or(0).min("-----BEGIN".len());
    let long = |word: &[u8]| word.len() >= shortest;
    let words = |b: &u8| !(b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-');
    if !text.as_bytes().split(words).any(long) {
        return None;
    }
    if text.contains("-----BEGIN") && text.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    let is_token = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    SHAPES.iter().find_map(|&(start, least, what)| {
        let mut hits = text.match_indices(start);
        let hit = hits.any(|(at, _)| {
            let before = text[..at].chars().next_back().is_none_or(|c| !is_token(c));
            let rest = &text[at + start.len()..];
            before && rest.find(|c| !is_token(c)).unwrap_or(rest.len()) >= least
        });
        hit.then_some(what)
    })
}

/// Whether a string is the literal value of a variable whose name says that it is a secret.
fn named(string: &ast::Str, whole: &str) -> Option<String> {
    let binding = string.syntax().parent().and_then(ast::AttrpathValue::cast)?;
    let name = binding.attrpath()?.attrs().last().as_ref().and_then(static_name)?;
    let upper = name.to_ascii_uppercase();
    // Variables are written in capitals; `secretName = "x"` is something else.
    let is_variable = name == upper && NAMES.iter().any(|n| upper.contains(n));
    let names_a_file = ["_FILE", "_PATH", "_URL", "_NAME", "_ID"].iter().any(|e| upper.ends_with(e));
    let value = whole.trim_matches(|c| c == '"' || c == '\'').trim();
    let lower = value.to_ascii_lowercase();
    let real = value.len() >= 4
        && !value.contains("${")
        && !value.starts_with(['$', '<', '/'])
        && value.chars().any(|c| c != value.chars().next().unwrap_or(' '))
        && !PLACEHOLDERS.iter().any(|p| lower == *p);
    (is_variable && !names_a_file && real).then(|| format!("the value of `{name}`"))
}
