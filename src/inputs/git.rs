//! Sources from git, through the `git` program: revisions of repositories elsewhere, kept as bare
//! clones in the cache, and what git tracks in a working tree of this machine.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::cache::Cache;
use super::error::FetchError;

/// A repository, as errors name it.
pub(super) struct Git<'a> {
    pub(super) url: &'a str,
}

impl Git<'_> {
    fn failed(&self, doing: &str, reason: impl Into<String>) -> FetchError {
        FetchError::Git { doing: doing.to_owned(), url: self.url.to_owned(), reason: reason.into() }
    }

    fn command(&self, dir: &Path) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(dir).stdin(Stdio::null());
        // Nobody is there to be asked for a password, and the user's aliases and hooks are not ours.
        command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        command
    }

    /// What a command of git prints.
    pub(super) fn run(&self, dir: &Path, args: &[&str]) -> Result<Vec<u8>, FetchError> {
        let doing = args.first().copied().unwrap_or_default();
        let output = self.command(dir).args(args).output();
        let output = output.map_err(|e| self.failed(doing, format!("cannot run git: {e}")))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(self.failed(doing, text.trim()));
        }
        Ok(output.stdout)
    }

    fn line(&self, dir: &Path, args: &[&str]) -> Result<String, FetchError> {
        Ok(String::from_utf8_lossy(&self.run(dir, args)?).trim().to_owned())
    }

    /// The bare clone of this repository in the cache, empty when it is new.
    fn clone_of(&self, cache: &Cache) -> Result<PathBuf, FetchError> {
        let dir = cache.repository(self.url);
        if dir.join("HEAD").is_file() {
            return Ok(dir);
        }
        let making = cache.begin()?;
        let io = |e| cache.error(e);
        std::fs::create_dir(&making.path).map_err(io)?;
        self.run(&making.path, &["init", "--quiet", "--bare"])?;
        if let Some(parent) = dir.parent() {
            std::fs::create_dir_all(parent).map_err(io)?;
        }
        match std::fs::rename(&making.path, &dir) {
            Err(_) if dir.join("HEAD").is_file() => Ok(dir),
            done => done.map_err(io).map(|()| dir),
        }
    }

    /// The commit that a name means there now; the clone then has it.
    pub(super) fn fetch_name(&self, cache: &Cache, name: &str) -> Result<(PathBuf, String), FetchError> {
        let dir = self.clone_of(cache)?;
        // A commit that is not on any branch of ours must not vanish: each name is kept.
        let kept = format!("+{name}:refs/nixactions/{}", name.trim_start_matches("refs/"));
        self.run(&dir, &["fetch", "--quiet", "--no-tags", "--", self.url, &kept])?;
        let rev = self.line(&dir, &["rev-parse", "FETCH_HEAD^{commit}"])?;
        Ok((dir, rev))
    }

    /// A clone that has this commit: it is fetched only when it is not there.
    pub(super) fn fetch_revision(
        &self,
        cache: &Cache,
        rev: &str,
        name: Option<&str>,
        offline: bool,
    ) -> Result<PathBuf, FetchError> {
        let dir = self.clone_of(cache)?;
        let there = || self.run(&dir, &["cat-file", "-e", &format!("{rev}^{{commit}}")]).is_ok();
        if there() {
            return Ok(dir);
        }
        if offline {
            return Err(FetchError::Offline(format!("{} at {rev}", self.url)));
        }
        let kept = format!("+{rev}:refs/nixactions/{rev}");
        let by_revision = self.run(&dir, &["fetch", "--quiet", "--no-tags", "--", self.url, &kept]);
        if by_revision.is_err() {
            // Not every server gives commits by their hashes: the names that may lead to it.
            match name {
                Some(name) => drop(self.fetch_name(cache, name)?),
                None => {
                    let all = "+refs/*:refs/nixactions/all/*";
                    drop(self.run(&dir, &["fetch", "--quiet", "--no-tags", "--", self.url, all])?);
                }
            }
        }
        if there() { Ok(dir) } else { Err(self.failed("fetch", format!("it has no commit {rev}"))) }
    }

    /// Seconds since 1970 of a commit.
    pub(super) fn last_modified(&self, dir: &Path, rev: &str) -> Result<i64, FetchError> {
        let text = self.line(dir, &["log", "-1", "--format=%ct", "--no-show-signature", rev])?;
        text.parse().map_err(|_| self.failed("log", format!("`{text}` is not a time")))
    }

    /// Commits up to this one; `None` in a clone that does not have them all.
    pub(super) fn count(&self, dir: &Path, rev: &str) -> Result<Option<i64>, FetchError> {
        if self.line(dir, &["rev-parse", "--is-shallow-repository"])? == "true" {
            return Ok(None);
        }
        Ok(self.line(dir, &["rev-list", "--count", rev])?.parse().ok())
    }

    /// Writes the files of a commit, as they are stored.
    pub(super) fn export(&self, dir: &Path, rev: &str, to: &Path) -> Result<(), FetchError> {
        let listing = self.run(dir, &["ls-tree", "-r", "-z", "--full-tree", rev])?;
        let mut cat = self
            .command(dir)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| self.failed("cat-file", format!("cannot run git: {e}")))?;
        let (Some(mut ask), Some(answer)) = (cat.stdin.take(), cat.stdout.take()) else {
            return Err(self.failed("cat-file", "it has no standard streams"));
        };
        let mut answer = BufReader::new(answer);
        let written = std::fs::create_dir_all(to).and_then(|()| {
            for entry in listing.split(|b| *b == 0).filter(|e| !e.is_empty()) {
                write_entry(entry, to, &mut ask, &mut answer)?;
            }
            Ok(())
        });
        drop(ask);
        // It ends with its input; how it ends says nothing more.
        let _ = cat.wait();
        written.map_err(|e| self.failed("cat-file", e.to_string()))
    }

    /// A commit with its submodules, checked out.
    pub(super) fn export_with_submodules(&self, dir: &Path, rev: &str, to: &Path) -> Result<(), FetchError> {
        let from = dir.to_string_lossy();
        let target = to.to_string_lossy();
        self.run(dir, &["clone", "--quiet", "--no-checkout", "--", &from, &target])?;
        self.run(to, &["fetch", "--quiet", "origin", rev])?;
        self.run(to, &["remote", "set-url", "origin", self.url])?;
        self.run(to, &["checkout", "--quiet", rev])?;
        self.run(to, &["submodule", "--quiet", "update", "--init", "--recursive"])?;
        remove_git(to).map_err(|e| self.failed("submodule", e.to_string()))
    }
}

