//! Output that waits for its turn: in memory while it is small, in an unnamed file beyond.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Bytes kept in memory for one spool.
const IN_MEMORY: usize = 64 * 1024;
/// Size of the pieces in which a file is read back.
const PIECE: usize = 64 * 1024;

/// Bytes in order.
#[derive(Debug, Default)]
pub(super) struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    /// Bytes that could not be kept, and why.
    lost: Option<(u64, io::Error)>,
}

impl Spool {
    /// Adds bytes. `dir` is where a file may be made; it has no name there once it is open, and no
    /// other user can read it.
    pub(super) fn push(&mut self, bytes: &[u8], dir: &Path) {
        self.memory.extend_from_slice(bytes);
        if self.memory.len() < IN_MEMORY {
            return;
        }
        if let Err(error) = self.write_out(dir) {
            let count = self.lost.take().map_or(0, |(count, _)| count) + self.memory.len() as u64;
            self.lost = Some((count, error));
        }
        self.memory.clear();
    }

    fn write_out(&mut self, dir: &Path) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(unnamed(dir)?),
        };
        file.write_all(&self.memory)
    }

    /// Hands everything over, in pieces.
    pub(super) fn drain(mut self, take: &mut dyn FnMut(&[u8])) {
        if let Some(file) = &mut self.file {
            let mut piece = vec![0; PIECE];
            if file.rewind().is_ok() {
                while let Ok(count @ 1..) = file.read(&mut piece) {
                    take(&piece[..count]);
                }
            }
        }
        if let Some((count, error)) = &self.lost {
            take(format!("({count} bytes of output could not be kept for here: {error})\n").as_bytes());
        }
        take(&self.memory);
    }
}

fn unnamed(dir: &Path) -> io::Result<File> {
    let mut number = 0_u32;
    loop {
        let path = dir.join(format!(".spool-{}-{number}", std::process::id()));
        let options = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        match options {
            Ok(file) => return std::fs::remove_file(&path).map(|()| file),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_output_comes_back_whole_and_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::default();
        let mut expected = Vec::new();
        for number in 0..30_000 {
            let line = format!("line {number}\n");
            spool.push(line.as_bytes(), dir.path());
            expected.extend_from_slice(line.as_bytes());
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut found = Vec::new();
        spool.drain(&mut |bytes| found.extend_from_slice(bytes));
        assert!(found == expected);
    }

    #[test]
    fn what_could_not_be_kept_is_said() {
        let mut spool = Spool::default();
        spool.push(&[b'x'; IN_MEMORY], Path::new("/no/such/directory"));
        let mut found = String::new();
        spool.drain(&mut |bytes| found.push_str(&String::from_utf8_lossy(bytes)));
        assert!(found.starts_with("(65536 bytes of output could not be kept"), "{found}");
    }
}
