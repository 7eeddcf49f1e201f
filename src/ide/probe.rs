//! Values of expressions: the part of a text that an expression needs, and questions about what it
//! evaluates to.
//!
//! The names an expression sees are kept (`let`, `with`, `rec`, the arguments of the file), what
//! stands around it is left out. So broken text elsewhere in the file does not matter, and no more
//! is evaluated than has to be.

use std::collections::HashMap;
use std::sync::Arc;

use rnix::ast;
use rnix::{SyntaxKind, SyntaxNode, TextRange};
use rowan::ast::AstNode;

use super::document::range;
use super::facts::Spot;
use super::place::is_at_root;
use super::scope::Scopes;
use crate::base::source::{SourceName, SpanId};
use crate::base::symbol::Symbol;
use crate::eval::{Attrs, Evaluation, Value};
use crate::workflow::load::{Request, Session};
use crate::workflow::nixlib;

/// A question about the value of a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// The attributes of the set.
    Members,
    /// The value, for people.
    Value,
    /// Where an attribute of the set was written.
    AttributePlace(String),
    /// The formals of the function.
    Formals,
}

/// An attribute of a set, or a formal of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What it is, as far as that is known without evaluating it.
    pub what: &'static str,
    /// Documentation, for builtins.
    pub doc: &'static str,
}

/// What a question is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Attributes or formals.
    Members(Arc<[Member]>),
    /// A value, for people.
    Value(String),
    /// A place in a file.
    Place(Spot),
    /// A place in the text that was asked about.
    Inside(TextRange),
}

/// Who answers questions, within its budget or not at all.
pub trait Probe {
    /// The answer to a question about the value of a text.
    fn ask(&self, text: String, query: Query) -> Option<Answer>;
}

/// Members of large sets that were asked for before, such as those of nixpkgs. They stay true as
/// long as the evaluation they come from lives; what is known of a member may be older.
#[derive(Default)]
pub struct Remembered(HashMap<usize, Arc<[Member]>>);

/// Sets with fewer attributes are looked through each time.
const LARGE: usize = 500;

impl Remembered {
    fn members<'h>(&mut self, attrs: &'h Attrs<'h>) -> Arc<[Member]> {
        if attrs.len() < LARGE {
            return members(attrs);
        }
        // A set never moves within its heap, and no other takes its place.
        let address = std::ptr::from_ref(attrs) as usize;
        self.0.entry(address).or_insert_with(|| members(attrs)).clone()
    }
}

/// Nobody.
pub struct NoProbe;

impl Probe for NoProbe {
    fn ask(&self, _: String, _: Query) -> Option<Answer> {
        None
    }
}

/// A text put together from pieces of a document.
#[derive(Default)]
pub struct Sliced {
    /// The text.
    pub text: String,
    /// Where each piece is in the text, where in the document, and how long.
    pieces: Vec<(u32, u32, u32)>,
}

impl Sliced {
    fn node(&mut self, node: &SyntaxNode) {
        let range = node.text_range();
        self.pieces.push((self.text.len() as u32, range.start().into(), range.len().into()));
        self.text.push_str(&node.text().to_string());
    }

    /// Where a range of the text is in the document; `None` for what was added.
    pub fn back(&self, inside: TextRange) -> Option<TextRange> {
        let (start, end) = (u32::from(inside.start()), u32::from(inside.end()));
        let piece = self.pieces.iter().find(|(at, _, len)| *at <= start && end <= at + len)?;
        Some(range(start - piece.0 + piece.1, end - piece.0 + piece.1))
    }
}

/// The text that evaluates `expr` as if it stood at a node.
pub fn text_for(scopes: &Scopes, at: &SyntaxNode, expr: &str) -> String {
    slice_text(scopes, at, expr).text
}

/// The same, and how to find places in what surrounds it again.
pub fn slice_text(scopes: &Scopes, at: &SyntaxNode, expr: &str) -> Sliced {
    let mut sliced = scope_of(scopes, at);
    sliced.text += &format!("({expr}\n)");
    sliced
}

