//! Where the daemon listens.

use std::path::PathBuf;
use std::time::Duration;

use super::error::StoreError;
use crate::drv::store_path::StoreDir;

/// A daemon's socket, the store behind it, and how patient to be with it.
#[derive(Clone, Debug)]
pub struct Location {
    /// The socket.
    pub socket: PathBuf,
    /// The store directory that paths are printed with.
    pub store_dir: StoreDir,
    /// How long to wait for an answer to anything but a build.
    pub patience: Duration,
}

/// How long to wait for an answer when nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

impl Location {
    /// A daemon at a socket, with the default store directory.
    pub fn at(socket: impl Into<PathBuf>) -> Location {
        Location { socket: socket.into(), store_dir: StoreDir::default(), patience: PATIENCE }
    }

    /// The daemon that the environment names, as Nix reads it: `NIX_REMOTE`,
    /// `NIX_DAEMON_SOCKET_PATH`, `NIX_STATE_DIR`, `NIX_STORE_DIR`; `NIXACTIONS_DAEMON_TIMEOUT`
    /// (seconds) sets the patience.
    pub fn from_environment(env: impl Fn(&str) -> Option<String>) -> Result<Location, StoreError> {
        let set = |name: &str| env(name).filter(|v| !v.is_empty());
        let default = || match set("NIX_DAEMON_SOCKET_PATH") {
            Some(path) => PathBuf::from(path),
            None => {
                let state = set("NIX_STATE_DIR").unwrap_or_else(|| "/nix/var/nix".into());
                PathBuf::from(state).join("daemon-socket/socket")
            }
        };
        let socket = match set("NIX_REMOTE").as_deref() {
            None | Some("daemon" | "auto" | "unix://") => default(),
            Some(other) => {
                let (place, _) = other.split_once('?').unwrap_or((other, ""));
                match place.strip_prefix("unix://").unwrap_or(place) {
                    "" | "daemon" | "auto" => default(),
                    path if path.starts_with('/') && place.starts_with("unix://") => path.into(),
                    _ => return Err(StoreError::Remote(other.to_owned())),
                }
            }
        };
        let store_dir = StoreDir::new(&set("NIX_STORE_DIR").unwrap_or_else(|| "/nix/store".into()));
        let patience = set("NIXACTIONS_DAEMON_TIMEOUT").and_then(|s| s.parse().ok());
        Ok(Location { socket, store_dir, patience: patience.map_or(PATIENCE, Duration::from_secs) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(vars: &[(&str, &str)]) -> Result<PathBuf, String> {
        let env = |name: &str| vars.iter().find(|v| v.0 == name).map(|v| v.1.to_owned());
        Location::from_environment(env).map(|l| l.socket).map_err(|e| e.to_string())
    }

    #[test]
    fn the_environment_names_the_socket() {
        let default = Ok(PathBuf::from("/nix/var/nix/daemon-socket/socket"));
        assert_eq!(socket(&[]), default);
        assert_eq!(socket(&[("NIX_REMOTE", "daemon")]), default);
        assert_eq!(socket(&[("NIX_DAEMON_SOCKET_PATH", "/a/b")]), Ok("/a/b".into()));
        assert_eq!(socket(&[("NIX_STATE_DIR", "/s")]), Ok("/s/daemon-socket/socket".into()));
        assert_eq!(socket(&[("NIX_REMOTE", "unix:///x/y?root=/z")]), Ok("/x/y".into()));
        assert!(socket(&[("NIX_REMOTE", "ssh://host")]).is_err_and(|e| e.contains("ssh://host")));
    }
}
