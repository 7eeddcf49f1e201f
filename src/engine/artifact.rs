//! Artifacts: copying what a pattern matches out of a job directory, and back into another.
//!
//! Modes, times, symbolic links (as links) and dotfiles are kept. Nothing outside the job directory
//! is ever read or written, whatever symbolic links a job has laid.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::executor::{ExecError, Saved};

/// Checks an artifact's name: one path component, printable everywhere.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name == "." || name == ".." {
        return Err(format!("`{name}` is no artifact name"));
    }
    if name.len() > 200 {
        return Err("an artifact name has at most 200 bytes".to_owned());
    }
    match name.chars().find(|c| "\":<>|*?\\/".contains(*c) || c.is_control()) {
        Some(c) => Err(format!("artifact name `{name}` must not contain {c:?}")),
        None => Ok(()),
    }
}

/// A path below the job directory, normalised without looking at the disk; empty is the directory
/// itself. An absolute path or one that climbs out is the job's fault.
pub fn relative(path: &str) -> Result<PathBuf, ExecError> {
    let mut out = PathBuf::new();
    for component in Path::new(path).components() {
        let climbs = match component {
            Component::Normal(part) => {
                out.push(part);
                false
            }
            Component::CurDir => false,
            Component::ParentDir => !out.pop(),
            Component::RootDir | Component::Prefix(_) => true,
        };
        if climbs {
            return Err(ExecError::job(format!("path `{path}` leaves the job directory")));
        }
    }
    Ok(out)
}

/// Copies what `pattern` matches below `job_dir` into `dest`, an existing empty directory, each file
/// at its path below `job_dir`. A matched directory is taken with all that is in it.
pub fn save(job_dir: &Path, pattern: &str, dest: &Path) -> Result<Saved, ExecError> {
    let matches = find(job_dir, pattern)?;
    if matches.is_empty() {
        return Err(ExecError::job(format!("nothing matches `{pattern}` in the job directory")));
    }
    let mut copier = Copier::default();
    for path in matches {
        if let Some(parent) = path.parent() {
            copier.make_parents(job_dir, parent, dest)?;
        }
        copier.copy(&job_dir.join(&path), &dest.join(&path))?;
    }
    copier.finish()
}

/// Copies the content of `src` into `path` below `job_dir`, over what is there.
pub fn restore(job_dir: &Path, src: &Path, path: &str) -> Result<(), ExecError> {
    let relative = relative(path)?;
    let dest = job_dir.join(&relative);
    fs::create_dir_all(&dest).map_err(|e| ExecError::io("create", &dest, &e))?;
    inside(job_dir, &dest)?;
    let mut copier = Copier { bounds: Some(real(job_dir)?), ..Copier::default() };
    for entry in read_dir(src)? {
        copier.copy(&src.join(&entry), &dest.join(&entry))?;
    }
    copier.finish().map(|_| ())
}

fn real(path: &Path) -> Result<PathBuf, ExecError> {
    path.canonicalize().map_err(|e| ExecError::io("resolve", path, &e))
}

/// Fails unless `path`, symbolic links followed, lies in `job_dir`.
fn inside(job_dir: &Path, path: &Path) -> Result<(), ExecError> {
    if real(path)?.starts_with(real(job_dir)?) {
        return Ok(());
    }
    Err(ExecError::job(format!("path `{}` leads out of the job directory through a link", path.display())))
}

fn read_dir(dir: &Path) -> Result<Vec<std::ffi::OsString>, ExecError> {
    let read = || -> io::Result<Vec<_>> { fs::read_dir(dir)?.map(|e| e.map(|e| e.file_name())).collect() };
    let mut names = read().map_err(|e| ExecError::io("read directory", dir, &e))?;
    names.sort();
    Ok(names)
}

