//! The builtin functions: one file a family, a `TABLE` each.

use super::Evaluation;
use super::error::EvalError;
use super::evaluation::Settings;
use super::heap::Heap;
use super::value::{Lazy, Res, Slot, Value};
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use rustc_hash::FxHashMap;

pub(super) mod arguments;
pub mod attrs;
pub mod context;
pub mod control;
pub mod derivation;
pub mod fetch;
pub mod flake_ref;
pub mod hash;
pub mod json;
mod json_lexer;
mod key_tree;
pub mod lists;
pub mod math;
pub mod paths;
pub mod regex;
mod sort;
pub mod store;
pub mod store_view;
pub mod strings;
mod structured;
pub mod toml;
pub mod types;
pub mod versions;
pub mod xml;

/// The Rust function of a builtin: its arguments, forced in place as it needs them, and the place
/// of the call.
pub type Run = for<'h> fn(&mut Evaluation<'h>, &[Slot<'h>], SpanId) -> Res<Value<'h>>;

/// A builtin function.
pub struct Builtin {
    /// Its name in `builtins`, without underscores.
    pub name: &'static str,
    /// Number of arguments, at least 1.
    pub arity: usize,
    /// What it does, for `hover` and the generated documentation.
    pub doc: &'static str,
    /// What runs it.
    pub run: Run,
    /// The experimental feature without which it is absent; empty for most.
    pub feature: &'static str,
}

impl Builtin {
    /// A row of a table.
    pub const fn new(name: &'static str, arity: usize, run: Run, doc: &'static str) -> Self {
        Builtin { name, arity, doc, run, feature: "" }
    }

    /// The same, present only with an experimental feature.
    pub const fn needing(mut self, feature: &'static str) -> Self {
        self.feature = feature;
        self
    }
}

/// Adds to an error what was being done; as with Nix, without a place, which the frame of the call has.
fn during(what: &'static str) -> impl Fn(Box<EvalError>) -> Box<EvalError> {
    move |e| e.context(what, SpanId::NONE)
}

/// What builtins remember during an evaluation.
#[derive(Default)]
pub struct Caches<'h> {
    /// What was copied to the store, and the derivations made.
    pub store: store::StoreCache<'h>,
    /// Compiled regular expressions.
    pub regexes: regex::Compiled,
}

/// All families.
const TABLES: &[&[Builtin]] = &[
    attrs::TABLE,
    context::TABLE,
    control::TABLE,
    derivation::TABLE,
    fetch::TABLE,
    lists::TABLE,
    math::TABLE,
    paths::TABLE,
    regex::TABLE,
    store::TABLE,
    strings::TABLE,
    hash::TABLE,
    json::TABLE,
    toml::TABLE,
    types::TABLE,
    versions::TABLE,
    xml::TABLE,
];

/// Names that are global without the `__` prefix.
const BARE: &[&str] = &[
    "abort",
    "baseNameOf",
    "break",
    "derivation",
    "derivationStrict",
    "dirOf",
    "fetchGit",
    "fetchMercurial",
    "fetchTarball",
    "fetchTree",
    "fromTOML",
    "import",
    "isNull",
    "map",
    "placeholder",
    "removeAttrs",
    "scopedImport",
    "throw",
    "toString",
];

/// Every builtin, whatever the settings.
pub fn all() -> impl Iterator<Item = &'static Builtin> {
    TABLES.iter().flat_map(|t| t.iter())
}

/// Whether a name is global, whatever the settings.
pub fn is_global(name: &str) -> bool {
    const VALUES: [&str; 7] =
        ["langVersion", "nixVersion", "storeDir", "nixPath", "currentSystem", "currentTime", "derivation"];
    if BARE.contains(&name) || matches!(name, "true" | "false" | "null" | "builtins") {
        return true;
    }
    // `__curPos` is an expression of its own, which only looks like a name.
    let Some(name) = name.strip_prefix("__") else { return false };
    name == "curPos" || VALUES.contains(&name) || all().any(|b| b.name == name && !BARE.contains(&name))
}

/// Whether a builtin is a global name without the `__` prefix.
pub fn is_bare(name: &str) -> bool {
    BARE.contains(&name)
}

/// The global values, and the index of each global name.
pub(super) fn globals<'h>(heap: &'h Heap, settings: &Settings) -> (&'h [Slot<'h>], FxHashMap<Symbol, u32>) {
    let mut members: Vec<(&str, Value<'h>)> = all()
        .filter(|b| b.feature.is_empty() || settings.feature(b.feature))
        .map(|b| (b.name, Value::Builtin(b)))
        .collect();
    let string = |s: &str| heap.string(s.as_bytes());
    let none = SpanId::NONE;
    members.extend([
        ("true", Value::Bool(true)),
        ("false", Value::Bool(false)),
        ("null", Value::Null(none)),
        ("langVersion", Value::Int(none, 6)),
        ("nixVersion", string("2.34.8")),
        ("storeDir", string(&settings.store_dir)),
        ("nixPath", nix_path(heap, settings)),
        ("derivation", derivation::wrapper(heap)),
    ]);
    if !settings.pure_eval {
        members.push(("currentSystem", string(&settings.system)));
        let nothing = Value::Null(none);
        let clock = heap.lazy(Lazy::Native { run: read_clock, a: nothing, b: nothing });
        members.push(("currentTime", Value::Lazy(0, clock)));
    }
    let slots = heap.slots(members.len() + 1);
    let mut index = FxHashMap::default();
    let mut set = Vec::new();
    for (i, &(name, v)) in members.iter().enumerate() {
        slots[i].set(v);
        let global = if BARE.contains(&name) || matches!(name, "true" | "false" | "null") {
            Symbol::intern(name)
        } else {
            Symbol::intern(format!("__{name}"))
        };
        index.insert(global, i as u32);
        set.push((Symbol::intern(name), none, Value::Ref(&slots[i])));
    }
    let this = &slots[members.len()];
    set.push((Symbol::intern("builtins"), none, Value::Ref(this)));
    this.set(heap.attrs_from(set));
    index.insert(Symbol::intern("builtins"), members.len() as u32);
    (slots, index)
}

/// `builtins.currentTime`, which is noted: a result that depends on it is not kept.
fn read_clock<'h>(ev: &mut Evaluation<'h>, _: u32, _: Value<'h>, _: Value<'h>) -> Res<Value<'h>> {
    ev.clock_was_read = true;
    Ok(Value::Int(SpanId::NONE, ev.settings.now))
}

fn nix_path<'h>(heap: &'h Heap, settings: &Settings) -> Value<'h> {
    let (prefix, path) = (Symbol::intern("prefix"), Symbol::intern("path"));
    let entries: Vec<Value<'h>> = settings
        .search_path
        .iter()
        .map(|(p, v)| {
            heap.attrs_from(vec![
                (prefix, SpanId::NONE, heap.string(p.as_bytes())),
                (path, SpanId::NONE, heap.string(v.as_bytes())),
            ])
        })
        .collect();
    heap.list(heap.slots_from(entries.into_iter()), SpanId::NONE)
}
