//! Containers beside a job: the services that are given as images, and the network that they share
//! with the job's own container.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::api::{Api, encode};
use super::{container, frames};
use crate::engine::event::{StepEnd, Stream};
use crate::engine::executor::{
    Cancel, ExecError, OutputSink, ServiceSpec, StopPolicy, ports, safe_file_name,
};
use crate::workflow::plan;

/// Label of what stands beside a container: the container's name.
pub(super) const LABEL: &str = "nixactions.beside";
/// Room between the engine's stream and who reads it.
const BUFFER: usize = 64 * 1024;
/// How much longer than its stop sequence a container may take to end.
const LAST_WORD: Duration = Duration::from_secs(10);

/// How a job reaches the containers beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// By name, on a network that the job has for this.
    Network,
    /// On the engine's machine, whose network all of them have.
    Machine,
    /// In the job's own network, which nothing else is on.
    Inside,
}

impl Reach {
    /// What an executor's `network` comes to.
    pub(super) fn of(network: Option<&str>) -> Reach {
        match network {
            Some("host") => Reach::Machine,
            Some("none") => Reach::Inside,
            Some(other) if other.starts_with("container:") => Reach::Inside,
            _ => Reach::Network,
        }
    }

    /// The host under which a service is asked for its ports.
    pub(super) fn host(self, name: &str) -> &str {
        if self == Reach::Network { name } else { "127.0.0.1" }
    }
}

/// The services of a job that are containers.
#[derive(Debug)]
pub(super) struct Beside {
    reach: Reach,
    /// The network that the job is on besides its own, when the executor names one.
    named: bool,
    names: Vec<String>,
}

impl Beside {
    /// Those of a job; `None`: it has none.
    pub(super) fn of(job: &plan::Job, network: Option<&str>) -> Option<Beside> {
        let containers = job.services.iter().filter(|service| service.image.is_some());
        let names: Vec<String> = containers.map(|service| service.name.clone()).collect();
        let named = network.is_some_and(|name| name != "bridge" && name != "default");
        (!names.is_empty()).then(|| Beside { reach: Reach::of(network), named, names })
    }

    /// Puts the job's container, `name`, on the network; where there is none, names mean this machine.
    pub(super) fn shape(&self, name: &str, host: &mut Value) {
        match self.reach {
            Reach::Network if !self.named => host["NetworkMode"] = json!(name),
            Reach::Network => {}
            // The engine refuses names where the network is another container's.
            Reach::Inside if host["NetworkMode"] != "none" => {}
            Reach::Machine | Reach::Inside => {
                let names: Vec<String> = self.names.iter().map(|name| format!("{name}:127.0.0.1")).collect();
                host["ExtraHosts"] = json!(names);
            }
        }
    }

    /// Makes the network of a job's container, which has the container's name.
    pub(super) async fn make_network(&self, api: &Api, name: &str, labels: &Value) -> Result<(), ExecError> {
        if self.reach != Reach::Network {
            return Ok(());
        }
        let body = json!({ "Name": name, "CheckDuplicate": true, "Driver": "bridge", "Labels": labels });
        let answer = api.ask(Method::POST, "/networks/create", Some(&body)).await?;
        done(api, &answer, "make a network for the services")
    }

    /// Connects the container to it as well, when it is on another.
    pub(super) async fn connect(&self, api: &Api, name: &str, id: &str) -> Result<(), ExecError> {
        if self.reach != Reach::Network || !self.named {
            return Ok(());
        }
        let body = json!({ "Container": id });
        let answer =
            api.ask(Method::POST, &format!("/networks/{}/connect", encode(name)), Some(&body)).await?;
        done(api, &answer, "connect a job to the network of its services")
    }
}

fn done(api: &Api, answer: &super::api::Answer, what: &str) -> Result<(), ExecError> {
    if answer.is_done() {
        return Ok(());
    }
    Err(ExecError::infrastructure(format!("the {} engine cannot {what}: {}", api.name, answer.complaint())))
}

/// Removes what stands beside a container: other containers, and the network.
pub(super) async fn clear(api: &Api, name: &str) -> Result<(), ExecError> {
    let filters = json!({ "label": [format!("{LABEL}={name}")] }).to_string();
    let path = format!("/containers/json?all=true&filters={}", encode(&filters));
    for found in api.ask(Method::GET, &path, None).await?.json().as_array().into_iter().flatten() {
        if let Some(id) = found.get("Id").and_then(Value::as_str) {
            container::remove(api, id).await?;
        }
    }
    remove_network(api, name).await
}

/// Removes a network, if it is there. The engine may still be taking containers off it.
pub(super) async fn remove_network(api: &Api, name: &str) -> Result<(), ExecError> {
    let path = format!("/networks/{}", encode(name));
    let mut answer = api.ask(Method::DELETE, &path, None).await?;
    for _ in 0..20 {
        if answer.is_done() || answer.is_missing() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer = api.ask(Method::DELETE, &path, None).await?;
    }
    done(api, &answer, "remove the network of a job")
}

/// A container beside the job's container.
pub(super) struct Side<'a> {
    pub(super) api: &'a Api,
    pub(super) reach: Reach,
    /// The job's container, by name.
    pub(super) owner: &'a str,
    pub(super) labels: Value,
    pub(super) stop: StopPolicy,
}

