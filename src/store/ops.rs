//! The requests that a daemon answers, as far as they are used. (Nix: `libstore/daemon.cc`.)

use std::collections::{BTreeMap, BTreeSet};

use tokio::io::BufReader;
use tokio::net::unix::OwnedReadHalf;

use super::activity::Observer;
use super::connection::{Connection, Version, plain};
use super::error::StoreError;
use super::wire::{self, Words};
use crate::drv::hash::{Algo, Hash};
use crate::drv::object::Needed;
use crate::drv::store_path::{StoreDir, StorePath};

/// Numbers of the requests.
pub(super) mod op {
    pub(in crate::store) const ADD_TO_STORE: u64 = 7;
    pub(in crate::store) const ENSURE_PATH: u64 = 10;
    pub(in crate::store) const ADD_TEMP_ROOT: u64 = 11;
    pub(in crate::store) const ADD_INDIRECT_ROOT: u64 = 12;
    pub(in crate::store) const SET_OPTIONS: u64 = 19;
    pub(in crate::store) const QUERY_PATH_INFO: u64 = 26;
    pub(in crate::store) const QUERY_VALID_PATHS: u64 = 31;
    pub(in crate::store) const NAR_FROM_PATH: u64 = 38;
    pub(in crate::store) const QUERY_MISSING: u64 = 40;
    pub(in crate::store) const QUERY_OUTPUT_MAP: u64 = 41;
    pub(in crate::store) const BUILD_WITH_RESULTS: u64 = 46;
}

/// Requests that are sent before their answers are read, at most; keeps both sides' buffers small.
pub(super) const AT_ONCE: usize = 64;

/// What a client asks of builds.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Go on with the other builds when one has failed.
    pub keep_going: bool,
    /// Builds at a time; 0: none here, only fetching and remote builds.
    pub max_jobs: u64,
    /// Processors for one build; 0: all.
    pub cores: u64,
    /// Fetch from the daemon's substituters.
    pub substitute: bool,
    /// Build what cannot be fetched.
    pub fallback: bool,
    /// Further settings by name, as in `nix.conf`.
    pub settings: Vec<(String, String)>,
}

impl Default for BuildOptions {
    fn default() -> BuildOptions {
        BuildOptions {
            keep_going: true,
            max_jobs: super::config::processors(),
            cores: 0,
            substitute: true,
            fallback: false,
            settings: Vec::new(),
        }
    }
}

/// What a build request is about: store objects, or outputs of a derivation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// A path that a substituter may have.
    Path(StorePath),
    /// Outputs of a derivation.
    Outputs(StorePath, BTreeSet<String>),
}

impl Wanted {
    /// What is needed, gathered by derivation.
    pub fn gather<'a>(needed: impl IntoIterator<Item = &'a Needed>) -> Vec<Wanted> {
        let mut paths = BTreeSet::new();
        let mut outputs: BTreeMap<&StorePath, BTreeSet<String>> = BTreeMap::new();
        for one in needed {
            match one {
                Needed::Path(path) => drop(paths.insert(path)),
                Needed::Output(drv, output) => drop(outputs.entry(drv).or_default().insert(output.clone())),
            }
        }
        let outputs = outputs.into_iter().map(|(drv, names)| Wanted::Outputs(drv.clone(), names));
        paths.into_iter().cloned().map(Wanted::Path).chain(outputs).collect()
    }

    /// In the form of the protocol: `PATH` or `DRV!a,b`.
    fn print(&self, dir: &StoreDir) -> String {
        match self {
            Wanted::Path(path) => dir.print(path),
            Wanted::Outputs(drv, names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                format!("{}!{}", dir.print(drv), names.join(","))
            }
        }
    }

    /// The path, or the derivation.
    pub fn root(&self) -> &StorePath {
        match self {
            Wanted::Path(path) | Wanted::Outputs(path, _) => path,
        }
    }
}

/// What the store knows of a valid path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathInfo {
    /// The path.
    pub path: StorePath,
    /// The derivation that made it, when it is known.
    pub deriver: Option<StorePath>,
    /// SHA-256 of its NAR.
    pub nar_hash: Hash,
    /// Size of its NAR in bytes.
    pub nar_size: u64,
    /// Paths that it refers to, itself perhaps among them.
    pub references: BTreeSet<StorePath>,
    /// When it became valid, in seconds since 1970.
    pub registration_time: u64,
    /// Whether it was built here.
    pub ultimate: bool,
    /// Signatures.
    pub signatures: Vec<String>,
    /// Its content address, or nothing.
    pub content_address: String,
}

