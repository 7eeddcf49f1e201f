//! The checks of a decoded workflow, and the one way from a tree to a checked workflow.

use std::collections::{HashMap, HashSet};

use super::graph::{self, Graph};
use super::model::{Job, Service, Spanned, Workflow};
use super::plan::{Cache, Condition};
use super::tree::Node;
use super::{artifacts, call, condition, decode, names, results, retry};
use crate::base::source::SpanId;
use crate::diag::{Diagnostic, Severity};

/// Longest key of a cache, in bytes.
const LONGEST_KEY: usize = 512;
/// Most keys that a cache falls back to.
const MOST_RESTORE_KEYS: usize = 10;

/// A workflow and all that was found about it.
pub struct Checked {
    /// The workflow; `None` when there was nothing to decode.
    pub workflow: Option<Workflow>,
    /// The resolved needs.
    pub graph: Option<Graph>,
    /// Findings, by place.
    pub diagnostics: Vec<Diagnostic>,
}

impl Checked {
    /// Whether nothing stands against running it.
    pub fn is_ok(&self) -> bool {
        self.workflow.is_some() && self.diagnostics.iter().all(|d| d.severity != Severity::Error)
    }
}

/// Checks a whole workflow. `at` is pointed at when a value has no place of its own.
pub fn check(node: &Node, at: SpanId) -> Checked {
    let mut out = Vec::new();
    let workflow = decode::workflow(node, at, &mut out);
    let graph = workflow.as_ref().map(|w| one(w, &mut out));
    Checked { workflow, graph, diagnostics: tidy(out) }
}

/// Checks a decoded workflow, and the workflows that its jobs use.
fn one(w: &Workflow, out: &mut Vec<Diagnostic>) -> Graph {
    let mut found = Vec::new();
    let graph = graph::resolve(w, &mut found);
    artifacts::check(w, &graph, &mut found);
    results::check(w, &graph, &mut found);
    meaning(w, &mut found);
    for job in &w.jobs {
        job_meaning(job, &mut found);
        if let Some(call) = &job.call {
            one(&call.value, &mut found);
        }
    }
    out.append(&mut found);
    graph
}

/// Sorted by place, each finding once: the copies of a matrix repeat theirs.
fn tidy(out: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let position = |d: &Diagnostic| {
        d.primary.as_ref().map(|l| (l.place.source.name().to_string(), l.place.start, l.place.end))
    };
    let mut keyed: Vec<_> = out.into_iter().map(narrowed).map(|d| (position(&d), d)).collect();
    keyed.sort_by(|a, b| (&a.0, a.1.code).cmp(&(&b.0, b.1.code)));
    let mut seen = HashSet::new();
    keyed.retain(|(p, d)| match p {
        Some(p) => seen.insert((d.code, p.clone(), d.secondary.is_empty().then(|| label(d)))),
        None => true,
    });
    keyed.into_iter().map(|(_, d)| d).collect()
}

/// Labels of keys in attribute paths on the one name that the message speaks of.
fn narrowed(mut d: Diagnostic) -> Diagnostic {
    let message = d.message.clone();
    let is_meant = |name: &str| message.contains(&format!("`{name}`"));
    for label in d.primary.iter_mut().chain(&mut d.secondary) {
        if let Some(place) = super::origin::name_in_path(&label.place, &is_meant) {
            label.place = place;
        }
    }
    d
}

fn label(d: &Diagnostic) -> String {
    d.primary.as_ref().map(|l| l.text.clone()).unwrap_or_default()
}

fn meaning(w: &Workflow, out: &mut Vec<Diagnostic>) {
    call::declared(&w.inputs, out);
    names::check_env(&w.env, "`env` of the workflow", out);
    names::check_providers(&w.env_from, "`envFrom` of the workflow", out);
    retry::check(&w.retry, "the workflow", false, out);
    if w.name.value.contains('\0') {
        out.push(
            Diagnostic::error("NXA107", "the workflow's name holds a null byte")
                .at(w.name.span, "holds a null byte"),
        );
    }
    executors(w, out);
    let mut seen: HashMap<&str, SpanId> = HashMap::new();
    for job in &w.jobs {
        if let Some(first) = seen.insert(&job.name.value, job.name.span) {
            out.push(
                Diagnostic::error("NXA106", format!("two jobs get the name `{}`", job.name.value))
                    .at(job.name.span, "this job, with its matrix")
                    .also(first, "the other"),
            );
        }
    }
}

/// Executors of one name share a workspace, so they must be the same.
fn executors(w: &Workflow, out: &mut Vec<Diagnostic>) {
    let mut named = HashMap::new();
    for e in w.jobs.iter().filter_map(|j| j.executor.as_ref()) {
        let Some(name) = &e.name else { continue };
        let options = (e.kind.as_str(), e.options.to_json());
        let (first, span) = named.entry(&name.value).or_insert_with(|| (options.clone(), name.span));
        if *first != options {
            out.push(
                Diagnostic::error(
                    "NXA601",
                    format!("two different executors are both named `{}`", name.value),
                )
                .at(name.span, "has other options than the first")
                .also(*span, "the first")
                .help("give them different names: jobs share a workspace by the executor's name"),
            );
        }
    }
}

