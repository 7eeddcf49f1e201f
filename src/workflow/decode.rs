//! Tree to model: the shape check, then every field in its type.

use std::collections::BTreeSet;

use super::fields::{Fields, only_program, path_text, text};
use super::model::{
    ArtifactGiven, ArtifactUse, ExecutorRef, Input, Job, MatrixCopy, Spanned, Step, Workflow,
};
use super::schema::{self, Table, Type};
use super::shape::{Shape, Spot, place};
use super::tree::{Attr, Kind, Node};
use super::{call, matrix, parts};
use crate::base::source::SpanId;
use crate::diag::Diagnostic;
use crate::ir::text::ContextElem;

/// Decodes a workflow. Findings go to `out`; `None` when there is nothing to go on with.
pub fn workflow(node: &Node, at: SpanId, out: &mut Vec<Diagnostic>) -> Option<Workflow> {
    let spot = Spot::new("the workflow", at);
    let mut shape = Shape { out };
    if let Some(extended) = node.attr("_extended") {
        shape.check(
            &extended.value,
            &Type::Record(&schema::WORKFLOW),
            &Spot::new("the result of `extensions`", extended.key),
        );
        return None;
    }
    if !shape.check(node, &Type::Record(&schema::WORKFLOW), &spot) {
        return None;
    }
    let f = Fields { node, table: &schema::WORKFLOW };
    let mut jobs = Vec::new();
    for attr in f.get("jobs").and_then(Node::attrs).unwrap_or_default() {
        jobs_of(node, attr, &mut jobs, out);
    }
    jobs.sort_by(|a, b| a.name.value.cmp(&b.name.value));
    let logging = f.get("logging").map(|n| Fields { node: n, table: &schema::LOGGING });
    let word = |key| logging.and_then(|l| l.text(key)).map(|t| t.value);
    Some(Workflow {
        name: f.text("name").unwrap_or_else(|| Spanned::new(String::new(), node.span)),
        jobs,
        env: f.env(),
        env_from: f.env_from(),
        store: store_references(node, &["jobs", "_matrix"]),
        retry: f.retry(),
        timeout: f.timeout(),
        budget: f.duration("budget"),
        log_format: word("format"),
        log_level: word("level"),
        fail_fast: f.bool("failFast").unwrap_or(false),
        max_parallel: f.get("maxParallel").and_then(Node::int).and_then(|n| usize::try_from(n).ok()),
        inputs: inputs(f),
        results: parts::references(f),
        concurrency: parts::concurrency(f),
        notify: parts::webhooks(f),
        on: f.get("on").map(Node::to_json),
    })
}

fn inputs(f: Fields<'_>) -> Vec<Input> {
    let attrs = f.get("inputs").and_then(Node::attrs).unwrap_or_default();
    attrs
        .iter()
        .map(|a| {
            let i = Fields { node: &a.value, table: &schema::INPUT };
            Input {
                name: Spanned::new(a.name.clone(), a.key),
                ty: i.text("type").map_or_else(|| "string".into(), |t| t.value),
                description: i.text("description").map(|t| t.value),
                required: i.bool("required").unwrap_or(false),
                options: i.names("options").into_iter().map(|n| n.value).collect(),
                default: i.get("default").cloned(),
            }
        })
        .collect()
}

