//! The loop: messages in, messages out. Everything that takes time is done on other threads.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::checks::Checks;
use super::config::Config;
use super::dispatch::{self, Job, Workers};
use super::evaluator::{Budget, Check, Checked, Evaluator};
use super::publish::Converter;
use super::scripts::{Runner, Scripts};
use super::snapshot::{Client, Shared, Snapshot, request};
use super::texts::OpenTexts;
use super::transport::{self, Incoming, ResponseError, code};
use super::uri;
use super::workspace::is_workflow;
use crate::base::lines::Encoding;
use crate::eval::Settings;

/// What the command line gives.
pub struct Options {
    /// Settings of evaluation.
    pub settings: Settings,
    /// nixpkgs.
    pub pkgs: Option<PathBuf>,
    /// Runs `shellcheck`, if it is installed.
    pub shellcheck: Option<Runner>,
}

/// Threads that answer requests.
const WORKERS: usize = 3;
/// Texts of more bytes get their tree as soon as they change.
const LARGE: usize = 64 << 10;
/// A turn of the loop that takes longer is told on standard error.
const LONG_TURN: Duration = Duration::from_millis(50);

enum Event {
    Message(Incoming),
    End,
    Checked(Box<Checked>),
    /// More is known of the scripts of a file.
    Scripts(PathBuf),
    Answered(Value, Result<Value, ResponseError>),
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As the protocol has it: `shutdown`, then `exit`.
    Orderly,
    /// `exit` without `shutdown`, or the client went away.
    Abrupt,
}

/// Serves one client over a pair of streams until it says `exit` or goes away. Needs a large stack.
///
/// # Errors
/// If threads cannot be started.
pub fn serve(
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    options: Options,
) -> io::Result<Ending> {
    let (events, inbox) = channel();
    let reader = events.clone();
    std::thread::Builder::new().name("reader".into()).spawn(move || {
        let mut input = BufReader::new(input);
        while let Ok(Some(message)) = transport::read(&mut input) {
            if reader.send(Event::Message(message)).is_err() {
                return;
            }
        }
        drop(reader.send(Event::End));
    })?;
    let (out, outbox) = channel::<Value>();
    let mut output = io::BufWriter::new(output);
    let writer = std::thread::Builder::new().name("writer".into()).spawn(move || {
        for message in outbox {
            if transport::write(&mut output, &message).is_err() {
                return;
            }
        }
    })?;
    let ending = Server::new(events, out, options)?.run(&inbox);
    // What is still to be written is written before the process ends.
    drop(writer.join());
    Ok(ending)
}

struct Server {
    events: Sender<Event>,
    out: Sender<Value>,
    options: Options,
    settings: Arc<Settings>,
    config: Arc<Config>,
    client: Arc<Client>,
    encoding: Encoding,
    folders: Arc<Vec<PathBuf>>,
    texts: OpenTexts,
    checks: Checks,
    findings: Arc<HashMap<PathBuf, Vec<crate::diag::Diagnostic>>>,
    evaluator: Arc<Evaluator>,
    /// `None` without `shellcheck`.
    scripts: Option<Arc<Scripts>>,
    /// Whether the client was told that there is none.
    told_of_scripts: bool,
    workers: Workers,
    shared: Arc<Shared>,
    /// Requests that are being answered, with the flag that takes them back.
    running: HashMap<String, Arc<AtomicBool>>,
    /// Pulls of diagnostics that wait for a check.
    pulls: Vec<(Value, PathBuf)>,
    /// Requests of ours that wait for an answer, by number.
    asked: HashMap<u64, &'static str>,
    next_request: u64,
    initialized: bool,
    shutdown: bool,
    longest_turn: Duration,
    checks_done: u64,
}

