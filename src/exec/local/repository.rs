//! What a job's copy of the project consists of: the list of files, and a `.git` that works there.
//!
//! The copied `.git` shares objects with the original through `objects/info/alternates` and has
//! its own index, references and configuration, so that a job may commit, tag and fetch without
//! touching the user's repository.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::copy::{self, CopyError};

/// Names left out of the copy at every depth when the project is not a repository.
const SKIPPED: [&str; 4] = [".git", ".direnv", "target", "node_modules"];

/// Where a working tree's git data is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::exec) struct GitDir {
    /// The directory with `HEAD` and `index`.
    own: PathBuf,
    /// The directory with objects and references; differs from `own` in a linked work tree.
    pub(in crate::exec) common: PathBuf,
}

/// What is to be copied into each job directory.
#[derive(Clone, Debug, Default)]
pub(in crate::exec) struct Listing {
    /// Paths relative to the project: files and symbolic links, and directories that may be empty.
    pub(in crate::exec) paths: Vec<PathBuf>,
    /// Repositories inside the project (the project itself, submodules), by relative path.
    pub(in crate::exec) repositories: Vec<(PathBuf, GitDir)>,
}

/// Lists the project. Paths below `exclude` (the run's own workspace) are left out.
pub(in crate::exec) fn list(project: &Path, exclude: &Path) -> Result<Listing, CopyError> {
    let mut listing = Listing::default();
    match git_dir(project) {
        Some(git) => list_repository(project, Path::new(""), git, &mut listing)?,
        None if inside_work_tree(project) => list_subdirectory(project, &mut listing)?,
        None => walk(project, Path::new(""), exclude, &mut listing)?,
    }
    if let Ok(inside) = exclude.strip_prefix(project)
        && !inside.as_os_str().is_empty()
    {
        listing.paths.retain(|path| !path.starts_with(inside));
    }
    Ok(listing)
}

/// The git data of the working tree whose root is `dir`.
fn git_dir(dir: &Path) -> Option<GitDir> {
    let dot_git = dir.join(".git");
    let own = if dot_git.is_dir() {
        dot_git
    } else {
        let text = fs::read(&dot_git).ok()?;
        let target = text.strip_prefix(b"gitdir:")?.trim_ascii();
        dir.join(OsStr::from_bytes(target))
    };
    if !own.join("HEAD").is_file() {
        return None;
    }
    let common = match fs::read(own.join("commondir")) {
        Ok(text) => own.join(OsStr::from_bytes(text.trim_ascii())),
        Err(_) => own.clone(),
    };
    let real = |path: PathBuf| fs::canonicalize(&path).unwrap_or(path);
    Some(GitDir { own: real(own), common: real(common) })
}

fn inside_work_tree(project: &Path) -> bool {
    project.ancestors().skip(1).any(|dir| git_dir(dir).is_some())
}

fn list_repository(root: &Path, prefix: &Path, git: GitDir, listing: &mut Listing) -> Result<(), CopyError> {
    let dir = root.join(prefix);
    listing.repositories.push((prefix.to_path_buf(), git));
    for path in git_files(&dir)? {
        let relative = prefix.join(&path);
        // A tracked path that is a directory is a submodule; one that is not checked out is an
        // empty directory in the copy too.
        let is_directory = fs::symlink_metadata(root.join(&relative)).is_ok_and(|meta| meta.is_dir());
        match git_dir(&root.join(&relative)) {
            Some(git) if is_directory => list_repository(root, &relative, git, listing)?,
            _ => listing.paths.push(relative),
        }
    }
    Ok(())
}

/// A project that is a directory somewhere below its repository's root: its files alone.
fn list_subdirectory(project: &Path, listing: &mut Listing) -> Result<(), CopyError> {
    listing.paths = git_files(project)?;
    Ok(())
}

/// What git tracks below `dir` and what it neither tracks nor ignores, relative to `dir`.
fn git_files(dir: &Path) -> Result<Vec<PathBuf>, CopyError> {
    let output = Command::new("git")
        .args(["-c", "core.quotePath=false", "-c", "core.fsmonitor=false"])
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])
        .current_dir(dir)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(walk_without_git(dir)),
        Err(error) => return Err(CopyError::io("run git in", dir, error)),
    };
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(CopyError::Git { dir: dir.to_path_buf(), message });
    }
    let mut paths: Vec<PathBuf> = output
        .stdout
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
        .map(|path| {
            // A nested repository that is not a submodule is printed with a trailing slash.
            let path = path.strip_suffix(b"/").unwrap_or(path);
            PathBuf::from(std::ffi::OsString::from_vec(path.to_vec()))
        })
        .collect();
    paths.sort_unstable();
    paths.dedup();
    Ok(paths)
}

