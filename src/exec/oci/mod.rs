//! The oci and podman executors: jobs in containers, over the engine's own API.

pub(super) mod api;
mod assembled;
mod beside;
pub(super) mod container;
mod frames;
mod image;
pub(super) mod mounts;
pub(super) mod socket;

use std::path::PathBuf;
use std::sync::Arc;

use hyper::Method;
use serde_json::{Value, json};

use self::api::{Api, encode};
use self::beside::Beside;
use self::container::{Container, Recipe};
use self::image::{Auth, Pull};
use self::socket::Kind;
use super::options::Options;
use super::remote::host::{self, Host, Session};
use super::remote::housed::{Housed, Maker};
use super::remote::site::{Place, Probe, Site};
use super::{owner, packages};
use crate::engine::event::StepEnd;
use crate::engine::executor::{
    BoxFuture, Cancel, ExecError, Executor, JobSite, OutputSink, ServiceSpec, StepOutcome, Workspace,
    safe_file_name,
};
use crate::workflow::plan;

/// Where the workspace lies in a container.
const ROOT: &str = "/nixactions";
/// Labels of what belongs to a run.
const RUN_LABEL: &str = "nixactions.run";
const OWNER_LABEL: &str = "nixactions.owner";

/// Makes containers.
struct Containers {
    api: Api,
    /// The image; without one, each job gets an image made of its packages.
    image: Option<String>,
    /// One image is made at a time: jobs often share what they need.
    assembling: tokio::sync::Mutex<()>,
    pull: Pull,
    auth: Option<Auth>,
    platform: Option<String>,
    user: Option<String>,
    network: Option<String>,
    runtime: Option<String>,
    env: Vec<String>,
    binds: Vec<String>,
    /// Packages of all jobs, which a container that they share has.
    packages: Vec<PathBuf>,
    memory: Option<(u64, String)>,
    nano_cpus: Option<u64>,
    pids: Option<u64>,
    copies: bool,
    owner: String,
}

/// An executor for a workspace.
pub(super) fn new(kind: Kind, workspace: Workspace) -> Result<Arc<dyn Executor>, ExecError> {
    let options = Options::of(&workspace);
    let isolated = options.word("mode", &["shared", "isolated"])? == "isolated";
    let maker = Containers::read(kind, &workspace, &options)?;
    let isolated = isolated || maker.image.is_none();
    Ok(Arc::new(Housed::new(workspace, maker, isolated)))
}

/// The engine that an executor's options mean.
pub(super) fn engine(kind: Kind, options: &Options<'_>) -> Result<Api, ExecError> {
    let socket = match options.text("socket")? {
        Some(path) => PathBuf::from(path),
        None => socket::find(kind, &|name| std::env::var(name).ok())?,
    };
    Ok(Api::new(&socket, kind.name()))
}

