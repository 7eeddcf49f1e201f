//! A container: made, entered, ended.

use std::sync::Mutex;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use super::api::{Api, encode};
use super::{beside, frames};
use crate::engine::executor::{BoxFuture, ExecError};
use crate::exec::remote::host::{Host, PostMortem, Session};

/// Room between the engine's stream and who reads it.
const BUFFER: usize = 256 * 1024;
/// The first process: waits for its standard input to end, which is when the runner is gone.
pub(super) const FIRST: &str = "trap 'exit 0' TERM INT; echo ready; read -r line; exit 0";

/// A running container.
pub(in crate::exec) struct Container {
    api: Api,
    id: String,
    /// What it is called in messages.
    name: String,
    user: Option<String>,
    /// The memory limit in words, when there is one.
    memory: Option<String>,
    /// Whether other containers may run beside it.
    beside: bool,
    /// Holds the first process's standard input open.
    lifeline: Mutex<Option<Box<dyn std::any::Any + Send>>>,
}

/// What a container is made of: the body of the engine's create call.
pub(in crate::exec) struct Recipe {
    /// Its name.
    pub(in crate::exec) name: String,
    /// The body.
    pub(in crate::exec) body: Value,
    /// Platform, when one was asked for.
    pub(in crate::exec) platform: Option<String>,
    /// User of the steps.
    pub(in crate::exec) user: Option<String>,
    /// The memory limit in words.
    pub(in crate::exec) memory: Option<String>,
    /// Whether other containers may run beside it, which end with it.
    pub(in crate::exec) beside: bool,
}

impl Container {
    /// Makes and starts a container.
    pub(in crate::exec) async fn start(api: &Api, recipe: Recipe) -> Result<Container, ExecError> {
        match Container::start_once(api, &recipe).await {
            // The engine's own init may not be installed; the first process then does what it can.
            Err(error) if error.message.contains("docker-init") || error.message.contains("catatonit") => {
                let mut body = recipe.body.clone();
                body["HostConfig"]["Init"] = Value::Bool(false);
                Container::start_once(api, &Recipe { body, ..recipe }).await
            }
            other => other,
        }
    }

    /// A container that somebody else made and ends.
    pub(in crate::exec) fn existing(api: &Api, id: String, name: String) -> Container {
        Container {
            api: api.clone(),
            id,
            name,
            user: None,
            memory: None,
            beside: false,
            lifeline: Mutex::new(None),
        }
    }

    async fn start_once(api: &Api, recipe: &Recipe) -> Result<Container, ExecError> {
        let platform =
            recipe.platform.as_ref().map(|p| format!("&platform={}", encode(p))).unwrap_or_default();
        let path = format!("/containers/create?name={}{platform}", encode(&recipe.name));
        let answer = api.ask(Method::POST, &path, Some(&recipe.body)).await?;
        let failed = |what: &str, why: String| {
            ExecError::infrastructure(format!("the {} engine cannot {what} a container: {why}", api.name))
        };
        let Some(id) = answer.json().get("Id").and_then(Value::as_str).map(str::to_owned) else {
            return Err(failed("make", answer.complaint()));
        };
        let container = Container {
            api: api.clone(),
            id,
            name: recipe.name.clone(),
            user: recipe.user.clone(),
            memory: recipe.memory.clone(),
            beside: recipe.beside,
            lifeline: Mutex::new(None),
        };
        let attach = format!("/containers/{}/attach?stream=1&stdin=1", container.id);
        let lifeline = api.hijack(&attach, None).await?;
        let answer = api.ask(Method::POST, &format!("/containers/{}/start", container.id), None).await?;
        if !answer.is_done() {
            let why = answer.complaint();
            container.remove().await?;
            return Err(failed("start", why));
        }
        *container.lifeline.lock().unwrap_or_else(|e| e.into_inner()) = Some(Box::new(lifeline));
        Ok(container)
    }

    /// Ends and removes it, with its volumes.
    pub(in crate::exec) async fn remove(&self) -> Result<(), ExecError> {
        drop(self.lifeline.lock().unwrap_or_else(|e| e.into_inner()).take());
        let removed = remove(&self.api, &self.id).await;
        if self.beside {
            return removed.and(beside::clear(&self.api, &self.name).await);
        }
        removed
    }

