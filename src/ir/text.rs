//! Strings and their contexts, shared by constants in a module and values on a heap.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::base::source::SpanId;
use crate::base::symbol::Symbol;

/// One element of a string context: what the string's bytes refer to in the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContextElem {
    /// A store path as it is, by its absolute path.
    Opaque(Box<[u8]>),
    /// The derivation itself with all its outputs (what `drvPath` carries).
    DrvDeep(Box<[u8]>),
    /// An output of a derivation: derivation path and output name.
    Built(Box<[u8]>, Box<[u8]>),
    /// An output of a derivation that is itself an output of one, and so on: the path of the first
    /// derivation and at least two output names, outermost last.
    Dynamic(Box<[u8]>, Box<[Box<[u8]>]>),
}

impl ContextElem {
    /// As messages write it in full: the store path, with `^` and the outputs meant.
    pub fn encoded(&self) -> String {
        let text = String::from_utf8_lossy;
        match self {
            ContextElem::Opaque(p) => text(p).into_owned(),
            ContextElem::DrvDeep(p) => format!("{}^*", text(p)),
            ContextElem::Built(p, output) => format!("{}^{}", text(p), text(output)),
            ContextElem::Dynamic(p, outputs) => {
                outputs.iter().fold(text(p).into_owned(), |path, output| format!("{path}^{}", text(output)))
            }
        }
    }
}

/// A Nix string: bytes, context, and where its literal stands.
pub struct Str<'a> {
    /// The bytes; any bytes, though never NUL.
    pub bytes: &'a [u8],
    /// Sorted and without duplicates; empty for most strings.
    pub context: &'a [&'a ContextElem],
    /// The literal or constructor expression it was made by, if known.
    pub origin: SpanId,
    symbol: AtomicU32,
}

const NO_SYMBOL: u32 = u32::MAX;

impl<'a> Str<'a> {
    /// A string without context.
    pub fn plain(bytes: &'a [u8], origin: SpanId) -> Self {
        Str { bytes, context: &[], origin, symbol: AtomicU32::new(NO_SYMBOL) }
    }

    /// A string with a context, which must be sorted and without duplicates.
    pub fn with_context(bytes: &'a [u8], context: &'a [&'a ContextElem], origin: SpanId) -> Self {
        Str { bytes, context, origin, symbol: AtomicU32::new(NO_SYMBOL) }
    }

    /// A string that is the name of a symbol.
    pub fn of_symbol(symbol: Symbol) -> Str<'static> {
        Str { bytes: symbol.name(), context: &[], origin: SpanId::NONE, symbol: AtomicU32::new(symbol.0) }
    }

    /// The symbol of these bytes, remembered.
    pub fn symbol(&self) -> Symbol {
        match self.symbol.load(Ordering::Relaxed) {
            NO_SYMBOL => {
                let s = Symbol::intern(self.bytes);
                self.symbol.store(s.0, Ordering::Relaxed);
                s
            }
            s => Symbol(s),
        }
    }
}
