//! NAR archives: the deterministic serialisation of a file system object, written as a stream.

use std::io::{self, Read, Write};
use std::path::Path;

use super::hash::{Algo, Hash, Hasher};

/// The words every archive begins with.
const MAGIC: &[u8] = b"nix-archive-1";

/// A file system object as an archive knows it.
pub enum Node {
    /// A file.
    Regular {
        /// Whether its owner may execute it.
        executable: bool,
        /// The number of bytes.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: Vec<u8>,
    },
    /// A directory.
    Directory {
        /// The names of its entries, in any order.
        names: Vec<Vec<u8>>,
    },
}

/// Something an archive can be made of: the real file system, an overlay, memory.
pub trait FileTree {
    /// What goes wrong when reading.
    type Error: From<io::Error>;

    /// What is at a path; symbolic links are not followed.
    fn node(&mut self, path: &Path) -> Result<Node, Self::Error>;

    /// The content of a file.
    fn open(&mut self, path: &Path) -> Result<Box<dyn Read + '_>, Self::Error>;

    /// Whether an entry of a directory becomes part of the archive. Called once for each entry, in
    /// archive order, just before the entry is written.
    fn includes(&mut self, _path: &Path) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// Writes the archive of what is at `path`.
pub fn write<T: FileTree>(tree: &mut T, path: &Path, out: &mut dyn Write) -> Result<(), T::Error> {
    word(out, MAGIC)?;
    write_node(tree, path, out)
}

/// The hash of the archive and its size in bytes.
pub fn hash<T: FileTree>(tree: &mut T, path: &Path, algo: Algo) -> Result<(Hash, u64), T::Error> {
    let mut hasher = Hasher::new(algo);
    write(tree, path, &mut hasher)?;
    let size = hasher.written();
    Ok((hasher.finish(), size))
}

fn write_node<T: FileTree>(tree: &mut T, path: &Path, out: &mut dyn Write) -> Result<(), T::Error> {
    words(out, &[b"(", b"type"])?;
    match tree.node(path)? {
        Node::Regular { executable, size } => {
            word(out, b"regular")?;
            if executable {
                words(out, &[b"executable", b""])?;
            }
            word(out, b"contents")?;
            contents(&mut tree.open(path)?, size, out)?;
        }
        Node::Symlink { target } => words(out, &[b"symlink", b"target", &target])?,
        Node::Directory { mut names } => {
            word(out, b"directory")?;
            names.sort_unstable();
            for name in names {
                let child = path.join(os_str(&name));
                if tree.includes(&child)? {
                    words(out, &[b"entry", b"(", b"name", &name, b"node"])?;
                    write_node(tree, &child, out)?;
                    word(out, b")")?;
                }
            }
        }
    }
    Ok(word(out, b")")?)
}

fn os_str(name: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(name)
}

fn contents(from: &mut dyn Read, size: u64, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&size.to_le_bytes())?;
    let copied = io::copy(&mut from.take(size), out)?;
    if copied != size {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "file became shorter while it was read"));
    }
    pad(out, size)
}

fn words(out: &mut dyn Write, words: &[&[u8]]) -> io::Result<()> {
    words.iter().try_for_each(|w| word(out, w))
}

fn word(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&(bytes.len() as u64).to_le_bytes())?;
    out.write_all(bytes)?;
    pad(out, bytes.len() as u64)
}

/// Every string fills whole words of 8 bytes.
fn pad(out: &mut dyn Write, len: u64) -> io::Result<()> {
    let rest = (len % 8) as usize;
    if rest == 0 { Ok(()) } else { out.write_all(&[0; 8][rest..]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drv::content_address::{ContentAddress, Method};
    use crate::drv::store_path::{References, StoreDir};
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    enum Entry {
        File(&'static [u8], bool),
        Link(&'static str),
        Dir,
    }

    #[derive(Default)]
    struct Memory {
        entries: BTreeMap<PathBuf, Entry>,
        hidden: Option<PathBuf>,
        asked: Vec<PathBuf>,
    }

    impl FileTree for Memory {
        type Error = io::Error;

        fn node(&mut self, path: &Path) -> io::Result<Node> {
            Ok(match self.entries.get(path).ok_or(io::ErrorKind::NotFound)? {
                Entry::File(data, executable) => {
                    Node::Regular { executable: *executable, size: data.len() as u64 }
                }
                Entry::Link(target) => Node::Symlink { target: target.as_bytes().to_vec() },
                Entry::Dir => Node::Directory {
                    names: self
                        .entries
                        .keys()
                        .rev()
                        .filter(|p| p.parent() == Some(path))
                        .filter_map(|p| p.file_name())
                        .map(|n| n.as_encoded_bytes().to_vec())
                        .collect(),
                },
            })
        }

        fn open(&mut self, path: &Path) -> io::Result<Box<dyn Read + '_>> {
            match self.entries.get(path) {
                Some(Entry::File(data, _)) => Ok(Box::new(*data)),
                _ => Err(io::ErrorKind::InvalidInput.into()),
            }
        }

        fn includes(&mut self, path: &Path) -> io::Result<bool> {
            self.asked.push(path.into());
            Ok(self.hidden.as_deref() != Some(path))
        }
    }

    fn sample() -> Memory {
        let mut tree = Memory::default();
        let mut put = |path: &str, entry| tree.entries.insert(path.into(), entry);
        put("/t", Entry::Dir);
        put("/t/a", Entry::File(b"hello", false));
        put("/t/b", Entry::File(b"#!/bin/sh\n", true));
        put("/t/d", Entry::Dir);
        put("/t/d/l", Entry::Link("../a"));
        put("/t/d/e", Entry::File(b"", false));
        put("/t/d.x", Entry::Dir);
        tree
    }

    fn store_path(tree: &mut Memory, root: &str) -> String {
        let (hash, _) = hash(tree, Path::new(root), Algo::Sha256).unwrap();
        let dir = StoreDir::default();
        let address = ContentAddress { method: Method::Nar, hash };
        dir.print(&dir.make_fixed_path(b"t", &address, &References::none()).unwrap())
    }

    #[test]
    fn layout_of_a_file() {
        let mut bytes = Vec::new();
        write(&mut sample(), Path::new("/t/a"), &mut bytes).unwrap();
        let mut expected = Vec::new();
        for text in ["nix-archive-1", "(", "type", "regular", "contents", "hello", ")"] {
            expected.extend((text.len() as u64).to_le_bytes());
            expected.extend(text.as_bytes());
            expected.resize(expected.len().next_multiple_of(8), 0);
        }
        assert_eq!(bytes, expected);
        let (hash, size) = hash(&mut sample(), Path::new("/t/a"), Algo::Sha256).unwrap();
        assert_eq!((hash, size), (Hash::sha256(&bytes), bytes.len() as u64));
    }

    #[test]
    fn store_path_of_a_tree() {
        assert_eq!(store_path(&mut sample(), "/t"), "/nix/store/krn5snfy1shf2m1imsss8pnnwf6knkkk-t");
    }

    #[test]
    fn entries_left_out() {
        let mut tree = sample();
        tree.hidden = Some("/t/d".into());
        assert_eq!(store_path(&mut tree, "/t"), "/nix/store/lg42spaw9c0h8ni12sc4vpqnr2cm5w4x-t");
        let asked: Vec<_> = tree.asked.iter().map(|p| p.to_str().unwrap()).collect();
        assert_eq!(asked, ["/t/a", "/t/b", "/t/d", "/t/d.x"]);
    }

    #[test]
    fn file_that_shrinks() {
        let error = contents(&mut &b"abc"[..], 4, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