impl Server {
    fn new(events: Sender<Event>, out: Sender<Value>, mut options: Options) -> io::Result<Server> {
        let config = Config { pkgs: options.pkgs.clone(), ..Config::default() };
        let done = events.clone();
        let workers =
            Workers::start(WORKERS, move |id, result| drop(done.send(Event::Answered(id, result))))?;
        let evaluator = start_evaluator(&events, &config)?;
        let scripts = options.shellcheck.take().map(|runner| {
            let events = events.clone();
            Scripts::start(runner, move |file| drop(events.send(Event::Scripts(file))))
        });
        let scripts = scripts.transpose()?;
        Ok(Server {
            events,
            out,
            settings: Arc::new(options.settings.clone()),
            options,
            config: Arc::new(config),
            client: Arc::default(),
            encoding: Encoding::default(),
            folders: Arc::default(),
            texts: OpenTexts::default(),
            checks: Checks::default(),
            findings: Arc::default(),
            evaluator,
            scripts,
            told_of_scripts: false,
            workers,
            shared: Arc::default(),
            running: HashMap::new(),
            pulls: Vec::new(),
            asked: HashMap::new(),
            next_request: 1,
            initialized: false,
            shutdown: false,
            longest_turn: Duration::ZERO,
            checks_done: 0,
        })
    }

    fn run(mut self, inbox: &Receiver<Event>) -> Ending {
        let ending = loop {
            let Ok(event) = inbox.recv() else { break Ending::Abrupt };
            let began = Instant::now();
            match event {
                Event::End => break if self.shutdown { Ending::Orderly } else { Ending::Abrupt },
                Event::Message(Incoming::Notification { method, .. }) if method == "exit" => {
                    break if self.shutdown { Ending::Orderly } else { Ending::Abrupt };
                }
                Event::Message(message) => self.message(message),
                Event::Checked(checked) => self.checked(*checked),
                Event::Scripts(file) => {
                    if self.checks.roots().contains(&file) {
                        self.check(&file);
                    }
                }
                Event::Answered(id, result) => {
                    self.running.remove(&id.to_string());
                    self.send(transport::response(&id, result));
                }
            }
            let took = began.elapsed();
            self.longest_turn = self.longest_turn.max(took);
            if took > LONG_TURN {
                eprintln!("nixactions lsp: a turn of the loop took {took:?}");
            }
        };
        self.evaluator.stop();
        if let Some(scripts) = &self.scripts {
            scripts.stop();
        }
        self.running.values().for_each(|flag| flag.store(true, Ordering::Relaxed));
        ending
    }

    fn send(&self, message: Value) {
        // A client that has gone away also ends the input, and with it the loop.
        drop(self.out.send(message));
    }

    fn ask_client(&mut self, method: &'static str, params: Value) {
        let id = self.next_request;
        self.next_request += 1;
        self.asked.insert(id, method);
        self.send(transport::request(id, method, params));
    }

    fn message(&mut self, message: Incoming) {
        match message {
            Incoming::Malformed { id, error } => self.send(transport::response(&id, Err(error))),
            Incoming::Request { id, method, params } => self.request(id, &method, params),
            Incoming::Notification { method, params } => {
                if self.initialized {
                    self.notification(&method, &params);
                }
            }
            Incoming::Response { id, result } => {
                if let Some("workspace/configuration") = id.as_u64().and_then(|id| self.asked.remove(&id)) {
                    self.configure(result.get(0).unwrap_or(&Value::Null));
                }
            }
        }
    }

    fn request(&mut self, id: Value, method: &str, params: Value) {
        let refuse = |code: i32, why: &str| Err(ResponseError::new(code, why));
        let immediate = match method {
            "initialize" if self.initialized => refuse(code::INVALID_REQUEST, "initialized already"),
            "initialize" => Ok(self.initialize(&params)),
            _ if !self.initialized => refuse(code::NOT_INITIALIZED, "`initialize` comes first"),
            _ if self.shutdown => refuse(code::INVALID_REQUEST, "shut down already"),
            "shutdown" => {
                self.shutdown = true;
                Ok(Value::Null)
            }
            "nixactions/status" => Ok(self.status()),
            "textDocument/diagnostic" => {
                let Some(uri) = params["textDocument"]["uri"].as_str() else {
                    let answer = refuse(code::INVALID_PARAMS, "no textDocument.uri");
                    return self.send(transport::response(&id, answer));
                };
                self.pulls.push((id, uri::to_path(uri)));
                return self.answer_pulls();
            }
            _ => match dispatch::handler(method) {
                None => refuse(code::METHOD_NOT_FOUND, &format!("`{method}` is not served")),
                Some(handler) => {
                    let cancelled = Arc::new(AtomicBool::new(false));
                    self.running.insert(id.to_string(), cancelled.clone());
                    let snapshot = self.snapshot(cancelled);
                    return self.workers.answer(Job { id, handler, snapshot, params });
                }
            },
        };
        self.send(transport::response(&id, immediate));
    }

