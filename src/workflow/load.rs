//! From a file to checked workflows and their plans.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::build_plan;
use super::check::{Checked, check};
use super::evaluate::{WithLibrary, diagnostic, diagnostics, library, offered};
use super::plan::{Plan, StoreObjects};
use super::tree::Node;
use super::walk::{Calls, Walker};
use crate::base::source::{Place, Source, SourceName, SpanId};
use crate::base::suggest;
use crate::base::symbol::Symbol;
use crate::diag::{Diagnostic, Label, Severity};
use crate::drv::object::Objects;
use crate::drv::store_path::StoreDir;
use crate::eval::builtins::store_view;
use crate::eval::io::EvalIo;
use crate::eval::{Evaluation, Heap, Res, Settings, Slot, Value, on_big_stack};

/// A value from the command line.
#[derive(Clone, Debug)]
pub enum Argument {
    /// `--argstr`: a string.
    Text(String),
    /// `--arg`: an expression.
    Expr(String),
}

/// What to load.
#[derive(Clone)]
pub struct Request {
    /// The workflow file, absolute.
    pub file: PathBuf,
    /// The workflow's name in the file; `None` for the only one, or `default`.
    pub name: Option<String>,
    /// Check all workflows of the file.
    pub all: bool,
    /// The project's directory.
    pub project_dir: PathBuf,
    /// Where expressions of the command line stand.
    pub current_dir: PathBuf,
    /// nixpkgs, when it was given.
    pub pkgs: Option<PathBuf>,
    /// Workflow inputs.
    pub inputs: Vec<(String, String)>,
    /// Give required inputs without a value one that stands for it, for checking.
    pub placeholders: bool,
    /// Arguments that override all others.
    pub args: Vec<(String, Argument)>,
    /// Settings of the evaluator.
    pub settings: Settings,
}

/// One workflow of a file.
pub struct Loaded {
    /// Its name in the file; `None` when the file is one workflow.
    pub key: Option<String>,
    /// Its own name, as far as it could be read.
    pub title: String,
    /// The plan, when nothing stands against it.
    pub plan: Option<Plan>,
    /// Whether evaluation gave a workflow, right or wrong.
    pub was_seen: bool,
    /// Whether all of it could be read, so that rules of workflows could look at it.
    pub is_whole: bool,
    /// Findings.
    pub diagnostics: Vec<Diagnostic>,
}

/// What came of a file.
#[derive(Default)]
pub struct Outcome {
    /// Its workflows, those that were asked for.
    pub workflows: Vec<Loaded>,
    /// Names of all workflows in the file; empty when it is one workflow.
    pub names: Vec<String>,
    /// Findings about the file as a whole.
    pub diagnostics: Vec<Diagnostic>,
}

impl Outcome {
    fn failed(diagnostics: Vec<Diagnostic>) -> Outcome {
        Outcome { diagnostics, ..Outcome::default() }
    }

    /// All findings, of the file and of its workflows.
    pub fn findings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().chain(self.workflows.iter().flat_map(|w| &w.diagnostics))
    }

    /// Whether an error is among the findings.
    pub fn has_errors(&self) -> bool {
        self.findings().any(|d| d.severity == Severity::Error)
    }
}

/// A workflow that was just checked, while its values are alive and its spans resolve.
pub struct Seen<'a> {
    /// Its name in the file.
    pub key: Option<&'a str>,
    /// Its values, with their places.
    pub node: &'a Node,
    /// What the checks made of it; errors that are added stand against a plan.
    pub checked: &'a mut Checked,
}

/// What looks at each checked workflow.
pub type Inspect<'f> = &'f mut dyn FnMut(&mut Seen<'_>);

/// Evaluates and checks a workflow file. `io` makes the view of the file system; it is called on
/// the thread that evaluates.
pub fn load(request: &Request, io: impl FnOnce() -> Rc<dyn EvalIo> + Send) -> Outcome {
    on_big_stack(|| load_with(request, io(), &mut |_| ()))
}

/// The same on this thread, which must be one of [`on_big_stack`]. `inspect` sees each checked
/// workflow.
pub fn load_with(request: &Request, io: Rc<dyn EvalIo>, inspect: Inspect<'_>) -> Outcome {
    let heap = Heap::new();
    match Session::new(&heap, request.settings.clone(), io) {
        Ok(mut session) => session.load(request, inspect),
        Err(d) => Outcome::failed(vec![d]),
    }
}

/// An evaluation that loads one file after the other, so that what they share (nixpkgs, the
/// library) is evaluated once. What it makes stays in memory until its heap goes.
pub struct Session<'h> {
    ev: Evaluation<'h>,
    offered: Option<Offered<'h>>,
}

