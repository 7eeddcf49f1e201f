//! Where nodes and edges of a layered drawing go.
//!
//! The method of Sugiyama, Tagawa and Toda (IEEE Transactions on Systems, Man, and Cybernetics 11(2),
//! 1981): layers by the longest chain of needs, points where long edges cross layers, an order within
//! each layer by barycentres, then places that pull neighbours level.

use super::Graph;
use crate::report::text::width;

/// Room between layers, in pixels as all lengths here.
const LAYER_GAP: f64 = 48.0;
/// Room between nodes of a layer.
const NODE_GAP: f64 = 14.0;
/// Height of a node.
pub(super) const NODE_HEIGHT: f64 = 40.0;
/// Room around the drawing.
const MARGIN: f64 = 12.0;
/// Width of a column of text.
const COLUMN: f64 = 7.3;
/// Passes over the layers, back and forth.
const SWEEPS: usize = 8;
/// More crossing points than this, and long edges are drawn straight.
const MOST_BENDS: usize = 20_000;

/// A place in the drawing.
pub(super) type Point = (f64, f64);

/// A drawing's places.
#[derive(Debug)]
pub(super) struct Layout {
    /// Upper left corner and width of each node.
    pub(super) nodes: Vec<(Point, f64)>,
    /// The points through which each edge goes, ends included.
    pub(super) edges: Vec<Vec<Point>>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Something that takes a place in a layer: a node, or a point of a long edge.
#[derive(Debug)]
struct Item {
    layer: usize,
    height: f64,
    before: Vec<usize>,
    after: Vec<usize>,
    y: f64,
}

/// Places all nodes and edges.
pub(super) fn layout(graph: &Graph) -> Layout {
    let layers = layers(graph);
    let (mut items, bends) = items(graph, &layers);
    let depth = layers.iter().max().map_or(0, |last| last + 1);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); depth];
    for (index, item) in items.iter().enumerate() {
        rows[item.layer].push(index);
    }
    order(&mut rows, &items);
    level(&rows, &mut items);
    places(graph, &rows, &items, &bends)
}

/// The longest chain of needs before each node.
fn layers(graph: &Graph) -> Vec<usize> {
    let count = graph.nodes.len();
    let mut layers = vec![0; count];
    let mut waiting = vec![0_usize; count];
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); count];
    for edge in &graph.edges {
        waiting[edge.to] += 1;
        after[edge.from].push(edge.to);
    }
    let mut ready: Vec<usize> = (0..count).filter(|node| waiting[*node] == 0).collect();
    while let Some(node) = ready.pop() {
        for &next in &after[node] {
            layers[next] = layers[next].max(layers[node] + 1);
            waiting[next] -= 1;
            if waiting[next] == 0 {
                ready.push(next);
            }
        }
    }
    layers
}

/// The nodes as items, and after them a point for each layer that an edge crosses; of each edge its
/// points in order.
fn items(graph: &Graph, layers: &[usize]) -> (Vec<Item>, Vec<Vec<usize>>) {
    let item = |layer, height| Item { layer, height, before: Vec::new(), after: Vec::new(), y: 0.0 };
    let mut items: Vec<Item> = layers.iter().map(|layer| item(*layer, NODE_HEIGHT)).collect();
    let crossed = |edge: &super::Edge| layers[edge.from] + 1..layers[edge.to];
    let bent = graph.edges.iter().map(|edge| crossed(edge).len()).sum::<usize>() <= MOST_BENDS;
    let mut bends = Vec::with_capacity(graph.edges.len());
    for edge in &graph.edges {
        let mut points = Vec::new();
        let mut from = edge.from;
        for layer in crossed(edge).filter(|_| bent) {
            let point = items.len();
            items.push(item(layer, 0.0));
            join(&mut items, from, point);
            points.push(point);
            from = point;
        }
        join(&mut items, from, edge.to);
        bends.push(points);
    }
    (items, bends)
}

fn join(items: &mut [Item], from: usize, to: usize) {
    items[from].after.push(to);
    items[to].before.push(from);
}

