//! Model to plan: every default filled in, every level merged.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::graph::{self, Graph};
use super::model::{self, EnvValue, ProviderKind, Setting, Workflow};
use super::plan::{
    self, ArtifactInput, ArtifactOutput, Condition, Env, Executor, Plan, Provider, StoreObjects,
};
use super::{parts, results, retry};
use crate::drv::object::Needed;
use crate::drv::store_path::StoreDir;
use crate::ir::text::ContextElem;

/// The plan of a checked workflow, for a project in this directory.
pub fn build(workflow: &Workflow, graph: &Graph, project_dir: &Path, store_dir: &StoreDir) -> Plan {
    let mut b = Builder { secrets: Vec::new(), executors: HashMap::new(), jobs: Vec::new(), store_dir };
    let (env, env_from) = b.environment(&workflow.env, &workflow.env_from);
    b.add_jobs(workflow, graph, &Around::default());
    let notify = workflow.notify.iter().map(|w| b.webhook(w)).collect();
    let (mut jobs, mut secrets) = (b.jobs, b.secrets);
    jobs.sort_by(|a, b| a.name.cmp(&b.name));
    secrets.sort();
    secrets.dedup();
    Plan {
        version: 1,
        name: workflow.name.value.clone(),
        project_dir: project_dir.to_path_buf(),
        jobs,
        env,
        env_from,
        fail_fast: workflow.fail_fast,
        max_parallel: workflow.max_parallel,
        budget: workflow.budget.as_ref().map(|b| b.value),
        log_format: workflow.log_format.clone(),
        log_level: workflow.log_level.clone(),
        concurrency: workflow.concurrency.clone(),
        notify,
        results: values(&workflow.results, ""),
        on: workflow.on.clone(),
        secrets,
        store: needed(&workflow.store, store_dir),
        objects: StoreObjects::default(),
    }
}

/// What stands around the jobs of a workflow that another uses.
#[derive(Clone, Default)]
struct Around {
    /// The calling job's whole name.
    parent: Option<String>,
    /// What the names of jobs and artifacts begin with: the parent and a slash.
    prefix: String,
    retry: Setting<model::RetryRule>,
    timeout: Setting<std::time::Duration>,
    /// What the calls need of the store, for the environment that they give.
    store: BTreeSet<Needed>,
}

/// Results of a workflow, by name.
fn values(results: &[model::Reference], prefix: &str) -> BTreeMap<String, plan::JobValue> {
    let one = |r: &model::Reference| {
        let value = results::job_value(&r.to.value)?;
        let job = format!("{prefix}{}", value.job);
        Some((r.name.value.clone(), plan::JobValue { job, ..value }))
    };
    results.iter().filter_map(one).collect()
}

/// What references mean: an output, or a path as it is. One that is no store path (evaluation makes
/// none) is left out.
fn needed(references: &BTreeSet<ContextElem>, dir: &StoreDir) -> BTreeSet<Needed> {
    let one = |c: &ContextElem| match c {
        ContextElem::Opaque(path) | ContextElem::DrvDeep(path) => dir.parse(path).ok().map(Needed::Path),
        ContextElem::Built(drv, output) => {
            let output = String::from_utf8_lossy(output).into_owned();
            dir.parse(drv).ok().map(|drv| Needed::Output(drv, output))
        }
        // The output of a derivation that is itself built: its path is not known, nor in any plan.
        ContextElem::Dynamic(..) => None,
    };
    references.iter().filter_map(one).collect()
}

struct Builder<'d> {
    secrets: Vec<String>,
    store_dir: &'d StoreDir,
    /// Names of executors without one, by kind and options.
    executors: HashMap<String, Vec<serde_json::Value>>,
    jobs: Vec<plan::Job>,
}

/// Strict bash: what a script in `bash` runs under.
fn bash() -> Vec<String> {
    ["bash", "-euo", "pipefail"].map(String::from).to_vec()
}

/// The command of a shell: the well-known ones stop at the first error.
fn shell(words: &[String]) -> Vec<String> {
    match words {
        [one] if one == "bash" => bash(),
        [one] if one == "sh" => vec!["sh".into(), "-e".into()],
        _ => words.to_vec(),
    }
}

