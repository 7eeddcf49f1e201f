//! Tar archives: made of files of this machine while they are sent, and unpacked as they come.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use crate::engine::executor::{ExecError, Saved};

/// Pieces of an archive that wait to be sent.
const WAITING: usize = 8;
/// Size of such a piece.
const PIECE: usize = 128 * 1024;

/// One thing to put into an archive.
pub(super) enum Entry {
    /// A file, link or directory of this machine, at a path in the archive.
    Path(PathBuf, PathBuf),
    /// A text, at a path in the archive.
    Text(PathBuf, Vec<u8>),
}

/// Writes to a channel, in pieces.
struct Sender {
    piece: Vec<u8>,
    channel: mpsc::Sender<Vec<u8>>,
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        if piece.is_empty() { Ok(()) } else { self.channel.blocking_send(piece).map_err(gone) }
    }
}

/// Makes an archive on a thread of its own; its pieces come through the channel. The task's result
/// says whether it is whole.
pub(super) fn pack(
    entries: Vec<Entry>,
) -> (mpsc::Receiver<Vec<u8>>, tokio::task::JoinHandle<Result<(), ExecError>>) {
    let (channel, pieces) = mpsc::channel(WAITING);
    let task = tokio::task::spawn_blocking(move || {
        let mut builder = tar::Builder::new(Sender { piece: Vec::with_capacity(PIECE), channel });
        builder.follow_symlinks(false);
        for entry in &entries {
            let (path, result) = match entry {
                Entry::Path(from, at) => (from, append(&mut builder, from, at)),
                Entry::Text(at, text) => (at, append_text(&mut builder, at, text)),
            };
            match result {
                Ok(()) => {}
                // The other side has stopped listening, and says why itself.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(ExecError::io("send", path, &error)),
            }
        }
        let end = builder.into_inner().and_then(|mut sender| sender.flush());
        match end {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(ExecError::infrastructure(format!("cannot end an archive: {error}")))
            }
            _ => Ok(()),
        }
    });
    (pieces, task)
}

fn append(builder: &mut tar::Builder<Sender>, from: &Path, at: &Path) -> io::Result<()> {
    let meta = from.symlink_metadata()?;
    let mut header = tar::Header::new_gnu();
    header.set_mode(meta.permissions().mode() & 0o7777);
    header.set_mtime(u64::try_from(meta.mtime()).unwrap_or(0));
    header.set_size(0);
    if meta.is_symlink() {
        header.set_entry_type(tar::EntryType::Symlink);
        builder.append_link(&mut header, at, fs::read_link(from)?)
    } else if meta.is_dir() {
        header.set_entry_type(tar::EntryType::Directory);
        builder.append_data(&mut header, at, io::empty())
    } else if meta.is_file() {
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(meta.len());
        // A file that changes meanwhile must still fill exactly the size that was announced.
        let file = fs::File::open(from)?.take(meta.len()).chain(io::repeat(0)).take(meta.len());
        builder.append_data(&mut header, at, file)
    } else {
        Err(io::Error::other("it is neither file, directory nor link"))
    }
}

fn append_text(builder: &mut tar::Builder<Sender>, at: &Path, text: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o600);
    header.set_size(text.len() as u64);
    builder.append_data(&mut header, at, text)
}

/// Everything below a directory, directories before what is in them.
pub(super) fn tree(src: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(dir) = pending.pop() {
        let mut entries = fs::read_dir(src.join(&dir))?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_unstable_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = dir.join(entry.file_name());
            let is_dir = entry.file_type()?.is_dir();
            if is_dir {
                pending.push(path.clone());
            }
            found.push((path, is_dir));
        }
    }
    Ok(found)
}

/// Reads from a channel.
struct Receiver {
    piece: io::Cursor<Vec<u8>>,
    channel: mpsc::Receiver<Vec<u8>>,
}

impl Read for Receiver {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.piece.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            match self.channel.blocking_recv() {
                Some(piece) => self.piece = io::Cursor::new(piece),
                None => return Ok(0),
            }
        }
    }
}

/// Unpacks an archive whose pieces are sent into the channel, below an empty directory. What the
/// other side sends is not trusted: nothing outside is written.
pub(super) fn unpack(
    dest: PathBuf,
) -> (mpsc::Sender<Vec<u8>>, tokio::task::JoinHandle<Result<Saved, ExecError>>) {
    let (pieces, channel) = mpsc::channel(WAITING);
    let task = tokio::task::spawn_blocking(move || {
        let mut archive = tar::Archive::new(Receiver { piece: io::Cursor::default(), channel });
        let mut saved = Saved::default();
        let broken = |error: io::Error| {
            ExecError::infrastructure(format!("an archive from the job is damaged: {error}"))
        };
        let mut directories = Vec::new();
        for entry in archive.entries().map_err(broken)? {
            let mut entry = entry.map_err(broken)?;
            entry.set_preserve_permissions(true);
            entry.set_preserve_mtime(true);
            let path = entry.path().map_err(broken)?.into_owned();
            let kind = entry.header().entry_type();
            match kind {
                tar::EntryType::Directory => {
                    let mode = entry.header().mode().unwrap_or(0o755);
                    directories.push((path.clone(), mode & 0o7777));
                    entry.set_mask(0);
                    entry.header();
                }
                tar::EntryType::Regular | tar::EntryType::Link | tar::EntryType::Symlink => {
                    saved.files += 1;
                    saved.bytes += entry.size();
                }
                _ => {
                    let message = format!("`{}` is neither file, directory nor link", path.display());
                    return Err(ExecError::job(message));
                }
            }
            let inside = if kind == tar::EntryType::Directory {
                make_directory(&dest, &path)
            } else {
                entry.unpack_in(&dest)
            };
            if !inside.map_err(broken)? {
                let message = format!("an archive from the job holds the path `{}`", path.display());
                return Err(ExecError::infrastructure(message));
            }
        }
        // Read-only directories get their modes when they are full.
        for (path, mode) in directories.iter().rev() {
            let path = dest.join(path);
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode))
                .map_err(|e| ExecError::io("set the mode of", &path, &e))?;
        }
        Ok(saved)
    });
    (pieces, task)
}

/// Makes a directory below `dest`; false when its path leads outside.
fn make_directory(dest: &Path, path: &Path) -> io::Result<bool> {
    use std::path::Component;
    let mut at = dest.to_path_buf();
    for component in path.components() {
        match component {
            Component::Normal(part) => at.push(part),
            Component::CurDir => continue,
            _ => return Ok(false),
        }
        match at.symlink_metadata() {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Ok(false),
            Err(_) => fs::create_dir(&at)?,
        }
    }
    Ok(true)
}
