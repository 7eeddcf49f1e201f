//! Evaluation errors as the text that Nix prints, and as findings.

use std::collections::HashSet;
use std::fmt::Write;

use crate::base::source::{Place, SpanId};
use crate::diag::Diagnostic;
use crate::eval::EvalError;
use crate::eval::error::TraceFrame;

/// Frames of a trace that are shown without `--show-trace`.
const SHORT_TRACE: usize = 3;
/// Repeated frames that are written all the same.
const FEW: usize = 5;

/// The error as `nix-instantiate` prints it, without colour.
pub(super) fn plain(error: &EvalError, show_trace: bool) -> String {
    if let Some(first) = error.diagnostics.first() {
        return with_prefix("error:", &diagnostic(first));
    }
    let mut text = String::new();
    let traced = trace(&mut text, error, show_trace);
    if traced {
        text.push_str("\nerror: ");
    }
    line(&mut text, &error.text());
    let span = if error.nix_span.is_none() { error.span } else { error.nix_span };
    if let Some(place) = at(span, error.nix_offset).filter(|_| !error.placeless) {
        place_lines(&mut text, "", &place);
    }
    if let Some(names) = one_of(&error.suggestions) {
        line(&mut text, &format!("Did you mean {names}?"));
    }
    with_prefix("error:", &text)
}

/// A warning as Nix prints it, without colour.
pub(super) fn warning(of: &Diagnostic) -> String {
    with_prefix("warning:", &diagnostic(of))
}

fn diagnostic(of: &Diagnostic) -> String {
    let mut text = String::new();
    line(&mut text, &of.message);
    if let Some(label) = &of.primary {
        place_lines(&mut text, "", &label.place);
    }
    text
}

/// The prefix before the text, which is indented to stand behind it.
fn with_prefix(prefix: &str, text: &str) -> String {
    let mut out = String::from(prefix);
    for (i, l) in text.trim_end_matches('\n').split('\n').enumerate() {
        match (i, l.is_empty()) {
            (0, true) => {}
            (0, false) => {
                out.push(' ');
                out.push_str(l);
            }
            (_, true) => out.push('\n'),
            (_, false) => {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', prefix.len() + 1));
                out.push_str(l.trim_end());
            }
        }
    }
    for_terminal(&out)
}

/// Text as Nix writes it to a terminal: tabs as spaces up to the next eighth column (counted, as Nix
/// counts, without regard to lines), no carriage returns, bells or escape sequences.
fn for_terminal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\t' => {
                let spaces = 8 - column % 8;
                out.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            '\r' | '\u{7}' => {}
            '\u{1b}' => skip_escape(&mut rest),
            c => {
                column += usize::from(!c.is_control());
                out.push(c);
            }
        }
    }
    out
}

