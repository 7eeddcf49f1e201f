//! The heap of an evaluation: a bump arena, environments, and the stack of frames.
//!
//! Nothing in the arena owns outside memory, so dropping the heap frees everything at once.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

use super::arena::Arena;
use super::step::share_element;
use super::value::{Attrs, Failed, Lazy, List, Partial, Room, Slot, Value};
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::ir::expr::Code;
use crate::ir::module::{self, Module};
use crate::ir::text::{ContextElem, Str};

/// An environment block: a thin pointer to values, whose number the code that runs in it knows.
#[derive(Clone, Copy)]
pub struct Env<'h>(NonNull<Value<'h>>, PhantomData<&'h Value<'h>>);

impl<'h> Env<'h> {
    /// An environment for code that captures nothing.
    pub const fn empty() -> Self {
        Env(NonNull::dangling(), PhantomData)
    }

    /// The environment of these values.
    pub fn of(values: &'h [Value<'h>]) -> Self {
        match NonNull::new(values.as_ptr().cast_mut()) {
            Some(p) => Env(p, PhantomData),
            None => Env::empty(),
        }
    }

    /// Where it stands.
    #[inline(always)]
    pub(super) fn addr(self) -> usize {
        self.0.as_ptr().addr()
    }

    /// The captured value at this index, for the code that this block was built for.
    #[inline(always)]
    pub(super) fn get(self, i: u32) -> Value<'h> {
        // SAFETY: an environment reaches a code only together with its number, in a lambda or a
        // thunk, and both were put together by the construct whose captures built the block;
        // lowering keeps the indices in that code below the number of captures.
        unsafe { *self.0.as_ptr().add(i as usize) }
    }
}

/// The memory of one evaluation, and the modules whose code it may run.
#[derive(Default)]
pub struct Heap {
    arena: Arena,
    modules: RefCell<Vec<Arc<Module>>>,
    /// Boxed, so that references to them stay valid while the list grows.
    #[allow(clippy::vec_box)]
    contexts: RefCell<Vec<Box<ContextElem>>>,
}

