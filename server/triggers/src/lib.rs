//! Asks for retraining when what was watched says so.
//!
//! Findings of the monitors, rows, age and the clock go into a book of rules (`book.rs`), which is pure
//! and says what fires and what does not, and why. What fires waits in an outbox on the disk until its
//! target has taken it. An event bears a key that follows from its reason alone, so a restart, a second
//! attempt and a second replica ask for the same run, where the target can tell.

mod moment;
mod limits;
mod event;
mod rule;
mod target;
mod config;
mod lane;
mod entry;
mod decision;
mod reason;
mod pairs;
mod book;
mod courier;
mod pause;
mod files;
mod driver;
mod desk;
mod handle;
pub mod metrics;

pub use config::Config;
pub use decision::Served;
pub use driver::{Options, start};
pub use entry::Flight;
pub use event::{Cause, Event, Evidence, Window};
pub use handle::{FireAsked, Fired, LaneView, ModelView, TriggerError, Triggers, View};
pub use moment::Moment;
pub use rule::{Pattern, Rule};
pub use target::{Auth, Source, Target, TargetKind};
