//! One request of each kind, as an editor sends it.

use serde_json::{Value, json};

use super::client::{Client, write};

const TEXT: &str = r#"{ nixactions, ... }:
let
  tool = "make";
in
nixactions.mkWorkflow {
  name = "ci";
  timeout = "10m";
  jobs = {
    lint = {
      steps = [ { bash = "${tool} lint"; } ];
      outputs.report = "report.txt";
    };
    test = {
      needs = [ "lint" ];
      inputs = [ "report" ];
      steps = [ { bash = "make test"; } ];
    };
  };
}
"#;

fn opened() -> Client {
    let capabilities = json!({
        "textDocument": { "documentSymbol": { "hierarchicalDocumentSymbolSupport": true },
                          "completion": { "completionItem": { "snippetSupport": true } } }
    });
    let mut client = Client::start(capabilities, Value::Null);
    client.open("ci.nix", TEXT);
    let found = client.published("ci.nix", 1);
    assert_eq!(found, json!([]));
    client
}

fn of(client: &Client) -> Value {
    json!({ "textDocument": { "uri": client.uri("ci.nix") } })
}

fn labels(answer: &Value) -> Vec<&str> {
    answer["items"].as_array().into_iter().flatten().filter_map(|i| i["label"].as_str()).collect()
}

#[test]
fn hover_tells_keys_jobs_artifacts_and_values() {
    let mut client = opened();
    for (needle, skip, wanted) in [
        ("needs", 1, "Jobs that must have ended before."),
        ("\"lint\" ]", 2, "- needed by `test`"),
        ("\"report\" ]", 2, "- given by `lint`"),
        ("tool}", 1, "\"make\""),
        ("mkWorkflow", 1, "nixactions.mkWorkflow"),
    ] {
        let answer = client.at("textDocument/hover", "ci.nix", TEXT, needle, skip);
        let text = answer["contents"]["value"].as_str().unwrap_or_default();
        assert!(text.contains(wanted), "{needle}: {answer}");
    }
}

#[test]
fn definitions_references_and_highlights() {
    let mut client = opened();
    let line = |v: &Value| v["range"]["start"]["line"].as_u64();
    let job = client.at("textDocument/definition", "ci.nix", TEXT, "\"lint\" ]", 2);
    assert_eq!(line(&job[0]), Some(8));
    let artifact = client.at("textDocument/definition", "ci.nix", TEXT, "\"report\" ]", 2);
    assert_eq!(line(&artifact[0]), Some(10));
    let local = client.at("textDocument/definition", "ci.nix", TEXT, "tool}", 1);
    assert_eq!(line(&local[0]), Some(2));
    let all = client.at("textDocument/references", "ci.nix", TEXT, "lint = {", 1);
    let lines: Vec<_> = all.as_array().into_iter().flatten().map(line).collect();
    assert_eq!(lines, [Some(8), Some(13)]);
    let marks = client.at("textDocument/documentHighlight", "ci.nix", TEXT, "tool =", 1);
    assert_eq!(marks.as_array().map(Vec::len), Some(2));
}

#[test]
fn a_job_is_renamed_with_what_needs_it() {
    let mut client = opened();
    let prepared = client.at("textDocument/prepareRename", "ci.nix", TEXT, "\"lint\" ]", 2);
    assert_eq!(prepared["placeholder"], "lint");
    let mut params = of(&client);
    params["position"] = json!({ "line": 13, "character": 18 });
    params["newName"] = "style check".into();
    let edit = client.request("textDocument/rename", params.clone()).expect("an answer");
    let uri = client.uri("ci.nix");
    let texts: Vec<&str> = edit["changes"][&uri]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|e| e["newText"].as_str())
        .collect();
    assert_eq!(texts, ["\"style check\"", "style check"]);
    params["newName"] = "test".into();
    assert_eq!(client.request("textDocument/rename", params), Some(Value::Null));
}

#[test]
fn completions() {
    let mut client = opened();
    let needs = client.at("textDocument/completion", "ci.nix", TEXT, "\"lint\" ]", 1);
    assert_eq!(labels(&needs), ["lint"]);
    // A broken text: what was evaluated before still helps.
    let text =
        TEXT.replace("      needs = [ \"lint\" ];\n", "      \n      executor = nixactions.executors.\n");
    client.change("ci.nix", 2, &text);
    let keys = client.at("textDocument/completion", "ci.nix", &text, "      \n", 6);
    assert!(labels(&keys).contains(&"needs") && !labels(&keys).contains(&"steps"), "{keys}");
    let members = client.at("textDocument/completion", "ci.nix", &text, "executors.", 10);
    assert!(labels(&members).contains(&"local"), "{members}");
}

