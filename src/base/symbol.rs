//! Symbols: attribute and variable names as `u32`, interned for the life of the process.

use std::hash::{BuildHasher, BuildHasherDefault};
use std::sync::{Mutex, OnceLock};

use hashbrown::HashTable;
use rustc_hash::FxHasher;

/// An interned byte string. Equal symbols are equal names; the order of numbers means nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Symbol(pub u32);

/// Names are kept in rows of growing length that never move, so that they are read without a lock.
const FIRST_ROW: usize = 1024;
/// Enough rows for every `u32`.
const ROWS: usize = 23;

type Row = Box<[OnceLock<&'static [u8]>]>;

static NAMES: [OnceLock<Row>; ROWS] = [const { OnceLock::new() }; ROWS];

/// Bytes asked for at once to hold names.
const CHUNK: usize = 32 << 10;

/// A name in the index, with its hash: the table grows without looking at the names again, which lie all
/// over memory.
#[derive(Clone, Copy)]
struct Entry {
    number: u32,
    hash: u32,
}

/// What adding a name needs.
struct Table {
    index: HashTable<Entry>,
    len: u32,
    /// Memory for more names.
    spare: &'static mut [u8],
}

static TABLE: Mutex<Table> = Mutex::new(Table { index: HashTable::new(), len: 0, spare: &mut [] });

fn hash(name: &[u8]) -> u32 {
    let whole: u64 = BuildHasherDefault::<FxHasher>::default().hash_one(name);
    (whole ^ (whole >> 32)) as u32
}

/// A hash as the table wants it: its upper and its lower bits differ between names.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The row of a number, and the place in it.
fn place(number: u32) -> (usize, usize) {
    let n = number as usize + FIRST_ROW;
    let row = n.ilog2() - FIRST_ROW.ilog2();
    (row as usize, n - (FIRST_ROW << row))
}

fn name_of(number: u32) -> &'static [u8] {
    let (row, at) = place(number);
    NAMES[row].get().and_then(|row| row[at].get()).copied().unwrap_or_default()
}

impl Table {
    fn keep(&mut self, name: &[u8]) -> &'static [u8] {
        if name.len() > self.spare.len() {
            if name.len() > CHUNK / 8 {
                return Box::leak(name.to_vec().into_boxed_slice());
            }
            self.spare = Box::leak(vec![0; CHUNK].into_boxed_slice());
        }
        let (mine, rest) = std::mem::take(&mut self.spare).split_at_mut(name.len());
        self.spare = rest;
        mine.copy_from_slice(name);
        mine
    }
}

impl Symbol {
    /// The symbol of a name.
    ///
    /// # Panics
    /// When there are more than four thousand million names.
    pub fn intern(name: impl AsRef<[u8]>) -> Symbol {
        let name = name.as_ref();
        let h = hash(name);
        let mut t = TABLE.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(e) = t.index.find(spread(h), |e| e.hash == h && name_of(e.number) == name) {
            return Symbol(e.number);
        }
        let number = t.len;
        t.len = number.checked_add(1).expect("fewer names than fit the memory of a machine");
        let (row, at) = place(number);
        let kept = t.keep(name);
        let row = NAMES[row].get_or_init(|| (0..FIRST_ROW << row).map(|_| OnceLock::new()).collect());
        let _ = row[at].set(kept);
        t.index.insert_unique(spread(h), Entry { number, hash: h }, |e| spread(e.hash));
        Symbol(number)
    }

    /// The name of the symbol.
    pub fn name(self) -> &'static [u8] {
        name_of(self.0)
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
