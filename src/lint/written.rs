//! Sets of a workflow as they are written in a text, found without evaluating it: those that are
//! handed to `mkWorkflow` or `mkJob`, the one that a workflow file gives, and all below these.

use rnix::SyntaxKind;
use rnix::ast::{self, HasEntry};
use rowan::ast::AstNode;

use super::text::Text;
use super::workflow_file::{inside, is_workflow};
use crate::syntax::names::static_name;
use crate::workflow::schema::{self, Table, Type};

/// A set whose keys are known.
pub(super) struct Set {
    /// Its number in the text.
    pub(super) id: usize,
    /// The set.
    pub(super) set: ast::AttrSet,
    /// Its keys.
    pub(super) table: &'static Table,
    /// Its key, for a job.
    pub(super) key: Option<String>,
    /// The workflow it belongs to.
    pub(super) of: Option<usize>,
}

/// A key in a set whose keys are known, also in one that only a path makes.
pub(super) struct Key {
    /// The key.
    pub(super) attr: ast::Attr,
    /// Its name.
    pub(super) name: String,
    /// The keys that there are.
    pub(super) table: &'static Table,
    /// What the set is called.
    pub(super) owner: String,
}

/// What is written of workflows in a text.
#[derive(Default)]
pub(super) struct Written {
    /// The sets.
    pub(super) sets: Vec<Set>,
    /// All keys of these.
    pub(super) keys: Vec<Key>,
}

/// The names of jobs, as far as a text shows them.
#[derive(Default)]
pub(super) struct Known {
    /// Those that are written out.
    pub(super) names: Vec<String>,
    /// Jobs with a matrix, whose copies have longer names.
    matrices: Vec<String>,
    /// Whether there may be others.
    open: bool,
}

impl Known {
    /// Whether a job may have this name.
    pub(super) fn may_be(&self, name: &str) -> bool {
        let copy = |m: &String| name.strip_prefix(m.as_str()).is_some_and(|rest| rest.starts_with('-'));
        self.open || self.names.iter().any(|n| n == name) || self.matrices.iter().any(copy)
    }
}

/// All of it, each set once. In a text with syntax errors only what stands before the first is
/// sure to be read as it was meant.
pub(super) fn of(text: &Text) -> Written {
    let mut walk = Walk { found: Written::default() };
    let root = ast::Root::cast(text.root().clone()).and_then(|r| r.expr());
    if let Some(root) = root.filter(|_| is_workflow(text)) {
        walk.file(&root);
    }
    for call in text.nodes_of(SyntaxKind::NODE_APPLY).iter().cloned().filter_map(ast::Apply::cast) {
        let (Some(name), Some(argument)) = (called(&call), call.argument()) else { continue };
        match name.as_str() {
            "mkWorkflow" => walk.value(&argument, &WORKFLOW, &Place::new("the workflow")),
            "mkJob" => walk.value(&argument, &JOB, &Place::new("the job")),
            _ => {}
        }
    }
    let mut found = walk.found;
    if let Some(first) = text.errors().first().and_then(|d| d.primary.as_ref()) {
        // A bracket that is missed at the end only may be missing anywhere.
        let at_end = first.place.start as usize >= text.str().trim_end().len();
        let before = |attr: &ast::Attr| u32::from(attr.syntax().text_range().end()) <= first.place.start;
        let sure = |attr: &ast::Attr| !at_end && before(attr);
        found.keys.retain(|k| sure(&k.attr));
        found.sets.clear();
    }
    found
}

const WORKFLOW: Type = Type::Record(&schema::WORKFLOW);
const JOB: Type = Type::Record(&schema::JOB);

/// The last name of the function that a call calls.
fn called(call: &ast::Apply) -> Option<String> {
    match call.lambda()? {
        ast::Expr::Ident(f) => Some(f.syntax().text().to_string()),
        ast::Expr::Select(f) => f.attrpath()?.attrs().last().as_ref().and_then(static_name),
        _ => None,
    }
}

/// Where a value stands.
#[derive(Clone)]
struct Place {
    name: String,
    key: Option<String>,
    of: Option<usize>,
}

impl Place {
    fn new(name: &str) -> Place {
        Place { name: name.to_owned(), key: None, of: None }
    }

    /// The value of a key in here.
    fn member(&self, key: &str) -> Place {
        Place { name: format!("`{key}` of {}", self.name), key: None, of: self.of }
    }
}

struct Walk {
    found: Written,
}

impl Walk {
    /// What a workflow file gives: a workflow, or a set of them.
    fn file(&mut self, root: &ast::Expr) {
        let mut at = root.clone();
        while let Some(inner) = inside(&at) {
            at = inner;
        }
        let ast::Expr::AttrSet(set) = &at else { return };
        let first = |b: &ast::AttrpathValue| static_name(&b.attrpath()?.attrs().next()?);
        let is_one = |s: &ast::AttrSet| s.attrpath_values().any(|b| first(&b).as_deref() == Some("jobs"));
        if is_one(set) {
            return self.value(&at, &WORKFLOW, &Place::new("the workflow"));
        }
        for binding in set.attrpath_values() {
            if let (Some(name), Some(value @ ast::Expr::AttrSet(_))) = (first(&binding), binding.value())
                && matches!(&value, ast::Expr::AttrSet(s) if is_one(s))
            {
                self.value(&value, &WORKFLOW, &Place::new(&format!("workflow `{name}`")));
            }
        }
    }

