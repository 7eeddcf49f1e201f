//! Values as XML: `builtins.toXML`, and `nix-instantiate --eval --xml`.

use std::collections::HashSet;
use std::fmt::Write;

use super::Builtin;
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::eval::coerce::StringBuilder;
use crate::eval::value::Attrs;
use crate::eval::{Evaluation, Res, Slot, Value};
use crate::ir::text::ContextElem;

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[Builtin::new("toXML", 1, to_xml, "A value as XML text.")];

fn to_xml<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], _: SpanId) -> Res<Value<'h>> {
    let value = ev.share(&args[0]);
    let (text, context) = written(ev, value, true, false)?;
    Ok(StringBuilder { bytes: text.into_bytes(), context }.finish(ev, SpanId::NONE))
}

/// The document for a value. `strict` forces what it holds; `location` adds where attributes and
/// functions were written.
pub fn document<'h>(ev: &mut Evaluation<'h>, value: Value<'h>, strict: bool, location: bool) -> Res<String> {
    Ok(written(ev, value, strict, location)?.0)
}

/// The document, and the contexts of the strings in it.
fn written<'h>(
    ev: &mut Evaluation<'h>,
    value: Value<'h>,
    strict: bool,
    location: bool,
) -> Res<(String, Vec<&'h ContextElem>)> {
    let mut writer = Writer {
        out: String::new(),
        context: Vec::new(),
        depth: 1,
        strict,
        location,
        derivations: HashSet::new(),
    };
    writer.out.push_str("<?xml version='1.0' encoding='utf-8'?>\n<expr>\n");
    let slot = ev.slot(value);
    writer.value(ev, slot)?;
    writer.out.push_str("</expr>\n");
    Ok((writer.out, writer.context))
}

struct Writer<'h> {
    out: String,
    context: Vec<&'h ContextElem>,
    depth: usize,
    strict: bool,
    location: bool,
    /// Store paths of the derivations that were written already.
    derivations: HashSet<Vec<u8>>,
}

