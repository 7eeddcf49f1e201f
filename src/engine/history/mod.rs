//! The memory of runs: what happened, what was printed, and what is needed to go on.
//!
//! `CACHE/history/ID/` holds, private to the user:
//!
//! - `plan.json`: the plan, secrets replaced, and where it came from ([`store::Stored`]);
//! - `journal`: every event but output, one sealed line each ([`record`]), appended before the event
//!   takes effect ([`journal`]);
//! - `log`: what the steps printed, masked ([`output`]);
//! - `artifacts/`: those of the newest runs, for `rerun --failed`, `resume` and `run --from`.

pub mod journal;
pub mod output;
pub mod reader;
pub mod record;
pub mod recorder;
pub mod replay;
pub mod store;
