//! Sources by reference, each kind in its way; a locked one from the store or the cache before any
//! network is asked.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;

use super::cache::{Cache, Entry, now};
use super::error::FetchError;
use super::git::{self, Git};
use super::http::{Got, Http};
use super::{archive, registry};
use crate::drv::content_address::{ContentAddress, Method};
use crate::drv::hash::{Algo, Hash};
use crate::drv::store_path::{References, StoreDir};
use crate::eval::builtins::flake_ref::{self, Field, FlakeRef};

/// For so many seconds what a name stood for is not asked again (Nix's `tarball-ttl`).
const FRESH: u64 = 3600;

/// A client that is made when it is first needed.
pub type LazyHttp = LazyLock<Http, Box<dyn FnOnce() -> Http + Send>>;

/// Fetches sources.
pub struct Fetcher {
    /// Where they are kept.
    pub cache: Cache,
    /// The client for downloads, made when it is first needed.
    pub http: LazyHttp,
    /// The store, which may have a locked source.
    pub store_dir: StoreDir,
    /// Fetch nothing: what the cache has, or an error.
    pub offline: bool,
    /// Registries of short names, the first that knows one wins.
    pub registries: Vec<PathBuf>,
}

/// A source that is on this machine.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Its file or directory.
    pub path: PathBuf,
    /// What below it does not belong to it.
    pub left_out: HashSet<PathBuf>,
    /// Hash of its archive, when it is known.
    pub nar_hash: Option<Hash>,
    /// Attributes of the locked reference and of the result: revision, time of the last change.
    pub info: BTreeMap<String, Field>,
    /// The reference, resolved and locked as far as its kind allows.
    pub locked: FlakeRef,
    /// It is the user's own directory, which messages should name.
    pub is_local: bool,
}

impl Fetcher {
    /// The source that a reference means.
    pub fn tree(&self, source: &FlakeRef) -> Result<Fetched, FetchError> {
        let expected = source.text("narHash").map(|text| {
            Hash::parse(text.as_bytes(), Some(Algo::Sha256)).map_err(|e| wrong(source, e.to_string()))
        });
        let expected = expected.transpose()?;
        if let Some(found) = expected.and_then(|hash| self.at_hand(source, &hash)) {
            return Ok(found);
        }
        let fetched = match source.text("type").unwrap_or_default() {
            "path" => self.path(source)?,
            "tarball" => self.tarball(source)?,
            "file" => self.file(source)?,
            "git" => self.git(source)?,
            "github" | "gitlab" | "sourcehut" => self.forge(source)?,
            "indirect" => return self.tree(&self.resolve(source)?),
            "" => return Err(wrong(source, "has no `type`".into())),
            other => return Err(wrong(source, format!("is of type `{other}`, which cannot be fetched"))),
        };
        if let (Some(expected), Some(found)) = (expected, fetched.nar_hash)
            && expected != found
        {
            return Err(FetchError::Hash {
                what: format!("the input `{}`", source.show()),
                expected: expected.sri(),
                found: found.sri(),
            });
        }
        Ok(fetched)
    }

    /// A locked source that the store or the cache has.
    fn at_hand(&self, source: &FlakeRef, hash: &Hash) -> Option<Fetched> {
        let address = ContentAddress { method: Method::Nar, hash: *hash };
        let name = source.text("name").unwrap_or("source");
        let stored = self.store_dir.make_fixed_path(name.as_bytes(), &address, &References::none()).ok();
        let stored = stored.map(|p| PathBuf::from(self.store_dir.print(&p)));
        let stored = stored.filter(|p| p.symlink_metadata().is_ok());
        let path = stored.or_else(|| self.cache.object(hash))?;
        let mut info = BTreeMap::new();
        for (name, field) in source.fields() {
            if matches!(name.as_str(), "lastModified" | "rev" | "revCount" | "shortRev") {
                info.insert(name.clone(), field.clone());
            }
        }
        let locked = source.clone();
        Some(Fetched { path, left_out: HashSet::new(), nar_hash: Some(*hash), info, locked, is_local: false })
    }

