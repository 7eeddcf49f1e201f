//! Whose run something belongs to: what is found elsewhere is cleaned up only by its owner.

use std::path::Path;

use crate::engine::executor::Workspace;
use crate::engine::rundir;

/// The other runs of this machine and user.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// Those that live, this one among them.
    pub(super) live: Vec<String>,
    /// Those that ended without cleaning up.
    pub(super) dead: Vec<String>,
}

/// What stands for this machine and user: runs with the same owner are ours to judge.
pub(super) fn name(workspace: &Workspace) -> String {
    let machine = std::fs::read("/etc/machine-id").unwrap_or_default();
    let runs = workspace.run_dir.parent().map(|p| p.as_os_str().as_encoded_bytes().to_vec());
    let host = rustix::system::uname();
    let seed = [&machine[..], host.nodename().to_bytes(), &runs.unwrap_or_default()].join(&0);
    blake3::hash(&seed).to_hex()[..16].to_owned()
}

/// The runs that this machine and user know of.
pub(super) fn runs(workspace: &Workspace) -> Runs {
    let mut runs = Runs::default();
    let Some(root) = workspace.run_dir.parent().and_then(Path::parent) else { return runs };
    let harmless = |id: &String| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    for run in rundir::list(root).unwrap_or_default().into_iter().filter(|run| harmless(&run.id)) {
        let list = if run.live || run.id == *workspace.run { &mut runs.live } else { &mut runs.dead };
        list.push(run.id);
    }
    runs
}
