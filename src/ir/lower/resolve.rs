//! The first walk: what every name stands for.

use super::{Undefined, is_constant, suggestion};
use crate::base::symbol::Symbol;
use crate::syntax::ast::*;
use crate::syntax::parser::MAX_DEPTH;
use rustc_hash::FxHashMap;

/// Number of a binding, in the order of the walks.
pub(super) type BindingId = u32;

/// What a name, or an operator that can be shadowed, stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meaning {
    /// A binding in the file.
    Binding(BindingId),
    /// A global value.
    Global(u32),
    /// To be looked for in the enclosing `with`s.
    With,
    /// `true` or `false`
    Bool(bool),
    /// `null`
    Null,
    /// An operator with its usual meaning.
    Direct,
}

/// A binding: where it lives, and whether anything refers to it.
#[derive(Clone, Copy)]
pub(super) struct Binding {
    /// The number of codes around the code in whose frame it lives.
    pub(super) level: u32,
    pub(super) used: bool,
}

/// What the first walk finds, each in the order of the walk.
pub(super) struct Resolved {
    pub(super) meanings: Vec<Meaning>,
    pub(super) bindings: Vec<Binding>,
    /// For every construct with delayed parts, whether these refer to locals of the code it stands
    /// in, so that it needs a block of its own.
    pub(super) own_block: Vec<bool>,
    pub(super) codes: u32,
    pub(super) undefined: Vec<Undefined>,
    pub(super) too_deep: Option<Span>,
}

/// The names operators are looked up by.
#[derive(Clone, Copy)]
pub(super) struct Operators {
    pub(super) sub: Symbol,
    pub(super) mul: Symbol,
    pub(super) div: Symbol,
    pub(super) less_than: Symbol,
    pub(super) find_file: Symbol,
    pub(super) nix_path: Symbol,
    pub(super) overrides: Symbol,
}

/// Whether a set is recursive and may replace its own attributes.
pub(super) fn has_overrides(set: &AttrSet<'_>, overrides: Symbol) -> bool {
    set.recursive && set.attrs.binary_search_by_key(&overrides, |a| a.name.symbol).is_ok()
}

impl Operators {
    fn new() -> Self {
        Operators {
            sub: Symbol::intern("__sub"),
            mul: Symbol::intern("__mul"),
            div: Symbol::intern("__div"),
            less_than: Symbol::intern("__lessThan"),
            find_file: Symbol::intern("__findFile"),
            nix_path: Symbol::intern("__nixPath"),
            overrides: Symbol::intern("__overrides"),
        }
    }

    /// The function an operator calls if that name is bound in the file.
    pub(super) fn function(&self, op: BinOp) -> Option<Symbol> {
        match op {
            BinOp::Sub => Some(self.sub),
            BinOp::Mul => Some(self.mul),
            BinOp::Div => Some(self.div),
            BinOp::Lt | BinOp::Gt | BinOp::Le | BinOp::Ge => Some(self.less_than),
            _ => None,
        }
    }
}

/// Looks up every name of a file.
pub(super) fn resolve(root: &Expr<'_>, globals: &FxHashMap<Symbol, u32>) -> Resolved {
    let mut resolver = Resolver {
        out: Resolved {
            meanings: Vec::new(),
            bindings: Vec::new(),
            own_block: Vec::new(),
            codes: 0,
            undefined: Vec::new(),
            too_deep: None,
        },
        globals,
        scope: FxHashMap::default(),
        shadowed: Vec::new(),
        withs: Vec::new(),
        groups: Vec::new(),
        level: 0,
        depth: 0,
        operators: Operators::new(),
        constants: ["true", "false", "null"].map(Symbol::intern),
    };
    resolver.out.codes += 1;
    resolver.expr(root);
    resolver.out
}

struct Resolver<'g> {
    out: Resolved,
    globals: &'g FxHashMap<Symbol, u32>,
    /// The innermost binding of each name in scope.
    scope: FxHashMap<Symbol, BindingId>,
    /// What the bindings in scope hide, to be restored at their end.
    shadowed: Vec<(Symbol, Option<BindingId>)>,
    withs: Vec<BindingId>,
    /// For each level, the construct in that code whose delayed part is being walked.
    groups: Vec<u32>,
    level: u32,
    depth: u32,
    operators: Operators,
    constants: [Symbol; 3],
}

