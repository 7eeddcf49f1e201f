//! The directories of a run's jobs: made, filled with a copy of the project, and removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::copy::{self, CopyError};
use super::repository::{self, Listing};

/// The directories that belong to one executor.
#[derive(Debug)]
pub(super) struct Directories {
    root: PathBuf,
    project: PathBuf,
}

impl Directories {
    pub(super) fn new(root: PathBuf, project: PathBuf) -> Directories {
        Directories { root, project }
    }

    /// The job directory.
    pub(super) fn job(&self, file_name: &str) -> PathBuf {
        self.root.join("jobs").join(file_name)
    }

    /// Where a job and the engine talk, outside the job directory.
    pub(super) fn control(&self) -> PathBuf {
        self.root.join("control")
    }

    /// Makes the directories above those of the jobs.
    pub(super) fn create(&self) -> Result<(), CopyError> {
        for dir in [self.root.join("jobs"), self.control()] {
            fs::create_dir_all(&dir).map_err(|error| CopyError::io("create", &dir, error))?;
        }
        Ok(())
    }

    /// Lists what each job gets a copy of. `run_dir` is left out, should it lie in the project.
    pub(super) fn list(&self, run_dir: &Path) -> Result<Listing, CopyError> {
        repository::list(&self.project, run_dir)
    }

    /// Makes an empty job directory in place of what an earlier attempt left.
    pub(super) fn create_job(&self, file_name: &str) -> Result<PathBuf, CopyError> {
        let dir = self.job(file_name);
        match fs::create_dir(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                copy::remove_tree(&dir)?;
                fs::create_dir(&dir)
            }
            made => made,
        }
        .map_err(|error| CopyError::io("create", &dir, error))?;
        Ok(dir)
    }

    /// Fills a job directory, until `stop` is set.
    pub(super) fn fill(&self, dir: &Path, listing: &Listing, stop: &AtomicBool) -> Result<(), CopyError> {
        copy::copy_paths(&self.project, dir, &listing.paths, stop)?;
        for (prefix, git) in &listing.repositories {
            repository::copy_git_dir(git, &dir.join(prefix))?;
        }
        Ok(())
    }

    /// Removes a job's directory and what it and the engine said to each other.
    pub(super) fn remove_job(&self, file_name: &str) -> Result<(), CopyError> {
        copy::remove_tree(&self.job(file_name))
    }

    /// Removes everything.
    pub(super) fn remove(&self) -> Result<(), CopyError> {
        copy::remove_tree(&self.root)
    }
}