    /// A value of a type, seen through what does not change which set it is.
    fn value(&mut self, e: &ast::Expr, ty: &Type, at: &Place) {
        match e {
            ast::Expr::IfElse(branches) => {
                for branch in [branches.body(), branches.else_body()].into_iter().flatten() {
                    self.value(&branch, ty, at);
                }
            }
            ast::Expr::BinOp(op)
                if matches!(op.operator(), Some(ast::BinOpKind::Update | ast::BinOpKind::Concat)) =>
            {
                for side in [op.lhs(), op.rhs()].into_iter().flatten() {
                    self.value(&side, ty, at);
                }
            }
            ast::Expr::Apply(call) => self.call(call, ty, at),
            ast::Expr::AttrSet(set) => self.set(set, ty, at),
            ast::Expr::List(list) => {
                if let Type::List(item, _) | Type::OneOrList(item, _) = ty {
                    let step = matches!(item, Type::Step);
                    for (i, one) in list.items().enumerate() {
                        let name =
                            if step { format!("step {} of {}", i + 1, owner(at)) } else { at.name.clone() };
                        self.value(&one, item, &Place { name, key: None, of: at.of });
                    }
                }
            }
            // Fields of a job may be functions of a combination.
            other => {
                if let Some(inner) = inside(other) {
                    self.value(&inner, ty, at);
                }
            }
        }
    }

    fn call(&mut self, call: &ast::Apply, ty: &Type, at: &Place) {
        let Some(argument) = call.argument() else { return };
        let curried = call.lambda().and_then(|f| match f {
            ast::Expr::Apply(inner) => called(&inner),
            _ => None,
        });
        if matches!(curried.as_deref(), Some("optionalAttrs" | "optionals" | "optional")) {
            let item = match (curried.as_deref(), ty) {
                (Some("optional"), Type::List(item, _) | Type::OneOrList(item, _)) => item,
                _ => ty,
            };
            return self.value(&argument, item, at);
        }
        if matches!(called(call).as_deref(), Some("mkJob" | "mkWorkflow")) && matches!(ty, Type::Record(_)) {
            return self.value(&argument, ty, at);
        }
        let Some(ast::Expr::Select(function)) = call.lambda() else { return };
        let path: Vec<String> =
            function.attrpath().into_iter().flat_map(|p| p.attrs()).filter_map(|a| static_name(&a)).collect();
        let table = match (&path[..], ty) {
            ([.., family, kind], Type::Executor) if family == "executors" => schema::executor(kind),
            // These two take free names.
            ([.., _, kind], Type::Provider) if kind == "static" || kind == "required" => None,
            ([.., family, kind], Type::Provider) if family == "envProviders" => schema::provider(kind),
            _ => None,
        };
        if let Some(table) = table {
            self.value(&argument, &Type::Record(table), &Place { name: path.join("."), ..at.clone() });
        }
    }

    fn set(&mut self, set: &ast::AttrSet, ty: &Type, at: &Place) {
        match ty {
            Type::Record(table) | Type::TextOr(table) => self.record(set, table, at),
            Type::Step => self.record(set, &schema::STEP, at),
            Type::Either(a, b) => {
                let keyed = |t: &Type| matches!(t, Type::Record(_) | Type::TextOr(_) | Type::Map(..));
                if let Some(ty) = [a, b].into_iter().find(|t| keyed(t)) {
                    self.set(set, ty, at);
                }
            }
            Type::Map(..) => {
                for binding in set.attrpath_values() {
                    self.binding(&binding, ty, 0, at);
                }
            }
            _ => {}
        }
    }

    fn record(&mut self, set: &ast::AttrSet, table: &'static Table, at: &Place) {
        if self.found.sets.iter().any(|s| s.set == *set) {
            return;
        }
        let id = self.found.sets.len();
        let is_workflow = std::ptr::eq(table, &schema::WORKFLOW);
        let of = if is_workflow { Some(id) } else { at.of };
        let inner = Place { of, ..at.clone() };
        self.found.sets.push(Set { id, set: set.clone(), table, key: at.key.clone(), of: at.of });
        for attr in set.inherits().flat_map(|i| i.attrs()) {
            self.key(attr, table, &inner);
        }
        for binding in set.attrpath_values() {
            self.binding(&binding, &Type::Record(table), 0, &inner);
        }
    }

    fn key(&mut self, attr: ast::Attr, table: &'static Table, at: &Place) {
        if let Some(name) = static_name(&attr) {
            self.found.keys.push(Key { attr, name, table, owner: at.name.clone() });
        }
    }

