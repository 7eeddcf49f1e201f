//! The lexical forms of TOML: each function gives the end of what it accepts at a place.

/// Reads forms.
#[derive(Clone, Copy)]
pub(super) struct Scan<'t>(pub(super) &'t [u8]);

impl Scan<'_> {
    /// The byte at a place; 0 at the end.
    pub(super) fn byte(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    fn one(self, at: usize, set: &[u8]) -> Option<usize> {
        self.0.get(at).filter(|b| set.contains(b)).map(|_| at + 1)
    }

    fn digits(self, at: usize, n: usize) -> Option<usize> {
        let digits = self.0.get(at..at + n)?;
        digits.iter().all(u8::is_ascii_digit).then_some(at + n)
    }

    /// Spaces and tabs.
    pub(super) fn spaces(self, at: usize) -> usize {
        at + self.0[at.min(self.0.len())..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count()
    }

    /// A line feed, with or without a carriage return.
    pub(super) fn newline(self, at: usize) -> Option<usize> {
        match (self.byte(at), self.byte(at + 1)) {
            (b'\n', _) => Some(at + 1),
            (b'\r', b'\n') => Some(at + 2),
            _ => None,
        }
    }

    /// A character of several bytes.
    pub(super) fn wide(self, at: usize) -> Option<usize> {
        let rest = self.0.get(at..)?;
        let n = match *rest.first()? {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return None,
        };
        std::str::from_utf8(rest.get(..n)?).is_ok().then_some(at + n)
    }

    /// `#` and what follows it on the line.
    pub(super) fn comment(self, at: usize) -> Option<usize> {
        let mut end = self.one(at, b"#")?;
        loop {
            end = match self.byte(end) {
                b'\t' | 0x20..=0x7e => end + 1,
                _ => match self.wide(end) {
                    Some(next) => next,
                    None => return Some(end),
                },
            };
        }
    }

    fn run(self, mut at: usize, accepts: impl Fn(u8) -> bool) -> usize {
        loop {
            let next = if self.byte(at) == b'_' { at + 1 } else { at };
            if !accepts(self.byte(next)) {
                return at;
            }
            at = next + 1;
        }
    }

    /// A decimal integer.
    pub(super) fn decimal(self, at: usize) -> Option<usize> {
        let at = self.one(at, b"+-").unwrap_or(at);
        let first = self.one(at, b"0123456789")?;
        if self.byte(at) == b'0' { Some(first) } else { Some(self.run(first, |b| b.is_ascii_digit())) }
    }

    /// An integer with the prefix `0x`, `0o` or `0b`.
    pub(super) fn prefixed(self, at: usize, prefix: u8, base: u32) -> Option<usize> {
        let accepts = |b: u8| (b as char).is_digit(base);
        if self.byte(at) != b'0' || self.byte(at + 1) != prefix || !accepts(self.byte(at + 2)) {
            return None;
        }
        Some(self.run(at + 3, accepts))
    }

    /// Digits, with underscores between them.
    fn plain_digits(self, at: usize) -> Option<usize> {
        let first = self.one(at, b"0123456789")?;
        Some(self.run(first, |b| b.is_ascii_digit()))
    }

    /// A float.
    pub(super) fn float(self, at: usize) -> Option<usize> {
        let exponent = |at| {
            let at = self.one(at, b"eE")?;
            self.plain_digits(self.one(at, b"+-").unwrap_or(at))
        };
        if let Some(end) = self.decimal(at) {
            if let Some(end) = exponent(end) {
                return Some(end);
            }
            if let Some(end) = self.one(end, b".").and_then(|end| self.plain_digits(end)) {
                return Some(exponent(end).unwrap_or(end));
            }
        }
        let at = self.one(at, b"+-").unwrap_or(at);
        let word = self.0.get(at..at + 3)?;
        (word == b"inf" || word == b"nan").then_some(at + 3)
    }

    /// `1979-05-27`
    pub(super) fn date(self, at: usize) -> Option<usize> {
        let at = self.one(self.digits(at, 4)?, b"-")?;
        let at = self.one(self.digits(at, 2)?, b"-")?;
        self.digits(at, 2)
    }

    /// `07:32:00.999`
    pub(super) fn time(self, at: usize) -> Option<usize> {
        let at = self.one(self.digits(at, 2)?, b":")?;
        let at = self.one(self.digits(at, 2)?, b":")?;
        let end = self.digits(at, 2)?;
        let fraction = self.one(end, b".").and_then(|at| self.digits(at, 1));
        Some(fraction.map_or(end, |mut at| {
            while let Some(next) = self.digits(at, 1) {
                at = next;
            }
            at
        }))
    }

    /// A date and a time.
    pub(super) fn datetime(self, at: usize) -> Option<usize> {
        self.time(self.one(self.date(at)?, b"Tt ")?)
    }

    /// `Z` or `+07:00`
    pub(super) fn offset(self, at: usize) -> Option<usize> {
        if let Some(end) = self.one(at, b"zZ") {
            return Some(end);
        }
        let at = self.one(at, b"+-")?;
        self.digits(self.one(self.digits(at, 2)?, b":")?, 2)
    }
}