fn job_meaning(job: &Job, out: &mut Vec<Diagnostic>) {
    let owner = format!("job `{}`", job.name.value);
    names::check(&job.name, "a job", out);
    names::check_env(&job.env, &format!("`env` of {owner}"), out);
    names::check_providers(&job.env_from, &format!("`envFrom` of {owner}"), out);
    retry::check(&job.retry, &owner, false, out);
    for service in &job.services {
        names::check(&service.name, "a service", out);
        service_place(service, job, &owner, out);
        names::check_env(&service.env, &format!("`env` of service `{}` of {owner}", service.name.value), out);
    }
    for cache in &job.cache {
        cache_meaning(cache, &owner, out);
    }
    if let Some(c) = &job.condition {
        never(&c.value, c.span, &owner, job.needs.is_empty(), "it needs no job that could fail", out);
    }
    let mut ids: HashMap<&str, SpanId> = HashMap::new();
    for (i, step) in job.steps.iter().enumerate() {
        let owner = format!("step `{}` of {owner}", step.name.value);
        names::check_env(&step.env, &format!("`env` of {owner}"), out);
        names::check_providers(&step.env_from, &format!("`envFrom` of {owner}"), out);
        retry::check(&step.retry, &owner, true, out);
        if step.script.value.contains('\0') {
            out.push(
                Diagnostic::error("NXA003", format!("the script of {owner} holds a null byte"))
                    .at(step.script.span, "no shell can run this"),
            );
        }
        if let Some(dir) = &step.workdir
            && !dir.value.starts_with('/')
        {
            artifacts::path(dir, &format!("the working directory of {owner}"), out);
        }
        if let Some(c) = &step.condition {
            never(&c.value, c.span, &owner, i == 0, "no step comes before it", out);
        }
        if let Some(id) = &step.id {
            names::check(id, "a step's id", out);
            if let Some(first) = ids.insert(&id.value, id.span) {
                out.push(
                    Diagnostic::error("NXA106", format!("two steps have the id `{}`", id.value))
                        .at(id.span, "again")
                        .also(first, "first here"),
                );
            }
        }
    }
}

/// A service with an image needs an executor that runs containers, and ports that are ports.
fn service_place(service: &Service, job: &Job, owner: &str, out: &mut Vec<Diagnostic>) {
    let name = &service.name.value;
    let number = |text: &str| text.trim().parse::<u16>().is_ok_and(|n| n > 0);
    for port in &service.ports {
        let (host, container) = port.split_once(':').unwrap_or((port, port));
        if !number(host) || !number(container) {
            out.push(
                Diagnostic::error("NXA003", format!("`{port}` is not a port of service `{name}` of {owner}"))
                    .at(service.name.span, "has this port")
                    .help("write a number up to 65535, as `5432`, or `\"HOST:CONTAINER\"`"),
            );
        }
    }
    let Some(image) = &service.image else { return };
    let kind = job.executor.as_ref().map_or("local", |e| e.kind.as_str());
    let executor = if kind == "custom" { "mkExecutor".into() } else { format!("executors.{kind}") };
    let instead = match kind {
        "oci" | "podman" => return,
        "compose" => "add the service to the compose file, where the job's own service reaches it by name",
        _ => {
            "run the job with `executors.oci` or `executors.podman`, or start the service by a script, as \
              `bash = \"exec postgres -D db\";`"
        }
    };
    let finding = Diagnostic::error(
        "NXA602",
        format!("service `{name}` of {owner} is an image, and {executor} runs no containers beside a job"),
    )
    .at(image.span, "needs an executor with containers");
    let finding = match &job.executor {
        Some(executor) => finding.also(executor.span, "the job runs here"),
        None => finding,
    };
    out.push(finding.help(instead));
}

/// What a cache must keep to: the bounds of GitHub's, so that keys can be carried over.
fn cache_meaning(cache: &Spanned<Cache>, owner: &str, out: &mut Vec<Diagnostic>) {
    let mut wrong = |message: String, label: &str| {
        out.push(Diagnostic::error("NXA207", message).at(cache.span, label));
    };
    for key in std::iter::once(&cache.value.key).chain(&cache.value.restore_keys) {
        if key.len() > LONGEST_KEY {
            wrong(format!("a cache key of {owner} is longer than {LONGEST_KEY} bytes"), "this cache");
        }
        if key.contains(',') || key.chars().any(char::is_control) {
            let text = format!(
                "the cache key `{}` of {owner} holds a comma or a control character",
                key.escape_debug()
            );
            wrong(text, "this cache");
        }
    }
    if cache.value.restore_keys.len() > MOST_RESTORE_KEYS {
        wrong(format!("a cache of {owner} has more than {MOST_RESTORE_KEYS} restore keys"), "this cache");
    }
    if cache.value.paths.is_empty() {
        wrong(format!("a cache of {owner} has no paths"), "keeps nothing");
    }
    for path in &cache.value.paths {
        artifacts::path(&Spanned::new(path.clone(), cache.span), &format!("a cache of {owner}"), out);
    }
}