impl Resolver<'_> {
    fn binding(&mut self) -> BindingId {
        self.out.bindings.push(Binding { level: self.level, used: false });
        self.out.bindings.len() as u32 - 1
    }

    fn bind(&mut self, name: Symbol) -> BindingId {
        let id = self.binding();
        let hidden = self.scope.insert(name, id);
        self.shadowed.push((name, hidden));
        id
    }

    /// Ends the scopes begun since `mark`.
    fn unbind(&mut self, mark: usize) {
        for (name, hidden) in self.shadowed.drain(mark..).rev() {
            match hidden {
                Some(id) => self.scope.insert(name, id),
                None => self.scope.remove(&name),
            };
        }
    }

    /// Notes that a binding is used here.
    fn refer(&mut self, id: BindingId) {
        let binding = &mut self.out.bindings[id as usize];
        binding.used = true;
        if binding.level < self.level {
            let group = self.groups[binding.level as usize];
            self.out.own_block[group as usize] = true;
        }
    }

    /// Walks a construct with delayed parts.
    fn group(&mut self, parts: impl FnOnce(&mut Self)) {
        let group = self.out.own_block.len() as u32;
        self.out.own_block.push(false);
        self.groups.truncate(self.level as usize);
        self.groups.push(group);
        parts(self);
        self.groups.truncate(self.level as usize);
    }

    /// Walks what becomes a code of its own, inside a group.
    fn code(&mut self, inside: impl FnOnce(&mut Self)) {
        self.out.codes += 1;
        self.level += 1;
        inside(self);
        self.level -= 1;
        self.groups.truncate(self.level as usize + 1);
    }

    fn lookup(&mut self, name: Symbol, span: Span) -> Meaning {
        if let Some(&id) = self.scope.get(&name) {
            return Meaning::Binding(id);
        }
        if let Some(&i) = self.globals.get(&name) {
            let [yes, no, null] = self.constants;
            return match name {
                _ if name == yes => Meaning::Bool(true),
                _ if name == no => Meaning::Bool(false),
                _ if name == null => Meaning::Null,
                _ => Meaning::Global(i),
            };
        }
        if self.withs.is_empty() {
            let known = self.scope.keys().chain(self.globals.keys()).copied();
            let help = suggestion(name, known);
            self.out.undefined.push(Undefined { name, span, help });
        }
        Meaning::With
    }

    /// A variable here.
    fn variable(&mut self, name: Symbol, span: Span) {
        let meaning = self.lookup(name, span);
        self.note(meaning);
    }

    fn note(&mut self, meaning: Meaning) {
        self.out.meanings.push(meaning);
        match meaning {
            Meaning::Binding(id) => self.refer(id),
            Meaning::With => {
                for i in 0..self.withs.len() {
                    self.refer(self.withs[i]);
                }
            }
            _ => {}
        }
    }

    /// A value of a set. Where `__overrides` may replace a sibling, a variable is looked at late.
    fn value(&mut self, value: &Expr<'_>, late: bool) {
        match &value.kind {
            ExprKind::Var(name) if late => self.code(|r| r.variable(*name, value.span)),
            _ => self.delay(value),
        }
    }

    /// A variable as a delayed part.
    fn delay_variable(&mut self, name: Symbol, span: Span) {
        match self.lookup(name, span) {
            Meaning::With => self.code(|r| r.note(Meaning::With)),
            meaning => self.note(meaning),
        }
    }

    /// Whether the function of an operator is bound in the file.
    fn operator(&mut self, function: Symbol) -> bool {
        let meaning = self.scope.get(&function).map_or(Meaning::Direct, |&id| Meaning::Binding(id));
        self.note(meaning);
        meaning != Meaning::Direct
    }

    /// An expression whose evaluation is put off.
    fn delay(&mut self, e: &Expr<'_>) {
        match &e.kind {
            ExprKind::Var(name) => self.delay_variable(*name, e.span),
            ExprKind::Lambda(lambda) => self.lambda(lambda),
            _ if is_constant(e) => {}
            _ => self.code(|r| r.expr(e)),
        }
    }

    fn expr(&mut self, e: &Expr<'_>) {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.out.too_deep.get_or_insert(e.span);
        } else {
            self.expr_inside(e);
        }
        self.depth -= 1;
    }

    fn expr_inside(&mut self, e: &Expr<'_>) {
        match &e.kind {
            ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Str(_)
            | ExprKind::Path(_)
            | ExprKind::HomePath(_)
            | ExprKind::CurPos => {}
            ExprKind::Interp(parts) | ExprKind::InterpPath(parts) => {
                parts.iter().for_each(|part| self.expr(part));
            }
            ExprKind::SearchPath(_) => self.search_path(e.span),
            ExprKind::Var(name) => self.variable(*name, e.span),
            ExprKind::List(items) => self.group(|r| items.iter().for_each(|item| r.delay(item))),
            ExprKind::Attrs(set) => self.set(set, None),
            ExprKind::Let(set, body) => self.set(set, Some(body)),
            ExprKind::With(subject, body) => {
                self.group(|r| r.delay(subject));
                let id = self.binding();
                self.withs.push(id);
                self.expr(body);
                self.withs.pop();
            }
            ExprKind::Assert(condition, body) => {
                self.expr(condition);
                self.expr(body);
            }
            ExprKind::If(condition, first, second) => {
                self.expr(condition);
                self.expr(first);
                self.expr(second);
            }
            ExprKind::Lambda(lambda) => self.group(|r| r.lambda(lambda)),
            ExprKind::Call(function, arguments) => {
                self.expr(function);
                self.group(|r| arguments.iter().for_each(|argument| r.delay(argument)));
            }
            ExprKind::Select { base, path, default } => {
                self.expr(base);
                self.path(path);
                if let Some(default) = default {
                    self.expr(default);
                }
            }
            ExprKind::HasAttr(base, path) => {
                self.expr(base);
                self.path(path);
            }
            ExprKind::Not(inner) => self.expr(inner),
            ExprKind::Neg(inner) => {
                if self.operator(self.operators.sub) {
                    self.group(|r| r.delay(inner));
                } else {
                    self.expr(inner);
                }
            }
            ExprKind::Binary(op, left, right) => self.binary(*op, left, right),
        }
    }

    fn binary(&mut self, op: BinOp, left: &Expr<'_>, right: &Expr<'_>) {
        match self.operators.function(op) {
            Some(function) if self.operator(function) => {
                self.group(|r| {
                    r.delay(left);
                    r.delay(right);
                });
            }
            _ => {
                self.expr(left);
                self.expr(right);
            }
        }
    }

    /// `<…>` calls `__findFile __nixPath` where one of them is bound in the file.
    fn search_path(&mut self, span: Span) {
        let names = [self.operators.find_file, self.operators.nix_path];
        if !names.iter().any(|name| self.scope.contains_key(name)) {
            self.note(Meaning::Direct);
            return;
        }
        for name in names {
            self.variable(name, span);
        }
    }

    fn path(&mut self, path: &[AttrName<'_>]) {
        for name in path {
            if let AttrName::Dynamic(e) = name {
                self.expr(e);
            }
        }
    }

    /// A set, or a `let` with its body.
    fn set(&mut self, set: &AttrSet<'_>, body: Option<&Expr<'_>>) {
        let mark = self.shadowed.len();
        let late = has_overrides(set, self.operators.overrides) && body.is_none();
        self.group(|r| {
            for attr in set.attrs {
                if let AttrValue::Inherit = attr.value {
                    r.delay_variable(attr.name.symbol, attr.name.span);
                }
            }
            if set.recursive {
                for attr in set.attrs {
                    r.bind(attr.name.symbol);
                }
            }
            let hidden: Vec<_> = set.inherit_from.iter().map(|_| r.binding()).collect();
            set.inherit_from.iter().for_each(|subject| r.delay(subject));
            for attr in set.attrs {
                match attr.value {
                    AttrValue::Inherit => {}
                    AttrValue::Expr(value) => r.value(value, late),
                    AttrValue::InheritFrom(i) => r.code(|r| r.refer(hidden[i as usize])),
                }
            }
            for attr in set.dynamic {
                r.delay(attr.value);
            }
        });
        // Computed names are evaluated at once, though in the scope of the set.
        for attr in set.dynamic {
            self.expr(attr.name);
        }
        if let Some(body) = body {
            self.expr(body);
        }
        self.unbind(mark);
    }

    /// A function, as a code in the current group; `a: b: …` is one function of two parameters.
    fn lambda(&mut self, lambda: &Lambda<'_>) {
        let mark = self.shadowed.len();
        self.code(|r| {
            let mut lambda = lambda;
            while let Lambda { name: Some(name), pattern: None, body } = lambda {
                r.bind(name.symbol);
                let ExprKind::Lambda(inner) = &body.kind else {
                    r.expr(body);
                    return;
                };
                lambda = inner;
            }
            if let Some(name) = lambda.name {
                r.bind(name.symbol);
            }
            let formals = lambda.pattern.as_ref().map_or(&[][..], |p| p.formals);
            for formal in formals {
                r.bind(formal.name.symbol);
            }
            r.group(|r| {
                for formal in formals {
                    if let Some(default) = formal.default {
                        r.delay(default);
                    }
                }
            });
            r.expr(lambda.body);
        });
        self.unbind(mark);
    }
}
