//! Source texts and spans.
//!
//! Every span in the program is one [`SpanId`]: a `u32` in a process-wide number space. A source
//! registers a table of byte ranges and receives a contiguous block of identifiers, so that syntax
//! nodes, values and attribute positions carry four bytes and line numbers are computed only when
//! somebody looks. Blocks of dropped sources are reused.

use super::spans::Spans;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, Weak};

/// A byte range in some source, or [`SpanId::NONE`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SpanId(pub u32);

impl SpanId {
    /// No known place.
    pub const NONE: SpanId = SpanId(0);

    /// Whether this is [`SpanId::NONE`].
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The place this identifier stands for; `None` for [`SpanId::NONE`] and for dropped sources.
    pub fn resolve(self) -> Option<Place> {
        registry().lock().unwrap_or_else(|e| e.into_inner()).resolve(self)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpanId({})", self.0)
    }
}

/// Where a source text came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SourceName {
    /// A file, by absolute path.
    Path(PathBuf),
    /// A file embedded in the binary, shown as `<nixactions/NAME>`.
    Embedded(&'static str),
    /// An expression given on the command line.
    String,
    /// Standard input.
    Stdin,
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceName::Path(p) => write!(f, "{}", p.display()),
            SourceName::Embedded(name) => write!(f, "<nixactions/{name}>"),
            SourceName::String => write!(f, "«string»"),
            SourceName::Stdin => write!(f, "«stdin»"),
        }
    }
}

/// A text and the table of its spans.
pub struct Source {
    name: SourceName,
    text: Arc<[u8]>,
    lines: OnceLock<Vec<u32>>,
}

impl Source {
    /// A source with this name and text; spans are registered separately, by [`register`].
    pub fn new(name: SourceName, text: impl Into<Arc<[u8]>>) -> Arc<Source> {
        Arc::new(Source { name, text: text.into(), lines: OnceLock::new() })
    }

    /// Its name.
    pub fn name(&self) -> &SourceName {
        &self.name
    }

    /// Its bytes.
    pub fn text(&self) -> &Arc<[u8]> {
        &self.text
    }

    /// Its path, when it is a file.
    pub fn path(&self) -> Option<&Path> {
        match &self.name {
            SourceName::Path(p) => Some(p),
            _ => None,
        }
    }

    /// Line and column, both counted from 1, the column in bytes (as Nix counts). A lone carriage return ends a
    /// line too, as it ends a comment.
    pub fn line_col(&self, offset: u32) -> (u32, u32) {
        let starts = self.lines.get_or_init(|| {
            let mut v = vec![0u32];
            let ends = memchr::memchr2_iter(b'\n', b'\r', &self.text);
            let ends = ends.filter(|&i| self.text[i] == b'\n' || self.text.get(i + 1) != Some(&b'\n'));
            v.extend(ends.map(|i| i as u32 + 1));
            v
        });
        let line = starts.partition_point(|&s| s <= offset).max(1);
        (line as u32, offset - starts[line - 1] + 1)
    }

    /// The text of a line counted from 1, without its newline.
    pub fn line(&self, line: u32) -> &[u8] {
        self.line_col(0);
        let starts = self.lines.get().map(Vec::as_slice).unwrap_or(&[0]);
        let i = (line as usize).saturating_sub(1);
        let Some(&start) = starts.get(i) else { return &[] };
        let end = starts.get(i + 1).map_or(self.text.len(), |&e| e as usize - 1);
        &self.text[start as usize..end.max(start as usize)]
    }
}

/// A resolved span: the source and the byte range in it.
#[derive(Clone)]
pub struct Place {
    /// The text it is in.
    pub source: Arc<Source>,
    /// First byte, counted from 0.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Place {
    /// The byte range.
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Line and column of the start, counted from 1.
    pub fn line_col(&self) -> (u32, u32) {
        self.source.line_col(self.start)
    }
}

