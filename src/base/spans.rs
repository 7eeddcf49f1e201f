//! The byte ranges of a source, packed: neighbours in the table are neighbours in the text.
//!
//! Each range is two numbers of seven bits a byte, low bits first: the way from the start of the range
//! before, and the length. Every sixteenth can be found at once, and counts from zero.

/// Ranges that are read to find one.
const GROUP: usize = 16;

/// A table of ranges.
pub(super) struct Spans {
    /// Where each group begins in `bytes`.
    groups: Box<[u32]>,
    bytes: Box<[u8]>,
}

impl Spans {
    /// The table of these ranges.
    pub(super) fn new(spans: &[(u32, u32)]) -> Spans {
        let mut groups = Vec::with_capacity(spans.len().div_ceil(GROUP));
        let mut bytes = Vec::with_capacity(spans.len() * 3);
        let mut before = 0;
        for (i, &(start, end)) in spans.iter().enumerate() {
            if i % GROUP == 0 {
                groups.push(bytes.len() as u32);
                before = 0;
            }
            let way = i64::from(start) - i64::from(before);
            write(&mut bytes, ((way << 1) ^ (way >> 63)) as u64);
            // No range ends before it begins.
            write(&mut bytes, u64::from(end.saturating_sub(start)));
            before = start;
        }
        // A new row: shrinking the old one would keep its memory.
        Spans { groups: groups.into(), bytes: bytes.as_slice().into() }
    }

    /// The range with this number.
    pub(super) fn get(&self, index: usize) -> Option<(u32, u32)> {
        let mut at = *self.groups.get(index / GROUP)? as usize;
        let mut start = 0i64;
        for _ in 0..index % GROUP {
            start += way(read(&self.bytes, &mut at)?);
            read(&self.bytes, &mut at)?;
        }
        start += way(read(&self.bytes, &mut at)?);
        let len = read(&self.bytes, &mut at)?;
        let start = u32::try_from(start).ok()?;
        Some((start, start.checked_add(u32::try_from(len).ok()?)?))
    }
}

fn way(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

fn write(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn read(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let (mut n, mut shift) = (0u64, 0);
    loop {
        let byte = *bytes.get(*at)?;
        *at += 1;
        n |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(n);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_comes_back() {
        let mut n = 1u32;
        let mut random = || {
            n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            n >> (n % 31)
        };
        for len in [0usize, 1, 15, 16, 17, 1000] {
            let mut spans: Vec<(u32, u32)> = Vec::new();
            for _ in 0..len {
                let start = random();
                spans.push((start, start.saturating_add(random())));
            }
            let packed = Spans::new(&spans);
            for (i, span) in spans.iter().enumerate() {
                assert_eq!(packed.get(i), Some(*span));
            }
            assert_eq!(packed.get(len.next_multiple_of(GROUP)), None);
        }
    }
}
