//! Where the container engine listens: `DOCKER_HOST`, the context of the docker command, the usual
//! places.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::engine::executor::ExecError;

/// Which engine is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::exec) enum Kind {
    /// Docker's, or what stands in for it.
    Docker,
    /// Podman's.
    Podman,
}

impl Kind {
    /// The engine's name in messages.
    pub(in crate::exec) fn name(self) -> &'static str {
        match self {
            Kind::Docker => "docker",
            Kind::Podman => "podman",
        }
    }
}

/// What is looked at to find the socket; the process's environment, save in tests.
pub(in crate::exec) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The path of the engine's socket.
pub(in crate::exec) fn find(kind: Kind, lookup: Lookup<'_>) -> Result<PathBuf, ExecError> {
    let variable = match kind {
        Kind::Docker => "DOCKER_HOST",
        Kind::Podman => "CONTAINER_HOST",
    };
    if let Some(url) = lookup(variable).filter(|url| !url.is_empty()) {
        return from_url(&url, variable);
    }
    if kind == Kind::Docker
        && let Some(url) = context(lookup)
    {
        return from_url(&url, "the context of docker");
    }
    let runtime = lookup("XDG_RUNTIME_DIR").map(PathBuf::from);
    let candidates: Vec<PathBuf> = match kind {
        Kind::Docker => {
            let rootless = runtime.map(|dir| dir.join("docker.sock"));
            [Some(PathBuf::from("/var/run/docker.sock")), rootless].into_iter().flatten().collect()
        }
        Kind::Podman => {
            let rootless = runtime.map(|dir| dir.join("podman/podman.sock"));
            [rootless, Some(PathBuf::from("/run/podman/podman.sock"))].into_iter().flatten().collect()
        }
    };
    candidates.iter().find(|path| path.exists()).cloned().ok_or_else(|| {
        let places: Vec<String> = candidates.iter().map(|p| p.display().to_string()).collect();
        let start = match kind {
            Kind::Docker => "start docker",
            Kind::Podman => "start `podman system service`",
        };
        ExecError::infrastructure(format!(
            "no {} engine listens here (looked at ${variable} and {}); {start}, or set ${variable}",
            kind.name(),
            places.join(", ")
        ))
    })
}

fn from_url(url: &str, of: &str) -> Result<PathBuf, ExecError> {
    match url.strip_prefix("unix://") {
        Some(path) if path.starts_with('/') => Ok(PathBuf::from(path)),
        _ => Err(ExecError::infrastructure(format!(
            "{of} is `{url}`; only sockets of this machine are supported, as `unix:///run/docker.sock`"
        ))),
    }
}

/// The endpoint of docker's current context: `DOCKER_CONTEXT`, else the configured one.
fn context(lookup: Lookup<'_>) -> Option<String> {
    let config = config_dir(lookup)?;
    let name = lookup("DOCKER_CONTEXT").filter(|name| !name.is_empty()).or_else(|| {
        let text = fs::read(config.join("config.json")).ok()?;
        let value: Value = serde_json::from_slice(&text).ok()?;
        Some(value.get("currentContext")?.as_str()?.to_owned())
    })?;
    if name == "default" {
        return None;
    }
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(name.as_bytes()));
    let text = fs::read(config.join("contexts/meta").join(digest).join("meta.json")).ok()?;
    let value: Value = serde_json::from_slice(&text).ok()?;
    Some(value.pointer("/Endpoints/docker/Host")?.as_str()?.to_owned())
}

/// Docker's directory of configuration.
pub(in crate::exec) fn config_dir(lookup: Lookup<'_>) -> Option<PathBuf> {
    let own = lookup("DOCKER_CONFIG").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    own.or_else(|| lookup("HOME").map(|home| Path::new(&home).join(".docker")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_where_the_environment_or_the_context_says() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join(".docker");
        let meta = config.join("contexts/meta").join(data_encoding::HEXLOWER.encode(&Sha256::digest(b"far")));
        fs::create_dir_all(&meta).unwrap();
        fs::write(config.join("config.json"), r#"{"currentContext":"far"}"#).unwrap();
        fs::write(meta.join("meta.json"), r#"{"Endpoints":{"docker":{"Host":"unix:///far.sock"}}}"#).unwrap();
        let home = home.path().to_string_lossy().into_owned();
        let in_home = |name: &str| (name == "HOME").then(|| home.clone());
        assert_eq!(find(Kind::Docker, &in_home).unwrap(), Path::new("/far.sock"));
        let set = |name: &str| (name == "DOCKER_HOST").then(|| "unix:///set.sock".to_owned());
        assert_eq!(find(Kind::Docker, &set).unwrap(), Path::new("/set.sock"));
        let far = |name: &str| (name == "CONTAINER_HOST").then(|| "ssh://u@h".to_owned());
        assert!(find(Kind::Podman, &far).unwrap_err().message.contains("only sockets"));
        let nowhere = |name: &str| (name == "XDG_RUNTIME_DIR").then(|| "/nonexistent".to_owned());
        let said = find(Kind::Podman, &nowhere);
        assert!(said.is_ok() || said.is_err_and(|e| e.message.contains("CONTAINER_HOST")));
    }
}
