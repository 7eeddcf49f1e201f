//! Where telemetry goes, from the standard environment variables.

use std::time::Duration;

/// Time that sending one signal may take, unless a variable says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A place that takes one kind of signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
}

/// Where telemetry goes, and what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub(super) traces: Option<Target>,
    pub(super) metrics: Option<Target>,
    pub(super) timeout: Duration,
    /// Attributes of the resource, `service.name` among them.
    pub(super) resource: Vec<(String, String)>,
    /// Trace and span that the run belongs to (`TRACEPARENT`, W3C Trace Context level 1), in hex.
    pub(super) parent: Option<(String, String)>,
}

/// A variable that asks for what there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {reason}")]
pub struct ConfigError {
    variable: &'static str,
    reason: String,
}

impl Config {
    /// Reads the variables by `get`; `None` when none of them asks for telemetry.
    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Option<Config>, ConfigError> {
        let get = |name: &str| get(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        if get("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let signal = |exporter: &str, endpoint: &str, headers: &str, path: &str| {
            if get(exporter).is_some_and(|v| v == "none") {
                return None;
            }
            // The variable of one signal is taken as it is, that of all signals is a base.
            let url = get(endpoint).or_else(|| {
                let base = get("OTEL_EXPORTER_OTLP_ENDPOINT")?;
                Some(format!("{}/v1/{path}", base.trim_end_matches('/')))
            })?;
            let headers = get(headers).or_else(|| get("OTEL_EXPORTER_OTLP_HEADERS")).unwrap_or_default();
            Some(Target { url, headers: pairs(&headers) })
        };
        let traces = signal(
            "OTEL_TRACES_EXPORTER",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "traces",
        );
        let metrics = signal(
            "OTEL_METRICS_EXPORTER",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
            "metrics",
        );
        if traces.is_none() && metrics.is_none() {
            return Ok(None);
        }
        if let Some(protocol) = get("OTEL_EXPORTER_OTLP_PROTOCOL").filter(|p| p == "grpc") {
            let reason = format!("`{protocol}` is not spoken; use `http/json` and the collector's HTTP port");
            return Err(ConfigError { variable: "OTEL_EXPORTER_OTLP_PROTOCOL", reason });
        }
        let timeout = match get("OTEL_EXPORTER_OTLP_TIMEOUT") {
            None => TIMEOUT,
            Some(text) => Duration::from_millis(text.parse().map_err(|_| ConfigError {
                variable: "OTEL_EXPORTER_OTLP_TIMEOUT",
                reason: format!("`{text}` is no number of milliseconds"),
            })?),
        };
        let mut resource = pairs(&get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
        match get("OTEL_SERVICE_NAME") {
            Some(name) => {
                resource.retain(|(key, _)| key != "service.name");
                resource.push(("service.name".into(), name));
            }
            None if resource.iter().all(|(key, _)| key != "service.name") => {
                resource.push(("service.name".into(), "nixactions".into()));
            }
            None => {}
        }
        let parent = get("TRACEPARENT").and_then(|text| parse_parent(&text));
        Ok(Some(Config { traces, metrics, timeout, resource, parent }))
    }
}

/// `a=1,b=2`, values percent-encoded (W3C Baggage).
fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |item: &str| {
        let (name, value) = item.split_once('=')?;
        let name = name.trim();
        (!name.is_empty()).then(|| (name.to_owned(), percent_decoded(value.trim())))
    };
    text.split(',').filter_map(pair).collect()
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn parse_parent(text: &str) -> Option<(String, String)> {
    let mut parts = text.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, len| {
        text.len() == len && text.bytes().all(|b| b.is_ascii_hexdigit()) && text.bytes().any(|b| b != b'0')
    };
    (version.len() == 2 && version != "ff" && hex(trace, 32) && hex(span, 16))
        .then(|| (trace.to_ascii_lowercase(), span.to_ascii_lowercase()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::report::otlp) fn read(variables: &[(&str, &str)]) -> Result<Option<Config>, ConfigError> {
        Config::read(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn nothing_is_sent_unless_asked_for() {
        assert_eq!(read(&[]), Ok(None));
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/");
        assert_eq!(read(&[endpoint, ("OTEL_SDK_DISABLED", "true")]), Ok(None));
        let config = read(&[endpoint, ("OTEL_METRICS_EXPORTER", "none")]).unwrap().unwrap();
        assert_eq!(config.traces.unwrap().url, "http://c:4318/v1/traces");
        assert_eq!(config.metrics, None);
    }

    #[test]
    fn headers_attributes_and_parent_are_read() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let config = read(&[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/x"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=b%20c, d = e"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=x,team=y"),
            ("OTEL_SERVICE_NAME", "z"),
            ("TRACEPARENT", parent),
        ]);
        let config = config.unwrap().unwrap();
        let traces = config.traces.unwrap();
        assert_eq!(traces.url, "http://c/x");
        assert_eq!(traces.headers, [("a".into(), "b c".into()), ("d".into(), "e".into())]);
        assert_eq!(config.resource, [("team".into(), "y".into()), ("service.name".into(), "z".into())]);
        assert_eq!(config.parent.unwrap().1, "b7ad6b7169203331");
        assert_eq!(parse_parent("00-00000000000000000000000000000000-b7ad6b7169203331-01"), None);
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317");
        assert!(read(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).is_err());
        assert!(read(&[endpoint, ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")]).is_err());
    }
}