/// The job of one attribute of `jobs`, or its copies when it has a matrix.
fn jobs_of(workflow: &Node, attr: &Attr, jobs: &mut Vec<Job>, out: &mut Vec<Diagnostic>) {
    let Some(fields) = attr.value.attrs() else { return };
    if fields.iter().all(|a| super::shape::is_internal(&a.name)) {
        return;
    }
    let Some(m) = attr.value.get("matrix") else {
        let name = Spanned::new(attr.name.clone(), attr.key);
        jobs.push(job(&attr.value, name, None, out));
        return;
    };
    if !matrix::check(m, attr, out) {
        return;
    }
    let copies = workflow.attr("_matrix").and_then(|all| all.value.attr(&attr.name)).map(|a| &a.value);
    if let Some(Kind::Error(e)) = copies.map(|c| &c.kind) {
        out.push((**e).clone());
    }
    if copies.and_then(Node::list).is_some_and(<[Node]>::is_empty) {
        out.push(
            Diagnostic::error("NXA311", format!("the matrix of job `{}` leaves no combination", attr.name))
                .at(place(m, attr.key), "`exclude` leaves all of them out"),
        );
    }
    let mut seen = std::collections::HashSet::new();
    for copy in copies.and_then(Node::list).unwrap_or_default() {
        if let Kind::Error(e) = &copy.kind {
            out.push((**e).clone());
            continue;
        }
        let (Some(node), Some(suffix)) = (copy.get("job"), copy.get("suffix").and_then(Node::text)) else {
            continue;
        };
        let values = copy.get("values").and_then(Node::attrs).unwrap_or_default();
        let values: Vec<(String, String)> =
            values.iter().filter_map(|v| Some((v.name.clone(), v.value.text()?.to_string()))).collect();
        let name = format!("{}-{suffix}", attr.name);
        if !seen.insert(name.clone()) {
            out.push(
                Diagnostic::error(
                    "NXA311",
                    format!("two combinations of the matrix of job `{}` are both named `{name}`", attr.name),
                )
                .at(place(m, attr.key), "these values have the same text")
                .help("give the values different texts, or a `name` when they are sets"),
            );
            continue;
        }
        let spot = Spot::new(format!("job `{name}`"), attr.key);
        let ok = Shape { out }.check(node, &Type::Record(&schema::JOB), &spot);
        if ok {
            let (fail_fast, max_parallel) = matrix::scheduling(m);
            let (of, suffix) = (attr.name.clone(), suffix.to_string());
            let copy_of = MatrixCopy { job: of, suffix, values, fail_fast, max_parallel };
            jobs.push(job(node, Spanned::new(name, attr.key), Some(copy_of), out));
        }
    }
}

fn job(node: &Node, name: Spanned<String>, copy_of: Option<MatrixCopy>, out: &mut Vec<Diagnostic>) -> Job {
    let f = Fields { node, table: &schema::JOB };
    let owner = format!("job `{}`", name.value);
    let steps: Vec<Step> = match f.attr("steps").map(|a| (a, a.value.list())) {
        Some((attr, Some(items))) => {
            let steps = items.iter().enumerate().filter_map(|(i, n)| step(n, i, attr.key));
            steps.collect()
        }
        _ => Vec::new(),
    };
    let given = f.get("steps").is_some_and(|n| n.list().is_none_or(|l| !l.is_empty()));
    if !given && f.get("uses").is_none() && !misspelt_steps(node) {
        let at = f.attr("steps").map_or(name.span, |a| place(&a.value, a.key));
        out.push(
            Diagnostic::error("NXA006", format!("{owner} has no steps"))
                .at(at, "nothing to run")
                .help("add `steps = [ { bash = \"…\"; } ];`, or make the job `{ }` to leave it out"),
        );
    }
    let suffix = copy_of.as_ref().map(|c| c.suffix.clone());
    let mut env = f.env();
    if let Some(copy) = &copy_of {
        matrix::add_variables(copy, name.span, &mut env);
    }
    Job {
        needs: f.names("needs"),
        condition: f.condition(),
        continue_on_error: f.bool("continueOnError").unwrap_or(false),
        executor: f.attr("executor").and_then(executor),
        env,
        env_from: f.env_from(),
        store: store_references(node, &["steps", "actions", call::TREE]),
        pure: f.bool("pure").unwrap_or(false),
        inputs: artifact_inputs(f),
        outputs: artifact_outputs(f, suffix.as_deref()),
        retry: f.retry(),
        timeout: f.timeout(),
        budget: f.duration("budget"),
        shell: f.words("shell"),
        steps,
        tags: f.names("tags").into_iter().map(|t| t.value).collect(),
        description: f.text("description").map(|t| t.value),
        results: parts::references(f),
        call: call::decode(f, &owner, out),
        cache: parts::caches(f),
        skip_if_unchanged: parts::skip_if_unchanged(f),
        resources: parts::resources(f, &owner, out),
        services: parts::services(f, &owner, out),
        idempotent: f.bool("idempotent").unwrap_or(true),
        name,
        copy_of,
    }
}

/// Whether an unknown key was likely meant to be `steps`: one mistake, one finding.
fn misspelt_steps(node: &Node) -> bool {
    let keys = node.attrs().unwrap_or_default();
    keys.iter().any(|a| {
        schema::JOB.find(&a.name).is_none()
            && crate::base::suggest::nearest(&a.name, schema::JOB.keys.iter().map(|k| k.name))
                .contains(&"steps")
    })
}

