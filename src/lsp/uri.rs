//! `file:` URIs and paths (RFC 8089, RFC 3986 section 2.1). Texts without a file get a path that no
//! file has.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXUPPER_PERMISSIVE;

/// Folder of the paths of texts that have no file.
const NOWHERE: &str = "/untitled-texts";

/// The path of a URI; of one that names no file, a path of its own.
pub fn to_path(uri: &str) -> PathBuf {
    match uri.strip_prefix("file://") {
        // After an authority, which is ignored, comes the path.
        Some(rest) => match rest.find('/') {
            Some(at) => PathBuf::from(OsString::from_vec(decode(&rest[at..]))),
            None => PathBuf::from("/"),
        },
        None => Path::new(NOWHERE).join(uri.replace('/', "%2F")),
    }
}

/// Whether a path stands for a text without a file.
pub fn is_nowhere(path: &Path) -> bool {
    path.starts_with(NOWHERE)
}

/// The URI of a path.
pub fn of_path(path: &Path) -> String {
    if let Ok(rest) = path.strip_prefix(NOWHERE) {
        return rest.to_string_lossy().replace("%2F", "/");
    }
    let mut out = String::from("file://");
    for &b in path.as_os_str().as_bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(b));
        } else {
            out += &format!("%{b:02X}");
        }
    }
    out
}

fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = bytes.get(i + 1..i + 3).filter(|_| bytes[i] == b'%');
        match hex.and_then(|h| HEXUPPER_PERMISSIVE.decode(h).ok()) {
            Some(b) => {
                out.extend(b);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_uris_are_inverse() {
        for path in ["/a/b.nix", "/with space/ü%.nix", "/a#b?c/[x].nix"] {
            assert_eq!(to_path(&of_path(Path::new(path))), Path::new(path));
        }
        assert_eq!(to_path("file:///a%20b%2"), Path::new("/a b%2"));
        assert_eq!(to_path("file://host/x"), Path::new("/x"));
        assert_eq!(of_path(&to_path("untitled:Untitled-1")), "untitled:Untitled-1");
        assert!(is_nowhere(&to_path("untitled:Untitled-1")));
    }
}
