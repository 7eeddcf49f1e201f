//! The hooks of a custom executor: scripts with places for what is known only when they run.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::engine::executor::{Cancel, ExecError, Saved, Workspace};
use crate::exec::options::Options;
use crate::exec::remote::host;
use crate::exec::remote::program::word;
use crate::exec::remote::site::token;

/// What hooks export, by name.
pub(super) type Variables = BTreeMap<OsString, OsString>;

/// The name under which hooks see an artifact.
pub(super) const ARTIFACT: &str = "artifact";

/// Runs a hook, then prints the environment that it leaves.
const WRAPPER: &str = "exec 3>&1 1>&2; eval \"$1\"; env -0 >&3";

/// The scripts, by the names of `mkExecutor`'s arguments.
pub(super) struct Hooks {
    pub(super) executor: String,
    scripts: BTreeMap<String, String>,
    project: PathBuf,
    /// Where programs for `actionDerivations` are put.
    actions: PathBuf,
    run: String,
}

impl Hooks {
    /// Reads the scripts.
    pub(super) fn read(options: &Options<'_>, workspace: &Workspace) -> Result<Hooks, ExecError> {
        let scripts = options.pairs("hooks")?.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
        Ok(Hooks {
            executor: workspace.executor.name.clone(),
            scripts,
            project: workspace.project_dir.clone(),
            actions: workspace.dir().join("actions"),
            run: workspace.run.to_string(),
        })
    }

    /// Whether there is a hook of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.scripts.contains_key(name)
    }

    fn script(&self, name: &str, values: &[(&str, &str)]) -> Option<String> {
        let mut script = self.scripts.get(name)?.clone();
        for (key, value) in values {
            script = script.replace(&format!("@nixactions:{key}@"), value);
        }
        Some(script)
    }

    fn command(&self, variables: &Variables, values: &[(&str, &str)]) -> Command {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c"]);
        command.current_dir(&self.project).envs(variables).env("WORKFLOW_ID", &self.run);
        for (key, name) in
            [("jobName", "JOB_NAME"), ("artifactsDir", "NIXACTIONS_ARTIFACTS_DIR"), ("jobDir", "JOB_DIR")]
        {
            if let Some((_, value)) = values.iter().find(|(k, _)| *k == key) {
                command.env(name, value);
            }
        }
        command.process_group(0).kill_on_drop(true);
        command
    }

    /// Runs a hook, if there is one; the variables after it.
    pub(super) async fn run(
        &self,
        name: &str,
        values: &[(&str, &str)],
        before: &Variables,
        cancel: &Cancel,
    ) -> Result<Variables, ExecError> {
        let Some(script) = self.script(name, values) else { return Ok(before.clone()) };
        let mut command = self.command(before, values);
        command.args([WRAPPER, "nixactions", &script]).stdin(Stdio::null());
        let output = tokio::select! {
            output = command.output() => output,
            () = cancel.cancelled() => return Err(host::cancelled()),
        };
        let output =
            output.map_err(|e| ExecError::infrastructure(format!("cannot run bash for a hook: {e}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let last = lines[lines.len().saturating_sub(4)..].join("; ");
            let code = output.status.code().unwrap_or(1);
            let message =
                format!("executor `{}`: {name} failed with exit code {code}: {last}", self.executor);
            return Err(ExecError::infrastructure(message));
        }
        let mut after = Variables::new();
        for entry in output.stdout.split(|b| *b == 0) {
            let Some(at) = memchr::memchr(b'=', entry) else { continue };
            let name = OsString::from_vec(entry[..at].to_vec());
            let own = ["_", "SHLVL", "PWD", "OLDPWD"].iter().any(|own| name == *own);
            let value = OsString::from_vec(entry[at + 1..].to_vec());
            // What the hook left as it was is not its own.
            if !own && (before.contains_key(&name) || std::env::var_os(&name).as_ref() != Some(&value)) {
                after.insert(name, value);
            }
        }
        Ok(after)
    }

    /// The command that runs `words` in the job's place: `executeJob` gets them as `"$@"`, and as the
    /// one program of `actionDerivations`.
    pub(super) fn enter(
        &self,
        job: &str,
        words: &[&str],
        variables: &Variables,
    ) -> Result<Command, ExecError> {
        let action = self.actions.join(token());
        let values = [("jobName", job), ("action", &*action.to_string_lossy())];
        let script = self.script("executeJob", &values).unwrap_or_else(|| "exec \"$@\"".to_owned());
        if script.contains(&*action.to_string_lossy()) {
            let bin = action.join("bin");
            let line: Vec<String> = words.iter().map(word).collect();
            let made = std::fs::create_dir_all(&bin)
                .and_then(|()| {
                    std::fs::write(bin.join("action"), format!("#!/bin/sh\nexec {}\n", line.join(" ")))
                })
                .and_then(|()| {
                    std::fs::set_permissions(bin.join("action"), PermissionsExt::from_mode(0o700))
                });
            made.map_err(|e| ExecError::io("write", &bin, &e))?;
        }
        let mut command = self.command(variables, &values);
        command.arg(script).arg("nixactions").args(words);
        Ok(command)
    }
}

/// A directory in which a hook finds an artifact by name.
pub(super) struct ArtifactDir(PathBuf);

impl ArtifactDir {
    /// A directory with a link to `artifact`.
    pub(super) fn around(artifact: &Path) -> Result<ArtifactDir, ExecError> {
        let dir = std::env::temp_dir().join(format!("nixactions-{}", &token()[..16]));
        let made = std::fs::create_dir(&dir)
            .and_then(|()| std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o700)))
            .and_then(|()| std::os::unix::fs::symlink(artifact, dir.join(ARTIFACT)));
        made.map_err(|e| ExecError::io("make", &dir, &e))?;
        Ok(ArtifactDir(dir))
    }

    /// Its path.
    pub(super) fn path(&self) -> &str {
        std::str::from_utf8(self.0.as_os_str().as_bytes()).unwrap_or_default()
    }
}

impl Drop for ArtifactDir {
    fn drop(&mut self) {
        // What is left lies in the temporary directory and leads nowhere.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

/// What a hook has put into an artifact.
pub(super) fn measure(dest: &Path) -> Result<Saved, ExecError> {
    let mut saved = Saved::default();
    let mut pending = vec![dest.to_path_buf()];
    while let Some(dir) = pending.pop() {
        let entries = std::fs::read_dir(&dir).map_err(|e| ExecError::io("read", &dir, &e))?;
        for entry in entries {
            let path = entry.map_err(|e| ExecError::io("read", &dir, &e))?.path();
            let meta = path.symlink_metadata().map_err(|e| ExecError::io("look at", &path, &e))?;
            if meta.is_dir() {
                pending.push(path);
            } else {
                saved = Saved { files: saved.files + 1, bytes: saved.bytes + meta.len() };
            }
        }
    }
    if saved.files == 0 {
        return Err(ExecError::job("the hook `saveArtifact` saved nothing"));
    }
    Ok(saved)
}