    /// What a short name stands for.
    pub(super) fn resolve(&self, source: &FlakeRef) -> Result<FlakeRef, FetchError> {
        for file in &self.registries {
            let found = std::fs::read(file).ok().and_then(|text| registry::look(&text, source));
            if let Some(found) = found {
                return Ok(found);
            }
        }
        let public = self.download(registry::PUBLIC, false);
        let public = public.ok().and_then(|f| std::fs::read(f.path).ok());
        let found = public.and_then(|text| registry::look(&text, source)).or_else(|| registry::known(source));
        found.ok_or_else(|| wrong(source, "is in no registry of flakes".into()))
    }

    fn path(&self, source: &FlakeRef) -> Result<Fetched, FetchError> {
        let path = source.text("path").unwrap_or_default();
        if !path.starts_with('/') {
            return Err(wrong(
                source,
                "is a relative path, which has a meaning only inside of a flake".into(),
            ));
        }
        let real = Path::new(path).canonicalize();
        let real = real.map_err(|error| FetchError::Read { path: path.into(), error })?;
        let mut info = BTreeMap::new();
        let changed = real.metadata().and_then(|m| m.modified()).ok();
        let changed = changed.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
        if let Some(changed) = changed {
            info.insert("lastModified".to_owned(), Field::Int(changed.as_secs() as i64));
        }
        let locked = source.clone();
        // The hash is computed by whoever copies it to the store.
        Ok(Fetched { path: real, left_out: HashSet::new(), nar_hash: None, info, locked, is_local: true })
    }

    fn tarball(&self, source: &FlakeRef) -> Result<Fetched, FetchError> {
        let url = source.text("url").ok_or_else(|| wrong(source, "has no `url`".into()))?;
        let mut fetched = self.download(url, true)?;
        if let Some(Field::Text(url)) = fetched.info.remove("immutable") {
            fetched.locked.set("url", Field::Text(url));
        } else {
            fetched.locked = source.clone();
        }
        fetched.locked.set("type", Field::Text("tarball".into()));
        for name in ["rev", "revCount"] {
            if let Some((_, field)) = source.fields().find(|(n, _)| *n == name) {
                fetched.info.insert(name.to_owned(), field.clone());
            }
        }
        Ok(fetched)
    }

    fn file(&self, source: &FlakeRef) -> Result<Fetched, FetchError> {
        let url = source.text("url").ok_or_else(|| wrong(source, "has no `url`".into()))?;
        let fetched = self.download(url, false)?;
        Ok(Fetched { locked: source.clone(), ..fetched })
    }