impl Heap {
    /// An empty heap.
    pub fn new() -> Self {
        Heap::default()
    }

    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        self.arena.used()
    }

    /// Keeps a module alive as long as this heap, and gives its root code.
    pub fn adopt<'h>(&'h self, m: Arc<Module>) -> &'h Code<'h> {
        let root: *const Code<'_> = m.root();
        let root = root.cast::<Code<'h>>();
        self.modules.borrow_mut().push(m);
        // SAFETY: the module is now owned by the heap, which drops it only when `'h` is over.
        unsafe { &*root }
    }

    /// The code of a thunk or lambda on this heap.
    #[inline(always)]
    pub fn code<'h>(&'h self, id: u32) -> &'h Code<'h> {
        // SAFETY: values on this heap name only codes of modules it adopted.
        unsafe { module::code(id) }
    }

    /// Moves a value into the arena.
    #[inline(always)]
    pub fn alloc<T: Copy>(&self, v: T) -> &T {
        self.arena.alloc(v)
    }

    /// A new slot.
    #[inline(always)]
    pub fn slot<'h>(&'h self, v: Value<'h>) -> &'h Slot<'h> {
        self.arena.alloc(Slot::new(v))
    }

    /// A row of slots.
    pub fn slots<'h>(&'h self, n: usize) -> &'h [Slot<'h>] {
        self.arena.alloc_iter((0..n).map(|_| Slot::new(Value::Null(SpanId::NONE))))
    }

    /// A row of slots with these contents.
    pub fn slots_from<'h>(&'h self, values: impl ExactSizeIterator<Item = Value<'h>>) -> &'h [Slot<'h>] {
        self.arena.alloc_iter(values.map(Slot::new))
    }

    /// A row of values.
    pub fn values<'h>(&'h self, values: impl ExactSizeIterator<Item = Value<'h>>) -> &'h [Value<'h>] {
        self.arena.alloc_iter(values)
    }

    /// A row of values, made one by one.
    #[inline(always)]
    pub fn row<'h>(&'h self, n: usize, make: impl FnMut(usize) -> Value<'h>) -> &'h [Value<'h>] {
        self.arena.alloc_with(n, make)
    }

    /// A row of copyable things, made one by one.
    #[inline(always)]
    pub fn copies<T: Copy>(&self, n: usize, make: impl FnMut(usize) -> T) -> &[T] {
        self.arena.alloc_with(n, make)
    }

    /// A row of slots, made one by one.
    #[inline(always)]
    pub fn new_slots<'h>(&'h self, n: usize, mut make: impl FnMut(usize) -> Value<'h>) -> &'h [Slot<'h>] {
        self.arena.alloc_with(n, |i| Slot::new(make(i)))
    }

    /// A row of copyable things.
    pub fn slice<T: Copy>(&self, s: &[T]) -> &[T] {
        self.arena.alloc_copy(s)
    }

    /// Bytes.
    pub fn bytes_from(&self, s: &[u8]) -> &[u8] {
        self.arena.alloc_copy(s)
    }

    /// A string value without context.
    pub fn string<'h>(&'h self, s: &[u8]) -> Value<'h> {
        let bytes = self.arena.alloc_copy(s);
        Value::Str(self.arena.alloc(Str::plain(bytes, SpanId::NONE)))
    }

    /// A string value over bytes that are already on the heap or static.
    pub fn string_of<'h>(&'h self, bytes: &'h [u8]) -> Value<'h> {
        Value::Str(self.arena.alloc(Str::plain(bytes, SpanId::NONE)))
    }

    /// A string value with a context (sorted, without duplicates) and an origin.
    pub fn string_with<'h>(&'h self, s: &[u8], context: &'h [&'h ContextElem], origin: SpanId) -> Value<'h> {
        let bytes = self.arena.alloc_copy(s);
        Value::Str(self.arena.alloc(Str::with_context(bytes, context, origin)))
    }

    /// A string followed by another that has no context.
    pub fn append_str<'h>(&'h self, x: &Str<'h>, y: &Str<'h>, origin: SpanId) -> Value<'h> {
        let bytes = self.arena.append(x.bytes, y.bytes);
        Value::Str(self.arena.alloc(Str::with_context(bytes, x.context, origin)))
    }

    /// The name of a symbol as a string value.
    pub fn symbol<'h>(&'h self, s: Symbol) -> Value<'h> {
        Value::Str(self.arena.alloc(Str::of_symbol(s)))
    }

    /// A path value; `p` must be absolute and canonical.
    pub fn path<'h>(&'h self, p: &[u8]) -> Value<'h> {
        let bytes = self.arena.alloc_copy(p);
        Value::Path(self.arena.alloc(Str::plain(bytes, SpanId::NONE)))
    }

    /// A list value of these slots.
    pub fn list<'h>(&'h self, items: &'h [Slot<'h>], origin: SpanId) -> Value<'h> {
        Value::List(self.arena.alloc(List { items, origin, room: None }))
    }

    /// `x ++ y`, of which neither is empty.
    pub fn append<'h>(&'h self, x: &List<'h>, y: &'h [Slot<'h>], origin: SpanId) -> Value<'h> {
        let (had, len) = (x.items.len(), x.items.len() + y.len());
        if had < FEW {
            let items = self.arena.alloc_with(len, |i| {
                Slot::new(share_element(if i < had { &x.items[i] } else { &y[i - had] }))
            });
            return self.list(items, origin);
        }
        let room = match x.room {
            Some(room) if room.used.get() == had && room.slots.len() >= len => room,
            room => {
                // A list that filled its room by appending is likely to be appended to again.
                let filled = room.is_some_and(|room| room.used.get() == had);
                let capacity = if filled { len + len / 2 } else { len };
                let null = Value::Null(SpanId::NONE);
                let slots = self.arena.alloc_with(capacity, |i| {
                    Slot::new(if i < had { share_element(&x.items[i]) } else { null })
                });
                self.arena.alloc(Room { slots, used: Cell::new(had) })
            }
        };
        for (to, from) in room.slots[had..len].iter().zip(y) {
            self.update(to, share_element(from));
        }
        room.used.set(len);
        Value::List(self.arena.alloc(List { items: &room.slots[..len], origin, room: Some(room) }))
    }

    /// A set value.
    pub fn attrs<'h>(&'h self, a: Attrs<'h>) -> Value<'h> {
        Value::Attrs(self.arena.alloc(a))
    }

    /// A set of these attributes, in any order; of equal names the first holds.
    pub fn attrs_from<'h>(&'h self, mut list: Vec<(Symbol, SpanId, Value<'h>)>) -> Value<'h> {
        list.sort_by_key(|a| a.0);
        list.dedup_by_key(|a| a.0);
        let names = self.arena.alloc_iter(list.iter().map(|a| a.0));
        let spans: &[SpanId] = if list.iter().all(|a| a.1.is_none()) {
            &[]
        } else {
            self.arena.alloc_iter(list.iter().map(|a| a.1))
        };
        let values = self.slots_from(list.iter().map(|a| a.2));
        self.attrs(Attrs::flat(names, spans, values, SpanId::NONE))
    }

    /// A string on the heap.
    pub fn keep_str<'h>(&'h self, s: Str<'h>) -> &'h Str<'h> {
        self.arena.alloc(s)
    }

    /// A set on the heap.
    pub fn keep_attrs<'h>(&'h self, a: Attrs<'h>) -> &'h Attrs<'h> {
        self.arena.alloc(a)
    }

    /// A row of copyable things from an iterator.
    pub fn slice_from<T: Copy>(&self, it: impl ExactSizeIterator<Item = T>) -> &[T] {
        self.arena.alloc_iter(it)
    }

    /// A piece of delayed work.
    pub fn lazy<'h>(&'h self, l: Lazy<'h>) -> &'h Lazy<'h> {
        self.arena.alloc(l)
    }

    /// A function with some of its arguments.
    pub fn partial<'h>(&'h self, func: Value<'h>, args: &'h [Slot<'h>]) -> Value<'h> {
        Value::Partial(self.arena.alloc(Partial { func, args }))
    }

    /// A marker of a remembered failure.
    pub fn failed<'h>(&'h self, index: usize) -> Value<'h> {
        Value::Failed(self.arena.alloc(Failed { index }))
    }

    /// A context element that stays as long as the heap.
    pub fn context(&self, e: ContextElem) -> &ContextElem {
        let mut all = self.contexts.borrow_mut();
        all.push(Box::new(e));
        let last: *const ContextElem = &**all.last().expect("just pushed");
        // SAFETY: boxes in the list are neither moved out of nor dropped before the heap.
        unsafe { &*last }
    }
}

