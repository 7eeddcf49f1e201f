//! The memory of a heap: one growing run of bytes, handed out in order, and given back from its end.
//!
//! The address space is reserved once, so that an address tells the age of what stands there: of two
//! things on the heap the one at the lower address was made first. That is what makes regions cheap.
//!
//! A **region** is the run of the heap that was handed out since a mark. When a piece of work (a call,
//! a thunk) ends with a result that does not point into its region, and nothing older was made to
//! point into it, then all of the region is garbage, and the end of the heap goes back to the mark.
//! What older slots were made to point at is written down as intervals by [`Arena::escape`].
//!
//! Invariants on which the `unsafe` code here rests:
//! 1. `base <= top <= limit`, all of `base..limit` is mapped and writable, and belongs to this arena.
//! 2. Every address handed out is a multiple of 8, and lies in `base..top` until it is given back.
//! 3. Memory is given back only by [`Arena::give_back`], whose caller keeps the rule above.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ptr;

/// Address space that is asked for at first; less is taken where that much is refused.
const RESERVE: usize = 1 << 38;
/// The least that is worth running with.
const LEAST: usize = 1 << 26;
/// Bytes from which on appending leaves room for more.
const GROWS: usize = 256;
/// Intervals kept apart; above that neighbours are joined.
const MAX_INTERVALS: usize = 256;

/// A run of memory handed out from its start.
pub(super) struct Arena {
    base: Cell<usize>,
    top: Cell<usize>,
    limit: Cell<usize>,
    /// The last interval: no mark in `last.0 + 1 ..= last.1` may be gone back to. Zero if none.
    last: Cell<(usize, usize)>,
    /// What was last made by appending.
    growing: Cell<Growing>,
    /// The intervals below it, rising and apart.
    intervals: RefCell<Vec<(usize, usize)>>,
}

/// Bytes made by appending, and the room behind them. Written through the pointer that they were made
/// with: one that comes from a row of bytes, which is shared, is good for reading only.
#[derive(Clone, Copy)]
struct Growing {
    start: *mut u8,
    len: usize,
    capacity: usize,
}

impl Growing {
    const NONE: Growing = Growing { start: ptr::null_mut(), len: 0, capacity: 0 };
}

impl Default for Arena {
    /// An arena with its address space.
    fn default() -> Self {
        let arena = Arena {
            base: Cell::new(0),
            top: Cell::new(0),
            limit: Cell::new(0),
            last: Cell::new((0, 0)),
            growing: Cell::new(Growing::NONE),
            intervals: RefCell::new(Vec::new()),
        };
        arena.reserve();
        arena
    }
}

impl Arena {
    /// Bytes handed out.
    pub(super) fn used(&self) -> usize {
        self.top.get() - self.base.get()
    }

    /// The end of what is handed out.
    #[inline(always)]
    pub(super) fn top(&self) -> usize {
        self.top.get()
    }

    /// Whether an address lies in what is handed out.
    #[inline(always)]
    pub(super) fn holds(&self, address: usize) -> bool {
        address.wrapping_sub(self.base.get()) < self.used()
    }

    /// Memory for `bytes` bytes, a multiple of 8 away from the start.
    #[inline(always)]
    fn raw(&self, bytes: usize) -> *mut u8 {
        let at = self.top.get();
        let bytes = bytes.wrapping_add(7) & !7;
        if bytes > self.limit.get() - at {
            self.exhausted(bytes);
        }
        self.top.set(at + bytes);
        ptr::with_exposed_provenance_mut(at)
    }

    #[cold]
    #[inline(never)]
    fn exhausted(&self, bytes: usize) -> ! {
        let layout = std::alloc::Layout::from_size_align(bytes.min(isize::MAX as usize / 2), 8);
        std::alloc::handle_alloc_error(layout.unwrap_or(std::alloc::Layout::new::<u64>()))
    }

    fn reserve(&self) {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        let mut size = RESERVE;
        let at = loop {
            let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
            // SAFETY: a fresh anonymous mapping aliases nothing.
            let p =
                unsafe { mmap_anonymous(ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, flags) };
            match p {
                Ok(p) => break p.expose_provenance(),
                Err(_) if size > LEAST => size /= 2,
                Err(_) => std::alloc::handle_alloc_error(std::alloc::Layout::new::<u64>()),
            }
        };
        self.base.set(at);
        self.top.set(at);
        self.limit.set(at + size);
    }

    /// Moves a value into the arena. What it owns outside is never dropped, so it must own nothing.
    #[inline(always)]
    pub(super) fn alloc<T>(&self, v: T) -> &T {
        const { assert!(!std::mem::needs_drop::<T>() && align_of::<T>() <= 8 && size_of::<T>() > 0) };
        let p = self.raw(size_of::<T>()).cast::<T>();
        // SAFETY: by the invariants `p` is good for a `T`, and nothing else refers to it.
        unsafe {
            p.write(v);
            &*p
        }
    }