impl Builder<'_> {
    fn add_jobs(&mut self, workflow: &Workflow, graph: &Graph, around: &Around) {
        let around = Around {
            retry: retry::merge(&around.retry, &workflow.retry),
            timeout: retry::inherit(&around.timeout, &workflow.timeout),
            ..around.clone()
        };
        for (i, job) in workflow.jobs.iter().enumerate() {
            let needs = graph.needs[i].iter().map(|&(n, _)| workflow.jobs[n].name.value.as_str());
            let mut needs: Vec<String> = needs.map(|n| format!("{}{n}", around.prefix)).collect();
            needs.sort();
            let planned = self.job(job, needs, &around);
            let (name, timeout) = (planned.name.clone(), retry::inherit(&around.timeout, &job.timeout));
            self.jobs.push(planned);
            if let Some(call) = &job.call {
                let mut store = needed(&job.store, self.store_dir);
                store.extend(needed(&call.value.store, self.store_dir));
                store.extend(around.store.iter().cloned());
                let inner = Around {
                    store,
                    prefix: format!("{name}/"),
                    parent: Some(name),
                    retry: retry::merge(&around.retry, &job.retry),
                    timeout,
                };
                // The graph was checked already; here only its edges are wanted.
                let graph = graph::resolve(&call.value, &mut Vec::new());
                self.add_jobs(&call.value, &graph, &inner);
            }
        }
    }

    /// The call of a job that uses another workflow: its environment over the job's own.
    fn call(&mut self, workflow: &Workflow, job: &model::Job, name: &str) -> plan::Call {
        let (mut env, mut env_from) = self.environment(&job.env, &job.env_from);
        let (inner, inner_from) = self.environment(&workflow.env, &workflow.env_from);
        env.extend(inner);
        env_from.extend(inner_from);
        plan::Call {
            workflow: workflow.name.value.clone(),
            env,
            env_from,
            fail_fast: workflow.fail_fast,
            max_parallel: workflow.max_parallel,
            budget: workflow.budget.as_ref().map(|b| b.value),
            results: values(&workflow.results, &format!("{name}/")),
        }
    }

    fn job(&mut self, job: &model::Job, needs: Vec<String>, around: &Around) -> plan::Job {
        let prefix = &around.prefix;
        let name = format!("{prefix}{}", job.name.value);
        let call = job.call.as_ref().map(|c| self.call(&c.value, job, &name));
        let (env, env_from) = match &call {
            Some(_) => (Env::new(), Vec::new()),
            None => self.environment(&job.env, &job.env_from),
        };
        let job_retry = retry::merge(&around.retry, &job.retry);
        let whole = matches!(&job_retry, Setting::Set(r) if r.whole_job == Some(true));
        let for_steps = if whole { Setting::Inherit } else { job_retry.clone() };
        let timeout = retry::inherit(&around.timeout, &job.timeout);
        let steps =
            job.steps.iter().map(|s| self.step(s, job.shell.as_deref(), &for_steps, &timeout)).collect();
        plan::Job {
            name,
            needs,
            condition: condition(&job.condition),
            continue_on_error: job.continue_on_error,
            executor: self.executor(job.executor.as_ref()),
            env,
            env_from,
            pure: job.pure,
            inputs: job
                .inputs
                .iter()
                .map(|i| ArtifactInput {
                    name: format!("{prefix}{}", i.name.value),
                    path: i.path.value.clone(),
                })
                .collect(),
            outputs: job
                .outputs
                .iter()
                .map(|o| ArtifactOutput {
                    name: format!("{prefix}{}", o.name.value),
                    path: o.path.value.clone(),
                    always: o.always,
                })
                .collect(),
            results: job
                .results
                .iter()
                .filter_map(|r| Some((r.name.value.clone(), results::step_value(&r.to.value)?)))
                .collect(),
            matrix: job.copy_of.as_ref().map(|c| plan::Copy {
                job: format!("{prefix}{}", c.job),
                values: c.values.iter().cloned().collect(),
                fail_fast: c.fail_fast,
                max_parallel: c.max_parallel,
            }),
            retry: match &job_retry {
                Setting::Set(r) if whole && call.is_none() => r.complete(),
                _ => None,
            },
            call,
            parent: around.parent.clone(),
            cache: job.cache.iter().map(|c| c.value.clone()).collect(),
            skip_if_unchanged: job
                .skip_if_unchanged
                .as_ref()
                .map(|s| plan::SkipIfUnchanged { inputs: s.value.clone() }),
            resources: job.resources.as_ref().map(|r| r.value.clone()),
            services: job.services.iter().map(|s| self.service(s)).collect(),
            budget: job.budget.as_ref().map(|b| b.value),
            store: needed(&job.store, self.store_dir).union(&around.store).cloned().collect(),
            steps,
            idempotent: job.idempotent,
            tags: job.tags.clone(),
            description: job.description.clone(),
        }
    }

    fn service(&mut self, s: &model::Service) -> plan::Service {
        let mut env = BTreeMap::new();
        for v in &s.env {
            let value = match &v.value {
                EnvValue::Unset => None,
                value => Some(parts::plan_text(value, &mut self.secrets)),
            };
            env.insert(v.name.value.clone(), value);
        }
        plan::Service {
            name: s.name.value.clone(),
            image: s.image.as_ref().map(|image| image.value.clone()),
            script: s.script.clone(),
            ports: s.ports.clone(),
            env,
            health: s.health.clone(),
        }
    }

    fn webhook(&mut self, w: &model::Webhook) -> plan::Notify {
        plan::Notify {
            url: parts::plan_text(&w.url.value, &mut self.secrets),
            on: w.on.clone(),
            headers: w
                .headers
                .iter()
                .map(|v| (v.name.value.clone(), parts::plan_text(&v.value, &mut self.secrets)))
                .collect(),
            body: w.body.clone(),
        }
    }

    fn step(
        &mut self,
        step: &model::Step,
        job_shell: Option<&[String]>,
        above: &Setting<model::RetryRule>,
        timeout: &Setting<std::time::Duration>,
    ) -> plan::Step {
        let (env, env_from) = self.environment(&step.env, &step.env_from);
        let command = match (&step.shell, job_shell) {
            (Some(own), _) => shell(own),
            (None, Some(words)) if step.run => shell(words),
            _ => bash(),
        };
        plan::Step {
            name: step.name.value.clone(),
            id: step.id.as_ref().map(|i| i.value.clone()),
            script: step.script.value.clone(),
            shell: command,
            deps: step.deps.clone(),
            store: needed(&step.store, self.store_dir),
            env,
            env_from,
            workdir: step.workdir.as_ref().map(|w| w.value.clone()),
            condition: condition(&step.condition),
            continue_on_error: step.continue_on_error,
            background: step.background,
            retry: match retry::merge(above, &step.retry) {
                Setting::Set(r) => r.complete(),
                _ => None,
            },
            timeout: match retry::inherit(timeout, &step.timeout) {
                Setting::Set(t) => Some(t),
                _ => None,
            },
        }
    }

    /// Variables and providers of one level. References to the ambient environment become a
    /// provider after the others, which so wins over them.
    fn environment(&mut self, env: &[model::Variable], from: &[model::Provider]) -> (Env, Vec<Provider>) {
        let mut vars = Env::new();
        let mut references: Vec<String> = Vec::new();
        for v in env {
            let name = v.name.value.clone();
            match &v.value {
                EnvValue::FromEnv(of) => references.extend([name, of.clone()]),
                value => {
                    vars.insert(name, self.value(value));
                }
            }
        }
        let mut providers: Vec<Provider> = from.iter().map(|p| self.provider(p)).collect();
        if !references.is_empty() {
            providers.push(ambient(references));
        }
        (vars, providers)
    }

    fn value(&mut self, value: &EnvValue) -> Option<String> {
        match value {
            EnvValue::Text(t) => Some(t.clone()),
            EnvValue::Secret(s) => {
                self.secrets.push(s.clone());
                Some(s.clone())
            }
            EnvValue::Unset | EnvValue::FromEnv(_) => None,
        }
    }

    fn provider(&mut self, p: &model::Provider) -> Provider {
        match &p.kind {
            ProviderKind::File { path, required, secrets } => {
                Provider::File { path: path.clone(), required: *required, secrets: *secrets }
            }
            ProviderKind::Static(env) => {
                let mut vars: Env = BTreeMap::new();
                let mut references = Vec::new();
                for v in env {
                    match &v.value {
                        EnvValue::FromEnv(of) => {
                            references.extend([v.name.value.clone(), of.clone()]);
                        }
                        value => {
                            vars.insert(v.name.value.clone(), self.value(value));
                        }
                    }
                }
                // A set of references alone is the program that resolves them.
                if vars.is_empty() && !references.is_empty() {
                    return ambient(references);
                }
                Provider::Static { env: vars }
            }
            ProviderKind::Required(names) => {
                Provider::Required { names: names.iter().map(|n| n.value.clone()).collect() }
            }
            ProviderKind::Program { argv, secrets, printed } => {
                Provider::Program { argv: argv.clone(), secrets: *secrets, printed: printed.clone() }
            }
        }
    }

    fn executor(&mut self, e: Option<&model::ExecutorRef>) -> Executor {
        let (kind, options) = match e {
            Some(e) => (e.kind.clone(), e.options.to_json()),
            None => ("local".to_string(), serde_json::json!({})),
        };
        let options = match options {
            serde_json::Value::Object(map) => map,
            _ => serde_json::Map::new(),
        };
        if let Some(name) = e.and_then(|e| e.name.as_ref()) {
            return Executor { kind, name: name.value.clone(), options };
        }
        // Differently configured executors of one kind do not share a workspace.
        let seen = self.executors.entry(kind.clone()).or_default();
        let value = serde_json::Value::Object(options.clone());
        let i = seen.iter().position(|o| *o == value).unwrap_or_else(|| {
            seen.push(value);
            seen.len() - 1
        });
        let name = if i == 0 { kind.clone() } else { format!("{kind}-{}", i + 1) };
        Executor { kind, name, options }
    }
}

