//! Any bytes through the evaluator's parser: it answers with a tree or an error, and a tree can be shown.
#![no_main]

mod worker;

use bumpalo::Bump;
use libfuzzer_sys::fuzz_target;
use nixactions::syntax::parser::{Options, parse};
use nixactions::syntax::show::show;

fuzz_target!(|text: &[u8]| {
    worker::on_worker(text, |text| {
        let arena = Bump::new();
        if let Ok(tree) = parse(text, &arena, Options::default()) {
            let _ = show(tree, b"/");
        }
    });
});
