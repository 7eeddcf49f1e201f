//! The compose executor: jobs in a service of a compose project, through the compose tool.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::process::Command;
use tokio::sync::OnceCell;

use super::options::Options;
use super::remote::host::{self, Host, Session};
use super::remote::housed::{Housed, Maker};
use super::remote::site::{Place, Site, token};
use crate::engine::executor::{BoxFuture, Cancel, ExecError, Executor, Workspace};
use crate::workflow::plan;

/// Where the workspace lies in the service's container.
const ROOT: &str = "/tmp/nixactions";

/// A compose project, and the tool that speaks to it.
#[derive(Clone)]
struct Project {
    file: PathBuf,
    service: String,
    name: String,
    copies: bool,
    tool: Arc<OnceCell<Vec<String>>>,
}

/// An executor for a workspace.
pub(super) fn new(workspace: Workspace) -> Result<Arc<dyn Executor>, ExecError> {
    let options = Options::of(&workspace);
    let name = match options.text("project")? {
        Some(name) => name.to_owned(),
        // Letters and digits are what compose keeps of a name.
        None => format!("nixactions{}{}", workspace.run.replace('-', ""), &token()[..4]),
    };
    let project = Project {
        file: workspace.project_dir.join(options.required("file")?),
        service: options.required("service")?.to_owned(),
        name,
        copies: options.flag("copyRepo", true)?,
        tool: Arc::new(OnceCell::new()),
    };
    Ok(Arc::new(Housed::new(workspace, project, false)))
}

/// The compose tool of this machine: docker's plugin, or the program of its own.
pub(super) async fn tool() -> Result<Vec<String>, ExecError> {
    for words in [&["docker", "compose"][..], &["docker-compose"], &["podman", "compose"]] {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("version").stdin(std::process::Stdio::null());
        if command.output().await.is_ok_and(|output| output.status.success()) {
            return Ok(words.iter().map(|word| (*word).to_owned()).collect());
        }
    }
    Err(ExecError::infrastructure(
        "there is no compose tool here (looked for `docker compose`, `docker-compose` and `podman compose`)",
    ))
}

impl Project {
    async fn command(&self) -> Result<Command, ExecError> {
        let tool = self.tool.get_or_try_init(tool).await?;
        let mut command = Command::new(&tool[0]);
        command.args(&tool[1..]).arg("--file").arg(&self.file).args(["--project-name", &self.name]);
        command.process_group(0).kill_on_drop(true);
        Ok(command)
    }

    async fn call(&self, words: &[&str]) -> Result<(), ExecError> {
        let mut command = self.command().await?;
        let output = command.args(words).stdin(std::process::Stdio::null()).output().await;
        let output =
            output.map_err(|e| ExecError::infrastructure(format!("cannot run the compose tool: {e}")))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(4)..].join("; ");
        Err(ExecError::infrastructure(format!("compose {} failed: {last}", words[0])))
    }

    async fn make(&self, workspace: &Workspace, cancel: &Cancel) -> Result<Site, ExecError> {
        let site = Site::new(Arc::new(self.clone()), workspace.clone(), self.copies);
        let ready = async {
            tokio::select! {
                up = self.call(&["up", "-d"]) => up?,
                () = cancel.cancelled() => return Err(host::cancelled()),
            }
            let probe = site.probe(cancel).await?;
            let place = Place { root: Path::new(ROOT).join(&*workspace.run), cache: None };
            site.prepare(place, probe, cancel).await
        };
        match ready.await {
            Ok(()) => Ok(site),
            Err(error) => {
                // What did not come up whole is taken down; the first error is the one to tell.
                self.end().await.unwrap_or_default();
                Err(error)
            }
        }
    }
}

impl Host for Project {
    fn describe(&self) -> String {
        format!("service `{}` of compose project `{}`", self.service, self.name)
    }

    fn open<'a>(&'a self, words: &'a [&'a str]) -> BoxFuture<'a, Result<Session, ExecError>> {
        Box::pin(async move {
            let mut command = self.command().await?;
            command.args(["exec", "-T", &self.service]).args(words);
            host::of_process(command, &self.describe())
        })
    }

    fn end<'a>(&'a self) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(self.call(&["down", "--volumes", "--remove-orphans", "--timeout", "5"]))
    }

    fn as_host(&self) -> &dyn Host {
        self
    }
}

impl Maker for Project {
    fn make<'a>(
        &'a self,
        workspace: &'a Workspace,
        _job: Option<&'a plan::Job>,
        cancel: &'a Cancel,
    ) -> BoxFuture<'a, Result<Site, ExecError>> {
        Box::pin(self.make(workspace, cancel))
    }
}