fn step(node: &Node, index: usize, list: SpanId) -> Option<Step> {
    let at = place(node, list);
    let default_name = || Spanned::new(format!("step-{}", index + 1), at);
    if let Kind::Derivation(d) = &node.kind {
        let argv = only_program(d.out_path.as_deref()?);
        let [.., script, _, out] = &argv[..] else { return None };
        return Some(Step {
            name: Spanned::new(d.name.clone(), at),
            id: None,
            script: Spanned::new(format!("set -- {}\n{script}\n", quote(out)), at),
            shell: None,
            run: false,
            deps: vec![out.into()],
            store: store_references(node, &[]),
            env: Vec::new(),
            env_from: Vec::new(),
            workdir: None,
            condition: None,
            retry: Default::default(),
            timeout: Default::default(),
            continue_on_error: false,
            background: false,
        });
    }
    let f = Fields { node, table: &schema::STEP };
    let run = f.get("run").is_some();
    let deps = f.get("deps").and_then(Node::list).unwrap_or_default();
    Some(Step {
        name: f.text("name").unwrap_or_else(default_name),
        id: f.text("id"),
        script: f.text(if run { "run" } else { "bash" })?,
        shell: f.words("shell").filter(|_| run),
        run,
        deps: deps.iter().filter_map(path_text).map(Into::into).collect(),
        store: store_references(node, &[]),
        env: f.env(),
        env_from: f.env_from(),
        workdir: f
            .attr("workdir")
            .and_then(|a| Some(Spanned::new(path_text(&a.value)?, place(&a.value, a.key)))),
        condition: f.condition(),
        retry: f.retry(),
        timeout: f.timeout(),
        continue_on_error: f.bool("continueOnError").unwrap_or(false),
        background: f.bool("background").unwrap_or(false),
    })
}

fn store_references(node: &Node, but: &[&str]) -> BTreeSet<ContextElem> {
    let mut found = BTreeSet::new();
    node.store_references(&|name| !but.contains(&name), &mut found);
    found
}

fn quote(s: &str) -> String {
    format!("'{}'", s.replace('\'', "'\\''"))
}

fn executor(attr: &Attr) -> Option<ExecutorRef> {
    let node = &attr.value;
    if node.tag() != Some("executor") {
        return None;
    }
    let options = node.get("options")?;
    let name = options.attr("name").and_then(|a| text(&a.value, a.key));
    Some(ExecutorRef {
        kind: node.get("kind")?.text()?.to_string(),
        name,
        options: options.clone(),
        span: place(node, attr.key),
    })
}

fn artifact_inputs(f: Fields<'_>) -> Vec<ArtifactUse> {
    let Some(attr) = f.attr("inputs") else { return Vec::new() };
    let items = match &attr.value.kind {
        Kind::List(items) => &items[..],
        Kind::Null => return Vec::new(),
        _ => std::slice::from_ref(&attr.value),
    };
    let one = |n: &Node| {
        let here = place(n, attr.key);
        if n.attrs().is_none() {
            let path = Spanned::new(".".to_string(), here);
            return Some(ArtifactUse { name: text(n, attr.key)?, path });
        }
        let a = Fields { node: n, table: &schema::ARTIFACT_INPUT };
        let path = a.text("path").unwrap_or_else(|| Spanned::new(".".into(), here));
        Some(ArtifactUse { name: a.text("name")?, path })
    };
    items.iter().filter_map(one).collect()
}

fn artifact_outputs(f: Fields<'_>, suffix: Option<&str>) -> Vec<ArtifactGiven> {
    let table: &'static Table = &schema::ARTIFACT_OUTPUT;
    let one = |a: &Attr| {
        let name = match suffix {
            Some(s) => format!("{}-{s}", a.name),
            None => a.name.clone(),
        };
        let name = Spanned::new(name, a.key);
        if a.value.attrs().is_none() {
            let path = text(&a.value, a.key)?;
            return Some(ArtifactGiven { name, path, always: false });
        }
        let o = Fields { node: &a.value, table };
        let always = o.text("when").is_some_and(|w| w.value == "always");
        Some(ArtifactGiven { name, path: o.text("path")?, always })
    };
    let attrs = f.get("outputs").and_then(Node::attrs).unwrap_or_default();
    attrs.iter().filter_map(one).collect()
}
