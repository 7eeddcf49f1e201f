//! The bodies of the requests: `ExportTraceServiceRequest` and `ExportMetricsServiceRequest` in their
//! JSON form, where identifiers are hexadecimal and 64-bit numbers are strings.

use serde_json::{Value, json};

use super::config::Config;
use crate::engine::event::{JobResult, RunResult, Timestamp};
use crate::report::record::{Job, Record, Step};

/// `SPAN_KIND_SERVER` for the run as the conventions ask, `SPAN_KIND_INTERNAL` below.
const SERVER: u8 = 2;
const INTERNAL: u8 = 1;
/// `STATUS_CODE_OK` and `STATUS_CODE_ERROR`.
const OK: u8 = 1;
const ERROR: u8 = 2;
/// `AGGREGATION_TEMPORALITY_DELTA`: each run reports itself alone.
const DELTA: u8 = 1;

/// A span for the run, one for each job below it, one for each step below that.
pub(super) fn traces(record: &Record, config: &Config) -> Value {
    let trace = match &config.parent {
        Some((trace, _)) => trace.clone(),
        None => id(&[&record.run], 16),
    };
    let root = id(&[&record.run, "run"], 8);
    let mut spans = vec![run_span(record, config, &trace, &root)];
    for job in record.jobs.iter().filter(|job| job.started.0 > 0) {
        let own = id(&[&record.run, "job", &job.info.name], 8);
        spans.push(job_span(record, job, (&trace, &root, &own)));
        for step in job.steps.iter().filter(|step| step.result != Some(JobResult::Skipped)) {
            let number = step.step.index.to_string();
            let step_id = id(&[&record.run, "step", &job.info.name, &number], 8);
            spans.push(step_span(job, step, (&trace, &own, &step_id)));
        }
    }
    json!({ "resourceSpans": [{
        "resource": resource(config),
        "scopeSpans": [{ "scope": scope(), "spans": spans }],
    }] })
}

/// The duration of the run and of its jobs, and the count of errors.
pub(super) fn metrics(record: &Record, config: &Config) -> Value {
    let name = attribute("cicd.pipeline.name", &record.workflow);
    let state = attribute("cicd.pipeline.run.state", "executing");
    let result = attribute("cicd.pipeline.result", run_result(record));
    let point = |seconds: f64, attributes: Vec<Value>| {
        json!({
            "startTimeUnixNano": nanos(record.started),
            "timeUnixNano": nanos(record.finished),
            "count": "1",
            "sum": seconds,
            "min": seconds,
            "max": seconds,
            "bucketCounts": ["1"],
            "explicitBounds": [],
            "attributes": attributes,
        })
    };
    let total = record.finished.since(record.started).as_secs_f64();
    let jobs: Vec<Value> = record
        .jobs
        .iter()
        .filter(|job| job.started.0 > 0)
        .map(|job| {
            let task = attribute("cicd.pipeline.task.name", &job.info.name);
            let result = attribute("cicd.pipeline.task.run.result", word(job.outcome));
            point(job.duration_us as f64 / 1e6, vec![name.clone(), task, result])
        })
        .collect();
    let failed = record.count(JobResult::Failure);
    let errors = json!({
        "startTimeUnixNano": nanos(record.started),
        "timeUnixNano": nanos(record.finished),
        "asInt": failed.to_string(),
        "attributes": [name, attribute("error.type", "job")],
    });
    let histogram = |name: &str, points: Vec<Value>| {
        json!({ "name": name, "unit": "s", "histogram": {
            "aggregationTemporality": DELTA, "dataPoints": points,
        } })
    };
    json!({ "resourceMetrics": [{
        "resource": resource(config),
        "scopeMetrics": [{ "scope": scope(), "metrics": [
            histogram("cicd.pipeline.run.duration", vec![point(total, vec![name.clone(), state, result])]),
            histogram("nixactions.job.duration", jobs),
            { "name": "cicd.pipeline.run.errors", "unit": "{error}", "sum": {
                "aggregationTemporality": DELTA, "isMonotonic": true, "dataPoints": [errors],
            } },
        ] }],
    }] })
}

fn run_span(record: &Record, config: &Config, trace: &str, own: &str) -> Value {
    let code = if record.result == Some(RunResult::Success) { OK } else { ERROR };
    let mut span = json!({
        "traceId": trace,
        "spanId": own,
        "name": format!("RUN {}", record.workflow),
        "kind": SERVER,
        "startTimeUnixNano": nanos(record.started),
        "endTimeUnixNano": nanos(record.finished),
        "attributes": [
            attribute("cicd.pipeline.name", &record.workflow),
            attribute("cicd.pipeline.run.id", &record.run),
            attribute("cicd.pipeline.result", run_result(record)),
        ],
        "status": { "code": code, "message": record.error.clone().unwrap_or_default() },
    });
    if let Some((_, parent)) = &config.parent {
        span["parentSpanId"] = json!(parent);
    }
    span
}