    fn snapshot(&self, cancelled: Arc<AtomicBool>) -> Snapshot {
        Snapshot {
            encoding: self.encoding,
            config: self.config.clone(),
            client: self.client.clone(),
            open: self.texts.open().clone(),
            texts: self.texts.texts().clone(),
            facts: self.checks.facts().clone(),
            findings: self.findings.clone(),
            folders: self.folders.clone(),
            settings: self.settings.clone(),
            evaluator: self.evaluator.clone(),
            shared: self.shared.clone(),
            cancelled,
        }
    }

    fn initialize(&mut self, params: &Value) -> Value {
        self.initialized = true;
        let caps = &params["capabilities"];
        let offered = caps["general"]["positionEncodings"].as_array();
        let offered: Vec<&str> = offered.into_iter().flatten().filter_map(Value::as_str).collect();
        // UTF-8 needs no counting, so it is taken where it is offered.
        self.encoding = if offered.contains(&"utf-8") {
            Encoding::Utf8
        } else {
            offered.iter().find_map(|n| Encoding::of_name(n)).unwrap_or_default()
        };
        let text = &caps["textDocument"];
        let is = |v: &Value| v.as_bool().unwrap_or(false);
        let workspace = &caps["workspace"];
        self.client = Arc::new(Client {
            snippets: is(&text["completion"]["completionItem"]["snippetSupport"]),
            pulls: text["diagnostic"].is_object(),
            refresh_diagnostics: is(&workspace["diagnostics"]["refreshSupport"]),
            refresh_hints: is(&workspace["inlayHint"]["refreshSupport"]),
            refresh_lenses: is(&workspace["codeLens"]["refreshSupport"]),
            links: is(&text["definition"]["linkSupport"]),
            nested_symbols: is(&text["documentSymbol"]["hierarchicalDocumentSymbolSupport"]),
            configuration: is(&workspace["configuration"]),
            watches: is(&workspace["didChangeWatchedFiles"]["dynamicRegistration"]),
            document_changes: is(&workspace["workspaceEdit"]["documentChanges"]),
            related: is(&text["publishDiagnostics"]["relatedInformation"])
                || is(&text["diagnostic"]["relatedInformation"]),
        });
        let folders = params["workspaceFolders"].as_array().into_iter().flatten();
        let mut uris: Vec<&str> = folders.filter_map(|f| f["uri"].as_str()).collect();
        if uris.is_empty() {
            uris.extend(params["rootUri"].as_str());
        }
        self.folders = Arc::new(uris.into_iter().map(uri::to_path).collect());
        self.configure(&params["initializationOptions"]);
        json!({
            "capabilities": dispatch::capabilities(self.encoding.name()),
            "serverInfo": { "name": "nixactions", "version": env!("CARGO_PKG_VERSION") }
        })
    }

    fn configure(&mut self, value: &Value) {
        let mut config = match Config::parse(value) {
            Ok(config) => config,
            Err(why) => {
                let params = json!({ "type": 2, "message": why });
                return self.send(transport::notification("window/showMessage", params));
            }
        };
        config.pkgs = config.pkgs.or_else(|| self.options.pkgs.clone());
        if config == *self.config {
            return;
        }
        let evaluation_changed = config.evaluation != self.config.evaluation;
        self.config = Arc::new(config);
        if evaluation_changed {
            // On failure the evaluator with the older budget goes on.
            if let Ok(evaluator) = start_evaluator(&self.events, &self.config) {
                std::mem::replace(&mut self.evaluator, evaluator).stop();
            }
        }
        self.evaluator.reset();
        self.check_all();
    }

    fn check_all(&mut self) {
        let mut open: Vec<PathBuf> = self.texts.open().keys().cloned().collect();
        open.sort();
        open.iter().for_each(|path| self.touched(path));
    }

