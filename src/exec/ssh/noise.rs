//! Login shells may print things of their own before a command begins (`.bashrc`, a message of the
//! day). What comes before the mark that the command itself prints first is not the command's.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Most that a shell may print of its own.
const LIMIT: usize = 1024 * 1024;

/// The program that prints the mark on both streams and becomes the command in its arguments.
pub(super) fn program(mark: &str) -> String {
    format!("printf '\\002%s;' {mark}; printf '\\002%s;' {mark} >&2; exec \"$@\"")
}

/// A stream from which everything up to the mark is taken away.
pub(super) struct Quiet<R> {
    inner: R,
    mark: Vec<u8>,
    held: Vec<u8>,
    /// Where in `held` the command's own output begins, once the mark was found.
    from: Option<usize>,
}

impl<R> Quiet<R> {
    /// A quiet stream.
    pub(super) fn new(inner: R, mark: &str) -> Quiet<R> {
        Quiet { inner, mark: format!("\x02{mark};").into_bytes(), held: Vec::new(), from: None }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Quiet<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.from.is_none() {
            let mut space = [0; 4096];
            let mut piece = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut piece))?;
            if piece.filled().is_empty() || this.held.len() > LIMIT {
                return Poll::Ready(Ok(()));
            }
            let search = this.held.len().saturating_sub(this.mark.len());
            this.held.extend_from_slice(piece.filled());
            let found = memchr::memmem::find(&this.held[search..], &this.mark);
            this.from = found.map(|at| search + at + this.mark.len());
        }
        match this.from {
            Some(from) if from < this.held.len() => {
                let n = out.remaining().min(this.held.len() - from);
                out.put_slice(&this.held[from..from + n]);
                this.from = Some(from + n);
                Poll::Ready(Ok(()))
            }
            _ => Pin::new(&mut this.inner).poll_read(cx, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn noise_goes_and_output_stays() {
        let text = b"Welcome\n\x02no; \x02mark;out\x02mark; and more";
        for size in 1..text.len() {
            let (mut write, read) = tokio::io::duplex(size);
            let feed = async move { tokio::io::AsyncWriteExt::write_all(&mut write, text).await };
            let mut got = Vec::new();
            let mut quiet = Quiet::new(read, "mark");
            let (fed, read) = tokio::join!(feed, quiet.read_to_end(&mut got));
            assert!(fed.is_ok() && read.is_ok());
            assert_eq!(String::from_utf8_lossy(&got), "out\x02mark; and more", "{size}");
        }
    }
}
