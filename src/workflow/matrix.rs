//! Matrices: their shape, and the variables of their copies.
//!
//! The combinations themselves are made by the library in Nix, where fields that are functions of
//! the combination can be applied.

use super::model::{EnvValue, MatrixCopy, Spanned, Variable};
use super::shape::place;
use super::tree::{Attr, Kind, Node};
use crate::base::source::SpanId;
use crate::base::suggest;
use crate::diag::Diagnostic;

/// Keys of a matrix that are not axes.
const OPTIONS: [&str; 4] = ["include", "exclude", "failFast", "maxParallel"];

/// More copies than this are a mistake.
const MOST_COPIES: usize = 10_000;

/// Checks the matrix of a job; false when its copies are not worth looking at.
pub(super) fn check(m: &Node, job: &Attr, out: &mut Vec<Diagnostic>) -> bool {
    let before = out.len();
    let Some(attrs) = m.attrs() else {
        out.push(
            Diagnostic::error(
                "NXA003",
                format!(
                    "`matrix` of job `{}` must be an attribute set of lists, and this is {}",
                    job.name,
                    m.describe()
                ),
            )
            .at(place(m, job.key), format!("this is {}", m.describe())),
        );
        return false;
    };
    let axes: Vec<&Attr> = attrs.iter().filter(|a| !OPTIONS.contains(&a.name.as_str())).collect();
    for a in attrs {
        match a.name.as_str() {
            "include" | "exclude" => rows(a, &axes, job, out),
            "failFast" if a.value.bool().is_none() => wrong(a, "a boolean", job, out),
            "maxParallel" if a.value.int().is_none_or(|n| n < 1) => {
                wrong(a, "a positive integer", job, out);
            }
            "failFast" | "maxParallel" => {}
            _ => axis(a, job, out),
        }
    }
    let included = m.get("include").and_then(Node::list).is_some_and(|l| !l.is_empty());
    if axes.is_empty() && !included && out.len() == before {
        out.push(
            Diagnostic::error("NXA311", format!("the matrix of job `{}` has no axis", job.name))
                .at(place(m, job.key), "no combination comes of this")
                .help("add an axis: `version = [ \"1\" \"2\" ];`"),
        );
    }
    let copies = axes
        .iter()
        .filter_map(|a| a.value.list().map(<[Node]>::len))
        .try_fold(1usize, |n, len| n.checked_mul(len).filter(|&n| n <= MOST_COPIES));
    if copies.is_none() {
        out.push(
            Diagnostic::error(
                "NXA311",
                format!("the matrix of job `{}` has more than {MOST_COPIES} combinations", job.name),
            )
            .at(place(m, job.key), "too many combinations"),
        );
    }
    out[before..].iter().all(|d| d.severity != crate::diag::Severity::Error)
}

fn wrong(a: &Attr, wanted: &str, job: &Attr, out: &mut Vec<Diagnostic>) {
    if let Kind::Error(e) = &a.value.kind {
        out.push((**e).clone());
        return;
    }
    out.push(
        Diagnostic::error(
            "NXA003",
            format!(
                "`{}` in the matrix of job `{}` must be {wanted}, and this is {}",
                a.name,
                job.name,
                a.value.describe()
            ),
        )
        .at(place(&a.value, a.key), format!("this is {}", a.value.describe())),
    );
}

fn axis(a: &Attr, job: &Attr, out: &mut Vec<Diagnostic>) {
    let Some(values) = a.value.list() else {
        return wrong(a, "a list of values", job, out);
    };
    if values.is_empty() {
        out.push(
            Diagnostic::error(
                "NXA311",
                format!("the axis `{}` of the matrix of job `{}` is empty", a.name, job.name),
            )
            .at(place(&a.value, a.key), "no combination comes of this")
            .help("add a value, or remove the axis"),
        );
    }
    for v in values {
        if let Kind::Error(e) = &v.kind {
            out.push((**e).clone());
        }
    }
    for (i, v) in values.iter().enumerate() {
        let text = v.to_json();
        if matches!(v.kind, Kind::Function) {
            out.push(
                Diagnostic::error("NXA311", format!("a value of the axis `{}` is a function", a.name))
                    .at(place(v, a.key), "a function has no text to name the job with"),
            );
        } else if let Some(first) = values[..i].iter().find(|f| f.to_json() == text) {
            out.push(
                Diagnostic::error(
                    "NXA311",
                    format!("the axis `{}` of job `{}` has a value twice", a.name, job.name),
                )
                .at(place(v, a.key), "the same value again")
                .also(first.span, "first here"),
            );
        }
    }
}

/// `include` and `exclude`: lists of sets; `exclude` names only axes that there are.
fn rows(a: &Attr, axes: &[&Attr], job: &Attr, out: &mut Vec<Diagnostic>) {
    let Some(rows) = a.value.list() else {
        return wrong(a, "a list of combinations", job, out);
    };
    for row in rows {
        let Some(fields) = row.attrs() else {
            out.push(
                Diagnostic::error(
                    "NXA003",
                    format!(
                        "`{}` in the matrix of job `{}` must hold attribute sets, and this is {}",
                        a.name,
                        job.name,
                        row.describe()
                    ),
                )
                .at(place(row, a.key), format!("this is {}", row.describe())),
            );
            continue;
        };
        if a.name == "exclude" && fields.is_empty() {
            out.push(
                Diagnostic::error(
                    "NXA311",
                    format!("an item of `exclude` in the matrix of job `{}` is empty", job.name),
                )
                .at(place(row, a.key), "agrees with every combination")
                .help("name the axes and values of the combinations to leave out"),
            );
        }
        for f in fields.iter().filter(|_| a.name == "exclude") {
            if axes.iter().all(|x| x.name != f.name) {
                let mut d = Diagnostic::error(
                    "NXA311",
                    format!(
                        "`exclude` names the axis `{}`, which the matrix of job `{}` does not have",
                        f.name, job.name
                    ),
                )
                .at(f.key, "not an axis");
                if let Some(help) = suggest::did_you_mean(&f.name, axes.iter().map(|x| x.name.as_str())) {
                    d = d.help(help);
                }
                out.push(d);
            }
        }
    }
}

/// How the copies are scheduled: whether the first failure cancels the others, and how many run at a
/// time.
pub(super) fn scheduling(m: &Node) -> (bool, Option<usize>) {
    let most = m.get("maxParallel").and_then(Node::int).and_then(|n| usize::try_from(n).ok());
    (m.get("failFast").and_then(Node::bool).unwrap_or(true), most)
}

/// Sets `MATRIX_<AXIS>`, which the job's own variables override.
pub(super) fn add_variables(copy: &MatrixCopy, at: SpanId, env: &mut Vec<Variable>) {
    for (axis, value) in &copy.values {
        let name = format!("MATRIX_{}", upper(axis));
        if env.iter().all(|v| v.name.value != name) {
            env.push(Variable { name: Spanned::new(name, at), value: EnvValue::Text(value.clone()) });
        }
    }
}

/// A name as part of an environment variable's: upper case, `_` for anything but letters and digits.
pub(super) fn upper(name: &str) -> String {
    let one = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    name.chars().map(one).collect()
}
