//! The engine's framing of two streams in one: eight bytes (which stream, length) before each piece.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

/// Takes a framed stream apart. Ends when it ends, or when nobody reads any more.
pub(super) async fn split(
    mut from: impl AsyncRead + Unpin,
    mut out: tokio::io::DuplexStream,
    mut err: tokio::io::DuplexStream,
) -> std::io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let mut head = [0; 8];
        match from.read(&mut head[..1]).await? {
            0 => return Ok(()),
            _ => from.read_exact(&mut head[1..]).await?,
        };
        let [stream, _, _, _, a, b, c, d] = head;
        let mut left = u32::from_be_bytes([a, b, c, d]) as usize;
        while left > 0 {
            let most = left.min(piece.len());
            let n = from.read(&mut piece[..most]).await?;
            if n == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let to = if stream == 2 { &mut err } else { &mut out };
            to.write_all(&piece[..n]).await?;
            left -= n;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn streams_are_taken_apart() {
        let framed: &[u8] =
            b"\x01\0\0\0\0\0\0\x02ab\x02\0\0\0\0\0\0\x01X\x01\0\0\0\0\0\0\x00\x01\0\0\0\0\0\0\x01c";
        let (out_in, mut out) = tokio::io::duplex(64);
        let (err_in, mut err) = tokio::io::duplex(64);
        split(framed, out_in, err_in).await.unwrap();
        let (mut a, mut b) = (String::new(), String::new());
        out.read_to_string(&mut a).await.unwrap();
        err.read_to_string(&mut b).await.unwrap();
        assert_eq!((a.as_str(), b.as_str()), ("abc", "X"));
    }

    #[tokio::test]
    async fn a_cut_stream_is_an_error() {
        let (out, _keep_out) = tokio::io::duplex(64);
        let (err, _keep_err) = tokio::io::duplex(64);
        assert!(split(&b"\x01\0\0\0\0\0\0\x05ab"[..], out, err).await.is_err());
    }
}
