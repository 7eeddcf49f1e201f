//! `skipIfUnchanged`: a job whose inputs, steps, environment and dependencies hash the same as in an
//! earlier run is not run; what it gave then is used again.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::artifact;
use super::event::{EventKind, Level};
use super::executor::safe_file_name;
use super::job::JobRun;
use super::kept::{About, Kept};
use super::rundir;
use crate::workflow::plan::{Env, Provider};

/// The state of a job that asks for it, as a hash.
pub(super) struct State {
    key: String,
    kept: Kept,
}

/// The state that a job would run in now; `None` when it does not ask, or cannot be told.
pub(super) async fn state(run: &JobRun<'_>, provided: &Env) -> Option<State> {
    let rule = run.job.skip_if_unchanged.as_ref()?;
    let shared = run.shared;
    let mut hash = blake3::Hasher::new();
    let mut job = run.job.clone();
    // The name is in the key; what only people see, and when the job runs, makes no other output.
    job.description = None;
    job.tags.clear();
    job.cache.clear();
    add(&mut hash, b"job", serde_json::to_string(&job).ok()?.as_bytes());
    let mut layers = shared.layers_around(run.job);
    layers.push(provided);
    for layer in layers {
        add(&mut hash, b"env", serde_json::to_string(layer).ok()?.as_bytes());
    }
    for (name, value) in &shared.options.outside.overrides {
        add(&mut hash, name.as_bytes(), value.as_bytes());
    }
    // Of the environment around, only what takes the place of something that the workflow sets.
    for name in names(run, provided) {
        if let Some(value) = shared.options.outside.ambient.get(std::ffi::OsStr::new(&name)) {
            add(&mut hash, name.as_bytes(), value.as_bytes());
        }
    }
    for (name, value) in shared.needs_variables(run.job) {
        add(&mut hash, name.as_bytes(), value.as_bytes());
    }
    let artifacts = run.job.inputs.iter();
    let artifacts = artifacts.map(|i| (i.name.clone(), shared.artifacts.join(safe_file_name(&i.name))));
    let (artifacts, globs): (Vec<_>, _) = (artifacts.collect(), rule.inputs.clone());
    let project = shared.plan.project_dir.clone();
    let hashed = tokio::task::spawn_blocking(move || contents(&project, &globs, &artifacts)).await;
    match hashed.map_err(io::Error::other).and_then(|hashed| hashed) {
        Ok((contents, files)) => {
            if files == 0 {
                let message = "`skipIfUnchanged` matches no file of the project";
                shared.reporter.notice(Level::Warning, Some(&run.name), message);
            }
            hash.update(contents.as_bytes());
        }
        Err(error) => {
            let message = format!("it cannot be told whether the job is unchanged: {error}");
            shared.reporter.notice(Level::Warning, Some(&run.name), &message);
            return None;
        }
    }
    let key = hash.finalize().to_hex().to_string();
    Some(State { key, kept: Kept::new(&shared.options.cache_root, "unchanged", &shared.scope) })
}

/// A hash over artifacts and the files of a project, and how many of these there are.
fn contents(
    project: &Path,
    globs: &[String],
    artifacts: &[(String, PathBuf)],
) -> io::Result<(blake3::Hash, usize)> {
    let mut hash = blake3::Hasher::new();
    for (name, dir) in artifacts {
        add(&mut hash, b"artifact", name.as_bytes());
        add_tree(&mut hash, dir)?;
    }
    let files = matching(project, globs)?;
    for file in &files {
        add_file(&mut hash, file, &project.join(file))?;
    }
    Ok((hash.finalize(), files.len()))
}

/// Names that the workflow, job or steps set.
fn names(run: &JobRun<'_>, provided: &Env) -> Vec<String> {
    let shared = run.shared;
    let mut layers = shared.layers_around(run.job);
    layers.extend([provided, &run.job.env]);
    layers.extend(run.job.steps.iter().map(|step| &step.env));
    let mut names: Vec<String> = layers.iter().flat_map(|layer| layer.keys().cloned()).collect();
    for step in &run.job.steps {
        for provider in &step.env_from {
            if let Provider::Required { names: required } = provider {
                names.extend(required.iter().cloned());
            }
        }
    }
    names.sort();
    names.dedup();
    names
}

fn add(hash: &mut blake3::Hasher, tag: &[u8], value: &[u8]) {
    for part in [tag, value] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
}

fn add_file(hash: &mut blake3::Hasher, name: &Path, path: &Path) -> io::Result<()> {
    add(hash, b"file", name.as_os_str().as_bytes());
    let about = std::fs::symlink_metadata(path)?;
    if about.is_symlink() {
        add(hash, b"link", std::fs::read_link(path)?.as_os_str().as_bytes());
        return Ok(());
    }
    add(hash, b"mode", &[u8::from(about.permissions().mode() & 0o111 != 0)]);
    let mut content = blake3::Hasher::new();
    content.update_reader(std::fs::File::open(path)?)?;
    hash.update(content.finalize().as_bytes());
    Ok(())
}

fn add_tree(hash: &mut blake3::Hasher, root: &Path) -> io::Result<()> {
    let mut pending = vec![PathBuf::new()];
    while let Some(dir) = pending.pop() {
        let mut entries: Vec<_> = std::fs::read_dir(root.join(&dir))?.collect::<io::Result<_>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let name = dir.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                pending.push(name);
            } else {
                add_file(hash, &name, &entry.path())?;
            }
        }
    }
    Ok(())
}