    fn notification(&mut self, method: &str, params: &Value) {
        match method {
            "initialized" => self.register(),
            "textDocument/didOpen" => {
                if let Some(path) = self.texts.did_open(params) {
                    self.prepare(&path);
                    self.touched(&path);
                }
            }
            "textDocument/didChange" => {
                if let Some((path, before)) = self.texts.did_change(params, self.encoding) {
                    self.prepare(&path);
                    self.touched(&path);
                    self.workers.run(move || drop(before));
                }
            }
            "textDocument/didClose" => {
                if let Some((path, before)) = self.texts.did_close(params) {
                    let tokens = &mut self.shared.tokens.lock().unwrap_or_else(|e| e.into_inner());
                    tokens.remove(&path);
                    self.workers.run(move || drop(before));
                }
                self.closed(params);
            }
            "$/cancelRequest" => self.cancel(&params["id"]),
            "workspace/didChangeConfiguration" => match self.client.configuration {
                true => self.ask_settings(),
                false => self.configure(&params["settings"]),
            },
            "workspace/didChangeWatchedFiles" => {
                let changes = params["changes"].as_array().into_iter().flatten();
                let paths: Vec<PathBuf> =
                    changes.filter_map(|c| c["uri"].as_str()).map(uri::to_path).collect();
                self.changed_on_disk(&paths);
            }
            "workspace/didChangeWorkspaceFolders" => {
                let mut folders = (*self.folders).clone();
                let list = |key: &str| {
                    let all = params["event"][key].as_array().into_iter().flatten();
                    all.filter_map(|f| f["uri"].as_str()).map(uri::to_path).collect::<Vec<_>>()
                };
                let removed = list("removed");
                folders.retain(|f| !removed.contains(f));
                folders.extend(list("added"));
                self.folders = Arc::new(folders);
            }
            // Saving changes nothing that is not known, and others need not be served.
            _ => {}
        }
    }

    fn register(&mut self) {
        if self.client.watches {
            let watchers = ["**/*.nix", "**/flake.lock", "**/nixactions.toml"]
                .map(|glob| json!({ "globPattern": glob }));
            let registration = json!({ "registrations": [{
                "id": "files", "method": "workspace/didChangeWatchedFiles",
                "registerOptions": { "watchers": watchers }
            }] });
            self.ask_client("client/registerCapability", registration);
        }
        if self.client.configuration {
            self.ask_settings();
        }
    }

    fn ask_settings(&mut self) {
        self.ask_client("workspace/configuration", json!({ "items": [{ "section": "nixactions" }] }));
    }

    fn cancel(&mut self, id: &Value) {
        if let Some(flag) = self.running.get(&id.to_string()) {
            flag.store(true, Ordering::Relaxed);
        }
        if let Some(at) = self.pulls.iter().position(|p| p.0 == *id) {
            let (id, _) = self.pulls.remove(at);
            let error = ResponseError::new(code::REQUEST_CANCELLED, "the request was cancelled");
            self.send(transport::response(&id, Err(error)));
        }
    }

    /// Has the tree of a large text built before somebody asks for what needs it.
    fn prepare(&mut self, path: &Path) {
        let Some(open) = self.texts.get(path).filter(|o| o.document.text().len() > LARGE) else { return };
        let document = Arc::downgrade(&open.document);
        self.workers.run(move || {
            // Gone when the next change was faster.
            if let Some(document) = document.upgrade() {
                document.tree();
            }
        });
    }

    /// Has everything checked that a text takes part in.
    fn touched(&mut self, path: &Path) {
        let files = self.config.nix_files;
        for root in self.checks.affected(path, self.texts.open(), files) {
            self.check(&root);
        }
    }

    fn check(&mut self, root: &Path) {
        let serial = self.checks.ask(root);
        let request = request(root, &self.settings, &self.config);
        let texts = self.texts.texts().clone();
        // A file that is not open is checked for the sake of one that it imports.
        let workflow = texts.get(root).is_none_or(|text| is_workflow(root, text));
        let evaluate = self.config.evaluation.enable && workflow;
        let document = self.texts.get(root).map(|open| open.document.clone());
        let scripts = self.scripts.clone().filter(|_| self.config.shellcheck.enable);
        self.evaluator.check(Check { request, texts, document, evaluate, scripts, serial });
    }

    fn closed(&mut self, params: &Value) {
        let Some(uri) = params["textDocument"]["uri"].as_str() else { return };
        let path = uri::to_path(uri);
        let files = self.checks.close(&path, self.texts.open());
        self.findings = Arc::new(self.checks.findings());
        self.show(&files);
        // Others read what is on disk from now on.
        self.touched(&path);
    }

