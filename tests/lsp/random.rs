//! Any edits and any messages: the server says what a fresh one says, and never ends by itself.

use serde_json::{Value, json};

use super::client::Client;
use super::session::WRONG_NEED;

/// A generator of numbers (SplitMix64), so that a failure can be repeated by its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

const PIECES: [&str; 24] = [
    "\"",
    "''",
    "{",
    "}",
    "[",
    "]",
    ";",
    "=",
    "needs = [ \"lint\" ];",
    "tiemout = 5;",
    "lint",
    "lnit",
    "x",
    "\n",
    " ",
    "# c\n",
    "${",
    "ü😀",
    "\r\n",
    "timeout = \"5m\";",
    "jobs",
    "steps",
    "// { }",
    "\u{feff}",
];

/// Where a byte of a text is, in UTF-16 units.
fn position(text: &str, offset: usize) -> Value {
    let before = &text[..offset];
    // As the protocol has it, a single carriage return ends a line too.
    let mut line = 0;
    let mut column = 0;
    let mut chars = before.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' | '\n' => (line, column) = (line + 1, 0),
            c => column += c.len_utf16(),
        }
    }
    json!({ "line": line, "character": column })
}

fn boundary(text: &str, mut at: usize) -> usize {
    // Not inside of a character, nor of the two that end a line.
    while !text.is_char_boundary(at) || (at > 0 && text[..at].ends_with('\r') && text[at..].starts_with('\n'))
    {
        at -= 1;
    }
    at
}

fn findings(client: &mut Client, version: i64) -> Vec<Value> {
    let mut found = client.published("ci.nix", version).as_array().cloned().unwrap_or_default();
    found.sort_by_key(Value::to_string);
    found
}

#[test]
fn edits_one_by_one_are_like_the_text_at_once() {
    for seed in 0..3 {
        let mut random = Random(seed);
        let mut text = WRONG_NEED.to_owned();
        // What shellcheck says comes later than the first findings, and has its own test.
        let options = json!({ "shellcheck": { "enable": false } });
        let mut client = Client::start(json!({}), options.clone());
        client.open("ci.nix", &text);
        findings(&mut client, 1);
        for round in 0..40 {
            let mut changes = Vec::new();
            for _ in 0..1 + random.below(3) {
                let length = text.len();
                let start = random.below(length + 1);
                let start = boundary(&text, start);
                let reach = random.below(12);
                let end = boundary(&text, (start + reach).min(length)).max(start);
                let new: &str = if random.below(3) == 0 { "" } else { PIECES[random.below(PIECES.len())] };
                changes.push(json!({
                    "range": { "start": position(&text, start), "end": position(&text, end) }, "text": new
                }));
                text.replace_range(start..end, new);
            }
            // Now and then the text is made good again, or it would stay broken for ever.
            if random.below(4) == 0 {
                text = WRONG_NEED.replace("lnit", ["lint", "lnit", "test"][random.below(3)]);
                changes.push(json!({ "text": text }));
            }
            let version = round + 2;
            let uri = client.uri("ci.nix");
            client.notify(
                "textDocument/didChange",
                json!({ "textDocument": { "uri": uri, "version": version }, "contentChanges": changes }),
            );
            let found = findings(&mut client, version);
            if round % 8 == 7 {
                let mut fresh = Client::start(json!({}), options.clone());
                fresh.open("ci.nix", &text);
                let there = fresh.uri("ci.nix");
                let wanted = json!(findings(&mut fresh, 1)).to_string().replace(&there, &uri);
                let (ours, theirs) =
                    (client.dir.path().display().to_string(), fresh.dir.path().display().to_string());
                assert_eq!(
                    json!(found).to_string(),
                    wanted.replace(&theirs, &ours),
                    "seed {seed}, round {round}:\n{text}"
                );
            }
        }
        assert_eq!(client.end(), Some(0));
    }
}

