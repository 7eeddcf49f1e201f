//! The syntax tree evaluation starts from: compact, in an arena, with spans and without trivia.
//!
//! It says what C++ Nix's parser would say: parentheses are gone, nested calls are one call with
//! several arguments, attribute paths are nested sets, and bindings are merged and sorted.

use std::fmt;

use crate::base::symbol::Symbol;

/// A byte range of the text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Span {
    /// First byte, counted from 0.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The range from `start` to `end`.
    pub fn new(start: u32, end: u32) -> Span {
        Span { start, end }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// A name and its place.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    /// The name.
    pub symbol: Symbol,
    /// Its place.
    pub span: Span,
}

/// An expression.
#[derive(Debug)]
pub struct Expr<'a> {
    /// Its place, without enclosing parentheses.
    pub span: Span,
    /// What it is.
    pub kind: ExprKind<'a>,
}

/// The kinds of expression.
#[derive(Debug)]
pub enum ExprKind<'a> {
    /// `12`
    Int(i64),
    /// `1.5`
    Float(f64),
    /// A string without holes, or a URL literal.
    Str(&'a [u8]),
    /// A string with holes: strings and other expressions, at least one of the latter.
    Interp(&'a [&'a Expr<'a>]),
    /// `./a`, `/a`, `a/b`: the text of the literal, not made absolute.
    Path(&'a [u8]),
    /// `~/a`: the text after the tilde.
    HomePath(&'a [u8]),
    /// A path with holes: a [`ExprKind::Path`] or [`ExprKind::HomePath`], then strings and holes.
    InterpPath(&'a [&'a Expr<'a>]),
    /// `<nixpkgs/lib>`: the text between the brackets.
    SearchPath(&'a [u8]),
    /// A variable.
    Var(Symbol),
    /// `__curPos`
    CurPos,
    /// `[ … ]`
    List(&'a [&'a Expr<'a>]),
    /// `{ … }` and `rec { … }`
    Attrs(&'a AttrSet<'a>),
    /// `let … in body`
    Let(&'a AttrSet<'a>, &'a Expr<'a>),
    /// `with subject; body`
    With(&'a Expr<'a>, &'a Expr<'a>),
    /// `assert condition; body`
    Assert(&'a Expr<'a>, &'a Expr<'a>),
    /// `if condition then first else second`
    If(&'a Expr<'a>, &'a Expr<'a>, &'a Expr<'a>),
    /// `parameter: body`
    Lambda(&'a Lambda<'a>),
    /// A function and its arguments, at least one.
    Call(&'a Expr<'a>, &'a [&'a Expr<'a>]),
    /// `base.path` and `base.path or default`
    Select {
        /// The set.
        base: &'a Expr<'a>,
        /// The path, not empty.
        path: &'a [AttrName<'a>],
        /// The expression after `or`.
        default: Option<&'a Expr<'a>>,
    },
    /// `base ? path`
    HasAttr(&'a Expr<'a>, &'a [AttrName<'a>]),
    /// `!e`
    Not(&'a Expr<'a>),
    /// `-e`
    Neg(&'a Expr<'a>),
    /// A binary operator; pipes have become calls.
    Binary(BinOp, &'a Expr<'a>, &'a Expr<'a>),
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BinOp {
    Implies,
    Or,
    And,
    Eq,
    Ne,
    Lt,
    Gt,
    Le,
    Ge,
    Update,
    Add,
    Sub,
    Mul,
    Div,
    Concat,
}

/// A component of an attribute path.
#[derive(Clone, Copy, Debug)]
pub enum AttrName<'a> {
    /// An identifier or a constant string.
    Static(Name),
    /// Anything else.
    Dynamic(&'a Expr<'a>),
}

/// The bindings of a set or a `let`, merged.
#[derive(Debug)]
pub struct AttrSet<'a> {
    /// Whether values see the names (`rec`, `let`).
    pub recursive: bool,
    /// The bindings with known names, sorted by symbol number, without duplicates.
    pub attrs: &'a [Attr<'a>],
    /// The subjects of `inherit (e) …`.
    pub inherit_from: &'a [&'a Expr<'a>],
    /// The bindings with computed names, in source order.
    pub dynamic: &'a [DynamicAttr<'a>],
}

/// A binding with a known name.
#[derive(Clone, Copy, Debug)]
pub struct Attr<'a> {
    /// The name; its span is that of the whole path where it stands in one.
    pub name: Name,
    /// Its value.
    pub value: AttrValue<'a>,
}

/// Where a binding takes its value from.
#[derive(Clone, Copy, Debug)]
pub enum AttrValue<'a> {
    /// `name = expression;`
    Expr(&'a Expr<'a>),
    /// `inherit name;`
    Inherit,
    /// `inherit (e) name;` with the index of `e` in [`AttrSet::inherit_from`].
    InheritFrom(u32),
}

/// A binding with a computed name.
#[derive(Clone, Copy, Debug)]
pub struct DynamicAttr<'a> {
    /// The name.
    pub name: &'a Expr<'a>,
    /// The value.
    pub value: &'a Expr<'a>,
    /// The place of the attribute path.
    pub span: Span,
}

/// A function.
#[derive(Debug)]
pub struct Lambda<'a> {
    /// `name:`, or the `@` name of a pattern.
    pub name: Option<Name>,
    /// The pattern.
    pub pattern: Option<Pattern<'a>>,
    /// The body.
    pub body: &'a Expr<'a>,
}

/// `{ a, b ? 1, ... }`
#[derive(Debug)]
pub struct Pattern<'a> {
    /// The formals, in source order.
    pub formals: &'a [Formal<'a>],
    /// Whether other attributes are accepted.
    pub ellipsis: bool,
}

/// One formal of a pattern.
#[derive(Clone, Copy, Debug)]
pub struct Formal<'a> {
    /// Its name.
    pub name: Name,
    /// The expression after `?`.
    pub default: Option<&'a Expr<'a>>,
}
