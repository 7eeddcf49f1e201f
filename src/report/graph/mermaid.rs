//! The graph in Mermaid's language (<https://mermaid.js.org/syntax/flowchart.html>).

use std::fmt::Write;

use super::Graph;

/// Writes the graph. Jobs are numbered: identifiers allow less than names do.
pub(super) fn draw(graph: &Graph) -> String {
    let mut out = String::from("flowchart LR\n");
    for (i, node) in graph.nodes.iter().enumerate() {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(out, "  j{i}[\"{}\"]", entities(&node.name));
    }
    for edge in &graph.edges {
        if edge.label.is_empty() {
            let _ = writeln!(out, "  j{} --> j{}", edge.from, edge.to);
        } else {
            let _ = writeln!(out, "  j{} -->|\"{}\"| j{}", edge.from, entities(&edge.label), edge.to);
        }
    }
    out
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