    /// Its number.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    async fn inspect(&self) -> Option<Value> {
        let answer = self.api.ask(Method::GET, &format!("/containers/{}/json", self.id), None).await.ok()?;
        Some(answer).filter(|answer| !answer.is_missing()).map(|answer| answer.json())
    }

    /// Whether the kernel has killed one of its processes for want of memory.
    async fn ran_out_of_memory(&self) -> bool {
        let filters = json!({ "type": ["container"], "event": ["oom"], "container": [self.id] }).to_string();
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |t| t.as_secs()) + 1;
        let path = format!("/events?since=0&until={now}&filters={}", encode(&filters));
        let asked =
            tokio::time::timeout(Duration::from_secs(3), self.api.ask(Method::GET, &path, None)).await;
        matches!(asked, Ok(Ok(answer)) if answer.is_done() && answer.has_body())
    }

    /// Starts a command as a user.
    pub(in crate::exec) async fn open_as(
        &self,
        command: &[&str],
        user: Option<&str>,
    ) -> Result<Session, ExecError> {
        let mut body = json!({
            "AttachStdin": true, "AttachStdout": true, "AttachStderr": true, "Tty": false, "Cmd": command,
        });
        if let Some(user) = user {
            body["User"] = json!(user);
        }
        let answer =
            self.api.ask(Method::POST, &format!("/containers/{}/exec", self.id), Some(&body)).await?;
        let Some(exec) = answer.json().get("Id").and_then(Value::as_str).map(str::to_owned) else {
            return Err(ExecError::infrastructure(format!("{}: {}", self.describe(), answer.complaint())));
        };
        let start = json!({ "Detach": false, "Tty": false });
        let stream = self.api.hijack(&format!("/exec/{exec}/start"), Some(&start)).await?;
        let (from, stdin) = tokio::io::split(stream);
        let (out_in, stdout) = tokio::io::duplex(BUFFER);
        let (err_in, stderr) = tokio::io::duplex(BUFFER);
        let reading = tokio::spawn(frames::split(from, out_in, err_in));
        let (api, name) = (self.api.clone(), self.describe());
        let end = Box::pin(async move {
            let read = reading.await;
            let path = format!("/exec/{exec}/json");
            for wait in [0, 1, 2, 5, 10, 50, 100, 500, 1000] {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                let state = api.ask(Method::GET, &path, None).await?.json();
                if state.get("Running").and_then(Value::as_bool) == Some(false) {
                    let code = state.get("ExitCode").and_then(Value::as_i64).unwrap_or(1);
                    return Ok(i32::try_from(code).unwrap_or(1));
                }
            }
            let why = read.err().map(|e| e.to_string()).unwrap_or_default();
            Err(ExecError::infrastructure(format!("{name} was lost {why}")))
        });
        Ok(Session { stdin: Box::pin(stdin), stdout: Box::pin(stdout), stderr: Box::pin(stderr), end })
    }
}

/// Removes a container, whatever it does.
pub(super) async fn remove(api: &Api, id: &str) -> Result<(), ExecError> {
    let path = format!("/containers/{id}?force=true&v=true");
    for _ in 0..50 {
        let answer = api.ask(Method::DELETE, &path, None).await?;
        if answer.is_done() || answer.is_missing() {
            return Ok(());
        }
        if !answer.complaint().contains("already in progress") {
            let why = answer.complaint();
            return Err(ExecError::infrastructure(format!(
                "the {} engine cannot remove a container: {why}",
                api.name
            )));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

impl Host for Container {
    fn describe(&self) -> String {
        format!("container `{}`", self.name)
    }

    fn open<'a>(&'a self, command: &'a [&'a str]) -> BoxFuture<'a, Result<Session, ExecError>> {
        Box::pin(self.open_as(command, self.user.as_deref()))
    }

    fn post_mortem<'a>(&'a self) -> BoxFuture<'a, Option<PostMortem>> {
        Box::pin(async move {
            let state = self.inspect().await;
            let flag = |name: &str| {
                let pointer = format!("/State/{name}");
                state.as_ref().and_then(|s| s.pointer(&pointer)).and_then(Value::as_bool)
            };
            if let Some(memory) = &self.memory
                && (flag("OOMKilled") == Some(true) || self.ran_out_of_memory().await)
            {
                return Some(PostMortem::OutOfMemory(format!(
                    "killed by the container's memory limit of {memory}"
                )));
            }
            match flag("Running") {
                Some(true) => None,
                Some(false) => {
                    Some(PostMortem::Gone(format!("{} has ended while a step ran", self.describe())))
                }
                None => Some(PostMortem::Gone(format!(
                    "{} is gone: the {} engine was restarted, or somebody removed it",
                    self.describe(),
                    self.api.name
                ))),
            }
        })
    }

    fn end<'a>(&'a self) -> BoxFuture<'a, Result<(), ExecError>> {
        Box::pin(self.remove())
    }

    fn as_host(&self) -> &dyn Host {
        self
    }
}
