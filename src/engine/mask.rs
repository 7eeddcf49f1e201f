//! Masking: secrets, and texts made from them, become `***` in all that a run shows.
//!
//! Matches may overlap; overlapping and touching ones become one mask, so that no rest of a secret
//! stays visible. [`LineMasker`] does it for streams that come in arbitrary pieces.

use std::borrow::Cow;
use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};

/// What a secret becomes.
pub const MASK: &str = "***";

/// Longest line that is held back; longer ones go on in pieces.
pub const MAX_LINE: usize = 64 * 1024;

/// Parts of encodings shorter than this are too common to be masked.
const MIN_ENCODED: usize = 4;

/// Parts of a secret beside an ampersand are masked from this length on, as in GitHub's runner.
const MIN_PIECE: usize = 6;

/// A set of secrets, compiled.
#[derive(Clone, Debug, Default)]
pub struct Masker {
    secrets: BTreeSet<Vec<u8>>,
    search: Option<AhoCorasick>,
    longest: usize,
}

impl Masker {
    /// A masker for these secrets; empty ones are left out.
    pub fn new<S: AsRef<[u8]>>(secrets: impl IntoIterator<Item = S>) -> Masker {
        let mut masker = Masker::default();
        masker.add(secrets);
        masker
    }

    /// Adds secrets; says whether there was a new one.
    pub fn add<S: AsRef<[u8]>>(&mut self, secrets: impl IntoIterator<Item = S>) -> bool {
        let before = self.secrets.len();
        self.secrets.extend(secrets.into_iter().map(|s| s.as_ref().to_vec()).filter(|s| !s.is_empty()));
        if self.secrets.len() == before {
            return false;
        }
        let patterns: BTreeSet<Vec<u8>> = self.secrets.iter().flat_map(|s| forms(s)).collect();
        self.longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
        // Building fails only beyond 2^31 states; masking everything is then the safe answer.
        self.search = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&patterns).ok();
        true
    }

    /// Whether there is nothing to mask.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// The parts of `text` that must not be shown, in order, disjoint and not touching.
    fn hidden(&self, text: &[u8]) -> Vec<(usize, usize)> {
        let Some(search) = &self.search else {
            return if self.secrets.is_empty() { Vec::new() } else { vec![(0, text.len())] };
        };
        let mut parts: Vec<(usize, usize)> = Vec::new();
        for found in search.find_overlapping_iter(text) {
            // Ends come in order, starts do not: a later match may begin before earlier ones.
            let (mut start, end) = (found.start(), found.end());
            while let Some(&(s, e)) = parts.last()
                && e >= start
            {
                start = start.min(s);
                parts.pop();
            }
            parts.push((start, end));
        }
        parts
    }

    /// Masks a whole text.
    pub fn mask<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let hidden = self.hidden(text);
        if hidden.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = Vec::with_capacity(text.len());
        cover(text, &hidden, false, &mut out);
        Cow::Owned(out)
    }

    /// Masks a string.
    pub fn mask_str<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.mask(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
}

/// Masks every text in a JSON value, names of members excepted.
pub fn mask_json(value: &mut serde_json::Value, masker: &Masker) {
    match value {
        serde_json::Value::String(text) => {
            if let Cow::Owned(masked) = masker.mask_str(text) {
                *text = masked;
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| mask_json(item, masker)),
        serde_json::Value::Object(members) => members.values_mut().for_each(|v| mask_json(v, masker)),
        _ => {}
    }
}

/// Copies `text` with the hidden parts replaced; `begun`: a part at the very start was announced.
fn cover(text: &[u8], hidden: &[(usize, usize)], begun: bool, out: &mut Vec<u8>) {
    let mut at = 0;
    for &(start, end) in hidden {
        let (start, end) = (start.min(text.len()), end.min(text.len()));
        out.extend_from_slice(&text[at..start]);
        if !(begun && start == 0) {
            out.extend_from_slice(MASK.as_bytes());
        }
        at = end;
    }
    out.extend_from_slice(&text[at..]);
}

/// All texts that give a secret away.
fn forms(secret: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut out = BTreeSet::new();
    encodings(secret, &mut out);
    let lines: Vec<&[u8]> = secret.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).collect();
    if lines.len() > 1 {
        // A bracket on its own line of some JSON key is no secret, and masking it would eat the log.
        for line in lines.into_iter().filter(|l| l.iter().any(u8::is_ascii_alphanumeric)) {
            encodings(line, &mut out);
        }
    }
    out
}

