//! The ways to check: a text alone, any Nix file, a workflow file.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use super::levels::Levels;
use super::registry::{self, Model, Stage, When};
use super::rules::{self, script_strings};
use super::shellcheck;
use super::suppress::Suppressions;
use super::text::{Text, Texts};
use super::verdict::ShellCheck;
use super::workflow_file::is_workflow;
use crate::base::source::{Source, SourceName};
use crate::diag::{Diagnostic, Severity};
use crate::eval::io::EvalIo;
use crate::eval::on_big_stack;
use crate::evalcache;
use crate::workflow::load::{self, Outcome, Request};

/// What came of checking a file.
pub struct Linted {
    /// The workflows with their plans, and the findings that stand against these.
    pub outcome: Outcome,
    /// Whether the file was evaluated as a workflow file.
    pub is_workflow: bool,
    /// Whether scripts are written out in it.
    pub has_scripts: bool,
    /// All findings: at their levels, without those that comments allow, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
}

/// Which rules have looked; a suppression is unused only if its rule did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ran {
    /// Whether evaluation gave a workflow, right or wrong.
    pub seen: bool,
    /// Those of workflows.
    pub workflow: bool,
    /// Those of scripts.
    pub scripts: bool,
}

/// Checks a text alone: its syntax errors, and what the rules of texts find. `ran` says how
/// far the workflow model is checked too, which then speaks for what both can see. Raw findings, for
/// [`finish`]. Needs a large stack.
pub fn syntax(text: &Text, ran: Ran) -> Vec<Diagnostic> {
    let mut out = text.errors().to_vec();
    for rule in registry::RULES {
        let Stage::Text(run, when) = rule.stage else { continue };
        let wanted = match when {
            When::Always => true,
            When::Alone => !ran.workflow,
            When::Whole => !ran.workflow && text.errors().is_empty(),
            When::Unseen => !ran.seen,
        };
        if wanted {
            run(text, &mut out);
        }
    }
    out
}

/// Checks any Nix file as a text.
pub fn plain(source: Arc<Source>, levels: &Levels) -> Vec<Diagnostic> {
    on_big_stack(|| match Text::new(source.clone()) {
        Some(text) => text_alone(&text, levels, None),
        None => load::not_utf8(&source).into_iter().collect(),
    })
}

/// The same, with its scripts, on this thread, which needs a large stack.
pub fn text_alone(text: &Text, levels: &Levels, shell: Option<&dyn ShellCheck>) -> Vec<Diagnostic> {
    let mut found = syntax(text, Ran::default());
    let ran = Ran { scripts: scripts(text, shell, &mut found), ..Ran::default() };
    finish(found, Some(text), ran, levels)
}

/// Checks a workflow file: evaluates it, checks the model and the text. `io` makes the view of the
/// file system; it is called on the thread that evaluates.
pub fn file(request: &Request, io: impl FnOnce() -> Rc<dyn EvalIo> + Send, levels: &Levels) -> Linted {
    check(request, io, &Options { levels, shell: None, guess: false, cache: None })
}

/// Checks a file as a workflow file if its text looks like one, and otherwise as any Nix file.
pub fn guess(request: &Request, io: impl FnOnce() -> Rc<dyn EvalIo> + Send, levels: &Levels) -> Linted {
    check(request, io, &Options { levels, shell: None, guess: true, cache: None })
}

/// How a file is checked.
pub struct Options<'o> {
    /// The levels of findings.
    pub levels: &'o Levels,
    /// What checks scripts, if there is such a program.
    pub shell: Option<&'o dyn ShellCheck>,
    /// Whether the text decides if it is a workflow file; otherwise it is one.
    pub guess: bool,
    /// Where outcomes of earlier checks are kept, if they may be used.
    pub cache: Option<&'o evalcache::Store>,
}

/// Checks a file.
pub fn check(request: &Request, io: impl FnOnce() -> Rc<dyn EvalIo> + Send, options: &Options<'_>) -> Linted {
    on_big_stack(|| {
        let io = io();
        let bytes = io.read_file(&request.file).ok();
        let text = bytes.and_then(|b| Text::new(Source::new(SourceName::Path(request.file.clone()), b)));
        let text = text.map(Rc::new);
        if let Some(text) = text.as_ref().filter(|t| options.guess && !is_workflow(t)) {
            let diagnostics = text_alone(text, options.levels, options.shell);
            let has_scripts = has_scripts(text);
            return Linted { outcome: Outcome::default(), is_workflow: false, has_scripts, diagnostics };
        }
        loaded(text.as_ref(), options.levels, options.shell, |inspect| {
            evalcache::load(options.cache, evalcache::Purpose::Findings, request, io, inspect)
        })
    })
}

