//! Drift monitors: what the prediction log shows of each version, window by window.
//!
//! The modules stand in the order in which a row meets them. The sink hands rows to the monitor of
//! their version; its columns are matched with the reference, which came with the model or was
//! learned; windows fill up; each complete one gets a verdict, which is written down, then told.
//! What is computed is `server-drift`'s business.

#![forbid(unsafe_code)]

mod sink;
mod house;
mod entry;
mod monitor;
mod columns;
mod reference;
mod learner;
mod cells;
mod embeddings;
mod verdict;
mod histogram;
mod telling;
mod state;
mod view;
mod readings;
pub mod fleet;
pub mod metrics;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod power_tests;

pub use house::{Monitors, StartError};
pub use sink::MonitorSink;