const METHODS: [&str; 30] = [
    "textDocument/completion",
    "textDocument/hover",
    "textDocument/definition",
    "textDocument/references",
    "textDocument/documentHighlight",
    "textDocument/prepareRename",
    "textDocument/rename",
    "textDocument/documentSymbol",
    "workspace/symbol",
    "textDocument/semanticTokens/full",
    "textDocument/semanticTokens/full/delta",
    "textDocument/semanticTokens/range",
    "textDocument/foldingRange",
    "textDocument/selectionRange",
    "textDocument/documentLink",
    "textDocument/inlayHint",
    "textDocument/codeAction",
    "textDocument/codeLens",
    "textDocument/prepareCallHierarchy",
    "callHierarchy/incomingCalls",
    "callHierarchy/outgoingCalls",
    "textDocument/diagnostic",
    "nixactions/status",
    "initialize",
    "no/such/method",
    "textDocument/didOpen",
    "textDocument/didChange",
    "textDocument/didClose",
    "$/cancelRequest",
    "workspace/didChangeConfiguration",
];

/// Parameters that are nearly right, or not at all.
fn parameters(random: &mut Random, uri: &str, depth: usize) -> Value {
    match random.below(if depth > 3 { 7 } else { 10 }) {
        0 => Value::Null,
        1 => json!(random.next() as i64),
        2 => json!(random.below(40)),
        3 => json!(uri),
        4 => json!(PIECES[random.below(PIECES.len())]),
        5 => json!({ "line": random.below(12), "character": random.below(60) }),
        6 => json!(1e300),
        7 => (0..random.below(4)).map(|_| parameters(random, uri, depth + 1)).collect(),
        _ => {
            let keys = [
                "textDocument",
                "position",
                "uri",
                "line",
                "character",
                "range",
                "start",
                "end",
                "context",
                "only",
                "diagnostics",
                "newName",
                "contentChanges",
                "text",
                "version",
                "query",
                "item",
                "data",
                "positions",
                "previousResultId",
                "id",
                "settings",
                "nixactions",
                "languageId",
            ];
            let mut map = serde_json::Map::new();
            for _ in 0..random.below(5) {
                map.insert((*random.of(&keys)).to_owned(), parameters(random, uri, depth + 1));
            }
            if random.below(2) == 0 {
                map.insert(
                    "textDocument".into(),
                    json!({ "uri": uri, "version": random.below(9), "text": "{" }),
                );
                let at = json!({ "line": random.below(12), "character": random.below(60) });
                map.insert("position".into(), at.clone());
                map.insert("range".into(), json!({ "start": at, "end": { "line": 9, "character": 1 } }));
            }
            Value::Object(map)
        }
    }
}

#[test]
fn any_message_is_survived() {
    for seed in 10..13 {
        let mut random = Random(seed);
        let mut client = Client::start(json!({}), Value::Null);
        client.open("ci.nix", WRONG_NEED);
        let uri = client.uri("ci.nix");
        let mut asked = Vec::new();
        for _ in 0..300 {
            let method = *random.of(&METHODS);
            let params = parameters(&mut random, &uri, 0);
            match random.below(3) {
                0 => client.notify(method, params),
                _ => asked.push(client.ask(method, params)),
            }
        }
        // Every request has its answer.
        for id in asked {
            client.answer(id);
        }
        assert_eq!(client.end(), Some(0), "seed {seed}");
    }
}

#[test]
fn any_bytes_are_survived() {
    for seed in 20..26 {
        let mut random = Random(seed);
        let mut client = Client::start(json!({}), Value::Null);
        for _ in 0..200 {
            let bytes: Vec<u8> = (0..random.below(60)).map(|_| random.next() as u8).collect();
            match random.below(4) {
                0 => client.bytes(b"Content-Length: "),
                1 => client.bytes(b"\r\n\r\n"),
                2 => client.bytes(format!("Content-Length: {}\r\n\r\n", bytes.len()).as_bytes()),
                _ => {}
            }
            client.bytes(&bytes);
        }
        // It ends because its input does, and not before, nor by a signal.
        assert_eq!(client.hang_up(), Some(1), "seed {seed}");
    }
}
