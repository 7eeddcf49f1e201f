//! Archives, unpacked: tar, plain or compressed with gzip, xz, zstd or bzip2 (told by their first
//! bytes, not by their names). Nothing is written outside of the target.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};

/// Unpacks an archive. When it holds one directory and nothing else, that one becomes `to`. Gives the
/// time of the newest file, in seconds since 1970.
pub(super) fn unpack(archive: &Path, to: &Path) -> io::Result<u64> {
    let inside = to.with_extension("all");
    let _ = fs::remove_dir_all(&inside);
    fs::create_dir(&inside)?;
    let unpacked = open(archive).and_then(|reader| entries(reader, &inside));
    let done = unpacked.and_then(|newest| {
        let mut names = fs::read_dir(&inside)?.collect::<io::Result<Vec<_>>>()?;
        match (names.pop(), names.pop()) {
            (Some(only), None) if only.file_type()?.is_dir() => fs::rename(only.path(), to).map(|()| newest),
            (None, _) => Err(invalid("it is empty")),
            _ => fs::rename(&inside, to).map(|()| newest),
        }
    });
    let _ = fs::remove_dir_all(&inside);
    done
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn open(archive: &Path) -> io::Result<Box<dyn Read>> {
    let mut head = [0; 6];
    let mut file = File::open(archive)?;
    let mut read = 0;
    while read < head.len() {
        match file.read(&mut head[read..])? {
            0 => break,
            n => read += n,
        }
    }
    let whole = BufReader::with_capacity(256 << 10, File::open(archive)?);
    Ok(match head {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Box::new(lzma_rust2::XzReader::new(whole, true)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(whole);
            Box::new(decoder.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?)
        }
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::read::MultiBzDecoder::new(whole)),
        [b'P', b'K', 3, 4, ..] => return Err(invalid("it is a zip archive; use a tar archive")),
        _ => Box::new(whole),
    })
}

fn entries(reader: Box<dyn Read>, to: &Path) -> io::Result<u64> {
    let mut archive = tar::Archive::new(reader);
    let mut newest = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let Some(path) = inside(to, &entry.path()?)? else { continue };
        let kind = entry.header().entry_type();
        newest = newest.max(entry.header().mtime().unwrap_or(0));
        if kind.is_dir() {
            directory(to, &path)?;
            continue;
        }
        if !(kind.is_file() || kind.is_symlink() || kind.is_hard_link()) {
            // Extended headers; devices and pipes have no place in a source.
            continue;
        }
        if let Some(parent) = path.parent() {
            directory(to, parent)?;
        }
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path)?;
        }
        if kind.is_symlink() {
            let target = entry.link_name()?.ok_or_else(|| invalid("a link without a target"))?;
            symlink(target, &path)?;
        } else if kind.is_hard_link() {
            let target = entry.link_name()?.ok_or_else(|| invalid("a link without a target"))?;
            let from = inside(to, &target)?.ok_or_else(|| invalid("a link to the whole archive"))?;
            if from.symlink_metadata()?.is_file() {
                no_links(to, &from)?;
                fs::copy(from, &path)?;
            }
        } else {
            let mode = if entry.header().mode()? & 0o100 != 0 { 0o755 } else { 0o644 };
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
            io::copy(&mut entry, &mut file)?;
        }
    }
    Ok(newest)
}

/// The place of an entry below `to`; `None` for the top itself.
fn inside(to: &Path, entry: &Path) -> io::Result<Option<PathBuf>> {
    let mut path = to.to_owned();
    for part in entry.components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir => {}
            _ => return Err(invalid("a path in it leads outside")),
        }
    }
    Ok((path != to).then_some(path))
}

/// Makes a directory and those above it, none of which may be a link.
fn directory(to: &Path, path: &Path) -> io::Result<()> {
    no_links(to, path)?;
    fs::create_dir_all(path)
}

fn no_links(to: &Path, path: &Path) -> io::Result<()> {
    let above = path.ancestors().take_while(|p| *p != to);
    for dir in above {
        if dir.symlink_metadata().is_ok_and(|m| m.is_symlink()) {
            return Err(invalid("a path in it leads through a link"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(entries: &[(&str, &str, tar::EntryType)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content, kind) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            // Written by hand: the crate refuses to write what must be refused when read.
            let name = path.as_bytes();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name);
            if *kind == tar::EntryType::Symlink {
                header.set_link_name(content).unwrap();
                header.set_size(0);
                header.set_cksum();
                builder.append(&header, io::empty()).unwrap();
            } else {
                header.set_size(content.len() as u64);
                header.set_cksum();
                builder.append(&header, content.as_bytes()).unwrap();
            }
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn one_directory_becomes_the_source() {
        let dir = tempfile::tempdir().unwrap();
        let (file, to) = (dir.path().join("a"), dir.path().join("to"));
        use tar::EntryType as T;
        fs::write(
            &file,
            tar_of(&[("top/", "", T::Directory), ("top/x/f", "1", T::Regular), ("top/l", "x/f", T::Symlink)]),
        )
        .unwrap();
        unpack(&file, &to).unwrap();
        assert_eq!(fs::read(to.join("x/f")).unwrap(), b"1");
        assert_eq!(fs::read_link(to.join("l")).unwrap(), Path::new("x/f"));
    }

    #[test]
    fn nothing_gets_outside() {
        use tar::EntryType as T;
        for bad in [
            tar_of(&[("../out", "x", T::Regular)]),
            tar_of(&[("a/../../out", "x", T::Regular)]),
            tar_of(&[("l", "..", T::Symlink), ("l/out", "x", T::Regular)]),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (file, to) = (dir.path().join("a"), dir.path().join("to"));
            fs::write(&file, bad).unwrap();
            assert!(unpack(&file, &to).is_err());
            assert!(!dir.path().join("out").exists() && !to.exists());
        }
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (file, to) = (dir.path().join("a"), dir.path().join("to"));
        for bad in [&b""[..], b"<html>not found</html>", b"\x1f\x8b\x08\0\0", b"PK\x03\x04...."] {
            fs::write(&file, bad).unwrap();
            assert!(unpack(&file, &to).is_err(), "{bad:?}");
        }
    }
}
