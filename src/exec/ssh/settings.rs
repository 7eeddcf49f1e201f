//! Options of `executors.ssh`, and the arguments of `ssh` that they come to.

use std::path::PathBuf;

use super::connection::Target;
use crate::engine::executor::{ExecError, Workspace};
use crate::exec::options::Options;
use crate::exec::remote::program::word;

/// How jobs share connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// All jobs over one connection.
    Shared,
    /// One connection a job.
    Dedicated,
    /// Several hosts; a job goes to one that has room.
    Pool,
}

/// Options, read.
pub(super) struct Settings {
    pub(super) mode: Mode,
    pub(super) targets: Vec<Target>,
    pub(super) copies: bool,
    pub(super) base: PathBuf,
    pub(super) capacity: usize,
}

impl Settings {
    /// Reads the options of a workspace's executor.
    pub(super) fn read(workspace: &Workspace) -> Result<Settings, ExecError> {
        let options = Options::of(workspace);
        let hosts = options.texts("hosts")?;
        let host = options.text("host")?;
        let mode = match (options.text("mode")?, hosts.is_empty()) {
            (None, true) | (Some("shared"), _) => Mode::Shared,
            (Some("dedicated"), _) => Mode::Dedicated,
            (None, false) | (Some("pool"), _) => Mode::Pool,
            _ => return Err(options.wrong("mode", "shared, dedicated or pool")),
        };
        let mut names: Vec<&str> = host.into_iter().chain(hosts).collect();
        names.retain(|name| !name.is_empty());
        if names.is_empty() {
            return Err(options.wrong("host", "given, or `hosts`"));
        }
        if mode != Mode::Pool {
            names.truncate(1);
        }
        let mut arguments: Vec<String> = Vec::new();
        for (name, value) in options.pairs("options")? {
            arguments.extend(["-o".into(), format!("{name}={value}")]);
        }
        if let Some(file) = options.text("identityFile")? {
            let file = workspace.project_dir.join(file).to_string_lossy().into_owned();
            arguments.extend(["-i".into(), file, "-o".into(), "IdentitiesOnly=yes".into()]);
        }
        if let Some(file) = options.text("knownHosts")? {
            let file = workspace.project_dir.join(file).to_string_lossy().into_owned();
            arguments.extend(["-o".into(), format!("UserKnownHostsFile={file}")]);
        }
        if let Some(jump) = options.text("jumpHost")? {
            let through =
                through(jump, &arguments).ok_or_else(|| options.wrong("jumpHost", "`[USER@]HOST[:PORT]`"))?;
            arguments.extend(through);
        }
        if let Some(user) = options.text("user")? {
            arguments.extend(["-l".into(), user.to_owned()]);
        }
        let port = match options.get("port") {
            Some(_) => Some(options.number("port", 22, 1, 65535)?),
            None => None,
        };
        let target = |name: &str| -> Result<Target, ExecError> {
            let mut arguments = arguments.clone();
            // A pool on one machine, say: `host:port` gives a host a port of its own.
            let (host, own_port) = match name.rsplit_once(':') {
                Some((host, number)) if !host.contains(':') => (
                    host,
                    Some(number.parse::<u16>().map_err(|_| options.wrong("hosts", "`host` or `host:port`"))?),
                ),
                _ => (name, None),
            };
            if let Some(port) = own_port.map(u64::from).or(port) {
                arguments.extend(["-p".into(), port.to_string()]);
            }
            if host.starts_with('-') {
                return Err(options.wrong("host", "a host's name"));
            }
            Ok(Target { host: host.to_owned(), arguments })
        };
        let base = PathBuf::from(options.text("workspaceDir")?.unwrap_or("/tmp/nixactions"));
        if !base.is_absolute() {
            return Err(options.wrong("workspaceDir", "an absolute path"));
        }
        Ok(Settings {
            mode,
            targets: names.into_iter().map(target).collect::<Result<_, _>>()?,
            copies: options.flag("copyRepo", true)?,
            base,
            capacity: options.number("capacity", 1, 1, 10_000)? as usize,
        })
    }
}

/// The arguments that lead through another host. `ssh` itself gives a jump host neither key nor
/// options of the command line, so where there are some a command of our own makes the way.
fn through(jump: &str, arguments: &[String]) -> Option<Vec<String>> {
    if arguments.is_empty() || jump.contains(',') || jump.contains("://") {
        return (!jump.starts_with('-')).then(|| vec!["-J".into(), jump.to_owned()]);
    }
    let (user, place) = jump.rsplit_once('@').map_or((None, jump), |(user, place)| (Some(user), place));
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, Some(port.parse::<u16>().ok()?)),
        _ => (place, None),
    };
    if host.is_empty() || host.starts_with('-') {
        return None;
    }
    let mut words: Vec<String> = ["ssh", "-o", "BatchMode=yes", "-W", "[%h]:%p"].map(String::from).to_vec();
    // What `ssh` replaces in such a command begins with a percent sign.
    words.extend(arguments.iter().map(|argument| argument.replace('%', "%%")));
    if let Some(user) = user {
        words.extend(["-l".into(), user.to_owned()]);
    }
    if let Some(port) = port {
        words.extend(["-p".into(), port.to_string()]);
    }
    words.extend(["--".into(), host.to_owned()]);
    let command: Vec<String> = words.iter().map(word).collect();
    Some(vec!["-o".into(), format!("ProxyCommand={}", command.join(" "))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jump_hosts_have_the_key_of_the_host() {
        let plain = through("u@gate:22", &[]).unwrap();
        assert_eq!(plain, ["-J", "u@gate:22"]);
        let keyed = through("u@gate:2200", &["-i".into(), "/k/100%".into()]).unwrap();
        let command = "ProxyCommand='ssh' '-o' 'BatchMode=yes' '-W' '[%h]:%p' '-i' '/k/100%%' '-l' 'u' '-p' '2200' '--' 'gate'";
        assert_eq!(keyed, ["-o", command]);
        assert_eq!(through("-oX", &[]), None);
        assert_eq!(through("h:x", &["-v".into()]), None);
    }
}
