//! Fixtures: a text with the cursor at `$0`, and below a line comments such as `# ^^^ label`.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nixactions::base::source::{Source, SourceName};
use nixactions::diag::Diagnostic;
use nixactions::eval::{Heap, on_big_stack};
use nixactions::ide::document::{Document, range};
use nixactions::ide::facts::Facts;
use nixactions::ide::place::Context;
use nixactions::ide::probe::{self, Answer, Probe, Query, Remembered};
use nixactions::lint::{self, Levels, Text};
use nixactions::lsp::overlay::Overlay;
use nixactions::workflow::load::{Request, Session};
use rnix::TextRange;

use super::support;

/// A text with its marks taken out.
pub(crate) struct Fixture {
    pub(crate) document: Document,
    /// The place of `$0`.
    pub(crate) cursor: u32,
    /// What is expected where.
    pub(crate) labels: Vec<(TextRange, String)>,
}

/// Takes the marks out of a text.
pub(crate) fn parse(marked: &str) -> Fixture {
    let mut text = String::new();
    let mut cursor = 0;
    let mut labels = Vec::new();
    let mut last_line = 0;
    for line in marked.lines() {
        let carets = line.trim_start().strip_prefix('#').map(str::trim_start).filter(|l| l.starts_with('^'));
        if let Some(carets) = carets {
            let column = line.find('^').expect("carets");
            let length = carets.len() - carets.trim_start_matches('^').len();
            let start = (last_line + column) as u32;
            labels.push((range(start, start + length as u32), carets[length..].trim().to_owned()));
            continue;
        }
        last_line = text.len();
        match line.find("$0") {
            Some(at) => {
                cursor = (text.len() + at) as u32;
                text += &line.replacen("$0", "", 1);
            }
            None => text += line,
        }
        text.push('\n');
    }
    Fixture { document: Document::new("/fixture/ci.nix", text), cursor, labels }
}

fn request() -> Request {
    let mut request = support::request(Path::new("/fixture/ci.nix"));
    request.settings.limits.time = Some(Duration::from_secs(20));
    request.placeholders = true;
    request
}

fn source(text: &str) -> Option<Text> {
    Text::new(Source::new(SourceName::Path("/fixture/ci.nix".into()), text.as_bytes()))
}

fn overlay(text: &str) -> Rc<Overlay> {
    let io = Overlay::default();
    io.replace(Arc::new([("/fixture/ci.nix".into(), Arc::from(text))].into()));
    Rc::new(io)
}

/// What the evaluation of a text tells, and what is found.
pub(crate) fn evaluate(text: &str) -> (Facts, Vec<Diagnostic>) {
    on_big_stack(|| {
        let heap = Heap::new();
        let request = request();
        let mut session = Session::new(&heap, request.settings.clone(), overlay(text))
            .unwrap_or_else(|d| panic!("{}", d.message));
        let mut facts = Facts::default();
        let linted = lint::file_with(source(text).map(Rc::new).as_ref(), &Levels::default(), None, |rules| {
            session.load(&request, &mut |seen| {
                facts.add(seen);
                rules(seen);
            })
        });
        (facts.finish(), linted.diagnostics)
    })
}

/// Evaluates what it is asked.
pub(crate) struct Evaluating(pub(crate) Arc<str>);

impl Probe for Evaluating {
    fn ask(&self, text: String, query: Query) -> Option<Answer> {
        on_big_stack(|| {
            let heap = Heap::new();
            let request = request();
            let mut session = Session::new(&heap, request.settings.clone(), overlay(&self.0)).ok()?;
            probe::answer(&mut session, &mut Remembered::default(), &request, &text, &query)
        })
    }
}

/// Checks that a feature, asked at the cursor, gives the labelled places with their labels. The facts
/// are of the text itself, or of an older one.
pub(crate) fn check_with(
    marked: &str,
    evaluated: Option<&str>,
    feature: impl Fn(&Context<'_>, u32, &dyn Probe) -> Vec<(TextRange, String)>,
) {
    let fixture = parse(marked);
    let text = fixture.document.text().clone();
    let (facts, _) = evaluate(evaluated.unwrap_or(&text));
    let context = Context::new(&fixture.document, Some(&facts));
    let mut found = feature(&context, fixture.cursor, &Evaluating(text.clone()));
    found.sort_by_key(|f| (f.0.start(), f.0.end()));
    let shown = |list: &[(TextRange, String)]| {
        let one =
            |(r, label): &(TextRange, String)| format!("{r:?} `{}` {label}", fixture.document.slice(*r));
        list.iter().map(one).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(shown(&found), shown(&fixture.labels), "in\n{marked}");
}

/// The same with the facts of the text itself.
pub(crate) fn check(
    marked: &str,
    feature: impl Fn(&Context<'_>, u32, &dyn Probe) -> Vec<(TextRange, String)>,
) {
    check_with(marked, None, feature);
}

/// No path is a folder.
pub(crate) fn no_dir(_: &Path) -> bool {
    false
}
