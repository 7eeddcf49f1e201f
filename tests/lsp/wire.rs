//! A session as it goes over the wire, written down: what is sent, what is answered. Reads messages
//! by itself, not with the server's own reader.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// Longer than anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A started server and the record of what is said.
pub(crate) struct Wire {
    child: Child,
    input: Option<ChildStdin>,
    inbox: Receiver<Value>,
    /// Notifications and requests of the server that nobody waited for yet.
    kept: Vec<Value>,
    next: u64,
    log: String,
    pub(crate) dir: tempfile::TempDir,
}

impl Wire {
    /// A server in a workspace of these files that was told nothing yet.
    pub(crate) fn start(title: &str, files: &[(&str, &str)]) -> Wire {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(dir.path().join(".git")).expect("a folder");
        for (name, text) in files {
            super::client::write(dir.path(), name, text);
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_nixactions"))
            .arg("lsp")
            .current_dir(dir.path())
            .env_remove("NIX_PATH")
            .env_remove("NIX_CONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, inbox) = channel();
        std::thread::spawn(move || {
            while let Some(message) = read(&mut output) {
                if send.send(message).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        Wire { child, input, inbox, kept: Vec::new(), next: 1, log: format!("# {title}\n"), dir }
    }

    /// The same, after `initialize` and `initialized`, which are left out of the record.
    pub(crate) fn ready(title: &str, files: &[(&str, &str)], capabilities: Value, options: Value) -> Wire {
        let mut wire = Wire::start(title, files);
        let mut options = options;
        // What shellcheck says depends on its version.
        options["shellcheck"] = json!({ "enable": false });
        let folders = json!([{ "uri": wire.uri(""), "name": "w" }]);
        wire.send(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "capabilities": capabilities, "initializationOptions": options, "workspaceFolders": folders
        } }));
        wire.wait(|m| m["id"] == 0 && m.get("method").is_none());
        wire.send(&json!({ "jsonrpc": "2.0", "method": "initialized", "params": {} }));
        wire
    }

    pub(crate) fn uri(&self, name: &str) -> String {
        let path = self.dir.path().join(name);
        nixactions::lsp::uri::of_path(Path::new(path.to_str().expect("UTF-8").trim_end_matches('/')))
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        let input = self.input.as_mut().expect("an open stream");
        write!(input, "Content-Length: {}\r\n\r\n{body}", body.len()).expect("the server reads");
        input.flush().expect("the server reads");
    }

    fn wait(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.kept.iter().position(&wanted) {
            return self.kept.remove(at);
        }
        loop {
            let message = self.inbox.recv_timeout(PATIENCE).expect("the server answers in time");
            if wanted(&message) {
                return message;
            }
            self.kept.push(message);
        }
    }

    /// A remark.
    pub(crate) fn remark(&mut self, text: &str) {
        let _ = writeln!(self.log, "\n# {text}");
    }

    fn record(&mut self, arrow: &str, what: &str, value: &Value) {
        let dir = self.dir.path().display().to_string();
        let shown = shown(value).replace(&dir, "/w");
        let _ = writeln!(self.log, "{arrow} {what} {shown}");
    }

    /// Sends a notification.
    pub(crate) fn notify(&mut self, method: &str, params: Value) {
        self.record("-->", method, &params);
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Sends a request; its number.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> u64 {
        let id = self.next;
        self.next += 1;
        self.record("-->", method, &params);
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// Waits for the answer to a request.
    pub(crate) fn answer(&mut self, id: u64) -> Value {
        let message = self.wait(|m| m["id"] == id && m.get("method").is_none());
        match message.get("error") {
            Some(error) => self.record("<--", "error", error),
            None => self.record("<--", "result", &message["result"]),
        }
        message["result"].clone()
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        self.answer(id)
    }

    /// Opens a text, and waits for its findings.
    pub(crate) fn open(&mut self, name: &str, text: &str) {
        let _ = writeln!(self.log, "--> textDocument/didOpen /w/{name} version 1");
        for line in text.lines() {
            let _ = writeln!(self.log, "  | {line}");
        }
        let item = json!({ "uri": self.uri(name), "languageId": "nix", "version": 1, "text": text });
        self.send(&json!({
            "jsonrpc": "2.0", "method": "textDocument/didOpen", "params": { "textDocument": item }
        }));
    }

    /// Waits for the findings of a version that the server sends.
    pub(crate) fn published(&mut self, name: &str, version: i64) -> Value {
        let uri = self.uri(name);
        let message = self.wait(|m| {
            m["method"] == "textDocument/publishDiagnostics"
                && m["params"]["uri"] == uri.as_str()
                && m["params"]["version"] == version
        });
        self.record("<--", "textDocument/publishDiagnostics", &message["params"]);
        message["params"]["diagnostics"].clone()
    }

    /// Waits for a request of the server, and answers it with null.
    pub(crate) fn asked(&mut self, method: &str) {
        let message = self.wait(|m| m["method"] == method && m.get("id").is_some());
        self.record("<--", method, &message["params"]);
        self.record("-->", "result", &Value::Null);
        self.send(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": null }));
    }

    /// Ends in the way of the protocol, and compares the record with the one that is kept.
    pub(crate) fn end(mut self, name: &str) {
        self.request("shutdown", Value::Null);
        self.notify("exit", Value::Null);
        let status = self.child.wait().expect("a child");
        let _ = writeln!(self.log, "exit code {}", status.code().unwrap_or(-1));
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/lsp/transcripts/{name}.txt"));
        if std::env::var_os("CHECK_UPDATE").is_some() {
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            std::fs::write(&file, &self.log).expect("writing the record");
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        for (line, (ours, theirs)) in self.log.lines().zip(kept.lines()).enumerate() {
            assert_eq!(ours, theirs, "{name}, line {}; CHECK_UPDATE=1 records it again", line + 1);
        }
        assert_eq!(self.log.lines().count(), kept.lines().count(), "{name}: CHECK_UPDATE=1 records it again");
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read(output: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim() {
            "" => break,
            header => {
                if let Some(n) = header.strip_prefix("Content-Length: ") {
                    length = n.parse().expect("a length");
                }
            }
        }
    }
    let mut body = vec![0; length];
    output.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).expect("JSON"))
}

/// A value on one line, or its members on a line each when that would be long.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 150;
    let whole = brief(value);
    let members: Vec<String> = match value {
        Value::Array(items) if whole.len() > LONGEST && !items.iter().all(Value::is_number) => {
            items.iter().map(brief).collect()
        }
        Value::Object(map) if whole.len() > LONGEST => {
            let member = |(key, v): (&String, &Value)| match v {
                Value::Array(items) if brief(v).len() > LONGEST && !items.iter().all(Value::is_number) => {
                    let items: String = items.iter().map(|i| format!("\n      {}", brief(i))).collect();
                    format!("{key}:{items}")
                }
                v => format!("{key}: {}", brief(v)),
            };
            map.iter().map(member).collect()
        }
        _ => return whole,
    };
    members.iter().map(|m| format!("\n    {m}")).collect()
}

/// A value on one line, with positions as `line:character`.
fn brief(value: &Value) -> String {
    match value {
        Value::Object(map) if map.len() == 2 && map.contains_key("line") && map.contains_key("character") => {
            format!("{}:{}", map["line"], map["character"])
        }
        Value::Object(map) if map.len() == 2 && map.contains_key("start") && map.contains_key("end") => {
            format!("{}-{}", brief(&map["start"]), brief(&map["end"]))
        }
        Value::Object(map) => {
            let members: Vec<String> = map.iter().map(|(k, v)| format!("{k}: {}", brief(v))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(brief).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
