//! What happened to the requests of one part of the counted time.

use std::time::Duration;

use serde::Serialize;

use super::{Latency, rate};
use crate::failure::FailureKind;
use crate::tally::Tally;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct PhaseLine {
    /// From the begin of the counted time.
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    /// Arrivals that were due in it, sent or not, per second.
    pub(crate) due_per_s: f64,
    /// Of those, the ones that were answered, whenever that was.
    pub(crate) answered_per_s: f64,
    /// Of those, the ones within the timeout.
    pub(crate) good_per_s: f64,
    /// Refusals among them.
    pub(crate) failed: u64,
    pub(crate) refused: u64,
    pub(crate) not_sent: u64,
    pub(crate) latency_us: Option<Latency>,
    pub(crate) lateness_us: Option<Latency>,
}

impl PhaseLine {
    pub(super) fn new(from: Duration, to: Duration, tally: &Tally) -> PhaseLine {
        let length = to.saturating_sub(from);
        PhaseLine {
            from_s: from.as_secs_f64(),
            to_s: to.as_secs_f64(),
            due_per_s: rate(tally.requests + tally.not_sent, length),
            answered_per_s: rate(tally.latency.len(), length),
            good_per_s: rate(tally.good_in_time, length),
            failed: tally.failed(),
            refused: tally.failures_where(FailureKind::is_refusal).len(),
            not_sent: tally.not_sent,
            latency_us: Latency::of(&tally.latency),
            lateness_us: Latency::of(&tally.lateness),
        }
    }

    /// The lines of the phases that end at `ends`.
    pub(super) fn all(ends: &[Duration], tallies: &[Tally]) -> Vec<PhaseLine> {
        let begins = std::iter::once(&Duration::ZERO).chain(ends);
        let spans = begins.zip(ends).zip(tallies);
        spans.map(|((from, to), tally)| PhaseLine::new(*from, *to, tally)).collect()
    }
}