/// Lists shorter than this are copied to be appended to; longer ones may get room to grow.
const FEW: usize = 16;

/// The start of a region of the heap: what is handed out from here on.
#[derive(Clone, Copy)]
pub(super) struct Mark(usize);

/// Regions. A region is begun before a call or the evaluation of a thunk and ended with its result.
/// Why nothing but slots on the heap can refer into it when it ends:
/// - The Rust functions that ran inside it have returned; what they returned is the result.
/// - Functions that run around it got what they hold before it began.
/// - Frames around it belong to code that waits for the result. No reference to a frame's slots is
///   given to other code: sharing moves a slot's content to the heap first.
/// - Frames inside it are left.
/// - What an evaluation remembers beside the heap (imported files, store paths, globals) is told to
///   `Heap::pin`.
/// - A slot on the heap that is older than the region is changed only by `Heap::update`, or was
///   made by the code that fills it, after which no region inside that code is open.
impl<'h> Heap {
    /// Begins a region.
    #[inline(always)]
    pub(super) fn mark(&self) -> Mark {
        Mark(self.arena.top())
    }

    /// Ends a region with its result: gives its memory back if nothing refers to it any more.
    #[inline(always)]
    pub(super) fn end_region(&'h self, mark: Mark, result: Value<'h>) -> Value<'h> {
        let at = result.address();
        if at.wrapping_sub(mark.0) < self.arena.top().wrapping_sub(mark.0) {
            return match result {
                Value::Str(s) => self.compact(mark, s, result),
                _ => result,
            };
        }
        self.arena.give_back(mark.0);
        result
    }

    /// A string that was put together with much garbage is moved to the start of the region.
    #[inline]
    fn compact(&'h self, mark: Mark, s: &'h Str<'h>, result: Value<'h>) -> Value<'h> {
        let garbage = self.arena.top() - mark.0;
        if garbage < 1024 || garbage < s.bytes.len() * 4 || !s.context.is_empty() {
            return result;
        }
        self.compact_now(mark, s, result)
    }

    #[cold]
    fn compact_now(&'h self, mark: Mark, s: &'h Str<'h>, result: Value<'h>) -> Value<'h> {
        if !self.arena.can_give_back(mark.0) {
            return result;
        }
        let (bytes, origin) = (s.bytes.to_vec(), s.origin);
        self.arena.give_back(mark.0);
        let bytes = self.arena.alloc_copy(&bytes);
        Value::Str(self.arena.alloc(Str::plain(bytes, origin)))
    }

    /// Changes a slot that may be older than a region that is open: from a delayed value to its
    /// result, say. Tells whether the slot stands on the heap, or else in a frame.
    #[inline(always)]
    pub(super) fn update(&self, slot: &Slot<'h>, v: Value<'h>) -> bool {
        slot.set(v);
        let (at, to) = (std::ptr::from_ref(slot).addr(), v.address());
        if !self.arena.holds(at) {
            return false;
        }
        if to > at && to < self.arena.top() {
            self.arena.escape(at);
        }
        true
    }

    /// Keeps all that is on the heap now as long as the heap: something that stands elsewhere refers
    /// to it.
    pub(super) fn pin(&self) {
        self.arena.escape(0);
    }
}

