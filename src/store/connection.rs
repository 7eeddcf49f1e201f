//! One connection: the handshake, and the loop that reads what the daemon tells before its answer.
//! (Nix: `libstore/worker-protocol-connection.cc`.)

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::activity::{Field, Message, Observer, RESULT_BUILD_LINE, RESULT_POST_BUILD_LINE};
use super::error::{DaemonError, StoreError};
use super::location::Location;
use super::wire::{self, Words};
use crate::drv::store_path::StoreDir;

const MAGIC_OF_CLIENT: u64 = 0x6e69_7863;
const MAGIC_OF_DAEMON: u64 = 0x6478_696f;

const TELL_NEXT: u64 = 0x6f6c_6d67;
const TELL_ERROR: u64 = 0x6378_7470;
const TELL_LAST: u64 = 0x616c_7473;
const TELL_START: u64 = 0x5354_5254;
const TELL_STOP: u64 = 0x5354_4f50;
const TELL_RESULT: u64 = 0x5253_4c54;

/// A version of the protocol; the major one is always 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u64);

/// The newest version that is spoken here.
const NEWEST: Version = Version(38);
/// The oldest: that of Nix 2.8.
const OLDEST: Version = Version(34);

/// Whether the daemon trusts this client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It does not say.
    Unknown,
    /// Settings that may weaken the store are accepted.
    Trusted,
    /// They are not.
    NotTrusted,
}

/// A connection to a daemon. Temporary roots that are added over it hold until it is closed, also
/// when this program is killed.
pub struct Connection {
    pub(super) reader: BufReader<OwnedReadHalf>,
    pub(super) writer: OwnedWriteHalf,
    pub(super) dir: StoreDir,
    /// The version that both sides speak.
    pub(super) version: Version,
    /// The daemon's own version, such as `2.8.0`.
    nix_version: String,
    trust: Trust,
    socket: PathBuf,
    pub(super) patience: Duration,
    /// The answer to something was not read to its end, so that nothing more can be asked.
    broken: bool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({}, Nix {}, 1.{})", self.socket.display(), self.nix_version, self.version.0)
    }
}

impl Connection {
    /// Connects and agrees on a version.
    pub async fn open(location: &Location) -> Result<Connection, StoreError> {
        let socket = &location.socket;
        let connected = tokio::time::timeout(location.patience, UnixStream::connect(socket)).await;
        let stream = match connected {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(StoreError::Connect { socket: socket.clone(), error }),
            Err(_) => {
                return Err(StoreError::Timeout {
                    socket: socket.clone(),
                    doing: "connecting".into(),
                    seconds: location.patience.as_secs(),
                });
            }
        };
        let (reader, writer) = stream.into_split();
        let mut made = Connection {
            reader: BufReader::with_capacity(64 << 10, reader),
            writer,
            dir: location.store_dir.clone(),
            version: NEWEST,
            nix_version: String::new(),
            trust: Trust::Unknown,
            socket: socket.clone(),
            patience: location.patience,
            broken: false,
        };
        let doing = "greeting";
        let patience = made.patience;
        let greeted = tokio::time::timeout(patience, made.greet()).await;
        match greeted {
            Ok(done) => done?,
            Err(_) => return Err(made.too_slow(doing)),
        }
        Ok(made)
    }

    async fn greet(&mut self) -> Result<(), StoreError> {
        let doing = "greeting";
        let mut hello = Words::default();
        hello.number(MAGIC_OF_CLIENT).number(1 << 8 | NEWEST.0);
        let (reader, writer) = (&mut self.reader, &mut self.writer);
        let found: io::Result<(u64, u64)> = async {
            // The daemon wants its turn before it reads our version; both fit into one packet.
            writer.write_all(&hello.0).await?;
            let magic = wire::number(reader).await?;
            if magic != MAGIC_OF_DAEMON {
                return Ok((magic, 0));
            }
            Ok((magic, wire::number(reader).await?))
        }
        .await;
        let (magic, version) = found.map_err(|e| self.io(doing, e))?;
        if magic != MAGIC_OF_DAEMON {
            return Err(StoreError::NotADaemon(self.socket.clone()));
        }
        let (major, minor) = (version >> 8 & 0xff, version & 0xff);
        if major != 1 || minor < OLDEST.0 {
            return Err(StoreError::TooOld { socket: self.socket.clone(), major, minor });
        }
        self.version = NEWEST.min(Version(minor));
        let version = self.version;
        let (reader, writer) = (&mut self.reader, &mut self.writer);
        let rest: io::Result<(String, u64)> = async {
            let mut words = Words::default();
            if version >= Version(38) {
                // No optional features are asked for.
                words.number(0);
            }
            // Two settings that no longer mean anything: processor affinity, reserved space.
            words.number(0).number(0);
            writer.write_all(&words.0).await?;
            if version >= Version(38) {
                wire::texts(reader).await?;
            }
            let name = wire::text(reader).await?;
            let trust = if version >= Version(35) { wire::number(reader).await? } else { 0 };
            Ok((name, trust))
        }
        .await;
        let (name, trust) = rest.map_err(|e| self.io(doing, e))?;
        self.nix_version = name;
        self.trust = match trust {
            1 => Trust::Trusted,
            2 => Trust::NotTrusted,
            _ => Trust::Unknown,
        };
        self.told(doing, &mut super::activity::NoMessages).await
    }

    /// The version that both sides speak.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The daemon's own version, such as `2.8.0`.
    pub fn nix_version(&self) -> &str {
        &self.nix_version
    }

    /// Whether the daemon trusts this client.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// The store directory that paths are printed with.
    pub fn store_dir(&self) -> &StoreDir {
        &self.dir
    }

