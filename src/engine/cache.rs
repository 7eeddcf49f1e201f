//! Caches of jobs: restored before the first step, saved after success.
//!
//! The rules are those of GitHub's cache action: the exact key, else the newest entry whose key begins
//! with it, else the same for each restore key in order. Entries are never changed; one is saved only
//! when its exact key was not found. What goes wrong with a cache is a warning, never a failure.

use std::path::Path;
use std::time::SystemTime;

use super::event::{EventKind, Level};
use super::executor::{Executor, JobSite, Saved};
use super::job::JobRun;
use super::kept::{About, Entry, Kept};
use super::rundir;
use crate::workflow::plan::Cache;

/// Which of a job's caches were found by their exact key.
pub(super) type Hits = Vec<bool>;

/// The entries for these paths: another set of paths is another cache, even under the same key.
fn kept(run: &JobRun<'_>, cache: &Cache) -> Kept {
    let mut hash = blake3::Hasher::new();
    for part in std::iter::once(&run.shared.scope).chain(&cache.paths) {
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    let root = &run.shared.options.cache_root;
    Kept::new(root, "cache", &hash.finalize().to_hex()[..32])
}

/// Restores the caches of a job.
pub(super) async fn restore(run: &JobRun<'_>, executor: &dyn Executor, site: &JobSite) -> Hits {
    let mut hits = Hits::new();
    for cache in &run.job.cache {
        let kept = kept(run, cache);
        let found = kept.exact(&cache.key).or_else(|| {
            let keys = std::iter::once(&cache.key).chain(&cache.restore_keys);
            keys.filter_map(|key| kept.newest(key)).next()
        });
        let Some(entry) = found else {
            let message = format!("cache {} not found", cache.key);
            run.shared.reporter.notice(Level::Info, Some(&run.name), &message);
            hits.push(false);
            continue;
        };
        let exact = entry.about.key == cache.key;
        match restore_one(executor, site, &entry).await {
            Ok(()) => {
                let mask = |text: &str| run.shared.reporter.mask(text).into_owned();
                let (job, key) = (run.name.clone(), mask(&cache.key));
                let found = mask(&entry.about.key);
                run.shared.reporter.emit(EventKind::CacheRestored { job, key, found, exact });
                hits.push(exact);
            }
            Err(message) => {
                let message = format!("cache {} cannot be restored: {message}", cache.key);
                run.shared.reporter.notice(Level::Warning, Some(&run.name), &message);
                hits.push(false);
            }
        }
    }
    hits
}

async fn restore_one(executor: &dyn Executor, site: &JobSite, entry: &Entry) -> Result<(), String> {
    let parts = std::fs::read_dir(&entry.content).map_err(|e| e.to_string())?;
    for part in parts {
        let part = part.map_err(|e| e.to_string())?.path();
        executor.restore(site, &part, ".").await.map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Saves the caches of a job that succeeded, those that were not found by their exact key.
pub(super) async fn save(run: &JobRun<'_>, executor: &dyn Executor, site: &JobSite, hits: &Hits) {
    let mut saved = false;
    for (cache, _) in run.job.cache.iter().zip(hits).filter(|(_, hit)| !**hit) {
        match save_one(run, executor, site, cache).await {
            Ok(Some(Saved { files, bytes })) => {
                saved = true;
                let key = run.shared.reporter.mask(&cache.key).into_owned();
                let job = run.name.clone();
                run.shared.reporter.emit(EventKind::CacheSaved { job, key, files, bytes });
            }
            Ok(None) => {}
            Err(message) => {
                let message = format!("cache {} cannot be saved: {message}", cache.key);
                run.shared.reporter.notice(Level::Warning, Some(&run.name), &message);
            }
        }
    }
    if saved {
        let kept = Kept::new(&run.shared.options.cache_root, "cache", "");
        // Nobody waits for room to be made, and what is left over is found by the next run.
        let _ = tokio::task::spawn_blocking(move || kept.evict(SystemTime::now())).await;
    }
}

async fn save_one(
    run: &JobRun<'_>,
    executor: &dyn Executor,
    site: &JobSite,
    cache: &Cache,
) -> Result<Option<Saved>, String> {
    let kept = kept(run, cache);
    let making = kept.make(&cache.key).map_err(|e| e.to_string())?;
    let mut total = Saved::default();
    let mut missing = Vec::new();
    for (index, path) in cache.paths.iter().enumerate() {
        let dest = making.content.join(index.to_string());
        rundir::create_private(&dest).map_err(|e| e.to_string())?;
        match executor.save(site, path, &dest).await {
            Ok(saved) => {
                total.files += saved.files;
                total.bytes += saved.bytes;
            }
            Err(error) if error.job_fault => missing.push(error.message),
            Err(error) => return Err(error.message),
        }
    }
    if missing.len() == cache.paths.len() {
        return Err(missing.join("; "));
    }
    let run_id = run.shared.run.to_string();
    let about =
        About { key: cache.key.clone(), run: run_id, bytes: total.bytes, results: Default::default() };
    // Another run that was first has saved the same.
    let first = kept.finish(&making, &about).map_err(|e| e.to_string())?;
    Ok(first.then_some(total))
}

/// What entries of a project are kept under: where it comes from, so that all checkouts of a repository
/// share them, or its directory.
pub(super) fn scope(project: &Path) -> String {
    let origin = |text: String| {
        let mut lines = text.lines().map(str::trim).skip_while(|l| *l != "[remote \"origin\"]").skip(1);
        let url = lines.find_map(|l| l.strip_prefix("url"));
        Some(url?.trim_start().strip_prefix('=')?.trim().to_owned())
    };
    let config = project.ancestors().map(|dir| dir.join(".git/config")).find(|file| file.is_file());
    let text = config.and_then(|file| std::fs::read_to_string(file).ok());
    text.and_then(origin).unwrap_or_else(|| project.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_is_the_repository_or_the_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(scope(dir.path()), dir.path().to_string_lossy());
        std::fs::create_dir(dir.path().join(".git")).expect("made");
        let text = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://example.org/x.git\n";
        std::fs::write(dir.path().join(".git/config"), text).expect("written");
        assert_eq!(scope(dir.path()), "https://example.org/x.git");
    }
}
