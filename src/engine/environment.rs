//! The environment of a process: which layer wins.
//!
//! Highest first: what the runner itself sets, `-e`, `--env-file`, what `$JOB_ENV` set, the
//! environment the runner was started in, and the plan's layers (step, job, workflow; in each, `env`
//! over providers).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::event::Name;
use crate::workflow::plan::{Env, Plan};

/// A whole environment.
pub type Vars = BTreeMap<OsString, OsString>;

/// Where programs are looked for when nobody says.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What is the same for all processes of a run.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// The environment the runner was started in.
    pub ambient: Vars,
    /// `--env-file`, then `-e`: later ones win.
    pub overrides: Vec<(String, String)>,
    /// The ambient environment is that of another machine, whose files cannot be looked at here.
    pub foreign: bool,
}

/// Variables that the ambient environment never overrides: the machine's and the runner's own.
pub fn is_protected(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    matches!(
        bytes,
        b"HOME" | b"USER" | b"LOGNAME" | b"SHELL" | b"LANG" | b"TERM" | b"TZ" | b"TMPDIR" | b"PATH"
    ) || bytes.starts_with(b"LC_")
        || is_runner_name(bytes)
}

/// Variables that mean something only in the session in which nixactions was started.
fn is_of_session(name: &OsStr) -> bool {
    const NAMES: [&str; 14] = [
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        "MAIL",
        "HOSTNAME",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "COLUMNS",
        "LINES",
        "BASH_ENV",
        "ENV",
        "PS1",
        "INVOCATION_ID",
    ];
    const BEGINNINGS: [&str; 9] =
        ["SSH_", "XDG_", "DBUS_", "LD_", "BASH_FUNC_", "TMUX", "STY", "SYSTEMD_", "JOURNAL_"];
    let bytes = name.as_bytes();
    NAMES.iter().any(|n| n.as_bytes() == bytes) || BEGINNINGS.iter().any(|b| bytes.starts_with(b.as_bytes()))
}

/// Names that the runner itself sets.
fn is_runner_name(name: &[u8]) -> bool {
    ["JOB_", "WORKFLOW_", "NIXACTIONS_", "NEEDS_", "MATRIX_", "STEPS_"]
        .iter()
        .any(|p| name.starts_with(p.as_bytes()))
        || name == b"NIXACTIONS"
}

impl Outside {
    /// What a process gets from outside and from the plan's layers, lowest layer first. `JOB_ENV`,
    /// overrides and the runner's own variables are still to come.
    pub fn compose(&self, pure: bool, layers: &[&Env]) -> Vars {
        let mut vars = if pure { self.pure_ambient() } else { self.ambient.clone() };
        for (name, value) in merge(layers) {
            let name = OsStr::new(name);
            match value {
                // `null` asks for the variable to be gone, wherever it comes from.
                None => drop(vars.remove(name)),
                Some(value) if is_protected(name) || !vars.contains_key(name) => {
                    vars.insert(name.to_owned(), value.into());
                }
                Some(_) => {}
            }
        }
        vars
    }

    /// The same for a job on another machine: what describes this one and its user's session stays
    /// here, and what describes the other takes its place.
    pub fn elsewhere(&self, machine: &[(OsString, OsString)]) -> Outside {
        let travels = |name: &OsStr| !is_protected(name) && !is_of_session(name);
        let mut ambient: Vars =
            self.ambient.iter().filter(|(n, _)| travels(n)).map(|(n, v)| (n.clone(), v.clone())).collect();
        ambient.extend(machine.iter().cloned());
        Outside { ambient, overrides: self.overrides.clone(), foreign: true }
    }

    /// Puts the overrides over an environment.
    pub fn override_in(&self, vars: &mut Vars) {
        for (name, value) in &self.overrides {
            vars.insert(name.into(), value.into());
        }
    }

    /// Names whose values in the plan lose against the ambient environment.
    pub fn overridden(&self, plan: &Plan) -> Vec<Name> {
        let mut names = BTreeSet::new();
        let mut look = |env: &Env, pure: bool| {
            for (name, value) in env.iter().filter(|_| !pure) {
                let (os, value) = (OsStr::new(name), value.as_deref().map(OsStr::new));
                let differs = self.ambient.get(os).is_some_and(|a| value.is_some_and(|v| v != a));
                if differs && !is_protected(os) && !names.contains(name.as_str()) {
                    names.insert(name.clone());
                }
            }
        };
        look(&plan.env, false);
        for job in &plan.jobs {
            look(&job.env, job.pure);
            job.steps.iter().for_each(|step| look(&step.env, job.pure));
        }
        names.iter().map(|name| Name::from(name.as_str())).collect()
    }