fn encodings(secret: &[u8], out: &mut BTreeSet<Vec<u8>>) {
    out.insert(secret.to_vec());
    let trimmed = secret.trim_ascii();
    if !trimmed.is_empty() {
        out.insert(trimmed.to_vec());
    }
    let mut add = |text: String| {
        if text.len() >= MIN_ENCODED {
            out.insert(text.into_bytes());
        }
    };
    for encoding in [&BASE64, &BASE64URL, &BASE64_NOPAD, &BASE64URL_NOPAD] {
        add(encoding.encode(secret));
    }
    // Programs break long Base64 into lines, mostly of 76 or 64 characters.
    for ending in [&b""[..], b"\n"] {
        let text = BASE64.encode(&[secret, ending].concat());
        for width in [76, 64] {
            if text.len() > width {
                text.as_bytes()
                    .chunks(width)
                    .for_each(|line| add(String::from_utf8_lossy(line).into_owned()));
            }
        }
    }
    // Inside a longer text that was encoded as a whole, the secret stands at one of three places;
    // only the characters that no neighbour has a share in are the same everywhere.
    for encoding in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
        for shift in 0..3usize {
            let shifted: Vec<u8> = std::iter::repeat_n(0u8, shift).chain(secret.iter().copied()).collect();
            let text = encoding.encode(&shifted);
            let (from, to) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
            add(text.get(from..to).unwrap_or("").to_owned());
        }
    }
    for (hex_digits, plus) in
        [("0123456789ABCDEF", false), ("0123456789abcdef", false), ("0123456789ABCDEF", true)]
    {
        for keep in ["-_.~", "-_.!~*'()", "-_.*", "-_.~/", "-_.~:/?#[]@!$&'()*+,;="] {
            add(percent(secret, hex_digits, keep, plus));
        }
    }
    for digits in ["0123456789abcdef", "0123456789ABCDEF"] {
        let digit = |n: u8| char::from(digits.as_bytes()[usize::from(n)]);
        add(secret.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect());
    }
    if let Ok(text) = std::str::from_utf8(secret) {
        if let Ok(json) = serde_json::to_string(text) {
            add(json.trim_matches('"').to_owned());
            let inner = &json[1..json.len() - 1];
            add(inner.replace('/', "\\/"));
            // Python keeps to ASCII; Go writes what HTML gives a meaning to as numbers, too.
            add(numbered(inner, |c| !c.is_ascii()));
            add(numbered(inner, |c| "<>&".contains(c)));
            // A text as a programming language quotes it.
            add(json[1..json.len() - 1].replace("\\\"", "\"").replace('\'', "\\'"));
        }
        add(text.replace('\'', "'\\''"));
        // An expression's string doubles its quotes; some tools take off the quotes around a value.
        add(text.replace('\'', "''"));
        add(text.trim_matches('"').to_owned());
        // PowerShell shows a command that it cannot read up to, or from, an ampersand.
        let pieces = text.split('&').map(str::trim).filter(|piece| piece.len() >= MIN_PIECE);
        pieces.filter(|piece| piece.len() < text.len()).for_each(|piece| add(piece.to_owned()));
        add(text.replace('\'', "'\"'\"'"));
        let xml = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        add(xml.clone());
        for (quote, apostrophe) in
            [("&quot;", "&apos;"), ("&quot;", "&#39;"), ("&quot;", "&#x27;"), ("&#34;", "&#39;")]
        {
            add(xml.replace('"', quote).replace('\'', apostrophe));
        }
        // What `printf %q` and `set -x` make of it.
        add(text.chars().flat_map(|c| (!is_plain(c)).then_some('\\').into_iter().chain([c])).collect());
    }
}