fn job_span(record: &Record, job: &Job, (trace, parent, own): (&str, &str, &str)) -> Value {
    let end = if job.finished.0 > 0 { job.finished } else { record.finished };
    let failed = job.outcome != Some(JobResult::Success);
    json!({
        "traceId": trace,
        "spanId": own,
        "parentSpanId": parent,
        "name": job.info.name,
        "kind": INTERNAL,
        "startTimeUnixNano": nanos(job.started),
        "endTimeUnixNano": nanos(end),
        "attributes": [
            attribute("cicd.pipeline.task.name", &job.info.name),
            attribute("cicd.pipeline.task.run.id", own),
            attribute("cicd.pipeline.task.run.result", word(job.outcome)),
            attribute("cicd.worker.name", &job.info.executor),
        ],
        "status": {
            "code": if failed { ERROR } else { OK },
            "message": job.reason.clone().unwrap_or_default(),
        },
    })
}

fn step_span(job: &Job, step: &Step, (trace, parent, own): (&str, &str, &str)) -> Value {
    let failed = step.result != Some(JobResult::Success);
    let code = step.end.as_ref().map_or(-1, |end| i64::from(end.code()));
    json!({
        "traceId": trace,
        "spanId": own,
        "parentSpanId": parent,
        "name": step.step.name,
        "kind": INTERNAL,
        "startTimeUnixNano": nanos(step.started),
        "endTimeUnixNano": nanos(Timestamp(step.started.0 + step.duration_us)),
        "attributes": [
            attribute("cicd.pipeline.task.name", &job.info.name),
            attribute("nixactions.step.name", &step.step.name),
            { "key": "nixactions.step.attempts", "value": { "intValue": step.attempts.to_string() } },
            { "key": "process.exit.code", "value": { "intValue": code.to_string() } },
        ],
        "status": {
            "code": if failed { ERROR } else { OK },
            "message": step.end.as_ref().filter(|e| !e.is_success()).map(ToString::to_string).unwrap_or_default(),
        },
    })
}

/// An identifier of `bytes` bytes, in hex, that stands for the parts: the same for the same run.
fn id(parts: &[&str], bytes: usize) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    hasher.finalize().to_hex()[..bytes * 2].to_owned()
}

fn nanos(time: Timestamp) -> String {
    (u128::from(time.0) * 1000).to_string()
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn resource(config: &Config) -> Value {
    let attributes: Vec<Value> = config.resource.iter().map(|(key, value)| attribute(key, value)).collect();
    json!({ "attributes": attributes })
}

fn scope() -> Value {
    json!({ "name": "nixactions", "version": env!("CARGO_PKG_VERSION") })
}

/// The conventions' words for results.
fn word(result: Option<JobResult>) -> &'static str {
    match result {
        Some(JobResult::Success) => "success",
        Some(JobResult::Failure) => "failure",
        Some(JobResult::Skipped) => "skip",
        Some(JobResult::Cancelled) | None => "cancellation",
    }
}

fn run_result(record: &Record) -> &'static str {
    match record.result {
        Some(RunResult::Success) => "success",
        Some(RunResult::Failure) => "failure",
        Some(RunResult::Infrastructure) => "error",
        Some(RunResult::Cancelled { .. }) | None => "cancellation",
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::record::tests::record;
    use super::super::config::tests::read;
    use super::*;

    #[test]
    fn spans_form_a_tree_and_metrics_count() {
        let config = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c")]).unwrap().unwrap();
        let traces = traces(&record(), &config);
        let spans = traces["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
        // The run, the two jobs that ran, and the step of one of them.
        assert_eq!(spans.len(), 4);
        assert_eq!(spans[0]["traceId"].as_str().map(str::len), Some(32));
        assert_eq!(spans[0].get("parentSpanId"), None);
        assert!(spans[1..3].iter().all(|job| job["parentSpanId"] == spans[0]["spanId"]));
        assert_eq!(spans[3]["parentSpanId"], spans[2]["spanId"]);
        assert_eq!(spans[3]["status"]["code"], ERROR);
        let metrics = metrics(&record(), &config);
        let metrics = &metrics["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
        assert_eq!(metrics[0]["histogram"]["dataPoints"][0]["sum"], 2.0);
        assert_eq!(metrics[2]["sum"]["dataPoints"][0]["asInt"], "1");
    }
}
