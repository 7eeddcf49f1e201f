//! Builtins on strings.

use super::{Builtin, during};
use crate::base::source::SpanId;
use crate::eval::Evaluation;
use crate::eval::coerce::{Coerce, StringBuilder};
use crate::eval::error::EvalError;
use crate::eval::value::{Res, Slot, Value};
use crate::ir::text::Str;

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[
    Builtin::new("toString", 1, to_string, "The string that a value stands for."),
    Builtin::new("stringLength", 1, string_length, "The number of bytes of a string."),
    Builtin::new("substring", 3, substring, "The part of a string from a byte offset, of at most a length."),
    Builtin::new("concatStringsSep", 2, concat_strings_sep, "The strings of a list, joined by a separator."),
    Builtin::new(
        "replaceStrings",
        3,
        replace_strings,
        "A string with every occurrence of some strings replaced by others.",
    ),
];

/// Fails if a text that is to become a string has a zero byte.
pub(super) fn no_nul(text: &[u8], span: SpanId) -> Res<()> {
    if memchr::memchr(0, text).is_none() {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(text).replace('\0', "␀");
    let what =
        format!("input string '{shown}' cannot be represented as Nix string because it contains null bytes");
    Err(EvalError::other(what, span))
}

fn to_string<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let v = ev.force(&args[0])?;
    Ok(Value::Str(ev.coerce_to_str(v, Coerce::More, false, span)?))
}

fn string_length<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let v = ev.force(&args[0])?;
    let s = ev.coerce_to_str(v, Coerce::Strict, true, span)?;
    Ok(Value::Int(SpanId::NONE, s.bytes.len() as i64))
}

fn substring<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let start = ev.force_int(&args[0], span).map_err(during(
        "while evaluating the first argument (the start offset) passed to builtins.substring",
    ))?;
    let Ok(start) = usize::try_from(start) else {
        return Err(EvalError::other("negative start position in 'substring'", span));
    };
    let len = ev.force_int(&args[1], span).map_err(during(
        "while evaluating the second argument (the substring length) passed to builtins.substring",
    ))?;
    let v = ev.force(&args[2])?;
    let s = ev.coerce_to_str(v, Coerce::Strict, true, span)?;
    let start = start.min(s.bytes.len());
    let end = usize::try_from(len).map_or(s.bytes.len(), |n| start.saturating_add(n).min(s.bytes.len()));
    let part: &'h [u8] = &s.bytes[start..end];
    Ok(Value::Str(ev.heap.keep_str(Str::with_context(part, s.context, SpanId::NONE))))
}

fn concat_strings_sep<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let sep = ev.force_str(&args[0], span).map_err(during(
        "while evaluating the first argument (the separator string) passed to builtins.concatStringsSep",
    ))?;
    let list = ev.force_list(&args[1], span).map_err(during("while evaluating the second argument (the list of strings to concat) passed to builtins.concatStringsSep"))?;
    let mut out = StringBuilder::default();
    out.add_context(sep.context);
    for (i, item) in list.items.iter().enumerate() {
        if i > 0 {
            out.bytes.extend_from_slice(sep.bytes);
        }
        let v = ev.force(item)?;
        ev.coerce(v, Coerce::Strict, true, &mut out, span)?;
    }
    Ok(out.finish(ev, SpanId::NONE))
}

fn replace_strings<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let from = ev
        .force_list(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.replaceStrings"))?;
    let to = ev
        .force_list(&args[1], span)
        .map_err(during("while evaluating the second argument passed to builtins.replaceStrings"))?;
    if from.items.len() != to.items.len() {
        let text = "'from' and 'to' arguments passed to builtins.replaceStrings have different lengths";
        return Err(EvalError::other(text, span));
    }
    let mut patterns = Vec::with_capacity(from.items.len());
    for item in from.items {
        patterns.push(ev.force_str(item, span)?.bytes);
    }
    let s = ev
        .force_str(&args[2], span)
        .map_err(during("while evaluating the third argument passed to builtins.replaceStrings"))?;
    let first_bytes = FirstBytes::of(&patterns);
    let mut out = StringBuilder::default();
    out.add_context(s.context);
    let mut pos = 0;
    while pos <= s.bytes.len() {
        let rest = &s.bytes[pos..];
        let hit = if first_bytes.may_match(rest) {
            patterns.iter().position(|p| rest.starts_with(p))
        } else {
            None
        };
        match hit {
            Some(i) => {
                let with = ev.force_str(&to.items[i], span)?;
                out.push(with);
                if patterns[i].is_empty() {
                    out.bytes.extend(rest.first());
                    pos += 1;
                } else {
                    pos += patterns[i].len();
                }
            }
            None => {
                out.bytes.extend(rest.first());
                pos += 1;
            }
        }
    }
    Ok(out.finish(ev, SpanId::NONE))
}

/// Which bytes a match can begin with, so that most positions need no look at the patterns.
struct FirstBytes {
    set: [bool; 256],
    always: bool,
}

impl FirstBytes {
    fn of(patterns: &[&[u8]]) -> Self {
        let mut f = FirstBytes { set: [false; 256], always: false };
        for p in patterns {
            match p.first() {
                Some(&b) => f.set[b as usize] = true,
                None => f.always = true,
            }
        }
        f
    }

    fn may_match(&self, rest: &[u8]) -> bool {
        self.always || rest.first().is_some_and(|&b| self.set[b as usize])
    }
}
