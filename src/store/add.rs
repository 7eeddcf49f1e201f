//! Adding objects to the store, and archives taken out of it.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::activity::NoMessages;
use super::connection::{Connection, told};
use super::error::{DaemonError, StoreError};
use super::ops::{AT_ONCE, op, read_info};
use super::wire::{self, Words};
use crate::drv::content_address::Method;
use crate::drv::disk::Disk;
use crate::drv::nar;
use crate::drv::object::{Content, Object, Objects};
use crate::drv::store_path::StorePath;

/// Bytes in one frame of a stream.
const FRAME: usize = 64 << 10;
/// Frames that may wait to be sent.
const WAITING: usize = 4;

impl Connection {
    /// Adds those of these objects that the store does not have, each after what it refers to.
    pub async fn add_objects(&mut self, objects: &Objects) -> Result<u64, StoreError> {
        let all: BTreeSet<StorePath> = objects.keys().cloned().collect();
        let valid = self.query_valid_paths(&all).await?;
        let mut added = 0;
        let mut texts: Vec<(&StorePath, &Object)> = Vec::new();
        for path in in_order(objects) {
            if valid.contains(path) {
                continue;
            }
            added += 1;
            let object = &objects[path];
            match &object.content {
                Content::Text(_) => texts.push((path, object)),
                Content::Copy { source, method, left_out } => {
                    // Texts never refer to what comes after them, and copies refer to nothing.
                    self.add_copy(path, source, *method, left_out).await?;
                }
            }
        }
        for some in texts.chunks(AT_ONCE) {
            self.add_texts(some).await?;
        }
        Ok(added)
    }

    fn head(&self, name: &str, method: Method, references: &BTreeSet<StorePath>) -> Words {
        let mut words = Words::default();
        let kind = match method {
            Method::Text => "text:sha256".to_owned(),
            other => format!("fixed:{}sha256", other.prefix()),
        };
        let references: Vec<String> = references.iter().map(|r| self.dir.print(r)).collect();
        words.number(op::ADD_TO_STORE).string(name).string(kind).strings(references.iter()).flag(false);
        words
    }

    async fn add_texts(&mut self, some: &[(&StorePath, &Object)]) -> Result<(), StoreError> {
        let doing = "adding to the store";
        let mut words = Words::default();
        for (path, object) in some {
            let Content::Text(text) = &object.content else { continue };
            let mut one = self.head(path.name(), Method::Text, &object.references);
            one.framed(&text.0);
            words.0.append(&mut one.0);
        }
        self.send(doing, &words).await?;
        for (path, _) in some {
            self.told_soon(doing).await?;
            let found = self.added(doing).await?;
            if found != **path {
                return Err(self.differs(path, &found, Path::new(path.name())));
            }
        }
        self.done();
        Ok(())
    }

    /// The path that an addition answers with.
    async fn added(&mut self, doing: &str) -> Result<StorePath, StoreError> {
        let path = self.soon(doing, async |r| wire::text(r).await).await?;
        self.soon(doing, async |r| read_info(r).await).await?;
        self.dir.parse(path.as_bytes()).map_err(|e| self.unexpected(e.to_string()))
    }

    fn differs(&self, expected: &StorePath, found: &StorePath, path: &Path) -> StoreError {
        let print = |p| self.dir.print(p);
        StoreError::Changed { path: path.to_owned(), expected: print(expected), found: print(found) }
    }

    async fn add_copy(
        &mut self,
        path: &StorePath,
        source: &Path,
        method: Method,
        left_out: &BTreeSet<PathBuf>,
    ) -> Result<(), StoreError> {
        let doing = "adding to the store";
        let head = self.head(path.name(), method, &BTreeSet::new());
        self.send(doing, &head).await?;
        let (frames, waiting) = mpsc::channel::<Vec<u8>>(WAITING);
        let tree = Disk::without(left_out.iter().cloned().collect());
        let from = source.to_owned();
        let reading = tokio::task::spawn_blocking(move || read_out(tree, &from, method, frames));
        match stream(&mut self.reader, &mut self.writer, waiting, reading).await {
            Streamed::Answered => {}
            Streamed::File(error) => return Err(StoreError::Source { path: source.to_owned(), error }),
            Streamed::TooEarly => return Err(self.unexpected("an answer before the end of the stream")),
            Streamed::Io(e) => return Err(self.io(doing, e)),
            Streamed::Refused { error, sent } => {
                if sent {
                    self.done();
                }
                return Err(StoreError::Daemon(error));
            }
        }
        let found = self.added(doing).await?;
        self.done();
        if found != *path {
            return Err(self.differs(path, &found, source));
        }
        Ok(())
    }

