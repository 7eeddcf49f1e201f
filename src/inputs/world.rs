//! The world of an evaluation: builds through the daemon, sources through the fetcher.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::cache::Cache;
use super::error::FetchError;
use super::fetch::{self, Fetcher};
use super::flake;
use super::http::{Http, Progress};
use super::lock::LockFile;
use super::registry;
use crate::base::source::SpanId;
use crate::drv::object::{Needed, Objects};
use crate::drv::store_path::StoreDir;
use crate::eval::builtins::flake_ref::FlakeRef;
use crate::eval::world::{Tree, World, WorldError};
use crate::eval::{ErrorKind, Evaluation, Res, Value};
use crate::store::{BuildOptions, BuildStatus, Connection, Location, Message, StoreError, Wanted};

/// Lines of a log that are shown when its build has failed.
const LAST_LINES: usize = 10;

/// The real world, or what of it is at hand.
pub struct Real {
    fetcher: Fetcher,
    /// The daemon, or why there is none; `None`: nothing may be built.
    daemon: Option<Result<(Location, BuildOptions), String>>,
}

/// An environment variable, by its name.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Real {
    /// The world as the environment describes it.
    pub fn from_environment(
        env: Lookup<'_>,
        store_dir: &str,
        offline: bool,
        progress: Option<Progress>,
    ) -> Real {
        let daemon = match Location::from_environment(env) {
            Ok(location) => {
                let location = Location { store_dir: StoreDir::new(store_dir), ..location };
                Ok((location, BuildOptions::from_environment(env)))
            }
            Err(e) => Err(e.to_string()),
        };
        Real { fetcher: fetcher(env, store_dir, offline, progress), daemon: Some(daemon) }
    }

    /// The world for checks: what the cache and the store have is read, and nothing is built or
    /// fetched.
    pub fn at_hand(env: Lookup<'_>, store_dir: &str) -> Real {
        Real { fetcher: fetcher(env, store_dir, true, None), daemon: None }
    }

    /// The fetcher.
    pub fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }
}

/// Builds, with the end of the log in the error.
async fn build(
    location: &Location,
    options: &BuildOptions,
    objects: &Objects,
    needed: &[Needed],
) -> Result<(), String> {
    let fail = |e: StoreError| e.to_string();
    let mut connection = Connection::open(location).await.map_err(fail)?;
    connection.set_options(options).await.map_err(fail)?;
    connection.add_objects(objects).await.map_err(fail)?;
    let mut log: VecDeque<String> = VecDeque::new();
    let mut observer = |message| {
        if let Message::LogLine { line, .. } = message {
            if log.len() == LAST_LINES {
                log.pop_front();
            }
            log.push_back(line);
        }
    };
    let results = connection.build(&Wanted::gather(needed), &mut observer).await.map_err(fail)?;
    let Some(failed) = results.into_iter().find(|r| r.status != BuildStatus::Success) else {
        return Ok(());
    };
    let told_already = failed.message.contains("log lines:");
    let log = log.iter().filter(|_| !told_already).map(|line| format!("\n> {line}"));
    Err(failed.message + &log.collect::<String>())
}

fn fetcher(env: Lookup<'_>, store_dir: &str, offline: bool, progress: Option<Progress>) -> Fetcher {
    Fetcher {
        cache: Cache::of_user(env),
        http: LazyLock::new(Box::new(|| Http::from_environment(|name| std::env::var(name).ok(), progress))),
        store_dir: StoreDir::new(store_dir),
        offline,
        registries: registry::files(env),
    }
}

impl Real {
    /// What only a run could fetch is not known here; a run that may not fetch has failed.
    fn error(&self, e: FetchError) -> WorldError {
        match e {
            FetchError::Offline(_) if self.daemon.is_none() => WorldError::Unavailable(e.to_string()),
            other => WorldError::Failed(other.to_string()),
        }
    }
}

impl World for Real {
    fn realise(&self, _: &StoreDir, objects: Objects, needed: &[Needed]) -> Result<(), WorldError> {
        let name = needed.first().map_or("", |n| n.root().name());
        let name = name.strip_suffix(".drv").unwrap_or(name);
        let fail = |e: String| WorldError::Failed(format!("cannot build `{name}` during evaluation: {e}"));
        let (location, options) = match &self.daemon {
            None => {
                let text = format!("`{name}` would have to be built to go on, and nothing is built here");
                return Err(WorldError::Unavailable(text));
            }
            Some(Err(e)) => return Err(fail(e.clone())),
            Some(Ok(daemon)) => daemon,
        };
        // A path that nobody can be asked for is found missing by whoever reads it.
        if needed.iter().all(|n| matches!(n, Needed::Path(_))) && !location.socket.exists() {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| fail(e.to_string()))?;
        runtime.block_on(build(location, options, &objects, needed)).map_err(fail)
    }

    fn download(&self, url: &str, unpack: bool) -> Result<Tree, WorldError> {
        self.fetcher.download(url, unpack).map(flake::tree).map_err(|e| self.error(e))
    }

    fn tree(&self, source: &FlakeRef) -> Result<Tree, WorldError> {
        self.fetcher.tree(source).map(flake::tree).map_err(|e| self.error(e))
    }

    fn flake<'h>(&self, ev: &mut Evaluation<'h>, source: &FlakeRef, span: SpanId) -> Res<Value<'h>> {
        flake::value(&self.fetcher, ev, source, span).map_err(|mut e| {
            if e.kind == ErrorKind::Unavailable && self.daemon.is_some() {
                e.kind = ErrorKind::Io;
            }
            e
        })
    }

    fn parse_reference(&self, text: &str, here: &Path) -> Result<FlakeRef, WorldError> {
        fetch::parse(text, here).map_err(|e| self.error(e))
    }

    fn locked_nixpkgs(&self, dir: &Path) -> Result<Option<FlakeRef>, WorldError> {
        let Some((file, text)) = nearest_lock(dir) else { return Ok(None) };
        let shown = file.display().to_string();
        let lock = LockFile::parse(&text, &shown).map_err(|e| WorldError::Failed(e.to_string()))?;
        Ok(lock.input("nixpkgs"))
    }
}

/// The nearest lock file, here or upwards to the root of the repository.
fn nearest_lock(dir: &Path) -> Option<(PathBuf, Vec<u8>)> {
    for dir in dir.ancestors() {
        let file = dir.join("flake.lock");
        if let Ok(text) = std::fs::read(&file) {
            return Some((file, text));
        }
        if dir.join(".git").exists() {
            return None;
        }
    }
    None
}
