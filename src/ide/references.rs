//! Find references and highlight: all places of a variable, job or artifact.

use rnix::TextRange;

use super::facts::Spot;
use super::place::Context;
use super::scope::{Resolved, uses};
use super::target::{Role, Target, at, is_need, jobs_written, mentions};

/// A place that names something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The place.
    pub spot: Spot,
    /// Whether it defines what it names.
    pub defines: bool,
}

/// All places of what is named at an offset, in the order of places.
pub fn references(context: &Context<'_>, offset: u32) -> Vec<Reference> {
    let Some((_, target)) = at(context, offset) else { return Vec::new() };
    let here = |range: TextRange| Spot { file: context.document.path().to_owned(), range };
    let mut out = match target {
        Target::Variable(_, Resolved::Def(def)) => uses(&context.root, &context.scopes, &def)
            .into_iter()
            .map(|r| Reference { spot: here(r), defines: r == def.range })
            .collect(),
        Target::Job(name) => job_references(context, &name),
        Target::Artifact(name) => mentions(context)
            .into_iter()
            .filter(|m| matches!(m.role, Role::Input | Role::Output) && m.name == name)
            .map(|m| Reference { defines: m.role == Role::Output, spot: m.spot })
            .collect(),
        Target::Variable(..) | Target::File(_) | Target::Attribute(..) => Vec::new(),
    };
    out.sort_by(|a, b| (&a.spot.file, a.spot.range.start()).cmp(&(&b.spot.file, b.spot.range.start())));
    out.dedup_by(|a, b| a.spot == b.spot);
    out
}

/// The places of a job: where it is written, and where it is needed. What the text shows counts
/// also where the last evaluation knows nothing of it.
pub fn job_references(context: &Context<'_>, name: &str) -> Vec<Reference> {
    let known = mentions(context).into_iter();
    let known = known.filter(|m| matches!(m.role, Role::Job | Role::Need) && m.name == name);
    let mut out: Vec<Reference> =
        known.map(|m| Reference { defines: m.role == Role::Job, spot: m.spot }).collect();
    let file = context.document.path();
    let mut add = |range: TextRange, defines: bool| {
        let spot = Spot { file: file.to_owned(), range };
        if !out.iter().any(|r| r.spot == spot) {
            out.push(Reference { spot, defines });
        }
    };
    for job in jobs_written(&context.root).into_iter().filter(|j| j.name == name) {
        add(job.range, true);
    }
    let strings = context.root.descendants().filter(|n| n.kind() == rnix::SyntaxKind::NODE_STRING);
    for need in strings.filter(is_need) {
        if super::scope::plain_string(&need).as_deref() == Some(name) {
            add(need.text_range(), false);
        }
    }
    out
}

/// The places of what is named at an offset that are in this document.
pub fn highlights(context: &Context<'_>, offset: u32) -> Vec<(TextRange, bool)> {
    let all = references(context, offset).into_iter();
    all.filter(|r| r.spot.file == context.document.path()).map(|r| (r.spot.range, r.defines)).collect()
}