    /// The archive (NAR) of a valid path, written to `out` as it comes.
    pub async fn nar_from_path(
        &mut self,
        path: &StorePath,
        nar_size: u64,
        out: &mut (dyn tokio::io::AsyncWrite + Unpin + Send),
    ) -> Result<(), StoreError> {
        let doing = "reading an archive";
        let mut words = Words::default();
        words.number(op::NAR_FROM_PATH).string(self.dir.print(path));
        self.ask(doing, &words).await?;
        // The archive is self-delimiting; its size is known, which saves parsing it.
        let mut from = (&mut self.reader).take(nar_size);
        let copied = tokio::io::copy(&mut from, out).await.map_err(|e| self.io(doing, e))?;
        if copied != nar_size {
            return Err(self.io(doing, io::ErrorKind::UnexpectedEof.into()));
        }
        self.done();
        Ok(())
    }
}

/// What came of sending a stream.
enum Streamed {
    Answered,
    /// The daemon said no, having been sent all of the stream or not.
    Refused {
        error: DaemonError,
        sent: bool,
    },
    TooEarly,
    File(io::Error),
    Io(io::Error),
}

/// Sends frames as they come, and reads what the daemon tells meanwhile and after.
async fn stream(
    reader: &mut BufReader<OwnedReadHalf>,
    writer: &mut OwnedWriteHalf,
    mut waiting: mpsc::Receiver<Vec<u8>>,
    reading: tokio::task::JoinHandle<io::Result<()>>,
) -> Streamed {
    let sending = async {
        while let Some(frame) = waiting.recv().await {
            let sent = async {
                writer.write_all(&(frame.len() as u64).to_le_bytes()).await?;
                writer.write_all(&frame).await
            };
            sent.await.map_err(Streamed::Io)?;
        }
        let read = reading.await.unwrap_or_else(|e| Err(io::Error::other(e)));
        // A stream that never ends is one that the daemon throws away.
        read.map_err(Streamed::File)?;
        writer.write_all(&0u64.to_le_bytes()).await.map_err(Streamed::Io)
    };
    let mut quiet = NoMessages;
    let listening = told(reader, &mut quiet);
    tokio::pin!(sending, listening);
    let (sent, answer) = tokio::select! {
        sent = &mut sending => match sent {
            Ok(()) => (true, listening.await),
            // Why it hung up stands in what it has said, if it said anything.
            Err(Streamed::Io(e)) => match listening.await {
                Ok(Some(error)) => (false, Ok(Some(error))),
                _ => return Streamed::Io(e),
            },
            Err(other) => return other,
        },
        answer = &mut listening => (false, answer),
    };
    match answer {
        Ok(None) if sent => Streamed::Answered,
        Ok(None) => Streamed::TooEarly,
        Ok(Some(error)) => Streamed::Refused { error, sent },
        Err(e) => Streamed::Io(e),
    }
}

/// Objects, each after those among them that it refers to.
fn in_order(objects: &Objects) -> Vec<&StorePath> {
    let mut order = Vec::with_capacity(objects.len());
    let mut state: HashMap<&StorePath, bool> = HashMap::new();
    for start in objects.keys() {
        let mut stack = vec![(start, false)];
        while let Some((path, children_done)) = stack.pop() {
            if children_done {
                if state.insert(path, true) != Some(true) {
                    order.push(path);
                }
                continue;
            }
            if state.contains_key(path) {
                continue;
            }
            state.insert(path, false);
            stack.push((path, true));
            let references = objects.get(path).into_iter().flat_map(|o| &o.references);
            stack.extend(references.filter_map(|r| objects.get_key_value(r)).map(|(r, _)| (r, false)));
        }
    }
    order
}

fn read_out(mut tree: Disk, from: &Path, method: Method, frames: mpsc::Sender<Vec<u8>>) -> io::Result<()> {
    let mut out = Frames { frames, frame: Vec::with_capacity(FRAME) };
    if method == Method::Flat {
        io::copy(&mut std::fs::File::open(from)?, &mut out)?;
    } else {
        nar::write(&mut tree, from, &mut out)?;
    }
    out.flush()
}

/// Cuts what is written into frames.
struct Frames {
    frames: mpsc::Sender<Vec<u8>>,
    frame: Vec<u8>,
}

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(FRAME - self.frame.len());
        self.frame.extend_from_slice(&bytes[..taken]);
        if self.frame.len() == FRAME {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.frame, Vec::with_capacity(FRAME));
        self.frames.blocking_send(full).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drv::object::Text;

    fn path(letter: char) -> StorePath {
        let hash = letter.to_string().repeat(32);
        StorePath::from_base_name(format!("{hash}-{letter}").as_bytes()).unwrap()
    }

    #[test]
    fn what_is_referred_to_comes_first() {
        let object = |references: &[char]| Object {
            references: references.iter().map(|&c| path(c)).collect(),
            content: Content::Text(Text(b"".as_slice().into())),
        };
        let objects = Objects::from([
            (path('a'), object(&['b', 'c', 'x'])),
            (path('b'), object(&['c', 'd'])),
            (path('c'), object(&['d'])),
            (path('d'), object(&[])),
        ]);
        let order = in_order(&objects);
        let at = |c| order.iter().position(|p| **p == path(c)).unwrap();
        assert_eq!(order.len(), 4);
        assert!(at('d') < at('c') && at('c') < at('b') && at('b') < at('a'), "{order:?}");
    }
}
