//! Scripts of a file for `shellcheck`, and its findings at their places in the Nix text (NXA501).
//!
//! What a script loses on the way out of the text (indentation, escapes) is remembered byte by byte,
//! so that a finding points into the indented string. Values that are filled in become underscores.

use std::sync::Arc;

use rnix::{NodeOrToken, SyntaxKind, ast};
use rowan::ast::AstNode;

use super::rules::script_strings;
use super::text::Text;
use super::verdict::{Comment, Replacements, ShellCheck, Verdict};
use crate::base::source::{Place, Source};
use crate::diag::{Applicability, Diagnostic, Edit, Fix, Label, Severity};

/// What stands before each script, as it does when it runs.
const PRELUDE: &str = "set -euo pipefail\n";

/// A script as bash gets it.
pub(super) struct Script {
    /// The text, with the prelude.
    text: String,
    /// The offset in the source of each byte after the prelude.
    map: Vec<u32>,
    source: Arc<Source>,
    indented: bool,
}

/// Checks the scripts that are written out in a text. False when some could not be checked.
pub(super) fn check(text: &Text, shell: &dyn ShellCheck, out: &mut Vec<Diagnostic>) -> bool {
    let scripts: Vec<Script> = script_strings(text).map(|s| Script::of(text, &s)).collect();
    let texts: Vec<&str> = scripts.iter().map(|s| s.text.as_str()).collect();
    let verdicts = if texts.is_empty() { Vec::new() } else { shell.check(&texts) };
    for (script, verdict) in scripts.iter().zip(&verdicts) {
        let comments = verdict.iter().flat_map(Verdict::comments);
        out.extend(comments.filter_map(|comment| script.finding(comment)));
    }
    verdicts.len() == scripts.len() && verdicts.iter().all(Option::is_some)
}

impl Script {
    fn of(text: &Text, string: &ast::Str) -> Script {
        let mut script =
            Script { text: PRELUDE.into(), map: Vec::new(), source: text.source().clone(), indented: false };
        let parts: Vec<_> = string.syntax().children_with_tokens().collect();
        let start = parts.first().and_then(|p| p.as_token()).map(|t| t.text().to_string());
        script.indented = start.as_deref() == Some("''");
        let drop = if script.indented { indentation(&parts) } else { 0 };
        // Number of blanks still to be dropped at the start of a line; `None` inside of a line.
        let mut line_start = script.indented.then_some(drop);
        let mut first = true;
        for part in &parts {
            let at: u32 = part.text_range().start().into();
            match part {
                NodeOrToken::Node(hole) => {
                    let length: u32 = hole.text_range().len().into();
                    (0..length).for_each(|i| script.push('_', at + i));
                    line_start = None;
                }
                NodeOrToken::Token(t) if t.kind() == SyntaxKind::TOKEN_STRING_CONTENT => {
                    let mut skip = 0;
                    // A first line of blanks alone does not count.
                    if first && script.indented {
                        let blank = t.text().find(|c| c != ' ').filter(|&i| t.text()[i..].starts_with('\n'));
                        skip = blank.map_or(0, |i| i + 1);
                    }
                    script.literal(&t.text()[skip..], at + skip as u32, drop, &mut line_start);
                }
                NodeOrToken::Token(_) => continue,
            }
            first = false;
        }
        script
    }

    fn push(&mut self, c: char, at: u32) {
        self.text.push(c);
        self.map.extend(std::iter::repeat_n(at, c.len_utf8()));
    }

    /// A part of the text between holes, with its escapes.
    fn literal(&mut self, text: &str, at: u32, drop: usize, line_start: &mut Option<usize>) {
        let mut i = 0;
        while let Some(c) = text[i..].chars().next() {
            let here = at + i as u32;
            if let Some(left) = line_start {
                if c == ' ' && *left > 0 {
                    *left -= 1;
                    i += 1;
                    continue;
                }
                *line_start = None;
            }
            let (c, length) = match self.indented {
                true => indented_char(&text[i..], c),
                false => quoted_char(&text[i..], c),
            };
            if c == "\n" && self.indented && length == 1 {
                *line_start = Some(drop);
            }
            c.chars().for_each(|c| self.push(c, here));
            i += length;
        }
    }