#[test]
fn what_is_shown_beside_the_text() {
    let mut client = opened();
    let symbols = client.request("textDocument/documentSymbol", of(&client)).expect("an answer");
    assert!(symbols.to_string().contains("\"lint\""), "{symbols}");
    let mut params = of(&client);
    params["range"] =
        json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 } });
    let hints = client.request("textDocument/inlayHint", params).expect("an answer");
    let texts: Vec<&str> =
        hints.as_array().into_iter().flatten().filter_map(|h| h["label"].as_str()).collect();
    assert_eq!(texts, ["level 0", "timeout 10m", "level 1", "timeout 10m"]);
    let lenses = client.request("textDocument/codeLens", of(&client)).expect("an answer");
    assert_eq!(lenses[1]["command"]["arguments"][0]["job"], "test");
    let folds = client.request("textDocument/foldingRange", of(&client)).expect("an answer");
    assert!(folds.as_array().is_some_and(|f| f.len() > 4), "{folds}");
    let mut params = of(&client);
    params["positions"] = json!([{ "line": 13, "character": 18 }]);
    let ranges = client.request("textDocument/selectionRange", params).expect("an answer");
    assert!(ranges[0]["parent"]["parent"]["range"].is_object(), "{ranges}");
}

#[test]
fn tokens_by_delta_are_tokens() {
    let mut client = opened();
    let full = client.request("textDocument/semanticTokens/full", of(&client)).expect("an answer");
    let mut data: Vec<Value> = full["data"].as_array().expect("numbers").clone();
    let text = TEXT.replace("  name = \"ci\";\n", "  # a name\n  name = \"ci\" + null;\n");
    client.change("ci.nix", 2, &text);
    let mut params = of(&client);
    params["previousResultId"] = full["resultId"].clone();
    let delta = client.request("textDocument/semanticTokens/full/delta", params).expect("an answer");
    for edit in delta["edits"].as_array().expect("edits") {
        let start = edit["start"].as_u64().expect("a number") as usize;
        let count = edit["deleteCount"].as_u64().expect("a number") as usize;
        data.splice(start..start + count, edit["data"].as_array().expect("numbers").clone());
    }
    let again = client.request("textDocument/semanticTokens/full", of(&client)).expect("an answer");
    assert_eq!(json!(data), again["data"]);
}

#[test]
fn the_hierarchy_of_needs() {
    let mut client = opened();
    let items = client.at("textDocument/prepareCallHierarchy", "ci.nix", TEXT, "lint = {", 1);
    let params = json!({ "item": items[0] });
    let incoming = client.request("callHierarchy/incomingCalls", params).expect("an answer");
    assert_eq!(incoming[0]["from"]["name"], "test");
    let params = json!({ "item": incoming[0]["from"] });
    let outgoing = client.request("callHierarchy/outgoingCalls", params).expect("an answer");
    assert_eq!(outgoing[0]["to"]["name"], "lint");
    assert_eq!(outgoing[0]["fromRanges"][0]["start"]["line"], 13);
}

#[test]
fn jobs_of_all_files_are_found() {
    let dir = tempfile::tempdir().expect("a folder");
    write(dir.path(), "deploy/nightly.nix", &TEXT.replace("lint", "publish"));
    write(dir.path(), "other.nix", "{ jobs.hidden = 1; }");
    let mut client = Client::start_in(dir, json!({}), Value::Null);
    client.open("ci.nix", TEXT);
    let found = client.request("workspace/symbol", json!({ "query": "li" })).expect("an answer");
    let names: Vec<&str> =
        found.as_array().into_iter().flatten().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(names, ["lint", "publish"]);
}

#[test]
fn actions_offer_fixes_and_rewrites() {
    let mut client = opened();
    let text = TEXT
        .replace("[ \"lint\" ]", "[ \"lnit\" ]")
        .replace("name = \"ci\";", "name = \"ci\"; env.tool = tool;");
    client.change("ci.nix", 2, &text);
    let found = client.published("ci.nix", 2);
    let mut params = of(&client);
    params["range"] = found[0]["range"].clone();
    params["context"] = json!({ "diagnostics": found });
    let actions = client.request("textDocument/codeAction", params).expect("an answer");
    let edit = &actions[0]["edit"]["changes"][client.uri("ci.nix")][0];
    assert_eq!(
        (actions[0]["kind"].as_str(), edit["newText"].as_str()),
        (Some("quickfix"), Some("\"lint\"")),
        "{actions}"
    );
}

#[test]
fn formatting_needs_a_formatter() {
    let mut client = Client::start(json!({}), json!({ "formatter": ["tr", "x", "y"] }));
    client.open("ci.nix", "{ x = 1; }\n");
    let params = json!({ "textDocument": { "uri": client.uri("ci.nix") }, "options": {} });
    let edits = client.request("textDocument/formatting", params).expect("an answer");
    assert_eq!(edits[0]["newText"], "y");
    assert_eq!(
        edits[0]["range"],
        json!({ "start": { "line": 0, "character": 2 }, "end": { "line": 0, "character": 3 } })
    );
}

#[test]
fn links_lead_to_files_and_addresses() {
    let dir = tempfile::tempdir().expect("a folder");
    write(dir.path(), "lib/default.nix", "1");
    let mut client = Client::start_in(dir, json!({}), Value::Null);
    client.open("ci.nix", "# see https://example.org/a.\n[ ./lib ./gone ]\n");
    let links = client.request("textDocument/documentLink", of(&client)).expect("an answer");
    let targets: Vec<&str> =
        links.as_array().into_iter().flatten().filter_map(|l| l["target"].as_str()).collect();
    assert_eq!(targets, ["https://example.org/a", client.uri("lib/default.nix").as_str()]);
}
