//! A lowered file, and the process-wide table of codes.
//!
//! A thunk names its code by a `u32`, so that it fits a 16-byte value together with its
//! environment. The number is an index into a table that is chunked and never moves; a module
//! reserves its numbers when it is made and gives them back when it is dropped.
#![allow(unsafe_code)]

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex};

use bumpalo::Bump;

use super::expr::Code;
use crate::base::source::{Source, SpanBlock};

const CHUNK: usize = 4096;
const CHUNKS: usize = 8192;

struct Chunk([AtomicPtr<Code<'static>>; CHUNK]);

static TABLE: [AtomicPtr<Chunk>; CHUNKS] = [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS];

/// Free ranges of code numbers, as (start, length), sorted and merged.
static FREE: Mutex<Vec<(u32, u32)>> = Mutex::new(Vec::new());
static NEXT: Mutex<u32> = Mutex::new(0);

/// A block of code numbers.
pub struct CodeIds {
    base: u32,
    len: u32,
}

/// More code was loaded than the table of codes can hold.
#[derive(Debug, thiserror::Error)]
#[error("too much code is loaded at once (limit: 33 million expressions)")]
pub struct TooMuchCode;

impl CodeIds {
    /// Reserves `len` numbers.
    pub fn reserve(len: u32) -> Result<CodeIds, TooMuchCode> {
        let mut free = FREE.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(i) = free.iter().position(|&(_, l)| l >= len) {
            let (base, l) = free[i];
            if l == len {
                free.remove(i);
            } else {
                free[i] = (base + len, l - len);
            }
            return Ok(CodeIds { base, len });
        }
        let mut next = NEXT.lock().unwrap_or_else(|e| e.into_inner());
        let base = *next;
        let end = base.checked_add(len).filter(|&e| e as usize <= CHUNK * CHUNKS).ok_or(TooMuchCode)?;
        let first_chunk = (base as usize).div_ceil(CHUNK);
        for slot in &TABLE[first_chunk..(end as usize).div_ceil(CHUNK)] {
            let chunk = Box::new(Chunk([const { AtomicPtr::new(ptr::null_mut()) }; CHUNK]));
            slot.store(Box::into_raw(chunk), Ordering::Release);
        }
        *next = end;
        Ok(CodeIds { base, len })
    }

    /// The number of the `index`-th code of the block.
    pub fn id(&self, index: u32) -> u32 {
        assert!(index < self.len);
        self.base + index
    }
}

impl Drop for CodeIds {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        let mut free = FREE.lock().unwrap_or_else(|e| e.into_inner());
        let i = free.partition_point(|&(b, _)| b < self.base);
        free.insert(i, (self.base, self.len));
        if i + 1 < free.len() && free[i].0 + free[i].1 == free[i + 1].0 {
            free[i].1 += free.remove(i + 1).1;
        }
        if i > 0 && free[i - 1].0 + free[i - 1].1 == free[i].0 {
            free[i - 1].1 += free.remove(i).1;
        }
    }
}

fn table_slot(id: u32) -> &'static AtomicPtr<Code<'static>> {
    let chunk = TABLE[id as usize / CHUNK].load(Ordering::Acquire);
    // SAFETY: `reserve` stored the chunk before any number in it was handed out, and chunks are
    // never freed.
    unsafe { &(&(*chunk).0)[id as usize % CHUNK] }
}

/// The code with this number.
///
/// # Safety
/// The module that owns the number must be alive for `'a`.
#[inline]
pub unsafe fn code<'a>(id: u32) -> &'a Code<'a> {
    // SAFETY: by the caller, the module is alive, and it published a code for each of its numbers.
    unsafe {
        let chunk = TABLE.get_unchecked(id as usize / CHUNK).load(Ordering::Relaxed);
        let codes: &[AtomicPtr<Code<'static>>; CHUNK] = &(*chunk).0;
        let code = codes.get_unchecked(id as usize % CHUNK).load(Ordering::Relaxed);
        &*code.cast::<Code<'a>>()
    }
}

/// A lowered file: an arena with its codes, immutable once made, shareable between threads.
pub struct Module {
    root: *const Code<'static>,
    _ids: CodeIds,
    spans: Arc<SpanBlock>,
    _arena: Bump,
}

// SAFETY: after `Module::new` nothing writes to the arena but the atomics in it.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

impl Module {
    /// Makes a module of an arena and the codes built in it, and publishes the codes.
    ///
    /// # Safety
    /// `root` and all `codes` must have been allocated in `arena` and refer only to `arena`, to
    /// `'static` data, and to span numbers of `spans`. `codes` holds exactly one code for each
    /// number of `ids`.
    pub unsafe fn new<'m>(
        arena: Bump,
        root: *const Code<'m>,
        codes: &[*const Code<'m>],
        ids: CodeIds,
        spans: Arc<SpanBlock>,
    ) -> Arc<Module> {
        assert_eq!(codes.len(), ids.len as usize);
        for &c in codes {
            // SAFETY: by the caller, `c` points into the arena.
            let id = unsafe { (*c).id };
            assert!(id >= ids.base && id < ids.base + ids.len);
            table_slot(id).store(c.cast_mut().cast(), Ordering::Release);
        }
        Arc::new(Module { root: root.cast(), _ids: ids, spans, _arena: arena })
    }

    /// Makes a module whose arena, of `capacity` bytes and more if need be, is filled by `make`, which returns the root and all codes, one for
    /// each number of `ids`.
    ///
    /// # Panics
    /// If the codes are not as many as the numbers.
    pub fn build(
        ids: CodeIds,
        spans: Arc<SpanBlock>,
        capacity: usize,
        make: impl for<'m> FnOnce(&'m Bump, &CodeIds) -> (&'m Code<'m>, Vec<&'m Code<'m>>),
    ) -> Arc<Module> {
        let arena = Bump::with_capacity(capacity);
        let (root, codes) = make(&arena, &ids);
        let root = ptr::from_ref(root).cast::<Code<'static>>();
        let codes: Vec<_> = codes.into_iter().map(|c| ptr::from_ref(c).cast::<Code<'static>>()).collect();
        // SAFETY: `make` knows nothing about `'m`, so what it returns can refer only to the arena it
        // was given and to `'static` data; moving the arena does not move what stands in it.
        unsafe { Module::new(arena, root, &codes, ids, spans) }
    }

    /// The file as a thunk code (arity 0, no captures).
    pub fn root(&self) -> &Code<'_> {
        // SAFETY: `root` points into the arena, which lives as long as `self`.
        unsafe { &*self.root.cast() }
    }

    /// The text it was lowered from.
    pub fn source(&self) -> &Arc<Source> {
        self.spans.source()
    }
}