/// What a build would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Derivations that would be built.
    pub build: BTreeSet<StorePath>,
    /// Paths that would be fetched.
    pub fetch: BTreeSet<StorePath>,
    /// Paths of which nobody knows how to get them.
    pub unknown: BTreeSet<StorePath>,
    /// Bytes to be fetched.
    pub download_size: u64,
    /// Bytes that they take up.
    pub nar_size: u64,
}

/// How a build ended. (Nix: `build-result.hh`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildStatus {
    /// Built, fetched, or there already.
    Success,
    /// The builder failed.
    Failed,
    /// It took longer than it may, in all or without printing.
    TimedOut,
    /// A fixed output has another content than promised, or an output breaks a rule.
    OutputRejected,
    /// Something that it needs was not built.
    DependencyFailed,
    /// Anything else, by its number.
    Other(u64),
}

impl From<u64> for BuildStatus {
    fn from(n: u64) -> BuildStatus {
        match n {
            0 | 1 | 2 | 13 => BuildStatus::Success,
            3 | 6 | 9 => BuildStatus::Failed,
            4 | 11 => BuildStatus::OutputRejected,
            8 => BuildStatus::TimedOut,
            10 => BuildStatus::DependencyFailed,
            other => BuildStatus::Other(other),
        }
    }
}

/// How one thing that was asked for ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildResult {
    /// Which, in the form of the protocol: `PATH` or `DRV!a,b`.
    pub wanted: String,
    /// How it ended.
    pub status: BuildStatus,
    /// Why it failed.
    pub message: String,
    /// Outputs that were made, by name.
    pub outputs: BTreeMap<String, StorePath>,
}

impl Connection {
    /// Tells how to build; once for a connection.
    pub async fn set_options(&mut self, options: &BuildOptions) -> Result<(), StoreError> {
        let mut words = Words::default();
        words.number(op::SET_OPTIONS).flag(false).flag(options.keep_going).flag(options.fallback);
        // Verbosity "info"; silence has no limit; build hooks are used; build output is no line for
        // people but a result of its activity.
        const INFO: u64 = 3;
        const VOMIT: u64 = 7;
        words.number(INFO).number(options.max_jobs).number(0).flag(true).number(VOMIT).number(0).number(0);
        words.number(options.cores).flag(options.substitute);
        words.number(options.settings.len() as u64);
        for (name, value) in &options.settings {
            words.string(name).string(value);
        }
        self.ask("setting options", &words).await?;
        self.done();
        Ok(())
    }

    fn path(&mut self, text: &[u8]) -> Result<StorePath, StoreError> {
        self.dir.parse(text).map_err(|e| self.unexpected(e.to_string()))
    }

    fn paths(&mut self, texts: Vec<String>) -> Result<BTreeSet<StorePath>, StoreError> {
        texts.into_iter().map(|t| self.path(t.as_bytes())).collect()
    }