impl Side<'_> {
    /// Runs a service until it ends or is cancelled, and removes it.
    pub(super) async fn run(
        &self,
        service: &ServiceSpec,
        sink: &dyn OutputSink,
        cancel: &Cancel,
    ) -> Result<StepEnd, ExecError> {
        let name = format!("{}-{}", self.owner, safe_file_name(&service.name)).replace(['=', '+'], "_");
        let path = format!("/containers/create?name={}", encode(&name));
        let answer = self.api.ask(Method::POST, &path, Some(&self.body(service))).await?;
        let Some(id) = answer.json().get("Id").and_then(Value::as_str).map(str::to_owned) else {
            return Err(self.failed("make", service, &answer.complaint()));
        };
        let end = self.follow(&id, service, sink, cancel).await;
        container::remove(self.api, &id).await?;
        end
    }

    fn failed(&self, what: &str, service: &ServiceSpec, why: &str) -> ExecError {
        ExecError::infrastructure(format!(
            "the {} engine cannot {what} the container of service `{}` from {}: {why}",
            self.api.name, service.name, service.image
        ))
    }

    fn body(&self, service: &ServiceSpec) -> Value {
        let text = |part: &std::ffi::OsString| part.to_string_lossy().into_owned();
        let env: Vec<String> = service.env.iter().map(|(n, v)| format!("{}={}", text(n), text(v))).collect();
        let mut labels = self.labels.clone();
        labels[LABEL] = json!(self.owner);
        let mut body = json!({ "Image": service.image, "Env": env, "Labels": labels });
        match self.reach {
            Reach::Machine => body["HostConfig"] = json!({ "NetworkMode": "host" }),
            Reach::Inside => {
                body["HostConfig"] = json!({ "NetworkMode": format!("container:{}", self.owner) });
            }
            Reach::Network => {
                let mut exposed = json!({});
                let mut bindings = json!({});
                for text in &service.ports {
                    let Some((host, inside)) = ports(text) else { continue };
                    let inside = format!("{inside}/tcp");
                    exposed[&inside] = json!({});
                    if text.contains(':') {
                        bindings[&inside] = json!([{ "HostIp": "127.0.0.1", "HostPort": host.to_string() }]);
                    }
                }
                body["ExposedPorts"] = exposed;
                body["HostConfig"] = json!({ "NetworkMode": self.owner, "PortBindings": bindings });
                body["NetworkingConfig"] =
                    json!({ "EndpointsConfig": { self.owner: { "Aliases": [service.name] } } });
            }
        }
        body
    }

    /// Starts a container and takes what it prints, to its end.
    async fn follow(
        &self,
        id: &str,
        service: &ServiceSpec,
        sink: &dyn OutputSink,
        cancel: &Cancel,
    ) -> Result<StepEnd, ExecError> {
        let attach = format!("/containers/{id}/attach?stream=1&stdout=1&stderr=1");
        let stream = self.api.hijack(&attach, None).await?;
        let answer = self.api.ask(Method::POST, &format!("/containers/{id}/start"), None).await?;
        if !answer.is_done() {
            return Err(self.failed("start", service, &answer.complaint()));
        }
        let (out_in, mut out) = tokio::io::duplex(BUFFER);
        let (err_in, mut err) = tokio::io::duplex(BUFFER);
        tokio::spawn(frames::split(stream, out_in, err_in));
        let (mut out_buffer, mut err_buffer) = (vec![0; BUFFER], vec![0; BUFFER]);
        let (mut out_open, mut err_open, mut asked, mut killed) = (true, true, false, false);
        let grace = self.stop.interrupt + self.stop.terminate;
        let mut give_up = None;
        while out_open || err_open {
            tokio::select! {
                read = out.read(&mut out_buffer), if out_open => match read {
                    Ok(n) if n > 0 => sink.write(Stream::Stdout, &out_buffer[..n]),
                    _ => out_open = false,
                },
                read = err.read(&mut err_buffer), if err_open => match read {
                    Ok(n) if n > 0 => sink.write(Stream::Stderr, &err_buffer[..n]),
                    _ => err_open = false,
                },
                () = cancel.killed(), if !killed => {
                    killed = true;
                    self.api.ask(Method::POST, &format!("/containers/{id}/kill"), None).await?;
                }
                () = cancel.cancelled(), if !asked => {
                    asked = true;
                    give_up = Some(tokio::time::Instant::now() + grace + LAST_WORD);
                    let (api, path) =
                        (self.api.clone(), format!("/containers/{id}/stop?t={}", grace.as_secs().max(1)));
                    tokio::spawn(async move { api.ask(Method::POST, &path, None).await });
                }
                () = until(give_up), if give_up.is_some() => break,
            }
        }
        if cancel.is_cancelled() {
            return Ok(StepEnd::Cancelled);
        }
        let waited = self.api.ask(Method::POST, &format!("/containers/{id}/wait"), None).await?;
        match waited.json().get("StatusCode").and_then(Value::as_i64) {
            Some(code @ 129..=192) => Ok(StepEnd::Signal { signal: (code - 128) as i32 }),
            Some(code) => Ok(StepEnd::Exit { code: i32::try_from(code).unwrap_or(1) }),
            None => Err(self.failed("follow", service, &waited.complaint())),
        }
    }
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_reached_as_the_network_allows() {
        for (network, reach, host) in [
            (None, Reach::Network, "db"),
            (Some("bridge"), Reach::Network, "db"),
            (Some("mine"), Reach::Network, "db"),
            (Some("host"), Reach::Machine, "127.0.0.1"),
            (Some("none"), Reach::Inside, "127.0.0.1"),
        ] {
            assert_eq!((Reach::of(network), Reach::of(network).host("db")), (reach, host), "{network:?}");
        }
    }
}