/// A text with some characters as JSON's `\uXXXX` (RFC 8259, section 7).
fn numbered(text: &str, which: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if which(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || !c.is_ascii() || "-_./:=@%+,".contains(c)
}

fn percent(secret: &[u8], hex_digits: &str, keep: &str, plus: bool) -> String {
    let hex = hex_digits.as_bytes();
    let mut out = String::with_capacity(secret.len() * 3);
    for &b in secret {
        if b.is_ascii_alphanumeric() || keep.as_bytes().contains(&b) {
            out.push(b as char);
        } else if plus && b == b' ' {
            out.push('+');
        } else {
            out.extend(['%', hex[usize::from(b >> 4)] as char, hex[usize::from(b & 15)] as char]);
        }
    }
    out
}

/// Cuts a stream into lines and masks them, whatever pieces it comes in and however long they are.
#[derive(Debug, Default)]
pub struct LineMasker {
    buffer: Vec<u8>,
    /// So many bytes at the front of the buffer belong to a match that has been announced.
    begun: usize,
    /// A piece of the current line has gone out.
    continued: bool,
}

impl LineMasker {
    /// Takes a piece; gives each line (without its newline) to `emit`, and whether it goes on.
    pub fn push(&mut self, masker: &Masker, bytes: &[u8], emit: &mut dyn FnMut(Vec<u8>, bool)) {
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(at);
            rest = &after[1..];
            if self.buffer.is_empty() && line.len() <= MAX_LINE {
                emit(masker.mask(line).into_owned(), false);
            } else {
                self.extend(masker, line, emit);
                self.end_line(masker, emit);
            }
            self.continued = false;
        }
        self.extend(masker, rest, emit);
    }

    /// The stream has ended: what is left is a line.
    pub fn finish(&mut self, masker: &Masker, emit: &mut dyn FnMut(Vec<u8>, bool)) {
        if !self.buffer.is_empty() || self.continued {
            self.end_line(masker, emit);
            self.continued = false;
        }
    }

    fn end_line(&mut self, masker: &Masker, emit: &mut dyn FnMut(Vec<u8>, bool)) {
        let line = std::mem::take(&mut self.buffer);
        let hidden = self.hidden(masker, &line);
        let mut out = Vec::with_capacity(line.len());
        cover(&line, &hidden, self.begun > 0, &mut out);
        self.begun = 0;
        emit(out, false);
    }

    fn hidden(&self, masker: &Masker, text: &[u8]) -> Vec<(usize, usize)> {
        let mut parts = masker.hidden(text);
        if self.begun > 0 {
            let mut end = self.begun.min(text.len());
            while let Some(&(s, e)) = parts.first()
                && s <= end
            {
                end = end.max(e);
                parts.remove(0);
            }
            parts.insert(0, (0, end));
        }
        parts
    }

    /// Adds to the current line; lets go what is certain when it gets too long.
    fn extend(&mut self, masker: &Masker, mut bytes: &[u8], emit: &mut dyn FnMut(Vec<u8>, bool)) {
        let most = MAX_LINE + masker.longest;
        while self.buffer.len() + bytes.len() > most {
            let (now, later) = bytes.split_at(most - self.buffer.len().min(most));
            self.buffer.extend_from_slice(now);
            bytes = later;
            // A match that is not complete yet begins in the last `longest - 1` bytes.
            let cut = self.buffer.len() - masker.longest.saturating_sub(1);
            let hidden = self.hidden(masker, &self.buffer);
            let shown: Vec<_> = hidden.iter().copied().filter(|&(s, _)| s < cut).collect();
            let mut out = Vec::with_capacity(cut);
            cover(&self.buffer[..cut], &shown, self.begun > 0, &mut out);
            self.begun = shown.last().map_or(0, |&(_, e)| e.saturating_sub(cut));
            self.buffer.drain(..cut);
            self.continued = true;
            emit(out, true);
        }
        self.buffer.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(masker: &Masker, pieces: &[&[u8]]) -> String {
        let mut lines = LineMasker::default();
        let mut out = Vec::new();
        let mut emit = |line: Vec<u8>, partial: bool| {
            out.extend_from_slice(&line);
            if !partial {
                out.push(b'\n');
            }
        };
        for piece in pieces {
            lines.push(masker, piece, &mut emit);
        }
        lines.finish(masker, &mut emit);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn overlapping_and_touching_secrets_leave_nothing() {
        let masker = Masker::new(["abc", "bcd", "xy"]);
        assert_eq!(masker.mask_str("1abcd2xyabc3"), "1***2***3");
        assert_eq!(masker.mask_str("nothing"), "nothing");
        assert_eq!(Masker::new(["", "ab", "xabyy"]).mask_str("xab-xabyy"), "x***-***");
    }

    #[test]
    fn split_at_every_border() {
        let masker = Masker::new(["s3cret-value"]);
        let text = b"one s3cret-value two\ns3cret-value\nend s3cret-value";
        let expected = "one *** two\n***\nend ***\n";
        for cut in 0..=text.len() {
            assert_eq!(stream(&masker, &[&text[..cut], &text[cut..]]), expected, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(stream(&masker, &bytes), expected);
    }

    #[test]
    fn encoded_forms() {
        let secret = "pa ss/w\"ör&d'12";
        let masker = Masker::new([secret]);
        for prefix in ["", "a", "ab", "abc"] {
            let encoded = BASE64.encode(format!("{prefix}{secret}zz").as_bytes());
            let core = BASE64_NOPAD.encode(secret.as_bytes());
            let shown = masker.mask_str(&encoded).into_owned();
            assert!(shown.contains(MASK) && !shown.contains(&core[4..12]), "{shown}");
        }
        for text in [
            "pa%20ss%2Fw%22%C3%B6r%26d%2712",
            "pa%20ss%2fw%22%c3%b6r%26d%2712",
            "pa+ss%2Fw%22%C3%B6r%26d%2712",
            r#"pa ss/w\"ör&d'12"#,
            r"pa ss\/w\u0022",
            "pa ss/w&quot;ör&amp;d&#39;12",
            "pa ss/w&quot;ör&amp;d&#x27;12",
            r#"pa ss/w\"\u00f6r&d'12"#,
            r#"pa ss/w\"ör\u0026d'12"#,
            r#"pa ss/w"ör&d\'12"#,
        ] {
            let masked = masker.mask_str(text);
            assert!(masked == MASK || text.contains("u0022"), "{text} -> {masked}");
        }
    }

    #[test]
    fn lines_of_long_base64() {
        let key: String = (0..40).map(|n| format!("part{n:03}-")).collect();
        let masker = Masker::new([&key]);
        for (ending, width) in [("", 76), ("\n", 64)] {
            let text = BASE64.encode(format!("{key}{ending}").as_bytes());
            for line in text.as_bytes().chunks(width) {
                assert_eq!(&*masker.mask(line), MASK.as_bytes(), "{}", String::from_utf8_lossy(line));
            }
        }
    }

    #[test]
    fn each_line_of_a_long_secret() {
        let masker = Masker::new(["{\n  \"key\": \"abcdef\"\n}\n"]);
        assert_eq!(stream(&masker, &[b"{\n \"key\": \"abcdef\"\n}\n"]), "{\n ***\n}\n");
    }

    #[test]
    fn very_long_lines_come_in_pieces_and_stay_masked() {
        let masker = Masker::new(["0123456789abcdef"]);
        for offset in 0..40 {
            let mut text = vec![b'.'; MAX_LINE - 20 + offset];
            text.extend_from_slice(b"0123456789abcdef");
            text.extend(vec![b'.'; MAX_LINE]);
            let shown = stream(&masker, &[&text]);
            assert_eq!(shown.matches(MASK).count(), 1, "offset {offset}");
            assert!(
                !shown.contains("012") && !shown.contains("def") && shown.len() == text.len() - 16 + 3 + 1
            );
        }
        // One match after the other, without end, is one mask.
        let endless = "0123456789abcdef".repeat(20_000);
        assert_eq!(stream(&masker, &[endless.as_bytes()]), "***\n");
    }

    #[test]
    fn the_empty_masker_lets_all_through() {
        let masker = Masker::default();
        assert_eq!(stream(&masker, &[b"a\n\nb"]), "a\n\nb\n");
        assert_eq!(stream(&masker, &[&vec![b'x'; 3 * MAX_LINE]]).len(), 3 * MAX_LINE + 1);
    }
}