/// What files were offered last, and for which project and nixpkgs.
struct Offered<'h> {
    project_dir: PathBuf,
    lock_dir: PathBuf,
    pkgs: Option<PathBuf>,
    values: Vec<(&'static str, Value<'h>)>,
}

impl<'h> Session<'h> {
    /// A session on this heap; must run inside [`on_big_stack`].
    ///
    /// # Errors
    /// If the memory for the evaluation cannot be had.
    #[expect(clippy::result_large_err, reason = "called once a session")]
    pub fn new(heap: &'h Heap, settings: Settings, io: Rc<dyn EvalIo>) -> Result<Self, Diagnostic> {
        let io: Rc<dyn EvalIo> = Rc::new(WithLibrary(io));
        let ev = Evaluation::new(heap, settings, io)
            .map_err(|e| Diagnostic::error("NXA022", format!("cannot start the evaluation: {e}")))?;
        Ok(Session { ev, offered: None })
    }

    /// The evaluation, to change its limits.
    pub fn evaluation(&mut self) -> &mut Evaluation<'h> {
        &mut self.ev
    }

    /// Evaluates and checks a workflow file; `inspect` sees each workflow in it.
    pub fn load(&mut self, request: &Request, inspect: Inspect<'_>) -> Outcome {
        if let Err(d) = readable(&request.file, &*self.ev.io) {
            return Outcome::failed(vec![d]);
        }
        let outcome = match self.offered(request) {
            Ok(known) => load_in(request, &mut self.ev, &known, inspect),
            Err(e) => Err(Outcome::failed(diagnostics(&e))),
        };
        match outcome {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    /// Evaluates a text as if it were a workflow file, and hands over its value. When it is a
    /// function of a pattern, it is called with what workflow files are offered.
    ///
    /// # Errors
    /// Those of the text.
    pub fn evaluate(&mut self, request: &Request, text: &str) -> Res<Value<'h>> {
        let base_dir = request.file.parent().unwrap_or(Path::new("/")).to_path_buf();
        let given = self.ev.eval_text(SourceName::String, text.as_bytes(), &base_dir)?;
        let Some(pattern) = self.ev.pattern_of(given) else { return Ok(given) };
        let wanted: Vec<Symbol> = pattern.formals.iter().map(|f| f.name).collect();
        let known = self.offered(request)?;
        let none = SpanId::NONE;
        let args = known.iter().map(|&(n, v)| (Symbol::intern(n), none, v));
        let args = self.ev.heap.attrs_from(args.filter(|a| wanted.contains(&a.0)).collect());
        self.ev.call(given, &[args], none)
    }

    fn offered(&mut self, request: &Request) -> Res<Vec<(&'static str, Value<'h>)>> {
        let lock_dir = request.file.parent().unwrap_or(&request.project_dir);
        if let Some(o) = &self.offered
            && o.project_dir == request.project_dir
            && o.lock_dir == lock_dir
            && o.pkgs == request.pkgs
        {
            return Ok(o.values.clone());
        }
        let values = offered(&mut self.ev, &request.project_dir, lock_dir, request.pkgs.as_deref())?;
        self.offered = Some(Offered {
            project_dir: request.project_dir.clone(),
            lock_dir: lock_dir.to_owned(),
            pkgs: request.pkgs.clone(),
            values: values.clone(),
        });
        Ok(values)
    }
}

/// A workflow file must be there, be a file, and be UTF-8.
#[expect(clippy::result_large_err, reason = "called once a file")]
fn readable(file: &Path, io: &dyn EvalIo) -> Result<(), Diagnostic> {
    let text = io.read_file(file).map_err(|e| {
        let why = match e.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_string(),
            std::io::ErrorKind::IsADirectory => "it is a directory".to_string(),
            std::io::ErrorKind::PermissionDenied => "reading it is not permitted".to_string(),
            _ => e.to_string(),
        };
        Diagnostic::error("", format!("cannot read {}: {why}", file.display()))
    })?;
    match not_utf8(&Source::new(SourceName::Path(file.to_path_buf()), text)) {
        Some(d) => Err(d),
        None => Ok(()),
    }
}