    fn printed<'a>(&self, paths: impl Iterator<Item = &'a StorePath>) -> Vec<String> {
        paths.map(|p| self.dir.print(p)).collect()
    }

    /// Which of these paths are valid.
    pub async fn query_valid_paths(
        &mut self,
        paths: &BTreeSet<StorePath>,
    ) -> Result<BTreeSet<StorePath>, StoreError> {
        let doing = "asking for valid paths";
        if paths.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut words = Words::default();
        words.number(op::QUERY_VALID_PATHS).strings(self.printed(paths.iter()).iter()).flag(false);
        self.ask(doing, &words).await?;
        let found = self.soon(doing, async |r| wire::texts(r).await).await?;
        self.done();
        self.paths(found)
    }

    /// What the store knows of a path; `None` when it is not valid.
    pub async fn query_path_info(&mut self, path: &StorePath) -> Result<Option<PathInfo>, StoreError> {
        let doing = "asking about a path";
        let mut words = Words::default();
        words.number(op::QUERY_PATH_INFO).string(self.dir.print(path));
        self.ask(doing, &words).await?;
        if !self.soon(doing, async |r| wire::flag(r).await).await? {
            self.done();
            return Ok(None);
        }
        let raw = self.soon(doing, async |r| read_info(r).await).await?;
        self.done();
        self.info(path.clone(), raw).map(Some)
    }

    pub(super) fn info(&mut self, path: StorePath, raw: RawInfo) -> Result<PathInfo, StoreError> {
        let deriver = match raw.deriver.as_str() {
            "" => None,
            text => Some(self.path(text.as_bytes())?),
        };
        let nar_hash = Hash::parse(raw.nar_hash.as_bytes(), Some(Algo::Sha256))
            .map_err(|e| self.unexpected(e.to_string()))?;
        Ok(PathInfo {
            path,
            deriver,
            nar_hash,
            nar_size: raw.nar_size,
            references: self.paths(raw.references)?,
            registration_time: raw.registration_time,
            ultimate: raw.ultimate,
            signatures: raw.signatures,
            content_address: raw.content_address,
        })
    }

    /// What making these would take.
    pub async fn query_missing(&mut self, wanted: &[Wanted]) -> Result<Missing, StoreError> {
        let doing = "asking what is missing";
        let printed: Vec<String> = wanted.iter().map(|w| w.print(&self.dir)).collect();
        let mut words = Words::default();
        words.number(op::QUERY_MISSING).strings(printed.iter());
        // The daemon may ask its substituters, which can be far away.
        self.send(doing, &words).await?;
        self.told(doing, &mut super::activity::NoMessages).await?;
        let (build, fetch, unknown, download_size, nar_size) = self
            .soon(doing, async |r| {
                Ok((
                    wire::texts(r).await?,
                    wire::texts(r).await?,
                    wire::texts(r).await?,
                    wire::number(r).await?,
                    wire::number(r).await?,
                ))
            })
            .await?;
        self.done();
        Ok(Missing {
            build: self.paths(build)?,
            fetch: self.paths(fetch)?,
            unknown: self.paths(unknown)?,
            download_size,
            nar_size,
        })
    }

    /// The paths of a derivation's outputs, as far as they are known.
    pub async fn query_outputs(
        &mut self,
        drv: &StorePath,
    ) -> Result<BTreeMap<String, Option<StorePath>>, StoreError> {
        let doing = "asking for outputs";
        let mut words = Words::default();
        words.number(op::QUERY_OUTPUT_MAP).string(self.dir.print(drv));
        self.ask(doing, &words).await?;
        let pairs = self
            .soon(doing, async |r| {
                let mut pairs = Vec::new();
                for _ in 0..wire::length(r).await? {
                    pairs.push((wire::text(r).await?, wire::text(r).await?));
                }
                Ok(pairs)
            })
            .await?;
        self.done();
        let one = |(name, path): (String, String)| {
            Ok((name, if path.is_empty() { None } else { Some(self.path(path.as_bytes())?) }))
        };
        pairs.into_iter().map(one).collect()
    }

    /// Holds paths for as long as this connection is open, valid or not yet.
    pub async fn add_temp_roots(&mut self, paths: &BTreeSet<StorePath>) -> Result<(), StoreError> {
        let doing = "holding paths";
        let all: Vec<String> = self.printed(paths.iter());
        for some in all.chunks(AT_ONCE) {
            let mut words = Words::default();
            for path in some {
                words.number(op::ADD_TEMP_ROOT).string(path);
            }
            self.send(doing, &words).await?;
            for _ in some {
                self.told_soon(doing).await?;
                self.soon(doing, async |r| wire::number(r).await).await?;
            }
            self.done();
        }
        Ok(())
    }

    /// Reads what is told before an answer that must come soon. In the midst of several answers an
    /// error ends the use of the connection.
    pub(super) async fn told_soon(&mut self, doing: &str) -> Result<(), StoreError> {
        let patience = self.patience;
        let mut quiet = super::activity::NoMessages;
        let told = tokio::time::timeout(patience, self.told(doing, &mut quiet)).await;
        match told {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => {
                self.mark_broken();
                Err(e)
            }
            Err(_) => Err(self.too_slow(doing)),
        }
    }

    /// Makes a symbolic link of this machine, which points into the store, a root of the collector.
    pub async fn add_indirect_root(&mut self, link: &std::path::Path) -> Result<(), StoreError> {
        let doing = "adding a root";
        let mut words = Words::default();
        words.number(op::ADD_INDIRECT_ROOT).string(link.as_os_str().as_encoded_bytes());
        self.ask(doing, &words).await?;
        self.soon(doing, async |r| wire::number(r).await).await?;
        self.done();
        Ok(())
    }

    /// Makes a path valid by fetching it, where it is not.
    pub async fn ensure_path(&mut self, path: &StorePath, log: &mut dyn Observer) -> Result<(), StoreError> {
        let doing = "fetching a path";
        let mut words = Words::default();
        words.number(op::ENSURE_PATH).string(self.dir.print(path));
        self.send(doing, &words).await?;
        self.told(doing, log).await?;
        self.soon(doing, async |r| wire::number(r).await).await?;
        self.done();
        Ok(())
    }

    /// Builds and fetches. Takes as long as it takes; what the daemon tells goes to `log`. The
    /// future may be dropped: the daemon then stops what it builds for this connection.
    pub async fn build(
        &mut self,
        wanted: &[Wanted],
        log: &mut dyn Observer,
    ) -> Result<Vec<BuildResult>, StoreError> {
        let doing = "building";
        let printed: Vec<String> = wanted.iter().map(|w| w.print(&self.dir)).collect();
        let mut words = Words::default();
        words.number(op::BUILD_WITH_RESULTS).strings(printed.iter()).number(0);
        self.send(doing, &words).await?;
        self.told(doing, log).await?;
        let version = self.version;
        let raw = self
            .soon(doing, async |r| {
                let mut all = Vec::new();
                for _ in 0..wire::length(r).await? {
                    all.push(read_result(r, version).await?);
                }
                Ok(all)
            })
            .await?;
        self.done();
        let mut results = Vec::new();
        for one in raw {
            let mut outputs = BTreeMap::new();
            for (id, json) in one.outputs {
                let name = id.split_once('!').map(|(_, n)| n.to_owned());
                let path = serde_json::from_str::<serde_json::Value>(&json).ok();
                let path = path.and_then(|v| v.get("outPath")?.as_str().map(str::to_owned));
                let (Some(name), Some(path)) = (name, path) else {
                    return Err(self.unexpected(format!("the output {id}")));
                };
                let path = StorePath::from_base_name(path.as_bytes())?;
                outputs.insert(name, path);
            }
            results.push(BuildResult {
                wanted: one.wanted,
                status: one.status.into(),
                message: plain(&one.message),
                outputs,
            });
        }
        Ok(results)
    }
}

