//! Symbols: attribute and variable names as `u32`, interned for the life of the process.

use std::hash::{BuildHasher, BuildHasherDefault};
use std::sync::{Mutex, OnceLock, RwLock};

use hashbrown::HashTable;
use rustc_hash::FxHasher;

/// An interned byte string. Equal symbols are equal names; the order of numbers means nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Symbol(pub u32);

#[derive(Default)]
struct Table {
    index: HashTable<u32>,
}

static NAMES: RwLock<Vec<&'static [u8]>> = RwLock::new(Vec::new());

fn table() -> &'static Mutex<Table> {
    static TABLE: OnceLock<Mutex<Table>> = OnceLock::new();
    TABLE.get_or_init(Mutex::default)
}

fn hash(name: &[u8]) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(name)
}

impl Symbol {
    /// The symbol of a name.
    pub fn intern(name: impl AsRef<[u8]>) -> Symbol {
        let name = name.as_ref();
        let h = hash(name);
        let mut t = table().lock().unwrap_or_else(|e| e.into_inner());
        let names = NAMES.read().unwrap_or_else(|e| e.into_inner());
        if let Some(&i) = t.index.find(h, |&i| names[i as usize] == name) {
            return Symbol(i);
        }
        drop(names);
        let leaked: &'static [u8] = Box::leak(name.to_vec().into_boxed_slice());
        let mut names = NAMES.write().unwrap_or_else(|e| e.into_inner());
        let i = names.len() as u32;
        names.push(leaked);
        t.index.insert_unique(h, i, |&i| hash(names[i as usize]));
        Symbol(i)
    }

    /// The name of the symbol.
    pub fn name(self) -> &'static [u8] {
        NAMES.read().unwrap_or_else(|e| e.into_inner())[self.0 as usize]
    }

    /// The name as text, with bytes that are not UTF-8 replaced.
    pub fn text(self) -> std::borrow::Cow<'static, str> {
        String::from_utf8_lossy(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_equal_symbols() {
        let a = Symbol::intern("nixactions-a");
        assert_eq!(a, Symbol::intern("nixactions-a"));
        assert_ne!(a, Symbol::intern("nixactions-b"));
        assert_eq!(a.name(), b"nixactions-a");
    }
}