    /// A file or unpacked archive by its URL. What was fetched within the last hour is taken as it
    /// is; an older one when it has not changed, or when the server cannot be reached.
    pub fn download(&self, url: &str, unpack: bool) -> Result<Fetched, FetchError> {
        if let Some(path) = url.strip_prefix("file://").or(url.starts_with('/').then_some(url)) {
            return self.local_file(Path::new(path), unpack);
        }
        let name = format!("{} {url}", if unpack { "tarball" } else { "file" });
        let known = self.cache.find(&name);
        if let Some((entry, path)) = &known
            && (self.offline || now().saturating_sub(entry.fetched) < FRESH)
        {
            return Ok(kept(entry, path.clone()));
        }
        if self.offline {
            return Err(FetchError::Offline(url.to_owned()));
        }
        let making = self.cache.begin()?;
        let file = making.path.with_extension("download");
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(|e| self.cache.error(e))?;
        }
        let etag = known.as_ref().and_then(|(entry, _)| entry.etag.clone());
        let got = self.http.get(url, etag.as_deref(), &file, &[]);
        let outcome = match (got, known) {
            (Ok(Got::NotModified), Some((mut entry, path))) => {
                entry.fetched = now();
                self.cache.remember(&name, &entry)?;
                Ok(kept(&entry, path))
            }
            (Ok(Got::NotModified), None) => {
                Err(FetchError::Status { url: url.into(), status: 304, help: None })
            }
            (Ok(Got::New { etag, immutable }), _) => {
                self.take_in(&name, url, &file, making, unpack, etag, immutable)
            }
            (Err(FetchError::Unreachable { .. }), Some((entry, path))) => Ok(kept(&entry, path)),
            (Err(e), _) => Err(e),
        };
        // It may have been renamed into its place.
        let _ = std::fs::remove_file(&file);
        outcome
    }

    #[expect(clippy::too_many_arguments, reason = "one call, of the function above")]
    fn take_in(
        &self,
        name: &str,
        url: &str,
        file: &Path,
        making: super::cache::Making,
        unpack: bool,
        etag: Option<String>,
        immutable: Option<String>,
    ) -> Result<Fetched, FetchError> {
        let mut entry = Entry { etag, fetched: now(), ..Entry::default() };
        if unpack {
            let changed = archive::unpack(file, &making.path)
                .map_err(|e| FetchError::Archive { what: url.to_owned(), reason: e.to_string() })?;
            entry.info.insert("lastModified".into(), Value::from(changed));
            if let Some(immutable) = immutable {
                entry.info.insert("immutable".into(), Value::from(immutable));
            }
        } else {
            std::fs::rename(file, &making.path).map_err(|e| self.cache.error(e))?;
        }
        let (hash, path) = self.cache.finish(making)?;
        entry.nar_hash = hash.sri();
        self.cache.remember(name, &entry)?;
        Ok(kept(&entry, path))
    }

    fn local_file(&self, path: &Path, unpack: bool) -> Result<Fetched, FetchError> {
        let read = |error| FetchError::Read { path: path.to_owned(), error };
        path.metadata().map_err(read)?;
        let mut fetched = Fetched {
            path: path.to_owned(),
            left_out: HashSet::new(),
            nar_hash: None,
            info: BTreeMap::new(),
            locked: FlakeRef::default(),
            is_local: true,
        };
        if !unpack || path.is_dir() {
            return Ok(fetched);
        }
        let making = self.cache.begin()?;
        let changed = archive::unpack(path, &making.path)
            .map_err(|e| FetchError::Archive { what: path.display().to_string(), reason: e.to_string() })?;
        let (hash, object) = self.cache.finish(making)?;
        fetched.info.insert("lastModified".into(), Field::Int(changed as i64));
        Ok(Fetched { path: object, nar_hash: Some(hash), is_local: false, ..fetched })
    }

    fn git(&self, source: &FlakeRef) -> Result<Fetched, FetchError> {
        let url = source.text("url").ok_or_else(|| wrong(source, "has no `url`".into()))?;
        let flag = |name| source.fields().any(|(n, f)| n == name && *f == Field::Bool(true));
        let (rev, branch) = (source.text("rev"), source.text("ref"));
        let local = url.strip_prefix("file://").or(url.starts_with('/').then_some(url));
        if let (Some(dir), None, None) = (local, rev, branch)
            && Path::new(dir).join(".git").exists()
        {
            return self.work_tree(Path::new(dir), source);
        }
        let git = Git { url };
        let (repository, rev) = match rev {
            Some(rev) => (git.fetch_revision(&self.cache, rev, branch, self.offline)?, rev.to_owned()),
            None => self.git_name(&git, branch.unwrap_or("HEAD"))?,
        };
        let submodules = flag("submodules");
        let name = format!("git-tree {rev} {submodules}");
        let (entry, path) = match self.cache.find(&name) {
            Some(known) => known,
            None => {
                let making = self.cache.begin()?;
                match submodules {
                    true => git.export_with_submodules(&repository, &rev, &making.path)?,
                    false => git.export(&repository, &rev, &making.path)?,
                }
                let (hash, path) = self.cache.finish(making)?;
                let mut entry = Entry { nar_hash: hash.sri(), fetched: now(), ..Entry::default() };
                let changed = git.last_modified(&repository, &rev)?;
                entry.info.insert("lastModified".into(), Value::from(changed));
                if !flag("shallow")
                    && let Some(count) = git.count(&repository, &rev)?
                {
                    entry.info.insert("revCount".into(), Value::from(count));
                }
                self.cache.remember(&name, &entry)?;
                (entry, path)
            }
        };
        let mut fetched = kept(&entry, path);
        fetched.info.insert("rev".into(), Field::Text(rev.clone()));
        fetched.locked = source.clone();
        fetched.locked.set("rev", Field::Text(rev));
        Ok(fetched)
    }

    /// The commit of a name, asked for at most once an hour.
    fn git_name(&self, git: &Git<'_>, branch: &str) -> Result<(PathBuf, String), FetchError> {
        let name = format!("git-name {} {branch}", git.url);
        let is_local = git.url.starts_with('/') || git.url.starts_with("file://");
        let empty = Hash::sha256(b"").sri();
        if let Some(entry) = self.cache.note(&name)
            && !is_local
            && (self.offline || now().saturating_sub(entry.fetched) < FRESH)
            && let Some(rev) = entry.info.get("rev").and_then(Value::as_str)
        {
            return Ok((git.fetch_revision(&self.cache, rev, Some(branch), self.offline)?, rev.to_owned()));
        }
        if self.offline && !is_local {
            return Err(FetchError::Offline(format!("{} at {branch}", git.url)));
        }
        let (repository, rev) = git.fetch_name(&self.cache, branch)?;
        let mut entry = Entry { nar_hash: empty, fetched: now(), ..Entry::default() };
        entry.info.insert("rev".into(), Value::from(rev.as_str()));
        self.cache.remember(&name, &entry)?;
        Ok((repository, rev))
    }

    /// What git tracks in a working tree, changes included.
    pub(super) fn work_tree(&self, dir: &Path, source: &FlakeRef) -> Result<Fetched, FetchError> {
        let root = dir.canonicalize().map_err(|error| FetchError::Read { path: dir.to_owned(), error })?;
        let tree = git::work_tree(&root)?;
        let shown = root.to_string_lossy();
        let git = Git { url: &shown };
        let mut info = BTreeMap::new();
        if let Some(head) = &tree.head {
            let short: String = head.chars().take(7).collect();
            if tree.dirty {
                info.insert("dirtyRev".to_owned(), Field::Text(format!("{head}-dirty")));
                info.insert("dirtyShortRev".to_owned(), Field::Text(format!("{short}-dirty")));
            } else {
                info.insert("rev".to_owned(), Field::Text(head.clone()));
                if let Some(count) = git.count(&root, head)? {
                    info.insert("revCount".to_owned(), Field::Int(count));
                }
            }
            info.insert("lastModified".to_owned(), Field::Int(git.last_modified(&root, head)?));
        }
        let locked = source.clone();
        Ok(Fetched { path: root, left_out: tree.left_out, nar_hash: None, info, locked, is_local: true })
    }

    /// A repository on GitHub, GitLab or SourceHut: the archive of a commit.
    fn forge(&self, source: &FlakeRef) -> Result<Fetched, FetchError> {
        let part = |name: &str| source.text(name).ok_or_else(|| wrong(source, format!("has no `{name}`")));
        let (kind, owner, repo) = (part("type")?, part("owner")?, part("repo")?);
        let host = source.text("host").unwrap_or(match kind {
            "github" => "github.com",
            "gitlab" => "gitlab.com",
            _ => "git.sr.ht",
        });
        let rev = match source.text("rev") {
            Some(rev) => rev.to_owned(),
            None => self.forge_revision(kind, host, owner, repo, source.text("ref"))?,
        };
        let url = match kind {
            // Archives of private repositories are given to those with a token, at another address.
            "github" if host == "github.com" && self.http.has_token(host) => {
                format!("https://api.github.com/repos/{owner}/{repo}/tarball/{rev}")
            }
            "github" if host == "github.com" => {
                format!("https://github.com/{owner}/{repo}/archive/{rev}.tar.gz")
            }
            "github" => format!("https://{host}/api/v3/repos/{owner}/{repo}/tarball/{rev}"),
            "gitlab" => {
                let project = format!("{owner}%2F{repo}").replace('/', "%2F");
                format!("https://{host}/api/v4/projects/{project}/repository/archive.tar.gz?sha={rev}")
            }
            _ => format!("https://{host}/{owner}/{repo}/archive/{rev}.tar.gz"),
        };
        let mut fetched = self.download(&url, true)?;
        fetched.info.remove("immutable");
        fetched.info.insert("rev".into(), Field::Text(rev.clone()));
        let mut locked = FlakeRef::default();
        for (name, field) in source.fields().filter(|(n, _)| *n != "ref") {
            locked.set(name, field.clone());
        }
        locked.set("rev", Field::Text(rev));
        fetched.locked = locked;
        Ok(fetched)
    }

    /// The commit that a branch (or the default one) is at.
    fn forge_revision(
        &self,
        kind: &str,
        host: &str,
        owner: &str,
        repo: &str,
        branch: Option<&str>,
    ) -> Result<String, FetchError> {
        if kind == "sourcehut" {
            let url = format!("https://{host}/{owner}/{repo}");
            return self.git_name(&Git { url: &url }, branch.unwrap_or("HEAD")).map(|(_, rev)| rev);
        }
        let name = branch.unwrap_or("HEAD");
        let url = match (kind, host) {
            ("github", "github.com") => format!("https://api.github.com/repos/{owner}/{repo}/commits/{name}"),
            ("github", host) => format!("https://{host}/api/v3/repos/{owner}/{repo}/commits/{name}"),
            (_, host) => {
                let project = format!("{owner}%2F{repo}").replace('/', "%2F");
                format!(
                    "https://{host}/api/v4/projects/{project}/repository/commits?ref_name={name}&per_page=1"
                )
            }
        };
        let fetched = self.download(&url, false)?;
        let text =
            std::fs::read(&fetched.path).map_err(|error| FetchError::Read { path: fetched.path, error })?;
        let answer: Value = serde_json::from_slice(&text).unwrap_or_default();
        let rev = answer.get("sha").or_else(|| answer.get(0)?.get("id")).and_then(Value::as_str);
        rev.map(str::to_owned).ok_or(FetchError::Status {
            url,
            status: 200,
            help: Some(", and names no commit".into()),
        })
    }
}

