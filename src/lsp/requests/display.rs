//! Requests about how a text is shown.

use rnix::TextRange;
use serde_json::{Value, json};

use super::super::snapshot::Snapshot;
use super::super::transport::ResponseError;
use crate::ide::document::{Document, range};
use crate::ide::links::Destination;
use crate::ide::tokens::{self, Token};
use crate::ide::{
    folding as ide_folding, inlay as ide_inlay, lens as ide_lens, links as ide_links,
    selection as ide_selection,
};

type Answer = Result<Value, ResponseError>;

fn whole(document: &Document) -> TextRange {
    range(0, document.text().len() as u32)
}

/// The numbers of the protocol: five a token, relative to the one before; a token of several lines
/// is one for each line.
fn encode(s: &Snapshot, document: &Document, tokens: &[Token]) -> Vec<u32> {
    let (lines, text) = (document.lines(), document.text());
    let mut data = Vec::with_capacity(tokens.len() * 5);
    let (mut last_line, mut last_column) = (0, 0);
    for token in tokens {
        let (start, end) = (u32::from(token.range.start()), u32::from(token.range.end()));
        for line in lines.line_of(start)..=lines.line_of(end) {
            let bytes = lines.range(text, line);
            let from = (start as usize).clamp(bytes.start, bytes.end);
            let to = (end as usize).clamp(from, bytes.end);
            let part = text.get(from..to).unwrap_or_default();
            if part.is_empty() {
                continue;
            }
            let column = lines.position(text, from as u32, s.encoding).column;
            let before = if line == last_line { last_column } else { 0 };
            let length = s.encoding.length(part);
            data.extend([line - last_line, column - before, length, token.ty, token.modifiers]);
            (last_line, last_column) = (line, column);
        }
    }
    data
}

/// Remembers the tokens of a text, and gives them a number.
fn remember(s: &Snapshot, document: &Document, data: &[u32]) -> u64 {
    let mut all = s.shared.tokens.lock().unwrap_or_else(|e| e.into_inner());
    let number = all.values().map(|t| t.0).max().unwrap_or(0) + 1;
    all.insert(document.path().to_owned(), (number, data.to_vec()));
    number
}

/// `textDocument/semanticTokens/full`
pub fn tokens_full(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let data = encode(s, &document, &tokens::tokens(&s.context(&document), whole(&document)));
    let number = remember(s, &document, &data);
    Ok(json!({ "resultId": number.to_string(), "data": data }))
}

/// `textDocument/semanticTokens/full/delta`: the numbers that changed since the last answer.
pub fn tokens_delta(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let previous = {
        let all = s.shared.tokens.lock().unwrap_or_else(|e| e.into_inner());
        let known = all.get(document.path());
        known
            .filter(|t| params["previousResultId"].as_str() == Some(t.0.to_string().as_str()))
            .map(|t| t.1.clone())
    };
    let data = encode(s, &document, &tokens::tokens(&s.context(&document), whole(&document)));
    let number = remember(s, &document, &data).to_string();
    let Some(old) = previous else { return Ok(json!({ "resultId": number, "data": data })) };
    let start = old.iter().zip(&data).take_while(|(a, b)| a == b).count();
    let most = old.len().min(data.len()) - start;
    let end = old.iter().rev().zip(data.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let edits = match start == old.len() && start == data.len() {
        true => json!([]),
        false => json!([{
            "start": start, "deleteCount": old.len() - start - end, "data": data[start..data.len() - end]
        }]),
    };
    Ok(json!({ "resultId": number, "edits": edits }))
}

/// `textDocument/semanticTokens/range`
pub fn tokens_range(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let within = s.text_range(&document, &params["range"])?;
    Ok(json!({ "data": encode(s, &document, &tokens::tokens(&s.context(&document), within)) }))
}

/// `textDocument/foldingRange`
pub fn folding(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let folds = ide_folding::folds(&document).into_iter().map(|f| {
        let r = s.range(&document, f.range);
        let mut fold = json!({
            "startLine": r["start"]["line"], "startCharacter": r["start"]["character"],
            "endLine": r["end"]["line"], "endCharacter": r["end"]["character"]
        });
        if f.comment {
            fold["kind"] = "comment".into();
        }
        fold
    });
    Ok(folds.collect())
}

/// `textDocument/selectionRange`
pub fn selection(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let mut out = Vec::new();
    for position in params["positions"].as_array().into_iter().flatten().take(1000) {
        let offset = s.offset(&document, position)?;
        let mut chain = Value::Null;
        for r in ide_selection::ranges(&document, offset).into_iter().rev() {
            let mut one = json!({ "range": s.range(&document, r) });
            if !chain.is_null() {
                one["parent"] = chain;
            }
            chain = one;
        }
        out.push(chain);
    }
    Ok(Value::Array(out))
}

/// `textDocument/documentLink`
pub fn links(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let link = |(r, to): (TextRange, Destination)| {
        let target = match to {
            Destination::Url(url) => url,
            Destination::File(path) => {
                let folder = path.is_dir();
                let file = if folder { path.join("default.nix") } else { path };
                if !s.open.contains_key(&file) && !file.exists() {
                    return None;
                }
                s.uri(&file)
            }
        };
        Some(json!({ "range": s.range(&document, r), "target": target }))
    };
    Ok(ide_links::links(&document).into_iter().filter_map(link).collect())
}

/// `textDocument/inlayHint`
pub fn inlay(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    if !s.config.inlay_hints.enable {
        return Ok(json!([]));
    }
    let within = match params.get("range") {
        Some(r) => s.text_range(&document, r)?,
        None => whole(&document),
    };
    let hints = ide_inlay::hints(&s.context(&document), within).into_iter().map(|h| {
        let at = s.range(&document, range(h.offset, h.offset));
        json!({ "position": at["start"], "label": h.text, "tooltip": h.tooltip, "paddingLeft": true })
    });
    Ok(hints.collect())
}

/// `textDocument/codeLens`: the command is the client's to carry out.
pub fn lens(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    if !s.config.code_lens.enable {
        return Ok(json!([]));
    }
    let uri = s.uri(document.path());
    let lenses = ide_lens::lenses(&s.context(&document)).into_iter().map(|l| {
        let title = match l.needs {
            0 => "▶ run".to_owned(),
            1 => "▶ run, with the job it needs".to_owned(),
            _ => "▶ run, with the jobs it needs".to_owned(),
        };
        json!({
            "range": s.range(&document, l.range),
            "command": {
                "title": title,
                "command": "nixactions.run",
                "arguments": [{ "uri": uri, "workflow": l.workflow, "job": l.job }]
            }
        })
    });
    Ok(lenses.collect())
}