impl Containers {
    fn read(kind: Kind, workspace: &Workspace, options: &Options<'_>) -> Result<Containers, ExecError> {
        let limits = options.get("resources").cloned().unwrap_or(Value::Null);
        let memory = match limits.get("memory").filter(|v| !v.is_null()) {
            Some(value) => {
                let bytes = value.as_u64().or_else(|| value.as_str().and_then(bytes));
                let bytes = bytes
                    .ok_or_else(|| options.wrong("resources", "`memory` as \"512M\" or a number of bytes"))?;
                Some((bytes, value.as_str().map_or_else(|| format!("{bytes} bytes"), str::to_owned)))
            }
            None => None,
        };
        let cpu = limits.get("cpu").filter(|v| !v.is_null()).map(|value| {
            let number = value.as_f64().or_else(|| value.as_str().and_then(|t| t.parse().ok()));
            number
                .filter(|n| *n > 0.0 && *n < 1e6)
                .ok_or_else(|| options.wrong("resources", "`cpu` as a number"))
        });
        let binds = mounts::read(options, "extraMounts", &workspace.project_dir)?;
        let mut packages: Vec<PathBuf> = workspace.deps.clone();
        packages.extend(options.texts("extraPackages")?.into_iter().map(PathBuf::from));
        Ok(Containers {
            api: engine(kind, options)?,
            image: options.text("image")?.map(str::to_owned),
            assembling: tokio::sync::Mutex::default(),
            pull: match options.word("pull", &["missing", "always", "never"])? {
                "always" => Pull::Always,
                "never" => Pull::Never,
                _ => Pull::Missing,
            },
            auth: Auth::read(options)?,
            platform: options.text("platform")?.map(str::to_owned),
            user: options.text("user")?.map(str::to_owned),
            network: options.text("network")?.map(str::to_owned),
            runtime: options.text("runtime")?.map(str::to_owned),
            env: options.pairs("containerEnv")?.into_iter().map(|(n, v)| format!("{n}={v}")).collect(),
            binds,
            packages,
            memory,
            nano_cpus: cpu.transpose()?.map(|n| (n * 1e9) as u64),
            pids: limits.get("pids").and_then(Value::as_u64),
            copies: options.flag("copyRepo", true)?,
            owner: owner::name(workspace),
        })
    }

    /// The image of a container and its mounts, and how the packages get into it, in words.
    async fn contents(
        &self,
        job: Option<&plan::Job>,
        cancel: &Cancel,
    ) -> Result<(String, Vec<String>, Option<String>), ExecError> {
        let platform = self.platform.as_deref();
        let packages = match job {
            Some(job) => packages::of_job(job).await?,
            None => None,
        };
        let Some(image) = &self.image else {
            let name = job.map_or("", |job| job.name.as_str());
            let _turn = self.assembling.lock().await;
            let (image, note) = assembled::provide(&self.api, name, packages.as_ref(), cancel).await?;
            return Ok((image, self.binds.clone(), Some(note)));
        };
        image::provide(&self.api, image, self.pull, platform, self.auth.as_ref(), cancel).await?;
        let (mounts, note) = mounts::of_packages(&self.packages, packages.as_ref());
        Ok((image.clone(), [&self.binds[..], &mounts].concat(), note))
    }

    fn recipe(
        &self,
        workspace: &Workspace,
        job: Option<&plan::Job>,
        image: &str,
        binds: &[String],
    ) -> Recipe {
        let beside = job.and_then(|job| Beside::of(job, self.network.as_deref()));
        let name = container_name(workspace, job.map(|job| job.name.as_str()));
        let mut host = json!({
            "Init": true,
            "AutoRemove": true,
            "Binds": binds,
        });
        if let Some(network) = &self.network {
            host["NetworkMode"] = json!(network);
        }
        if let Some(beside) = &beside {
            beside.shape(&name, &mut host);
        }
        if let Some(runtime) = &self.runtime {
            host["Runtime"] = json!(runtime);
        }
        // Limits of the one job in it, within those of the executor.
        let own = job.and_then(|job| job.resources.clone()).unwrap_or_default();
        let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        let memory = least(self.memory.as_ref().map(|(bytes, _)| *bytes), own.memory_bytes);
        if let Some(bytes) = memory {
            host["Memory"] = json!(bytes);
            host["MemorySwap"] = json!(bytes);
        }
        if let Some(nano) = least(self.nano_cpus, own.cpu_millis.map(|millis| millis * 1_000_000)) {
            host["NanoCpus"] = json!(nano);
        }
        if let Some(pids) = least(self.pids, own.pids) {
            host["PidsLimit"] = json!(pids);
        }
        let words = self.memory.as_ref().filter(|(bytes, _)| Some(*bytes) == memory);
        let memory = words.map(|(_, words)| words.clone()).or(memory.map(|bytes| format!("{bytes} bytes")));
        let body = json!({
            "Image": image,
            "Entrypoint": ["sh", "-c", container::FIRST],
            "Cmd": [],
            "Env": self.env,
            "OpenStdin": true,
            "StdinOnce": true,
            "AttachStdin": true,
            "User": "0",
            "WorkingDir": "/",
            "Labels": {
                RUN_LABEL: workspace.run.as_str(),
                OWNER_LABEL: self.owner,
            },
            "HostConfig": host,
        });
        Recipe {
            name,
            body,
            platform: self.platform.clone(),
            user: self.user.clone(),
            memory,
            beside: beside.is_some(),
        }
    }