    /// Moves what an iterator yields into the arena: exactly as many as it says.
    ///
    /// # Panics
    /// If it yields fewer.
    #[inline(always)]
    pub(super) fn alloc_iter<T>(&self, mut it: impl ExactSizeIterator<Item = T>) -> &[T] {
        const { assert!(!std::mem::needs_drop::<T>() && align_of::<T>() <= 8) };
        let n = it.len();
        if n == 0 {
            return &[];
        }
        let bytes = n.checked_mul(size_of::<T>()).filter(|&b| b < RESERVE).unwrap_or(RESERVE);
        let p = self.raw(bytes).cast::<T>();
        for i in 0..n {
            let v = it.next().expect("an iterator as long as it says");
            // SAFETY: `i` is below the number of places that were taken.
            unsafe { p.add(i).write(v) };
        }
        // SAFETY: all `n` places are written, and only this row refers to them.
        unsafe { std::slice::from_raw_parts(p, n) }
    }

    /// Makes a row in the arena, one by one; making one may use the arena too.
    #[inline(always)]
    pub(super) fn alloc_with<T>(&self, n: usize, mut make: impl FnMut(usize) -> T) -> &[T] {
        const { assert!(!std::mem::needs_drop::<T>() && align_of::<T>() <= 8) };
        if n == 0 {
            return &[];
        }
        let bytes = n.checked_mul(size_of::<T>()).filter(|&b| b < RESERVE).unwrap_or(RESERVE);
        let p = self.raw(bytes).cast::<T>();
        for i in 0..n {
            let v = make(i);
            // SAFETY: `i` is below the number of places that were taken.
            unsafe { p.add(i).write(v) };
        }
        // SAFETY: all `n` places are written, and only this row refers to them.
        unsafe { std::slice::from_raw_parts(p, n) }
    }

    /// Copies a row into the arena.
    #[inline(always)]
    pub(super) fn alloc_copy<T: Copy>(&self, s: &[T]) -> &[T] {
        const { assert!(align_of::<T>() <= 8) };
        if s.is_empty() {
            return &[];
        }
        let p = self.raw(size_of_val(s)).cast::<T>();
        // SAFETY: the places are fresh, so they overlap nothing, and as many as the row has.
        unsafe {
            ptr::copy_nonoverlapping(s.as_ptr(), p, s.len());
            std::slice::from_raw_parts(p, s.len())
        }
    }

    /// `x` followed by `y`. Where `x` was itself made so just before, `y` is written behind it, so that
    /// appending in a loop costs what is appended.
    pub(super) fn append(&self, x: &[u8], y: &[u8]) -> &[u8] {
        let len = x.len() + y.len();
        let mut growing = self.growing.get();
        let again = x.len() >= GROWS && growing.len == x.len() && growing.start.addr() == x.as_ptr().addr();
        if !again || y.len() > growing.capacity - growing.len {
            let capacity = if again { len * 2 } else { len };
            let start = self.raw(capacity);
            // SAFETY: the memory is fresh, so it overlaps nothing, and `x` fits.
            unsafe { ptr::copy_nonoverlapping(x.as_ptr(), start, x.len()) };
            growing = Growing { start, len: x.len(), capacity };
        }
        let Growing { start, .. } = growing;
        // SAFETY: behind `x` is room for `y` that was handed out for this and belongs to no row yet:
        // rows over this memory end at or before the length that is kept in `growing`.
        unsafe { ptr::copy_nonoverlapping(y.as_ptr(), start.add(x.len()), y.len()) };
        if len >= GROWS {
            self.growing.set(Growing { len, ..growing });
        }
        // SAFETY: all `len` bytes are written, and none of them is written again: only bytes from the
        // length in `growing` on are, and that never falls while the room is in use.
        unsafe { std::slice::from_raw_parts(start, len) }
    }

    /// Writes down that the slot at `slot` was made to point at something younger than itself: no
    /// region that began after the slot was made may end by giving its memory back.
    #[inline]
    pub(super) fn escape(&self, slot: usize) {
        let (from, to) = self.last.get();
        let top = self.top.get();
        if slot >= from && slot <= to {
            self.last.set((from, top));
        } else {
            self.escape_apart(slot, top);
        }
    }

    #[cold]
    fn escape_apart(&self, slot: usize, top: usize) {
        let mut all = self.intervals.borrow_mut();
        let mut joined = (slot, top);
        let last = self.last.get();
        if last.1 != 0 {
            all.push(last);
        }
        while let Some(&(from, to)) = all.last() {
            if slot > to && all.len() < MAX_INTERVALS {
                break;
            }
            joined.0 = joined.0.min(from);
            all.pop();
            if slot > to {
                break;
            }
        }
        self.last.set(joined);
    }

