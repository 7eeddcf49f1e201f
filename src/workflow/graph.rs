//! The graph of `needs`: names resolved, and what is wrong with it.

use std::collections::{HashMap, HashSet, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::model::{Job, Workflow};
use super::shape::came_to;
use crate::base::source::SpanId;
use crate::base::suggest;
use crate::diag::{Applicability, Diagnostic, Edit, Fix};

/// Cycles reported of one tangle of jobs; it has exponentially many.
const MOST_CYCLES: usize = 10;
/// Edges of one cycle that get a label.
const MOST_LABELS: usize = 12;
/// Steps of the search for cycles in one tangle.
const SEARCH_LIMIT: usize = 100_000;

/// Jobs by index, with their resolved needs.
pub struct Graph {
    /// For each job the jobs it needs, in order, with the place of the name.
    pub needs: Vec<Vec<(usize, SpanId)>>,
}

impl Graph {
    /// All jobs that a job needs, directly or through others.
    pub fn ancestors(&self, job: usize) -> HashSet<usize> {
        let mut seen = HashSet::new();
        let mut queue: VecDeque<usize> = VecDeque::from([job]);
        while let Some(j) = queue.pop_front() {
            for &(n, _) in self.needs.get(j).into_iter().flatten() {
                if seen.insert(n) {
                    queue.push_back(n);
                }
            }
        }
        seen
    }
}

/// Resolves the needs of all jobs; what is wrong goes to `out`.
pub fn resolve(workflow: &Workflow, out: &mut Vec<Diagnostic>) -> Graph {
    let jobs = &workflow.jobs;
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, job) in jobs.iter().enumerate() {
        by_name.entry(&job.name.value).or_default().push(i);
    }
    // The name of a job with a matrix means all its copies.
    for (i, job) in jobs.iter().enumerate() {
        if let Some(copy) = &job.copy_of {
            let group = by_name.entry(&copy.job).or_default();
            if !group.contains(&i) {
                group.push(i);
            }
        }
    }
    let mut needs = Vec::with_capacity(jobs.len());
    for (i, job) in jobs.iter().enumerate() {
        needs.push(needs_of(i, job, &by_name, out));
    }
    let graph = Graph { needs };
    // While a need is unknown the graph is not what was meant.
    if !out.iter().any(|d| d.code == "NXA101") {
        cycles(jobs, &graph, out);
    }
    graph
}

fn needs_of(
    index: usize,
    job: &Job,
    by_name: &HashMap<&str, Vec<usize>>,
    out: &mut Vec<Diagnostic>,
) -> Vec<(usize, SpanId)> {
    let me = &job.name.value;
    let mut result: Vec<(usize, SpanId)> = Vec::new();
    let mut seen: HashMap<&str, SpanId> = HashMap::new();
    for need in &job.needs {
        if let Some(&first) = seen.get(need.value.as_str()) {
            let mut d = Diagnostic::warning("NXA103", format!("job `{me}` needs `{}` twice", need.value))
                .at(need.span, "again")
                .also(first, "first here");
            if let Some(place) = need.span.resolve() {
                d = d.fix(Fix {
                    title: "remove the second".into(),
                    edits: vec![Edit { place, text: String::new() }],
                    applicability: Applicability::Safe,
                });
            }
            out.push(d);
            continue;
        }
        seen.insert(&need.value, need.span);
        let Some(found) = by_name.get(need.value.as_str()) else {
            let d = unknown(job, &need.value, need.span, by_name);
            out.push(came_to(d, job.name.span, "the job that needs it"));
            continue;
        };
        let copy_of_same = job.copy_of.as_ref().is_some_and(|c| c.job == need.value);
        if found.contains(&index) || copy_of_same {
            let mut d = Diagnostic::error("NXA103", format!("job `{me}` needs itself"))
                .at(need.span, "this job")
                .help("remove it: a job cannot wait for its own end");
            d = d.also(job.name.span, "the job");
            out.push(d);
            continue;
        }
        result.extend(found.iter().map(|&j| (j, need.span)));
    }
    result.sort_unstable_by_key(|n| n.0);
    result.dedup_by_key(|n| n.0);
    result
}

fn unknown(job: &Job, need: &str, at: SpanId, by_name: &HashMap<&str, Vec<usize>>) -> Diagnostic {
    let mut names: Vec<&str> = by_name.keys().copied().filter(|n| *n != job.name.value).collect();
    names.sort_unstable();
    let d = Diagnostic::error(
        "NXA101",
        format!("job `{}` needs `{need}`, which is not a job of this workflow", job.name.value),
    )
    .at(at, "no job has this name");
    if let Some(help) = suggest::did_you_mean(need, names.iter().copied()) {
        let near = suggest::nearest(need, names.iter().copied());
        let d = d.help(help);
        return match (&near[..], at.resolve()) {
            ([only], Some(place)) => d.fix(Fix {
                title: format!("replace it with `{only}`"),
                edits: vec![Edit { place, text: format!("\"{only}\"") }],
                applicability: Applicability::Unsafe,
            }),
            _ => d,
        };
    }
    if names.is_empty() {
        return d.help("remove it: there is no other job");
    }
    let shown: Vec<String> = names.iter().take(12).map(|n| format!("`{n}`")).collect();
    let more = names.len().saturating_sub(shown.len());
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    d.note(format!("the jobs are {}{rest}", shown.join(", ")))
}