/// Checks a workflow file that is loaded by something else, such as a session; `text` is its text, if
/// it can be read. Needs a large stack.
pub fn file_with(
    text: Option<&Rc<Text>>,
    levels: &Levels,
    shell: Option<&dyn ShellCheck>,
    load: impl FnOnce(load::Inspect<'_>) -> Outcome,
) -> Linted {
    loaded(text, levels, shell, load)
}

/// Whether scripts are written out in a text.
pub fn has_scripts(text: &Text) -> bool {
    script_strings(text).next().is_some()
}

fn scripts(text: &Text, shell: Option<&dyn ShellCheck>, out: &mut Vec<Diagnostic>) -> bool {
    shell.is_some_and(|shell| shellcheck::check(text, shell, out))
}

fn loaded(
    text: Option<&Rc<Text>>,
    levels: &Levels,
    shell: Option<&dyn ShellCheck>,
    load: impl FnOnce(load::Inspect<'_>) -> Outcome,
) -> Linted {
    let texts = Texts::with(text);
    let outcome = load(&mut |seen| {
        let checked = &mut *seen.checked;
        let (Some(workflow), Some(graph)) = (&checked.workflow, &checked.graph) else { return };
        let sound = !checked.diagnostics.iter().any(|d| d.severity == Severity::Error);
        let model = Model { workflow, graph, sound, texts: &texts };
        for rule in registry::RULES {
            if let Stage::Workflow(run) = rule.stage {
                run(&model, &mut checked.diagnostics);
            }
        }
    });
    // The outcome may be one that was kept; then the rules looked when it was made.
    let any = |how: fn(&load::Loaded) -> bool| outcome.workflows.iter().any(how);
    let mut ran = Ran { seen: any(|w| w.was_seen), workflow: any(|w| w.is_whole), scripts: false };
    let mut found: Vec<Diagnostic> = outcome.findings().cloned().collect();
    if let Some(text) = text {
        if ran.workflow {
            text.was_evaluated();
        }
        found.extend(syntax(text, ran));
        rules::undefined_name::help(text, &mut found);
        rules::deprecated_argument::help(text, &mut found);
        ran.scripts = scripts(text, shell, &mut found);
    }
    let diagnostics = finish(found, text.map(|t| &**t), ran, levels);
    let has_scripts = text.is_some_and(|t| has_scripts(t));
    Linted { diagnostics, is_workflow: true, has_scripts, outcome }
}

/// Raw findings made final: those that comments allow are left out, each gets its level, what is
/// said twice is said once. `text` is the file that was checked as a whole; findings in other files
/// are held against the comments there. Needs a large stack.
pub fn finish(found: Vec<Diagnostic>, text: Option<&Text>, ran: Ran, levels: &Levels) -> Vec<Diagnostic> {
    let mut main = text.map(|t| (t, Suppressions::of(t)));
    let mut others: Vec<(Arc<Source>, Option<Suppressions>)> = Vec::new();
    let mut kept = Vec::new();
    for d in found {
        let covered = match (&d.primary, &mut main) {
            (None, _) => false,
            (Some(p), Some((t, s))) if p.place.source.name() == t.source().name() => s.cover(&d),
            (Some(p), _) => {
                let source = &p.place.source;
                let known = others.iter().position(|(s, _)| s.name() == source.name());
                let at = known.unwrap_or_else(|| {
                    let comments = Text::new(source.clone()).map(|t| Suppressions::of(&t));
                    others.push((source.clone(), comments));
                    others.len() - 1
                });
                others[at].1.as_mut().is_some_and(|s| s.cover(&d))
            }
        };
        // What cannot be evaluated cannot be allowed either.
        if !covered || !levels.may_change(d.code) {
            kept.push(d);
        }
    }
    if let Some((t, s)) = main {
        let looked_for = |code: &str| {
            levels.reports(code)
                && match code {
                    "NXA501" => ran.scripts,
                    code => registry::is_of_text(code) || ran.workflow,
                }
        };
        kept.extend(s.rest(t, &looked_for));
    }
    let mut kept: Vec<Diagnostic> = kept.into_iter().filter_map(|d| levels.apply(d)).collect();
    kept.sort_by_cached_key(|d| {
        let place = d.primary.as_ref().map(|l| (l.place.source.name().to_string(), l.place.start));
        (place.is_none(), place, d.code, std::cmp::Reverse(d.severity))
    });
    one_cause(&mut kept);
    let mut seen = HashSet::new();
    kept.retain(|d| match &d.primary {
        Some(l) => {
            seen.insert((d.code, l.place.source.name().clone(), l.place.start, l.place.end, repeats(d)))
        }
        None => true,
    });
    kept
}

/// Where an error stands, a lesser finding about the same text follows from it.
fn one_cause(found: &mut Vec<Diagnostic>) {
    let place = |d: &Diagnostic| {
        d.primary.as_ref().map(|l| (l.place.source.name().clone(), l.place.start, l.place.end))
    };
    let errors: HashSet<_> =
        found.iter().filter(|d| d.severity == Severity::Error).filter_map(place).collect();
    found.retain(|d| {
        d.severity == Severity::Error
            || !registry::is_of_text(d.code)
            || place(d).is_none_or(|p| !errors.contains(&p))
    });
}

/// What tells two findings of one code at one place apart.
fn repeats(d: &Diagnostic) -> Option<String> {
    // A hint about the text repeats what the model says; two errors may be two mistakes.
    let several = d.severity == Severity::Error || d.code == "NXA501";
    (several && !registry::is_of_text(d.code)).then(|| d.message.clone())
}
