//! The packages of a job: the store paths that it mentions, with all that they refer to.

use std::collections::BTreeSet;

use crate::drv::base32;
use crate::drv::store_path::{StoreDir, StorePath};
use crate::engine::executor::ExecError;
use crate::store::{Closure, Connection, Location, StoreError};
use crate::workflow::plan;

/// What a job needs of the store, and the connection that it can be read through.
pub(super) struct Packages {
    /// Holds the paths, so that no garbage collection takes them meanwhile.
    pub(super) connection: Connection,
    /// What the job mentions.
    pub(super) roots: Vec<StorePath>,
    /// Those and what they refer to, each after its references.
    pub(super) closure: Closure,
}

impl Packages {
    /// The directory that the paths are in.
    pub(super) fn dir(&self) -> StoreDir {
        self.connection.store_dir().clone()
    }
}

/// The store of this machine.
pub(super) fn store_dir() -> StoreDir {
    let location = Location::from_environment(|name| std::env::var(name).ok());
    location.map_or_else(|_| StoreDir::default(), |location| location.store_dir)
}

/// The packages of a job; `None` when it mentions nothing of the store.
pub(super) async fn of_job(job: &plan::Job) -> Result<Option<Packages>, ExecError> {
    let location = Location::from_environment(|name| std::env::var(name).ok());
    let location = location.map_err(|error| failed(job, &error))?;
    let text = serde_json::to_vec(job)
        .map_err(|error| ExecError::infrastructure(format!("job `{}` cannot be read: {error}", job.name)))?;
    let mentioned = mentioned(&text, &location.store_dir);
    if mentioned.is_empty() {
        return Ok(None);
    }
    let found = async {
        let mut connection = Connection::open(&location).await?;
        connection.add_temp_roots(&mentioned).await?;
        let roots = connection.query_valid_paths(&mentioned).await?;
        let closure = connection.closure(&roots).await?;
        Ok(Packages { connection, roots: roots.into_iter().collect(), closure })
    };
    let found: Packages = found.await.map_err(|error: StoreError| failed(job, &error))?;
    Ok(Some(found).filter(|packages| !packages.roots.is_empty()))
}

fn failed(job: &plan::Job, error: &StoreError) -> ExecError {
    ExecError::infrastructure(format!(
        "the packages of job `{}` cannot be read from this machine's store: {error}",
        job.name
    ))
}

/// The store paths in a text, but for derivations. A path is what may be in a name, and as a name may
/// end like a sentence, the path without such an end too.
fn mentioned(text: &[u8], dir: &StoreDir) -> BTreeSet<StorePath> {
    let mut found = BTreeSet::new();
    let prefix = format!("{}/", dir.as_str());
    for at in memchr::memmem::find_iter(text, prefix.as_bytes()) {
        let rest = &text[at + prefix.len()..];
        let in_name = |b: &u8| b.is_ascii_alphanumeric() || b"+-._?=".contains(b);
        let name = &rest[..rest.iter().position(|b| !in_name(b)).unwrap_or(rest.len())];
        let hash = name.iter().take(32).filter(|b| base32::is_digit(**b)).count();
        if hash < 32 || name.ends_with(b".drv") {
            continue;
        }
        let end = name.iter().rposition(|b| !b".?=".contains(b)).map_or(0, |last| last + 1);
        for base in [name, &name[..end]] {
            found.extend(StorePath::from_base_name(base).ok());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_in_texts() {
        let hash = "0123456789abcdfghijklmnpqrsvwxyz";
        let text = format!(
            "\"/nix/store/{hash}-a-1.0/bin/a\" see /nix/store/{hash}-b. /nix/store/{hash}-c.drv /nix/store/x \
             /nix/store/{hash} /gnu/store/{hash}-d"
        );
        let found = mentioned(text.as_bytes(), &StoreDir::new("/nix/store"));
        let names: Vec<&str> = found.iter().map(StorePath::name).collect();
        assert_eq!(names, ["a-1.0", "b", "b."]);
    }
}