    fn pure_ambient(&self) -> Vars {
        let keep = |name: &OsStr| is_protected(name) && !is_runner_name(name.as_bytes());
        let mut vars: Vars =
            self.ambient.iter().filter(|(n, _)| keep(n)).map(|(n, v)| (n.clone(), v.clone())).collect();
        let path = vars.get(OsStr::new("PATH")).cloned().unwrap_or_else(|| DEFAULT_PATH.into());
        if self.foreign {
            vars.insert("PATH".into(), path);
            return vars;
        }
        let mut dirs: Vec<PathBuf> = Vec::new();
        for program in ["bash", "env"] {
            let found =
                std::env::split_paths(&path).find(|dir| dir.is_absolute() && dir.join(program).is_file());
            dirs.extend(found.filter(|dir| !dirs.contains(dir)));
        }
        vars.insert("PATH".into(), join_paths(&dirs));
        vars
    }
}

/// Later layers over earlier ones.
pub fn merge<'a>(layers: &[&'a Env]) -> BTreeMap<&'a str, Option<&'a str>> {
    let mut merged = BTreeMap::new();
    for (name, value) in layers.iter().flat_map(|layer| layer.iter()) {
        merged.insert(name.as_str(), value.as_deref());
    }
    merged
}

/// Puts the `bin` directories of packages in front of `PATH`; gives `PATH` a value in any case.
pub fn prefix_path(vars: &mut Vars, deps: &[PathBuf]) {
    let path = vars.entry("PATH".into()).or_insert_with(|| DEFAULT_PATH.into());
    if deps.is_empty() {
        return;
    }
    let mut dirs: Vec<PathBuf> = deps.iter().map(|dep| dep.join("bin")).collect();
    dirs.extend(std::env::split_paths(path));
    *path = join_paths(&dirs);
}

/// Joins directories with colons; one that has a colon in its name cannot be on a path.
fn join_paths(dirs: &[PathBuf]) -> OsString {
    let usable = |dir: &&PathBuf| !dir.as_os_str().as_bytes().contains(&b':');
    dirs.iter()
        .filter(usable)
        .map(PathBuf::as_path)
        .map(Path::as_os_str)
        .collect::<Vec<_>>()
        .join(OsStr::new(":"))
}

/// A job's name as part of a variable's: upper case, anything else than letters and digits as `_`.
pub fn variable_part(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, Option<&str>)]) -> Env {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), v.map(str::to_owned))).collect()
    }

    fn outside(pairs: &[(&str, &str)]) -> Outside {
        let ambient = pairs.iter().map(|(n, v)| (n.into(), v.into())).collect();
        let overrides = vec![("O".into(), "file".into()), ("O".into(), "flag".into())];
        Outside { ambient, overrides, foreign: false }
    }

    fn get<'a>(vars: &'a Vars, name: &str) -> Option<&'a str> {
        vars.get(OsStr::new(name)).and_then(|v| v.to_str())
    }

    #[test]
    fn later_layers_win_and_ambient_wins_over_all_but_the_protected() {
        let outside = outside(&[("STAGE", "prod"), ("HOME", "/root"), ("GONE", "1")]);
        let workflow = env(&[("A", Some("workflow")), ("B", Some("workflow")), ("STAGE", Some("dev"))]);
        let step = env(&[("A", Some("step")), ("B", None), ("HOME", Some("/h")), ("GONE", None)]);
        let mut vars = outside.compose(false, &[&workflow, &step]);
        outside.override_in(&mut vars);
        assert_eq!(get(&vars, "A"), Some("step"));
        assert_eq!(get(&vars, "STAGE"), Some("prod"));
        assert_eq!(get(&vars, "HOME"), Some("/h"));
        assert_eq!((get(&vars, "B"), get(&vars, "GONE")), (None, None));
        assert_eq!(get(&vars, "O"), Some("flag"));
    }

    #[test]
    fn pure_drops_the_ambient_environment() {
        let outside = outside(&[("STAGE", "prod"), ("LC_ALL", "C"), ("PATH", "/nowhere:/usr/bin:/bin")]);
        let vars = outside.compose(true, &[&env(&[("STAGE", Some("dev"))])]);
        assert_eq!((get(&vars, "STAGE"), get(&vars, "LC_ALL")), (Some("dev"), Some("C")));
        assert!(!get(&vars, "PATH").expect("set").contains("nowhere"));
    }

    #[test]
    fn deps_come_first_on_path() {
        let mut vars = outside(&[("PATH", "/bin")]).compose(false, &[]);
        prefix_path(&mut vars, &["/nix/store/a".into(), "/nix/store/b".into()]);
        assert_eq!(get(&vars, "PATH"), Some("/nix/store/a/bin:/nix/store/b/bin:/bin"));
        assert_eq!(variable_part("build-x86.64"), "BUILD_X86_64");
    }
}
