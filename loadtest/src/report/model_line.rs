//! What happened to the requests for one of the models.

use std::time::Duration;

use serde::Serialize;

use super::{Latency, rate};
use crate::check::Findings;
use crate::plan::ModelShare;
use crate::tally::Tally;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct ModelLine {
    pub(crate) model: String,
    pub(crate) weight: f64,
    pub(crate) requests: u64,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) not_sent: u64,
    pub(crate) wrong: u64,
    pub(crate) requests_per_s: f64,
    pub(crate) rows_per_s: f64,
    pub(crate) latency_us: Option<Latency>,
}

impl ModelLine {
    pub(super) fn new(
        share: &ModelShare,
        tally: &Tally,
        findings: &Findings,
        counted: Duration,
    ) -> ModelLine {
        ModelLine {
            model: share.name.clone(),
            weight: share.weight,
            requests: tally.requests,
            answered: tally.latency.len(),
            failed: tally.failed(),
            not_sent: tally.not_sent,
            wrong: findings.wrong,
            requests_per_s: rate(tally.answers_in_time, counted),
            rows_per_s: rate(tally.rows_in_time, counted),
            latency_us: Latency::of(&tally.latency),
        }
    }
}