/// Orders each layer so that few edges cross: by the mean place of the neighbours before, then by
/// that of those after, and again.
fn order(rows: &mut [Vec<usize>], items: &[Item]) {
    let mut place = vec![0.0_f64; items.len()];
    let note = |row: &[usize], place: &mut [f64]| {
        for (i, item) in row.iter().enumerate() {
            place[*item] = i as f64;
        }
    };
    rows.iter().for_each(|row| note(row, &mut place));
    for sweep in 0..SWEEPS {
        let forth = sweep % 2 == 0;
        for step in 0..rows.len() {
            let layer = if forth { step } else { rows.len() - 1 - step };
            let row = &mut rows[layer];
            let mut keyed: Vec<(f64, usize)> = row
                .iter()
                .map(|&item| {
                    let around = if forth { &items[item].before } else { &items[item].after };
                    (mean(around.iter().map(|n| place[*n])).unwrap_or(place[item]), item)
                })
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            row.clear();
            row.extend(keyed.into_iter().map(|(_, item)| item));
            note(row, &mut place);
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), v| (sum + v, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// Gives each item its height in the drawing: near its neighbours, never over another item.
fn level(rows: &[Vec<usize>], items: &mut [Item]) {
    for row in rows {
        let mut y = 0.0;
        for &item in row {
            items[item].y = y;
            y += items[item].height + NODE_GAP;
        }
    }
    for sweep in 0..SWEEPS {
        let forth = sweep % 2 == 0;
        for step in 0..rows.len() {
            let row = &rows[if forth { step } else { rows.len() - 1 - step }];
            pull(row, items, forth);
        }
    }
    let top = items.iter().map(|item| item.y).fold(f64::INFINITY, f64::min);
    items.iter_mut().for_each(|item| item.y += MARGIN - top);
}

/// Moves a layer towards the middle of its neighbours, keeping its order and gaps.
fn pull(row: &[usize], items: &mut [Item], forth: bool) {
    let middle = |item: &Item| item.y + item.height / 2.0;
    let wanted: Vec<f64> = row
        .iter()
        .map(|&i| {
            let around = if forth { &items[i].before } else { &items[i].after };
            let target = mean(around.iter().map(|n| middle(&items[*n]))).unwrap_or(middle(&items[i]));
            target - items[i].height / 2.0
        })
        .collect();
    let mut next = f64::NEG_INFINITY;
    for (&i, want) in row.iter().zip(&wanted) {
        items[i].y = want.max(next);
        next = items[i].y + items[i].height + NODE_GAP;
    }
    // What was pushed aside was pushed down; half of that is given back to the layer as a whole.
    let pushed = mean(row.iter().zip(&wanted).map(|(&i, want)| items[i].y - want)).unwrap_or(0.0);
    row.iter().for_each(|&i| items[i].y -= pushed);
}

fn places(graph: &Graph, rows: &[Vec<usize>], items: &[Item], bends: &[Vec<usize>]) -> Layout {
    let node_width = |node: &super::Node| {
        (width(&node.name).max(width(&node.note)).max(4) as f64).min(60.0) * COLUMN + 20.0
    };
    let mut left = Vec::with_capacity(rows.len());
    let mut widths = Vec::with_capacity(rows.len());
    let mut x = MARGIN;
    for row in rows {
        let nodes = row.iter().filter_map(|item| graph.nodes.get(*item));
        let widest = nodes.map(node_width).fold(0.0, f64::max);
        left.push(x);
        widths.push(widest);
        x += widest + LAYER_GAP;
    }
    let layer = |item: usize| items[item].layer;
    let middle = |item: usize| items[item].y + items[item].height / 2.0;
    let nodes: Vec<(Point, f64)> =
        (0..graph.nodes.len()).map(|n| ((left[layer(n)], items[n].y), widths[layer(n)])).collect();
    let edges = graph.edges.iter().zip(bends).map(|(edge, bends)| {
        let mut points = vec![(left[layer(edge.from)] + widths[layer(edge.from)], middle(edge.from))];
        for &bend in bends {
            points.push((left[layer(bend)], middle(bend)));
            points.push((left[layer(bend)] + widths[layer(bend)], middle(bend)));
        }
        points.push((left[layer(edge.to)], middle(edge.to)));
        points
    });
    let edges = edges.collect();
    let height = items.iter().map(|item| item.y + item.height).fold(0.0, f64::max) + MARGIN;
    let width = (x - LAYER_GAP).max(0.0) + MARGIN;
    Layout { nodes, edges, width, height }
}

#[cfg(test)]
mod tests {
    use super::super::{Edge, Look, Node};
    use super::*;

    fn graph(count: usize, edges: &[(usize, usize)]) -> Graph {
        let node = |i: usize| Node {
            name: format!("job{i}"),
            note: String::new(),
            conditional: false,
            look: Look::Planned,
        };
        let edges = edges.iter().map(|&(from, to)| Edge { from, to, label: String::new() }).collect();
        Graph { name: "g".into(), nodes: (0..count).map(node).collect(), edges }
    }

    #[test]
    fn what_needs_stands_to_the_right_and_nothing_overlaps() {
        let edges = [(0, 1), (0, 2), (1, 3), (2, 3), (0, 4), (4, 5), (3, 5), (0, 5), (6, 5)];
        let graph = graph(8, &edges);
        let placed = layout(&graph);
        for (from, to) in edges {
            let ((x, _), width) = placed.nodes[from];
            assert!(x + width < placed.nodes[to].0.0, "{from} -> {to}");
        }
        for (i, ((x, y), width)) in placed.nodes.iter().enumerate() {
            for ((x2, y2), _) in &placed.nodes[..i] {
                assert!(x != x2 || (y - y2).abs() >= NODE_HEIGHT, "{placed:?}");
            }
            assert!(*x >= 0.0 && *y >= 0.0 && x + width <= placed.width);
            assert!(y + NODE_HEIGHT <= placed.height, "{placed:?}");
        }
    }

    #[test]
    fn a_diamond_does_not_cross_itself() {
        // In plan order the lower two would cross: 0 -> 3, 1 -> 2.
        let placed = layout(&graph(4, &[(0, 3), (1, 2)]));
        assert_eq!(placed.nodes[0].0.1, placed.nodes[3].0.1);
        assert_eq!(placed.nodes[1].0.1, placed.nodes[2].0.1);
    }

    #[test]
    fn an_empty_graph_and_a_circle_are_drawn_too() {
        assert!(layout(&graph(0, &[])).nodes.is_empty());
        assert_eq!(layout(&graph(3, &[(0, 1), (1, 0), (0, 2)])).nodes.len(), 3);
    }
}
