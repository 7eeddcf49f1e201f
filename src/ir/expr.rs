//! The intermediate representation: a tree in an arena with every name resolved.
//!
//! A [`Code`] is a unit that is entered with a frame of local slots and a flat environment block:
//! a lambda body or a delayed expression (thunk). Variables are [`Var::Local`] (a slot of the
//! current frame), [`Var::Capture`] (an index into the environment block of the current code) or
//! [`Var::Global`]. A construct that delays expressions (a call, a list, an attribute set, a
//! `let`, a `with`) builds at most one block, described by [`Captures`], which all of its delayed
//! parts share as their environment.

use std::sync::atomic::AtomicU32;

use super::text::Str;
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;

/// Where a variable is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Var {
    /// Slot of the current frame.
    Local(u32),
    /// Index into the environment block of the current code.
    Capture(u32),
    /// Index into the table of global values.
    Global(u32),
}

/// How the environment of a construct's delayed parts is made.
#[derive(Clone, Copy, Debug)]
pub enum Captures<'m> {
    /// They use the current code's environment as it is (indices mean the same), or none at all.
    Same,
    /// A new block of these variables, in this order; never a global.
    New(&'m [Var]),
}

const _: () = assert!(size_of::<Expr<'_>>() <= 32);

/// An expression with its place.
pub struct Expr<'m> {
    /// What it is.
    pub kind: Kind<'m>,
    /// Where it stands. For operators, the whole expression; errors of calls use it too.
    pub span: SpanId,
}

/// A subexpression whose evaluation is put off.
#[derive(Clone, Copy)]
pub enum Delay<'m> {
    /// A variable, whose cell is shared, not copied.
    Var(Var),
    /// An expression that is cheap, cannot fail, and needs no frame or environment: literals, `[ ]`, `{ }`.
    Const(&'m Expr<'m>),
    /// A function, whose environment is the construct's block.
    Lambda(&'m Code<'m>),
    /// A thunk of this code with the construct's block.
    Thunk(&'m Code<'m>),
    /// The same, of an argument that may be evaluated at once where the function is sure to look at
    /// it: few steps of arithmetic and selection, without locals.
    Cheap(&'m Code<'m>),
}

/// The kinds of expression: what most nodes are fits three words, the rest stands beside.
pub enum Kind<'m> {
    /// `null`, where not shadowed.
    Null,
    /// `true`, `false`, where not shadowed.
    Bool(bool),
    /// Integer literal.
    Int(i64),
    /// Float literal.
    Float(f64),
    /// String without holes.
    Str(&'m Str<'m>),
    /// Path literal without holes, absolute and canonical.
    Path(&'m [u8]),
    /// `~/…`: the part after `~`, beginning with `/`.
    HomePath(&'m [u8]),
    /// `<…>` where `__findFile` and `__nixPath` are not shadowed.
    SearchPath(&'m [u8]),
    /// A variable.
    Var(Var),
    /// A variable looked for in enclosing `with` subjects, innermost first.
    WithVar {
        /// The name.
        name: Symbol,
        /// The hidden variables that hold the subjects.
        scopes: &'m [Var],
    },
    /// `base.name`.
    Select1 {
        /// The set.
        base: &'m Expr<'m>,
        /// The attribute.
        name: Symbol,
        /// Index found last time, as a hint.
        hint: AtomicU32,
        /// Place of the name.
        name_span: SpanId,
    },
    /// `base.a.b or default`, and selects with computed names.
    Select(&'m Select<'m>),
    /// `base ? a.b`.
    HasAttr(&'m HasAttr<'m>),
    /// A function in strict position.
    Lambda(&'m Closure<'m>),
    /// A call with one or more arguments.
    Call(&'m Call<'m>),
    /// `let … in body`.
    Let(&'m Let<'m>),
    /// `{ … }` and `rec { … }`.
    Attrs(&'m AttrsExpr<'m>),
    /// `[ … ]`.
    List(&'m ListExpr<'m>),
    /// `if c then t else e`.
    If(&'m If<'m>),
    /// `assert c; body`. The string is the condition's text as Nix prints it in the error.
    Assert(&'m Assert<'m>),
    /// `with subject; body`.
    With(&'m With<'m>),
    /// `!e`
    Not(&'m Expr<'m>),
    /// `-e`
    Neg(&'m Expr<'m>),
    /// A binary operator.
    Binary(BinOp, &'m Expr<'m>, &'m Expr<'m>),
    /// A string with holes, or (`path`) a path literal with holes, whose first part is the absolute prefix as a path.
    Interp {
        /// Literal parts ([`Kind::Str`] or, first in a path, [`Kind::Path`]) and holes.
        parts: &'m [&'m Expr<'m>],
        /// Whether the result is a path.
        path: bool,
    },
    /// `__curPos`
    CurPos,
}

/// `base.a.b or default`.
pub struct Select<'m> {
    /// The set.
    pub base: &'m Expr<'m>,
    /// The path, not empty.
    pub path: &'m [AttrName<'m>],
    /// The `or` part.
    pub default: Option<&'m Expr<'m>>,
}

/// `base ? a.b`.
pub struct HasAttr<'m> {
    /// The set.
    pub base: &'m Expr<'m>,
    /// The path, not empty.
    pub path: &'m [AttrName<'m>],
}

/// A function in strict position.
pub struct Closure<'m> {
    /// Its code (at least one parameter).
    pub code: &'m Code<'m>,
    /// Its environment.
    pub captures: Captures<'m>,
}

/// A call with one or more arguments.
pub struct Call<'m> {
    /// The function.
    pub func: &'m Expr<'m>,
    /// The arguments.
    pub args: &'m [Delay<'m>],
    /// Environment of the delayed arguments.
    pub captures: Captures<'m>,
}