/// The paths below `job_dir` that `pattern` matches, none of them below another.
fn find(job_dir: &Path, pattern: &str) -> Result<Vec<PathBuf>, ExecError> {
    let path = relative(pattern)?;
    if let Some(found) = exact(job_dir, &path)? {
        return Ok(vec![found]);
    }
    let text = path.to_string_lossy();
    if !text.contains(['*', '?', '[', '{']) {
        return Err(ExecError::job(format!("path `{pattern}` does not exist in the job directory")));
    }
    let glob = GlobBuilder::new(&text)
        .literal_separator(true)
        .build()
        .map_err(|e| ExecError::job(format!("pattern `{pattern}`: {e}")))?
        .compile_matcher();
    let is_literal = |c: &Component<'_>| !c.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']);
    let prefix: PathBuf = path.components().take_while(is_literal).collect();
    let mut out = Vec::new();
    if exact(job_dir, &prefix)?.is_some() && job_dir.join(&prefix).is_dir() {
        inside(job_dir, &job_dir.join(&prefix))?;
        walk(job_dir, prefix, &glob, &mut out)?;
    }
    Ok(out)
}

/// The path itself when something is there; what leads to it must stay inside.
fn exact(job_dir: &Path, path: &Path) -> Result<Option<PathBuf>, ExecError> {
    let full = job_dir.join(path);
    match full.symlink_metadata() {
        Ok(_) => {}
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(ExecError::io("look at", &full, &e)),
    }
    if let Some(parent) = path.parent() {
        inside(job_dir, &job_dir.join(parent))?;
    }
    Ok(Some(path.to_path_buf()))
}

fn walk(job_dir: &Path, from: PathBuf, glob: &GlobMatcher, out: &mut Vec<PathBuf>) -> Result<(), ExecError> {
    let mut pending = vec![from];
    while let Some(dir) = pending.pop() {
        for name in read_dir(&job_dir.join(&dir))? {
            let path = dir.join(name);
            if glob.is_match(&path) {
                out.push(path);
            } else if is_plain_dir(&job_dir.join(&path)) {
                pending.push(path);
            }
        }
    }
    out.sort();
    Ok(())
}

fn is_plain_dir(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.is_dir())
}

/// Copies trees; directories get their modes at the end, so that read-only ones can be filled.
#[derive(Default)]
struct Copier {
    saved: Saved,
    modes: Vec<(PathBuf, u32)>,
    /// When set, directories that are already there must lie in here, links followed.
    bounds: Option<PathBuf>,
}

impl Copier {
    /// Makes the directories that lead to a match, with the modes of their originals.
    fn make_parents(&mut self, job_dir: &Path, parent: &Path, dest: &Path) -> Result<(), ExecError> {
        let mut path = PathBuf::new();
        for component in parent.components() {
            path.push(component);
            let (from, to) = (job_dir.join(&path), dest.join(&path));
            if !to.is_dir() {
                let mode =
                    from.metadata().map_err(|e| ExecError::io("look at", &from, &e))?.permissions().mode();
                self.make_dir(&to, mode)?;
            }
        }
        Ok(())
    }

