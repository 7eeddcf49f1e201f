//! A client of the control socket of a multiplexing `ssh` (OpenSSH's PROTOCOL.mux, version 4): starts
//! commands over a connection that is open already, without a process of their own on this machine.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use crate::engine::executor::ExecError;
use crate::exec::remote::host::Session;

const HELLO: u32 = 0x0000_0001;
const VERSION: u32 = 4;
const NEW_SESSION: u32 = 0x1000_0002;
const PERMISSION_DENIED: u32 = 0x8000_0002;
const FAILURE: u32 = 0x8000_0003;
const EXIT_MESSAGE: u32 = 0x8000_0004;
const SESSION_OPENED: u32 = 0x8000_0006;
/// Longest message that is taken.
const MESSAGE_LIMIT: usize = 256 * 1024;
/// How long the other end of the socket, a process of this machine, may take to greet.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a command was not started.
#[derive(Debug)]
pub(super) enum MuxError {
    /// The host takes no further session on this connection now.
    Refused(String),
    /// There is no connection any more.
    Gone(io::Error),
}

impl From<io::Error> for MuxError {
    fn from(error: io::Error) -> MuxError {
        MuxError::Gone(error)
    }
}

impl From<rustix::io::Errno> for MuxError {
    fn from(error: rustix::io::Errno) -> MuxError {
        MuxError::Gone(error.into())
    }
}

/// A message in the making: a length and fields.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u32) -> Message {
        Message(vec![0; 4]).number(kind)
    }

    fn number(mut self, number: u32) -> Message {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn text(mut self, text: &[u8]) -> Message {
        self.0.extend((text.len() as u32).to_be_bytes());
        self.0.extend(text);
        self
    }

    fn bytes(mut self) -> Vec<u8> {
        let length = (self.0.len() - 4) as u32;
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

/// A message that has come.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> io::Result<u32> {
        let (head, rest) = self.0.split_first_chunk::<4>().ok_or(io::ErrorKind::InvalidData)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*head))
    }

    fn text(&mut self) -> io::Result<&'a [u8]> {
        let length = self.number()? as usize;
        let (text, rest) = self.0.split_at_checked(length).ok_or(io::ErrorKind::InvalidData)?;
        self.0 = rest;
        Ok(text)
    }
}

async fn receive(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u32().await? as usize;
    if length > MESSAGE_LIMIT {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Sends a descriptor, with one byte of data as the protocol has it.
async fn send_fd(stream: &UnixStream, fd: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        stream.writable().await?;
        let sent = stream.try_io(Interest::WRITABLE, || {
            let fds = [fd];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            Ok(sendmsg(stream.as_fd(), &[IoSlice::new(&[0])], &mut ancillary, SendFlags::NOSIGNAL)?)
        });
        match sent {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Starts a command over the connection behind a control socket.
pub(super) async fn open(socket: &Path, command: &str, host: &str) -> Result<Session, MuxError> {
    let started = tokio::time::timeout(PATIENCE, start(socket, command, host)).await;
    started.unwrap_or_else(|_| Err(MuxError::Gone(io::ErrorKind::TimedOut.into())))
}

async fn start(socket: &Path, command: &str, host: &str) -> Result<Session, MuxError> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(&Message::new(HELLO).number(VERSION).bytes()).await?;
    let request = Message::new(NEW_SESSION)
        .number(0)
        .text(b"")
        // No terminal, X11, agent, or subsystem, and no escape character.
        .number(0)
        .number(0)
        .number(0)
        .number(0)
        .number(u32::MAX)
        .text(b"")
        .text(command.as_bytes());
    let hello = receive(&mut stream).await?;
    let mut fields = Fields(&hello);
    if fields.number()? != HELLO || fields.number()? != VERSION {
        return Err(MuxError::Gone(io::Error::other("the control socket speaks another protocol")));
    }
    stream.write_all(&request.bytes()).await?;
    let (stdin_there, stdin) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stdout, stdout_there) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stderr, stderr_there) = pipe_with(PipeFlags::CLOEXEC)?;
    for fd in [&stdin_there, &stdout_there, &stderr_there] {
        send_fd(&stream, fd.as_fd()).await?;
    }
    drop::<[OwnedFd; 3]>([stdin_there, stdout_there, stderr_there]);
    let answer = receive(&mut stream).await?;
    let mut fields = Fields(&answer);
    match fields.number()? {
        SESSION_OPENED => {}
        FAILURE | PERMISSION_DENIED => {
            let _request = fields.number()?;
            let reason = String::from_utf8_lossy(fields.text()?).into_owned();
            return Err(MuxError::Refused(reason));
        }
        _ => return Err(MuxError::Gone(io::ErrorKind::InvalidData.into())),
    }
    let host = host.to_owned();
    let end = Box::pin(async move {
        loop {
            let message = receive(&mut stream).await.map_err(|_| lost(&host))?;
            let mut fields = Fields(&message);
            if fields.number().is_ok_and(|kind| kind == EXIT_MESSAGE) {
                let _session = fields.number();
                return fields.number().map(|code| code as i32).map_err(|_| lost(&host));
            }
        }
    });
    Ok(Session {
        stdin: Box::pin(pipe::Sender::from_owned_fd(stdin)?),
        stdout: Box::pin(pipe::Receiver::from_owned_fd(stdout)?),
        stderr: Box::pin(pipe::Receiver::from_owned_fd(stderr)?),
        end,
    })
}

/// The connection ended before the command did.
pub(super) fn lost(host: &str) -> ExecError {
    ExecError::infrastructure(format!("the connection to host `{host}` was lost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_lengths_and_fields() {
        let bytes = Message::new(HELLO).number(VERSION).text(b"ab").bytes();
        assert_eq!(bytes, [0, 0, 0, 14, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 2, b'a', b'b']);
        let mut fields = Fields(&bytes[4..]);
        assert_eq!((fields.number().unwrap(), fields.number().unwrap()), (HELLO, VERSION));
        assert_eq!(fields.text().unwrap(), b"ab");
        assert!(fields.number().is_err());
        assert!(Fields(&[0, 0, 0, 9, 1]).text().is_err());
    }
}