/// `[ … ]`.
pub struct ListExpr<'m> {
    /// The elements.
    pub items: &'m [Delay<'m>],
    /// Environment of the delayed elements.
    pub captures: Captures<'m>,
}

/// `assert c; body`.
pub struct Assert<'m> {
    /// The condition.
    pub cond: &'m Expr<'m>,
    /// The condition as Nix shows it.
    pub text: &'m [u8],
    /// The rest.
    pub body: &'m Expr<'m>,
}

/// `with subject; body`.
pub struct With<'m> {
    /// The subject, delayed.
    pub subject: Delay<'m>,
    /// Its environment.
    pub captures: Captures<'m>,
    /// The local slot that holds it.
    pub slot: u32,
    /// The rest.
    pub body: &'m Expr<'m>,
}

/// `if c then t else e`.
pub struct If<'m> {
    /// The condition.
    pub cond: &'m Expr<'m>,
    /// Where it holds.
    pub then: &'m Expr<'m>,
    /// Where it does not.
    pub otherwise: &'m Expr<'m>,
}

/// Binary operators. `>` and friends keep their own kinds: they evaluate their right side first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BinOp {
    Add,
    Sub,
    Mul,
    Div,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    And,
    Or,
    Implies,
    Update,
    Concat,
}

/// A component of an attribute path.
#[derive(Clone, Copy)]
pub enum AttrName<'m> {
    /// A name known at lowering, with its place.
    Static(Symbol, SpanId),
    /// `${e}` or a string with holes.
    Dynamic(&'m Expr<'m>),
}

/// `let`: bindings occupy the local slots `first_slot ..`.
pub struct Let<'m> {
    /// Environment of the delayed bindings.
    pub captures: Captures<'m>,
    /// First local slot.
    pub first_slot: u32,
    /// The bindings (hidden `inherit (e)` subjects included), in slot order.
    pub bindings: &'m [LetBinding<'m>],
    /// The rest.
    pub body: &'m Expr<'m>,
}

/// One binding of a `let`.
#[derive(Clone, Copy)]
pub struct LetBinding<'m> {
    /// Its expression.
    pub value: Delay<'m>,
    /// Whether its cell must stand on the heap before the block is built, because the block of the
    /// same `let` captures it.
    pub boxed: bool,
    /// Its name, for messages; `None` for hidden ones.
    pub name: Option<Symbol>,
}

/// An attribute set.
pub struct AttrsExpr<'m> {
    /// Environment of the delayed values.
    pub captures: Captures<'m>,
    /// Hidden subjects of `inherit (e) …`: local slots `hidden_slot ..`, always boxed.
    pub hidden: &'m [Delay<'m>],
    /// First local slot of the hidden subjects.
    pub hidden_slot: u32,
    /// Static names, sorted by symbol number.
    pub names: &'m [Symbol],
    /// Places of the names.
    pub spans: &'m [SpanId],
    /// Values, in the order of `names`.
    pub values: &'m [Delay<'m>],
    /// For `rec`: the local slot of each attribute, in the order of `names` (`u32::MAX`: not
    /// referred to). Empty for a plain set.
    pub rec_slots: &'m [u32],
    /// Attributes with computed names, in source order.
    pub dynamic: &'m [DynamicAttr<'m>],
    /// Index in `names` of `__overrides`, for a `rec` set that has it.
    pub overrides: Option<u32>,
}

/// An attribute with a computed name.
#[derive(Clone, Copy)]
pub struct DynamicAttr<'m> {
    /// The name; null leaves the attribute out.
    pub name: &'m Expr<'m>,
    /// The value.
    pub value: Delay<'m>,
    /// Place of the name.
    pub span: SpanId,
}

/// A lambda body or a thunk's expression.
pub struct Code<'m> {
    /// Number in the process-wide table of codes; see [`super::module`].
    pub id: u32,
    /// Local slots it needs; parameters come first.
    pub frame: u32,
    /// Number of parameters taken in one go; 0 for a thunk. All but the last are plain names, in
    /// slots `0..arity-1`.
    pub arity: u32,
    /// The parameters (bit `i` for slot `i`, of the first 32) that the body is sure to evaluate.
    pub strict: u32,
    /// The last parameter, if it is a pattern; any other is a plain name, in slot `arity - 1`.
    pub pattern: Option<&'m Pattern<'m>>,
    /// The body.
    pub body: &'m Expr<'m>,
    /// The name it is bound to, for messages.
    pub name: Option<Symbol>,
    /// Place of the function or expression.
    pub span: SpanId,
    /// Place of the function that takes the last parameter, which is the one whose body fails.
    pub inner: SpanId,
}

// There is one for every delayed expression.
const _: () = assert!(size_of::<Code<'_>>() <= 48);

/// `{ a, b ? 1, ... } @ args`.
pub struct Pattern<'m> {
    /// The formals, sorted by symbol number.
    pub formals: &'m [Formal<'m>],
    /// Whether other attributes are accepted.
    pub ellipsis: bool,
    /// The local slot of the `@` name.
    pub at: Option<u32>,
    /// The `@` name.
    pub at_name: Option<Symbol>,
    /// Environment of the delayed defaults; variables here are of the function's own frame and environment.
    pub captures: Captures<'m>,
}

/// One formal of a pattern.
pub struct Formal<'m> {
    /// Its name.
    pub name: Symbol,
    /// Its place.
    pub span: SpanId,
    /// Its local slot.
    pub slot: u32,
    /// Its default.
    pub default: Option<Delay<'m>>,
    /// Whether the block of the defaults captures it.
    pub boxed: bool,
}