/// The finding that a source is not UTF-8, at its first wrong byte; `None` when it is.
pub fn not_utf8(source: &Arc<Source>) -> Option<Diagnostic> {
    let text = source.text();
    let at = std::str::from_utf8(text).err()?.valid_up_to() as u32;
    let (line, _) = source.line_col(at);
    let message =
        format!("{} is not UTF-8: line {line} has the byte 0x{:02x}", source.name(), text[at as usize]);
    let mut d = Diagnostic::error("NXA000", message).help("save the file as UTF-8");
    let place = Place { source: source.clone(), start: at, end: at + 1 };
    d.primary = Some(Label { place, text: "not UTF-8".into() });
    Some(d)
}

fn names_of(items: &[String]) -> String {
    let shown: Vec<String> = items.iter().take(20).map(|n| format!("`{n}`")).collect();
    shown.join(", ")
}

/// Reports what the file's function requires and nobody offers.
fn unoffered<'h>(ev: &Evaluation<'h>, f: Value<'h>, offered: &[String]) -> Vec<Diagnostic> {
    let Some(pattern) = ev.pattern_of(f) else { return Vec::new() };
    let missing = pattern.formals.iter().filter(|formal| formal.default.is_none());
    missing
        .filter(|formal| !offered.iter().any(|o| o.as_bytes() == formal.name.name()))
        .map(|formal| {
            let name = formal.name.text();
            let d = Diagnostic::error(
                "NXA020",
                format!("the file asks for the argument `{name}`, which nobody offers"),
            )
            .at(formal.span, "not offered")
            .note(format!("offered are {}", names_of(offered)));
            match suggest::did_you_mean(&name, offered.iter().map(String::as_str)) {
                Some(help) => d.help(help),
                None => {
                    d.help(format!("give it with `--argstr {name} VALUE`, or a default: `{name} ? null`"))
                }
            }
        })
        .collect()
}

/// The workflows among the outputs of a flake: those of `nixactions.SYSTEM` or `nixactions`, and those
/// that packages carry.
fn flake<'h>(request: &Request, ev: &mut Evaluation<'h>) -> Res<Value<'h>> {
    let dir = request.file.parent().unwrap_or(Path::new("/"));
    let none = SpanId::NONE;
    let world = ev.world.clone();
    let source = world.parse_reference(&dir.to_string_lossy(), dir).map_err(|e| e.at(none))?;
    let outputs = world.flake(ev, &source, none)?;
    let choose = library(ev, "outputs.nix")?;
    let select = match &request.name {
        Some(name) => ev.heap.string(name.as_bytes()),
        None => Value::Null(none),
    };
    let system = ev.heap.string(ev.settings.system.clone().as_bytes());
    let args = vec![
        (Symbol::intern("outputs"), none, outputs),
        (Symbol::intern("system"), none, system),
        (Symbol::intern("select"), none, select),
    ];
    let args = ev.heap.attrs_from(args);
    let found = ev.call(choose, &[args], none)?;
    ev.force_value(found)
}

