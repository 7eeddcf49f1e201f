//! Limits of what a job may use: a control group where a controller is delegated to us, else limits of
//! each process (`setrlimit`) and the CPUs that it may run on.
//!
//! Sources: cgroups(7), the kernel's `cgroup-v2.rst` and `cgroup-v1/{memory,pids}.rst`, and for bash's
//! `ulimit` the manual of bash.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::group::{RunGroup, StepGroups};
use crate::workflow::plan::Resources;

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// Time in which a CPU quota is counted, in microseconds: the kernel's own default.
const PERIOD: u64 = 100_000;

/// How the limits of one job are enforced.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// The job's control group of version 2: the groups of its steps are made in it.
    steps: Option<Arc<StepGroups>>,
    /// Directories of control groups of version 1 that a process joins.
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
    /// Sets up the enforcement of a job's limits under a name that no other job has, within the group
    /// of the run where there is one.
    pub(super) fn new(wanted: &Resources, name: &str, run: Option<&RunGroup>) -> Limits {
        let mut limits = Limits::default();
        let mut job = run.map(|run| JobGroup::new(run, name));
        if let Some(bytes) = wanted.memory_bytes {
            let value = bytes.to_string();
            let limit = Limit {
                controller: "memory",
                file: "memory.max",
                file_1: "memory.limit_in_bytes",
                value: &value,
            };
            if !limits.group(&limit, name, job.as_mut()) {
                limits.ulimits.push(('v', bytes / 1024));
                limits.note.push(format!("memory {bytes} bytes by rlimit (address space of each process)"));
            }
        }
        if let Some(pids) = wanted.pids {
            let value = pids.to_string();
            let limit = Limit { controller: "pids", file: "pids.max", file_1: "pids.max", value: &value };
            if !limits.group(&limit, name, job.as_mut()) {
                limits.ulimits.push(('u', pids));
                limits.note.push(format!("{pids} processes by rlimit (of the whole user, not for root)"));
            }
        }
        if let Some(millis) = wanted.cpu_millis {
            let quota = millis.saturating_mul(PERIOD) / 1000;
            let value = format!("{quota} {PERIOD}");
            let limit =
                Limit { controller: "cpu", file: "cpu.max", file_1: "cpu.cfs_quota_us", value: &value };
            if !limits.group(&limit, name, job.as_mut()) {
                let cpus = usize::try_from(millis.div_ceil(1000)).unwrap_or(usize::MAX);
                limits.cpus = Some(cpus);
                let plural = if cpus == 1 { "" } else { "s" };
                limits.note.push(format!("{cpus} CPU{plural} by affinity"));
            }
        }
        limits.steps = job.filter(|job| job.made).map(|job| StepGroups::below(job.dir));
        limits
    }

    /// Sets a limit of a control group; false when no controller is delegated to us.
    fn group(&mut self, limit: &Limit<'_>, name: &str, job: Option<&mut JobGroup<'_>>) -> bool {
        let version = if job.is_some_and(|job| job.set(limit)) {
            2
        } else if let Some(dir) = set_version_1(limit, name) {
            self.groups.push(dir);
            1
        } else {
            return false;
        };
        self.note.push(format!("{} {} by cgroup v{version}", limit.controller, limit.value));
        true
    }

    /// Where the control groups of the job's steps are made, when not in the run's.
    pub(super) fn steps(&self) -> Option<&Arc<StepGroups>> {
        self.steps.as_ref()
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
}

/// One limit, and how the two versions of control groups call it.
struct Limit<'a> {
    controller: &'a str,
    /// File of version 2.
    file: &'a str,
    /// File of version 1, which takes the first word of the value.
    file_1: &'a str,
    value: &'a str,
}

/// The control group of version 2 of a job, made with its first limit.
struct JobGroup<'a> {
    run: &'a RunGroup,
    dir: PathBuf,
    made: bool,
}

impl JobGroup<'_> {
    fn new<'a>(run: &'a RunGroup, name: &str) -> JobGroup<'a> {
        JobGroup { run, dir: run.path().join(name), made: false }
    }

    /// Sets a limit; false when the controller is not delegated to us.
    fn set(&mut self, limit: &Limit<'_>) -> bool {
        if !self.run.enable(limit.controller) {
            return false;
        }
        self.made = self.made || fs::create_dir(&self.dir).is_ok();
        let set = self.made && fs::write(self.dir.join(limit.file), limit.value).is_ok();
        if set && limit.controller == "memory" {
            // Swap would let memory grow past its limit; a kernel without swap accounting lacks the file.
            let _ = fs::write(self.dir.join("memory.swap.max"), "0");
        }
        set
    }
}

/// Makes a control group of version 1 and sets a limit in it.
fn set_version_1(limit: &Limit<'_>, name: &str) -> Option<PathBuf> {
    let dir = delegated_version_1(limit.controller)?.join(format!("nixactions-{name}"));
    fs::create_dir(&dir).ok()?;
    let value = limit.value.split(' ').next().unwrap_or(limit.value);
    if fs::write(dir.join(limit.file_1), value).is_err() {
        let _ = fs::remove_dir(&dir);
        return None;
    }
    Some(dir)
}

/// Our own control group with this controller, when we may make groups below it.
fn delegated_version_1(controller: &str) -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    for line in text.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        if !controllers.split(',').any(|c| c == controller) {
            continue;
        }
        for root in [Path::new(MOUNT).join(controllers), Path::new(MOUNT).join(controller)] {
            // In a container the path may be the host's, and our own group is the mount's root.
            for dir in [root.join(path.trim_start_matches('/')), root.clone()] {
                if dir.join("cgroup.procs").is_file() && is_writable(&dir) {
                    return Some(dir);
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
        let limits = Limits::new(&Resources::default(), "none", None);
        assert_eq!(limits.wrap(&"true".into(), &[]), None);
        assert_eq!(limits.cpus(), None);
    }

    #[test]
    fn version_2_limits_the_job_and_holds_its_steps() {
        let root = tempfile::tempdir().expect("a directory");
        let run = RunGroup::at(root.path().join("run"));
        fs::create_dir(run.path()).expect("made");
        fs::write(run.path().join("cgroup.controllers"), "cpu io memory pids\n").expect("written");
        let wanted = Resources { memory_bytes: Some(1 << 20), cpu_millis: Some(1500), pids: Some(7) };
        let limits = Limits::new(&wanted, "job", Some(&run));
        let read = |file: &str| fs::read_to_string(run.path().join(file)).expect("written");
        assert_eq!(read("job/memory.max"), "1048576");
        assert_eq!(read("job/memory.swap.max"), "0");
        assert_eq!(read("job/cpu.max"), "150000 100000");
        assert_eq!(read("job/pids.max"), "7");
        assert_eq!(read("cgroup.subtree_control"), "+cpu");
        assert!(limits.steps().is_some());
        assert_eq!(limits.wrap(&"true".into(), &[]), None);
        assert!(limits.note().contains("memory 1048576 by cgroup v2"), "{}", limits.note());
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
