//! What the names of a text stand for, by its tree alone.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use rnix::ast;
use rnix::{SyntaxKind, SyntaxNode, TextRange};
use rowan::ast::AstNode;

use crate::eval::builtins;

/// How a name is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefKind {
    /// By `let`.
    Let,
    /// By `rec { … }`.
    Rec,
    /// As the parameter of a function.
    Parameter,
    /// In the pattern of a function.
    Formal,
    /// By `inherit`, in a `let` or `rec`.
    Inherit,
}

/// A binding.
#[derive(Clone, Debug)]
pub struct Def {
    /// The name.
    pub name: String,
    /// How it is bound.
    pub kind: DefKind,
    /// The place of the name.
    pub range: TextRange,
    /// What is bound, where that is an expression of the text and the whole value.
    pub value: Option<SyntaxNode>,
    /// The construct that binds it.
    pub scope: SyntaxNode,
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub enum Resolved {
    /// A binding of the text.
    Def(Def),
    /// Some attribute of these namespaces of `with`, innermost first.
    With(Vec<SyntaxNode>),
    /// A global name, without underscores.
    Builtin(String),
    /// Nothing.
    Unknown,
}

type Names = HashMap<String, Def>;

/// The names that each construct binds, found once.
#[derive(Default)]
pub struct Scopes {
    names: RefCell<HashMap<SyntaxNode, Rc<Names>>>,
}

/// The name that an attribute is written as, unless it is computed.
pub fn attr_name(attr: &ast::Attr) -> Option<String> {
    match attr {
        ast::Attr::Ident(i) => Some(i.syntax().text().to_string()),
        ast::Attr::Str(s) => plain_string(s.syntax()),
        ast::Attr::Dynamic(_) => None,
    }
}

/// The bytes of a string without holes, in `"…"` or `''…''`.
pub fn plain_string(node: &SyntaxNode) -> Option<String> {
    let string = ast::Str::cast(node.clone())?;
    // Taking the parts of a string with errors inside would panic.
    if node.children().next().is_some() {
        return None;
    }
    let mut out = String::new();
    for part in string.normalized_parts() {
        match part {
            ast::InterpolPart::Literal(text) => out.push_str(&text),
            ast::InterpolPart::Interpolation(_) => return None,
        }
    }
    Some(out)
}

/// The place inside the quotes of a string of one line without holes and escapes, which is where
/// its text can be replaced.
pub fn plain_content(node: &SyntaxNode) -> Option<TextRange> {
    let text = plain_string(node)?;
    let mut content = node.children_with_tokens().filter_map(|e| e.into_token());
    let inner = content.find(|t| t.kind() == SyntaxKind::TOKEN_STRING_CONTENT);
    match inner {
        Some(t) => (t.text() == text).then(|| t.text_range()),
        None => {
            let start = node.first_token()?.text_range().end();
            text.is_empty().then(|| TextRange::empty(start))
        }
    }
}

fn entries_of(node: &SyntaxNode, kind: DefKind) -> Names {
    let mut names = Names::new();
    for child in node.children() {
        if let Some(entry) = ast::AttrpathValue::cast(child.clone()) {
            let mut attrs = entry.attrpath().into_iter().flat_map(|p| p.attrs());
            let Some(first) = attrs.next() else { continue };
            let Some(name) = attr_name(&first) else { continue };
            let whole = attrs.next().is_none();
            let value = entry.value().filter(|_| whole).map(|v| v.syntax().clone());
            let range = first.syntax().text_range();
            let def = Def { name: name.clone(), kind, range, value, scope: node.clone() };
            names.entry(name).or_insert(def);
        } else if let Some(inherit) = ast::Inherit::cast(child) {
            for attr in inherit.attrs() {
                let Some(name) = attr_name(&attr) else { continue };
                let range = attr.syntax().text_range();
                let kind = DefKind::Inherit;
                let def = Def { name: name.clone(), kind, range, value: None, scope: node.clone() };
                names.entry(name).or_insert(def);
            }
        }
    }
    names
}

fn parameters_of(lambda: &ast::Lambda) -> Names {
    let mut names = Names::new();
    let scope = lambda.syntax().clone();
    let mut add = |ident: Option<ast::Ident>, kind: DefKind| {
        let Some(ident) = ident else { return };
        let name = ident.syntax().text().to_string();
        let range = ident.syntax().text_range();
        let def = Def { name: name.clone(), kind, range, value: None, scope: scope.clone() };
        names.entry(name).or_insert(def);
    };
    match lambda.param() {
        Some(ast::Param::IdentParam(p)) => add(p.ident(), DefKind::Parameter),
        Some(ast::Param::Pattern(p)) => {
            p.pat_entries().for_each(|e| add(e.ident(), DefKind::Formal));
            add(p.pat_bind().and_then(|b| b.ident()), DefKind::Parameter);
        }
        None => {}
    }
    names
}

pub use crate::syntax::names::is_recursive as is_rec;

/// Whether an identifier is a variable, or binds one, and not merely the name of an attribute.
pub fn is_variable(ident: &SyntaxNode) -> bool {
    let Some(parent) = ident.parent() else { return false };
    match parent.kind() {
        SyntaxKind::NODE_ATTRPATH => false,
        SyntaxKind::NODE_INHERIT => {
            ast::Inherit::cast(parent).is_some_and(|i| i.from().is_none()) || binding_of(ident).is_some()
        }
        _ => true,
    }
}

/// The construct that an identifier binds a name in, if it does.
fn binding_of(ident: &SyntaxNode) -> Option<SyntaxNode> {
    let parent = ident.parent()?;
    match parent.kind() {
        SyntaxKind::NODE_IDENT_PARAM => parent.parent(),
        SyntaxKind::NODE_PAT_BIND => parent.parent()?.parent(),
        SyntaxKind::NODE_PAT_ENTRY => {
            let first = ast::PatEntry::cast(parent.clone())?.ident()?;
            if first.syntax() == ident { parent.parent()?.parent() } else { None }
        }
        SyntaxKind::NODE_INHERIT => parent.parent().filter(binds),
        SyntaxKind::NODE_ATTRPATH => {
            let first = ast::Attrpath::cast(parent.clone())?.attrs().next()?;
            let entry = parent.parent()?;
            let of_entry = entry.kind() == SyntaxKind::NODE_ATTRPATH_VALUE;
            if first.syntax() == ident && of_entry { entry.parent().filter(binds) } else { None }
        }
        _ => None,
    }
}

fn binds(node: &SyntaxNode) -> bool {
    matches!(node.kind(), SyntaxKind::NODE_LET_IN | SyntaxKind::NODE_LEGACY_LET) || is_rec(node)
}

impl Scopes {
    /// The names that a construct binds; none for constructs that bind nothing.
    pub fn names(&self, node: &SyntaxNode) -> Option<Rc<Names>> {
        let make: &dyn Fn() -> Names = match node.kind() {
            SyntaxKind::NODE_LET_IN | SyntaxKind::NODE_LEGACY_LET => &|| entries_of(node, DefKind::Let),
            SyntaxKind::NODE_ATTR_SET if is_rec(node) => &|| entries_of(node, DefKind::Rec),
            SyntaxKind::NODE_LAMBDA => {
                &|| ast::Lambda::cast(node.clone()).map_or_else(Names::new, |l| parameters_of(&l))
            }
            _ => return None,
        };
        if let Some(found) = self.names.borrow().get(node) {
            return Some(found.clone());
        }
        let names = Rc::new(make());
        self.names.borrow_mut().insert(node.clone(), names.clone());
        Some(names)
    }

