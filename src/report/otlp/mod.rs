//! A run as OpenTelemetry traces and metrics, sent by OTLP over HTTP in its JSON form.
//!
//! Sources: the OTLP specification 1.9 (<https://opentelemetry.io/docs/specs/otlp/>), the exporter's
//! environment variables (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>), and the
//! semantic conventions for CI/CD.

mod config;
mod payload;

use std::time::Duration;

pub use config::{Config, ConfigError};

use super::record::Record;

/// Why a run could not be sent.
#[derive(Debug, thiserror::Error)]
#[error("sending telemetry to {url}: {reason}")]
pub struct SendError {
    url: String,
    reason: String,
}

/// Sends the run to the places that the configuration names. Tries all of them; the first failure is
/// returned.
pub fn send(record: &Record, config: &Config) -> Result<(), SendError> {
    let mut first = Ok(());
    let mut note = |result: Result<(), SendError>| {
        if first.is_ok() {
            first = result;
        }
    };
    if let Some(target) = &config.traces {
        note(post(target, &payload::traces(record, config).to_string(), config.timeout));
    }
    if let Some(target) = &config.metrics {
        note(post(target, &payload::metrics(record, config).to_string(), config.timeout));
    }
    first
}

fn post(target: &config::Target, body: &str, timeout: Duration) -> Result<(), SendError> {
    let agent =
        ureq::Agent::new_with_config(ureq::Agent::config_builder().timeout_global(Some(timeout)).build());
    let mut request = agent.post(&target.url).header("Content-Type", "application/json");
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    request.send(body).map(drop).map_err(|e| SendError { url: target.url.clone(), reason: e.to_string() })
}
