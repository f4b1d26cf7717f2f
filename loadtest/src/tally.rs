//! What happened to the requests of a run, as counts and histograms.
//!
//! One per thread, written by `station` without locks, merged by `run`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::failure::{Failure, FailureKind};
use crate::limits::{LATENCY_DIGITS, LATENCY_MAX};

#[derive(Debug)]
pub(crate) struct Tally {
    /// Requests that counted, answered or not.
    pub(crate) requests: u64,
    /// Arrivals that found the bound on outstanding requests reached.
    pub(crate) not_sent: u64,
    /// Of answered requests, µs, from the intended start.
    pub(crate) latency: Histogram<u64>,
    /// Of all requests of an open loop, µs from the intended to the actual start.
    pub(crate) lateness: Histogram<u64>,
    /// Answers, and their rows, that arrived within the counted time.
    pub(crate) answers_in_time: u64,
    pub(crate) rows_in_time: u64,
    /// Of those answers, the ones within the timeout of their intended start.
    pub(crate) good_in_time: u64,
    pub(crate) failures: BTreeMap<FailureKind, FailureCount>,
    pub(crate) failed_in_warmup: u64,
    pub(crate) last_finish: Option<Instant>,
}

/// Failures of one kind.
#[derive(Clone, Debug)]
pub(crate) struct FailureCount {
    /// What the first one said.
    pub(crate) first: String,
    /// One value for each, µs from the intended start.
    pub(crate) latency: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            requests: 0,
            not_sent: 0,
            latency: histogram(),
            lateness: histogram(),
            answers_in_time: 0,
            rows_in_time: 0,
            good_in_time: 0,
            failures: BTreeMap::new(),
            failed_in_warmup: 0,
            last_finish: None,
        }
    }

    pub(crate) fn record_latency(&mut self, latency: Duration) {
        self.latency.saturating_record(micros(latency));
    }

    pub(crate) fn record_lateness(&mut self, lateness: Duration) {
        self.lateness.saturating_record(micros(lateness));
    }

    pub(crate) fn record_failure(&mut self, failure: Failure, took: Duration) {
        let Failure { kind, message: first } = failure;
        let new = || FailureCount { first, latency: histogram() };
        let count = self.failures.entry(kind).or_insert_with(new);
        count.latency.saturating_record(micros(took));
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().map(|it| it.latency.len()).sum()
    }

    /// The latencies of all failures of these kinds.
    pub(crate) fn failures_where(&self, of: fn(FailureKind) -> bool) -> Histogram<u64> {
        let mut all = histogram();
        for (_, count) in self.failures.iter().filter(|(kind, _)| of(**kind)) {
            all.add(&count.latency).expect("all tallies have the same range");
        }
        all
    }

    pub(crate) fn merge(&mut self, other: Tally) {
        self.requests += other.requests;
        self.not_sent += other.not_sent;
        self.latency.add(&other.latency).expect("all tallies have the same range");
        self.lateness.add(&other.lateness).expect("all tallies have the same range");
        self.answers_in_time += other.answers_in_time;
        self.rows_in_time += other.rows_in_time;
        self.good_in_time += other.good_in_time;
        for (kind, FailureCount { first, latency }) in other.failures {
            let new = || FailureCount { first, latency: histogram() };
            let count = self.failures.entry(kind).or_insert_with(new);
            count.latency.add(&latency).expect("all tallies have the same range");
        }
        self.failed_in_warmup += other.failed_in_warmup;
        self.last_finish = self.last_finish.max(other.last_finish);
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, micros(LATENCY_MAX), LATENCY_DIGITS)
        .expect("1 µs to 120 s with 3 digits is a valid range")
}

/// Rounded to the nearest µs.
fn micros(duration: Duration) -> u64 {
    u64::try_from((duration.as_nanos() + 500) / 1_000).unwrap_or(u64::MAX)
}
