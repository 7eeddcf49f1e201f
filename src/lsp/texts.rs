//! Open texts: opening, changing by ranges, closing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::overlay::Texts;
use super::snapshot::{Open, line_col};
use super::uri;
use crate::base::lines::{Encoding, Lines};
use crate::ide::document::Document;
use crate::syntax::reparse::Change;

/// The open texts. Copies are cheap.
#[derive(Clone, Default)]
pub struct OpenTexts {
    open: Arc<HashMap<PathBuf, Open>>,
    texts: Texts,
}

impl OpenTexts {
    /// By path.
    pub fn open(&self) -> &Arc<HashMap<PathBuf, Open>> {
        &self.open
    }

    /// As evaluation wants them.
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    fn put(&mut self, uri: &str, version: i64, document: Document) -> (PathBuf, Option<Open>) {
        let path = document.path().to_owned();
        let text = document.text().clone();
        let open = Open { uri: uri.to_owned(), version, document: Arc::new(document) };
        let before = Arc::make_mut(&mut self.open).insert(path.clone(), open);
        Arc::make_mut(&mut self.texts).insert(path.clone(), text);
        (path, before)
    }

    /// `textDocument/didOpen`; the path.
    pub fn did_open(&mut self, params: &Value) -> Option<PathBuf> {
        let item = &params["textDocument"];
        let version = item["version"].as_i64().unwrap_or_default();
        let uri = item["uri"].as_str()?;
        Some(self.put(uri, version, Document::new(uri::to_path(uri), item["text"].as_str()?)).0)
    }

    /// `textDocument/didChange`; the path and what was there before, which may take long to drop. A
    /// change that cannot be read is left out.
    pub fn did_change(&mut self, params: &Value, encoding: Encoding) -> Option<(PathBuf, Option<Open>)> {
        let uri = params["textDocument"]["uri"].as_str()?;
        let open = self.open.get(&uri::to_path(uri))?.clone();
        let version = params["textDocument"]["version"].as_i64().unwrap_or(open.version + 1);
        let changes = params["contentChanges"].as_array()?;
        let mut edit = Editing {
            text: String::with_capacity(open.document.text().len() + 256) + open.document.text(),
            lines: Some(open.document.lines().clone()),
            change: None,
            replaced: false,
        };
        changes.iter().for_each(|change| edit.apply(change, encoding));
        let document = match edit.change {
            _ if edit.replaced => Document::new(open.document.path(), edit.text),
            Some(change) => open.document.edited(edit.text, change),
            None => Document::new(open.document.path(), edit.text),
        };
        Some(self.put(&open.uri, version, document))
    }

    /// `textDocument/didClose`; the path and what was there.
    pub fn did_close(&mut self, params: &Value) -> Option<(PathBuf, Open)> {
        let path = uri::to_path(params["textDocument"]["uri"].as_str()?);
        let before = Arc::make_mut(&mut self.open).remove(&path)?;
        Arc::make_mut(&mut self.texts).remove(&path);
        Some((path, before))
    }

    /// The open text at a path.
    pub fn get(&self, path: &Path) -> Option<&Open> {
        self.open.get(path)
    }
}

/// A text in the middle of a list of changes.
struct Editing {
    text: String,
    lines: Option<Lines>,
    /// All changes as one, as long as each names its range.
    change: Option<Change>,
    replaced: bool,
}

impl Editing {
    fn apply(&mut self, change: &Value, encoding: Encoding) {
        let Some(new) = change["text"].as_str() else { return };
        let Some(range) = change.get("range").filter(|r| !r.is_null()) else {
            new.clone_into(&mut self.text);
            self.lines = None;
            self.replaced = true;
            return;
        };
        let (Some(start), Some(end)) = (line_col(&range["start"]), line_col(&range["end"])) else { return };
        let lines = self.lines.take().unwrap_or_else(|| Lines::new(&self.text));
        let from = lines.offset(&self.text, start, encoding);
        let to = lines.offset(&self.text, end, encoding);
        let (from, to) = (from.min(to), from.max(to));
        self.text.replace_range(from as usize..to as usize, new);
        let next = Change { start: from, old_end: to, new_end: from + new.len() as u32 };
        self.lines = Some(lines.edited(&self.text, next.start, next.old_end, next.new_end));
        self.change = Some(self.change.map_or(next, |earlier| earlier.then(next)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_apply_one_after_the_other() {
        let mut texts = OpenTexts::default();
        let uri = "file:///a.nix";
        texts.did_open(&json!({ "textDocument": { "uri": uri, "version": 1, "text": "a😀b\nc" } }));
        let at = |line: u32, character: u32| json!({ "line": line, "character": character });
        let path = texts.did_change(
            &json!({ "textDocument": { "uri": uri, "version": 2 }, "contentChanges": [
                { "range": { "start": at(0, 3), "end": at(0, 4) }, "text": "X\n" },
                { "range": { "start": at(1, 0), "end": at(2, 0) }, "text": "" },
                { "range": { "start": at(9, 9), "end": at(9, 9) }, "text": "!" },
                { "range": { "start": { "line": -1 }, "end": at(0, 0) }, "text": "lost" },
            ] }),
            Encoding::Utf16,
        );
        let open = texts.get(&path.expect("open").0).expect("open");
        assert_eq!((&**open.document.text(), open.version), ("a😀X\nc!", 2));
        assert!(texts.did_close(&json!({ "textDocument": { "uri": uri } })).is_some());
        assert!(texts.open().is_empty() && texts.texts().is_empty());
    }
}
