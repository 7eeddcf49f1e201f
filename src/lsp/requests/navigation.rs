//! Requests that tell where something is, or what it is.

use serde_json::{Value, json};

use super::super::snapshot::Snapshot;
use super::super::transport::ResponseError;
use super::super::{uri, workspace};
use crate::ide::document::{Document, range};
use crate::ide::facts::Spot;
use crate::ide::symbols::{Symbol, SymbolKind};
use crate::ide::{calls, definition, hover as ide_hover, references as ide_references, symbols};

type Answer = Result<Value, ResponseError>;

/// `textDocument/hover`
pub fn hover(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let offset = s.offset(&document, &params["position"])?;
    let found = ide_hover::hover(&s.context(&document), offset, &s.probe(&document));
    Ok(found.map_or(Value::Null, |h| {
        json!({
            "contents": { "kind": "markdown", "value": h.markdown },
            "range": s.range(&document, h.range)
        })
    }))
}

/// `textDocument/definition`
pub fn definition(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let offset = s.offset(&document, &params["position"])?;
    let is_dir = |path: &std::path::Path| path.is_dir();
    let found = definition::definition(&s.context(&document), offset, &s.probe(&document), &is_dir);
    let Some(found) = found else { return Ok(Value::Null) };
    let origin = s.range(&document, found.origin);
    let links = found.spots.iter().filter_map(|spot| {
        let mut location = s.location(spot)?;
        if s.client.links {
            let target = location["range"].take();
            location = json!({
                "originSelectionRange": origin, "targetUri": location["uri"],
                "targetRange": target, "targetSelectionRange": target
            });
        }
        Some(location)
    });
    Ok(links.collect())
}

/// `textDocument/references`
pub fn references(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let offset = s.offset(&document, &params["position"])?;
    let with_definition = params["context"]["includeDeclaration"].as_bool().unwrap_or(true);
    let found = ide_references::references(&s.context(&document), offset);
    let wanted = found.into_iter().filter(|r| with_definition || !r.defines);
    Ok(wanted.filter_map(|r| s.location(&r.spot)).collect())
}

/// `textDocument/documentHighlight`
pub fn highlight(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let offset = s.offset(&document, &params["position"])?;
    let found = ide_references::highlights(&s.context(&document), offset);
    let kind = |defines: bool| if defines { 3 } else { 2 };
    Ok(found.into_iter().map(|(r, d)| json!({ "range": s.range(&document, r), "kind": kind(d) })).collect())
}

/// Numbers of the protocol's `SymbolKind`.
fn symbol_kind(kind: SymbolKind) -> u32 {
    match kind {
        SymbolKind::Job => 24,
        SymbolKind::Step => 12,
        SymbolKind::Set => 19,
        SymbolKind::List => 18,
        SymbolKind::Function => 12,
        SymbolKind::Attribute => 7,
        SymbolKind::Variable => 13,
    }
}

/// `textDocument/documentSymbol`
pub fn document_symbol(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let outline = symbols::outline(&document);
    if s.client.nested_symbols {
        return Ok(outline.iter().map(|symbol| nested(s, &document, symbol)).collect());
    }
    let mut flat = Vec::new();
    flatten(s, &document, &outline, "", &mut flat);
    Ok(Value::Array(flat))
}

fn nested(s: &Snapshot, document: &Document, symbol: &Symbol) -> Value {
    json!({
        "name": shown(&symbol.name),
        "kind": symbol_kind(symbol.kind),
        "range": s.range(document, symbol.range),
        "selectionRange": s.range(document, symbol.selection),
        "children": symbol.children.iter().map(|c| nested(s, document, c)).collect::<Vec<_>>()
    })
}

/// The protocol forbids names that are empty or blank.
fn shown(name: &str) -> &str {
    if name.trim().is_empty() { "\"\"" } else { name }
}

fn flatten(s: &Snapshot, document: &Document, list: &[Symbol], container: &str, out: &mut Vec<Value>) {
    for symbol in list {
        out.push(json!({
            "name": shown(&symbol.name), "kind": symbol_kind(symbol.kind), "containerName": container,
            "location": { "uri": s.uri(document.path()), "range": s.range(document, symbol.range) }
        }));
        flatten(s, document, &symbol.children, &symbol.name, out);
    }
}

/// `workspace/symbol`: the jobs of all workflow files.
pub fn workspace_symbol(s: &Snapshot, params: &Value) -> Answer {
    let query = params["query"].as_str().unwrap_or_default();
    let found = workspace::jobs(s, query, 1000);
    let symbol = |f: &workspace::Found| {
        let container = f.document.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        json!({
            "name": shown(&f.name), "kind": symbol_kind(SymbolKind::Job), "containerName": container,
            "location": { "uri": s.uri(f.document.path()), "range": s.range(&f.document, f.range) }
        })
    };
    Ok(found.iter().map(symbol).collect())
}

fn call_item(s: &Snapshot, item: &calls::Item) -> Option<Value> {
    let mut location = s.location(&item.spot)?;
    Some(json!({
        "name": item.name, "kind": symbol_kind(SymbolKind::Job), "detail": item.workflow,
        "uri": location["uri"], "range": location["range"], "selectionRange": location["range"].take(),
        "data": { "workflow": item.workflow, "start": u32::from(item.spot.range.start()),
                  "end": u32::from(item.spot.range.end()) }
    }))
}

/// `textDocument/prepareCallHierarchy`
pub fn prepare_calls(s: &Snapshot, params: &Value) -> Answer {
    let document = s.document(params)?;
    let offset = s.offset(&document, &params["position"])?;
    let found = calls::prepare(&s.context(&document), offset).and_then(|i| call_item(s, &i));
    Ok(found.map_or(Value::Null, |i| json!([i])))
}

fn given_item(params: &Value) -> Option<calls::Item> {
    let item = &params["item"];
    let number = |key: &str| Some(item["data"][key].as_u64()?.min(u64::from(u32::MAX)) as u32);
    Some(calls::Item {
        name: item["name"].as_str()?.to_owned(),
        workflow: item["data"]["workflow"].as_str()?.to_owned(),
        spot: Spot {
            file: uri::to_path(item["uri"].as_str()?),
            range: range(number("start")?, number("end")?),
        },
    })
}

/// `callHierarchy/incomingCalls`: the jobs that need a job.
pub fn incoming_calls(s: &Snapshot, params: &Value) -> Answer {
    let Some(item) = given_item(params) else { return Ok(Value::Null) };
    let Some(facts) = s.facts_of(&item.spot.file) else { return Ok(Value::Null) };
    Ok(calls::incoming(facts, &item)
        .iter()
        .filter_map(|c| Some(json!({ "from": call_item(s, &c.item)?, "fromRanges": ranges(s, &c.at) })))
        .collect())
}

/// `callHierarchy/outgoingCalls`: the jobs that a job needs.
pub fn outgoing_calls(s: &Snapshot, params: &Value) -> Answer {
    let Some(item) = given_item(params) else { return Ok(Value::Null) };
    let Some(facts) = s.facts_of(&item.spot.file) else { return Ok(Value::Null) };
    Ok(calls::outgoing(facts, &item)
        .iter()
        .filter_map(|c| Some(json!({ "to": call_item(s, &c.item)?, "fromRanges": ranges(s, &c.at) })))
        .collect())
}

fn ranges(s: &Snapshot, spots: &[Spot]) -> Vec<Value> {
    let one = |spot: &Spot| Some(s.location(spot)?["range"].take());
    spots.iter().filter_map(one).collect()
}
