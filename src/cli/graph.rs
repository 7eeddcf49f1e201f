//! A plan as pictures of its graph: text, Graphviz, Mermaid.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::workflow::plan::{Condition, Job, Plan, StatusExpr};

/// The plan as text: jobs by the earliest moment they can start, with what they wait for.
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
            let _ = write!(out, "{number:>3}  {:width$}  {}", job.name, count(job.steps.len(), "step"));
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
    for job in &plan.jobs {
        let needs = job.needs.iter().filter(|n| levels.contains_key(n.as_str()));
        waiting.insert(&job.name, needs.clone().count());
        for need in needs {
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

/// The graph for Graphviz. Needs are solid, artifacts that pass along an edge stand on it.
pub(super) fn dot(plan: &Plan) -> String {
    let mut out = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(&plan.name));
    for job in &plan.jobs {
        let style = if job.condition == Condition::Success { "" } else { ", style=dashed" };
        let label = format!("{}\n{}", job.name, count(job.steps.len(), "step"));
        let _ = writeln!(out, "  {} [label={}{style}];", quoted(&job.name), quoted(&label));
    }
    for (from, to, artifacts) in edges(plan) {
        let _ = write!(out, "  {} -> {}", quoted(from), quoted(to));
        if !artifacts.is_empty() {
            let _ = write!(out, " [label={}]", quoted(&artifacts.join(", ")));
        }
        out.push_str(";\n");
    }
    out.push_str("}\n");
    out
}

/// The graph for Mermaid.
pub(super) fn mermaid(plan: &Plan) -> String {
    let numbers: BTreeMap<&str, usize> =
        plan.jobs.iter().enumerate().map(|(i, j)| (j.name.as_str(), i)).collect();
    let mut out = String::from("flowchart LR\n");
    for (i, job) in plan.jobs.iter().enumerate() {
        let _ = writeln!(out, "  j{i}[\"{}\"]", entities(&job.name));
    }
    for (from, to, artifacts) in edges(plan) {
        let (Some(from), Some(to)) = (numbers.get(from), numbers.get(to)) else { continue };
        if artifacts.is_empty() {
            let _ = writeln!(out, "  j{from} --> j{to}");
        } else {
            let _ = writeln!(out, "  j{from} -->|\"{}\"| j{to}", entities(&artifacts.join(", ")));
        }
    }
    out
}

/// The edges from need to dependent, each with the artifacts that pass along it.
fn edges(plan: &Plan) -> impl Iterator<Item = (&str, &str, Vec<&str>)> {
    plan.jobs.iter().flat_map(move |job| {
        job.needs.iter().map(move |need| {
            let producer = plan.jobs.iter().find(|j| j.name == *need);
            let gives = |name: &str| producer.is_some_and(|p| p.outputs.iter().any(|o| o.name == name));
            let names = job.inputs.iter().map(|i| i.name.as_str()).filter(|n| gives(n)).collect();
            (need.as_str(), job.name.as_str(), names)
        })
    })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// Mermaid's escapes: its labels know entities by number, written with `#`.
fn entities(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '`' | '|' => {
                let _ = write!(out, "#{};", c as u32);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
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

    #[test]
    fn dot_quotes_names() {
        let dot = dot(&plan());
        assert!(dot.contains("  \"build\" -> \"deploy \\\"x\\\"\" [label=\"dist\"];\n"), "{dot}");
    }

    #[test]
    fn mermaid_numbers_jobs() {
        let mermaid = mermaid(&plan());
        assert!(mermaid.contains("  j1[\"deploy #34;x#34;\"]\n"), "{mermaid}");
        assert!(mermaid.contains("  j0 -->|\"dist\"| j1\n"), "{mermaid}");
    }
}
