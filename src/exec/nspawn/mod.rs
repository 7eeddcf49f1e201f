//! The nixos-container executor: jobs in a machine of systemd-nspawn.
//!
//! `systemd-nspawn` keeps the machine; commands enter it through the namespaces of its first process
//! (`nsenter`), which needs no machine manager and works with and without systemd inside.

mod machine;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::machine::{Machine, Source};
use super::oci::mounts;
use super::options::Options;
use super::remote::host::Host;
use super::remote::housed::{Housed, Maker};
use super::remote::site::{Place, Site};
use crate::engine::executor::{BoxFuture, Cancel, ExecError, Executor, Workspace, safe_file_name};
use crate::workflow::plan;

/// Where the workspace lies in the machine.
const ROOT: &str = "/nixactions";

/// Makes machines.
struct Machines {
    source: Source,
    binds: Vec<String>,
    network: &'static str,
    ephemeral: bool,
    boot: bool,
    copies: bool,
}

/// An executor for a workspace.
pub(super) fn new(workspace: Workspace) -> Result<Arc<dyn Executor>, ExecError> {
    let options = Options::of(&workspace);
    let path = |name: &str| -> Result<Option<PathBuf>, ExecError> {
        Ok(options.text(name)?.map(|path| workspace.project_dir.join(path)))
    };
    let source = match (path("root")?, path("path")?, path("system")?) {
        (Some(root), None, None) => Source::Directory(root),
        (None, Some(image), None) => Source::Image(image),
        (None, None, Some(system)) => Source::System(system),
        _ => return Err(options.wrong("root", "given, or one of `path` and `system`, and only one of them")),
    };
    let mut binds = mounts::read(&options, "bind", &workspace.project_dir)?;
    binds.extend(mounts::of_packages(&workspace.deps, None).0);
    let is_system = matches!(source, Source::System(_));
    if is_system {
        binds.retain(|bind| !bind.starts_with("/nix/store:"));
        binds.push("/nix/store:/nix/store:ro".to_owned());
    }
    let machines = Machines {
        boot: options.flag("boot", is_system)?,
        source,
        binds,
        network: options.word("network", &["host", "none"])?,
        ephemeral: options.flag("ephemeral", true)?,
        copies: options.flag("copyRepo", true)?,
    };
    Ok(Arc::new(Housed::new(workspace, machines, false)))
}

impl Machines {
    async fn make(&self, workspace: &Workspace, cancel: &Cancel) -> Result<Site, ExecError> {
        let name = format!("nixactions-{}-{}", workspace.run, safe_file_name(&workspace.executor.name));
        let scratch = workspace.dir().join("machine");
        let root = self.source.root(&scratch)?;
        let arguments = self.arguments(&name, &root, workspace)?;
        let machine = Arc::new(Machine::start(&name, &arguments, scratch, self.boot, cancel).await?);
        let site = Site::new(Arc::clone(&machine) as Arc<dyn Host>, workspace.clone(), self.copies);
        let ready = async {
            let probe = site.probe(cancel).await?;
            let place = Place { root: Path::new(ROOT).join(&*workspace.run), cache: None, reuses: true };
            site.prepare(place, probe, cancel).await
        };
        match ready.await {
            Ok(()) => Ok(site),
            Err(error) => {
                machine.end().await?;
                Err(error)
            }
        }
    }

    fn arguments(&self, name: &str, root: &Path, workspace: &Workspace) -> Result<Vec<String>, ExecError> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut arguments: Vec<String> = [
            "--register=no",
            "--keep-unit",
            "--quiet",
            "--console=pipe",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
        ]
        .map(String::from)
        .to_vec();
        arguments.push(format!("--machine={}", machine::safe_name(name)));
        match &self.source {
            Source::Image(_) => arguments.push(format!("--image={}", text(root))),
            _ => arguments.push(format!("--directory={}", text(root))),
        }
        if self.ephemeral && !matches!(self.source, Source::System(_)) {
            // Changes go into memory, or beside the run where that is small.
            arguments.push("--volatile=overlay".into());
        }
        if self.network == "none" {
            arguments.push("--private-network".into());
        }
        for bind in &self.binds {
            let (flag, bind) = match bind.strip_suffix(":ro") {
                Some(bind) => ("--bind-ro", bind),
                None => ("--bind", bind.as_str()),
            };
            arguments.push(format!("{flag}={bind}"));
        }
        // The workspace lies on the disk of this machine, with the run.
        let disk = workspace.dir().join("disk");
        std::fs::create_dir_all(&disk).map_err(|e| ExecError::io("create", &disk, &e))?;
        arguments.push(format!("--bind={}:{ROOT}", text(&disk)));
        if self.boot {
            arguments.push("--boot".into());
            if let Source::System(system) = &self.source {
                arguments.retain(|argument| argument != "--boot");
                arguments.push("--kill-signal=SIGRTMIN+3".into());
                arguments.push(text(&system.join("init")));
            }
        } else {
            arguments.push("--as-pid2".into());
            arguments.extend(["/bin/sh", "-c", machine::FIRST].map(String::from));
        }
        Ok(arguments)
    }
}

impl Maker for Machines {
    fn make<'a>(
        &'a self,
        workspace: &'a Workspace,
        _job: Option<&'a plan::Job>,
        cancel: &'a Cancel,
    ) -> BoxFuture<'a, Result<Site, ExecError>> {
        Box::pin(self.make(workspace, cancel))
    }
}