/// A block of span identifiers that lives as long as its owner keeps it.
pub struct SpanBlock {
    base: u32,
    len: u32,
    source: Arc<Source>,
    spans: OnceLock<Spans>,
}

impl SpanBlock {
    /// The identifier of the `index`-th span of the block.
    pub fn id(&self, index: u32) -> SpanId {
        debug_assert!(index < self.len);
        SpanId(self.base + index)
    }

    /// Number of the first identifier.
    pub fn base(&self) -> u32 {
        self.base
    }

    /// How many identifiers the block has.
    pub fn capacity(&self) -> u32 {
        self.len
    }

    /// Gives the spans of a block made by [`reserve`]; at most its capacity of them is kept, and
    /// only the first call counts.
    pub fn fill(&self, mut spans: Vec<(u32, u32)>) {
        spans.truncate(self.len as usize);
        let _ = self.spans.set(Spans::new(&spans));
    }

    /// The source these spans are in.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }
}

impl Drop for SpanBlock {
    fn drop(&mut self) {
        let mut reg = registry().lock().unwrap_or_else(|e| e.into_inner());
        let base = self.base;
        reg.blocks.retain(|b| b.base != base);
    }
}

struct Entry {
    base: u32,
    len: u32,
    block: Weak<SpanBlock>,
}

#[derive(Default)]
struct Registry {
    /// Sorted by `base`.
    blocks: Vec<Entry>,
}

impl Registry {
    fn resolve(&self, id: SpanId) -> Option<Place> {
        if id.is_none() {
            return None;
        }
        let i = self.blocks.partition_point(|b| b.base <= id.0).checked_sub(1)?;
        let block = self.blocks[i].block.upgrade()?;
        let (start, end) = block.spans.get()?.get((id.0 - block.base) as usize)?;
        Some(Place { source: block.source.clone(), start, end })
    }

    fn reserve(&self, len: u32) -> (usize, u32) {
        let last_end = self.blocks.last().map_or(1, |b| b.base + b.len);
        if last_end.checked_add(len).is_some() {
            return (self.blocks.len(), last_end);
        }
        let mut next = 1u32;
        for (i, b) in self.blocks.iter().enumerate() {
            if b.base - next >= len {
                return (i, next);
            }
            next = b.base + b.len;
        }
        (self.blocks.len(), next)
    }
}

fn registry() -> &'static Mutex<Registry> {
    static REGISTRY: OnceLock<Mutex<Registry>> = OnceLock::new();
    REGISTRY.get_or_init(Mutex::default)
}

/// Registers the spans of a source. `make_ids` is not needed: identifiers are `base + index`.
pub fn register(source: Arc<Source>, spans: Vec<(u32, u32)>) -> Arc<SpanBlock> {
    let block = reserve(source, spans.len() as u32);
    block.fill(spans);
    block
}

/// Reserves identifiers for up to `len` spans that are not known yet; see [`SpanBlock::fill`].
pub fn reserve(source: Arc<Source>, len: u32) -> Arc<SpanBlock> {
    let len = len.max(1);
    let mut reg = registry().lock().unwrap_or_else(|e| e.into_inner());
    let (at, base) = reg.reserve(len);
    let block = Arc::new(SpanBlock { base, len, source, spans: OnceLock::new() });
    reg.blocks.insert(at, Entry { base, len, block: Arc::downgrade(&block) });
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_resolve_while_their_block_lives() {
        let s = Source::new(SourceName::String, b"ab\ncd".to_vec());
        let b = register(s, vec![(0, 1), (3, 5)]);
        let id = b.id(1);
        let p = id.resolve().unwrap();
        assert_eq!(p.line_col(), (2, 1));
        assert_eq!(p.source.line(2), b"cd");
        drop(p);
        drop(b);
        assert!(id.resolve().is_none());
        assert!(SpanId::NONE.resolve().is_none());
    }
}