/// Whether a rule's globs match one of these paths, which are relative to the project.
pub fn any_matches(globs: &[String], paths: &[&Path]) -> bool {
    // Globs that cannot be read are an error of the job when it runs.
    glob_set(globs).is_ok_and(|set| paths.iter().any(|path| set.is_match(path)))
}

fn glob_set(globs: &[String]) -> io::Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let glob = glob.strip_prefix("./").unwrap_or(glob).trim_end_matches('/');
        // A directory stands for all that is in it.
        for text in [glob.to_owned(), format!("{glob}/**")] {
            let glob = GlobBuilder::new(&text).literal_separator(true).build();
            set.add(glob.map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?);
        }
    }
    set.build().map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))
}

/// The files of a project that one of the globs matches, in order; what git ignores does not count.
fn matching(project: &Path, globs: &[String]) -> io::Result<Vec<PathBuf>> {
    let set = glob_set(globs)?;
    let mut files = Vec::new();
    let walk = ignore::WalkBuilder::new(project)
        .hidden(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    for entry in walk {
        let entry = entry.map_err(io::Error::other)?;
        let Ok(relative) = entry.path().strip_prefix(project) else { continue };
        let is_dir = entry.file_type().is_some_and(|t| t.is_dir());
        if !is_dir && set.is_match(relative) {
            files.push(relative.to_path_buf());
        }
    }
    files.sort();
    Ok(files)
}

/// Gives again what the job gave in this state; false when it never ran in it.
pub(super) async fn reuse(run: &JobRun<'_>, state: &State) -> bool {
    let Some(entry) = state.kept.exact(&state.key) else { return false };
    let copies = outputs(run, |file| (entry.content.join(file), run.shared.artifacts.join(file)));
    let copied = tokio::task::spawn_blocking(move || {
        for (from, to) in &copies {
            let made = rundir::remove_tree(to).and_then(|()| rundir::create_private(to));
            made.map_err(|e| e.to_string())?;
            artifact::restore(to, from, ".").map_err(|e| e.to_string())?;
        }
        Ok(())
    });
    if let Err(error) = copied.await.map_err(|e| e.to_string()).and_then(|copied: Result<(), String>| copied)
    {
        // The job runs and makes it anew.
        let message = format!("what an earlier run made cannot be used again: {error}");
        run.shared.reporter.notice(Level::Warning, Some(&run.name), &message);
        return false;
    }
    run.shared.set_values(run.id, entry.about.results.clone());
    let (job, made_by) = (run.name.clone(), entry.about.run.as_str().into());
    run.shared.reporter.emit(EventKind::JobUnchanged { job, run: made_by });
    true
}

/// For each output of a job, from where to where it is copied.
fn outputs(run: &JobRun<'_>, paths: impl Fn(&str) -> (PathBuf, PathBuf)) -> Vec<(PathBuf, PathBuf)> {
    run.job.outputs.iter().map(|output| paths(&safe_file_name(&output.name))).collect()
}

/// Keeps what a job gave that succeeded in this state.
pub(super) async fn keep(run: &JobRun<'_>, state: State) {
    let results: BTreeMap<String, String> = run.shared.values[run.id].get().cloned().unwrap_or_default();
    let run_id = run.shared.run.to_string();
    let copies = outputs(run, |file| (run.shared.artifacts.join(file), PathBuf::from(file)));
    let kept = tokio::task::spawn_blocking(move || {
        let making = state.kept.make(&state.key).map_err(|e| e.to_string())?;
        let mut bytes = 0;
        for (from, file) in &copies {
            let to = making.content.join(file);
            rundir::create_private(&to).map_err(|e| e.to_string())?;
            bytes += artifact::save(from, ".", &to).map_err(|e| e.to_string())?.bytes;
        }
        let about = About { key: state.key.clone(), run: run_id, bytes, results };
        state.kept.finish(&making, &about).map_err(|e| e.to_string())?;
        state.kept.evict(SystemTime::now());
        Ok(())
    });
    if let Err(error) = kept.await.map_err(|e| e.to_string()).and_then(|kept: Result<(), String>| kept) {
        let message = format!("what the job made cannot be kept for later runs: {error}");
        run.shared.reporter.notice(Level::Warning, Some(&run.name), &message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_files_below_directories_and_not_what_git_ignores() {
        let dir = tempfile::tempdir().expect("a directory");
        for path in ["src/a.c", "src/deep/b.c", "src/b.h", "out/a.o", ".git/x.c"] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, "x").expect("written");
        }
        std::fs::write(dir.path().join(".gitignore"), "out\n").expect("written");
        let found = |globs: &[&str]| {
            let globs: Vec<String> = globs.iter().map(|g| (*g).to_owned()).collect();
            let files = matching(dir.path(), &globs).expect("walked");
            files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(found(&["src"]), ["src/a.c", "src/b.h", "src/deep/b.c"]);
        assert_eq!(found(&["src/*.c", "out/a.o"]), ["src/a.c"]);
        assert_eq!(found(&["**/*.c"]), ["src/a.c", "src/deep/b.c"]);
    }
}
