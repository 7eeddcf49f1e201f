//! The repository on the other side: only what differs from what is there already is sent.
//!
//! A workspace holds `repo/tree` (the files and a `.git` for each repository), `repo/objects` (the
//! git objects that all of them share), `repo/gits` (where the `.git` directories are),
//! `repo/manifest` (what there is, by content), `repo/list` (what the host itself sees of the files) and
//! `repo/id` (the manifest's hash, written last). A run takes the copy that an earlier one left by
//! renaming it, so that two runs never share one. Where the list shows that it is not as it was left (a
//! cleaner of temporary files has been there, say), all is sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::files;
use super::host::{self, Host};
use super::pack::{self, Entry};
use super::program::word;
use super::site::Place;
use super::trees::LIST;
use crate::engine::executor::{Cancel, ExecError, Workspace};
use crate::exec::local::repository;

/// What is known of a path: kind, mode and content.
type Manifest = BTreeMap<PathBuf, String>;

/// What the project looks like here.
struct Local {
    manifest: Manifest,
    /// Files of this machine by their path in the manifest.
    files: BTreeMap<PathBuf, PathBuf>,
    /// The `.git` directories, relative to the project.
    gits: Vec<PathBuf>,
    /// Keeps the rewritten `.git` directories until they are sent.
    _scratch: Scratch,
}

/// A directory that goes with the value.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left goes with the run's directory.
        let _left = fs::remove_dir_all(&self.0);
    }
}

/// Brings the workspace's copy of the repository up to date.
pub(super) async fn stage(
    host: &dyn Host,
    workspace: &Workspace,
    place: &Place,
    cancel: &Cancel,
) -> Result<(), ExecError> {
    let repo = place.root.join("repo");
    let r = word(&repo);
    let claim = match &place.cache {
        Some(cache) => format!("mv {} {r} 2>/dev/null\n", word(cache)),
        None => String::new(),
    };
    let begin = format!(
        "umask 077; {claim}mkdir -p {r}/tree {r}/objects || exit 1\nchmod 755 {r}/tree; [ -s {r}/id ] || exit 0\n\
         {LIST}cd {r}; [ ! -s list ] || {{ list now ./tree ./objects && cmp -s list now; }} || exit 0\ncat id"
    );
    let work = workspace.clone();
    let listing = tokio::task::spawn_blocking(move || list(&work));
    let done = host::run(host, &["sh", "-c", &begin], Vec::new(), cancel).await?;
    let id = done.checked("take the repository", host)?.stdout;
    let local = listing
        .await
        .map_err(|e| ExecError::infrastructure(format!("listing the project did not finish: {e}")))??;
    let there = manifest_there(host, workspace, &repo, &id, cancel).await?;
    let text = write_manifest(&local.manifest);
    let new_id = blake3::hash(&text).to_hex().to_string();
    if there.is_some() && new_id.as_bytes() == id.trim_ascii() {
        return Ok(());
    }
    let old = match there {
        Some(manifest) => manifest,
        None => {
            let wipe = format!(
                "cd {r} && rm -rf tree objects id list used log && mkdir tree objects && chmod 755 tree"
            );
            host::run(host, &["sh", "-c", &wipe], Vec::new(), cancel)
                .await?
                .checked("take the repository", host)?;
            Manifest::new()
        }
    };
    let gone = removed(&old, &local.manifest);
    if !gone.is_empty() {
        let remove = format!("cd {r} && rm -f id && xargs -0 rm -rf --");
        host::run(host, &["sh", "-c", &remove], gone.clone(), cancel)
            .await?
            .checked("update the repository", host)?;
    }
    let mut entries: Vec<Entry> = local
        .files
        .into_iter()
        .filter(|(path, _)| old.get(path) != local.manifest.get(path))
        .map(|(path, from)| Entry::Path(from, path))
        .collect();
    let log = changes(&id, &gone, &entries);
    let gits: Vec<u8> = local.gits.iter().flat_map(|p| [p.as_os_str().as_bytes(), b"\n"].concat()).collect();
    entries.push(Entry::Text("gits".into(), gits));
    entries.push(Entry::Text("manifest".into(), text.clone()));
    // Copies that jobs have used are brought up to date from the log; without one they are no good.
    let used = match &log {
        Some(_) => "cat changes >>log && [ $(wc -l <log) -lt 200000 ] || rm -rf used log",
        None => "rm -rf used log",
    };
    entries.push(Entry::Text("changes".into(), log.unwrap_or_default()));
    let apply = format!(
        "{LIST}cd {r} && rm -f id && tar -xpof - || exit 1\n{used}\n\
         list list ./tree ./objects || rm -f list\nprintf %s {new_id} >id"
    );
    files::send(host, &apply, entries, cancel).await?.checked("unpack the repository", host)?;
    if let Some(dir) = memory(workspace) {
        // Only a help for the next run.
        let _kept = fs::create_dir_all(&dir).and_then(|()| fs::write(dir.join(&new_id), &text));
    }
    Ok(())
}

