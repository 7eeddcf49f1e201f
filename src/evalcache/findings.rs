//! What came of a file, as bytes: workflows with their plans, findings with their places, and the
//! lines that evaluation printed.
//!
//! Texts of sources are not kept. They are read again where a finding points into them, which gives
//! the same text, since the entry is used only when no file has changed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::source::{Place, Source, SourceName};
use crate::diag::codes::CODES;
use crate::diag::{Applicability, Diagnostic, Edit, Fix, Label, Severity};
use crate::eval::io::{EvalIo, System};
use crate::workflow::load::{Loaded, Outcome};
use crate::workflow::nixlib;
use crate::workflow::plan::Plan;

#[derive(Serialize, Deserialize)]
struct Kept {
    workflows: Vec<KeptWorkflow>,
    names: Vec<String>,
    findings: Vec<KeptFinding>,
    /// Files that places are in.
    sources: Vec<PathBuf>,
    /// Lines of `trace` and `warn`.
    printed: Vec<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct KeptWorkflow {
    key: Option<String>,
    title: String,
    was_seen: bool,
    is_whole: bool,
    plan: Option<Plan>,
    rest: KeptRest,
    findings: Vec<KeptFinding>,
}

/// What a plan does not print of itself: what is secret, and where the store is when it needs nothing
/// of it.
#[derive(Clone, Default, Serialize, Deserialize)]
struct KeptRest {
    secrets: Vec<String>,
    store: String,
}

#[derive(Serialize, Deserialize)]
struct KeptFinding {
    code: String,
    severity: u8,
    message: String,
    primary: Option<KeptLabel>,
    secondary: Vec<KeptLabel>,
    help: Option<String>,
    notes: Vec<String>,
    fixes: Vec<KeptFix>,
}

/// A text at a place: the number of the source, and the byte range.
#[derive(Serialize, Deserialize)]
struct KeptLabel(usize, u32, u32, String);

#[derive(Serialize, Deserialize)]
struct KeptFix {
    title: String,
    edits: Vec<KeptLabel>,
    safe: bool,
}

const SEVERITIES: [Severity; 3] = [Severity::Hint, Severity::Warning, Severity::Error];

struct Writer<'a> {
    /// Whether a file was read by the evaluation.
    was_read: &'a dyn Fn(&Path) -> bool,
    sources: Vec<PathBuf>,
    numbers: HashMap<PathBuf, usize>,
}

impl Writer<'_> {
    fn label(&mut self, place: &Place, text: &str) -> Option<KeptLabel> {
        // What stands in no file cannot be read again.
        let path = place.source.path()?;
        let number = match self.numbers.get(path) {
            Some(&n) => n,
            None => {
                // A file may be shown under another name than the one it was read by.
                let text = read(path)?;
                let is_watched = path.starts_with(nixlib::ROOT) || (self.was_read)(path);
                if !is_watched || text[..] != place.source.text()[..] {
                    return None;
                }
                self.sources.push(path.to_owned());
                self.numbers.insert(path.to_owned(), self.sources.len() - 1);
                self.sources.len() - 1
            }
        };
        Some(KeptLabel(number, place.start, place.end, text.to_owned()))
    }

    fn finding(&mut self, d: &Diagnostic) -> Option<KeptFinding> {
        let mut fixes = Vec::new();
        for fix in &d.fixes {
            let edits: Option<Vec<_>> = fix.edits.iter().map(|e| self.label(&e.place, &e.text)).collect();
            let safe = fix.applicability == Applicability::Safe;
            fixes.push(KeptFix { title: fix.title.clone(), edits: edits?, safe });
        }
        let primary = match &d.primary {
            Some(l) => Some(self.label(&l.place, &l.text)?),
            None => None,
        };
        let secondary: Option<Vec<_>> = d.secondary.iter().map(|l| self.label(&l.place, &l.text)).collect();
        Some(KeptFinding {
            code: d.code.to_owned(),
            severity: SEVERITIES.iter().position(|&s| s == d.severity)? as u8,
            message: d.message.clone(),
            primary,
            secondary: secondary?,
            help: d.help.clone(),
            notes: d.notes.clone(),
            fixes,
        })
    }

    fn findings(&mut self, all: &[Diagnostic]) -> Option<Vec<KeptFinding>> {
        all.iter().map(|d| self.finding(d)).collect()
    }
}

/// The text of a file, or of one that is embedded.
fn read(path: &Path) -> Option<Arc<[u8]>> {
    if path.starts_with(nixlib::ROOT) {
        return Some(nixlib::file(path.to_str()?)?.1.as_bytes().into());
    }
    System.read_file(path).ok()
}

