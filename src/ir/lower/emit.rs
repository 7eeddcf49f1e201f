//! The second walk: writing the representation.

use std::sync::atomic::AtomicU32;

use bumpalo::Bump;
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::is_constant;
use super::resolve::{BindingId, Meaning, Resolved};
use crate::base::source::{SpanBlock, SpanId};
use crate::base::symbol::Symbol;
use crate::ir::expr::{
    Assert, AttrName, BinOp, Call, Captures, Code, Delay, Expr, HasAttr, If, Kind, ListExpr, Select, Var,
    With,
};
use crate::ir::module::CodeIds;
use crate::ir::text::Str;
use crate::syntax::ast::{self, ExprKind, Span};
use crate::syntax::show::{canonical_path, canonical_prefix, show};

/// Writes a file whose names are resolved; returns its root and all its codes.
pub(super) fn emit<'m>(
    root: &ast::Expr<'_>,
    resolved: &Resolved,
    arena: &'m Bump,
    ids: &CodeIds,
    block: &SpanBlock,
    base_dir: &[u8],
) -> (&'m Code<'m>, Vec<&'m Code<'m>>) {
    let mut emitter = Emitter {
        arena,
        resolved,
        ids,
        base_dir,
        block,
        spans: Vec::with_capacity(resolved.meanings.len() * 2),
        codes: Vec::with_capacity(resolved.codes as usize),
        next_meaning: 0,
        next_group: 0,
        slots: Vec::with_capacity(resolved.bindings.len()),
        frames: Vec::new(),
        groups: Vec::new(),
        spare_groups: Vec::new(),
        withs: Vec::new(),
        delays: Vec::new(),
        overrides: Symbol::intern("__overrides"),
    };
    let root = emitter.thunk_code(|e| e.expr(root));
    let Emitter { spans, codes, .. } = emitter;
    block.fill(spans);
    (root, codes)
}

/// The frame of a code being written.
#[derive(Clone, Copy, Default)]
struct FrameSize {
    /// The next free slot.
    next: u32,
    /// The most slots in use at once so far.
    most: u32,
}

/// The environment that the delayed parts of a construct share.
#[derive(Default)]
struct Group {
    /// It is that of the code around them, as it is.
    same: bool,
    /// The variables of their block, as the code around them knows them.
    captures: Vec<Var>,
    ids: Vec<BindingId>,
    /// Where each stands, once they are too many to look through.
    index: HashMap<BindingId, u32, FxBuildHasher>,
}

impl Group {
    const FEW: usize = 16;

    fn find(&self, id: BindingId) -> Option<u32> {
        if self.ids.len() <= Group::FEW {
            return self.ids.iter().position(|&i| i == id).map(|i| i as u32);
        }
        self.index.get(&id).copied()
    }

    fn add(&mut self, id: BindingId, var: Var) -> u32 {
        let i = self.ids.len() as u32;
        self.captures.push(var);
        self.ids.push(id);
        if self.ids.len() > Group::FEW {
            let known = self.index.len();
            self.index.extend((known..).zip(&self.ids[known..]).map(|(i, &id)| (id, i as u32)));
        }
        i
    }

    fn clear(&mut self) {
        self.captures.clear();
        self.ids.clear();
        self.index.clear();
    }
}

pub(super) struct Emitter<'m, 'r> {
    pub(super) arena: &'m Bump,
    pub(super) resolved: &'r Resolved,
    ids: &'r CodeIds,
    base_dir: &'r [u8],
    block: &'r SpanBlock,
    spans: Vec<(u32, u32)>,
    codes: Vec<&'m Code<'m>>,
    next_meaning: usize,
    next_group: usize,
    /// The slot of each binding, in the order in which they are bound.
    slots: Vec<u32>,
    /// One for each code around this place; the last is that of the current code.
    frames: Vec<FrameSize>,
    /// For each code around this place, the construct in it that this place is a delayed part of.
    groups: Vec<Group>,
    /// Finished ones, for their memory.
    spare_groups: Vec<Group>,
    withs: Vec<BindingId>,
    delays: Vec<Delay<'m>>,
    pub(super) overrides: Symbol,
}

pub(super) type ExprRef<'m> = &'m Expr<'m>;