    async fn make(
        &self,
        workspace: &Workspace,
        job: Option<&plan::Job>,
        cancel: &Cancel,
    ) -> Result<Site, ExecError> {
        self.reconcile(workspace).await?;
        let (image, binds, note) = self.contents(job, cancel).await?;
        let recipe = self.recipe(workspace, job, &image, &binds);
        let beside = job.and_then(|job| Beside::of(job, self.network.as_deref()));
        let container = Arc::new(self.start(workspace, recipe, beside.as_ref()).await?);
        let mut site = Site::new(Arc::clone(&container) as Arc<dyn Host>, workspace.clone(), self.copies);
        site.bounded = job.is_some();
        if let (Some(note), Some(job)) = (note, job) {
            site.note(&job.name, note);
        }
        let ready = async {
            let probe = site.probe(cancel).await?;
            self.own_root(&container, &probe, cancel).await?;
            site.prepare(Place { root: ROOT.into(), cache: None, reuses: job.is_none() }, probe, cancel).await
        };
        match ready.await {
            Ok(()) => Ok(site),
            Err(error) => {
                container.remove().await?;
                Err(error)
            }
        }
    }

    /// Starts the container of jobs, with the network of the one whose services run beside it.
    async fn start(
        &self,
        workspace: &Workspace,
        recipe: Recipe,
        beside: Option<&Beside>,
    ) -> Result<Container, ExecError> {
        let name = recipe.name.clone();
        let labels = json!({
            RUN_LABEL: workspace.run.as_str(), OWNER_LABEL: self.owner, beside::LABEL: name,
        });
        let started = async {
            if let Some(beside) = beside {
                beside.make_network(&self.api, &name, &labels).await?;
            }
            let container = Container::start(&self.api, recipe).await?;
            if let Some(beside) = beside {
                beside.connect(&self.api, &name, container.id()).await?;
            }
            Ok(container)
        };
        let started = started.await;
        if started.is_err() && beside.is_some() {
            // The first error is the one to tell.
            beside::clear(&self.api, &name).await.unwrap_or_default();
        }
        started
    }

    /// Makes the directory of the workspace, which belongs to the user of the steps.
    async fn own_root(&self, container: &Container, probe: &Probe, cancel: &Cancel) -> Result<(), ExecError> {
        let make = format!("mkdir -p {ROOT} && chown {}:{} {ROOT} && chmod 700 {ROOT}", probe.uid, probe.gid);
        let root = AsRoot(container);
        host::run(&root, &["sh", "-c", &make], Vec::new(), cancel)
            .await?
            .checked("make the workspace", &root)?;
        Ok(())
    }

    /// Removes what runs of this machine and user left that ended without cleaning up.
    async fn reconcile(&self, workspace: &Workspace) -> Result<(), ExecError> {
        let filters = json!({ "label": [format!("{OWNER_LABEL}={}", self.owner)] }).to_string();
        let path = format!("/containers/json?all=true&filters={}", encode(&filters));
        let answer = self.api.ask(Method::GET, &path, None).await?;
        let live = owner::runs(workspace).live;
        for found in answer.json().as_array().into_iter().flatten() {
            let run =
                found.pointer(&format!("/Labels/{RUN_LABEL}")).and_then(Value::as_str).unwrap_or_default();
            let Some(id) = found.get("Id").and_then(Value::as_str) else { continue };
            if run != &*workspace.run && !live.iter().any(|l| l == run) {
                container::remove(&self.api, id).await?;
            }
        }
        let path = format!("/networks?filters={}", encode(&filters));
        let answer = self.api.ask(Method::GET, &path, None).await?;
        for found in answer.json().as_array().into_iter().flatten() {
            let run =
                found.pointer(&format!("/Labels/{RUN_LABEL}")).and_then(Value::as_str).unwrap_or_default();
            let Some(id) = found.get("Id").and_then(Value::as_str) else { continue };
            if run != &*workspace.run && !live.iter().any(|l| l == run) {
                beside::remove_network(&self.api, id).await?;
            }
        }
        Ok(())
    }
}