/// An outcome as bytes; without the plans, which take most room, if nobody will ask for them. `None`
/// when it cannot be kept: a finding points into something that is no file that was read, or a plan
/// does not come back from bytes as it was.
pub(super) fn pack(
    outcome: &Outcome,
    with_plans: bool,
    printed: &[Vec<u8>],
    was_read: &dyn Fn(&Path) -> bool,
) -> Option<Vec<u8>> {
    let mut writer = Writer { was_read, sources: Vec::new(), numbers: HashMap::new() };
    let mut workflows = Vec::new();
    for w in &outcome.workflows {
        let plan = w.plan.as_ref().filter(|_| with_plans);
        workflows.push(KeptWorkflow {
            key: w.key.clone(),
            title: w.title.clone(),
            was_seen: w.was_seen,
            is_whole: w.is_whole,
            plan: plan.cloned(),
            rest: plan.map_or_else(KeptRest::default, |p| KeptRest {
                secrets: p.secrets.clone(),
                store: p.objects.dir.clone(),
            }),
            findings: writer.findings(&w.diagnostics)?,
        });
    }
    let findings = writer.findings(&outcome.diagnostics)?;
    let (names, sources) = (outcome.names.clone(), writer.sources);
    let kept = Kept { workflows, names, findings, sources, printed: printed.to_vec() };
    let bytes = serde_json::to_vec(&kept).ok()?;
    let back: Kept = serde_json::from_slice(&bytes).ok()?;
    let plans = back.workflows.into_iter().map(|w| plan(w.plan, w.rest));
    let kept = kept.workflows.into_iter().map(|w| w.plan);
    plans.eq(kept).then_some(bytes)
}

fn plan(plan: Option<Plan>, rest: KeptRest) -> Option<Plan> {
    plan.map(|mut p| {
        p.secrets = rest.secrets;
        p.objects.dir = rest.store;
        p
    })
}

struct Reader {
    sources: Vec<Arc<Source>>,
}

impl Reader {
    fn place(&self, number: usize, start: u32, end: u32) -> Option<Place> {
        let source = self.sources.get(number)?.clone();
        let inside = start <= end && end as usize <= source.text().len();
        inside.then_some(Place { source, start, end })
    }

    fn label(&self, KeptLabel(number, start, end, text): KeptLabel) -> Option<Label> {
        Some(Label { place: self.place(number, start, end)?, text })
    }

    fn finding(&self, kept: KeptFinding) -> Option<Diagnostic> {
        let code = match kept.code.as_str() {
            "" => "",
            code => CODES.iter().find(|c| c.code == code)?.code,
        };
        let mut d = Diagnostic::new(*SEVERITIES.get(usize::from(kept.severity))?, code, kept.message);
        if let Some(label) = kept.primary {
            d.primary = Some(self.label(label)?);
        }
        d.secondary = kept.secondary.into_iter().map(|l| self.label(l)).collect::<Option<_>>()?;
        d.help = kept.help;
        d.notes = kept.notes;
        for fix in kept.fixes {
            let edit = |KeptLabel(number, start, end, text)| {
                Some(Edit { place: self.place(number, start, end)?, text })
            };
            let edits = fix.edits.into_iter().map(edit).collect::<Option<_>>()?;
            let applicability = if fix.safe { Applicability::Safe } else { Applicability::Unsafe };
            d.fixes.push(Fix { title: fix.title, edits, applicability });
        }
        Some(d)
    }

    fn findings(&self, all: Vec<KeptFinding>) -> Option<Vec<Diagnostic>> {
        all.into_iter().map(|d| self.finding(d)).collect()
    }
}

/// The outcome that bytes stand for, and the lines that were printed.
pub(super) fn unpack(bytes: &[u8]) -> Option<(Outcome, Vec<Vec<u8>>)> {
    let kept: Kept = serde_json::from_slice(bytes).ok()?;
    let source = |path: PathBuf| Some(Source::new(SourceName::Path(path.clone()), read(&path)?));
    let reader = Reader { sources: kept.sources.into_iter().map(source).collect::<Option<_>>()? };
    let mut workflows = Vec::new();
    for w in kept.workflows {
        workflows.push(Loaded {
            key: w.key,
            title: w.title,
            was_seen: w.was_seen,
            is_whole: w.is_whole,
            plan: plan(w.plan, w.rest),
            diagnostics: reader.findings(w.findings)?,
        });
    }
    let outcome = Outcome { workflows, names: kept.names, diagnostics: reader.findings(kept.findings)? };
    Some((outcome, kept.printed))
}
