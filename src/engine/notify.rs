//! Webhooks after a run.

use std::ffi::OsStr;
use std::time::Duration;

use serde_json::{Value, json};

use super::driver::Shared;
use super::event::{Level, RunResult};
use crate::workflow::plan::{Notify, Text};

/// Most time that one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts in all, and the pause before the second, which doubles.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// Sends the webhooks that are asked for after such a result. One that cannot be sent is a warning: it
/// changes nothing about the run.
pub(super) async fn send(shared: &Shared, result: RunResult, duration: Duration) {
    let warn = |number: usize, why: &str| {
        let message = format!("webhook {number} was not sent: {why}");
        shared.reporter.notice(Level::Warning, None, &message);
    };
    // All at once: a server that does not answer must not hold up the others.
    let mut sent = Vec::new();
    for (index, hook) in shared.plan.notify.iter().enumerate().filter(|(_, hook)| wanted(hook, result)) {
        match addressed(shared, hook) {
            Ok((url, headers)) => {
                let (kind, body) = body(shared, hook, result, duration);
                let post = move || post(&url, &headers, kind, &body);
                sent.push((index + 1, tokio::task::spawn_blocking(post)));
            }
            Err(why) => warn(index + 1, &why),
        }
    }
    for (number, sent) in sent {
        match sent.await {
            Ok(Ok(status)) => {
                let message = format!("webhook {number} sent: {status}");
                shared.reporter.notice(Level::Debug, None, &message);
            }
            Ok(Err(why)) => warn(number, &why),
            Err(error) => warn(number, &error.to_string()),
        }
    }
}

fn word(result: RunResult) -> &'static str {
    match result {
        RunResult::Success => "success",
        RunResult::Failure | RunResult::Infrastructure => "failure",
        RunResult::Cancelled { .. } => "cancelled",
    }
}

fn wanted(hook: &Notify, result: RunResult) -> bool {
    hook.on.iter().any(|on| on == "always" || on == word(result))
}

type Addressed = (String, Vec<(String, String)>);

/// The address and the headers, with what stands in the environment.
fn addressed(shared: &Shared, hook: &Notify) -> Result<Addressed, String> {
    let text = |text: &Text| match text {
        Text::Plain(text) => Ok(text.clone()),
        Text::FromEnv { from_env } => {
            let value = shared.options.outside.ambient.get(OsStr::new(from_env));
            let value = value.and_then(|value| value.to_str()).map(str::to_owned);
            value.ok_or_else(|| format!("the environment variable {from_env} is not set"))
        }
    };
    let headers = hook.headers.iter().map(|(name, value)| Ok((name.clone(), text(value)?)));
    Ok((text(&hook.url)?, headers.collect::<Result<_, String>>()?))
}

/// What is sent, and of which type: the given body, with its variables filled in, else a summary.
fn body(shared: &Shared, hook: &Notify, result: RunResult, duration: Duration) -> (&'static str, String) {
    let millis = duration.as_millis() as u64;
    let body = match &hook.body {
        Some(Value::String(text)) => {
            let text = fill(shared, text, result, millis);
            return ("text/plain; charset=utf-8", shared.reporter.mask(&text).into_owned());
        }
        Some(given) => filled(shared, given, result, millis),
        None => {
            let ended = shared.plan.jobs.iter().zip(&shared.results);
            let jobs: Vec<Value> = ended
                .map(|(job, result)| json!({ "name": job.name, "result": result.get().map(|r| r.as_str()) }))
                .collect();
            json!({
                "workflow": shared.plan.name,
                "run": shared.run.as_str(),
                "result": word(result),
                "exitCode": result.exit_code(),
                "durationMs": millis,
                "jobs": jobs,
                "git": shared.constants.iter().map(|(n, v)| ((*n).to_owned(), json!(v))).collect::<serde_json::Map<_, _>>(),
            })
        }
    };
    ("application/json", shared.reporter.mask(&body.to_string()).into_owned())
}

/// Every text in a body, with its variables filled in.
fn filled(shared: &Shared, value: &Value, result: RunResult, millis: u64) -> Value {
    match value {
        Value::String(text) => Value::String(fill(shared, text, result, millis)),
        Value::Array(items) => items.iter().map(|v| filled(shared, v, result, millis)).collect(),
        Value::Object(members) => Value::Object(
            members.iter().map(|(n, v)| (n.clone(), filled(shared, v, result, millis))).collect(),
        ),
        other => other.clone(),
    }
}

/// `$RESULT`, `$WORKFLOW_NAME`, `$WORKFLOW_ID` and `$DURATION_MS`.
fn fill(shared: &Shared, text: &str, result: RunResult, millis: u64) -> String {
    text.replace("$RESULT", word(result))
        .replace("$WORKFLOW_NAME", &shared.plan.name)
        .replace("$WORKFLOW_ID", &shared.run)
        .replace("$DURATION_MS", &millis.to_string())
}

/// Posts; the status, or why not. The address may hold a secret, so no error repeats it.
fn post(url: &str, headers: &[(String, String)], kind: &str, body: &str) -> Result<u16, String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .user_agent(concat!("nixactions/", env!("CARGO_PKG_VERSION")))
        .build();
    let agent = ureq::Agent::new_with_config(config);
    let mut pause = PAUSE;
    for attempt in 1.. {
        let mut request = agent.post(url);
        if headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("content-type")) {
            request = request.header("content-type", kind);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let why = match request.send(body) {
            Ok(response) if response.status().is_success() => return Ok(response.status().as_u16()),
            Ok(response) if response.status().as_u16() == 429 || response.status().is_server_error() => {
                format!("the server answers {}", response.status())
            }
            Ok(response) => return Err(format!("the server answers {}", response.status())),
            Err(ureq::Error::BadUri(_)) => return Err("its url cannot be read".to_owned()),
            Err(error) => error.to_string(),
        };
        if attempt >= ATTEMPTS {
            return Err(why);
        }
        std::thread::sleep(pause);
        pause *= 2;
    }
    Err("it was not tried".to_owned())
}