fn load_in<'h>(
    request: &Request,
    ev: &mut Evaluation<'h>,
    known: &[(&'static str, Value<'h>)],
    inspect: Inspect<'_>,
) -> Result<Outcome, Outcome> {
    use std::os::unix::ffi::OsStrExt;
    let fail = |e: Box<crate::eval::EvalError>| Outcome::failed(diagnostics(&e));
    let given = match request.file.file_name().is_some_and(|n| n == "flake.nix") {
        true => flake(request, ev),
        false => ev.import(request.file.as_os_str().as_bytes(), SpanId::NONE),
    };
    let given = given.map_err(fail)?;
    let mut overrides = Vec::new();
    for (name, value) in &request.args {
        let v = match value {
            Argument::Text(t) => ev.heap.string(t.as_bytes()),
            Argument::Expr(e) => {
                ev.eval_text(SourceName::String, e.as_bytes(), &request.current_dir).map_err(fail)?
            }
        };
        overrides.push((Symbol::intern(name), SpanId::NONE, v));
    }
    let mut names: Vec<String> = known.iter().map(|k| k.0.to_string()).collect();
    names.push("inputs".into());
    names.extend(request.args.iter().map(|a| a.0.clone()));
    let missing = unoffered(ev, given, &names);
    if !missing.is_empty() {
        return Err(Outcome::failed(missing));
    }
    let none = SpanId::NONE;
    let offered = known.iter().map(|&(n, v)| (Symbol::intern(n), none, v)).collect();
    let offered = ev.heap.attrs_from(offered);
    let inputs: Vec<_> =
        request.inputs.iter().map(|(n, v)| (Symbol::intern(n), none, ev.heap.string(v.as_bytes()))).collect();
    let select = match &request.name {
        Some(n) => ev.heap.string(n.as_bytes()),
        None => Value::Null(none),
    };
    let args = vec![
        (Symbol::intern("given"), none, given),
        (Symbol::intern("offered"), none, offered),
        (Symbol::intern("overrides"), none, ev.heap.attrs_from(overrides)),
        (Symbol::intern("inputs"), none, ev.heap.attrs_from(inputs)),
        (Symbol::intern("select"), none, select),
        (Symbol::intern("placeholders"), none, Value::Bool(request.placeholders)),
        (Symbol::intern("currentDir"), none, ev.heap.string(request.current_dir.as_os_str().as_bytes())),
    ];
    let args = ev.heap.attrs_from(args);
    let entry = library(ev, "entry.nix").map_err(fail)?;
    let stack = vec![Some(request.file.clone())];
    let calls = Calls { entry: Some(entry), offered: Some(offered), stack };
    let Value::Attrs(result) = ev.call(entry, &[args], none).map_err(fail)? else {
        return Err(Outcome::failed(vec![Diagnostic::error("NXA022", "the file gives no workflow")]));
    };
    let field = |name: &str| result.get(Symbol::intern(name));
    let (Some(value), Some(single), Some(workflows)) = (field("value"), field("single"), field("workflows"))
    else {
        return Err(Outcome::failed(vec![Diagnostic::error("NXA022", "the file gives no workflow")]));
    };
    let whole = ev.force(value).map_err(fail)?;
    let Value::Attrs(_) = whole else { return Err(Outcome::failed(vec![not_a_workflow(ev, value)])) };
    let single = matches!(ev.force(single).map_err(fail)?, Value::Bool(true));
    let Value::Attrs(all) = ev.force(workflows).map_err(fail)? else { return Ok(Outcome::default()) };
    let all: Vec<(String, &'h Slot<'h>)> =
        all.sorted().into_iter().map(|a| (a.name.text().into_owned(), a.slot)).collect();
    choose(request, ev, &calls, single, all, inspect)
}

fn not_a_workflow<'h>(ev: &mut Evaluation<'h>, slot: &'h Slot<'h>) -> Diagnostic {
    let node = Walker::new(ev, Calls::default()).slot(slot, &super::schema::Type::Text);
    Diagnostic::error("NXA003", format!("the file must give a workflow, and it gives {}", node.describe()))
        .at(node.span, format!("this is {}", node.describe()))
        .help("call `nixactions.mkWorkflow`; `nixactions init` writes a file to start from")
}

/// Picks the workflows that were asked for, and checks them.
fn choose<'h>(
    request: &Request,
    ev: &mut Evaluation<'h>,
    calls: &Calls<'h>,
    single: bool,
    all: Vec<(String, &'h Slot<'h>)>,
    inspect: Inspect<'_>,
) -> Result<Outcome, Outcome> {
    if single {
        let workflows: Vec<Loaded> =
            all.iter().map(|w| one(request, ev, calls, None, w.1, inspect)).collect();
        if let (Some(name), Some(w)) = (&request.name, workflows.first())
            && name != &w.title
            && name != "default"
        {
            return Err(Outcome::failed(vec![
                Diagnostic::error(
                    "NXA023",
                    format!("{} is one workflow, and has none named `{name}`", request.file.display()),
                )
                .help("leave out the name after `#`"),
            ]));
        }
        return Ok(Outcome { workflows, ..Outcome::default() });
    }
    let names: Vec<String> = all.iter().map(|w| w.0.clone()).collect();
    let wrong = |message: String, help: Option<String>| {
        let mut d = Diagnostic::error("NXA023", message);
        d.help = help;
        if !names.is_empty() {
            d = d.note(format!("its workflows are {}", names_of(&names)));
        }
        Err(Outcome { names: names.clone(), ..Outcome::failed(vec![d]) })
    };
    let file = request.file.display();
    if all.is_empty() {
        return wrong(format!("{file} holds no workflow"), None);
    }
    if request.all {
        let workflows =
            all.iter().map(|(n, slot)| one(request, ev, calls, Some(n.clone()), slot, inspect)).collect();
        return Ok(Outcome { workflows, names, ..Outcome::default() });
    }
    let found = match &request.name {
        Some(name) => all.iter().find(|w| w.0 == *name),
        None if all.len() == 1 => all.first(),
        None => all.iter().find(|w| w.0 == "default"),
    };
    match (found, &request.name) {
        (Some((n, slot)), _) => {
            let workflows = vec![one(request, ev, calls, Some(n.clone()), slot, inspect)];
            Ok(Outcome { workflows, names, ..Outcome::default() })
        }
        (None, Some(name)) => wrong(
            format!("{file} has no workflow named `{name}`"),
            suggest::did_you_mean(name, names.iter().map(String::as_str)),
        ),
        (None, None) => wrong(
            format!("{file} holds {} workflows, and none is the default", names.len()),
            Some(format!("name one: `{file}#{}`", names[0])),
        ),
    }
}