/// What is known of a path, as it is sent.
pub(super) struct RawInfo {
    deriver: String,
    nar_hash: String,
    references: Vec<String>,
    registration_time: u64,
    nar_size: u64,
    ultimate: bool,
    signatures: Vec<String>,
    content_address: String,
}

pub(super) async fn read_info(r: &mut BufReader<OwnedReadHalf>) -> std::io::Result<RawInfo> {
    Ok(RawInfo {
        deriver: wire::text(r).await?,
        nar_hash: wire::text(r).await?,
        references: wire::texts(r).await?,
        registration_time: wire::number(r).await?,
        nar_size: wire::number(r).await?,
        ultimate: wire::flag(r).await?,
        signatures: wire::texts(r).await?,
        content_address: wire::text(r).await?,
    })
}

struct RawResult {
    wanted: String,
    status: u64,
    message: String,
    outputs: Vec<(String, String)>,
}

async fn read_result(r: &mut BufReader<OwnedReadHalf>, version: Version) -> std::io::Result<RawResult> {
    let wanted = wire::text(r).await?;
    let status = wire::number(r).await?;
    let message = wire::text(r).await?;
    // Times built, whether it differed between them, start and stop.
    for _ in 0..4 {
        wire::number(r).await?;
    }
    if version >= Version(37) {
        // Processor time of the user and of the system, each after whether it is known.
        for _ in 0..2 {
            if wire::flag(r).await? {
                wire::number(r).await?;
            }
        }
    }
    let mut outputs = Vec::new();
    for _ in 0..wire::length(r).await? {
        outputs.push((wire::text(r).await?, wire::text(r).await?));
    }
    Ok(RawResult { wanted, status, message, outputs })
}