/// A provider that copies variables: pairs of a name and the name it is taken from.
fn ambient(pairs: Vec<String>) -> Provider {
    let script = r#"set -u
while (( $# )); do
  [[ -v $2 ]] || { echo "the environment variable $2 is not set, and $1 is to have its value" >&2; exit 1; }
  value=${!2}
  printf "export %s='%s'\n" "$1" "${value//\'/\'\\\'\'}"
  shift 2
done"#;
    let mut argv = ["bash", "-c", script, "fromEnv"].map(String::from).to_vec();
    argv.extend(pairs);
    Provider::Program { argv, secrets: false, printed: plan::Printed::default() }
}

fn condition(c: &Option<model::Spanned<Condition>>) -> Condition {
    c.as_ref().map(|c| c.value.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::source::SpanId;
    use crate::workflow::check::check;
    use crate::workflow::tree::from_json;
    use serde_json::json;

    fn plan(v: serde_json::Value) -> Plan {
        let c = check(&from_json(&v), SpanId::NONE);
        assert!(c.is_ok(), "{:?}", c.diagnostics.iter().map(|d| &d.message).collect::<Vec<_>>());
        build(&c.workflow.unwrap(), &c.graph.unwrap(), Path::new("/p"), &StoreDir::default())
    }

    #[test]
    fn defaults_and_levels() {
        let p = plan(json!({
            "name": "w", "timeout": 60, "retry": { "max_attempts": 3 },
            "env": { "T": { "_type": "secret", "value": "s3cret" }, "H": { "_type": "fromEnv", "name": "HOME" }, "N": null },
            "jobs": {
                "a": { "steps": [ { "bash": "true" }, { "run": "print()", "shell": "python3 -u", "timeout": null, "retry": null } ] },
                "b": { "needs": ["a"], "executor": { "_type": "executor", "kind": "local", "options": { "copyRepo": false } },
                       "steps": [ { "bash": "true", "timeout": "1m30s" } ] },
                "c": { "needs": ["a"], "retry": { "scope": "job" }, "steps": [ { "bash": "true" } ] },
            },
        }));
        assert_eq!(p.secrets, ["s3cret"]);
        assert_eq!(p.env["N"], None);
        assert!(matches!(&p.env_from[..], [Provider::Program { .. }]));
        let [a, b, c] = &p.jobs[..] else { panic!() };
        assert_eq!(a.steps[0].name, "step-1");
        assert_eq!(a.steps[0].timeout.unwrap().as_secs(), 60);
        assert_eq!(a.steps[0].retry.as_ref().unwrap().max_attempts, 3);
        assert_eq!(a.steps[1].shell, ["python3", "-u"]);
        assert_eq!((a.steps[1].timeout, &a.steps[1].retry), (None, &None));
        assert_eq!((a.executor.name.as_str(), b.executor.name.as_str()), ("local", "local-2"));
        assert_eq!(b.steps[0].timeout.unwrap().as_secs(), 90);
        assert_eq!(c.retry.as_ref().unwrap().max_attempts, 3);
        assert_eq!(c.steps[0].retry, None);
        assert_eq!(c.needs, ["a"]);
    }
}