    /// Whether nothing older points into what was handed out since `mark`. Forgets what was written
    /// down about that part of the heap, if so.
    #[inline(always)]
    fn is_closed(&self, mark: usize) -> bool {
        self.last.get().1 <= mark || self.close(mark)
    }

    #[cold]
    #[inline(never)]
    fn close(&self, mark: usize) -> bool {
        let mut all = self.intervals.borrow_mut();
        let (mut from, to) = self.last.get();
        let mut kept = all.len();
        while kept > 0 && all[kept - 1].1 > mark {
            kept -= 1;
            from = from.min(all[kept].0);
        }
        all.truncate(kept);
        if from < mark {
            self.last.set((from, to));
            return false;
        }
        self.last.set(all.pop().unwrap_or((0, 0)));
        true
    }

    /// Gives back what was handed out since `mark`, unless something older points into it.
    ///
    /// The caller knows that no reference into that part is used any more, except from slots on the
    /// heap, all of whose changes are told to [`Arena::escape`].
    #[inline(always)]
    pub(super) fn give_back(&self, mark: usize) {
        if self.top.get() != mark && self.is_closed(mark) {
            #[cfg(debug_assertions)]
            self.poison(mark);
            let growing = self.growing.get();
            if growing.start.addr() + growing.capacity > mark {
                self.growing.set(Growing::NONE);
            }
            self.top.set(mark);
        }
    }

    /// Whether [`Arena::give_back`] would give something back.
    pub(super) fn can_give_back(&self, mark: usize) -> bool {
        self.is_closed(mark)
    }

    /// In debug builds makes whoever still uses the memory after `mark` fail soon.
    #[cfg(debug_assertions)]
    fn poison(&self, mark: usize) {
        // SAFETY: the range was handed out, so it is mapped; the caller of `give_back` says that
        // nobody uses it.
        unsafe { ptr::with_exposed_provenance_mut::<u8>(mark).write_bytes(0xdb, self.top.get() - mark) };
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let p = ptr::with_exposed_provenance_mut(self.base.get());
        // SAFETY: the mapping was made by `reserve`, and what refers to it borrows the arena.
        let _ = unsafe { rustix::mm::munmap(p, self.limit.get() - self.base.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_nothing_points_at() {
        let a = Arena::default();
        a.alloc(1u64);
        let mark = a.top();
        a.alloc([0u64; 100]);
        a.give_back(mark);
        assert_eq!(a.top(), mark);
    }

    #[test]
    fn keeps_what_something_older_points_at() {
        let a = Arena::default();
        let old = ptr::from_ref(a.alloc(1u64)).addr();
        let outer = a.top();
        let young = ptr::from_ref(a.alloc(2u64)).addr();
        let inner = a.top();
        a.alloc(3u64);
        a.escape(young);
        a.give_back(inner);
        assert!(a.top() > inner, "`young` points at it");
        a.give_back(outer);
        assert_eq!(a.top(), outer, "`young` is gone too");
        a.alloc(4u64);
        a.escape(old);
        let later = a.top();
        a.alloc(5u64);
        a.give_back(later);
        assert_eq!(a.top(), later, "was made after `old` was changed");
        a.give_back(outer);
        assert_eq!(a.top(), later);
    }

    #[test]
    fn many_intervals_are_joined() {
        let a = Arena::default();
        let outer = a.top();
        for _ in 0..2000 {
            let slot = ptr::from_ref(a.alloc(1u64)).addr();
            a.alloc(2u64);
            a.escape(slot);
            a.alloc(3u64);
        }
        assert!(a.intervals.borrow().len() <= MAX_INTERVALS);
        a.give_back(outer);
        assert_ne!(a.top(), 0);
    }

    #[test]
    fn appending_shares_what_it_can_and_changes_nothing() {
        let a = Arena::default();
        let x = vec![b'x'; 300];
        let one = a.append(&x, b"1");
        let two = a.append(one, b"2");
        let three = a.append(two, b"3");
        assert_eq!(two.as_ptr(), three.as_ptr(), "in place");
        let other = a.append(two, b"4");
        assert_ne!(other.as_ptr(), two.as_ptr(), "`three` stands there already");
        for (text, end) in [(one, "1"), (two, "12"), (three, "123"), (other, "124")] {
            assert_eq!(text, [&x[..], end.as_bytes()].concat());
        }
        let mark = a.top();
        let gone = a.append(other, b"5").len();
        a.give_back(mark);
        assert_eq!(a.append(other, b"6").len(), gone);
        assert_eq!(other.last(), Some(&b'4'));
    }

    #[test]
    fn rows_of_all_lengths() {
        let a = Arena::default();
        for n in 0..100usize {
            assert_eq!(a.alloc_iter(0..n).len(), n);
            assert_eq!(a.alloc_copy(&vec![7u8; n]), vec![7u8; n]);
        }
        assert!(a.holds(ptr::from_ref(a.alloc(1u32)).addr()) && !a.holds(8));
    }
}