/// The name of a container, of letters, digits, `_`, `.` and `-`, which the engine allows.
fn container_name(workspace: &Workspace, job: Option<&str>) -> String {
    let mut name = format!("nixactions-{}-{}", workspace.run, safe_file_name(&workspace.executor.name));
    if let Some(job) = job {
        name = format!("{name}-{}", safe_file_name(job));
    }
    name.replace(['=', '+'], "_")
}

/// A container entered as root.
struct AsRoot<'a>(&'a Container);

impl Host for AsRoot<'_> {
    fn describe(&self) -> String {
        self.0.describe()
    }

    fn open<'a>(&'a self, command: &'a [&'a str]) -> BoxFuture<'a, Result<Session, ExecError>> {
        Box::pin(self.0.open_as(command, Some("0")))
    }

    fn as_host(&self) -> &dyn Host {
        self
    }
}

impl Maker for Containers {
    fn make<'a>(
        &'a self,
        workspace: &'a Workspace,
        job: Option<&'a plan::Job>,
        cancel: &'a Cancel,
    ) -> BoxFuture<'a, Result<Site, ExecError>> {
        Box::pin(self.make(workspace, job, cancel))
    }

    fn wants_own(&self, job: &plan::Job) -> bool {
        self.image.is_none() || Beside::of(job, self.network.as_deref()).is_some()
    }

    fn run_service<'a>(
        &'a self,
        workspace: &'a Workspace,
        site: &'a JobSite,
        service: &'a ServiceSpec,
        sink: &'a dyn OutputSink,
        cancel: &'a Cancel,
    ) -> Option<BoxFuture<'a, StepOutcome>> {
        let labels = json!({ RUN_LABEL: workspace.run.as_str(), OWNER_LABEL: self.owner });
        let owner = container_name(workspace, Some(&site.job));
        Some(Box::pin(async move {
            let platform = self.platform.as_deref();
            let provided =
                image::provide(&self.api, &service.image, self.pull, platform, self.auth.as_ref(), cancel);
            let running = async {
                provided.await?;
                let reach = beside::Reach::of(self.network.as_deref());
                let side =
                    beside::Side { api: &self.api, reach, owner: &owner, labels, stop: workspace.stop };
                side.run(service, sink, cancel).await
            };
            match running.await {
                Ok(end) => end,
                Err(_) if cancel.is_cancelled() => StepEnd::Cancelled,
                Err(error) => StepEnd::Infrastructure { message: error.message },
            }
        }))
    }

    fn service_host<'a>(&'a self, name: &'a str) -> &'a str {
        beside::Reach::of(self.network.as_deref()).host(name)
    }
}

/// A size as `512M` or `2G`, in bytes.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let unit = match text[end..].trim_end_matches(['i', 'B', 'b']).to_ascii_uppercase().as_str() {
        "" => 1.0,
        "K" => 1024.0,
        "M" => 1024.0 * 1024.0,
        "G" => 1024.0 * 1024.0 * 1024.0,
        "T" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((number * unit) as u64).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let cases = [
            ("512M", Some(536_870_912)),
            ("1.5GiB", Some(1_610_612_736)),
            ("7", Some(7)),
            ("x", None),
            ("3Q", None),
            ("0", None),
        ];
        for (text, want) in cases {
            assert_eq!(bytes(text), want, "{text}");
        }
    }
}
