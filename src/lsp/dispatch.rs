//! The table of requests, and the threads that answer them.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::requests::{display, editing, navigation};
use super::snapshot::Snapshot;
use super::transport::{ResponseError, code};

/// What answers a request.
pub type Handler = fn(&Snapshot, &Value) -> Result<Value, ResponseError>;

/// Requests that are answered from a snapshot.
const TABLE: &[(&str, Handler)] = &[
    ("textDocument/completion", editing::completion),
    ("textDocument/hover", navigation::hover),
    ("textDocument/definition", navigation::definition),
    ("textDocument/references", navigation::references),
    ("textDocument/documentHighlight", navigation::highlight),
    ("textDocument/prepareRename", editing::prepare_rename),
    ("textDocument/rename", editing::rename),
    ("textDocument/documentSymbol", navigation::document_symbol),
    ("workspace/symbol", navigation::workspace_symbol),
    ("textDocument/semanticTokens/full", display::tokens_full),
    ("textDocument/semanticTokens/full/delta", display::tokens_delta),
    ("textDocument/semanticTokens/range", display::tokens_range),
    ("textDocument/foldingRange", display::folding),
    ("textDocument/selectionRange", display::selection),
    ("textDocument/documentLink", display::links),
    ("textDocument/inlayHint", display::inlay),
    ("textDocument/codeAction", editing::code_action),
    ("textDocument/codeLens", display::lens),
    ("textDocument/prepareCallHierarchy", navigation::prepare_calls),
    ("callHierarchy/incomingCalls", navigation::incoming_calls),
    ("callHierarchy/outgoingCalls", navigation::outgoing_calls),
    ("textDocument/formatting", editing::formatting),
];

/// What answers requests of this name.
pub fn handler(method: &str) -> Option<Handler> {
    TABLE.iter().find(|row| row.0 == method).map(|row| row.1)
}

/// A request to be answered.
pub struct Job {
    /// Of the request.
    pub id: Value,
    /// What answers it.
    pub handler: Handler,
    /// What it sees.
    pub snapshot: Snapshot,
    /// Its parameters.
    pub params: Value,
}

/// Threads that answer requests.
pub struct Workers {
    jobs: Sender<Work>,
}

/// What a thread is given to do.
enum Work {
    Answer(Box<Job>),
    Other(Box<dyn FnOnce() + Send>),
}

/// Deep trees are walked, and dropped, on these threads.
const STACK: usize = 512 << 20;

impl Workers {
    /// Starts this many threads; `done` is called with each answer.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(
        count: usize,
        done: impl Fn(Value, Result<Value, ResponseError>) + Clone + Send + 'static,
    ) -> std::io::Result<Workers> {
        let (jobs, receiver) = channel::<Work>();
        let receiver = Arc::new(Mutex::new(receiver));
        for i in 0..count {
            let (receiver, done) = (receiver.clone(), done.clone());
            std::thread::Builder::new()
                .name(format!("request-{i}"))
                .stack_size(STACK)
                .spawn(move || work(&receiver, done))?;
        }
        Ok(Workers { jobs })
    }

    /// Has a request answered.
    pub fn answer(&self, job: Job) {
        // The threads end only after this sender is gone.
        drop(self.jobs.send(Work::Answer(Box::new(job))));
    }

    /// Has something done that takes too long for the loop and that nobody waits for.
    pub fn run(&self, work: impl FnOnce() + Send + 'static) {
        drop(self.jobs.send(Work::Other(Box::new(work))));
    }
}

fn work(jobs: &Mutex<Receiver<Work>>, done: impl Fn(Value, Result<Value, ResponseError>)) {
    loop {
        let next = jobs.lock().unwrap_or_else(|e| e.into_inner()).recv();
        let job = match next {
            Ok(Work::Answer(job)) => job,
            Ok(Work::Other(work)) => {
                work();
                continue;
            }
            Err(_) => return,
        };
        let cancelled = || ResponseError::new(code::REQUEST_CANCELLED, "the request was cancelled");
        let mut result = match job.snapshot.is_cancelled() {
            true => Err(cancelled()),
            false => (job.handler)(&job.snapshot, &job.params),
        };
        if job.snapshot.is_cancelled() {
            result = Err(cancelled());
        }
        done(job.id, result);
    }
}

/// What the server can do, for `initialize`.
pub fn capabilities(encoding: &str) -> Value {
    json!({
        "positionEncoding": encoding,
        "textDocumentSync": { "openClose": true, "change": 2, "save": { "includeText": false } },
        "diagnosticProvider": {
            "identifier": "nixactions", "interFileDependencies": true, "workspaceDiagnostics": false
        },
        "completionProvider": { "triggerCharacters": [".", "\"", "/"], "resolveProvider": false },
        "hoverProvider": true,
        "definitionProvider": true,
        "referencesProvider": true,
        "documentHighlightProvider": true,
        "documentSymbolProvider": true,
        "workspaceSymbolProvider": true,
        "renameProvider": { "prepareProvider": true },
        "codeActionProvider": { "codeActionKinds": ["quickfix", "refactor.rewrite", "source.fixAll"] },
        "codeLensProvider": { "resolveProvider": false },
        "documentLinkProvider": { "resolveProvider": false },
        "documentFormattingProvider": true,
        "foldingRangeProvider": true,
        "selectionRangeProvider": true,
        "inlayHintProvider": { "resolveProvider": false },
        "callHierarchyProvider": true,
        "semanticTokensProvider": {
            "legend": {
                "tokenTypes": crate::ide::tokens::TYPES, "tokenModifiers": crate::ide::tokens::MODIFIERS
            },
            "range": true,
            "full": { "delta": true }
        },
        "workspace": { "workspaceFolders": { "supported": true, "changeNotifications": true } }
    })
}
