//! Sessions of each feature as they go over the wire, kept in `transcripts/`.
//!
//! `CHECK_UPDATE=1 cargo test --test lsp transcripts` records them again.

use serde_json::{Value, json};

use super::wire::Wire;

const WORKFLOW: &str = r#"{ nixactions, ... }:
let
  tool = "make";
in
nixactions.mkWorkflow {
  name = "ci";
  timeout = "10m";
  jobs = {
    lint = {
      steps = [ { name = "style"; bash = "${tool} lint"; } ];
      outputs.report = "report.txt";
    };
    test = {
      needs = [ "lint" ];
      inputs = [ "report" ];
      retry.max_attempts = 2;
      steps = [ { bash = "make test"; } ];
    };
  };
}
"#;

/// Where a text stands in another, skipping some of it, in UTF-16 units.
fn position(text: &str, needle: &str, skip: usize) -> Value {
    let before = &text[..text.find(needle).expect("the text is there") + skip];
    let line = before.rsplit('\n').next().unwrap_or_default();
    json!({ "line": before.matches('\n').count(), "character": line.encode_utf16().count() })
}

/// The parameters of a request about a place.
fn at(wire: &Wire, text: &str, needle: &str, skip: usize) -> Value {
    json!({ "textDocument": { "uri": wire.uri("ci.nix") }, "position": position(text, needle, skip) })
}

fn of(wire: &Wire) -> Value {
    json!({ "textDocument": { "uri": wire.uri("ci.nix") } })
}

/// A session with the workflow open.
fn opened(title: &str, capabilities: Value) -> Wire {
    let mut wire = Wire::ready(title, &[], capabilities, json!({}));
    wire.open("ci.nix", WORKFLOW);
    wire.published("ci.nix", 1);
    wire
}

/// Replaces a text by another with one incremental change.
fn change(wire: &mut Wire, text: &mut String, version: i64, old: &str, new: &str) {
    let range = json!({ "start": position(text, old, 0), "end": position(text, old, old.len()) });
    let document = json!({ "uri": wire.uri("ci.nix"), "version": version });
    wire.notify(
        "textDocument/didChange",
        json!({ "textDocument": document, "contentChanges": [{ "range": range, "text": new }] }),
    );
    *text = text.replacen(old, new, 1);
}

#[test]
fn beginning_and_end() {
    let mut wire = Wire::start("What the server says it can do.", &[]);
    wire.request("textDocument/hover", json!({}));
    wire.request("initialize", json!({ "capabilities": {}, "processId": null }));
    wire.notify("initialized", json!({}));
    wire.request("no/such/method", json!({}));
    wire.end("initialize");
}

#[test]
fn pushed_diagnostics() {
    let capabilities = json!({ "textDocument": { "publishDiagnostics": { "relatedInformation": true } } });
    let mut wire = opened("Findings are sent after each change.", capabilities);
    let mut text = WORKFLOW.to_owned();
    change(&mut wire, &mut text, 2, "[ \"lint\" ]", "[ \"lnit\" ]");
    wire.published("ci.nix", 2);
    wire.remark("A name that is not used is faded, and one cause has one finding.");
    change(&mut wire, &mut text, 3, "${tool} lint", "make lint");
    wire.published("ci.nix", 3);
    wire.remark("A text that does not parse is told with a way out.");
    change(&mut wire, &mut text, 4, "name = \"ci\";", "name = \"ci\"");
    wire.published("ci.nix", 4);
    wire.notify("textDocument/didClose", of(&wire));
    wire.end("push-diagnostics");
}

#[test]
fn pulled_diagnostics() {
    let capabilities = json!({
        "textDocument": { "diagnostic": {} }, "workspace": { "diagnostics": { "refreshSupport": true } }
    });
    let mut wire = Wire::ready("The editor asks for findings.", &[], capabilities, json!({}));
    let mut text = WORKFLOW.to_owned();
    wire.open("ci.nix", &text);
    wire.request("textDocument/diagnostic", of(&wire));
    wire.asked("workspace/diagnostic/refresh");
    change(&mut wire, &mut text, 2, "[ \"report\" ]", "[ \"reprot\" ]");
    wire.request("textDocument/diagnostic", of(&wire));
    wire.end("pull-diagnostics");
}