fn remove_git(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if entry.file_name() == ".git" {
            if kind.is_dir() {
                std::fs::remove_dir_all(entry.path())?
            } else {
                std::fs::remove_file(entry.path())?
            }
        } else if kind.is_dir() {
            remove_git(&entry.path())?;
        }
    }
    Ok(())
}

/// Writes one line of `ls-tree`: mode, kind, hash, a tab, path.
fn write_entry(
    entry: &[u8],
    to: &Path,
    ask: &mut impl Write,
    answer: &mut impl BufRead,
) -> std::io::Result<()> {
    let malformed = || std::io::Error::new(std::io::ErrorKind::InvalidData, "ls-tree printed something else");
    let tab = entry.iter().position(|b| *b == b'\t').ok_or_else(malformed)?;
    let head = std::str::from_utf8(&entry[..tab]).map_err(|_| malformed())?;
    let mut words = head.split(' ');
    let (Some(mode), Some(kind), Some(hash)) = (words.next(), words.next(), words.next()) else {
        return Err(malformed());
    };
    let path = to.join(OsStr::from_bytes(&entry[tab + 1..]));
    if kind == "commit" {
        // A submodule that was not asked for is an empty directory.
        return std::fs::create_dir_all(path);
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    writeln!(ask, "{hash}")?;
    ask.flush()?;
    let mut line = String::new();
    answer.read_line(&mut line)?;
    let size: u64 = line.trim_end().rsplit(' ').next().and_then(|s| s.parse().ok()).ok_or_else(malformed)?;
    let mut content = answer.take(size);
    if mode == "120000" {
        let mut target = Vec::new();
        content.read_to_end(&mut target)?;
        symlink(OsStr::from_bytes(&target), &path)?;
    } else {
        let bits = if mode == "100755" { 0o755 } else { 0o644 };
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(bits).open(&path)?;
        std::io::copy(&mut content, &mut file)?;
    }
    answer.read_exact(&mut [0])
}

/// What git knows of a working tree.
pub(super) struct WorkTree {
    /// The commit that is checked out, unless there is none.
    pub(super) head: Option<String>,
    /// Tracked files differ from it.
    pub(super) dirty: bool,
    /// What is below the root and not tracked.
    pub(super) left_out: HashSet<PathBuf>,
}

/// Looks at the working tree whose root this is.
pub(super) fn work_tree(root: &Path) -> Result<WorkTree, FetchError> {
    let url = root.to_string_lossy();
    let git = Git { url: &url };
    let listed = git.run(root, &["ls-files", "-z", "--cached"])?;
    let tracked: HashSet<PathBuf> = listed
        .split(|b| *b == 0)
        .filter(|p| !p.is_empty())
        .map(|p| root.join(OsStr::from_bytes(p)))
        .collect();
    let mut dirs: HashSet<&Path> = HashSet::new();
    for file in &tracked {
        let above = file.ancestors().skip(1).take_while(|d| *d != root);
        for dir in above {
            if !dirs.insert(dir) {
                break;
            }
        }
    }
    let mut left_out = HashSet::new();
    let walked = leave_out(root, &tracked, &dirs, &mut left_out);
    walked.map_err(|error| FetchError::Read { path: root.to_owned(), error })?;
    let head = git.line(root, &["rev-parse", "--verify", "--quiet", "HEAD"]).ok();
    let status = git.run(root, &["status", "--porcelain", "-z", "--untracked-files=no"])?;
    Ok(WorkTree { dirty: head.is_none() || !status.is_empty(), head, left_out })
}

fn leave_out(
    dir: &Path,
    tracked: &HashSet<PathBuf>,
    dirs: &HashSet<&Path>,
    out: &mut HashSet<PathBuf>,
) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if dirs.contains(path.as_path()) {
            leave_out(&path, tracked, dirs, out)?;
        } else if !tracked.contains(&path) {
            out.insert(path);
        }
    }
    Ok(())
}

/// The root of the working tree that a directory is in.
pub(super) fn root_of(dir: &Path) -> Option<&Path> {
    dir.ancestors().find(|d| d.join(".git").exists())
}