    /// The offset of a position in the script after the prelude.
    fn offset(&self, line: usize, column: usize) -> Option<usize> {
        let body = &self.text[PRELUDE.len()..];
        // The prelude is line 1.
        let start = match line.checked_sub(2)? {
            0 => 0,
            n => body.match_indices('\n').nth(n - 1)?.0 + 1,
        };
        let line = body[start..].split('\n').next().unwrap_or_default();
        let inside = line.char_indices().nth(column.checked_sub(1)?).map_or(line.len(), |(i, _)| i);
        Some(start + inside)
    }

    /// The place of a stretch of the script.
    fn place(&self, start: usize, end: usize) -> Option<Place> {
        let last = *self.map.last()?;
        let from = self.map.get(start).copied().unwrap_or(last + 1);
        // What ends at the end of a line ends there in the text too, not after the blanks that follow.
        let to = if end > start { self.map.get(end - 1)? + 1 } else { from };
        Some(Place { source: self.source.clone(), start: from, end: to.max(from) })
    }

    fn finding(&self, c: &Comment) -> Option<Diagnostic> {
        let start = self.offset(c.line, c.column)?;
        let end = self.offset(c.end_line, c.end_column)?;
        let severity = match c.level.as_str() {
            "error" | "warning" => Severity::Warning,
            _ => Severity::Hint,
        };
        let message = c.message.trim_end_matches('.');
        let mut d = Diagnostic::new(severity, "NXA501", format!("SC{}: {message}", c.code));
        d.primary = Some(Label { place: self.place(start, end.max(start))?, text: String::new() });
        d.help = Some(format!("https://www.shellcheck.net/wiki/SC{} tells more", c.code));
        d.fixes.extend(c.fix.as_ref().and_then(|f| self.fix(c.code, f)));
        Some(d)
    }

    /// A fix of shellcheck, where what it replaces stands in the text as it is.
    fn fix(&self, code: u32, fix: &Replacements) -> Option<Fix> {
        let mut edits = Vec::new();
        for r in &fix.replacements {
            let (start, end) = (self.offset(r.line, r.column)?, self.offset(r.end_line, r.end_column)?);
            let place = self.place(start, end)?;
            let old = self.text[PRELUDE.len()..].get(start..end)?;
            if self.source.text().get(place.range())? != old.as_bytes() || r.replacement.contains("''") {
                return None;
            }
            let text = match self.indented {
                true => r.replacement.replace("${", "''${"),
                false => r.replacement.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "\\${"),
            };
            edits.push(Edit { place, text });
        }
        edits.sort_by_key(|e| e.place.start);
        let title = format!("apply the fix of shellcheck for SC{code}");
        Some(Fix { title, edits, applicability: Applicability::Unsafe })
    }
}

/// The blanks that every line of an indented string begins with.
fn indentation(parts: &[rnix::SyntaxElement]) -> usize {
    let mut least = usize::MAX;
    let mut current = Some(0);
    for part in parts {
        match part {
            NodeOrToken::Node(_) => {
                if let Some(n) = current.take() {
                    least = least.min(n);
                }
            }
            NodeOrToken::Token(t) if t.kind() == SyntaxKind::TOKEN_STRING_CONTENT => {
                for c in t.text().chars() {
                    match (c, current) {
                        ('\n', _) => current = Some(0),
                        (' ', Some(n)) => current = Some(n + 1),
                        (_, Some(n)) => {
                            least = least.min(n);
                            current = None;
                        }
                        (_, None) => {}
                    }
                }
            }
            NodeOrToken::Token(_) => {}
        }
    }
    if least == usize::MAX { 0 } else { least }
}

