//! What tests of workflow files share.

use std::path::Path;

use nixactions::eval::{Limits, Settings};
use nixactions::workflow::load::Request;

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
        placeholders: false,
        args: Vec::new(),
        settings: Settings {
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
            limits: Limits::default(),
        },
    }
}