    /// The value of a binding in a set of a type, whose path goes on below it from a name on.
    fn binding(&mut self, binding: &ast::AttrpathValue, ty: &Type, index: usize, at: &Place) {
        let names: Vec<_> = binding.attrpath().map(|p| p.attrs().collect()).unwrap_or_default();
        let Some(attr) = names.get(index) else {
            if let Some(value) = binding.value() {
                self.value(&value, ty, at);
            }
            return;
        };
        let name = static_name(attr);
        match ty {
            Type::Record(table) | Type::TextOr(table) => {
                self.key(attr.clone(), table, at);
                if let Some((name, key)) = name.as_deref().and_then(|n| Some((n, table.find(n)?))) {
                    self.binding(binding, &key.ty, index + 1, &at.member(name));
                }
            }
            Type::Map(item, _) => {
                let job = matches!(item, Type::Record(t) if std::ptr::eq(*t, &schema::JOB));
                let inner = match (&name, job) {
                    (Some(n), true) => Place { name: format!("job `{n}`"), key: name.clone(), of: at.of },
                    (Some(n), false) => at.member(n),
                    (None, _) => Place { key: None, ..at.clone() },
                };
                self.binding(binding, item, index + 1, &inner);
            }
            _ => {}
        }
    }
}

/// The job of its `steps`.
fn owner(at: &Place) -> &str {
    at.name.split_once(" of ").map_or(&at.name, |(_, owner)| owner)
}

/// The names of the jobs of a workflow.
pub(super) fn job_names(workflow: &Set) -> Known {
    let mut known = Known::default();
    for entry in workflow.set.entries() {
        match entry {
            ast::Entry::Inherit(i) => {
                known.open |= i.attrs().any(|a| static_name(&a).as_deref() == Some("jobs"));
            }
            ast::Entry::AttrpathValue(b) => {
                let names: Vec<_> = b.attrpath().map(|p| p.attrs().collect()).unwrap_or_default();
                let path: Vec<Option<String>> = names.iter().map(static_name).collect();
                match &path[..] {
                    [Some(jobs)] if jobs == "jobs" => add_jobs(b.value(), &mut known),
                    [Some(jobs), Some(name), rest @ ..] if jobs == "jobs" => {
                        let below = rest.first().map(|k| k.as_deref() == Some("matrix"));
                        let matrix = below.unwrap_or_else(|| has_matrix(b.value().as_ref()));
                        known.add(name, matrix);
                    }
                    [Some(jobs), None, ..] if jobs == "jobs" => known.open = true,
                    [None, ..] => known.open = true,
                    // An extension may add jobs.
                    [Some(key), ..] if key == "extensions" => known.open = true,
                    _ => {}
                }
            }
        }
    }
    known
}

impl Known {
    fn add(&mut self, name: &str, matrix: bool) {
        if !self.names.iter().any(|n| n == name) {
            self.names.push(name.to_owned());
        }
        if matrix {
            self.matrices.push(name.to_owned());
        }
    }
}

fn has_matrix(job: Option<&ast::Expr>) -> bool {
    let Some(ast::Expr::AttrSet(set)) = job else { return !matches!(job, None | Some(ast::Expr::List(_))) };
    let first = |b: ast::AttrpathValue| static_name(&b.attrpath()?.attrs().next()?);
    set.attrpath_values().filter_map(first).any(|n| n == "matrix")
        || set.inherits().flat_map(|i| i.attrs()).any(|a| static_name(&a).as_deref() == Some("matrix"))
}

fn add_jobs(value: Option<ast::Expr>, known: &mut Known) {
    match value {
        Some(ast::Expr::AttrSet(set)) => {
            for entry in set.entries() {
                match entry {
                    ast::Entry::Inherit(i) => {
                        i.attrs().for_each(|a| match static_name(&a) {
                            // Where it comes from it may have a matrix.
                            Some(name) => known.add(&name, true),
                            None => known.open = true,
                        });
                    }
                    ast::Entry::AttrpathValue(b) => {
                        let names: Vec<_> = b.attrpath().map(|p| p.attrs().collect()).unwrap_or_default();
                        match names.first().and_then(static_name) {
                            Some(name) => {
                                let below = names.get(1).map(|k| static_name(k).as_deref() == Some("matrix"));
                                known.add(&name, below.unwrap_or_else(|| has_matrix(b.value().as_ref())));
                            }
                            None => known.open = true,
                        }
                    }
                }
            }
        }
        Some(ast::Expr::BinOp(op)) if op.operator() == Some(ast::BinOpKind::Update) => {
            add_jobs(op.lhs(), known);
            add_jobs(op.rhs(), known);
        }
        Some(ast::Expr::Paren(p)) => add_jobs(p.expr(), known),
        Some(ast::Expr::LetIn(l)) => add_jobs(l.body(), known),
        _ => known.open = true,
    }
}