/// What stands at the start of a text in an indented string, and its length there.
fn indented_char(text: &str, c: char) -> (String, usize) {
    match text.strip_prefix("''") {
        Some(rest) if rest.starts_with('$') => ("$".into(), 3),
        Some(rest) if rest.starts_with('\'') => ("''".into(), 3),
        Some(rest) => match rest.strip_prefix('\\').and_then(|r| r.chars().next()) {
            Some(escaped) => (escape(escaped).to_string(), 3 + escaped.len_utf8()),
            None => ("''".into(), 2),
        },
        None => (c.to_string(), c.len_utf8()),
    }
}

/// The same in a string in quotes.
fn quoted_char(text: &str, c: char) -> (String, usize) {
    match text.strip_prefix('\\').and_then(|r| r.chars().next()) {
        Some(escaped) => (escape(escaped).to_string(), 1 + escaped.len_utf8()),
        None => (c.to_string(), c.len_utf8()),
    }
}

fn escape(c: char) -> char {
    match c {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::source::SourceName;

    fn scripts(text: &str) -> Vec<Script> {
        let source = Source::new(SourceName::Stdin, text.as_bytes().to_vec());
        let text = Text::new(source).expect("UTF-8");
        script_strings(&text).map(|s| Script::of(&text, &s)).collect()
    }

    #[test]
    fn scripts_lose_their_indentation_and_escapes() {
        let text = "{ bash = ''\n    if true; then\n      echo ''${A} ${b} '''x\n    fi\n  ''; }";
        let [script] = &scripts(text)[..] else { panic!("one script") };
        assert_eq!(script.text, format!("{PRELUDE}if true; then\n  echo ${{A}} ____ ''x\nfi\n"));
        // Every character that is not escaped stands in the text where the map says.
        for (i, c) in script.text[PRELUDE.len()..].char_indices().filter(|(_, c)| c.is_alphabetic()) {
            assert!(text[script.map[i] as usize..].starts_with([c, '\'', '$']), "{i} {c}");
        }
        let [script] = &scripts("{ run = \"a\\n\\\"b\\\"\"; }")[..] else { panic!("one script") };
        assert_eq!(script.text, format!("{PRELUDE}a\n\"b\""));
        assert!(scripts("{ run = \"x\"; shell = \"python3\"; }").is_empty());
    }

    struct Fixed(&'static str);

    impl ShellCheck for Fixed {
        fn check(&self, scripts: &[&str]) -> Vec<Option<Verdict>> {
            let verdicts = Verdict::read(self.0.as_bytes(), scripts.len()).expect("output of shellcheck");
            verdicts.into_iter().map(Some).collect()
        }
    }

    struct Absent;

    impl ShellCheck for Absent {
        fn check(&self, scripts: &[&str]) -> Vec<Option<Verdict>> {
            vec![None; scripts.len()]
        }
    }

    #[test]
    fn findings_point_into_the_string() {
        let nix = "{ bash = ''\n    echo ''${A} ${b}\n      rm $B\n  ''; }";
        let source = Source::new(SourceName::Stdin, nix.as_bytes().to_vec());
        let text = Text::new(source).expect("UTF-8");
        let json = r#"{"comments":[{"file":"/t/0.sh","line":3,"endLine":3,"column":6,"endColumn":8,"level":"info",
            "code":2086,"message":"Double quote.","fix":{"replacements":[
            {"line":3,"endLine":3,"column":6,"endColumn":6,"replacement":"\""},
            {"line":3,"endLine":3,"column":8,"endColumn":8,"replacement":"\""}]}}]}"#;
        let mut found = Vec::new();
        assert!(!check(&text, &Absent, &mut found) && found.is_empty());
        assert!(check(&text, &Fixed(json), &mut found));
        let [d] = &found[..] else { panic!("one finding") };
        let at = d.primary.as_ref().map(|l| &nix[l.place.range()]);
        assert_eq!(at, Some("$B"));
        let fixed = crate::lint::fix::apply(text.source(), &found, true).expect("a fix");
        assert!(String::from_utf8_lossy(&fixed.text).contains("rm \"$B\"\n"));
    }
}
