//! What tests of workflow files share.

use std::path::Path;
use std::rc::Rc;

use nixactions::eval::io::System;
use nixactions::eval::{Limits, Settings};
use nixactions::workflow::load::{self, Outcome, Request};

/// A request for all workflows of a file, independent of the machine.
pub(crate) fn request(file: &Path) -> Request {
    let dir = file.parent().unwrap_or(Path::new("/")).to_path_buf();
    Request {
        file: file.to_path_buf(),
        name: None,
        all: true,
        project_dir: dir.clone(),
        current_dir: dir,
        pkgs: None,
        inputs: Vec::new(),
        args: Vec::new(),
        settings: Settings {
            system: "x86_64-linux".into(),
            store_dir: "/nix/store".into(),
            search_path: Vec::new(),
            features: Vec::new(),
            pure_eval: false,
            trace_verbose: false,
            abort_on_warn: false,
            home: None,
            now: 0,
            limits: Limits::default(),
        },
    }
}

/// Loads all workflows of a file.
pub(crate) fn load(file: &Path) -> Outcome {
    load::load(&request(file), || Rc::new(System))
}