/// The text that evaluates an expression of the document where it stands, and how to find its
/// places again.
pub fn slice(scopes: &Scopes, expr: &SyntaxNode) -> Sliced {
    let mut sliced = scope_of(scopes, expr);
    sliced.text.push('(');
    sliced.node(expr);
    sliced.text.push_str("\n)");
    sliced
}

/// The names that are seen at a node.
fn scope_of(scopes: &Scopes, at: &SyntaxNode) -> Sliced {
    let mut out = Sliced::default();
    let mut enclosing = scopes.enclosing(at);
    enclosing.reverse();
    for (i, (scope, _)) in enclosing.iter().enumerate() {
        match scope.kind() {
            SyntaxKind::NODE_WITH => {
                let namespace = ast::With::cast(scope.clone()).and_then(|w| w.namespace());
                if let Some(n) = namespace.filter(|n| !is_broken(n.syntax())) {
                    out.text += "with ";
                    out.node(n.syntax());
                    out.text += ";\n";
                }
            }
            SyntaxKind::NODE_LET_IN => bindings(scope, &mut out),
            SyntaxKind::NODE_ATTR_SET => bindings(scope, &mut out),
            SyntaxKind::NODE_LAMBDA => {
                let Some(lambda) = ast::Lambda::cast(scope.clone()) else { continue };
                let Some(param) = lambda.param() else { continue };
                let of_file = i == 0 && is_at_root(scope) && matches!(param, ast::Param::Pattern(_));
                if of_file && !is_broken(param.syntax()) {
                    out.text += &format!("{}:\n", param.syntax());
                } else {
                    unknown(scopes, scope, &mut out.text);
                }
            }
            _ => {}
        }
    }
    out
}

fn is_broken(node: &SyntaxNode) -> bool {
    node.descendants().any(|n| n.kind() == SyntaxKind::NODE_ERROR)
}

/// `let … in` of the bindings of a `let` or `rec` that are whole.
fn bindings(scope: &SyntaxNode, out: &mut Sliced) {
    out.text.push_str("let\n");
    for entry in scope.children() {
        let whole = match entry.kind() {
            SyntaxKind::NODE_INHERIT => true,
            SyntaxKind::NODE_ATTRPATH_VALUE => {
                let computed = |a: ast::Attr| matches!(a, ast::Attr::Dynamic(_));
                ast::AttrpathValue::cast(entry.clone()).is_some_and(|e| {
                    e.value().is_some() && e.attrpath().is_some_and(|p| !p.attrs().any(computed))
                })
            }
            _ => false,
        };
        let ended = entry.last_token().is_some_and(|t| t.kind() == SyntaxKind::TOKEN_SEMICOLON);
        if whole && ended && !is_broken(&entry) {
            out.node(&entry);
            out.text.push('\n');
        }
    }
    out.text.push_str("in\n");
}

/// Parameters whose arguments nobody knows.
fn unknown(scopes: &Scopes, lambda: &SyntaxNode, out: &mut String) {
    let Some(names) = scopes.names(lambda) else { return };
    let mut names: Vec<&String> = names.keys().collect();
    names.sort();
    out.push_str("let\n");
    for name in names {
        out.push_str(&format!("{name} = throw \"an argument that is not known\";\n"));
    }
    out.push_str("in\n");
}

/// Answers a question in a session; `remembered` belongs to its evaluation.
pub fn answer(
    session: &mut Session<'_>,
    remembered: &mut Remembered,
    request: &Request,
    text: &str,
    query: &Query,
) -> Option<Answer> {
    let value = session.evaluate(request, text).ok()?;
    let ev = session.evaluation();
    let value = settle(ev, value)?;
    match query {
        Query::Members => {
            let Value::Attrs(attrs) = value else { return None };
            Some(Answer::Members(remembered.members(attrs)))
        }
        Query::Value => Some(Answer::Value(shown(ev, value))),
        Query::AttributePlace(name) => {
            let Value::Attrs(attrs) = value else { return None };
            let place = attrs.find(Symbol::intern(name))?.span.resolve()?;
            if *place.source.name() == SourceName::String {
                return Some(Answer::Inside(range(place.start, place.end)));
            }
            let file = place.source.path().filter(|p| !p.starts_with(nixlib::ROOT))?.to_owned();
            Some(Answer::Place(Spot { file, range: range(place.start, place.end) }))
        }
        Query::Formals => formals(ev, value),
    }
}

