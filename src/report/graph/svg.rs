//! The graph as a drawing: Scalable Vector Graphics 1.1, without scripts and references.

use std::fmt::Write;

use super::layout::{NODE_HEIGHT, Point, layout};
use super::{Graph, Look};
use crate::report::text::{escape_markup, fit};

/// Colours for light and dark pages; the page of a report has the same names.
pub(in crate::report) const STYLE: &str = "\
.g text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#1f2328}
.g .note{font-size:10px;fill:#656d76}
.g rect{fill:#fff;stroke:#8c959f}
.g path{fill:none;stroke:#8c959f;stroke-width:1.3}
.g .tip{fill:#8c959f;stroke:none}
.g .conditional rect{stroke-dasharray:5 3}
.g .success rect{stroke:#1a7f37;fill:#dafbe1}
.g .failure rect{stroke:#cf222e;fill:#ffebe9}
.g .skipped rect{stroke:#8c959f;fill:#f6f8fa}
.g .cancelled rect{stroke:#9a6700;fill:#fff8c5}
@media(prefers-color-scheme:dark){
.g text{fill:#e6edf3}
.g .note{fill:#8d96a0}
.g rect{fill:#161b22;stroke:#6e7681}
.g .success rect{fill:#12261e;stroke:#3fb950}
.g .failure rect{fill:#25171c;stroke:#f85149}
.g .skipped rect{fill:#161b22;stroke:#6e7681}
.g .cancelled rect{fill:#272115;stroke:#d29922}
}
";

/// A file of its own.
pub(super) fn draw(graph: &Graph) -> String {
    let body = fragment(graph);
    let end = body.find('>').map_or(0, |at| at + 1);
    format!("{}\n<style>\n{STYLE}</style>{}\n", &body[..end], &body[end..])
}

/// The `svg` element without styles.
pub(super) fn fragment(graph: &Graph) -> String {
    let placed = layout(graph);
    let (w, h) = (placed.width.ceil(), placed.height.ceil());
    // Writing to a string cannot fail, here and below.
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"g\" role=\"img\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\">"
    );
    let _ = write!(out, "\n<title>{}</title>", escape_markup(&graph.name));
    for (edge, points) in graph.edges.iter().zip(&placed.edges) {
        let _ = write!(out, "\n<path d=\"{}\"/>", curve(points));
        if let Some((x, y)) = points.last() {
            let _ = write!(out, "<path class=\"tip\" d=\"M{x:.1} {y:.1}l-7 -3.5v7z\"/>");
        }
        if let (false, Some((x, y))) = (edge.label.is_empty(), points.first()) {
            let label = escape_markup(&edge.label);
            let _ =
                write!(out, "<text class=\"note\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>", x + 4.0, y - 4.0);
        }
    }
    for (node, ((x, y), width)) in graph.nodes.iter().zip(&placed.nodes) {
        let class = match node.look {
            Look::Planned => "planned",
            Look::Success => "success",
            Look::Failure => "failure",
            Look::Skipped => "skipped",
            Look::Cancelled => "cancelled",
        };
        let conditional = if node.conditional { " conditional" } else { "" };
        let _ = write!(
            out,
            "\n<g class=\"{class}{conditional}\"><title>{full}: {note}</title>\
             <rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{NODE_HEIGHT}\" rx=\"6\"/>\
             <text x=\"{tx:.1}\" y=\"{ty:.1}\">{name}</text>\
             <text class=\"note\" x=\"{tx:.1}\" y=\"{ny:.1}\">{note}</text></g>",
            full = escape_markup(&node.name),
            name = escape_markup(&fit(&node.name, 60)),
            note = escape_markup(&node.note),
            tx = x + 10.0,
            ty = y + 17.0,
            ny = y + 31.0,
        );
    }
    out.push_str("\n</svg>");
    out
}

/// A smooth line through points from left to right.
fn curve(points: &[Point]) -> String {
    let mut out = String::new();
    let mut last: Option<Point> = None;
    for &(x, y) in points {
        match last {
            None => {
                let _ = write!(out, "M{x:.1} {y:.1}");
            }
            Some((px, py)) => {
                let half = (x - px) / 2.0;
                let (a, b) = (px + half, x - half);
                let _ = write!(out, "C{a:.1} {py:.1} {b:.1} {y:.1} {x:.1} {y:.1}");
            }
        }
        last = Some((x, y));
    }
    out
}