fn one<'h>(
    request: &Request,
    ev: &mut Evaluation<'h>,
    calls: &Calls<'h>,
    key: Option<String>,
    slot: &'h Slot<'h>,
    inspect: Inspect<'_>,
) -> Loaded {
    let title = key.clone().unwrap_or_default();
    if let Err(e) = ev.force(slot) {
        return Loaded {
            key,
            title,
            plan: None,
            was_seen: false,
            is_whole: false,
            diagnostics: vec![diagnostic(&e)],
        };
    }
    let node = Walker::new(ev, calls.clone()).workflow(slot);
    let mut checked = check(&node, node.span);
    inspect(&mut Seen { key: key.as_deref(), node: &node, checked: &mut checked });
    let ok = checked.is_ok();
    let mut diagnostics = checked.diagnostics;
    let is_whole = checked.workflow.is_some() && checked.graph.is_some();
    let title = checked.workflow.as_ref().map_or(title, |w| w.name.value.clone());
    if let Some(w) = &checked.workflow {
        inputs(request, w, &mut diagnostics);
    }
    let plan = match (&checked.workflow, &checked.graph) {
        (Some(w), Some(g)) if ok => {
            let dir = StoreDir::new(&request.settings.store_dir);
            let mut plan = build_plan::build(w, g, &request.project_dir, &dir);
            plan.objects = StoreObjects { dir: dir.as_str().to_owned(), objects: objects_of(&plan, ev) };
            Some(plan)
        }
        _ => None,
    };
    Loaded { key, title, plan, was_seen: true, is_whole, diagnostics }
}

/// The objects that evaluation made and the plan needs, with what they refer to.
fn objects_of(plan: &Plan, ev: &mut Evaluation<'_>) -> Objects {
    let jobs = plan.jobs.iter();
    let steps = jobs.clone().flat_map(|j| &j.steps).flat_map(|s| &s.store);
    let needed = plan.store.iter().chain(jobs.flat_map(|j| &j.store)).chain(steps);
    store_view::closure(ev, needed.map(|n| n.root().clone()))
}

/// Values of `--input` must be of inputs that there are, and of their types; a required input must
/// have one.
fn inputs(request: &Request, w: &super::model::Workflow, out: &mut Vec<Diagnostic>) {
    for (name, value) in &request.inputs {
        let Some(input) = w.inputs.iter().find(|i| i.name.value == *name) else {
            let d = Diagnostic::error("NXA024", format!("the workflow has no input `{name}`"));
            let known = w.inputs.iter().map(|i| i.name.value.as_str());
            out.push(match suggest::did_you_mean(name, known) {
                Some(help) => d.help(help),
                None => d,
            });
            continue;
        };
        let wanted = match input.ty.as_str() {
            "number" if value.parse::<f64>().is_err() => "a number".to_string(),
            "boolean" if !matches!(value.as_str(), "true" | "false") => "`true` or `false`".to_string(),
            "choice" if !input.options.contains(value) => {
                format!("one of {}", names_of(&input.options))
            }
            "path" if value.is_empty() => "a path".to_string(),
            _ => continue,
        };
        out.push(
            Diagnostic::error(
                "NXA024",
                format!("the input `{name}` must be {wanted}, and `{value}` was given"),
            )
            .at(input.name.span, "declared here"),
        );
    }
    let given = |name: &str| request.inputs.iter().any(|i| i.0 == name);
    for input in w.inputs.iter().filter(|i| i.required && i.default.is_none() && !given(&i.name.value)) {
        let name = &input.name.value;
        if !request.placeholders {
            out.push(
                Diagnostic::error("NXA024", format!("the workflow requires the input `{name}`"))
                    .at(input.name.span, "has no default")
                    .help(format!("give it with `--input {name}=VALUE`")),
            );
        }
    }
}