    /// What the variable at an identifier stands for; for one that binds a name, its own binding.
    pub fn resolve(&self, ident: &SyntaxNode) -> Resolved {
        let name = ident.text().to_string();
        if let Some(scope) = binding_of(ident)
            && let Some(def) = self.names(&scope).and_then(|n| n.get(&name).cloned())
        {
            return Resolved::Def(def);
        }
        self.lookup(ident, &name)
    }

    /// What the right side of `inherit name;` stands for, which is seen from outside of its set.
    pub fn resolve_outer(&self, ident: &SyntaxNode) -> Resolved {
        self.lookup(ident, &ident.text().to_string())
    }

    /// What a name would stand for at a node.
    pub fn lookup(&self, at: &SyntaxNode, name: &str) -> Resolved {
        let mut withs = Vec::new();
        for (scope, _) in self.enclosing(at) {
            if let Some(with) = ast::With::cast(scope.clone()) {
                withs.extend(with.namespace().map(|n| n.syntax().clone()));
            } else if let Some(def) = self.names(&scope).and_then(|n| n.get(name).cloned()) {
                return Resolved::Def(def);
            }
        }
        if let Some(global) = global_name(name) {
            return Resolved::Builtin(global.to_owned());
        }
        if withs.is_empty() { Resolved::Unknown } else { Resolved::With(withs) }
    }

    /// The constructs whose names are seen at a node, innermost first, each with the child of it
    /// that the node is in.
    pub fn enclosing(&self, at: &SyntaxNode) -> Vec<(SyntaxNode, SyntaxNode)> {
        let mut out = Vec::new();
        let mut child = at.clone();
        let plain_inherit = at
            .parent()
            .and_then(ast::Inherit::cast)
            .filter(|i| i.from().is_none())
            .and_then(|i| i.syntax().parent());
        while let Some(node) = child.parent() {
            let seen = match node.kind() {
                SyntaxKind::NODE_WITH => {
                    ast::With::cast(node.clone()).and_then(|w| w.body()).is_some_and(|b| *b.syntax() == child)
                }
                _ => binds(&node) || node.kind() == SyntaxKind::NODE_LAMBDA,
            };
            if seen && plain_inherit.as_ref() != Some(&node) {
                out.push((node.clone(), child));
            }
            child = node;
        }
        out
    }
}

/// The global that a name means: `map` for `map` and for `__map`.
pub fn global_name(name: &str) -> Option<&str> {
    if matches!(name, "builtins" | "true" | "false" | "null") || builtins::is_bare(name) {
        return Some(name);
    }
    let short = name.strip_prefix("__")?;
    builtins::all().any(|b| b.name == short).then_some(short)
}

/// The variables of a text, in order: those that are used and those that bind.
pub fn variables(root: &SyntaxNode) -> impl Iterator<Item = SyntaxNode> {
    let idents = root.descendants().filter(|n| n.kind() == SyntaxKind::NODE_IDENT);
    idents.filter(|n| is_variable(n) || binding_of(n).is_some())
}

/// All places of a binding: where it is bound, and the uses. A plain `inherit` is both a use of the
/// outer binding and a binding of its own.
pub fn uses(root: &SyntaxNode, scopes: &Scopes, def: &Def) -> Vec<TextRange> {
    let same = |r: Resolved| matches!(r, Resolved::Def(d) if d.range == def.range);
    let named = variables(root).filter(|n| n.text() == def.name.as_str());
    let found = named.filter(|n| same(scopes.resolve(n)) || same(scopes.resolve_outer(n)));
    let mut ranges: Vec<TextRange> = found.map(|n| n.text_range()).collect();
    // A binding whose name is quoted is not among the variables.
    ranges.push(def.range);
    ranges.sort_by_key(|r| (r.start(), r.end()));
    ranges.dedup();
    ranges
}
