//! What a request sees: all texts and everything known about them at one moment.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rnix::TextRange;
use serde_json::{Value, json};

use super::config::Config;
use super::evaluator::Evaluator;
use super::overlay::Texts;
use super::transport::{ResponseError, code};
use super::uri;
use crate::base::lines::{Encoding, LineCol, Lines};
use crate::diag::Diagnostic;
use crate::eval::Settings;
use crate::ide::document::Document;
use crate::ide::facts::{Facts, Spot};
use crate::ide::place::Context;
use crate::ide::probe::{Answer, Probe, Query};
use crate::workflow::load::Request;

/// How long a request waits for a value before it is answered from the text alone.
const PATIENCE: Duration = Duration::from_millis(900);

/// An open text.
#[derive(Clone)]
pub struct Open {
    /// As the editor names it.
    pub uri: String,
    /// The editor's number of the version.
    pub version: i64,
    /// The text.
    pub document: Arc<Document>,
}

/// What of the client's capabilities matters.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Snippets in completions.
    pub snippets: bool,
    /// It asks for diagnostics itself.
    pub pulls: bool,
    /// It can be told to ask again for diagnostics.
    pub refresh_diagnostics: bool,
    /// It can be told to ask again for hints.
    pub refresh_hints: bool,
    /// It can be told to ask again for lenses.
    pub refresh_lenses: bool,
    /// It understands places with an origin range.
    pub links: bool,
    /// It understands nested symbols.
    pub nested_symbols: bool,
    /// It can be asked for its settings.
    pub configuration: bool,
    /// It registers file watchers on request.
    pub watches: bool,
    /// It understands `documentChanges` with versions.
    pub document_changes: bool,
    /// It understands related information in diagnostics.
    pub related: bool,
}

/// What all requests share, and change.
#[derive(Default)]
pub struct Shared {
    /// The tokens last sent for each text, with their number.
    pub tokens: Mutex<HashMap<PathBuf, (u64, Vec<u32>)>>,
    /// Jobs of files that are not open, by the time of their last change.
    pub symbols: Mutex<HashMap<PathBuf, super::workspace::Indexed>>,
}

/// Everything at one moment.
#[derive(Clone)]
pub struct Snapshot {
    /// What columns count.
    pub encoding: Encoding,
    /// Settings.
    pub config: Arc<Config>,
    /// The client.
    pub client: Arc<Client>,
    /// Open texts by path.
    pub open: Arc<HashMap<PathBuf, Open>>,
    /// The same, as evaluation wants them.
    pub texts: Texts,
    /// What the last good evaluation of each workflow file told.
    pub facts: Arc<HashMap<PathBuf, Arc<Facts>>>,
    /// Findings by the file they are in.
    pub findings: Arc<HashMap<PathBuf, Vec<Diagnostic>>>,
    /// Folders of the workspace.
    pub folders: Arc<Vec<PathBuf>>,
    /// Settings of evaluation.
    pub settings: Arc<Settings>,
    /// The evaluator.
    pub evaluator: Arc<Evaluator>,
    /// What requests share.
    pub shared: Arc<Shared>,
    /// Whether the client took the request back.
    pub cancelled: Arc<AtomicBool>,
}

impl Snapshot {
    /// The text of a request's `textDocument`: the open one, or what is on disk.
    ///
    /// # Errors
    /// If the parameters name none, or it cannot be read.
    pub fn document(&self, params: &Value) -> Result<Arc<Document>, ResponseError> {
        let uri = params["textDocument"]["uri"].as_str();
        let uri = uri.ok_or_else(|| ResponseError::new(code::INVALID_PARAMS, "no textDocument.uri"))?;
        let path = uri::to_path(uri);
        self.read(&path).ok_or_else(|| {
            ResponseError::new(
                code::REQUEST_FAILED,
                format!("{} is not open and cannot be read", path.display()),
            )
        })
    }

    /// The text at a path: the open one, or what is on disk.
    pub fn read(&self, path: &Path) -> Option<Arc<Document>> {
        if let Some(open) = self.open.get(path) {
            return Some(open.document.clone());
        }
        std::fs::metadata(path).ok().filter(|m| m.is_file() && m.len() < 16 << 20)?;
        let text = std::fs::read_to_string(path).ok()?;
        Some(Arc::new(Document::new(path, text)))
    }

