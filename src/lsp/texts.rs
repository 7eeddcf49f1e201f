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

    fn put(&mut self, uri: &str, version: i64, text: String) -> PathBuf {
        let path = uri::to_path(uri);
        let text: Arc<str> = text.into();
        let document = Arc::new(Document::new(&path, text.clone()));
        let open = Open { uri: uri.to_owned(), version, document };
        Arc::make_mut(&mut self.open).insert(path.clone(), open);
        Arc::make_mut(&mut self.texts).insert(path.clone(), text);
        path
    }

    /// `textDocument/didOpen`; the path.
    pub fn did_open(&mut self, params: &Value) -> Option<PathBuf> {
        let item = &params["textDocument"];
        let version = item["version"].as_i64().unwrap_or_default();
        Some(self.put(item["uri"].as_str()?, version, item["text"].as_str()?.to_owned()))
    }

    /// `textDocument/didChange`; the path. A change that cannot be read is left out.
    pub fn did_change(&mut self, params: &Value, encoding: Encoding) -> Option<PathBuf> {
        let uri = params["textDocument"]["uri"].as_str()?;
        let open = self.open.get(&uri::to_path(uri))?;
        let version = params["textDocument"]["version"].as_i64().unwrap_or(open.version + 1);
        let uri = open.uri.clone();
        let mut text = open.document.text().to_string();
        let mut lines = Some(open.document.lines().clone());
        for change in params["contentChanges"].as_array()? {
            let Some(new) = change["text"].as_str() else { continue };
            let Some(range) = change.get("range").filter(|r| !r.is_null()) else {
                new.clone_into(&mut text);
                lines = None;
                continue;
            };
            let (Some(start), Some(end)) = (line_col(&range["start"]), line_col(&range["end"])) else {
                continue;
            };
            let known = lines.take().unwrap_or_else(|| Lines::new(&text));
            let start = known.offset(&text, start, encoding) as usize;
            let end = known.offset(&text, end, encoding) as usize;
            text.replace_range(start.min(end)..end.max(start), new);
        }
        Some(self.put(&uri, version, text))
    }

    /// `textDocument/didClose`; the path.
    pub fn did_close(&mut self, params: &Value) -> Option<PathBuf> {
        let path = uri::to_path(params["textDocument"]["uri"].as_str()?);
        Arc::make_mut(&mut self.open).remove(&path)?;
        Arc::make_mut(&mut self.texts).remove(&path);
        Some(path)
    }

    /// The open text at a path.
    pub fn get(&self, path: &Path) -> Option<&Open> {
        self.open.get(path)
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
        let open = texts.get(&path.expect("open")).expect("open");
        assert_eq!((&**open.document.text(), open.version), ("a😀X\nc!", 2));
        assert!(texts.did_close(&json!({ "textDocument": { "uri": uri } })).is_some());
        assert!(texts.open().is_empty() && texts.texts().is_empty());
    }
}
