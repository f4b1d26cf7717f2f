//! Finds the engine, instances, threads and batch size with which a model is served best.
//!
//! The modules stand in the order of a run: wishes are checked against what is there and become a
//! plan, the search names the next setting, callers measure it, the choice is made, and a file and
//! a picture tell it. Every setting is tried as the `model.toml` that would be written, read by the
//! server's own reader and loaded by its own loader; callers ask the serving path without a
//! network. `app` calls [`Plan::new`] and [`run`].

mod setting;
mod file;
mod wishes;
mod candidates;
mod plan;
mod search;
mod inputs;
mod latencies;
mod callers;
mod choice;
mod run;
mod picture;

pub use candidates::{Candidate, Skipped};
pub use choice::{Choice, Failure, Point};
pub use file::{Change, NotWritten, changes, head, write};
pub use picture::{Shown, draw};
pub use plan::{Plan, TuneError};
pub use run::{Outcome, run};
pub use search::Tried;
pub use setting::Setting;
pub use wishes::Wishes;
