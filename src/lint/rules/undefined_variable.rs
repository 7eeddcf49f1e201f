//! NXA404: a script uses a variable that nothing in the workflow sets.

use std::collections::HashSet;

use crate::diag::{Diagnostic, Severity};
use crate::lint::registry::Model;
use crate::lint::shell;
use crate::workflow::model::{Job, Provider, ProviderKind, Variable};

pub(in crate::lint) fn check(model: &Model<'_>, out: &mut Vec<Diagnostic>) {
    let w = model.workflow;
    for job in &w.jobs {
        let providers = w.env_from.iter().chain(&job.env_from);
        // What these set is known only when they run.
        if providers.clone().any(is_opaque) || job.steps.iter().any(|s| s.script.value.contains("JOB_ENV")) {
            continue;
        }
        let mut set: HashSet<&str> = names(&w.env).chain(names(&job.env)).collect();
        set.extend(providers.flat_map(provided));
        for step in job.steps.iter().filter(|s| s.shell.is_none() && !s.env_from.iter().any(is_opaque)) {
            let mut set = set.clone();
            set.extend(names(&step.env));
            set.extend(step.env_from.iter().flat_map(provided));
            for name in shell::undefined(&step.script.value) {
                if !set.contains(name.as_str()) && !is_always_set(&name) && !is_result(job, &name) {
                    report(&step.name.value, job, &name, step.script.span, out);
                }
            }
        }
    }
}

fn names(env: &[Variable]) -> impl Iterator<Item = &str> {
    env.iter().map(|v| v.name.value.as_str())
}

fn is_opaque(p: &Provider) -> bool {
    !matches!(p.kind, ProviderKind::Static(_) | ProviderKind::Required(_))
}

fn provided(p: &Provider) -> Vec<&str> {
    match &p.kind {
        ProviderKind::Static(env) => names(env).collect(),
        ProviderKind::Required(list) => list.iter().map(|n| n.value.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// Names that the runner, the system or bash itself sets.
fn is_always_set(name: &str) -> bool {
    const SET: [&str; 40] = [
        "PATH",
        "HOME",
        "USER",
        "SHELL",
        "LANG",
        "TERM",
        "TZ",
        "TMPDIR",
        "PWD",
        "OLDPWD",
        "CI",
        "NIXACTIONS",
        "WORKFLOW_NAME",
        "WORKFLOW_ID",
        "LOGNAME",
        "HOSTNAME",
        "IFS",
        "PS1",
        "PS4",
        "UID",
        "EUID",
        "PPID",
        "RANDOM",
        "SECONDS",
        "LINENO",
        "SHLVL",
        "OSTYPE",
        "HOSTTYPE",
        "MACHTYPE",
        "BASH",
        "BASHPID",
        "BASH_VERSION",
        "BASH_SOURCE",
        "FUNCNAME",
        "PIPESTATUS",
        "REPLY",
        "OPTARG",
        "OPTIND",
        "EPOCHSECONDS",
        "BASH_REMATCH",
    ];
    SET.contains(&name)
        || ["JOB_", "NIXACTIONS_", "LC_", "MATRIX_", "XDG_", "NIX_"].iter().any(|p| name.starts_with(p))
}

/// Whether a name is that of a result of a job that is needed.
fn is_result(job: &Job, name: &str) -> bool {
    name.starts_with("NEEDS_") && !job.needs.is_empty()
}

fn report(step: &str, job: &Job, name: &str, at: crate::base::source::SpanId, out: &mut Vec<Diagnostic>) {
    let d = Diagnostic::new(
        Severity::Hint,
        "NXA404",
        format!("step `{step}` of job `{}` uses `${name}`, which nothing in the workflow sets", job.name.value),
    )
    .at(at, format!("`${name}` must come from the environment"))
    .help(format!(
        "set it in `env`, or say that it must be there: `envFrom = [ (nixactions.envProviders.required [ \"{name}\" ]) ];`"
    ));
    out.push(d);
}
