//! Any bytes evaluated and printed, within limits and without a world around: it ends with a value or an error.
#![no_main]

mod worker;

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use nixactions::base::source::{SourceName, SpanId};
use nixactions::eval::io::{EvalIo, FileKind};
use nixactions::eval::{Evaluation, Heap, Limits, Settings};

/// A system without files or environment.
struct Nothing;

impl EvalIo for Nothing {
    fn read_file(&self, _: &Path) -> io::Result<Arc<[u8]>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn lstat(&self, _: &Path) -> io::Result<Option<FileKind>> {
        Ok(None)
    }
    fn read_dir(&self, _: &Path) -> io::Result<Vec<(Vec<u8>, FileKind)>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn read_link(&self, _: &Path) -> io::Result<PathBuf> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn env(&self, _: &str) -> Option<Vec<u8>> {
        None
    }
}

fn settings() -> Settings {
    Settings {
        system: "x86_64-linux".into(),
        store_dir: "/nix/store".into(),
        search_path: Vec::new(),
        features: Vec::new(),
        pure_eval: false,
        trace_verbose: false,
        abort_on_warn: false,
        lints: Default::default(),
        home: None,
        now: 0,
        limits: Limits {
            call_depth: 2_000,
            heap: Some(256 << 20),
            time: Some(Duration::from_secs(2)),
            cancel: None,
        },
    }
}

fuzz_target!(|text: &[u8]| {
    worker::on_worker(text, |text| {
        let heap = Heap::new();
        let Ok(mut evaluation) = Evaluation::new(&heap, settings(), Rc::new(Nothing)) else { return };
        evaluation.messages = Box::new(|_| {});
        if let Ok(value) = evaluation.eval_text(SourceName::String, text, Path::new("/")) {
            let slot = evaluation.slot(value);
            if evaluation.force_deep(slot, SpanId::NONE).is_ok() {
                let _ = evaluation.print(slot, &mut Vec::new());
            }
        }
    });
});
