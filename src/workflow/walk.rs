//! Value to tree: forces an evaluated workflow as far as the schema asks, depth first.
//!
//! Keys that the schema does not know are not evaluated, nor are the insides of values of the
//! wrong type. A failure becomes an error node in its place.

use std::path::PathBuf;

use super::call;
use super::evaluate::diagnostic;
use super::schema::{self, Type};
use super::shape::is_internal;
use super::tree::{Attr, Derivation, Kind, Node};
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::diag::Diagnostic;
use crate::eval::{Attrs, ErrorKind, EvalError, Evaluation, Slot, Value};

/// Nesting of data without a schema.
const DEEPEST: u32 = 100;
/// Values in one workflow; more is data that describes itself without end.
const MOST_NODES: usize = 5_000_000;

/// Walks the values of one evaluation.
pub(super) struct Walker<'e, 'h> {
    pub(super) ev: &'e mut Evaluation<'h>,
    /// How the workflows that jobs use are called.
    pub(super) calls: Calls<'h>,
    nodes: usize,
    depth: u32,
}

/// What a workflow that a job uses is called with, and those that are being called.
#[derive(Clone, Default)]
pub(super) struct Calls<'h> {
    /// The function of `entry.nix`.
    pub(super) entry: Option<Value<'h>>,
    /// The arguments that a file may ask for.
    pub(super) offered: Option<Value<'h>>,
    /// Files of the workflows that are being called, outermost first; `None` for one without a file.
    pub(super) stack: Vec<Option<PathBuf>>,
}

impl<'e, 'h> Walker<'e, 'h> {
    pub(super) fn new(ev: &'e mut Evaluation<'h>, calls: Calls<'h>) -> Self {
        Walker { ev, calls, nodes: 0, depth: 0 }
    }

    /// The tree of a workflow, with what the library put beside it.
    pub(super) fn workflow(&mut self, slot: &'h Slot<'h>) -> Node {
        let mut root = self.slot(slot, &Type::Record(&schema::WORKFLOW));
        let Ok(Value::Attrs(attrs)) = self.ev.force(slot) else { return root };
        let Kind::Attrs(fields) = &mut root.kind else { return root };
        if let Some(extended) = attrs.find(Symbol::intern("_extended")) {
            let value = self.slot(extended.slot, &Type::Any);
            let key = attrs.find(Symbol::intern("extensions")).map_or(SpanId::NONE, |a| a.span);
            let value = Node::new(value.span, value.kind);
            // In place of what stands for internal names.
            fields.retain(|a| a.name != "_extended");
            fields.push(Attr { name: "_extended".into(), key, value });
            return root;
        }
        let jobs = fields.iter().find(|a| a.name == "jobs").and_then(|a| a.value.attrs());
        let with_matrix: Vec<String> = jobs
            .unwrap_or_default()
            .iter()
            .filter(|j| j.value.get("matrix").is_some_and(|m| m.attrs().is_some()))
            .map(|j| j.name.clone())
            .collect();
        if let Some(matrix) = attrs.find(Symbol::intern("_matrix")).filter(|_| !with_matrix.is_empty()) {
            let value = self.copies(matrix.slot, &with_matrix);
            fields.push(Attr { name: "_matrix".into(), key: SpanId::NONE, value });
        }
        root
    }

    /// The copies of the jobs with a matrix.
    fn copies(&mut self, slot: &'h Slot<'h>, jobs: &[String]) -> Node {
        let attrs = match self.ev.force(slot) {
            Ok(Value::Attrs(a)) => a,
            Ok(_) => return Node::new(SpanId::NONE, Kind::Unforced),
            Err(e) => return failed_with(&e),
        };
        let mut out = Vec::new();
        for job in jobs {
            let Some(a) = attrs.find(Symbol::intern(job)) else { continue };
            out.push(Attr { name: job.clone(), key: a.span, value: self.copy_list(a.slot) });
        }
        Node::new(SpanId::NONE, Kind::Attrs(out))
    }