    /// Whether nothing more can be asked over this connection.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    pub(super) fn io(&mut self, doing: &str, error: io::Error) -> StoreError {
        self.broken = true;
        let (socket, doing) = (self.socket.clone(), doing.to_owned());
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                StoreError::Closed { socket, doing }
            }
            io::ErrorKind::InvalidData => StoreError::Protocol { socket, what: error.to_string() },
            _ => StoreError::Io { socket, doing, error },
        }
    }

    pub(super) fn unexpected(&mut self, what: impl Into<String>) -> StoreError {
        self.broken = true;
        StoreError::Protocol { socket: self.socket.clone(), what: what.into() }
    }

    pub(super) fn too_slow(&mut self, doing: &str) -> StoreError {
        self.broken = true;
        let seconds = self.patience.as_secs();
        StoreError::Timeout { socket: self.socket.clone(), doing: doing.to_owned(), seconds }
    }

    /// Sends a request whose answer follows.
    pub(super) async fn send(&mut self, doing: &str, words: &Words) -> Result<(), StoreError> {
        // Until the answer is read, whoever gives up leaves a connection that is of no more use.
        self.broken = true;
        let sent = self.writer.write_all(&words.0).await;
        sent.map_err(|e| self.io(doing, e))
    }

    /// Marks that nothing more can be asked.
    pub(super) fn mark_broken(&mut self) {
        self.broken = true;
    }

    /// Marks that an answer was read to its end.
    pub(super) fn done(&mut self) {
        self.broken = false;
    }

    /// A read that must come soon.
    pub(super) async fn soon<T>(
        &mut self,
        doing: &str,
        read: impl AsyncFnOnce(&mut BufReader<OwnedReadHalf>) -> io::Result<T>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.patience, read(&mut self.reader)).await {
            Ok(got) => got.map_err(|e| self.io(doing, e)),
            Err(_) => Err(self.too_slow(doing)),
        }
    }

    /// Sends a request and reads what is told before the answer, within the patience.
    pub(super) async fn ask(&mut self, doing: &str, words: &Words) -> Result<(), StoreError> {
        let patience = self.patience;
        let asked = tokio::time::timeout(patience, async {
            self.send(doing, words).await?;
            self.told(doing, &mut super::activity::NoMessages).await
        })
        .await;
        match asked {
            Ok(done) => done,
            Err(_) => Err(self.too_slow(doing)),
        }
    }

    /// Reads what the daemon tells until the answer begins. An error that it reports leaves the
    /// connection usable.
    pub(super) async fn told(&mut self, doing: &str, log: &mut dyn Observer) -> Result<(), StoreError> {
        match told(&mut self.reader, log).await {
            Ok(None) => Ok(()),
            Ok(Some(error)) => {
                self.broken = false;
                Err(StoreError::Daemon(error))
            }
            Err(e) => Err(self.io(doing, e)),
        }
    }
}

/// Reads what is told until the answer begins, or the error that stands in its place.
pub(super) async fn told(
    from: &mut BufReader<OwnedReadHalf>,
    log: &mut dyn Observer,
) -> io::Result<Option<DaemonError>> {
    loop {
        match wire::number(from).await? {
            TELL_LAST => return Ok(None),
            TELL_ERROR => return error(from).await.map(Some),
            TELL_NEXT => {
                let line = wire::text(from).await?;
                log.message(Message::Line(plain(line.trim_end_matches('\n'))));
            }
            TELL_START => {
                let id = wire::number(from).await?;
                let _level = wire::number(from).await?;
                let kind = wire::number(from).await?.into();
                let text = plain(&wire::text(from).await?);
                let fields = fields(from).await?;
                let _parent = wire::number(from).await?;
                log.message(Message::Started { id, kind, text, fields });
            }
            TELL_STOP => log.message(Message::Stopped { id: wire::number(from).await? }),
            TELL_RESULT => {
                let id = wire::number(from).await?;
                let kind = wire::number(from).await?;
                let fields = fields(from).await?;
                if let (RESULT_BUILD_LINE | RESULT_POST_BUILD_LINE, Some(Field::Text(line))) =
                    (kind, fields.into_iter().next())
                {
                    log.message(Message::LogLine { id, line });
                }
            }
            other => {
                let text = format!("the message {other:#x}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
}

async fn fields(from: &mut BufReader<OwnedReadHalf>) -> io::Result<Vec<Field>> {
    let mut found = Vec::new();
    for _ in 0..wire::length(from).await? {
        found.push(match wire::number(from).await? {
            0 => Field::Number(wire::number(from).await?),
            1 => Field::Text(wire::text(from).await?),
            other => {
                let text = format!("a field of type {other}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        });
    }
    Ok(found)
}

async fn error(from: &mut BufReader<OwnedReadHalf>) -> io::Result<DaemonError> {
    let _type = wire::text(from).await?;
    let _level = wire::number(from).await?;
    let _name = wire::text(from).await?;
    let message = plain(&wire::text(from).await?);
    let _has_position = wire::number(from).await?;
    let mut traces = Vec::new();
    for _ in 0..wire::length(from).await? {
        let _has_position = wire::number(from).await?;
        traces.push(plain(&wire::text(from).await?));
    }
    Ok(DaemonError { message, traces })
}

/// A text without the escape sequences that colour it.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        out.push_str(before);
        rest = match after.strip_prefix('[') {
            Some(sequence) => {
                let end = sequence.find(|c: char| ('@'..='~').contains(&c));
                end.map_or("", |end| &sequence[end + 1..])
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_taken_out() {
        assert_eq!(plain("\u{1b}[31;1merror:\u{1b}[0m x"), "error: x");
        assert_eq!(plain("a\u{1b}"), "a");
        assert_eq!(plain("a\u{1b}[3"), "a");
    }
}