type Attributes = Vec<(&'static str, String)>;

impl<'h> Writer<'h> {
    fn tag(&mut self, name: &str, attributes: &Attributes, end: &str) {
        self.out.push_str(&"  ".repeat(self.depth));
        self.out.push('<');
        self.out.push_str(name);
        for (key, value) in attributes {
            // Writing to a string cannot fail.
            let _ = write!(self.out, " {key}=\"{}\"", escape(value));
        }
        self.out.push_str(end);
        self.out.push('\n');
    }

    fn empty(&mut self, name: &str, attributes: &Attributes) {
        self.tag(name, attributes, " />");
    }

    fn open(&mut self, name: &str, attributes: &Attributes) {
        self.tag(name, attributes, ">");
        self.depth += 1;
    }

    fn close(&mut self, name: &str) {
        self.depth -= 1;
        self.tag(&format!("/{name}"), &Vec::new(), ">");
    }

    fn place(&self, span: SpanId) -> Attributes {
        self.place_after(span, 0)
    }

    /// The place so many bytes into the span.
    fn place_after(&self, span: SpanId, bytes: usize) -> Attributes {
        let Some(place) = span.resolve().filter(|_| self.location) else { return Vec::new() };
        let (line, column) = place.source.line_col(place.start + bytes as u32);
        let mut attributes = vec![("column", column.to_string()), ("line", line.to_string())];
        if let Some(path) = place.source.path() {
            attributes.push(("path", path.display().to_string()));
        }
        attributes
    }

    fn value(&mut self, ev: &mut Evaluation<'h>, slot: &Slot<'h>) -> Res<()> {
        if self.strict {
            ev.force(slot)?;
        }
        let one = |key, value: String| vec![(key, value)];
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match settled(slot) {
            Value::Null(_) => self.empty("null", &Vec::new()),
            Value::Bool(b) => self.empty("bool", &one("value", b.to_string())),
            Value::Int(_, n) => self.empty("int", &one("value", n.to_string())),
            v @ Value::Float(..) => {
                let mut shown = Vec::new();
                ev.print(ev.slot(v), &mut shown)?;
                self.empty("float", &one("value", text(&shown)));
            }
            Value::Str(s) => {
                self.context.extend_from_slice(s.context);
                self.empty("string", &one("value", text(s.bytes)));
            }
            Value::Path(p) => self.empty("path", &one("value", text(p.bytes))),
            Value::List(list) => {
                self.open("list", &Vec::new());
                for item in list.items {
                    ev.nested(SpanId::NONE, |ev| self.value(ev, item))?;
                }
                self.close("list");
            }
            Value::Attrs(set) => self.set(ev, set)?,
            v @ (Value::Lambda(..) | Value::Partial(_)) if ev.lambda_code(v).is_some() => {
                self.function(ev, v);
            }
            _ => self.empty("unevaluated", &Vec::new()),
        }
        Ok(())
    }

    fn set(&mut self, ev: &mut Evaluation<'h>, set: &'h Attrs<'h>) -> Res<()> {
        if !ev.is_derivation(Value::Attrs(set))? {
            self.open("attrs", &Vec::new());
            self.attributes(ev, set)?;
            self.close("attrs");
            return Ok(());
        }
        let mut attributes = Vec::new();
        let mut drv_path = None;
        for name in ["drvPath", "outPath"] {
            let Some(slot) = set.get(Symbol::intern(name)) else { continue };
            if self.strict {
                ev.force(slot)?;
            }
            if let Value::Str(s) = settled(slot) {
                attributes.push((name, String::from_utf8_lossy(s.bytes).into_owned()));
                if name == "drvPath" {
                    drv_path = Some(s.bytes.to_vec());
                }
            }
        }
        self.open("derivation", &attributes);
        match drv_path {
            Some(path) if self.derivations.insert(path.clone()) => self.attributes(ev, set)?,
            _ => self.empty("repeated", &Vec::new()),
        }
        self.close("derivation");
        Ok(())
    }

    fn attributes(&mut self, ev: &mut Evaluation<'h>, set: &'h Attrs<'h>) -> Res<()> {
        for attr in set.sorted() {
            let mut attributes = self.place(attr.span);
            let at = attributes.iter().position(|(k, _)| *k == "path").unwrap_or(attributes.len());
            attributes.insert(at, ("name", attr.name.text().into_owned()));
            self.open("attr", &attributes);
            ev.nested(SpanId::NONE, |ev| self.value(ev, attr.slot))?;
            self.close("attr");
        }
        Ok(())
    }

    fn function(&mut self, ev: &Evaluation<'h>, v: Value<'h>) {
        let span = ev.lambda_code(v).map_or(SpanId::NONE, |code| code.span);
        let given = if let Value::Partial(partial) = v { partial.args.len() } else { 0 };
        let (begin, name) = argument(span, given);
        self.open("function", &self.place_after(span, begin));
        match ev.pattern_of(v) {
            Some(pattern) => {
                let mut attributes = Vec::new();
                if pattern.ellipsis {
                    attributes.push(("ellipsis", "1".to_owned()));
                }
                if let Some(name) = pattern.at_name {
                    attributes.push(("name", name.text().into_owned()));
                }
                self.open("attrspat", &attributes);
                let mut names: Vec<_> = pattern.formals.iter().map(|f| f.name.text()).collect();
                names.sort_unstable();
                for name in names {
                    self.empty("attr", &vec![("name", name.into_owned())]);
                }
                self.close("attrspat");
            }
            None => self.empty("varpat", &vec![("name", name)]),
        }
        self.close("function");
    }
}

/// Where the argument after so many others begins in a function's text, and its name; the name is
/// empty for a pattern. The text begins with the first argument, and each is followed by `:`.
fn argument(span: SpanId, given: usize) -> (usize, String) {
    let Some(place) = span.resolve() else { return (0, String::new()) };
    let text = &place.source.text()[place.range()];
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'\'');
    let mut at = 0;
    for _ in 0..given {
        at += text[at..].iter().take_while(|b| is_name(b)).count();
        at = blanks(text, at);
        at = blanks(text, at + usize::from(text.get(at) == Some(&b':')));
    }
    let name: Vec<u8> = text[at..].iter().copied().take_while(|b| is_name(b)).collect();
    (at, String::from_utf8_lossy(&name).into_owned())
}

/// The first place from `at` on that is no blank and in no comment.
fn blanks(text: &[u8], mut at: usize) -> usize {
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let skipped = match rest {
            [b' ' | b'\t' | b'\r' | b'\n', ..] => 1,
            [b'#', ..] => rest.iter().take_while(|b| !matches!(b, b'\n' | b'\r')).count(),
            [b'/', b'*', ..] => {
                rest.windows(2).skip(2).position(|w| w == b"*/").map_or(rest.len(), |n| n + 4)
            }
            _ => return at,
        };
        at += skipped;
    }
}

/// The content of a slot at the end of references.
pub fn settled<'h>(slot: &Slot<'h>) -> Value<'h> {
    let mut value = slot.get();
    while let Value::Ref(next) = value {
        value = next.get();
    }
    value
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("&quot;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A plain line break would be read back as a blank.
            '\n' => out.push_str("&#xA;"),
            c => out.push(c),
        }
    }
    out
}