#[test]
fn completion() {
    let capabilities =
        json!({ "textDocument": { "completion": { "completionItem": { "snippetSupport": true } } } });
    let mut wire =
        Wire::ready("Completion.", &[("lib/a.nix", "1"), ("lib/b.nix", "2")], capabilities, json!({}));
    let mut text = WORKFLOW.to_owned();
    wire.open("ci.nix", &text);
    wire.published("ci.nix", 1);
    wire.remark("Jobs in `needs`; not the job itself.");
    wire.request("textDocument/completion", at(&wire, &text, "\"lint\" ]", 1));
    wire.remark("Artifacts in `inputs`.");
    wire.request("textDocument/completion", at(&wire, &text, "\"report\" ]", 1));
    wire.remark("Executors, in a text that does not parse.");
    change(&mut wire, &mut text, 2, "retry.max_attempts = 2;", "executor = nixactions.executors.");
    wire.request("textDocument/completion", at(&wire, &text, "executors.", 10));
    wire.remark("Options of one.");
    change(&mut wire, &mut text, 3, "nixactions.executors.", "nixactions.executors.local { c };");
    wire.request("textDocument/completion", at(&wire, &text, "{ c }", 3));
    wire.remark("Words that a value may be.");
    change(&mut wire, &mut text, 4, "executor = nixactions.executors.local { c };", "retry.backoff = \"\";");
    wire.request("textDocument/completion", at(&wire, &text, "backoff = \"", 11));
    wire.remark("Paths.");
    change(&mut wire, &mut text, 5, "retry.backoff = \"\";", "env = import ./lib/;");
    wire.request("textDocument/completion", at(&wire, &text, "./lib/", 6));
    wire.end("completion");
}

#[test]
fn hover() {
    let mut wire = opened("Hover: keys, jobs, artifacts, values, builtins.", json!({}));
    for (needle, skip) in [
        ("needs", 1),
        ("\"lint\" ]", 2),
        ("\"report\" ]", 2),
        ("tool}", 1),
        ("mkWorkflow", 1),
        ("max_attempts", 3),
    ] {
        wire.request("textDocument/hover", at(&wire, WORKFLOW, needle, skip));
    }
    wire.remark("Nothing to say.");
    wire.request("textDocument/hover", at(&wire, WORKFLOW, "= {", 0));
    wire.end("hover");
}

#[test]
fn definition_and_references() {
    let mut wire = opened(
        "From a need to its job, from an artifact to who gives it, from a name to its binding.",
        json!({}),
    );
    for (needle, skip) in [("\"lint\" ]", 2), ("\"report\" ]", 2), ("tool}", 1)] {
        wire.request("textDocument/definition", at(&wire, WORKFLOW, needle, skip));
    }
    let mut params = at(&wire, WORKFLOW, "lint = {", 1);
    params["context"] = json!({ "includeDeclaration": true });
    wire.request("textDocument/references", params);
    wire.request("textDocument/documentHighlight", at(&wire, WORKFLOW, "tool =", 1));
    wire.end("definition");
}

#[test]
fn rename() {
    let capabilities = json!({ "workspace": { "workspaceEdit": { "documentChanges": true } } });
    let mut wire = opened("Renaming a job with what needs it.", capabilities);
    let place = at(&wire, WORKFLOW, "\"lint\" ]", 2);
    wire.request("textDocument/prepareRename", place.clone());
    let named = |name: &str| {
        let mut params = place.clone();
        params["newName"] = name.into();
        params
    };
    wire.request("textDocument/rename", named("style-check"));
    wire.remark("A name that another job has.");
    wire.request("textDocument/rename", named("test"));
    wire.remark("What has no name.");
    wire.request("textDocument/prepareRename", at(&wire, WORKFLOW, "= {", 0));
    wire.end("rename");
}

#[test]
fn symbols() {
    let files = [(
        "deploy/nightly.nix",
        "{ nixactions, ... }:\nnixactions.mkWorkflow { name = \"nightly\"; jobs.lift.steps = [ { bash = \"true\"; } ]; }\n",
    )];
    let capabilities =
        json!({ "textDocument": { "documentSymbol": { "hierarchicalDocumentSymbolSupport": true } } });
    let mut wire =
        Wire::ready("Jobs and steps of a file; jobs of all files.", &files, capabilities, json!({}));
    wire.open("ci.nix", WORKFLOW);
    wire.published("ci.nix", 1);
    wire.request("textDocument/documentSymbol", of(&wire));
    wire.request("workspace/symbol", json!({ "query": "li" }));
    wire.end("symbols");
}

#[test]
fn semantic_tokens() {
    let mut wire = opened("Tokens: whole, what changed, a range.", json!({}));
    let full = wire.request("textDocument/semanticTokens/full", of(&wire));
    let mut text = WORKFLOW.to_owned();
    change(&mut wire, &mut text, 2, "  name = \"ci\";", "  # a name\n  name = \"ci\";");
    let mut params = of(&wire);
    params["previousResultId"] = full["resultId"].clone();
    wire.request("textDocument/semanticTokens/full/delta", params);
    let mut params = of(&wire);
    params["range"] =
        json!({ "start": { "line": 8, "character": 0 }, "end": { "line": 10, "character": 0 } });
    wire.request("textDocument/semanticTokens/range", params);
    wire.end("semantic-tokens");
}

#[test]
fn what_is_shown_beside_the_text() {
    let mut wire = opened("Inlay hints, lenses, folding, selection.", json!({}));
    let mut params = of(&wire);
    params["range"] =
        json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 } });
    wire.request("textDocument/inlayHint", params);
    wire.request("textDocument/codeLens", of(&wire));
    wire.request("textDocument/foldingRange", of(&wire));
    let mut params = of(&wire);
    params["positions"] = json!([position(WORKFLOW, "\"lint\" ]", 2)]);
    wire.request("textDocument/selectionRange", params);
    wire.end("beside");
}

