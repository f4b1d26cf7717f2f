//! Ground truth: what turned out to be true, held against what was predicted.
//!
//! The modules stand in the order in which a row meets them. A prediction is seen on its way to the
//! log ([`over`]); a label comes in by [`Truth::record`], is written down, and meets its prediction by
//! the request's id. What is joined is summed up by version and by the time of the prediction; each
//! window is told when labels have had their time. Everything between is bounded, and the last label
//! of a row counts. Nothing here knows a protocol.

#![forbid(unsafe_code)]

mod label;
mod form;
mod tap;
mod truth;
mod dataset;
mod retention;
mod outbox;
mod memory;
mod book;
mod entries;
mod row_labels;
mod model;
mod change;
mod kept;
mod told;
mod untold;
mod window;
mod tally;
mod ranks;
mod sum;
mod watch;
mod judge;
#[cfg(test)]
mod fixture;
pub mod metrics;

pub use judge::{Answers, Judge, Reading, Seen, Standing};
pub use label::{Given, ID_BYTES_MAX, LABELS_MAX, Label};
pub use outbox::{Delivered, LabelSink, Outbox, Sent};
pub use retention::Keep;
pub use tap::over;
pub use truth::{Options, Recorded, ToldLabels, ToldShown, Truth, TruthError};
