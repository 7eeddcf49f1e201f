//! What every name in a lossless tree refers to: lexical scopes for tools.
//!
//! Works on broken trees: what is not there binds nothing and refers to nothing. Evaluation has a
//! resolver of its own (`ir/lower/resolve.rs`); this one keeps the text of both ends. Deeply nested
//! texts need a large stack.

use std::collections::HashMap;

use rnix::ast::{self, HasEntry};
use rnix::{SyntaxKind, SyntaxNode, TextRange};
use rowan::ast::AstNode;

/// What kind of construct binds a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingKind {
    /// `let name = …; in`
    Let,
    /// `rec { name = …; }`, also in `let { … }`.
    Rec,
    /// `name: …`
    Argument,
    /// `{ name, … }: …`
    Formal,
    /// `name @ { … }: …`
    Whole,
}

/// A name that is bound.
#[derive(Debug)]
pub struct Binding {
    /// The name.
    pub name: String,
    /// What binds it.
    pub kind: BindingKind,
    /// The text of the name where it is bound first.
    pub range: TextRange,
    /// The construct that binds it: the `let`, set or function.
    pub owner: SyntaxNode,
    /// What binds it in there: the bindings (`a.b = 1; a.c = 2;` are two), `inherit` lists or formals.
    pub entries: Vec<SyntaxNode>,
    /// The bound expression, for `name = expression` and the default of a formal.
    pub value: Option<SyntaxNode>,
    /// Indices of its uses.
    pub uses: Vec<usize>,
}

/// What a use of a name refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The binding of this index.
    Binding(usize),
    /// A global name.
    Global,
    /// An attribute of one of these `with`s (indices, innermost first).
    With(Vec<usize>),
    /// Nothing.
    Undefined,
}

/// A use of a name.
#[derive(Debug)]
pub struct Use {
    /// The name.
    pub name: String,
    /// Its text.
    pub range: TextRange,
    /// What it refers to.
    pub target: Target,
}

/// A `with` expression.
#[derive(Debug)]
pub struct With {
    /// The whole expression.
    pub node: SyntaxNode,
    /// Whether any name may come from it.
    pub used: bool,
}

/// All names of a text.
#[derive(Debug, Default)]
pub struct Names {
    /// Where names are bound, in the order of the text of each construct.
    pub bindings: Vec<Binding>,
    /// Where they are used, in the order of the walk.
    pub uses: Vec<Use>,
    /// The `with` expressions.
    pub withs: Vec<With>,
}

impl Names {
    /// Looks up every name below a node; `is_global` knows the names that are always there.
    pub fn of(root: &SyntaxNode, is_global: &dyn Fn(&str) -> bool) -> Names {
        let mut walk = Walk { names: Names::default(), scope: HashMap::new(), withs: Vec::new(), is_global };
        walk.node(root);
        walk.names
    }

    /// The binding whose name stands at exactly this text.
    pub fn binding_at(&self, range: TextRange) -> Option<usize> {
        self.bindings.iter().position(|b| b.range == range)
    }

    /// The use of a name at exactly this text.
    pub fn use_at(&self, range: TextRange) -> Option<&Use> {
        self.uses.iter().find(|u| u.range == range)
    }
}

/// Whether a set is recursive.
pub fn is_recursive(set: &SyntaxNode) -> bool {
    // The word comes first; looking through all children would take long in large sets.
    set.kind() == SyntaxKind::NODE_ATTR_SET
        && set.first_child_or_token().is_some_and(|first| first.kind() == SyntaxKind::TOKEN_REC)
}

struct Walk<'g> {
    names: Names,
    /// The bindings of each name in scope, innermost last.
    scope: HashMap<String, Vec<usize>>,
    /// The `with`s around, innermost last.
    withs: Vec<usize>,
    is_global: &'g dyn Fn(&str) -> bool,
}

/// The text of a name in an attribute path: an identifier, or a string without holes.
pub fn static_name(attr: &ast::Attr) -> Option<String> {
    match attr {
        ast::Attr::Ident(ident) => Some(ident.syntax().text().to_string()),
        ast::Attr::Str(text) => static_text(text),
        ast::Attr::Dynamic(_) => None,
    }
}

/// The value of a string in quotes without holes and escapes; `None` for others.
pub fn static_text(text: &ast::Str) -> Option<String> {
    let whole = text.syntax().text().to_string();
    let inner = whole.strip_prefix('"')?.strip_suffix('"')?;
    let plain = !inner.contains(['\\', '"']) && !inner.contains("${") && !text_has_holes(text);
    plain.then(|| inner.to_string())
}

fn text_has_holes(text: &ast::Str) -> bool {
    text.syntax().children().any(|c| c.kind() == SyntaxKind::NODE_INTERPOL)
}