fn wrong(source: &FlakeRef, problem: String) -> FetchError {
    FetchError::Reference { reference: source.show(), problem }
}

/// A source from the cache.
fn kept(entry: &Entry, path: PathBuf) -> Fetched {
    let mut info = BTreeMap::new();
    for (name, value) in &entry.info {
        let field = match value {
            Value::String(s) => Field::Text(s.clone()),
            Value::Number(n) => Field::Int(n.as_i64().unwrap_or_default()),
            _ => continue,
        };
        info.insert(name.clone(), field);
    }
    let nar_hash = Hash::parse_sri(entry.nar_hash.as_bytes()).ok();
    let locked = FlakeRef::default();
    Fetched { path, left_out: HashSet::new(), nar_hash, info, locked, is_local: false }
}

/// A reference as users write it on a command line or in a search path: a directory of this machine
/// is a git tree when it is in one.
pub(super) fn local(dir: &Path) -> FlakeRef {
    let mut found = FlakeRef::default();
    match git::root_of(dir) {
        Some(root) => {
            found.set("type", Field::Text("git".into()));
            found.set("url", Field::Text(format!("file://{}", root.display())));
            if let Ok(below) = dir.strip_prefix(root)
                && !below.as_os_str().is_empty()
            {
                found.set("dir", Field::Text(below.to_string_lossy().into_owned()));
            }
        }
        None => {
            found.set("type", Field::Text("path".into()));
            found.set("path", Field::Text(dir.to_string_lossy().into_owned()));
        }
    }
    found
}

/// A reference as text; a path may be relative to a directory.
pub(super) fn parse(text: &str, here: &Path) -> Result<FlakeRef, FetchError> {
    let is_path = text.starts_with('.') || text.starts_with('/');
    if is_path {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let joined = here.join(path);
        let dir = joined.canonicalize().map_err(|error| FetchError::Read { path: joined, error })?;
        let mut found = local(&dir);
        for (name, value) in query.split('&').filter_map(|p| p.split_once('=')) {
            found.set(name, Field::Text(value.to_owned()));
        }
        return Ok(found);
    }
    flake_ref::parse(text)
        .map_err(|e| FetchError::Reference { reference: text.to_owned(), problem: format!("is wrong: {e}") })
}
