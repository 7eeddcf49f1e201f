//! The compose executor: jobs in a service of a compose project. The compose tool brings the project up
//! and down; the service's container is entered through the engine's API.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use tokio::process::Command;
use tokio::sync::OnceCell;

use super::oci;
use super::oci::api::Api;
use super::oci::container::Container;
use super::oci::socket::Kind;
use super::options::Options;
use super::remote::host::{self, Host, PostMortem, Session};
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
    api: Api,
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
        api: oci::engine(Kind::Docker, &options)?,
        tool: Arc::new(OnceCell::new()),
    };
    Ok(Arc::new(Housed::new(workspace, project, false)))
}

/// The compose tool of this machine: docker's plugin, or the program of its own.
pub(super) async fn tool() -> Result<Vec<String>, ExecError> {
    for words in [&["docker", "compose"][..], &["docker-compose"], &["podman", "compose"]] {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("version").stdin(Stdio::null());
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
        command.env("DOCKER_HOST", format!("unix://{}", self.api.socket().display()));
        command.process_group(0).kill_on_drop(true);
        Ok(command)
    }

    async fn call(&self, words: &[&str]) -> Result<(), ExecError> {
        let mut command = self.command().await?;
        let output = command.args(words).stdin(Stdio::null()).output().await;
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

    /// The number of the service's container.
    async fn container(&self) -> Result<String, ExecError> {
        let mut command = self.command().await?;
        let output = command.args(["ps", "-q", &self.service]).stdin(Stdio::null()).output().await;
        let output =
            output.map_err(|e| ExecError::infrastructure(format!("cannot run the compose tool: {e}")))?;
        let id = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().trim().to_owned();
        if id.is_empty() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(ExecError::infrastructure(format!(
                "service `{}` of {} does not run; its command has to stay up {said}",
                self.service,
                self.file.display()
            )));
        }
        Ok(id)
    }

    async fn make(&self, workspace: &Workspace, cancel: &Cancel) -> Result<Site, ExecError> {
        if !self.file.is_file() {
            return Err(ExecError::infrastructure(format!(
                "there is no compose file {}",
                self.file.display()
            )));
        }
        let ready = async {
            tokio::select! {
                up = self.call(&["up", "-d"]) => up?,
                () = cancel.cancelled() => return Err(host::cancelled()),
            }
            let name = format!("{} of compose project {}", self.service, self.name);
            let container = Container::existing(&self.api, self.container().await?, name);
            let service = Service { project: self.clone(), container };
            let site = Site::new(Arc::new(service), workspace.clone(), self.copies);
            let probe = site.probe(cancel).await?;
            let place = Place { root: Path::new(ROOT).join(&*workspace.run), cache: None, reuses: true };
            site.prepare(place, probe, cancel).await.map(|()| site)
        };
        match ready.await {
            Ok(site) => Ok(site),
            Err(error) => {
                // What did not come up whole is taken down; the first error is the one to tell.
                self.down().await.unwrap_or_default();
                Err(error)
            }
        }
    }

    async fn down(&self) -> Result<(), ExecError> {
        self.call(&["down", "--volumes", "--remove-orphans", "--timeout", "5"]).await
    }
}

/// The service in which jobs run.
struct Service {
    project: Project,
    container: Container,
}

impl Host for Service {
    fn describe(&self) -> String {
        self.container.describe()
    }

    fn open<'a>(&'a self, words: &'a [&'a str]) -> BoxFuture<'a, Result<Session, ExecError>> {
        self.container.open(words)
    }

    fn post_mortem<'a>(&'a self) -> BoxFuture<'a, Option<PostMortem>> {
        self.container.post_mortem()
    }

    fn end<'a>(&'a self) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(self.project.down())
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