impl Walk<'_> {
    fn bind(&mut self, binding: Binding) -> usize {
        let id = self.names.bindings.len();
        self.scope.entry(binding.name.clone()).or_default().push(id);
        self.names.bindings.push(binding);
        id
    }

    fn unbind(&mut self, ids: &[usize]) {
        for &id in ids.iter().rev() {
            if let Some(stack) = self.scope.get_mut(&self.names.bindings[id].name) {
                stack.retain(|&b| b != id);
            }
        }
    }

    fn refer(&mut self, name: String, range: TextRange) {
        let index = self.names.uses.len();
        let target = match self.scope.get(&name).and_then(|s| s.last()) {
            Some(&id) => {
                self.names.bindings[id].uses.push(index);
                Target::Binding(id)
            }
            None if (self.is_global)(&name) => Target::Global,
            None if self.withs.is_empty() => Target::Undefined,
            None => {
                for &w in &self.withs {
                    self.names.withs[w].used = true;
                }
                Target::With(self.withs.iter().rev().copied().collect())
            }
        };
        self.names.uses.push(Use { name, range, target });
    }

    fn children(&mut self, node: &SyntaxNode) {
        for child in node.children() {
            self.node(&child);
        }
    }

    fn node(&mut self, node: &SyntaxNode) {
        use SyntaxKind::*;
        match node.kind() {
            NODE_IDENT => self.refer(node.text().to_string(), node.text_range()),
            NODE_ATTRPATH => {
                // Only computed names refer to something.
                for attr in node.children().filter(|c| c.kind() != NODE_IDENT) {
                    self.children(&attr);
                }
            }
            NODE_LET_IN => self.scope_of(node, BindingKind::Let, true),
            NODE_LEGACY_LET => self.scope_of(node, BindingKind::Rec, true),
            NODE_ATTR_SET => {
                self.scope_of(node, BindingKind::Rec, is_recursive(node));
            }
            NODE_LAMBDA => self.lambda(node),
            NODE_WITH => self.with(node),
            _ => self.children(node),
        }
    }

    fn with(&mut self, node: &SyntaxNode) {
        let Some(with) = ast::With::cast(node.clone()) else { return };
        if let Some(subject) = with.namespace() {
            self.node(subject.syntax());
        }
        let id = self.names.withs.len();
        self.names.withs.push(With { node: node.clone(), used: false });
        self.withs.push(id);
        if let Some(body) = with.body() {
            self.node(body.syntax());
        }
        self.withs.pop();
    }

    fn lambda(&mut self, node: &SyntaxNode) {
        let Some(lambda) = ast::Lambda::cast(node.clone()) else { return };
        let mut bound = Vec::new();
        let mut defaults = Vec::new();
        let new = |ident: &ast::Ident, kind, entry: &SyntaxNode, value| Binding {
            name: ident.syntax().text().to_string(),
            kind,
            range: ident.syntax().text_range(),
            owner: node.clone(),
            entries: vec![entry.clone()],
            value,
            uses: Vec::new(),
        };
        match lambda.param() {
            Some(ast::Param::IdentParam(p)) => {
                if let Some(ident) = p.ident() {
                    bound.push(self.bind(new(&ident, BindingKind::Argument, p.syntax(), None)));
                }
            }
            Some(ast::Param::Pattern(pattern)) => {
                for entry in pattern.pat_entries() {
                    let Some(ident) = entry.ident() else { continue };
                    let default = entry.default().map(|d| d.syntax().clone());
                    defaults.extend(default.clone());
                    bound.push(self.bind(new(&ident, BindingKind::Formal, entry.syntax(), default)));
                }
                if let Some(bind) = pattern.pat_bind()
                    && let Some(ident) = bind.ident()
                {
                    bound.push(self.bind(new(&ident, BindingKind::Whole, bind.syntax(), None)));
                }
            }
            None => {}
        }
        for default in defaults {
            self.node(&default);
        }
        if let Some(body) = lambda.body() {
            self.node(body.syntax());
        }
        self.unbind(&bound);
    }

    /// A construct with bindings; `recursive` when these are in scope inside of it.
    fn scope_of(&mut self, node: &SyntaxNode, kind: BindingKind, recursive: bool) {
        let entries: Vec<ast::Entry> = match node.kind() {
            SyntaxKind::NODE_LET_IN => {
                ast::LetIn::cast(node.clone()).map(|n| n.entries().collect()).unwrap_or_default()
            }
            SyntaxKind::NODE_LEGACY_LET => {
                ast::LegacyLet::cast(node.clone()).map(|n| n.entries().collect()).unwrap_or_default()
            }
            _ => ast::AttrSet::cast(node.clone()).map(|n| n.entries().collect()).unwrap_or_default(),
        };
        // `inherit name;` speaks of the scope around.
        for entry in &entries {
            if let ast::Entry::Inherit(inherit) = entry
                && inherit.from().is_none()
            {
                for attr in inherit.attrs() {
                    if let Some(name) = static_name(&attr) {
                        self.refer(name, attr.syntax().text_range());
                    }
                }
            }
        }
        let bound = if recursive { self.bind_entries(node, &entries, kind) } else { Vec::new() };
        for entry in &entries {
            match entry {
                ast::Entry::Inherit(inherit) => {
                    if let Some(from) = inherit.from().and_then(|f| f.expr()) {
                        self.node(from.syntax());
                    }
                }
                ast::Entry::AttrpathValue(binding) => self.children(binding.syntax()),
            }
        }
        let inside = |child: &SyntaxNode| {
            !matches!(child.kind(), SyntaxKind::NODE_ATTRPATH_VALUE | SyntaxKind::NODE_INHERIT)
        };
        for child in node.children().filter(inside) {
            self.node(&child);
        }
        if node.kind() == SyntaxKind::NODE_LEGACY_LET
            && let Some(&body) = bound.iter().find(|&&b| self.names.bindings[b].name == "body")
        {
            let (name, range) = ("body".to_string(), self.names.bindings[body].range);
            self.refer(name, range);
        }
        self.unbind(&bound);
    }

    fn bind_entries(&mut self, node: &SyntaxNode, entries: &[ast::Entry], kind: BindingKind) -> Vec<usize> {
        let mut bound: Vec<usize> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for entry in entries {
            let (attrs, value): (Vec<ast::Attr>, Option<SyntaxNode>) = match entry {
                ast::Entry::Inherit(inherit) => (inherit.attrs().collect(), None),
                ast::Entry::AttrpathValue(binding) => {
                    let path: Vec<_> = binding.attrpath().map(|p| p.attrs().collect()).unwrap_or_default();
                    let value = binding.value().filter(|_| path.len() == 1).map(|v| v.syntax().clone());
                    (path.into_iter().take(1).collect(), value)
                }
            };
            for attr in attrs {
                let Some(name) = static_name(&attr) else { continue };
                if let Some(&id) = seen.get(&name) {
                    self.names.bindings[id].entries.push(entry.syntax().clone());
                    continue;
                }
                let id = self.bind(Binding {
                    name: name.clone(),
                    kind,
                    range: attr.syntax().text_range(),
                    owner: node.clone(),
                    entries: vec![entry.syntax().clone()],
                    value: value.clone(),
                    uses: Vec::new(),
                });
                seen.insert(name, id);
                bound.push(id);
            }
        }
        bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Names {
        let root = rnix::Root::parse(text).syntax();
        Names::of(&root, &|n| matches!(n, "true" | "map" | "builtins"))
    }

    /// `name:uses` of every binding.
    fn bound(text: &str) -> Vec<String> {
        names(text).bindings.iter().map(|b| format!("{}:{}", b.name, b.uses.len())).collect()
    }

    #[test]
    fn scopes() {
        assert_eq!(bound("let a = b; b = 1; in a"), ["a:1", "b:1"]);
        assert_eq!(bound("let a = 1; in { inherit a; b = a; }"), ["a:2"]);
        assert_eq!(bound("x: let x = 1; in x"), ["x:0", "x:1"]);
        assert_eq!(bound("x: let inherit x; in x"), ["x:1", "x:1"]);
        assert_eq!(bound("rec { a = 1; b = a; c.d = b; }"), ["a:1", "b:1", "c:0"]);
        assert_eq!(bound("{ a, b ? a, ... }@c: c"), ["a:1", "b:0", "c:1"]);
        assert_eq!(bound("let { a = 1; body = a; }"), ["a:1", "body:1"]);
        assert_eq!(bound("let s = { }; inherit (s) x y; in x"), ["s:1", "x:1", "y:0"]);
        assert_eq!(bound("let a.b = 1; a.c = 2; in a.${a}"), ["a:2"]);
        assert_eq!(bound("let n = \"k\"; in { ${n} = \"${n}\"; }"), ["n:2"]);
    }

    #[test]
    fn what_is_not_bound() {
        let n = names("let a = 1; in with a; map b (with c; d)");
        let target = |name: &str| n.uses.iter().find(|u| u.name == name).map(|u| u.target.clone());
        assert_eq!(target("map"), Some(Target::Global));
        assert_eq!(target("b"), Some(Target::With(vec![0])));
        assert_eq!(target("d"), Some(Target::With(vec![1, 0])));
        assert!(names("with { }; true").withs.iter().all(|w| !w.used));
        assert_eq!(names("q").uses[0].target, Target::Undefined);
    }

    #[test]
    fn broken_texts_have_names_too() {
        assert_eq!(bound("let a = 1; b = 2; in a +"), ["a:1", "b:0"]);
        bound("{ a, : inherit (; let x = in with ; ${");
    }
}
