//! POSIX extended regular expressions with the meaning that C++ Nix gives them.
//!
//! Nix uses `std::regex` of libstdc++ in the C locale: bytes, leftmost and longest overall, and of
//! several ways to the longest match the one found first by depth-first search. The matcher walks
//! a small program depth first and gives up each pair of instruction and position once, so that its
//! time is bounded by their number.

mod names;
mod parse;
mod run;

pub use parse::SyntaxError;

/// A set of bytes.
#[derive(Clone, PartialEq)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(crate) fn empty() -> Self {
        ByteSet([0; 4])
    }

    pub(crate) fn add(&mut self, b: u8) {
        self.0[usize::from(b) >> 6] |= 1 << (b & 63);
    }

    pub(crate) fn invert(&mut self) {
        for w in &mut self.0 {
            *w = !*w;
        }
    }

    #[inline]
    pub(crate) fn has(&self, b: u8) -> bool {
        self.0[usize::from(b) >> 6] >> (b & 63) & 1 == 1
    }

    fn union(&mut self, other: &ByteSet) {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a |= b;
        }
    }
}

/// An instruction; the next one follows unless it says otherwise.
pub(crate) enum Inst {
    /// One byte.
    Byte(u8),
    /// One byte of a set.
    Set(Box<ByteSet>),
    /// Either; the first is tried first.
    Split(u32, u32),
    /// Elsewhere.
    Jump(u32),
    /// Remembers the position.
    Save(u32),
    /// End of a round of a loop: to the first again, or to the second when the round was empty.
    /// The slot remembers where the round began.
    Again { slot: u32, head: u32, out: u32 },
    /// Start of the text.
    Start,
    /// End of the text.
    End,
    /// A match.
    Accept,
}

/// A compiled expression.
pub struct Regex {
    pub(crate) program: Vec<Inst>,
    /// Number of groups, the whole not counted.
    pub groups: usize,
    /// Slots for positions: two a group and one a loop.
    pub(crate) slots: usize,
    /// Bytes a match can begin with; `None` when it can be empty.
    pub(crate) first: Option<ByteSet>,
}

/// Byte ranges of the groups of a match; `None` for a group that took no part.
pub type Groups = Vec<Option<(usize, usize)>>;

impl Regex {
    /// Compiles an expression.
    ///
    /// # Errors
    /// Where the expression is not valid, or too large.
    pub fn new(pattern: &[u8]) -> Result<Regex, SyntaxError> {
        parse::compile(pattern)
    }

    /// The groups of a match of the whole text.
    pub fn match_all(&self, text: &[u8]) -> Option<Groups> {
        run::run(self, text, 0, true).map(|m| m.1)
    }

    /// The leftmost longest match from `from` on: its range and groups.
    pub fn find(&self, text: &[u8], from: usize) -> Option<((usize, usize), Groups)> {
        (from..=text.len()).find_map(|start| {
            if let Some(first) = &self.first
                && !text.get(start).is_some_and(|&b| first.has(b))
            {
                return None;
            }
            run::run(self, text, start, false).map(|(end, groups)| ((start, end), groups))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(re: &str, text: &str) -> Option<Vec<Option<String>>> {
        let m = Regex::new(re.as_bytes()).unwrap().match_all(text.as_bytes())?;
        Some(m.into_iter().map(|g| g.map(|(a, b)| text[a..b].to_owned())).collect())
    }

    fn some(v: &[&str]) -> Option<Vec<Option<String>>> {
        Some(v.iter().map(|s| Some((*s).to_owned())).collect())
    }

    #[test]
    fn groups_are_those_of_the_first_path() {
        assert_eq!(groups("(a|ab)(c|bcd)(d*)", "abcd"), some(&["a", "bcd", ""]));
        assert_eq!(groups("(.*)-([0-9]+)", "a-b-12"), some(&["a-b", "12"]));
        assert_eq!(groups("a{2,3}", "aaaa"), None);
        assert_eq!(groups("[[:alpha:]]+", "abc"), some(&[]));
        assert_eq!(groups("(a*)*", "aa"), some(&[""]));
        assert_eq!(groups("([[.hyphen.][=a=]]*)[[.space.]]", "-a "), some(&["-a"]));
    }

    #[test]
    fn the_longest_wins() {
        let re = Regex::new(b"a|ab").unwrap();
        assert_eq!(re.find(b"xaby", 0).unwrap().0, (1, 3));
    }

    #[test]
    fn many_ways_take_little_time() {
        let re = Regex::new(b"(a*)*(a*)*(a|aa)+b").unwrap();
        assert!(re.match_all(&[b'a'; 2000]).is_none());
    }

    #[test]
    fn rejects_what_nix_rejects() {
        for bad in [
            "\\d",
            "a{",
            "a{,3}",
            "a{2,1}",
            "*a",
            "(*a)",
            "a|*b",
            "(",
            "a)",
            "[a",
            "(?:a)",
            "[z-a]",
            "[[:foo:]]",
            "[[.foo.]]",
            "[[.-.]]",
            "\\",
        ] {
            assert!(Regex::new(bad.as_bytes()).is_err(), "{bad}");
        }
        for good in ["a**", "a||b", "()", "(|a)", "[]a]", "[^]a]", "\\.", "a{2}", "a{2,}", "[\\.]", "[a-]"] {
            assert!(Regex::new(good.as_bytes()).is_ok(), "{good}");
        }
    }
}
