//! The line, hidden in a step's error stream, with which its supervisor says how the step ended.
//!
//! It is `\x02TOKEN KIND CODE LENGTH;` and `LENGTH` bytes of trailer; the token is random for each
//! step, so nothing that the step prints can be taken for it.

/// What the supervisor said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::exec) struct Verdict {
    /// `x`: it exited; `d`: no such directory; `p`: no such program; `w`: cannot write the script;
    /// `l`: lost, the supervisor is gone.
    pub(in crate::exec) kind: u8,
    /// The exit code.
    pub(in crate::exec) code: i32,
    /// The files through which a job and the engine talk, when they are small: see [`files`].
    pub(in crate::exec) trailer: Vec<u8>,
}

/// Finds the marker in a stream that comes in pieces.
#[derive(Debug)]
pub(in crate::exec) struct Scanner {
    token: Vec<u8>,
    held: Vec<u8>,
    verdict: Option<Verdict>,
}

/// Longest head of a marker after the token.
const HEAD_LIMIT: usize = 64;

impl Scanner {
    /// A scanner for a token.
    pub(in crate::exec) fn new(token: &str) -> Scanner {
        let token = format!("\x02{token} ").into_bytes();
        Scanner { token, held: Vec::new(), verdict: None }
    }

    /// What the supervisor said, once it has.
    pub(in crate::exec) fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// Takes a piece; gives `pass` what is the step's own.
    pub(in crate::exec) fn push(&mut self, bytes: &[u8], mut pass: impl FnMut(&[u8])) {
        if self.verdict.is_some() {
            return pass(bytes);
        }
        if self.held.is_empty() && memchr::memchr(2, bytes).is_none() {
            return pass(bytes);
        }
        self.held.extend_from_slice(bytes);
        if let Some(start) = memchr::memmem::find(&self.held, &self.token) {
            if start > 0 {
                pass(&self.held[..start]);
                self.held.drain(..start);
            }
            if let Some((verdict, length)) = parse(&self.held[self.token.len()..]) {
                self.verdict = Some(verdict);
                let rest = self.held.split_off(self.token.len() + length);
                self.held.clear();
                if !rest.is_empty() {
                    pass(&rest);
                }
            }
            return;
        }
        // The end may be the beginning of the marker.
        let keep = (1..self.token.len().min(self.held.len() + 1))
            .rev()
            .find(|&n| self.held.ends_with(&self.token[..n]))
            .unwrap_or(0);
        let whole = self.held.len() - keep;
        if whole > 0 {
            pass(&self.held[..whole]);
            self.held.drain(..whole);
        }
    }

    /// The stream has ended: passes what was held back.
    pub(in crate::exec) fn finish(&mut self, mut pass: impl FnMut(&[u8])) {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() && self.verdict.is_none() && !held.starts_with(&self.token) {
            pass(&held);
        }
    }
}

/// The verdict after the token, and its length; `None` while it is not whole.
fn parse(rest: &[u8]) -> Option<(Verdict, usize)> {
    let head = memchr::memchr(b';', &rest[..rest.len().min(HEAD_LIMIT)])?;
    let text = std::str::from_utf8(&rest[..head]).ok()?;
    let mut words = text.split(' ');
    let kind = *words.next()?.as_bytes().first()?;
    let code = words.next()?.parse().ok()?;
    let length: usize = words.next()?.parse().ok()?;
    let end = head + 1 + length;
    let trailer = rest.get(head + 1..end)?.to_vec();
    Some((Verdict { kind, code, trailer }, end))
}

/// The files of a trailer by suffix: `SUFFIX LENGTH:CONTENT` each; one too large to be told is
/// `SUFFIX !:`.
pub(in crate::exec) fn files(mut trailer: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
    let mut files = Vec::new();
    while let Some(space) = memchr::memchr(b' ', trailer) {
        let suffix = String::from_utf8_lossy(&trailer[..space]).into_owned();
        trailer = &trailer[space + 1..];
        let Some(colon) = memchr::memchr(b':', trailer) else { break };
        let length = std::str::from_utf8(&trailer[..colon]).ok().and_then(|n| n.parse::<usize>().ok());
        trailer = &trailer[colon + 1..];
        let content = length.and_then(|length| trailer.get(..length));
        trailer = &trailer[content.map_or(0, <[u8]>::len)..];
        files.push((suffix, content.map(<[u8]>::to_vec)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_found_at_every_border() {
        let stream = b"err \x02 or\x02to\n\x02tok x 7 9;env 2:A=more";
        for at in 0..stream.len() {
            let mut scanner = Scanner::new("tok");
            let mut passed = Vec::new();
            scanner.push(&stream[..at], |b| passed.extend_from_slice(b));
            scanner.push(&stream[at..], |b| passed.extend_from_slice(b));
            let verdict = scanner.verdict().cloned().expect("found");
            scanner.finish(|b| passed.extend_from_slice(b));
            assert_eq!((verdict.kind, verdict.code, &*verdict.trailer), (b'x', 7, &b"env 2:A=m"[..]));
            assert_eq!(String::from_utf8_lossy(&passed), "err \x02 or\x02to\nore", "cut at {at}");
        }
    }

    #[test]
    fn what_is_no_marker_is_passed_on() {
        let mut scanner = Scanner::new("tok");
        let mut passed = Vec::new();
        scanner.push(b"a\x02to", |b| passed.extend_from_slice(b));
        scanner.finish(|b| passed.extend_from_slice(b));
        assert_eq!(passed, b"a\x02to");
        assert_eq!(scanner.verdict(), None);
    }

    #[test]
    fn trailers_hold_files() {
        let got = files(b"env 4:A=1\n1.output !:2.summary 0:");
        let want = [
            ("env".to_owned(), Some(b"A=1\n".to_vec())),
            ("1.output".to_owned(), None),
            ("2.summary".to_owned(), Some(Vec::new())),
        ];
        assert_eq!(got, want);
    }
}
