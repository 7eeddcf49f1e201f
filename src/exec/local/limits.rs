//! Limits of what a job may use: a control group where a controller is delegated to us, else limits of
//! each process (`setrlimit`) and the CPUs that it may run on.
//!
//! Sources: cgroups(7), the kernel's `cgroup-v2.rst` and `cgroup-v1/{memory,pids}.rst`, and for bash's
//! `ulimit` the manual of bash.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::workflow::plan::Resources;

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// Time in which a CPU quota is counted, in microseconds: the kernel's own default.
const PERIOD: u64 = 100_000;

/// How the limits of one job are enforced.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// Directories of control groups that a process joins.
    groups: Vec<PathBuf>,
    /// Options of bash's `ulimit`.
    ulimits: Vec<(char, u64)>,
    /// CPUs that a process may run on.
    cpus: Option<usize>,
    /// What enforces what, for the log.
    note: Vec<String>,
}

impl Drop for Limits {
    fn drop(&mut self) {
        for group in &self.groups {
            // One in which something still runs stays, and goes with that.
            let _ = fs::remove_dir(group);
        }
    }
}

/// Joins the groups, sets the limits, and becomes the program. Arguments: the number of groups, each
/// group's file of members, `ulimit` options up to `--`, the program and its arguments.
const JOIN: &str = r#"n=$1; shift
while ((n-- > 0)); do echo $$ > "$1" || exit 125; shift; done
while [[ $1 != -- ]]; do ulimit "$1" "$2" || exit 125; shift 2; done
shift; exec "$@""#;

impl Limits {
    /// Sets up the enforcement of a job's limits under a name that no other job has.
    pub(super) fn new(wanted: &Resources, name: &str) -> Limits {
        let mut limits = Limits::default();
        if let Some(bytes) = wanted.memory_bytes {
            let set =
                limits.group(name, "memory", &[("memory.max", "memory.limit_in_bytes", bytes.to_string())]);
            if !set {
                limits.ulimits.push(('v', bytes / 1024));
                limits.note.push(format!("memory {bytes} bytes by rlimit (address space of each process)"));
            }
        }
        if let Some(pids) = wanted.pids
            && !limits.group(name, "pids", &[("pids.max", "pids.max", pids.to_string())])
        {
            limits.ulimits.push(('u', pids));
            limits.note.push(format!("{pids} processes by rlimit (of the whole user, not for root)"));
        }
        if let Some(millis) = wanted.cpu_millis {
            let quota = millis.saturating_mul(PERIOD) / 1000;
            let both = format!("{quota} {PERIOD}");
            let set = limits.group(name, "cpu", &[("cpu.max", "cpu.cfs_quota_us", both)]);
            if !set {
                let cpus = usize::try_from(millis.div_ceil(1000)).unwrap_or(usize::MAX);
                limits.cpus = Some(cpus);
                let plural = if cpus == 1 { "" } else { "s" };
                limits.note.push(format!("{cpus} CPU{plural} by affinity"));
            }
        }
        limits
    }

    /// What enforces what, in words.
    pub(super) fn note(&self) -> String {
        format!("resources: {}", self.note.join(", "))
    }

    /// CPUs that a process may run on, when nothing finer is enforced.
    pub(super) fn cpus(&self) -> Option<usize> {
        self.cpus
    }

    /// A command that runs this one within the limits.
    pub(super) fn wrap(
        &self,
        program: &OsString,
        arguments: &[OsString],
    ) -> Option<(OsString, Vec<OsString>)> {
        if self.groups.is_empty() && self.ulimits.is_empty() {
            return None;
        }
        let mut wrapped: Vec<OsString> = ["-c", JOIN, "limits"].into_iter().map(OsString::from).collect();
        wrapped.push(self.groups.len().to_string().into());
        wrapped.extend(self.groups.iter().map(|group| group.join("cgroup.procs").into_os_string()));
        for (option, value) in &self.ulimits {
            wrapped.extend([format!("-{option}").into(), value.to_string().into()]);
        }
        wrapped.push("--".into());
        wrapped.push(program.clone());
        wrapped.extend_from_slice(arguments);
        Some(("bash".into(), wrapped))
    }

    /// Makes a control group and sets a limit in it; false when no controller is delegated to us.
    fn group(&mut self, name: &str, controller: &str, values: &[(&str, &str, String)]) -> bool {
        let Some((base, version)) = delegated(controller) else { return false };
        let dir = base.join(format!("nixactions-{name}"));
        let made = match fs::create_dir(&dir) {
            Ok(()) => true,
            // Another controller of version 2 has made it already.
            Err(_) if self.groups.contains(&dir) => false,
            Err(_) => return false,
        };
        let set = values.iter().all(|(v2, v1, value)| {
            let (file, value) = match version {
                2 => (v2, value.as_str()),
                _ => (v1, value.split(' ').next().unwrap_or(value)),
            };
            fs::write(dir.join(file), value).is_ok()
        });
        if !set {
            if made {
                let _ = fs::remove_dir(&dir);
            }
            return false;
        }
        // Swap would let memory grow past its limit; a kernel without swap accounting lacks the file.
        if controller == "memory" && version == 2 {
            let _ = fs::write(dir.join("memory.swap.max"), "0");
        }
        let shown: Vec<&str> = values.iter().map(|v| v.2.as_str()).collect();
        self.note.push(format!("{controller} {} by cgroup v{version}", shown.join(" ")));
        if made {
            self.groups.push(dir);
        }
        true
    }
}

/// Our own control group with this controller, when we may make groups below it, and its version.
fn delegated(controller: &str) -> Option<(PathBuf, u8)> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    for line in text.lines() {
        let mut parts = line.splitn(3, ':');
        let (hierarchy, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let path = path.trim_start_matches('/');
        if hierarchy == "0" {
            // Version 2: a controller is usable where it is enabled for groups below.
            for root in [Path::new(MOUNT).to_path_buf(), Path::new(MOUNT).join("unified")] {
                let dir = root.join(path);
                let enabled = fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
                if enabled.split_whitespace().any(|c| c == controller) && is_writable(&dir) {
                    return Some((dir, 2));
                }
            }
        } else if controllers.split(',').any(|c| c == controller) {
            for root in [Path::new(MOUNT).join(controllers), Path::new(MOUNT).join(controller)] {
                // In a container the path may be the host's, and our own group is the mount's root.
                for dir in [root.join(path), root.clone()] {
                    if dir.join("cgroup.procs").is_file() && is_writable(&dir) {
                        return Some((dir, 1));
                    }
                }
            }
        }
    }
    None
}

fn is_writable(dir: &Path) -> bool {
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_limits_nothing_is_wrapped() {
        let limits = Limits::new(&Resources::default(), "none");
        assert_eq!(limits.wrap(&"true".into(), &[]), None);
        assert_eq!(limits.cpus(), None);
    }

    #[test]
    fn limits_of_processes_are_set_before_the_program_runs() {
        let mut limits = Limits::default();
        limits.ulimits.extend([('v', 900_000), ('n', 77)]);
        let (program, arguments) = limits
            .wrap(&"bash".into(), &["-c".into(), "ulimit -v; ulimit -n; echo $0".into(), "x y".into()])
            .expect("wrapped");
        let out = std::process::Command::new(program).args(arguments).output().expect("runs");
        assert_eq!(String::from_utf8_lossy(&out.stdout), "900000\n77\nx y\n");
    }
}