/// The end of a program that gives the copy of the repository back for the next run.
pub(super) fn give_back(root: &Path, cache: &Path) -> String {
    let (root, cache) = (word(root), word(cache));
    format!(
        "if [ -s {root}/repo/id ]; then umask 077; mkdir -p {cache}; rm -rf {cache}; mv {root}/repo {cache} 2>/dev/null; fi\n"
    )
}

/// What the log has to say of a change: the manifest before it, and paths in the tree. `None` when there
/// was nothing before, or when a name does not fit into a line.
fn changes(before: &[u8], gone: &[u8], entries: &[Entry]) -> Option<Vec<u8>> {
    let mut log = [b"=", before.trim_ascii(), b"\n"].concat();
    let sent = entries.iter().map(|entry| match entry {
        Entry::Path(_, at) | Entry::Text(at, _) => at.as_os_str().as_bytes(),
    });
    for path in gone.split(|b| *b == 0).chain(sent) {
        let Some(path) = path.strip_prefix(b"tree/") else { continue };
        if path.iter().any(|b| matches!(b, b'\n' | b'\\' | 1)) {
            return None;
        }
        log.extend(path);
        log.push(b'\n');
    }
    (!before.trim_ascii().is_empty()).then_some(log)
}

/// Where what was sent is remembered here, so that the manifest need not be fetched.
fn memory(workspace: &Workspace) -> Option<PathBuf> {
    Some(workspace.run_dir.parent()?.parent()?.join("staged"))
}

/// What the other side has; `None` when that is not known for certain.
async fn manifest_there(
    host: &dyn Host,
    workspace: &Workspace,
    repo: &Path,
    id: &[u8],
    cancel: &Cancel,
) -> Result<Option<Manifest>, ExecError> {
    let id = String::from_utf8_lossy(id.trim_ascii()).into_owned();
    if id.len() != 64 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let is_whole = |text: &Vec<u8>| blake3::hash(text).to_hex().as_str() == id;
    let kept = memory(workspace).and_then(|dir| fs::read(dir.join(&id)).ok()).filter(is_whole);
    let text = match kept {
        Some(text) => text,
        None => {
            let cat = format!("cat {}/manifest", word(repo));
            host::run(host, &["sh", "-c", &cat], Vec::new(), cancel).await?.stdout
        }
    };
    Ok(is_whole(&text).then(|| read_manifest(&text)))
}

fn write_manifest(manifest: &Manifest) -> Vec<u8> {
    let mut out = Vec::new();
    for (path, what) in manifest {
        out.extend(what.as_bytes());
        out.push(b' ');
        out.extend(path.as_os_str().as_bytes());
        out.push(0);
    }
    out
}

fn read_manifest(text: &[u8]) -> Manifest {
    let line = |line: &[u8]| {
        let at = memchr::memchr(b' ', line)?;
        let path = std::ffi::OsString::from_vec(line[at + 1..].to_vec());
        Some((PathBuf::from(path), String::from_utf8_lossy(&line[..at]).into_owned()))
    };
    text.split(|b| *b == 0).filter_map(line).collect()
}

