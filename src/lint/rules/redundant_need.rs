//! NXA105: a need that another need already waits for. Off by default: the order may be meant.

use rnix::SyntaxKind;

use crate::base::source::SpanId;
use crate::diag::{Applicability, Diagnostic, Fix, Severity};
use crate::lint::registry::Model;

pub(in crate::lint) fn check(model: &Model<'_>, out: &mut Vec<Diagnostic>) {
    for (i, job) in model.workflow.jobs.iter().enumerate() {
        let direct: Vec<usize> = model.graph.needs[i].iter().map(|n| n.0).collect();
        for need in &job.needs {
            let of = |j: usize| {
                let other = &model.workflow.jobs[j];
                other.name.value == need.value || other.copy_of.as_ref().is_some_and(|c| c.job == need.value)
            };
            let Some(through) =
                direct.iter().find(|&&d| !of(d) && model.graph.ancestors(d).iter().any(|&a| of(a)))
            else {
                continue;
            };
            let via = &model.workflow.jobs[*through].name.value;
            let mut d = Diagnostic::new(
                Severity::Hint,
                "NXA105",
                format!("job `{}` waits for `{}` anyway, through `{via}`", job.name.value, need.value),
            )
            .at(need.span, "implied by another need")
            .help("remove it, unless its results are used");
            d.fixes.extend(removal(model, need.span));
            if let Some(other) = job.needs.iter().find(|n| n.value == *via) {
                d = d.also(other.span, format!("`{via}` waits for `{}`", need.value));
            }
            out.push(d);
        }
    }
}

/// Takes the need out of the list it is written in.
fn removal(model: &Model<'_>, need: SpanId) -> Option<Fix> {
    let place = need.resolve()?;
    let text = model.texts.text(&place)?;
    let node = text.node_at(place.start, place.end)?;
    let in_list = node.kind() == SyntaxKind::NODE_STRING
        && node.parent().is_some_and(|p| p.kind() == SyntaxKind::NODE_LIST);
    let edit = text.edit(text.removal(node.text_range()), "");
    in_list.then(|| text.fix("remove it", edit, Applicability::Unsafe))
}