/// Bytes of address space for frames; committed as they are touched.
const STACK_BYTES: usize = 1 << 30;

/// The stack of frames: local slots of all running codes.
pub struct FrameStack<'h> {
    base: NonNull<Slot<'h>>,
    top: usize,
    capacity: usize,
}

/// The frame of the running code.
///
/// Invariant: it was entered for the code that uses it, with that code's number of slots, so that
/// every index lowering put into the code is in range; and it is not used after it is left.
#[derive(Clone, Copy)]
pub struct Frame<'h>(NonNull<Slot<'h>>);

impl<'h> FrameStack<'h> {
    /// Reserves the address space.
    pub fn new() -> std::io::Result<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a fresh anonymous mapping aliases nothing.
        let p = unsafe {
            mmap_anonymous(std::ptr::null_mut(), STACK_BYTES, ProtFlags::READ | ProtFlags::WRITE, flags)?
        };
        let base = NonNull::new(p.cast()).ok_or_else(|| std::io::Error::other("no address"))?;
        Ok(FrameStack { base, top: 0, capacity: STACK_BYTES / size_of::<Slot<'h>>() })
    }

    /// Enters a frame of `n` slots; `None` when the stack is full. Zeroed memory is `Null`, as
    /// is whatever an earlier frame left: every slot is written before lowering lets it be read.
    #[inline(always)]
    pub fn push(&mut self, n: u32) -> Option<Frame<'h>> {
        let top = self.top + n as usize;
        if top > self.capacity {
            return None;
        }
        // SAFETY: `self.top <= capacity`, so the pointer is inside the mapping or one past it.
        let frame = Frame(unsafe { self.base.add(self.top) });
        self.top = top;
        Some(frame)
    }

    /// Leaves the frame of `n` slots that was entered last.
    #[inline(always)]
    pub fn pop(&mut self, n: u32) {
        self.top -= n as usize;
    }
}

impl Drop for FrameStack<'_> {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` and nothing refers to it any more: frames do not
        // outlive the evaluation that owns the stack.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), STACK_BYTES) };
    }
}

impl<'h> Frame<'h> {
    /// A frame for code without locals.
    pub const fn none() -> Self {
        Frame(NonNull::dangling())
    }

    /// The content of a local slot.
    #[inline(always)]
    pub(super) fn get(self, i: u32) -> Value<'h> {
        // SAFETY: see the type: lowering keeps `i` below the frame's size.
        unsafe { self.0.add(i as usize).as_ref().get() }
    }

    /// Writes a local slot.
    #[inline(always)]
    pub(super) fn set(self, i: u32, v: Value<'h>) {
        // SAFETY: see the type.
        unsafe { self.0.add(i as usize).as_ref().set(v) }
    }

    /// A local slot itself.
    /// Valid until the frame is left.
    #[inline(always)]
    pub(super) fn slot<'a>(self, i: u32) -> &'a Slot<'h> {
        // SAFETY: see the type.
        unsafe { self.0.add(i as usize).as_ref() }
    }

    /// The first `n` slots. Valid until the frame is left.
    #[inline(always)]
    pub(super) fn slots<'a>(self, n: usize) -> &'a [Slot<'h>] {
        // SAFETY: see the type; slots of a mapping are always initialised (zero is a value's tag).
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), n) }
    }
}
