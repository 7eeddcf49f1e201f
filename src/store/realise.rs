//! What others ask of the store: closures of paths, and their archives. For code that moves store
//! paths to other machines.

use std::collections::{BTreeMap, BTreeSet};

use super::connection::Connection;
use super::error::StoreError;
use super::ops::PathInfo;
use crate::drv::store_path::StorePath;

/// Where archives are written to.
pub type NarSink<'a> = &'a mut (dyn tokio::io::AsyncWrite + Unpin + Send);

/// Valid paths with everything that they refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// Each path after those that it refers to.
    pub paths: Vec<PathInfo>,
}

impl Connection {
    /// The closure of these paths: they and all that they refer to, directly or through others, each
    /// after its references, so that they can be imported in this order. A path that is not valid is
    /// an error.
    pub async fn closure(&mut self, roots: &BTreeSet<StorePath>) -> Result<Closure, StoreError> {
        let mut known: BTreeMap<StorePath, PathInfo> = BTreeMap::new();
        let mut pending: Vec<StorePath> = roots.iter().cloned().collect();
        while let Some(path) = pending.pop() {
            if known.contains_key(&path) {
                continue;
            }
            let Some(info) = self.query_path_info(&path).await? else {
                return Err(StoreError::Unknown(self.store_dir().print(&path)));
            };
            pending.extend(info.references.iter().filter(|r| !known.contains_key(*r)).cloned());
            known.insert(path, info);
        }
        let mut paths = Vec::with_capacity(known.len());
        while let Some(first) = known.keys().next().cloned() {
            // Depth first, each path once; a path may refer to itself.
            let mut stack = vec![first];
            while let Some(path) = stack.last() {
                let waiting = known.get(path).and_then(|info| {
                    info.references
                        .iter()
                        .find(|r| *r != path && known.contains_key(*r) && !stack.contains(r))
                });
                match waiting.cloned() {
                    Some(next) => stack.push(next),
                    None => {
                        let done = stack.pop();
                        paths.extend(done.and_then(|path| known.remove(&path)));
                    }
                }
            }
        }
        Ok(Closure { paths })
    }

    /// Writes the archive (NAR) of a path of a closure to `out`.
    pub async fn export(&mut self, info: &PathInfo, out: NarSink<'_>) -> Result<(), StoreError> {
        self.nar_from_path(&info.path, info.nar_size, out).await
    }
}