/// Paths that have to go, each with a null byte after it: those that are no more, those that become
/// something else, and directories that hold nothing any more.
fn removed(old: &Manifest, new: &Manifest) -> Vec<u8> {
    let parents = |manifest: &Manifest| -> BTreeSet<PathBuf> {
        manifest.keys().flat_map(|p| p.ancestors().skip(1)).map(Path::to_path_buf).collect()
    };
    let (old_dirs, new_dirs) = (parents(old), parents(new));
    let kind = |what: &String| what.as_bytes().first().copied();
    let mut out = Vec::new();
    let mut remove = |path: &Path| {
        out.extend(path.as_os_str().as_bytes());
        out.push(0);
    };
    for (path, what) in old {
        let stays = new.get(path).is_some_and(|now| kind(now) == kind(what));
        let becomes_directory = new_dirs.contains(path) && kind(what) != Some(b'd');
        if !stays && !new_dirs.contains(path) || becomes_directory {
            remove(path);
        }
    }
    let gone =
        |dir: &&PathBuf| !new_dirs.contains(*dir) && new.get(*dir).is_none_or(|w| kind(w) != Some(b'd'));
    old_dirs.iter().filter(gone).for_each(|dir| remove(dir));
    out
}

fn list(workspace: &Workspace) -> Result<Local, ExecError> {
    let project = &workspace.project_dir;
    let listing = repository::list(project, &workspace.run_dir)?;
    let scratch = Scratch(workspace.dir().join(format!("git-{}", super::site::token())));
    let mut hashes = Hashes::load(workspace);
    let mut local =
        Local { manifest: Manifest::new(), files: BTreeMap::new(), gits: Vec::new(), _scratch: scratch };
    for path in &listing.paths {
        local.add(&project.join(path), Path::new("tree").join(path), &mut hashes);
    }
    for (prefix, git) in &listing.repositories {
        let target = local._scratch.0.join(prefix);
        fs::create_dir_all(&target).map_err(|e| ExecError::io("create", &target, &e))?;
        repository::copy_git_dir(git, &target)?;
        let dot_git = target.join(".git");
        let made = pack::tree(&dot_git).map_err(|e| ExecError::io("read", &dot_git, &e))?;
        let relative = prefix.join(".git");
        for (path, _) in made.iter().filter(|(path, _)| path != Path::new("objects/info/alternates")) {
            local.add(&dot_git.join(path), Path::new("tree").join(&relative).join(path), &mut hashes);
        }
        local.gits.push(relative);
        local.add_objects(&git.common.join("objects"), 0);
    }
    hashes.save();
    Ok(local)
}

impl Local {
    fn add(&mut self, from: &Path, path: PathBuf, hashes: &mut Hashes) {
        // What git tracks may be deleted in the work tree.
        let Ok(meta) = from.symlink_metadata() else { return };
        let mode = meta.permissions().mode() & 0o7777;
        let what = if meta.is_symlink() {
            let Ok(target) = fs::read_link(from) else { return };
            format!("l{}", &blake3::hash(target.as_os_str().as_bytes()).to_hex()[..32])
        } else if meta.is_dir() {
            format!("d{mode:o}")
        } else if meta.is_file() {
            let Some(hash) = hashes.of(from, &meta) else { return };
            format!("f{mode:o}:{hash}")
        } else {
            return;
        };
        self.manifest.insert(path.clone(), what);
        self.files.insert(path, from.to_path_buf());
    }