    fn copy_list(&mut self, slot: &'h Slot<'h>) -> Node {
        let list = match self.ev.force(slot) {
            Ok(Value::List(l)) => l,
            Ok(_) => return Node::new(SpanId::NONE, Kind::Unforced),
            Err(e) => return failed_with(&e),
        };
        let items = list.items.iter().map(|item| match self.ev.force(item) {
            Ok(Value::Attrs(copy)) => {
                let fields =
                    [("suffix", Type::Text), ("values", Type::Data), ("job", Type::Record(&schema::JOB))];
                let attrs = fields.iter().filter_map(|(name, ty)| {
                    let a = copy.find(Symbol::intern(name))?;
                    Some(Attr { name: name.to_string(), key: a.span, value: self.slot(a.slot, ty) })
                });
                Node::new(SpanId::NONE, Kind::Attrs(attrs.collect()))
            }
            Ok(_) => Node::new(SpanId::NONE, Kind::Unforced),
            Err(e) => failed_with(&e),
        });
        Node::new(list.origin, Kind::List(items.collect()))
    }

    /// The tree of a slot of this type.
    pub(super) fn slot(&mut self, slot: &'h Slot<'h>, ty: &Type) -> Node {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return failed(Diagnostic::error("NXA022", "the workflow holds too many values"));
        }
        match self.ev.force(slot) {
            Ok(v) => self.value(v, ty),
            Err(e) => failed_with(&e),
        }
    }

    fn value(&mut self, v: Value<'h>, ty: &Type) -> Node {
        let mut node = self.plain(v, ty);
        if let Value::Str(s) = v {
            node.context = s.context.iter().map(|&c| c.clone()).collect();
        }
        node
    }

    fn plain(&mut self, v: Value<'h>, ty: &Type) -> Node {
        let (span, kind) = match v {
            Value::Null(s) => (s, Kind::Null),
            Value::Bool(b) => (SpanId::NONE, Kind::Bool(b)),
            Value::Int(s, i) => (s, Kind::Int(i)),
            Value::Float(s, f) => (s, Kind::Float(f)),
            Value::Str(s) => (s.origin, Kind::Str(s.bytes.to_vec())),
            Value::Path(p) => (p.origin, Kind::Path(PathBuf::from(Evaluation::os_path(p.bytes)))),
            Value::List(l) => {
                let item = match ty {
                    Type::List(item, _) | Type::OneOrList(item, _) => Some(**item),
                    Type::Data | Type::Provider | Type::Executor => Some(Type::Data),
                    _ => None,
                };
                let items = l.items.iter().map(|s| self.member(s, item));
                (l.origin, Kind::List(items.collect()))
            }
            Value::Attrs(a) => (a.origin, self.set(a, ty)),
            Value::Lambda(..) | Value::Partial(_) | Value::Builtin(_) => (SpanId::NONE, Kind::Function),
            Value::Thunk(..) | Value::Lazy(..) | Value::Ref(_) | Value::Blackhole(_) | Value::Failed(_) => {
                (SpanId::NONE, Kind::Unforced)
            }
        };
        Node::new(span, kind)
    }

    /// A member of a list or set: walked when it has a type, otherwise left alone.
    fn member(&mut self, slot: &'h Slot<'h>, ty: Option<Type>) -> Node {
        let Some(ty) = ty else { return Node::new(SpanId::NONE, Kind::Unforced) };
        if matches!(ty, Type::Any) {
            return Node::new(SpanId::NONE, Kind::Unforced);
        }
        if self.depth >= DEEPEST {
            return failed(Diagnostic::error("NXA022", "the value is nested too deep"));
        }
        self.depth += 1;
        let node = self.slot(slot, &ty);
        self.depth -= 1;
        node
    }

    /// The set whose fields the library has made those of this one of.
    fn written(&mut self, attrs: &'h Attrs<'h>) -> Option<&'h Attrs<'h>> {
        match self.ev.force(attrs.find(Symbol::intern("_written"))?.slot) {
            Ok(Value::Attrs(written)) => Some(written),
            _ => None,
        }
    }

    fn set(&mut self, attrs: &'h Attrs<'h>, ty: &Type) -> Kind {
        if self.text(attrs, "type").as_deref() == Some("derivation") {
            return self.derivation(attrs);
        }
        let tagged = attrs.get(Symbol::intern("_type")).is_some();
        let table = match ty {
            Type::Record(t) | Type::TextOr(t) => Some(*t),
            Type::Step => Some(&schema::STEP),
            _ => None,
        };
        let rest = match ty {
            Type::Map(item, _) if !tagged => Some(**item),
            Type::Data | Type::Executor | Type::Provider | Type::EnvValue | Type::Either(..) if tagged => {
                Some(Type::Data)
            }
            Type::Data => Some(Type::Data),
            _ => None,
        };
        let written = self.written(attrs);
        // These are walked by `workflow`, which knows what they hold.
        let beside = |name: &[u8]| matches!(name, b"_matrix" | b"_extended");
        let out = attrs.sorted().into_iter().filter(|a| !beside(a.name.name())).map(|a| {
            let name = a.name.text().into_owned();
            let value = if name == "_type" {
                self.member(a.slot, Some(Type::Data))
            } else if is_internal(&name) {
                Node::new(SpanId::NONE, Kind::Function)
            } else if let Some(table) = table {
                self.member(a.slot, table.find(&name).map(|k| k.ty))
            } else {
                self.member(a.slot, rest)
            };
            let own = Some(a.span).filter(|s| *s != SpanId::NONE);
            let key = own.or_else(|| written?.find(a.name).map(|w| w.span)).unwrap_or(SpanId::NONE);
            Attr { name, key, value }
        });
        let mut out: Vec<Attr> = out.collect();
        if table.is_some_and(|t| std::ptr::eq(t, &schema::JOB)) {
            self.add_call(attrs, &mut out);
        }
        Kind::Attrs(out)
    }

    /// Puts the tree of the workflow that a job uses beside `uses`. A job with a matrix stands for its
    /// copies, which are walked on their own.
    fn add_call(&mut self, attrs: &'h Attrs<'h>, out: &mut Vec<Attr>) {
        let given = |name: &str| out.iter().find(|a| a.name == name && !matches!(a.value.kind, Kind::Null));
        let (Some(uses), None) = (given("uses"), given("matrix")) else { return };
        let usable = matches!(uses.value.kind, Kind::Path(_) | Kind::Function | Kind::Attrs(_));
        let (key, slot) = (uses.key, attrs.get(Symbol::intern("uses")));
        let at = if uses.value.span == SpanId::NONE { key } else { uses.value.span };
        if let Some(slot) = slot.filter(|_| usable) {
            let value = self.called(slot, attrs.get(Symbol::intern("with")), at);
            out.push(Attr { name: call::TREE.into(), key, value });
        }
    }

    /// The tree of the workflow that a job uses.
    fn called(&mut self, uses: &'h Slot<'h>, with: Option<&'h Slot<'h>>, at: SpanId) -> Node {
        match self.call(uses, with, at) {
            Ok(node) => node,
            Err(d) => failed(*d),
        }
    }

    fn call(
        &mut self,
        uses: &'h Slot<'h>,
        with: Option<&'h Slot<'h>>,
        at: SpanId,
    ) -> Result<Node, Box<Diagnostic>> {
        let evaluating = |e: Box<crate::eval::EvalError>| Box::new(diagnostic(&e));
        let none = SpanId::NONE;
        let mut given = self.ev.force(uses).map_err(evaluating)?;
        let mut file = None;
        if let Value::Path(p) = given {
            let path = PathBuf::from(Evaluation::os_path(p.bytes));
            let circle = self.calls.stack.iter().position(|f| f.as_ref() == Some(&path));
            if let Some(first) = circle {
                return Err(Box::new(self.circle(first, &path, at)));
            }
            given = self.ev.import(p.bytes, at).map_err(evaluating)?;
            file = Some(path);
        }
        if self.calls.stack.len() >= call::DEEPEST {
            let text = format!("workflows use each other more than {} levels deep", call::DEEPEST);
            return Err(Box::new(
                Diagnostic::error("NXA109", text)
                    .at(at, "one level too many")
                    .help("a workflow that uses itself has no end"),
            ));
        }
        let (Some(entry), Some(offered)) = (self.calls.entry, self.calls.offered) else {
            return Err(Box::new(Diagnostic::error("NXA022", "a workflow cannot be used here")));
        };
        let with = match with.map(|w| self.ev.force(w)) {
            Some(Ok(v @ Value::Attrs(_))) => v,
            _ => self.ev.heap.attrs_from(Vec::new()),
        };
        let name = |n: &str| Symbol::intern(n);
        let args = self.ev.heap.attrs_from(vec![
            (name("given"), none, given),
            (name("offered"), none, offered),
            (name("inputs"), none, with),
            (name("texts"), none, Value::Bool(false)),
            // A missing one is reported once, at the call, not wherever it is used.
            (name("placeholders"), none, Value::Bool(true)),
        ]);
        let Value::Attrs(result) = self.ev.call(entry, &[args], at).map_err(evaluating)? else {
            return Err(Box::new(not_usable(at)));
        };
        let workflows = result.get(name("workflows")).map(|w| self.ev.force(w));
        let Some(Ok(Value::Attrs(all))) = workflows else {
            return match workflows {
                Some(Err(e)) => Err(evaluating(e)),
                _ => Err(Box::new(not_usable(at))),
            };
        };
        let all = all.sorted();
        let chosen = match all.as_slice() {
            [only] => Some(only.slot),
            several => several.iter().find(|a| a.name == name("default")).map(|a| a.slot),
        };
        let Some(chosen) = chosen else { return Err(Box::new(not_usable(at))) };
        self.calls.stack.push(file);
        let node = self.workflow(chosen);
        self.calls.stack.pop();
        Ok(node)
    }

    fn circle(&self, first: usize, last: &std::path::Path, at: SpanId) -> Diagnostic {
        let shown = |p: &std::path::Path| {
            p.file_name().map_or_else(|| p.display().to_string(), |n| n.to_string_lossy().into_owned())
        };
        let mut names: Vec<String> =
            self.calls.stack[first..].iter().flatten().map(|p| format!("`{}`", shown(p))).collect();
        names.push(format!("`{}`", shown(last)));
        Diagnostic::error("NXA109", format!("workflows use each other in a circle: {}", names.join(" -> ")))
            .at(at, "is being used already")
            .help("remove one of the uses, or make it depend on an input")
    }

    /// The text of an attribute, when it is one and evaluates.
    fn text(&mut self, attrs: &'h Attrs<'h>, name: &str) -> Option<String> {
        match self.ev.force(attrs.get(Symbol::intern(name))?) {
            Ok(Value::Str(s)) => Some(String::from_utf8_lossy(s.bytes).into_owned()),
            _ => None,
        }
    }

    fn derivation(&mut self, attrs: &'h Attrs<'h>) -> Kind {
        let main_program = match attrs.get(Symbol::intern("meta")).map(|m| self.ev.force(m)) {
            Some(Ok(Value::Attrs(meta))) => self.text(meta, "mainProgram"),
            _ => None,
        };
        // An instantiation that fails is the user's error, at the place where it fails.
        if let Some(Err(e)) = attrs.get(Symbol::intern("outPath")).map(|s| self.ev.force(s)) {
            return failed_with(&e).kind;
        }
        Kind::Derivation(Derivation {
            name: self.text(attrs, "name").unwrap_or_default(),
            drv_path: self.text(attrs, "drvPath"),
            output: self.text(attrs, "outputName").unwrap_or_else(|| "out".into()),
            out_path: self.text(attrs, "outPath"),
            main_program,
        })
    }
}

fn not_usable(at: SpanId) -> Diagnostic {
    Diagnostic::error("NXA003", "`uses` must name a file or function that gives one workflow")
        .at(at, "gives none, or several without a `default`")
        .help("let it give the result of `nixactions.mkWorkflow`")
}

/// The node of a value whose evaluation failed, or is not known here.
fn failed_with(e: &EvalError) -> Node {
    match e.kind {
        ErrorKind::Unavailable => Node::new(SpanId::NONE, Kind::Unknown),
        _ => failed(diagnostic(e)),
    }
}

fn failed(d: Diagnostic) -> Node {
    Node::new(SpanId::NONE, Kind::Error(Box::new(d)))
}