    fn changed_on_disk(&mut self, paths: &[PathBuf]) {
        let unknown = paths.iter().any(|p| !self.texts.open().contains_key(p));
        if unknown {
            self.evaluator.reset();
        }
        let mut roots = BTreeSet::new();
        for path in paths.iter().filter(|p| !self.texts.open().contains_key(*p)) {
            roots.extend(self.checks.affected(path, self.texts.open(), self.config.nix_files));
        }
        roots.iter().for_each(|root| self.check(root));
    }

    fn checked(&mut self, mut checked: Checked) {
        self.checks_done += 1;
        match &self.scripts {
            Some(scripts) if self.config.shellcheck.enable => {
                scripts.want(&checked.file, std::mem::take(&mut checked.unknown_scripts));
            }
            None if self.config.shellcheck.enable && checked.has_scripts && !self.told_of_scripts => {
                self.told_of_scripts = true;
                let message = "shellcheck is not installed, so scripts are not checked";
                self.send(transport::notification(
                    "window/logMessage",
                    json!({ "type": 3, "message": message }),
                ));
            }
            _ => {}
        }
        let Some(files) = self.checks.take(checked) else { return };
        self.findings = Arc::new(self.checks.findings());
        self.show(&files);
        let refresh = [
            (self.client.refresh_hints && self.config.inlay_hints.enable, "workspace/inlayHint/refresh"),
            (self.client.refresh_lenses && self.config.code_lens.enable, "workspace/codeLens/refresh"),
        ];
        for (wanted, method) in refresh {
            if wanted {
                self.ask_client(method, Value::Null);
            }
        }
    }

    /// Tells the client the findings of these files, in the way it wants.
    fn show(&mut self, files: &BTreeSet<PathBuf>) {
        self.answer_pulls();
        let none = Vec::new();
        for file in files {
            let open = self.texts.get(file);
            if self.client.pulls && open.is_some() {
                continue;
            }
            let found = self.findings.get(file).unwrap_or(&none);
            let mut converter = Converter::new(self.texts.open(), self.encoding, self.client.related);
            let mut params = json!({
                "uri": open.map_or_else(|| uri::of_path(file), |o| o.uri.clone()),
                "diagnostics": converter.all(file, found)
            });
            if let Some(open) = open {
                params["version"] = open.version.into();
            }
            self.send(transport::notification("textDocument/publishDiagnostics", params));
        }
        let others = files.iter().filter(|f| self.texts.get(f).is_some()).count() > 0;
        if self.client.pulls && self.client.refresh_diagnostics && others {
            self.ask_client("workspace/diagnostic/refresh", Value::Null);
        }
    }

    /// Answers the pulls whose files are checked as they are now.
    fn answer_pulls(&mut self) {
        let waiting = std::mem::take(&mut self.pulls);
        let (ready, waiting): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(_, path)| self.checks.is_current(path));
        self.pulls = waiting;
        let none = Vec::new();
        for (id, path) in ready {
            let found = self.findings.get(&path).unwrap_or(&none);
            let mut converter = Converter::new(self.texts.open(), self.encoding, self.client.related);
            let report = json!({ "kind": "full", "items": converter.all(&path, found) });
            self.send(transport::response(&id, Ok(report)));
        }
    }

    /// `nixactions/status`: for people and benchmarks.
    fn status(&self) -> Value {
        json!({
            "longestTurnMs": self.longest_turn.as_secs_f64() * 1000.0,
            "checks": self.checks_done,
            "open": self.texts.open().len(),
            "roots": self.checks.roots(),
            "heapBytes": self.evaluator.heap_bytes.load(Ordering::Relaxed),
            "busy": self.evaluator.is_busy() || self.scripts.as_ref().is_some_and(|s| s.is_busy())
        })
    }
}

fn start_evaluator(events: &Sender<Event>, config: &Config) -> io::Result<Arc<Evaluator>> {
    let events = events.clone();
    let budget = Budget { time: config.time(), heap: config.evaluation.memory.clamp(16, 1 << 16) << 20 };
    // The loop has ended when this cannot be sent.
    Evaluator::start(budget, move |checked| drop(events.send(Event::Checked(Box::new(checked)))))
}
