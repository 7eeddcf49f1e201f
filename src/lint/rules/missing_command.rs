//! NXA502: a program that a pure job's script calls and nothing puts on its PATH.

use crate::diag::{Diagnostic, Severity};
use crate::lint::registry::Model;
use crate::lint::shell;

pub(in crate::lint) fn check(model: &Model<'_>, out: &mut Vec<Diagnostic>) {
    for job in model.workflow.jobs.iter().filter(|j| j.pure) {
        // What packages and earlier steps put on the PATH is not known here.
        let sets_path = |s: &str| s.contains("JOB_ENV") || s.contains("PATH=");
        if job.steps.iter().any(|s| !s.deps.is_empty() || sets_path(&s.script.value)) {
            continue;
        }
        for step in job.steps.iter().filter(|s| s.shell.is_none()) {
            let names = |n: &str| step.env.iter().chain(&job.env).any(|v| v.name.value == n);
            if names("PATH") {
                continue;
            }
            for program in shell::programs(&step.script.value) {
                let d = Diagnostic::new(
                    Severity::Hint,
                    "NXA502",
                    format!(
                        "step `{}` of job `{}` calls `{program}`, which is not on its PATH",
                        step.name.value, job.name.value
                    ),
                )
                .at(step.script.span, format!("`{program}` is not found in a pure job"))
                .help(format!("add the package that has it: `deps = [ pkgs.{program} ];`"));
                out.push(d);
            }
        }
    }
}
