//! A plan as text: jobs by the earliest moment they can start.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::workflow::plan::{Condition, Job, Plan, StatusExpr};

/// Jobs by level, each with what it waits for, takes and gives.
pub(super) fn text(plan: &Plan) -> String {
    let levels = levels(plan);
    let depth = levels.values().max().map_or(0, |d| d + 1);
    let mut out = format!("{}: {}, {}\n", plan.name, count(plan.jobs.len(), "job"), count(depth, "level"));
    let width = plan.jobs.iter().map(|j| j.name.chars().count()).max().unwrap_or(0);
    for level in 0..depth {
        out.push('\n');
        for (i, job) in plan.jobs.iter().filter(|j| levels[j.name.as_str()] == level).enumerate() {
            let number = if i == 0 { format!("{}", level + 1) } else { String::new() };
            // Writing to a string cannot fail.
            let what = match &job.call {
                Some(call) => format!("ends {}", call.workflow),
                None => count(job.steps.len(), "step"),
            };
            let _ = write!(out, "{number:>3}  {:width$}  {what}", job.name);
            let facts = facts(job);
            if !facts.is_empty() {
                let _ = write!(out, "  {}", facts.join("; "));
            }
            out.push('\n');
        }
    }
    out
}

/// What is to be known of a job besides its name and steps.
fn facts(job: &Job) -> Vec<String> {
    let mut facts = Vec::new();
    if !job.needs.is_empty() {
        facts.push(format!("needs {}", job.needs.join(", ")));
    }
    if job.condition != Condition::Success {
        facts.push(format!("if {}", condition(&job.condition)));
    }
    if job.executor.kind != "local" {
        facts.push(format!("on {}", job.executor.name));
    }
    if !job.inputs.is_empty() {
        let names: Vec<&str> = job.inputs.iter().map(|i| i.name.as_str()).collect();
        facts.push(format!("takes {}", names.join(", ")));
    }
    if !job.outputs.is_empty() {
        let names: Vec<&str> = job.outputs.iter().map(|o| o.name.as_str()).collect();
        facts.push(format!("gives {}", names.join(", ")));
    }
    if let Some(budget) = job.budget {
        facts.push(format!("within {}", duration(budget)));
    }
    if job.continue_on_error {
        facts.push("may fail".into());
    }
    facts
}

/// The longest chain of needs below each job.
fn levels(plan: &Plan) -> BTreeMap<&str, usize> {
    let mut levels: BTreeMap<&str, usize> = plan.jobs.iter().map(|j| (j.name.as_str(), 0)).collect();
    let mut dependents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
    for (job, after) in plan.jobs.iter().zip(plan.comes_after()) {
        waiting.insert(&job.name, after.len());
        for need in after {
            dependents.entry(need).or_default().push(&job.name);
        }
    }
    let mut ready: Vec<&str> = waiting.iter().filter(|&(_, &n)| n == 0).map(|(&j, _)| j).collect();
    while let Some(job) = ready.pop() {
        let next = levels[job] + 1;
        for &dependent in dependents.get(job).map(Vec::as_slice).unwrap_or_default() {
            if let Some(level) = levels.get_mut(dependent) {
                *level = (*level).max(next);
            }
            if let Some(left) = waiting.get_mut(dependent) {
                *left -= 1;
                if *left == 0 {
                    ready.push(dependent);
                }
            }
        }
    }
    levels
}

fn count(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

fn condition(condition: &Condition) -> String {
    match condition {
        Condition::Success => "success()".into(),
        Condition::Expr(e) => expression(e, 0),
        Condition::Script(script) => {
            let script = script.trim();
            match script.lines().next() {
                Some(first) if first.len() < script.len() => format!("`{first} …`"),
                _ => format!("`{script}`"),
            }
        }
    }
}

/// The expression with as few parentheses as its precedence needs.
fn expression(e: &StatusExpr, around: u8) -> String {
    let (text, own) = match e {
        StatusExpr::Success => ("success()".to_owned(), 3),
        StatusExpr::Failure => ("failure()".to_owned(), 3),
        StatusExpr::Always => ("always()".to_owned(), 3),
        StatusExpr::Cancelled => ("cancelled()".to_owned(), 3),
        StatusExpr::Not(e) => (format!("!{}", expression(e, 3)), 3),
        StatusExpr::And(a, b) => (format!("{} && {}", expression(a, 2), expression(b, 2)), 2),
        StatusExpr::Or(a, b) => (format!("{} || {}", expression(a, 1), expression(b, 1)), 1),
    };
    if own < around { format!("({text})") } else { text }
}

fn duration(d: Duration) -> String {
    let ms = d.as_millis();
    let parts = [(ms / 3_600_000, "h"), (ms / 60_000 % 60, "m"), (ms / 1000 % 60, "s"), (ms % 1000, "ms")];
    let text: String = parts.iter().filter(|p| p.0 > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let step = |n: &str| serde_json::json!({ "name": n, "script": "true", "shell": ["bash"] });
        let local = serde_json::json!({ "kind": "local", "name": "local" });
        serde_json::from_value(serde_json::json!({
            "version": 1,
            "name": "ci",
            "projectDir": "/p",
            "jobs": [
                { "name": "build", "executor": local, "steps": [step("a"), step("b")],
                  "outputs": [{ "name": "dist", "path": "dist" }] },
                { "name": "deploy \"x\"", "executor": local, "steps": [step("a")], "needs": ["build"],
                  "inputs": [{ "name": "dist", "path": "." }], "budget": 90_000,
                  "condition": { "expr": { "and": [ { "or": ["success", "failure"] }, "always" ] } } },
                { "name": "lint", "executor": local, "steps": [step("a")] },
            ],
        }))
        .expect("a plan")
    }

    #[test]
    fn text_lists_jobs_by_level() {
        let expected = "ci: 3 jobs, 2 levels\n\n  1  build       2 steps  gives dist\n     lint        1 step\n\n  \
            2  deploy \"x\"  1 step  needs build; if (success() || failure()) && always(); takes dist; within 1m30s\n";
        assert_eq!(text(&plan()), expected);
    }
}