fn cycles(jobs: &[Job], graph: &Graph, out: &mut Vec<Diagnostic>) {
    let mut g: DiGraph<(), SpanId> = DiGraph::with_capacity(jobs.len(), jobs.len());
    for _ in jobs {
        g.add_node(());
    }
    for (i, needs) in graph.needs.iter().enumerate() {
        for &(n, span) in needs {
            g.add_edge(NodeIndex::new(i), NodeIndex::new(n), span);
        }
    }
    // This algorithm keeps its own stack: a chain of needs may be longer than the thread's.
    let mut tangles: Vec<Vec<usize>> = kosaraju_scc(&g)
        .into_iter()
        .filter(|c| c.len() > 1)
        .map(|c| {
            let mut c: Vec<usize> = c.into_iter().map(NodeIndex::index).collect();
            c.sort_unstable();
            c
        })
        .collect();
    tangles.sort();
    for tangle in tangles {
        let (found, complete) = cycles_in(&g, &tangle);
        let count = found.len();
        for (i, cycle) in found.into_iter().enumerate() {
            let mut d = report(jobs, &g, &cycle);
            if i + 1 == count && !complete {
                d = d.note("there are further cycles among these jobs");
            }
            out.push(d);
        }
    }
}

/// The simple cycles in one strongly connected set of jobs, each beginning at its first job, and
/// whether these are all. Depth first with an explicit stack: a chain may be very long.
fn cycles_in(g: &DiGraph<(), SpanId>, tangle: &[usize]) -> (Vec<Vec<usize>>, bool) {
    let inside: HashSet<usize> = tangle.iter().copied().collect();
    let next = |j: usize| -> Vec<usize> {
        let mut v: Vec<usize> = g.neighbors(NodeIndex::new(j)).map(|n| n.index()).collect();
        v.retain(|n| inside.contains(n));
        v.sort_unstable();
        v
    };
    let mut found = Vec::new();
    let mut steps = 0usize;
    for &start in tangle {
        let mut path = vec![start];
        let mut on_path: HashSet<usize> = HashSet::from([start]);
        let mut stack = vec![next(start).into_iter()];
        while let Some(top) = stack.last_mut() {
            steps += 1;
            if steps > SEARCH_LIMIT || found.len() >= MOST_CYCLES {
                if found.is_empty() {
                    found.push(shortest(&next, start));
                }
                return (found, false);
            }
            match top.next() {
                Some(n) if n == start => found.push(path.clone()),
                // A cycle through an earlier job was found from there.
                Some(n) if n > start && on_path.insert(n) => {
                    path.push(n);
                    stack.push(next(n).into_iter());
                }
                Some(_) => {}
                None => {
                    stack.pop();
                    if let Some(done) = path.pop() {
                        on_path.remove(&done);
                    }
                }
            }
        }
    }
    (found, true)
}

/// A shortest cycle through a job of a tangle.
fn shortest(next: &dyn Fn(usize) -> Vec<usize>, start: usize) -> Vec<usize> {
    let mut from: HashMap<usize, usize> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(j) = queue.pop_front() {
        for n in next(j) {
            if n == start {
                let mut path = vec![j];
                let mut at = j;
                while at != start {
                    at = from[&at];
                    path.push(at);
                }
                path.reverse();
                return path;
            }
            if let std::collections::hash_map::Entry::Vacant(e) = from.entry(n) {
                e.insert(j);
                queue.push_back(n);
            }
        }
    }
    vec![start]
}

fn report(jobs: &[Job], g: &DiGraph<(), SpanId>, cycle: &[usize]) -> Diagnostic {
    let name = |i: usize| jobs[i].name.value.as_str();
    let round: Vec<String> =
        cycle.iter().chain(cycle.first()).take(MOST_LABELS + 1).map(|&i| format!("`{}`", name(i))).collect();
    let dots = if cycle.len() > MOST_LABELS { " -> …" } else { "" };
    let mut d = Diagnostic::error(
        "NXA102",
        format!("jobs need each other in a circle: {}{dots}", round.join(" -> ")),
    )
    .help("remove one of these needs");
    for (k, &from) in cycle.iter().enumerate().take(MOST_LABELS) {
        let to = cycle[(k + 1) % cycle.len()];
        let span = g
            .edges_connecting(NodeIndex::new(from), NodeIndex::new(to))
            .next()
            .map_or(SpanId::NONE, |e| *e.weight());
        let text = format!("`{}` needs `{}`", name(from), name(to));
        d = if k == 0 { d.at(span, text) } else { d.also(span, text) };
    }
    if cycle.len() > MOST_LABELS {
        d = d.note(format!("the circle has {} jobs", cycle.len()));
    }
    d
}