impl<'m> Emitter<'m, '_> {
    pub(super) fn span(&mut self, span: Span) -> SpanId {
        let pair = (span.start, span.end);
        if self.spans.last() != Some(&pair) {
            if self.spans.len() >= self.block.capacity() as usize {
                return SpanId::NONE;
            }
            self.spans.push(pair);
        }
        self.block.id(self.spans.len() as u32 - 1)
    }

    pub(super) fn meaning(&mut self) -> Meaning {
        let meaning = self.resolved.meanings[self.next_meaning];
        self.next_meaning += 1;
        meaning
    }

    pub(super) fn at(&self, span: SpanId, kind: Kind<'m>) -> ExprRef<'m> {
        self.arena.alloc(Expr { kind, span })
    }

    /// The first free slot of the current frame.
    pub(super) fn frame_mark(&self) -> u32 {
        self.frames.last().map_or(0, |f| f.next)
    }

    /// Gives back the slots taken since the mark.
    pub(super) fn frame_reset(&mut self, mark: u32) {
        if let Some(frame) = self.frames.last_mut() {
            frame.next = mark;
        }
    }

    pub(super) fn take_slot(&mut self) -> u32 {
        let Some(frame) = self.frames.last_mut() else { return 0 };
        let slot = frame.next;
        frame.next += 1;
        frame.most = frame.most.max(frame.next);
        slot
    }

    /// The next binding of the walk, in this slot.
    pub(super) fn bind(&mut self, slot: u32) -> BindingId {
        self.slots.push(slot);
        self.slots.len() as u32 - 1
    }

    /// Whether anything refers to the next binding of the walk.
    pub(super) fn next_is_used(&self) -> bool {
        self.resolved.bindings[self.slots.len()].used
    }

    /// A binding as the current code reaches it.
    pub(super) fn reach(&mut self, id: BindingId) -> Var {
        self.reach_from(self.frames.len() - 1, id)
    }

    fn reach_from(&mut self, level: usize, id: BindingId) -> Var {
        if self.resolved.bindings[id as usize].level as usize == level {
            return Var::Local(self.slots[id as usize]);
        }
        if self.groups[level - 1].same {
            return self.reach_from(level - 1, id);
        }
        if let Some(i) = self.groups[level - 1].find(id) {
            return Var::Capture(i);
        }
        let outer = self.reach_from(level - 1, id);
        Var::Capture(self.groups[level - 1].add(id, outer))
    }

    /// Writes a construct's delayed parts, which share one environment.
    pub(super) fn group<T>(&mut self, parts: impl FnOnce(&mut Self) -> T) -> (Captures<'m>, T) {
        let same = !self.resolved.own_block[self.next_group];
        self.next_group += 1;
        let mut group = self.spare_groups.pop().unwrap_or_default();
        group.same = same;
        self.groups.push(group);
        let made = parts(self);
        let mut captures = Captures::Same;
        if let Some(mut group) = self.groups.pop() {
            if !group.captures.is_empty() {
                captures = Captures::New(self.arena.alloc_slice_copy(&group.captures));
            }
            group.clear();
            self.spare_groups.push(group);
        }
        (captures, made)
    }

    /// Writes a code with `parts`, which says what it needs beside its number and frame.
    pub(super) fn code(&mut self, parts: impl FnOnce(&mut Self) -> Code<'m>) -> &'m Code<'m> {
        self.frames.push(FrameSize::default());
        let mut code = parts(self);
        code.frame = self.frames.pop().map_or(0, |f| f.most);
        code.id = self.ids.id(self.codes.len() as u32);
        let code = &*self.arena.alloc(code);
        self.codes.push(code);
        code
    }

    pub(super) fn thunk_code(&mut self, body: impl FnOnce(&mut Self) -> ExprRef<'m>) -> &'m Code<'m> {
        self.code(|e| {
            let body = body(e);
            let span = body.span;
            Code { id: 0, frame: 0, arity: 0, strict: 0, pattern: None, body, name: None, span, inner: span }
        })
    }

    /// The delayed expressions of a group, in the arena.
    fn delay_all(&mut self, items: &[&ast::Expr<'_>], arguments: bool) -> (Captures<'m>, &'m [Delay<'m>]) {
        self.group(|e| {
            let mark = e.delays.len();
            for item in items {
                let delay = e.delay(item, None);
                e.delays.push(delay);
            }
            let all = e.arena.alloc_slice_copy(&e.delays[mark..]);
            if arguments {
                super::strict::mark_cheap(all);
            }
            e.delays.truncate(mark);
            &*all
        })
    }

    /// An expression whose evaluation is put off; `name` is what it is bound to.
    pub(super) fn delay(&mut self, e: &ast::Expr<'_>, name: Option<Symbol>) -> Delay<'m> {
        match &e.kind {
            ExprKind::Var(symbol) => self.delay_variable(*symbol, e.span),
            ExprKind::Lambda(lambda) => Delay::Lambda(self.lambda(lambda, e.span, name)),
            _ if is_constant(e) => Delay::Const(self.constant(e)),
            _ => Delay::Thunk(self.thunk_code(|emitter| emitter.expr(e))),
        }
    }

    pub(super) fn delay_variable(&mut self, name: Symbol, span: Span) -> Delay<'m> {
        match self.resolved.meanings[self.next_meaning] {
            Meaning::With => Delay::Thunk(self.thunk_code(|e| e.variable(name, span))),
            Meaning::Binding(id) => {
                self.next_meaning += 1;
                Delay::Var(self.reach(id))
            }
            Meaning::Global(i) => {
                self.next_meaning += 1;
                Delay::Var(Var::Global(i))
            }
            meaning => {
                self.next_meaning += 1;
                let span = self.span(span);
                Delay::Const(self.literal(meaning, span))
            }
        }
    }

    fn literal(&self, meaning: Meaning, span: SpanId) -> ExprRef<'m> {
        match meaning {
            Meaning::Bool(b) => self.at(span, Kind::Bool(b)),
            _ => self.at(span, Kind::Null),
        }
    }

    pub(super) fn variable(&mut self, name: Symbol, span: Span) -> ExprRef<'m> {
        let meaning = self.meaning();
        let span = self.span(span);
        match meaning {
            Meaning::Binding(id) => {
                let var = self.reach(id);
                self.at(span, Kind::Var(var))
            }
            Meaning::Global(i) => self.at(span, Kind::Var(Var::Global(i))),
            Meaning::With => {
                let scopes: Vec<_> = (0..self.withs.len()).rev().map(|i| self.reach(self.withs[i])).collect();
                self.at(span, Kind::WithVar { name, scopes: self.arena.alloc_slice_copy(&scopes) })
            }
            meaning => self.literal(meaning, span),
        }
    }

    /// A literal; anything else stands for itself only in [`Emitter::expr`].
    fn constant(&mut self, e: &ast::Expr<'_>) -> ExprRef<'m> {
        let span = self.span(e.span);
        let kind = match &e.kind {
            ExprKind::Int(n) => Kind::Int(*n),
            ExprKind::Float(x) => Kind::Float(*x),
            ExprKind::Str(text) => self.string(text, span),
            ExprKind::Path(literal) => {
                Kind::Path(self.arena.alloc_slice_copy(&canonical_path(self.base_dir, literal)))
            }
            ExprKind::List(_) => {
                Kind::List(self.arena.alloc(ListExpr { items: &[], captures: Captures::Same }))
            }
            _ => Kind::Attrs(self.arena.alloc(super::set::empty())),
        };
        self.at(span, kind)
    }

    fn string(&self, text: &[u8], span: SpanId) -> Kind<'m> {
        Kind::Str(self.arena.alloc(Str::plain(self.arena.alloc_slice_copy(text), span)))
    }

    pub(super) fn expr(&mut self, e: &ast::Expr<'_>) -> ExprRef<'m> {
        let kind = match &e.kind {
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Str(_) | ExprKind::Path(_) => {
                return self.constant(e);
            }
            ExprKind::Var(name) => return self.variable(*name, e.span),
            ExprKind::Select { base, path, default: None } => return self.select(base, path, e.span),
            ExprKind::HomePath(rest) => Kind::HomePath(self.arena.alloc_slice_copy(rest)),
            ExprKind::CurPos => Kind::CurPos,
            ExprKind::Interp(parts) => self.interpolation(parts, false),
            ExprKind::InterpPath(parts) => self.interpolation(parts, true),
            ExprKind::SearchPath(path) => self.search_path(path, e.span),
            ExprKind::List(items) => {
                let (captures, items) = self.delay_all(items, false);
                Kind::List(self.arena.alloc(ListExpr { items, captures }))
            }
            ExprKind::Attrs(set) => self.attrs(set),
            ExprKind::Let(set, body) => self.let_in(set, body),
            ExprKind::With(subject, body) => self.with(subject, body),
            ExprKind::Assert(condition, body) => {
                let text = self.arena.alloc_slice_copy(&show(condition, self.base_dir));
                let cond = self.expr(condition);
                Kind::Assert(self.arena.alloc(Assert { cond, text, body: self.expr(body) }))
            }
            ExprKind::If(c, a, b) => {
                let (cond, then, otherwise) = (self.expr(c), self.expr(a), self.expr(b));
                Kind::If(self.arena.alloc(If { cond, then, otherwise }))
            }
            ExprKind::Lambda(lambda) => self.strict_lambda(lambda, e.span, None),
            ExprKind::Call(function, arguments) => {
                let func = self.expr(function);
                let (captures, args) = self.delay_all(arguments, true);
                Kind::Call(self.arena.alloc(Call { func, args, captures }))
            }
            ExprKind::Select { base, path, default } => {
                let (base, path) = (self.expr(base), self.path(path));
                let default = default.map(|d| self.expr(d));
                Kind::Select(self.arena.alloc(Select { base, path, default }))
            }
            ExprKind::HasAttr(base, path) => {
                let (base, path) = (self.expr(base), self.path(path));
                Kind::HasAttr(self.arena.alloc(HasAttr { base, path }))
            }
            ExprKind::Not(inner) => Kind::Not(self.expr(inner)),
            ExprKind::Neg(inner) => self.negation(inner, e.span),
            ExprKind::Binary(op, left, right) => self.binary(*op, left, right, e.span),
        };
        let span = self.span(e.span);
        self.at(span, kind)
    }

    fn interpolation(&mut self, parts: &[&ast::Expr<'_>], path: bool) -> Kind<'m> {
        let mut written: Vec<ExprRef<'m>> = Vec::with_capacity(parts.len() + 1);
        for (i, part) in parts.iter().enumerate() {
            match &part.kind {
                ExprKind::Path(literal) if path && i == 0 => {
                    let span = self.span(part.span);
                    let prefix = canonical_prefix(self.base_dir, literal);
                    let prefix = self.arena.alloc_slice_copy(&prefix);
                    written.push(self.at(span, Kind::Path(prefix)));
                }
                ExprKind::HomePath(rest) if path && i == 0 => {
                    let home = self.expr(part);
                    written.push(home);
                    // Made canonical, the home path has lost the slash at its end.
                    if rest.ends_with(b"/") {
                        let slash = self.string(b"/", home.span);
                        written.push(self.at(home.span, slash));
                    }
                }
                _ => written.push(self.expr(part)),
            }
        }
        Kind::Interp { parts: self.arena.alloc_slice_copy(&written), path }
    }

    fn search_path(&mut self, path: &[u8], span: Span) -> Kind<'m> {
        let find_file = self.meaning();
        if find_file == Meaning::Direct {
            return Kind::SearchPath(self.arena.alloc_slice_copy(path));
        }
        let nix_path = self.meaning();
        let span = self.span(span);
        let func = self.function(find_file, span);
        let entries = match nix_path {
            Meaning::Binding(id) => Delay::Var(self.reach(id)),
            Meaning::Global(i) => Delay::Var(Var::Global(i)),
            meaning => Delay::Const(self.literal(meaning, span)),
        };
        let wanted = self.string(path, span);
        let args = [entries, Delay::Const(self.at(span, wanted))];
        self.call(func, &args, Captures::Same)
    }

    fn function(&mut self, meaning: Meaning, span: SpanId) -> ExprRef<'m> {
        let var = match meaning {
            Meaning::Binding(id) => self.reach(id),
            Meaning::Global(i) => Var::Global(i),
            meaning => return self.literal(meaning, span),
        };
        self.at(span, Kind::Var(var))
    }

    fn with(&mut self, subject: &ast::Expr<'_>, body: &ast::Expr<'_>) -> Kind<'m> {
        let (captures, subject) = self.group(|e| e.delay(subject, None));
        let mark = self.frame_mark();
        let slot = self.take_slot();
        let id = self.bind(slot);
        self.withs.push(id);
        let body = self.expr(body);
        self.withs.pop();
        self.frame_reset(mark);
        Kind::With(self.arena.alloc(With { subject, captures, slot, body }))
    }

    fn negation(&mut self, inner: &ast::Expr<'_>, span: Span) -> Kind<'m> {
        let meaning = self.meaning();
        if meaning == Meaning::Direct {
            return match inner.kind {
                ExprKind::Int(n) => Kind::Int(-n),
                _ => Kind::Neg(self.expr(inner)),
            };
        }
        let span = self.span(span);
        let func = self.function(meaning, span);
        let (captures, inner) = self.group(|e| e.delay(inner, None));
        let zero = Delay::Const(self.at(span, Kind::Int(0)));
        self.call(func, &[zero, inner], captures)
    }

    fn call(&self, func: ExprRef<'m>, args: &[Delay<'m>], captures: Captures<'m>) -> Kind<'m> {
        let args = self.arena.alloc_slice_copy(args);
        Kind::Call(self.arena.alloc(Call { func, args, captures }))
    }

    fn binary(
        &mut self,
        op: ast::BinOp,
        left: &ast::Expr<'_>,
        right: &ast::Expr<'_>,
        span: Span,
    ) -> Kind<'m> {
        let shadowable = matches!(
            op,
            ast::BinOp::Sub
                | ast::BinOp::Mul
                | ast::BinOp::Div
                | ast::BinOp::Lt
                | ast::BinOp::Gt
                | ast::BinOp::Le
                | ast::BinOp::Ge
        );
        let meaning = if shadowable { self.meaning() } else { Meaning::Direct };
        if meaning == Meaning::Direct {
            let left = self.expr(left);
            return Kind::Binary(operator(op), left, self.expr(right));
        }
        let span = self.span(span);
        let func = self.function(meaning, span);
        let (captures, mut args) = self.group(|e| [e.delay(left, None), e.delay(right, None)]);
        if matches!(op, ast::BinOp::Gt | ast::BinOp::Le) {
            args.swap(0, 1);
        }
        let call = self.call(func, &args, captures);
        match op {
            ast::BinOp::Le | ast::BinOp::Ge => Kind::Not(self.at(span, call)),
            _ => call,
        }
    }

    /// A select without default: steps of known names, so that each has its own hint.
    fn select(&mut self, base: &ast::Expr<'_>, path: &[ast::AttrName<'_>], span: Span) -> ExprRef<'m> {
        let mut at = self.expr(base);
        if path.iter().any(|n| matches!(n, ast::AttrName::Dynamic(_))) {
            let path = self.path(path);
            let span = self.span(span);
            let select = self.arena.alloc(Select { base: at, path, default: None });
            return self.at(span, Kind::Select(select));
        }
        for name in path {
            if let ast::AttrName::Static(name) = name {
                let name_span = self.span(name.span);
                let whole = self.span(Span::new(span.start, name.span.end.max(span.start)));
                at = self.at(whole, select1(at, name.symbol, name_span));
            }
        }
        at
    }

    fn path(&mut self, path: &[ast::AttrName<'_>]) -> &'m [AttrName<'m>] {
        let written: Vec<_> = path
            .iter()
            .map(|name| match name {
                ast::AttrName::Static(name) => AttrName::Static(name.symbol, self.span(name.span)),
                ast::AttrName::Dynamic(e) => AttrName::Dynamic(self.expr(e)),
            })
            .collect();
        self.arena.alloc_slice_copy(&written)
    }
}

pub(super) fn select1<'m>(base: ExprRef<'m>, name: Symbol, name_span: SpanId) -> Kind<'m> {
    Kind::Select1 { base, name, hint: AtomicU32::new(0), name_span }
}

fn operator(op: ast::BinOp) -> BinOp {
    match op {
        ast::BinOp::Implies => BinOp::Implies,
        ast::BinOp::Or => BinOp::Or,
        ast::BinOp::And => BinOp::And,
        ast::BinOp::Eq => BinOp::Eq,
        ast::BinOp::Ne => BinOp::Ne,
        ast::BinOp::Lt => BinOp::Lt,
        ast::BinOp::Gt => BinOp::Gt,
        ast::BinOp::Le => BinOp::Le,
        ast::BinOp::Ge => BinOp::Ge,
        ast::BinOp::Update => BinOp::Update,
        ast::BinOp::Add => BinOp::Add,
        ast::BinOp::Sub => BinOp::Sub,
        ast::BinOp::Mul => BinOp::Mul,
        ast::BinOp::Div => BinOp::Div,
        ast::BinOp::Concat => BinOp::Concat,
    }
}
