//! A plan as a picture of its graph: SVG, Graphviz, Mermaid.

mod dot;
mod layout;
mod mermaid;
mod svg;

pub(super) use svg::STYLE;

use rustc_hash::FxHashMap;

use crate::workflow::plan::{Condition, Plan};

/// How a picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// A drawing that stands alone.
    Svg,
    /// Text for Graphviz.
    Dot,
    /// Text for Mermaid.
    Mermaid,
}

/// How a node is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Look {
    /// A job that is only planned.
    #[default]
    Planned,
    /// It succeeded.
    Success,
    /// It failed.
    Failure,
    /// It was skipped.
    Skipped,
    /// It was cancelled, or cut off.
    Cancelled,
}

/// A job.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) name: String,
    /// A few words below the name.
    pub(super) note: String,
    /// It runs only under a condition of its own.
    pub(super) conditional: bool,
    pub(super) look: Look,
}

/// From a need to what needs it.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Artifacts that pass along it.
    pub(super) label: String,
}

/// Jobs and their needs.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    pub(super) name: String,
    pub(super) nodes: Vec<Node>,
    pub(super) edges: Vec<Edge>,
}

/// Draws the graph of a plan.
pub fn draw(plan: &Plan, picture: Picture) -> String {
    let graph = of_plan(plan);
    match picture {
        Picture::Svg => svg::draw(&graph),
        Picture::Dot => dot::draw(&graph),
        Picture::Mermaid => mermaid::draw(&graph),
    }
}

/// The drawing of a graph for a page that brings its own styles.
pub(super) fn svg_fragment(graph: &Graph) -> String {
    svg::fragment(graph)
}

fn of_plan(plan: &Plan) -> Graph {
    let places: FxHashMap<&str, usize> =
        plan.jobs.iter().enumerate().map(|(i, j)| (j.name.as_str(), i)).collect();
    let node = |job: &crate::workflow::plan::Job| Node {
        name: job.name.clone(),
        note: match &job.call {
            Some(call) => format!("ends {}", call.workflow),
            None => format!("{} step{}", job.steps.len(), if job.steps.len() == 1 { "" } else { "s" }),
        },
        conditional: job.condition != Condition::Success,
        look: Look::Planned,
    };
    let mut edges = Vec::new();
    for (to, (job, after)) in plan.jobs.iter().zip(plan.comes_after()).enumerate() {
        for need in after {
            // A plan from elsewhere may name a job that it does not hold.
            let Some(&from) = places.get(need) else { continue };
            // The artifacts of a called workflow are named after the job that calls it.
            let called = |name: &str| name.strip_prefix(need).is_some_and(|rest| rest.starts_with('/'));
            let gives =
                |name: &str| called(name) || plan.jobs[from].outputs.iter().any(|output| output.name == name);
            let names: Vec<&str> = job.inputs.iter().map(|i| i.name.as_str()).filter(|n| gives(n)).collect();
            edges.push(Edge { from, to, label: names.join(", ") });
        }
    }
    Graph { name: plan.name.clone(), nodes: plan.jobs.iter().map(node).collect(), edges }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::report) fn plan() -> Plan {
        let step = |n: &str| serde_json::json!({ "name": n, "script": "true", "shell": ["bash"] });
        let local = serde_json::json!({ "kind": "local", "name": "local" });
        serde_json::from_value(serde_json::json!({
            "version": 1,
            "name": "ci",
            "projectDir": "/p",
            "jobs": [
                { "name": "build", "executor": local, "steps": [step("a"), step("b")],
                  "outputs": [{ "name": "dist", "path": "dist" }] },
                { "name": "deploy \"x\" <&>", "executor": local, "steps": [step("a")], "needs": ["build"],
                  "inputs": [{ "name": "dist", "path": "." }], "condition": { "expr": "always" } },
                { "name": "lint", "executor": local, "steps": [step("a")] },
            ],
        }))
        .expect("a plan")
    }

    #[test]
    fn dot_quotes_names() {
        let dot = draw(&plan(), Picture::Dot);
        assert!(dot.contains("  \"build\" -> \"deploy \\\"x\\\" <&>\" [label=\"dist\"];\n"), "{dot}");
        assert!(dot.contains("style=dashed"), "{dot}");
    }

    #[test]
    fn mermaid_numbers_jobs() {
        let mermaid = draw(&plan(), Picture::Mermaid);
        assert!(mermaid.contains("  j1[\"deploy #34;x#34; #60;#38;#62;\"]\n"), "{mermaid}");
        assert!(mermaid.contains("  j0 -->|\"dist\"| j1\n"), "{mermaid}");
    }

    #[test]
    fn svg_escapes_names() {
        let svg = draw(&plan(), Picture::Svg);
        assert!(svg.contains("deploy &quot;x&quot; &lt;&amp;&gt;") && !svg.contains("<&>"), "{svg}");
    }
}