    fn make_dir(&mut self, to: &Path, mode: u32) -> Result<(), ExecError> {
        match fs::create_dir(to) {
            Ok(()) => self.modes.push((to.to_path_buf(), mode & 0o7777)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && to.is_dir() => {
                if let Some(bounds) = &self.bounds {
                    inside(bounds, to)?;
                }
            }
            Err(e) => return Err(ExecError::io("create directory", to, &e)),
        }
        Ok(())
    }

    fn copy(&mut self, from: &Path, to: &Path) -> Result<(), ExecError> {
        let mut pending = vec![(from.to_path_buf(), to.to_path_buf())];
        while let Some((from, to)) = pending.pop() {
            let meta = from.symlink_metadata().map_err(|e| ExecError::io("look at", &from, &e))?;
            let kind = meta.file_type();
            if kind.is_dir() {
                self.make_dir(&to, meta.permissions().mode())?;
                for name in read_dir(&from)? {
                    pending.push((from.join(&name), to.join(&name)));
                }
                continue;
            }
            replace(&to)?;
            self.saved.files += 1;
            if kind.is_symlink() {
                let target = fs::read_link(&from).map_err(|e| ExecError::io("read link", &from, &e))?;
                symlink(target, &to).map_err(|e| ExecError::io("create link", &to, &e))?;
            } else if kind.is_file() {
                self.saved.bytes += fs::copy(&from, &to).map_err(|e| ExecError::io("copy", &from, &e))?;
                if let (Ok(modified), Ok(file)) = (meta.modified(), File::open(&to)) {
                    // A file system without times is no reason to fail.
                    let _ = file.set_modified(modified);
                }
            } else {
                let message = format!("`{}` is neither file, directory nor link", from.display());
                return Err(ExecError::job(message));
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Saved, ExecError> {
        for (dir, mode) in self.modes.iter().rev() {
            fs::set_permissions(dir, fs::Permissions::from_mode(*mode))
                .map_err(|e| ExecError::io("set the mode of", dir, &e))?;
        }
        Ok(self.saved)
    }
}

/// Removes a file or link in the way, so that the copy never writes through a link.
fn replace(to: &Path) -> Result<(), ExecError> {
    match fs::remove_file(to) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(ExecError::io("replace", to, &e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, mode: u32) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("parent")).expect("made");
        fs::write(&path, "x").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
    }

    fn dirs() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let root = tempfile::tempdir().expect("tempdir");
        let (job, store) = (root.path().join("job"), root.path().join("store"));
        fs::create_dir_all(&job).and_then(|()| fs::create_dir_all(&store)).expect("made");
        (root, job, store)
    }

    #[test]
    fn names() {
        assert!(check_name("dist-1.0").is_ok());
        for bad in ["", ".", "..", "a/b", "a\\b", "a:b", "a\nb", "*"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn keeps_dotfiles_modes_and_links() {
        let (_root, job, store) = dirs();
        write(&job, "out/.hidden/file", 0o640);
        write(&job, "out/run.sh", 0o755);
        symlink("run.sh", job.join("out/link")).expect("linked");
        let saved = save(&job, "out", &store).expect("saved");
        assert_eq!(saved, Saved { files: 3, bytes: 2 });
        let (_other, target, _) = dirs();
        restore(&target, &store, "in").expect("restored");
        let mode = |p: &str| fs::metadata(target.join(p)).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode("in/out/run.sh"), mode("in/out/.hidden/file")), (0o755, 0o640));
        assert_eq!(fs::read_link(target.join("in/out/link")).expect("link"), Path::new("run.sh"));
    }

    #[test]
    fn globs_match_within_directories_and_across() {
        let (_root, job, store) = dirs();
        for path in ["a/x.txt", "a/b/y.txt", "a/z.log", ".x.txt"] {
            write(&job, path, 0o644);
        }
        assert_eq!(find(&job, "a/*.txt").expect("found"), [PathBuf::from("a/x.txt")]);
        assert_eq!(find(&job, "**/*.txt").expect("found").len(), 3);
        assert!(save(&job, "*.zip", &store).expect_err("none").job_fault);
    }

    #[test]
    fn nothing_outside_is_read_or_written() {
        let (root, job, store) = dirs();
        write(root.path(), "secret/key", 0o600);
        symlink(root.path().join("secret"), job.join("way")).expect("linked");
        for pattern in ["../secret", "/etc/passwd", "way/key", "way/*", "a/../../secret"] {
            assert!(save(&job, pattern, &store).expect_err(pattern).job_fault, "{pattern}");
        }
        // The link itself is data of the job, and stays a link.
        save(&job, "way", &store).expect("saved");
        assert!(store.join("way").symlink_metadata().expect("there").is_symlink());
        fs::remove_file(store.join("way")).expect("removed");
        write(&store, "way/key", 0o644);
        assert!(restore(&job, &store, ".").is_err());
        assert!(restore(&job, &store, "..").is_err());
        assert_eq!(
            fs::metadata(root.path().join("secret/key")).expect("there").permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_missing_path_and_a_fifo_fail() {
        let (_root, job, store) = dirs();
        assert!(save(&job, "dist", &store).expect_err("missing").to_string().contains("`dist`"));
        rustix::fs::mknodat(
            rustix::fs::CWD,
            job.join("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .expect("made");
        assert!(save(&job, "pipe", &store).is_err());
    }
}
