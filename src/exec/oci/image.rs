//! Images: there, or pulled.

use hyper::Method;
use serde_json::{Value, json};

use super::api::{Api, encode};
use super::socket::{self, Lookup};
use crate::engine::executor::{Cancel, ExecError};
use crate::exec::options::Options;

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pull {
    Missing,
    Always,
    Never,
}

/// Credentials for a registry.
#[derive(Clone)]
pub(super) struct Auth {
    username: String,
    /// Name of the environment variable that holds the password.
    password_env: String,
    server: Option<String>,
}

impl Auth {
    /// Reads the option `registryAuth`.
    pub(super) fn read(options: &Options<'_>) -> Result<Option<Auth>, ExecError> {
        let Some(value) = options.get("registryAuth") else { return Ok(None) };
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        match (text("username"), text("passwordEnv")) {
            (Some(username), Some(password_env)) => {
                Ok(Some(Auth { username, password_env, server: text("server") }))
            }
            _ => Err(options.wrong("registryAuth", "a set with `username` and `passwordEnv`")),
        }
    }
}

/// Makes sure that the engine has an image.
pub(super) async fn provide(
    api: &Api,
    image: &str,
    pull: Pull,
    platform: Option<&str>,
    auth: Option<&Auth>,
    cancel: &Cancel,
) -> Result<(), ExecError> {
    let there = api.ask(Method::GET, &format!("/images/{}/json", encode(image)), None).await?;
    match pull {
        Pull::Missing | Pull::Never if there.is_done() => return Ok(()),
        Pull::Never => {
            return Err(ExecError::infrastructure(format!(
                "the {} engine has no image `{image}`, and `pull = \"never\"`; pull or build it first",
                api.name
            )));
        }
        _ => {}
    }
    let (name, tag) = split(image);
    let mut path = format!("/images/create?fromImage={}&tag={}", encode(name), encode(tag));
    if let Some(platform) = platform {
        path += &format!("&platform={}", encode(platform));
    }
    let headers = credentials(name, auth, &|name| std::env::var(name).ok())?;
    let headers: Vec<_> = headers.map(|value| ("X-Registry-Auth", value)).into_iter().collect();
    let answer = tokio::select! {
        answer = api.ask_with(Method::POST, &path, None, &headers) => answer?,
        () = cancel.cancelled() => return Err(crate::exec::remote::host::cancelled()),
    };
    let why = if answer.is_done() { answer.progress_error() } else { Some(answer.complaint()) };
    match why {
        None => Ok(()),
        Some(why) => Err(ExecError::infrastructure(format!(
            "the {} engine has no image `{image}` and cannot pull it: {why}",
            api.name
        ))),
    }
}

/// Name and tag; a digest stands in the tag's place.
fn split(image: &str) -> (&str, &str) {
    if let Some((name, digest)) = image.split_once('@') {
        return (name, digest);
    }
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

/// The registry of an image's name.
fn server(name: &str) -> &str {
    match name.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "https://index.docker.io/v1/",
    }
}

/// The header with credentials: those given, else those that docker has for the registry.
fn credentials(name: &str, auth: Option<&Auth>, lookup: Lookup<'_>) -> Result<Option<String>, ExecError> {
    let encode = |value: &Value| data_encoding::BASE64URL.encode(value.to_string().as_bytes());
    if let Some(auth) = auth {
        let password = lookup(&auth.password_env).ok_or_else(|| {
            let name = &auth.password_env;
            ExecError::infrastructure(format!(
                "the environment variable {name}, the registry's password, is not set"
            ))
        })?;
        let server = auth.server.as_deref().unwrap_or_else(|| server(name));
        let value = json!({ "username": auth.username, "password": password, "serveraddress": server });
        return Ok(Some(encode(&value)));
    }
    let found = || {
        let file = socket::config_dir(lookup)?.join("config.json");
        let config: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        let entry = config.get("auths")?.get(server(name))?.get("auth")?.as_str()?.to_owned();
        let plain = data_encoding::BASE64.decode(entry.as_bytes()).ok()?;
        let plain = String::from_utf8(plain).ok()?;
        let (username, password) = plain.split_once(':')?;
        Some(json!({ "username": username, "password": password, "serveraddress": server(name) }))
    };
    Ok(found().map(|value| encode(&value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        assert_eq!(split("busybox"), ("busybox", "latest"));
        assert_eq!(split("r.io:5000/a/b"), ("r.io:5000/a/b", "latest"));
        assert_eq!(split("r.io:5000/a/b:1.2"), ("r.io:5000/a/b", "1.2"));
        assert_eq!(split("a@sha256:00"), ("a", "sha256:00"));
        assert_eq!((server("busybox"), server("r.io/x")), ("https://index.docker.io/v1/", "r.io"));
    }

    #[test]
    fn a_password_comes_from_the_environment() {
        let auth = Auth { username: "u".into(), password_env: "PW".into(), server: None };
        assert!(credentials("r.io/x", Some(&auth), &|_| None).is_err_and(|e| e.message.contains("PW")));
        let header = credentials("r.io/x", Some(&auth), &|_| Some("p".into())).unwrap().unwrap();
        let value: Value =
            serde_json::from_slice(&data_encoding::BASE64URL.decode(header.as_bytes()).unwrap()).unwrap();
        assert_eq!(value, json!({ "username": "u", "password": "p", "serveraddress": "r.io" }));
    }
}