    /// The byte offset of a position.
    ///
    /// # Errors
    /// If it is none.
    pub fn offset(&self, document: &Document, position: &Value) -> Result<u32, ResponseError> {
        let at =
            line_col(position).ok_or_else(|| ResponseError::new(code::INVALID_PARAMS, "not a position"))?;
        Ok(document.lines().offset(document.text(), at, self.encoding))
    }

    /// The bytes of a range.
    ///
    /// # Errors
    /// If it is none.
    pub fn text_range(&self, document: &Document, range: &Value) -> Result<TextRange, ResponseError> {
        let start = self.offset(document, &range["start"])?;
        let end = self.offset(document, &range["end"])?;
        Ok(crate::ide::document::range(start.min(end), end.max(start)))
    }

    /// A range for the client.
    pub fn range(&self, document: &Document, range: TextRange) -> Value {
        range_json(document.lines(), document.text(), range, self.encoding)
    }

    /// A `Location` of a place in any file.
    pub fn location(&self, spot: &Spot) -> Option<Value> {
        let document = self.read(&spot.file)?;
        Some(json!({ "uri": self.uri(&spot.file), "range": self.range(&document, spot.range) }))
    }

    /// How the client names a file.
    pub fn uri(&self, path: &Path) -> String {
        self.open.get(path).map_or_else(|| uri::of_path(path), |o| o.uri.clone())
    }

    /// The facts in which a file occurs: its own, or those of a workflow that imports it.
    pub fn facts_of(&self, path: &Path) -> Option<&Arc<Facts>> {
        self.facts.get(path).or_else(|| {
            let mut roots: Vec<_> = self.facts.iter().filter(|f| f.1.texts.contains_key(path)).collect();
            roots.sort_by_key(|f| f.0);
            roots.first().map(|f| f.1)
        })
    }

    /// A text with its facts.
    pub fn context<'a>(&'a self, document: &'a Document) -> Context<'a> {
        Context::new(document, self.facts_of(document.path()).map(|f| &**f))
    }

    /// Whether the client took the request back.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// How a file is evaluated.
    pub fn request(&self, file: &Path) -> Request {
        request(file, &self.settings, &self.config)
    }

    /// Who answers questions about values in a file.
    pub fn probe<'a>(&'a self, document: &'a Document) -> Asker<'a> {
        Asker { snapshot: self, file: document.path() }
    }
}

/// How a workflow file is evaluated for an editor.
pub fn request(file: &Path, settings: &Settings, config: &Config) -> Request {
    let dir = file.parent().unwrap_or(Path::new("/"));
    let root = dir.ancestors().find(|d| d.join(".git").exists());
    Request {
        file: file.to_owned(),
        name: None,
        all: true,
        project_dir: root.unwrap_or(dir).to_owned(),
        current_dir: dir.to_owned(),
        pkgs: config.pkgs.clone(),
        inputs: Vec::new(),
        placeholders: true,
        args: Vec::new(),
        settings: settings.clone(),
    }
}

/// Line and column of a position.
pub fn line_col(position: &Value) -> Option<LineCol> {
    let number = |key: &str| {
        let n = position.get(key)?.as_u64()?;
        Some(n.min(u64::from(u32::MAX)) as u32)
    };
    Some(LineCol { line: number("line")?, column: number("character")? })
}

/// A range for the client.
pub fn range_json(lines: &Lines, text: &str, range: TextRange, encoding: Encoding) -> Value {
    let at = |offset: rnix::TextSize| {
        let p = lines.position(text, offset.into(), encoding);
        json!({ "line": p.line, "character": p.column })
    };
    json!({ "start": at(range.start()), "end": at(range.end()) })
}

/// Asks the evaluator about values in a file.
pub struct Asker<'a> {
    snapshot: &'a Snapshot,
    file: &'a Path,
}

impl Probe for Asker<'_> {
    fn ask(&self, text: String, query: Query) -> Option<Answer> {
        let s = self.snapshot;
        if !s.config.evaluation.enable || s.is_cancelled() {
            return None;
        }
        let slot = s.evaluator.ask(s.request(self.file), s.texts.clone(), text, query);
        slot.wait(PATIENCE, &s.cancelled)
    }
}
