//! Values: 16-byte copyable handles into the heap of an evaluation.
//!
//! A [`Slot`] is a cell that holds either a value in weak head normal form or a delayed one
//! (`Thunk`, `Lazy`), which forcing overwrites in place. `Ref` is an indirection to a slot that
//! is shared; two uses of one variable share its slot, which is what the equality of functions
//! inside lists and sets depends on.

use std::cell::Cell;

use super::builtins::Builtin;
use super::error::EvalError;
use super::heap::Env;
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::ir::text::Str;

/// The result of evaluating something.
pub type Res<T> = Result<T, Box<EvalError>>;

/// A value, or something that becomes one when forced.
#[derive(Clone, Copy)]
pub enum Value<'h> {
    /// `null`, and the literal it came from.
    Null(SpanId),
    /// A boolean.
    Bool(bool),
    /// An integer, and the literal it came from.
    Int(SpanId, i64),
    /// A float, and the literal it came from.
    Float(SpanId, f64),
    /// A string.
    Str(&'h Str<'h>),
    /// A path: absolute, canonical bytes.
    Path(&'h Str<'h>),
    /// A list.
    List(&'h List<'h>),
    /// An attribute set.
    Attrs(&'h Attrs<'h>),
    /// A function: its code's number and its environment.
    Lambda(u32, Env<'h>),
    /// A function that has some of its arguments.
    Partial(&'h Partial<'h>),
    /// A builtin function.
    Builtin(&'static Builtin),
    /// Delayed: a code's number and its environment.
    Thunk(u32, Env<'h>),
    /// Delayed: a piece of work of a builtin, and an index into it.
    Lazy(u32, &'h Lazy<'h>),
    /// The value is in that slot.
    Ref(&'h Slot<'h>),
    /// Being evaluated; the code's number, for the message.
    Blackhole(u32),
    /// Evaluation failed; forcing again fails alike.
    Failed(&'h Failed),
}

impl Value<'_> {
    /// The address that the value refers to; 0 if it refers to nothing on a heap.
    #[inline(always)]
    pub(super) fn address(self) -> usize {
        match self {
            Value::Null(_) | Value::Bool(_) | Value::Int(..) | Value::Float(..) | Value::Blackhole(_) => 0,
            Value::Str(p) | Value::Path(p) => std::ptr::from_ref(p).addr(),
            Value::List(p) => std::ptr::from_ref(p).addr(),
            Value::Attrs(p) => std::ptr::from_ref(p).addr(),
            Value::Lambda(_, env) | Value::Thunk(_, env) => env.addr(),
            Value::Partial(p) => std::ptr::from_ref(p).addr(),
            Value::Builtin(p) => std::ptr::from_ref(p).addr(),
            Value::Lazy(_, p) => std::ptr::from_ref(p).addr(),
            Value::Ref(p) => std::ptr::from_ref(p).addr(),
            Value::Failed(p) => std::ptr::from_ref(p).addr(),
        }
    }
}

/// A failure that is remembered. The error is kept outside the arena, in the evaluation, by index.
pub struct Failed {
    /// Index into the evaluation's table of failures.
    pub index: usize,
}

/// A cell for a value.
#[repr(transparent)]
pub struct Slot<'h>(Cell<Value<'h>>);

impl<'h> Slot<'h> {
    /// A slot with this content.
    pub const fn new(v: Value<'h>) -> Self {
        Slot(Cell::new(v))
    }

    /// Its content.
    #[inline(always)]
    pub fn get(&self) -> Value<'h> {
        self.0.get()
    }

    /// Replaces its content.
    #[inline(always)]
    pub fn set(&self, v: Value<'h>) {
        self.0.set(v);
    }
}

/// A list.
pub struct List<'h> {
    /// The elements.
    pub items: &'h [Slot<'h>],
    /// The list expression it was made by.
    pub origin: SpanId,
    /// The row that the elements are the start of, if it has room after them.
    pub room: Option<&'h Room<'h>>,
}

/// A row of slots that grows: lists made by appending to one another share it. A list whose elements
/// are all that is used of it may be appended to in place; any other must be copied.
pub struct Room<'h> {
    /// The whole row.
    pub slots: &'h [Slot<'h>],
    /// Slots in use by the longest list.
    pub used: Cell<usize>,
}

/// Work put off by a builtin. The `u32` beside it in [`Value::Lazy`] selects the element.
pub enum Lazy<'h> {
    /// `f list[i]`
    Map {
        /// The function.
        f: Slot<'h>,
        /// The list.
        items: &'h [Slot<'h>],
    },
    /// `f i`
    GenList {
        /// The function.
        f: Slot<'h>,
    },
    /// `f name value` for the i-th attribute of `names`.
    MapAttrs {
        /// The function.
        f: Slot<'h>,
        /// The names.
        names: &'h [Symbol],
        /// The values, in the order of `names`.
        values: &'h [Value<'h>],
    },
    /// `f args…`
    Apply {
        /// The function.
        f: Slot<'h>,
        /// The arguments.
        args: &'h [Slot<'h>],
    },
    /// Computed by a function from two operands.
    Native {
        /// What computes it.
        run: fn(&mut super::Evaluation<'h>, u32, Value<'h>, Value<'h>) -> Res<Value<'h>>,
        /// First operand.
        a: Value<'h>,
        /// Second operand.
        b: Value<'h>,
    },
}