    /// Git's objects never change: a name says what is in it. Those that the repository itself
    /// borrows from others are taken along.
    fn add_objects(&mut self, objects: &Path, depth: u32) {
        let Ok(found) = pack::tree(objects) else { return };
        for (path, is_dir) in found {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let is_private = path.starts_with("info") || name.starts_with("tmp_") || name.ends_with(".lock");
            if !is_dir && !is_private {
                let to = Path::new("objects").join(&path);
                self.manifest.entry(to.clone()).or_insert_with(|| "o".into());
                self.files.entry(to).or_insert_with(|| objects.join(&path));
            }
        }
        let alternates = fs::read(objects.join("info/alternates")).unwrap_or_default();
        for line in alternates.split(|b| *b == b'\n').filter(|line| !line.is_empty() && depth < 5) {
            self.add_objects(&objects.join(std::ffi::OsStr::from_bytes(line)), depth + 1);
        }
    }
}

/// Hashes of files, kept from run to run by what the file system says of a file.
struct Hashes {
    file: Option<PathBuf>,
    known: BTreeMap<Vec<u8>, (String, String)>,
    fresh: BTreeMap<Vec<u8>, (String, String)>,
}

impl Hashes {
    fn load(workspace: &Workspace) -> Hashes {
        let project = blake3::hash(workspace.project_dir.as_os_str().as_bytes()).to_hex();
        let file = memory(workspace).map(|dir| dir.join(format!("{}.hashes", &project[..32])));
        let text = file.as_ref().and_then(|f| fs::read(f).ok()).unwrap_or_default();
        let line = |line: &[u8]| {
            let mut parts = line.splitn(3, |b| *b == b' ');
            let mut text = || parts.next().map(|p| String::from_utf8_lossy(p).into_owned());
            let (stat, hash) = (text()?, text()?);
            Some((parts.next()?.to_vec(), (stat, hash)))
        };
        Hashes { file, known: text.split(|b| *b == 0).filter_map(line).collect(), fresh: BTreeMap::new() }
    }

    fn of(&mut self, path: &Path, meta: &fs::Metadata) -> Option<String> {
        let key = path.as_os_str().as_bytes().to_vec();
        let stat = format!(
            "{}:{}.{}:{}.{}:{}",
            meta.size(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
            meta.ino()
        );
        let hash = match self.known.get(&key) {
            Some((known, hash)) if *known == stat => hash.clone(),
            _ => blake3::hash(&fs::read(path).ok()?).to_hex()[..32].to_owned(),
        };
        // A file that changed just now may change again without its times telling.
        let age = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        if age.as_secs().saturating_sub(u64::try_from(meta.ctime()).unwrap_or(0)) > 1 {
            self.fresh.insert(key, (stat, hash.clone()));
        }
        Some(hash)
    }

    fn save(&self) {
        let Some(file) = &self.file else { return };
        let mut out = Vec::new();
        for (path, (stat, hash)) in &self.fresh {
            out.extend(format!("{stat} {hash} ").bytes());
            out.extend(path);
            out.push(0);
        }
        let part = file.with_extension(format!("{}.part", std::process::id()));
        // Only a help for the next run.
        let _kept = file
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&part, out))
            .and_then(|()| fs::rename(&part, file));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(lines: &[(&str, &str)]) -> Manifest {
        lines.iter().map(|(path, what)| (PathBuf::from(path), (*what).to_owned())).collect()
    }

    #[test]
    fn manifests_are_read_as_written() {
        let m = manifest(&[("tree/a b", "f644:x"), ("tree/l", "lx")]);
        assert_eq!(read_manifest(&write_manifest(&m)), m);
    }

    #[test]
    fn what_is_gone_goes() {
        let old = manifest(&[("t/a", "f1"), ("t/d/x", "f1"), ("t/k", "f1"), ("t/e", "f1"), ("t/s/y", "f1")]);
        let new = manifest(&[("t/a", "f2"), ("t/k", "l1"), ("t/e/z", "f1"), ("t/s", "f1")]);
        let gone = removed(&old, &new);
        let gone: Vec<&str> = std::str::from_utf8(&gone).unwrap().split_terminator('\0').collect();
        assert_eq!(gone, ["t/d/x", "t/e", "t/k", "t/s/y", "t/d", "t/s"]);
    }
}