/// Skips what follows an escape character (ECMA-48, sections 5.3 and 5.4).
fn skip_escape(rest: &mut std::str::Chars<'_>) {
    let mut ahead = rest.clone();
    match ahead.next() {
        Some('[') => {
            for c in ahead.by_ref() {
                if !('\u{20}'..='\u{3f}').contains(&c) {
                    break;
                }
            }
        }
        Some(']') => {
            while let Some(c) = ahead.next() {
                if c == '\u{7}' {
                    break;
                }
                if c == '\u{1b}' {
                    ahead.next();
                    break;
                }
            }
        }
        Some('\u{40}'..='\u{5f}') => {}
        _ => return,
    }
    *rest = ahead;
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Frames that tell of calls of user functions are added by Nix only when the whole trace is asked
/// for.
fn is_call_frame(text: &str) -> bool {
    let of_function = text.strip_prefix("while calling ");
    text == "from call site" || of_function.is_some_and(|rest| !rest.ends_with(" builtin"))
}

/// Writes the trace; whether there was any.
fn trace(out: &mut String, error: &EvalError, show_trace: bool) -> bool {
    let mut seen: HashSet<(String, SpanId, Option<u32>)> = HashSet::new();
    let mut skipped: Vec<&TraceFrame> = Vec::new();
    let (mut count, mut truncated, mut any) = (0, false, false);
    for of in error.trace() {
        if of.text.is_empty() || (!show_trace && is_call_frame(&of.text)) {
            continue;
        }
        any = true;
        truncated |= !show_trace && count > SHORT_TRACE;
        if truncated && !of.user {
            continue;
        }
        if !seen.insert((of.text.clone(), of.span, of.offset)) {
            skipped.push(of);
            continue;
        }
        count += duplicates(out, &mut skipped);
        count += 1 + frame(out, of);
    }
    duplicates(out, &mut skipped);
    if truncated {
        out.push('\n');
        line(out, "(stack trace truncated; use '--show-trace' to show the full, detailed trace)");
    }
    any
}

/// Writes a frame; 1 if its place is known.
fn frame(out: &mut String, of: &TraceFrame) -> usize {
    out.push('\n');
    line(out, &format!("… {}", of.text));
    let place = at(of.span, of.offset);
    if let Some(place) = &place {
        place_lines(out, "  ", place);
    }
    usize::from(place.is_some())
}

/// Writes frames that were there before, or, of many, how many they are.
fn duplicates(out: &mut String, skipped: &mut Vec<&TraceFrame>) -> usize {
    if skipped.len() > FEW {
        out.push('\n');
        line(out, &format!("({} duplicate frames omitted)", skipped.len()));
        skipped.clear();
    }
    skipped.drain(..).map(|of| frame(out, of)).sum()
}

/// The place of a span, or of an offset in the same text.
fn at(span: SpanId, offset: Option<u32>) -> Option<Place> {
    span.resolve().map(|place| Place { start: offset.unwrap_or(place.start), ..place })
}

/// `at FILE:LINE:COLUMN:` and the lines around it.
fn place_lines(out: &mut String, indent: &str, place: &Place) {
    let (number, column) = place.line_col();
    line(out, &format!("{indent}at {}:{number}:{column}:", place.source.name()));
    let last = place.source.line_col(place.source.text().len() as u32).0;
    let mut show = |n: u32| {
        let code = String::from_utf8_lossy(place.source.line(n)).into_owned();
        line(out, &format!(" {n:5}| {}", code.trim_end_matches('\r')));
    };
    if number > 1 {
        show(number - 1);
    }
    show(number);
    let pad = " ".repeat(column as usize);
    let mut after = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(after, "      |{pad}^");
    let next = number + 1;
    if next <= last {
        let code = String::from_utf8_lossy(place.source.line(next)).into_owned();
        let _ = writeln!(after, " {next:5}| {}", code.trim_end_matches('\r'));
    }
    out.push_str(&after);
}

/// `a`, `one of a or b`, `one of a, b or c`.
fn one_of(names: &[String]) -> Option<String> {
    match names {
        [] => None,
        [one] => Some(one.clone()),
        [first @ .., last] => Some(format!("one of {} or {last}", first.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::source::{Source, SourceName, register};
    use crate::eval::ErrorKind;

    #[test]
    fn traces_are_laid_out_as_nix_does() {
        let source = Source::new(SourceName::String, b"throw \"x\"\n+ 1\n".to_vec());
        let spans = register(source, vec![(0, 9)]);
        let error = EvalError::new(ErrorKind::Throw, "x\ny", spans.id(0))
            .context("while calling the 'throw' builtin", spans.id(0))
            .context("while calling 'f'", spans.id(0));
        let expected = "error:\n       … while calling the 'throw' builtin\n         at «string»:1:1:\n            \
            1| throw \"x\"\n             | ^\n            2| + 1\n\n       error: x\n       y";
        assert_eq!(plain(&error, false), expected);
        assert!(plain(&error, true).contains("while calling 'f'"));
    }

    #[test]
    fn text_cannot_steer_the_terminal() {
        let error =
            EvalError::new(ErrorKind::Throw, "a\tb\r\u{7}\u{1b}[31;1mc\u{1b}]8;;x\u{1b}\\d", SpanId::NONE);
        assert_eq!(plain(&error, false), "error: a        bcd");
    }

    #[test]
    fn suggestions_are_joined() {
        let names: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
        assert_eq!(one_of(&names).as_deref(), Some("one of a, b or c"));
        assert_eq!(one_of(&names[..1]).as_deref(), Some("a"));
        assert_eq!(one_of(&[]), None);
    }
}