/// A function with fewer arguments than it takes.
pub struct Partial<'h> {
    /// A `Lambda` or a `Builtin`.
    pub func: Value<'h>,
    /// The arguments so far.
    pub args: &'h [Slot<'h>],
}

/// An attribute set: names sorted by symbol number, values beside them, and for the result of `//`
/// with a small right side a layer over another set.
pub struct Attrs<'h> {
    /// Names of this layer, sorted.
    pub names: &'h [Symbol],
    /// Places of the names, in the same order; empty when unknown.
    pub spans: &'h [SpanId],
    /// Values, in the same order.
    pub values: &'h [Slot<'h>],
    /// The set below, whose attributes hold where this layer has none.
    pub base: Option<&'h Attrs<'h>>,
    /// Number of attributes in all layers together.
    pub len: u32,
    /// Number of layers below.
    pub depth: u32,
    /// The expression it was made by.
    pub origin: SpanId,
}

/// An attribute that was found.
#[derive(Clone, Copy)]
pub struct Attr<'h> {
    /// Its name.
    pub name: Symbol,
    /// Place of the name.
    pub span: SpanId,
    /// Its value.
    pub slot: &'h Slot<'h>,
}

const LINEAR: usize = 8;

#[inline(always)]
fn search(names: &[Symbol], name: Symbol) -> Option<usize> {
    if names.len() <= LINEAR {
        names.iter().position(|&n| n == name)
    } else {
        names.binary_search(&name).ok()
    }
}

impl<'h> Attrs<'h> {
    /// The empty set's parts over a given slice of nothing.
    pub fn flat(names: &'h [Symbol], spans: &'h [SpanId], values: &'h [Slot<'h>], origin: SpanId) -> Self {
        debug_assert_eq!(names.len(), values.len());
        Attrs { names, spans, values, base: None, len: names.len() as u32, depth: 0, origin }
    }

    /// The value of an attribute.
    #[inline]
    pub fn get(&self, name: Symbol) -> Option<&'h Slot<'h>> {
        let mut layer = self;
        loop {
            if let Some(i) = search(layer.names, name) {
                return Some(&layer.values[i]);
            }
            layer = layer.base?;
        }
    }

    /// The value of an attribute, trying first the index where it was found last time.
    #[inline(always)]
    pub fn get_hinted(&self, name: Symbol, hint: &std::sync::atomic::AtomicU32) -> Option<&'h Slot<'h>> {
        use std::sync::atomic::Ordering::Relaxed;
        let h = hint.load(Relaxed) as usize;
        if self.names.get(h) == Some(&name) {
            return Some(&self.values[h]);
        }
        if let Some(i) = search(self.names, name) {
            hint.store(i as u32, Relaxed);
            return Some(&self.values[i]);
        }
        self.base?.get(name)
    }

    /// An attribute with the place of its name.
    pub fn find(&self, name: Symbol) -> Option<Attr<'h>> {
        let mut layer = self;
        loop {
            if let Some(i) = search(layer.names, name) {
                return Some(layer.at(i));
            }
            layer = layer.base?;
        }
    }

    fn at(&self, i: usize) -> Attr<'h> {
        Attr {
            name: self.names[i],
            span: self.spans.get(i).copied().unwrap_or(SpanId::NONE),
            slot: &self.values[i],
        }
    }

    /// Number of attributes.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All attributes, sorted by symbol number.
    pub fn to_vec(&self) -> Vec<Attr<'h>> {
        let Some(base) = self.base else { return (0..self.names.len()).map(|i| self.at(i)).collect() };
        let mut above: Vec<Attr<'h>> = (0..self.names.len()).map(|i| self.at(i)).collect();
        let mut layer = base;
        loop {
            above = layer.under(&above);
            match layer.base {
                Some(below) => layer = below,
                None => return above,
            }
        }
    }

    /// The attributes of this layer with those of the layers above it.
    fn under(&self, above: &[Attr<'h>]) -> Vec<Attr<'h>> {
        let mut out = Vec::with_capacity(above.len() + self.names.len());
        let mut i = 0;
        for a in above {
            while i < self.names.len() && self.names[i] < a.name {
                out.push(self.at(i));
                i += 1;
            }
            if self.names.get(i) == Some(&a.name) {
                i += 1;
            }
            out.push(*a);
        }
        out.extend((i..self.names.len()).map(|i| self.at(i)));
        out
    }

    /// All attributes, sorted by the bytes of their names.
    pub fn sorted(&self) -> Vec<Attr<'h>> {
        let mut v: Vec<(&'static [u8], Attr<'h>)> =
            self.to_vec().into_iter().map(|a| (a.name.name(), a)).collect();
        v.sort_unstable_by_key(|&(name, _)| name);
        v.into_iter().map(|(_, a)| a).collect()
    }
}
