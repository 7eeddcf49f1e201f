//! The words of the protocol: integers of 64 bits in little endian, strings padded to whole words,
//! lists after their length, and streams in frames. (Nix: `libutil/serialise.cc`.)

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest string that is taken from a daemon.
const LONGEST_STRING: u64 = 256 << 20;
/// Longest list that is taken from a daemon.
const LONGEST_LIST: u64 = 1 << 22;

/// A request while it is put together.
#[derive(Debug, Default)]
pub(super) struct Words(pub(super) Vec<u8>);

impl Words {
    pub(super) fn number(&mut self, n: u64) -> &mut Words {
        self.0.extend_from_slice(&n.to_le_bytes());
        self
    }

    pub(super) fn flag(&mut self, b: bool) -> &mut Words {
        self.number(u64::from(b))
    }

    pub(super) fn string(&mut self, bytes: impl AsRef<[u8]>) -> &mut Words {
        let bytes = bytes.as_ref();
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        self
    }

    pub(super) fn strings<S: AsRef<[u8]>>(&mut self, items: impl ExactSizeIterator<Item = S>) -> &mut Words {
        self.number(items.len() as u64);
        for item in items {
            self.string(item);
        }
        self
    }

    /// Bytes as one frame and the end of the frames. An empty frame would be the end itself.
    pub(super) fn framed(&mut self, bytes: &[u8]) -> &mut Words {
        if !bytes.is_empty() {
            self.number(bytes.len() as u64);
            self.0.extend_from_slice(bytes);
        }
        self.number(0)
    }
}

fn malformed(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

pub(super) async fn number<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<u64> {
    from.read_u64_le().await
}

pub(super) async fn flag<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<bool> {
    Ok(number(from).await? != 0)
}

pub(super) async fn bytes<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<Vec<u8>> {
    let length = number(from).await?;
    if length > LONGEST_STRING {
        return Err(malformed(format!("a string of {length} bytes")));
    }
    let mut found = Vec::new();
    (&mut *from).take(length).read_to_end(&mut found).await?;
    let mut padding = [0; 8];
    let rest = (8 - length % 8) % 8;
    from.read_exact(&mut padding[..rest as usize]).await?;
    if found.len() as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match padding.iter().any(|&b| b != 0) {
        true => Err(malformed("padding that is not zero".into())),
        false => Ok(found),
    }
}

pub(super) async fn text<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<String> {
    let found = bytes(from).await?;
    String::from_utf8(found).or_else(|e| Ok(String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

/// The length of a list.
pub(super) async fn length<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<u64> {
    match number(from).await? {
        n if n > LONGEST_LIST => Err(malformed(format!("a list of {n} items"))),
        n => Ok(n),
    }
}

pub(super) async fn texts<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for _ in 0..length(from).await? {
        found.push(text(from).await?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn strings_come_back_and_wrong_ones_are_refused() {
        let mut words = Words::default();
        words.number(7).flag(true).string("abc").strings(["x", "yyyyyyyy"].iter());
        let mut from = words.0.as_slice();
        assert_eq!(number(&mut from).await.unwrap(), 7);
        assert!(flag(&mut from).await.unwrap());
        assert_eq!(text(&mut from).await.unwrap(), "abc");
        assert_eq!(texts(&mut from).await.unwrap(), ["x", "yyyyyyyy"]);
        assert!(from.is_empty());

        let huge = u64::MAX.to_le_bytes();
        assert_eq!(bytes(&mut huge.as_slice()).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(length(&mut huge.as_slice()).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        let short = [3, 0, 0, 0, 0, 0, 0, 0, b'a'];
        assert_eq!(bytes(&mut short.as_slice()).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let padded = [1, 0, 0, 0, 0, 0, 0, 0, b'a', 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(bytes(&mut padded.as_slice()).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
