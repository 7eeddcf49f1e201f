//! Inlay hints: the level of a job in the graph, and the timeout and retry rule that a step takes
//! over from its job or workflow.

use rnix::{SyntaxKind, TextRange};

use super::place::Context;

/// A hint, shown after an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Where.
    pub offset: u32,
    /// What is shown.
    pub text: String,
    /// What is told when the mouse rests on it.
    pub tooltip: String,
}

/// The hints in a range, in order.
pub fn hints(context: &Context<'_>, within: TextRange) -> Vec<Hint> {
    let Some(present) = &context.facts else { return Vec::new() };
    let mut out: Vec<Hint> = Vec::new();
    for (w, job) in present.facts.jobs() {
        if let Some(at) = present.here_named(job.name.spot.as_ref(), &job.written_as) {
            let needs: Vec<&str> = job.needed.iter().map(|&n| w.jobs[n].name.name.as_str()).collect();
            let tooltip = match needs.as_slice() {
                [] => "starts at once: it needs no other job".to_owned(),
                names => format!("starts when {} ended", and(names)),
            };
            out.push(Hint { offset: at.end().into(), text: format!("level {}", job.level), tooltip });
        }
        for step in &job.steps {
            let Some(script) = present.here(step.script.as_ref()) else { continue };
            if script.start() > within.end() || script.end() < within.start() {
                continue;
            }
            let Some(open) = opening_of_step(context, script) else { continue };
            let settings = [("timeout", &step.timeout), ("retry", &step.retry)];
            for (what, setting) in settings {
                let Some(e) = setting.as_ref().filter(|e| e.from != "step") else { continue };
                out.push(Hint {
                    offset: open,
                    text: format!("{what} {}", e.text),
                    tooltip: format!("the {what} of the {}", e.from),
                });
            }
        }
    }
    out.retain(|h| within.contains_inclusive(h.offset.into()));
    out.sort_by_key(|h| h.offset);
    // The copies of a matrix say the same.
    out.dedup();
    out
}

/// The offset after the brace that opens the set in which a script stands as `bash` or `run`.
fn opening_of_step(context: &Context<'_>, script: TextRange) -> Option<u32> {
    let element = context.root.covering_element(script);
    let set = element.ancestors().find(|n| n.kind() == SyntaxKind::NODE_ATTR_SET)?;
    let brace = set.children_with_tokens().find(|t| t.kind() == SyntaxKind::TOKEN_L_BRACE)?;
    Some(brace.text_range().end().into())
}

/// `a, b and c`, each in backticks.
pub fn and(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
