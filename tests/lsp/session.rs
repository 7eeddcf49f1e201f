//! How a session goes: beginning, end, broken messages, texts that are broken, endless, or gone.

use std::time::{Duration, Instant};

use nixactions::lsp::transport::Incoming;
use serde_json::{Value, json};

use super::client::{Client, write};

/// A workflow with one finding: `lnit` is no job.
pub(crate) const WRONG_NEED: &str = r#"{ nixactions, ... }:
nixactions.mkWorkflow {
  name = "ci";
  jobs = {
    lint.steps = [ { bash = "make lint"; } ];
    test = { needs = [ "lnit" ]; steps = [ { bash = "make test"; } ]; };
  };
}
"#;

fn codes(diagnostics: &Value) -> Vec<String> {
    let all = diagnostics.as_array().into_iter().flatten();
    all.map(|d| d["code"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_session_begins_and_ends() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut client = Client::raw_in(dir);
    let early = client.ask("textDocument/hover", json!({}));
    assert_eq!(client.answer(early), Value::Null);
    let result = client.request("initialize", json!({ "capabilities": {} })).expect("an answer");
    assert_eq!(result["capabilities"]["positionEncoding"], "utf-16");
    assert_eq!(result["serverInfo"]["name"], "nixactions");
    client.notify("initialized", json!({}));
    assert_eq!(client.end(), Some(0));
}

#[test]
fn a_client_that_goes_away_ends_the_server() {
    let client = Client::start(json!({}), Value::Null);
    assert_eq!(client.hang_up(), Some(1));
}

#[test]
fn findings_are_pushed_as_one_types() {
    let mut client = Client::start(json!({}), Value::Null);
    client.open("ci.nix", WRONG_NEED);
    let found = client.published("ci.nix", 1);
    assert_eq!(codes(&found), ["NXA101"]);
    let start = &found[0]["range"]["start"];
    assert_eq!((start["line"].as_u64(), start["character"].as_u64()), (Some(5), Some(23)));
    client.change("ci.nix", 2, &WRONG_NEED.replace("lnit", "lint"));
    assert_eq!(codes(&client.published("ci.nix", 2)), [""; 0]);
    client.change("ci.nix", 3, &WRONG_NEED.replace("needs =", "needs"));
    assert_eq!(codes(&client.published("ci.nix", 3)), ["NXA000"]);
    assert_eq!(client.end(), Some(0));
}

#[test]
fn findings_are_pulled_by_those_who_ask() {
    let mut client = Client::start(json!({ "textDocument": { "diagnostic": {} } }), Value::Null);
    client.open("ci.nix", WRONG_NEED);
    let params = json!({ "textDocument": { "uri": client.uri("ci.nix") } });
    let report = client.request("textDocument/diagnostic", params.clone()).expect("an answer");
    assert_eq!((report["kind"].as_str(), codes(&report["items"])), (Some("full"), vec!["NXA101".into()]));
    client.change("ci.nix", 2, &WRONG_NEED.replace("lnit", "lint"));
    let report = client.request("textDocument/diagnostic", params).expect("an answer");
    assert_eq!(codes(&report["items"]), [""; 0]);
}

#[test]
fn columns_are_counted_as_agreed() {
    let text = WRONG_NEED.replace("[ \"lnit\"", "[ /* 😀 ü */ \"lnit\"");
    for (offered, column) in [("utf-8", 23 + 14), ("utf-16", 23 + 11), ("utf-32", 23 + 10)] {
        let mut client = Client::start(json!({ "general": { "positionEncodings": [offered] } }), Value::Null);
        client.open("ci.nix", &text);
        let found = client.published("ci.nix", 1);
        assert_eq!(found[0]["range"]["start"]["character"], column, "{offered}");
    }
}

#[test]
fn malformed_messages_are_answered_and_survived() {
    let mut client = Client::start(json!({}), Value::Null);
    for broken in ["Content-Length: 1\r\n\r\n{", "Content-Length: 2\r\n\r\n[]", "nonsense: 1\r\n\r\n"] {
        client.bytes(broken.as_bytes());
        client.wait(&mut |m| {
            matches!(m, Incoming::Response { id, .. } | Incoming::Malformed { id, .. } if id.is_null())
                .then_some(())
        });
    }
    for params in [
        Value::Null,
        json!([]),
        json!({ "textDocument": 3 }),
        json!({ "textDocument": { "uri": "file:///none.nix" }, "position": "x" }),
    ] {
        for method in
            ["textDocument/hover", "textDocument/rename", "textDocument/diagnostic", "no/such/method"]
        {
            let id = client.ask(method, params.clone());
            client.answer(id);
        }
        client.notify("textDocument/didOpen", params.clone());
        client.notify("textDocument/didChange", params.clone());
        client.notify("textDocument/didClose", params);
    }
    client.open("ci.nix", WRONG_NEED);
    assert_eq!(codes(&client.published("ci.nix", 1)), ["NXA101"]);
    assert_eq!(client.end(), Some(0));
}

#[test]
fn a_request_can_be_taken_back() {
    let endless = "{ nixactions, ... }:\nlet f = n: f (n + 1); slow = f 0; in\nnixactions.mkWorkflow { name = \"ci\"; jobs.a.steps = [ { bash = slow.x; } ]; }\n";
    let mut client = Client::start(json!({}), json!({ "evaluation": { "timeout": 20000 } }));
    client.open("ci.nix", endless);
    let uri = client.uri("ci.nix");
    let began = Instant::now();
    let position = json!({ "line": 2, "character": 64 });
    let id = client
        .ask("textDocument/completion", json!({ "textDocument": { "uri": uri }, "position": position }));
    client.notify("$/cancelRequest", json!({ "id": id }));
    client.answer(id);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn an_endless_evaluation_ends_within_its_budget() {
    let endless = "{ nixactions, ... }:\nlet f = n: if n < 0 then 1 else f (n + 1); in\nnixactions.mkWorkflow { name = \"ci\"; timeout = f 0; jobs.a.steps = [ { bash = \"x\"; } ]; }\n";
    let mut client = Client::start(json!({}), json!({ "evaluation": { "timeout": 300 } }));
    client.open("ci.nix", endless);
    let found = client.published("ci.nix", 1);
    assert_eq!(codes(&found), ["NXA022"]);
    // Meanwhile, and afterwards, the text is served.
    client.change("ci.nix", 2, WRONG_NEED);
    assert_eq!(codes(&client.published("ci.nix", 2)), ["NXA101"]);
    let status = client.request("nixactions/status", Value::Null).expect("an answer");
    assert!(status["longestTurnMs"].as_f64().expect("a number") < 1000.0, "{status}");
}

#[test]
fn much_memory_ends_within_its_budget() {
    let hungry = "{ nixactions, ... }:\nlet grow = s: grow (s + s); in\nnixactions.mkWorkflow { name = grow \"xxxxxxxx\"; jobs.a.steps = [ { bash = \"x\"; } ]; }\n";
    let mut client = Client::start(json!({}), json!({ "evaluation": { "timeout": 30000, "memory": 32 } }));
    client.open("ci.nix", hungry);
    assert_eq!(codes(&client.published("ci.nix", 1)), ["NXA022"]);
}

#[test]
fn imports_in_a_circle_are_a_finding() {
    let dir = tempfile::tempdir().expect("a folder");
    write(dir.path(), "a.nix", "import ./b.nix\n");
    write(dir.path(), "b.nix", "import ./a.nix\n");
    let mut client = Client::start_in(dir, json!({}), Value::Null);
    client.open("ci.nix", "{ nixactions, ... }: nixactions.mkWorkflow { name = import ./a.nix; jobs.a.steps = [ { bash = \"x\"; } ]; }\n");
    // It is found in the file whose import closes the circle.
    client.wait(&mut |m| match m {
        Incoming::Notification { method, params }
            if method == "textDocument/publishDiagnostics" && codes(&params["diagnostics"]) == ["NXA022"] =>
        {
            Some(())
        }
        _ => None,
    });
}

#[test]
fn imported_files_are_checked_with_what_imports_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = "{ nixactions, ... }: nixactions.mkWorkflow { name = \"ci\"; jobs = import ./jobs.nix; }\n";
    write(dir.path(), "ci.nix", root);
    write(dir.path(), "jobs.nix", "{ a.steps = [ { bash = \"x\"; } ]; }\n");
    let mut client = Client::start_in(dir, json!({}), Value::Null);
    // Only the imported file is open, and not as it is on disk.
    client.open("jobs.nix", "{ a = { needs = [ \"b\" ]; steps = [ { bash = \"x\"; } ]; }; }\n");
    assert_eq!(codes(&client.published("jobs.nix", 1)), ["NXA101"]);
    client.open("ci.nix", root);
    client.change("jobs.nix", 2, "{ a.steps = [ { bash = \"x\"; tiemout = 1; } ]; }\n");
    assert_eq!(codes(&client.published("jobs.nix", 2)), ["NXA001"]);
    // The file vanishes: what imports it says so.
    std::fs::remove_file(client.path("jobs.nix")).expect("was there");
    let uri = client.uri("jobs.nix");
    client.notify("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
    client.wait(&mut |m| match m {
        Incoming::Notification { method, params }
            if method == "textDocument/publishDiagnostics" && codes(&params["diagnostics"]) == ["NXA022"] =>
        {
            Some(())
        }
        _ => None,
    });
}

#[test]
fn a_file_that_is_gone_from_disk_is_served_from_memory() {
    let dir = tempfile::tempdir().expect("a folder");
    write(dir.path(), "ci.nix", WRONG_NEED);
    let mut client = Client::start_in(dir, json!({}), Value::Null);
    client.open("ci.nix", WRONG_NEED);
    assert_eq!(codes(&client.published("ci.nix", 1)), ["NXA101"]);
    std::fs::remove_file(client.path("ci.nix")).expect("was there");
    let uri = client.uri("ci.nix");
    client.notify("workspace/didChangeWatchedFiles", json!({ "changes": [{ "uri": uri, "type": 3 }] }));
    client.change("ci.nix", 2, &WRONG_NEED.replace("lnit", "lint"));
    assert_eq!(codes(&client.published("ci.nix", 2)), [""; 0]);
}

#[test]
fn other_nix_files_are_left_to_others_unless_told() {
    let broken = "{ a = ; }\n";
    let mut client = Client::start(json!({}), Value::Null);
    client.open("other.nix", broken);
    client.open("ci.nix", WRONG_NEED);
    client.published("ci.nix", 1);
    let uri = client.uri("other.nix");
    client.notify(
        "workspace/didChangeConfiguration",
        json!({ "settings": { "nixactions": { "nixFiles": "always" } } }),
    );
    let found = client.wait(&mut |m| match m {
        Incoming::Notification { params, .. } if params["uri"] == uri.as_str() => {
            Some(params["diagnostics"].clone())
        }
        _ => None,
    });
    assert_eq!(codes(&found), ["NXA000"]);
}

#[test]
fn levels_come_from_the_project() {
    let text = WRONG_NEED.replace("[ \"lnit\" ]", "[ \"lint\" \"lint\" ]");
    let dir = tempfile::tempdir().expect("a folder");
    let mut client = Client::start_in(dir, json!({}), Value::Null);
    client.open("ci.nix", &text);
    assert_eq!(codes(&client.published("ci.nix", 1)), ["NXA103"]);
    write(client.dir.path(), "nixactions.toml", "[lint]\nallow = [\"NXA103\"]\n");
    client.change("ci.nix", 2, &text);
    assert_eq!(codes(&client.published("ci.nix", 2)), [""; 0]);
}

#[test]
fn a_huge_file_is_answered() {
    let mut jobs = String::new();
    for i in 0..6_000 {
        jobs += &format!("    job{i}.steps = [ {{ bash = \"true\"; }} ];\n");
    }
    let text = format!(
        "{{ nixactions, ... }}:\nnixactions.mkWorkflow {{\n  name = \"ci\";\n  jobs = {{\n{jobs}  }};\n}}\n"
    );
    let mut client = Client::start(json!({}), json!({ "evaluation": { "timeout": 60000 } }));
    client.open("ci.nix", &text);
    let uri = client.uri("ci.nix");
    let range = json!({ "start": { "line": 4000, "character": 0 }, "end": { "line": 4050, "character": 0 } });
    let tokens = client
        .request(
            "textDocument/semanticTokens/range",
            json!({ "textDocument": { "uri": uri }, "range": range }),
        )
        .expect("an answer");
    assert!(tokens["data"].as_array().is_some_and(|d| d.len() > 500), "{tokens}");
    assert_eq!(codes(&client.published("ci.nix", 1)), [""; 0]);
    assert_eq!(client.end(), Some(0));
}