#[test]
fn code_actions() {
    let mut wire = opened("Fixes, a comment that allows, rewrites.", json!({}));
    let mut text = WORKFLOW.to_owned();
    change(&mut wire, &mut text, 2, "[ \"lint\" ]", "[ \"lnit\" ]");
    let found = wire.published("ci.nix", 2);
    let mut params = of(&wire);
    params["range"] = found[0]["range"].clone();
    params["context"] = json!({ "diagnostics": found });
    wire.request("textDocument/codeAction", params);
    change(&mut wire, &mut text, 3, "[ \"lnit\" ]", "[ \"lint\" \"lint\" ]");
    let found = wire.published("ci.nix", 3);
    wire.remark("All safe fixes at once.");
    let mut params = of(&wire);
    params["range"] = found[0]["range"].clone();
    params["context"] = json!({ "diagnostics": [], "only": ["source.fixAll"] });
    wire.request("textDocument/codeAction", params);
    wire.end("code-actions");
}

#[test]
fn call_hierarchy() {
    let mut wire = opened("Which jobs need a job, and which it needs.", json!({}));
    let items = wire.request("textDocument/prepareCallHierarchy", at(&wire, WORKFLOW, "lint = {", 1));
    let incoming = wire.request("callHierarchy/incomingCalls", json!({ "item": items[0] }));
    wire.request("callHierarchy/outgoingCalls", json!({ "item": incoming[0]["from"] }));
    wire.end("call-hierarchy");
}

#[test]
fn links_and_formatting() {
    let files = [("lib/default.nix", "1")];
    let options = json!({ "formatter": ["tr", "x", "y"] });
    let mut wire = Wire::ready("Links to files and addresses; a formatter.", &files, json!({}), options);
    wire.open("ci.nix", "# see https://example.org/a.\n[ ./lib ./gone ]\n");
    wire.request("textDocument/documentLink", of(&wire));
    let mut params = of(&wire);
    params["options"] = json!({});
    wire.request("textDocument/formatting", params);
    wire.notify(
        "workspace/didChangeConfiguration",
        json!({ "settings": { "nixactions": { "formatter": ["no-such-formatter"], "shellcheck": { "enable": false } } } }),
    );
    let mut params = of(&wire);
    params["options"] = json!({});
    wire.request("textDocument/formatting", params);
    wire.end("links-formatting");
}

#[test]
fn files_that_change_on_disk() {
    let files = [("name.nix", "\"ci\"\n")];
    let capabilities = json!({ "workspace": { "didChangeWatchedFiles": { "dynamicRegistration": true } } });
    let mut wire =
        Wire::ready("A file that the workflow imports changes on disk.", &files, capabilities, json!({}));
    wire.asked("client/registerCapability");
    let text = "{ nixactions, ... }:\nnixactions.mkWorkflow {\n  name = import ./name.nix;\n  jobs.a.steps = [ { bash = \"true\"; } ];\n}\n";
    wire.open("ci.nix", text);
    wire.published("ci.nix", 1);
    std::fs::write(wire.dir.path().join("name.nix"), "1\n").expect("a file");
    let uri = wire.uri("name.nix");
    wire.notify("workspace/didChangeWatchedFiles", json!({ "changes": [{ "uri": uri, "type": 2 }] }));
    wire.published("ci.nix", 1);
    wire.end("watched-files");
}

#[test]
fn cancellation() {
    let endless =
        "{ nixactions, ... }:\nlet f = n: f (n + 1); in\nnixactions.mkWorkflow { name = f 0; jobs = { }; }\n";
    let options = json!({ "evaluation": { "timeout": 20000 } });
    let mut wire =
        Wire::ready("A request that waits for an evaluation is taken back.", &[], json!({}), options);
    wire.open("ci.nix", endless);
    let id = wire.ask("textDocument/diagnostic", of(&wire));
    wire.notify("$/cancelRequest", json!({ "id": id }));
    wire.answer(id);
    wire.remark("Meanwhile the text is served.");
    wire.request("textDocument/documentHighlight", at(&wire, endless, "f =", 0));
    wire.end("cancellation");
}

#[test]
fn units_of_columns() {
    let text = "{ nixactions, ... }: nixactions.mkWorkflow { name = /* 😀 ü */ 5; jobs.a.steps = [ { bash = \"true\"; } ]; }\n";
    for encoding in ["utf-8", "utf-16", "utf-32"] {
        let capabilities = json!({ "general": { "positionEncodings": [encoding] } });
        let title = format!("Columns in {encoding}.");
        let mut wire = Wire::ready(&title, &[], capabilities, json!({}));
        wire.open("ci.nix", text);
        let found = wire.published("ci.nix", 1);
        wire.remark("Changes are read in the same units.");
        let document = json!({ "uri": wire.uri("ci.nix"), "version": 2 });
        wire.notify(
            "textDocument/didChange",
            json!({ "textDocument": document, "contentChanges": [{ "range": found[0]["range"], "text": "\"ci\"" }] }),
        );
        wire.published("ci.nix", 2);
        wire.end(&format!("columns-{encoding}"));
    }
}
