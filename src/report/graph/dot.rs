//! The graph in Graphviz's language (<https://graphviz.org/doc/info/lang.html>).

use std::fmt::Write;

use super::{Graph, Look};

/// Writes the graph. Edges carry the artifacts that pass along them.
pub(super) fn draw(graph: &Graph) -> String {
    let mut out = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(&graph.name));
    for node in &graph.nodes {
        let style = if node.conditional { ", style=dashed" } else { "" };
        let color = match node.look {
            Look::Planned => "",
            Look::Success => ", color=green",
            Look::Failure => ", color=red",
            Look::Skipped => ", color=gray",
            Look::Cancelled => ", color=orange",
        };
        let label = format!("{}\n{}", node.name, node.note);
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(out, "  {} [label={}{style}{color}];", quoted(&node.name), quoted(&label));
    }
    for edge in &graph.edges {
        let (from, to) = (&graph.nodes[edge.from].name, &graph.nodes[edge.to].name);
        let _ = write!(out, "  {} -> {}", quoted(from), quoted(to));
        if !edge.label.is_empty() {
            let _ = write!(out, " [label={}]", quoted(&edge.label));
        }
        out.push_str(";\n");
    }
    out.push_str("}\n");
    out
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