/// The nearest that can be had on a machine without git: everything that is not ignored.
fn walk_without_git(dir: &Path) -> Vec<PathBuf> {
    ignore::WalkBuilder::new(dir)
        .hidden(false)
        .ignore(false)
        .parents(true)
        .require_git(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .sort_by_file_name(Ord::cmp)
        .build()
        .flatten()
        .filter(|entry| entry.file_type().is_some_and(|kind| !kind.is_dir()))
        .filter_map(|entry| entry.path().strip_prefix(dir).ok().map(Path::to_path_buf))
        .collect()
}

fn walk(root: &Path, prefix: &Path, exclude: &Path, listing: &mut Listing) -> Result<(), CopyError> {
    let dir = root.join(prefix);
    let at = |error| CopyError::io("read", &dir, error);
    let mut entries = fs::read_dir(&dir).map_err(at)?.collect::<io::Result<Vec<_>>>().map_err(at)?;
    entries.sort_unstable_by_key(fs::DirEntry::file_name);
    let top = prefix.as_os_str().is_empty();
    for entry in entries {
        let name = entry.file_name();
        // `nix build` leaves its `result` links at the top; deeper, the name is the project's own.
        let is_result = top && name.as_bytes().starts_with(b"result");
        if is_result || SKIPPED.iter().any(|skipped| name == *skipped) || entry.path() == exclude {
            continue;
        }
        let relative = prefix.join(&name);
        let kind = entry.file_type().map_err(|error| CopyError::io("read", &entry.path(), error))?;
        listing.paths.push(relative.clone());
        if kind.is_dir() {
            walk(root, &relative, exclude, listing)?;
        }
    }
    Ok(())
}

/// Makes `work_tree/.git`, a repository of its own that shares objects with `git`.
pub(in crate::exec) fn copy_git_dir(git: &GitDir, work_tree: &Path) -> Result<(), CopyError> {
    let target = work_tree.join(".git");
    for dir in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info"] {
        let dir = target.join(dir);
        fs::create_dir_all(&dir).map_err(|error| CopyError::io("create", &dir, error))?;
    }
    let mut alternates = git.common.join("objects").into_os_string().into_vec();
    // A path that git would read as a comment or a quoted string is quoted as C does.
    if alternates.iter().any(|byte| matches!(byte, b'"' | b'\n' | b'#')) {
        alternates = c_quoted(&alternates);
    }
    alternates.push(b'\n');
    write(&target.join("objects/info/alternates"), &alternates)?;
    let config = fs::read(git.common.join("config")).unwrap_or_default();
    write(&target.join("config"), &job_config(&config))?;
    for file in ["HEAD", "index", "config.worktree", "info/sparse-checkout"] {
        copy_if_there(&git.own.join(file), &target.join(file))?;
    }
    for file in ["packed-refs", "shallow", "info/exclude", "info/attributes"] {
        copy_if_there(&git.common.join(file), &target.join(file))?;
    }
    for dir in ["refs", "reftable"] {
        copy_tree_if_there(&git.common.join(dir), &target.join(dir))?;
    }
    Ok(())
}

fn c_quoted(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b'\n' => out.extend(b"\\n"),
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
    out
}

/// The copy's configuration: the original's, without the place of its work tree, and told to
/// compare files by time and size alone, since the copies are new inodes.
fn job_config(original: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(original.len() + 64);
    for line in original.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii().to_ascii_lowercase();
        let is_work_tree =
            text.strip_prefix(b"worktree").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"="));
        if !is_work_tree {
            out.extend_from_slice(line);
        }
    }
    if out.last().is_some_and(|byte| *byte != b'\n') {
        out.push(b'\n');
    }
    out.extend_from_slice(b"[core]\n\tbare = false\n\tcheckStat = minimal\n\ttrustctime = false\n");
    out
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CopyError> {
    fs::write(path, bytes).map_err(|error| CopyError::io("write", path, error))
}

fn copy_if_there(from: &Path, to: &Path) -> Result<(), CopyError> {
    if from.is_file() { copy::copy_entry(from, to) } else { Ok(()) }
}

fn copy_tree_if_there(from: &Path, to: &Path) -> Result<(), CopyError> {
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    fs::create_dir_all(to).map_err(|error| CopyError::io("create", to, error))?;
    for entry in entries.flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            copy_tree_if_there(&entry.path(), &target)?;
        } else if entry.path().extension() != Some(OsStr::new("lock")) {
            copy::copy_entry(&entry.path(), &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_config_drops_the_work_tree_and_keeps_the_rest() {
        let original = b"[core]\n\tworktree = ../../../sub\n\tfilemode = true\n[remote \"o\"]\n\turl = x";
        let config = String::from_utf8(job_config(original)).unwrap();
        assert!(!config.contains("worktree"));
        assert!(config.contains("filemode = true") && config.contains("url = x\n[core]"));
    }

    #[test]
    fn outside_a_repository_build_output_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a.txt", "src/b.rs", "src/results.rs", "target/x", "node_modules/y", "result-1", ".env"]
        {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::create_dir(dir.path().join("empty")).unwrap();
        let mut listing = Listing::default();
        walk(dir.path(), Path::new(""), &dir.path().join("none"), &mut listing).unwrap();
        let names: Vec<_> = listing.paths.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(names, [".env", "a.txt", "empty", "src", "src/b.rs", "src/results.rs"]);
    }
}
