//! An editor that speaks to the program over its standard streams.

use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nixactions::lsp::transport::{self, Incoming};
use nixactions::lsp::uri;
use serde_json::{Value, json};

/// Longer than anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A started server.
pub(crate) struct Client {
    child: Child,
    input: Option<ChildStdin>,
    inbox: Receiver<Incoming>,
    /// Messages that came while something else was waited for.
    kept: Vec<Incoming>,
    next: u64,
    /// Folder of the workspace.
    pub(crate) dir: tempfile::TempDir,
}

impl Client {
    /// A server in an empty workspace, initialized with these capabilities and options.
    pub(crate) fn start(capabilities: Value, options: Value) -> Client {
        Client::start_in(tempfile::tempdir().expect("a folder"), capabilities, options)
    }

    /// The same, in a workspace that has files.
    pub(crate) fn start_in(dir: tempfile::TempDir, capabilities: Value, options: Value) -> Client {
        let mut client = Client::raw_in(dir);
        let folder = uri::of_path(client.dir.path());
        let params = json!({
            "processId": null, "capabilities": capabilities, "initializationOptions": options,
            "workspaceFolders": [{ "uri": folder, "name": "test" }]
        });
        client.request("initialize", params).expect("initialize is answered");
        client.notify("initialized", json!({}));
        client
    }

    /// The same, where `PATH` is another.
    pub(crate) fn start_with_path(path: &std::ffi::OsStr, options: Value) -> Client {
        let mut client = Client::spawn(tempfile::tempdir().expect("a folder"), |c| {
            c.env("PATH", path);
        });
        client.request("initialize", json!({ "capabilities": {}, "initializationOptions": options }));
        client.notify("initialized", json!({}));
        client
    }

    /// A server that was told nothing yet.
    pub(crate) fn raw_in(dir: tempfile::TempDir) -> Client {
        Client::spawn(dir, |_| ())
    }

    fn spawn(dir: tempfile::TempDir, set: impl FnOnce(&mut Command)) -> Client {
        std::fs::create_dir_all(dir.path().join(".git")).expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_nixactions"));
        command.arg("lsp").current_dir(dir.path()).env_remove("NIX_PATH").env_remove("NIX_CONFIG");
        set(&mut command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let output = child.stdout.take().expect("a pipe");
        let (send, inbox) = channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Ok(Some(message)) = transport::read(&mut output) {
                if send.send(message).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        Client { child, input, inbox, kept: Vec::new(), next: 1, dir }
    }

    /// Path of a file of the workspace.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// URI of a file of the workspace.
    pub(crate) fn uri(&self, name: &str) -> String {
        uri::of_path(&self.path(name))
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("an open stream");
        // A server that has ended is noticed when its answer is waited for.
        drop(input.write_all(bytes).and_then(|()| input.flush()));
    }

    fn send(&mut self, message: &Value) {
        let mut bytes = Vec::new();
        transport::write(&mut bytes, message).expect("memory");
        self.bytes(&bytes);
    }

    pub(crate) fn notify(&mut self, method: &str, params: Value) {
        self.send(&transport::notification(method, params));
    }

    /// Sends a request; its number.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> u64 {
        let id = self.next;
        self.next += 1;
        self.send(&transport::request(id, method, params));
        id
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Option<Value> {
        let id = self.ask(method, params);
        Some(self.answer(id))
    }

    /// The answer to a request: its result, or its error as text.
    pub(crate) fn answer(&mut self, id: u64) -> Value {
        self.wait(&mut |m| match m {
            Incoming::Response { id: of, result } if *of == json!(id) => Some(result.clone()),
            _ => None,
        })
    }

    /// The next message for which `wanted` gives something. Those before it are kept.
    pub(crate) fn wait<T>(&mut self, wanted: &mut dyn FnMut(&Incoming) -> Option<T>) -> T {
        if let Some(at) = self.kept.iter().position(|m| wanted(m).is_some()) {
            let message = self.kept.remove(at);
            return wanted(&message).expect("found just now");
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let message = self.inbox.recv_timeout(left).expect("the server answers in time");
            if let Some(found) = wanted(&message) {
                return found;
            }
            self.kept.push(message);
        }
    }

    /// The notifications that came, or come within a moment, of this name.
    pub(crate) fn published(&mut self, name: &str, version: i64) -> Value {
        let uri = self.uri(name);
        self.wait(&mut |m| match m {
            Incoming::Notification { method, params }
                if method == "textDocument/publishDiagnostics"
                    && params["uri"] == uri.as_str()
                    && params["version"] == version =>
            {
                Some(params["diagnostics"].clone())
            }
            _ => None,
        })
    }

    /// How many messages of a method came that nobody waited for.
    pub(crate) fn count(&mut self, name: &str) -> usize {
        self.kept.extend(self.inbox.try_iter());
        let of_it = |m: &&Incoming| matches!(m, Incoming::Notification { method, .. } if method == name);
        self.kept.iter().filter(of_it).count()
    }

    /// Opens a text under a name of the workspace.
    pub(crate) fn open(&mut self, name: &str, text: &str) {
        let uri = self.uri(name);
        let item = json!({ "uri": uri, "languageId": "nix", "version": 1, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": item }));
    }

    /// Replaces a whole text.
    pub(crate) fn change(&mut self, name: &str, version: i64, text: &str) {
        let uri = self.uri(name);
        self.notify(
            "textDocument/didChange",
            json!({ "textDocument": { "uri": uri, "version": version }, "contentChanges": [{ "text": text }] }),
        );
    }

    /// A request about the place of the first occurrence of a text, after skipping some of it.
    pub(crate) fn at(&mut self, method: &str, name: &str, text: &str, needle: &str, skip: usize) -> Value {
        let offset = text.find(needle).expect("the text is there") + skip;
        let before = &text[..offset];
        let line = before.matches('\n').count();
        let column = before.rsplit('\n').next().unwrap_or_default().encode_utf16().count();
        let uri = self.uri(name);
        let position = json!({ "line": line, "character": column });
        let params = json!({ "textDocument": { "uri": uri }, "position": position });
        self.request(method, params).expect("an answer")
    }

    /// Ends in the way of the protocol; the exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        self.request("shutdown", Value::Null);
        self.notify("exit", Value::Null);
        self.code()
    }

    /// Closes the server's input; the exit code.
    pub(crate) fn hang_up(mut self) -> Option<i32> {
        self.input = None;
        self.code()
    }

    fn code(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Writes a file of a workspace.
pub(crate) fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}
