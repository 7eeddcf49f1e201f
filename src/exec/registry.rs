//! The executors that there are, by the kind that a plan names.

use std::sync::Arc;

use super::local::Local;
use super::ssh::Ssh;
use super::{compose, custom, nspawn, oci};
use crate::engine::executor::{ExecError, Executor, ExecutorRegistry, Workspace};

/// Makes an executor of one kind.
type Constructor = fn(Workspace) -> Result<Arc<dyn Executor>, ExecError>;

/// One row a kind.
const KINDS: &[(&str, Constructor)] = &[
    ("local", |workspace| Ok(Arc::new(Local::new(workspace)?))),
    ("ssh", |workspace| Ok(Arc::new(Ssh::new(workspace)?))),
    ("oci", |workspace| oci::new(oci::socket::Kind::Docker, workspace)),
    ("podman", |workspace| oci::new(oci::socket::Kind::Podman, workspace)),
    ("nixos-container", nspawn::new),
    ("compose", compose::new),
    ("custom", custom::new),
];

/// All executors of this program.
#[derive(Clone, Copy, Debug, Default)]
pub struct Registry;

impl Registry {
    /// The kinds that can be run.
    pub fn kinds() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|(kind, _)| *kind)
    }
}

impl ExecutorRegistry for Registry {
    fn create(&self, workspace: Workspace) -> Result<Arc<dyn Executor>, ExecError> {
        let kind = workspace.executor.kind.as_str();
        match KINDS.iter().find(|(known, _)| *known == kind) {
            Some((_, constructor)) => constructor(workspace),
            None => {
                let known: Vec<&str> = Registry::kinds().collect();
                let message = format!(
                    "executor `{}` is of kind `{kind}`, which this program does not have; it has: {}",
                    workspace.executor.name,
                    known.join(", ")
                );
                Err(ExecError::infrastructure(message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::plan;

    #[test]
    fn unknown_kinds_are_told_what_there_is() {
        let executor = plan::Executor { kind: "moon".into(), name: "m".into(), options: Default::default() };
        let workspace = Workspace {
            run: "r".into(),
            project_dir: "/".into(),
            run_dir: "/nonexistent".into(),
            executor,
            keep: false,
            stop: Default::default(),
            deps: Vec::new(),
        };
        let error = Registry.create(workspace).err().expect("no such kind");
        assert!(error.message.contains("`moon`") && error.message.contains("local, ssh"), "{error}");
    }
}
