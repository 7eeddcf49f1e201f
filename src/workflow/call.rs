//! Reusable workflows: a job that `uses` another workflow, and what it may say besides.

use super::fields::Fields;
use super::model::{Input, Spanned, Workflow};
use super::shape::place;
use super::tree::{Kind, Node};
use super::{decode, parts};
use crate::base::suggest;
use crate::diag::Diagnostic;

/// Name under which the walk puts the tree of the called workflow beside `uses`.
pub(super) const TREE: &str = "_workflow";

/// Workflows that use each other, at most; a deeper nest is one without end.
pub(super) const DEEPEST: usize = 20;

/// Keys of a job that say how its own steps run, and so say nothing beside `uses`.
const OF_STEPS: [&str; 10] = [
    "steps",
    "executor",
    "inputs",
    "outputs",
    "results",
    "cache",
    "skipIfUnchanged",
    "services",
    "resources",
    "shell",
];

/// The called workflow of a job.
pub(super) fn decode(
    f: Fields<'_>,
    owner: &str,
    out: &mut Vec<Diagnostic>,
) -> Option<Box<Spanned<Workflow>>> {
    let uses = f.attr("uses").filter(|a| !matches!(a.value.kind, Kind::Null))?;
    let asks = |n: &Node| match &n.kind {
        Kind::Attrs(a) => !a.is_empty(),
        Kind::List(l) => !l.is_empty(),
        Kind::Null => false,
        _ => true,
    };
    for key in OF_STEPS {
        if let Some(other) = f.attr(key).filter(|a| asks(&a.value)) {
            out.push(
                Diagnostic::error("NXA005", format!("{owner} has both `uses` and `{}`", other.name))
                    .at(other.key, "has no meaning beside `uses`")
                    .also(uses.key, "the jobs of this workflow run instead")
                    .help("move it into the workflow that is used"),
            );
        }
    }
    let tree = f.node.attr(TREE)?;
    if let Kind::Error(e) = &tree.value.kind {
        out.push((**e).clone());
        return None;
    }
    let mut inside = Vec::new();
    let workflow = decode::workflow(&tree.value, uses.key, &mut inside);
    let before = out.len();
    if let Some(workflow) = &workflow {
        given(f, owner, &workflow.inputs, out);
    }
    // With wrong inputs, what fails inside says nothing more.
    if out.len() > before {
        inside.retain(|d| d.code != "NXA022");
    }
    out.append(&mut inside);
    let workflow = workflow?;
    Some(Box::new(Spanned::new(workflow, place(&uses.value, uses.key))))
}

/// Checks `with` against the inputs that the workflow declares.
fn given(f: Fields<'_>, owner: &str, inputs: &[Input], out: &mut Vec<Diagnostic>) {
    let with = f.get("with").and_then(Node::attrs).unwrap_or_default();
    for a in with {
        let Some(input) = inputs.iter().find(|i| i.name.value == a.name) else {
            let names = inputs.iter().map(|i| i.name.value.as_str());
            let mut d = Diagnostic::error(
                "NXA024",
                format!(
                    "{owner} gives the input `{}`, which the workflow that it uses does not have",
                    a.name
                ),
            )
            .at(a.key, "not an input of the workflow");
            d = match suggest::did_you_mean(&a.name, names.clone()) {
                Some(help) => d.help(help),
                None if inputs.is_empty() => d.help("declare it in `inputs` of the workflow"),
                None => {
                    let names: Vec<String> = names.map(|n| format!("`{n}`")).collect();
                    d.note(format!("its inputs are {}", names.join(", ")))
                }
            };
            out.push(d);
            continue;
        };
        if let Some(wanted) = parts::input_wants(input, &a.value) {
            let found = a.value.describe();
            out.push(
                Diagnostic::error(
                    "NXA024",
                    format!(
                        "the input `{}` in `with` of {owner} must be {wanted}, and this is {found}",
                        a.name
                    ),
                )
                .at(place(&a.value, a.key), format!("this is {found}"))
                .also(input.name.span, "declared here"),
            );
        }
    }
    for input in inputs.iter().filter(|i| i.required && i.default.is_none()) {
        let name = &input.name.value;
        if with.iter().all(|a| a.name != *name) {
            let at = f.attr("with").or_else(|| f.attr("uses"));
            let at = at.map_or(f.node.span, |a| place(&a.value, a.key));
            out.push(
                Diagnostic::error(
                    "NXA024",
                    format!(
                        "{owner} does not give the input `{name}`, which the workflow that it uses requires"
                    ),
                )
                .at(at, format!("`{name}` is missing here"))
                .also(input.name.span, "declared here")
                .help(format!("add `with.{name} = …;`")),
            );
        }
    }
}

/// Checks the inputs that a workflow declares.
pub(super) fn declared(inputs: &[Input], out: &mut Vec<Diagnostic>) {
    for input in inputs {
        let name = &input.name.value;
        if input.ty == "choice" && input.options.is_empty() {
            out.push(
                Diagnostic::error("NXA024", format!("the input `{name}` is a choice without `options`"))
                    .at(input.name.span, "nothing to choose from")
                    .help("add `options = [ \"…\" ];`"),
            );
            continue;
        }
        let Some(default) = &input.default else { continue };
        if let Some(wanted) = parts::input_wants(input, default) {
            let found = default.describe();
            out.push(
                Diagnostic::error(
                    "NXA024",
                    format!("the default of the input `{name}` must be {wanted}, and this is {found}"),
                )
                .at(place(default, input.name.span), format!("this is {found}")),
            );
        }
    }
}