fn settle<'h>(ev: &mut Evaluation<'h>, value: Value<'h>) -> Option<Value<'h>> {
    let slot = ev.slot(value);
    ev.force(slot).ok()
}

fn formals<'h>(ev: &mut Evaluation<'h>, value: Value<'h>) -> Option<Answer> {
    let value = match value {
        Value::Attrs(a) => {
            let functor = a.get(Symbol::intern("__functor"))?;
            let f = ev.force(functor).ok()?;
            ev.call(f, &[value], SpanId::NONE).ok()?
        }
        v => v,
    };
    let pattern = ev.pattern_of(value)?;
    let member = |f: &crate::ir::expr::Formal<'_>| Member {
        name: f.name.text().into_owned(),
        what: if f.default.is_some() { "optional" } else { "required" },
        doc: "",
    };
    let mut all: Vec<Member> = pattern.formals.iter().map(member).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Some(Answer::Members(all.into()))
}

fn members<'h>(attrs: &'h Attrs<'h>) -> Arc<[Member]> {
    let visible = attrs.sorted().into_iter().filter(|a| !a.name.name().starts_with(b"_"));
    let member = |a: crate::eval::Attr<'h>| {
        let (what, doc) = kind(a.slot.get());
        Member { name: a.name.text().into_owned(), what, doc }
    };
    visible.map(member).collect()
}

fn kind(mut v: Value<'_>) -> (&'static str, &'static str) {
    while let Value::Ref(s) = v {
        v = s.get();
    }
    let what = match v {
        Value::Null(_) => "null",
        Value::Bool(_) => "boolean",
        Value::Int(..) => "integer",
        Value::Float(..) => "float",
        Value::Str(_) => "string",
        Value::Path(_) => "path",
        Value::List(_) => "list",
        Value::Attrs(a) => match a.get(Symbol::intern("type")).map(|s| s.get()) {
            Some(Value::Str(s)) if s.bytes == b"derivation" => "package",
            _ if a.get(Symbol::intern("__functor")).is_some() => "function",
            _ => "set",
        },
        Value::Builtin(b) => return ("function", b.doc),
        Value::Lambda(..) | Value::Partial(_) => "function",
        _ => "",
    };
    (what, "")
}

/// Items of a set or list that are evaluated to be shown.
const SHOWN: usize = 12;
/// Characters of a shown value.
const LONGEST: usize = 1500;

/// A value for people; its first items are evaluated.
fn shown<'h>(ev: &mut Evaluation<'h>, value: Value<'h>) -> String {
    let text = |ev: &mut Evaluation<'h>, a: &Attrs<'h>, name: &str| match a
        .get(Symbol::intern(name))
        .map(|s| ev.force(s))
    {
        Some(Ok(Value::Str(s))) => Some(String::from_utf8_lossy(s.bytes).into_owned()),
        _ => None,
    };
    match value {
        Value::Attrs(a) if text(ev, a, "type").as_deref() == Some("derivation") => {
            let name = text(ev, a, "name").unwrap_or_default();
            let mut out = format!("«derivation {name}»");
            if let Some(Ok(Value::Attrs(meta))) = a.get(Symbol::intern("meta")).map(|s| ev.force(s))
                && let Some(description) = text(ev, meta, "description")
            {
                out += &format!("\n# {description}");
            }
            return out;
        }
        Value::Attrs(a) => {
            for attr in a.sorted().into_iter().take(SHOWN) {
                // What fails is shown as not evaluated.
                drop(ev.force(attr.slot));
            }
        }
        Value::List(l) => l.items.iter().take(SHOWN).for_each(|s| drop(ev.force(s))),
        _ => {}
    }
    let bytes = ev.preview(value);
    let mut out = String::from_utf8_lossy(&bytes).into_owned();
    if out.chars().count() > LONGEST {
        out = out.chars().take(LONGEST).collect::<String>() + " …";
    }
    out
}