/// Conditions that can never hold where they stand.
fn never(c: &Condition, at: SpanId, owner: &str, first: bool, why: &str, out: &mut Vec<Diagnostic>) {
    let Condition::Expr(e) = c else { return };
    let d = Diagnostic::warning("NXA306", format!("{owner} can never run: its condition is never true"));
    // What is never true anywhere is said by a code of its own.
    if first && condition::constant(e).is_none() && !condition::possible_first(e) {
        out.push(d.at(at, format!("never true here: {why}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::tree::from_json;
    use serde_json::json;

    fn found(v: serde_json::Value) -> Vec<String> {
        let c = check(&from_json(&v), SpanId::NONE);
        c.diagnostics.iter().map(|d| format!("{} {}", d.code, d.message)).collect()
    }

    fn jobs(v: serde_json::Value) -> Vec<String> {
        found(json!({ "name": "w", "jobs": v }))
    }

    #[test]
    fn needs() {
        let step = json!([{ "bash": "true" }]);
        let f = jobs(
            json!({ "a": { "steps": step, "needs": ["b", "b", "a", "lnit"] }, "b": { "steps": step }, "lint": { "steps": step } }),
        );
        assert_eq!(
            f,
            [
                "NXA101 job `a` needs `lnit`, which is not a job of this workflow",
                "NXA103 job `a` needs `b` twice",
                "NXA103 job `a` needs itself",
            ]
        );
    }

    #[test]
    fn every_cycle_is_shown() {
        let step = json!([{ "bash": "true" }]);
        let f = jobs(json!({
            "a": { "steps": step, "needs": ["b"] }, "b": { "steps": step, "needs": ["a", "c"] },
            "c": { "steps": step, "needs": ["a"] }, "d": { "steps": step, "needs": ["a"] },
            "x": { "steps": step, "needs": ["y"] }, "y": { "steps": step, "needs": ["x"] },
        }));
        assert_eq!(
            f,
            [
                "NXA102 jobs need each other in a circle: `a` -> `b` -> `a`",
                "NXA102 jobs need each other in a circle: `a` -> `b` -> `c` -> `a`",
                "NXA102 jobs need each other in a circle: `x` -> `y` -> `x`",
            ]
        );
    }

    #[test]
    fn long_chains_and_cycles_end() {
        let n = 20_000;
        let mut all = serde_json::Map::new();
        for i in 0..n {
            let need = format!("j{}", (i + 1) % n);
            all.insert(format!("j{i}"), json!({ "steps": [{ "bash": "true" }], "needs": [need] }));
        }
        let f = jobs(all.into());
        assert_eq!(f.len(), 1);
        assert!(f[0].starts_with("NXA102"), "{f:?}");
        assert!(f[0].len() < 400, "{f:?}");
    }

    #[test]
    fn artifacts_must_be_given_before() {
        let step = json!([{ "bash": "true" }]);
        let f = jobs(json!({
            "a": { "steps": step, "outputs": { "dist": "dist", "log": "/var/log" } },
            "b": { "steps": step, "outputs": { "dist": "x" }, "inputs": ["dist", "dits"] },
            "c": { "steps": step, "needs": "b", "inputs": ["dist"] },
            "d": { "steps": step, "needs": "a", "inputs": [{ "name": "log", "path": "../x" }] },
        }));
        assert_eq!(
            f,
            [
                "NXA201 the artifact `dist` is given by job `a` and by job `b`",
                "NXA202 job `b` takes the artifact `dits`, which no job gives",
                "NXA203 job `b` takes the artifact `dist` of job `a` but does not wait for it",
                "NXA203 job `c` takes the artifact `dist` of job `a` but does not wait for it",
                "NXA205 the path of the artifact `log` cannot be used: it is absolute",
                "NXA205 the path of the artifact `log` cannot be used: it leaves the job directory",
            ]
        );
    }

    #[test]
    fn names_conditions_and_retries() {
        let f = jobs(json!({
            "a b/c": { "env": { "A-B": 1 }, "condition": "failure()",
                "steps": [ { "bash": "true", "if": "success() && failure()", "id": "x" },
                           { "bash": "true", "id": "x", "retry": { "min_time": 5, "max_time": 2, "jitter": 3 } } ] },
            "e": {}, "f": { "steps": [] },
        }));
        let codes: Vec<&str> = f.iter().map(|s| &s[..6]).collect();
        assert_eq!(codes, ["NXA006", "NXA106", "NXA107", "NXA303", "NXA303", "NXA306", "NXA401"], "{f:#?}");
    }
}
