//! Owns: values, the heap, evaluation, coercion, contexts, errors with traces, builtins.
//! May import: base diag ir drv syntax.

pub mod builtins;
pub mod error;
pub mod heap;
pub mod io;
pub mod regex;
pub mod value;

mod arena;
mod assertion;
pub mod attrs;
mod call;
pub mod coerce;
mod compare;
mod delay;
mod evaluation;
mod force;
pub mod import;
mod operator;
mod print;
pub mod step;
pub mod toml;
mod words;
pub mod world;

pub use compare::Order;
pub use error::{ErrorKind, EvalError};
pub use evaluation::{Evaluation, Limits, Messages, Settings, on_big_stack};
pub use heap::Heap;
pub use value::{Attr, Attrs, List, Res, Slot, Value};
