//! NXA502: a program that a pure job's script calls and nothing puts on its PATH.

use std::collections::HashSet;

use rnix::SyntaxKind;
use rnix::ast::{self, HasEntry};
use rowan::ast::AstNode;

use crate::diag::{Applicability, Diagnostic, Edit, Fix, Severity};
use crate::lint::registry::Model;
use crate::lint::{programs, shell};
use crate::syntax::names::{BindingKind, static_name};
use crate::workflow::model::{Job, Step};

pub(in crate::lint) fn check(model: &Model<'_>, out: &mut Vec<Diagnostic>) {
    for job in model.workflow.jobs.iter().filter(|j| j.pure && model.sound) {
        // What earlier steps put on the PATH is not known here.
        let sets_path = |s: &str| s.contains("JOB_ENV") || s.contains("PATH=");
        if job.steps.iter().any(|s| sets_path(&s.script.value)) {
            continue;
        }
        for step in job.steps.iter().filter(|s| s.shell.is_none()) {
            let mut env = step.env.iter().chain(&job.env);
            // Packages that are not known may have anything.
            let has: Option<Vec<_>> = step.deps.iter().map(|p| programs::programs_of(p)).collect();
            let (false, Some(has)) = (env.any(|v| v.name.value == "PATH"), has) else { continue };
            let has: HashSet<&str> = has.into_iter().flatten().copied().collect();
            let mut missing = shell::programs(&step.script.value);
            missing.retain(|program| !has.contains(program.as_str()));
            report(model, job, step, &missing, out);
        }
    }
}

fn report(model: &Model<'_>, job: &Job, step: &Step, missing: &[String], out: &mut Vec<Diagnostic>) {
    for (i, program) in missing.iter().enumerate() {
        let package = programs::package_of(program);
        let help = match package {
            Some(package) => format!("add the package that has it: `deps = [ pkgs.{package} ];`"),
            None => "add the package that has it to `deps`".into(),
        };
        let mut d = Diagnostic::new(
            Severity::Hint,
            "NXA502",
            format!(
                "step `{}` of job `{}` calls `{program}`, which is not on its PATH",
                step.name.value, job.name.value
            ),
        )
        .at(step.script.span, format!("`{program}` is not found in a pure job"))
        .help(help);
        // One edit adds all of them.
        if i == 0 {
            d.fixes.extend(add(model, step, missing));
        }
        out.push(d);
    }
}

/// Adds packages to a step that is written as a set without `deps`, where the file has `pkgs`.
fn add(model: &Model<'_>, step: &Step, missing: &[String]) -> Option<Fix> {
    let packages: Option<Vec<&str>> = missing.iter().map(|p| programs::package_of(p)).collect();
    let packages = packages?;
    let place = step.script.span.resolve()?;
    let text = model.texts.text(&place)?;
    let script = text.node_at(place.start, place.end)?;
    let binding = script.ancestors().find(|n| n.kind() == SyntaxKind::NODE_ATTRPATH_VALUE)?;
    let set = binding.parent().and_then(ast::AttrSet::cast)?;
    let first = |e: ast::AttrpathValue| static_name(&e.attrpath()?.attrs().next()?);
    let names: Vec<String> = set.attrpath_values().filter_map(first).collect();
    let inherits = set.inherits().next().is_some();
    let is_step = names.iter().any(|n| n == "bash" || n == "run") && !names.iter().any(|n| n == "deps");
    let pkgs = text.names().bindings.iter().any(|b| b.name == "pkgs" && b.kind == BindingKind::Formal);
    if !is_step || inherits || !pkgs {
        return None;
    }
    let mut list: Vec<String> = packages.iter().map(|p| format!("pkgs.{p}")).collect();
    list.dedup();
    let mut at = text.place(binding.text_range());
    at.end = at.start;
    Some(Fix {
        title: format!("add {} to `deps`", list.join(" and ")),
        edits: vec![Edit { place: at, text: format!("deps = [ {} ]; ", list.join(" ")) }],
        applicability: Applicability::Unsafe,
    })
}
