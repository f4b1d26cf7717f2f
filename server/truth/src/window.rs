//! Predictions of one time, and how right they were.

use serde_json::{Map, Value, json};
use server_base::{Metric, TruthConfig};

use crate::change::{Change, Errors};
use crate::sum::Sum;
use crate::tally::{Tally, Way};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    /// Microseconds since 1970.
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
    /// Rows that were predicted.
    pub(crate) predicted: u64,
    /// Rows whose label has come, whether it fits or not.
    pub(crate) labelled: u64,
    pub(crate) tally: Tally,
    /// Rows that have a loss, and the sum of these.
    lossy: u64,
    losses: Sum,
}

/// A metric beyond its limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Breach {
    pub(crate) metric: Metric,
    pub(crate) value: f64,
    pub(crate) limit: f64,
    /// What it was in the reference, where the limit follows from that.
    pub(crate) reference: Option<f64>,
}

impl Window {
    pub(crate) fn merge(&mut self, other: &Window) {
        self.from_us =
            if self.predicted == 0 { other.from_us } else { self.from_us.min(other.from_us) };
        self.to_us = self.to_us.max(other.to_us);
        self.predicted = self.predicted.saturating_add(other.predicted);
        self.labelled = self.labelled.saturating_add(other.labelled);
        self.tally.merge(&other.tally);
        self.lossy = self.lossy.saturating_add(other.lossy);
        self.losses.merge(&other.losses);
    }

    /// Counts how wrong a row is, or takes it out again.
    pub(crate) fn lost(&mut self, loss: Option<f64>, way: Way) {
        let Some(loss) = loss else { return };
        self.lossy = match way {
            Way::In => self.lossy.saturating_add(1),
            Way::Out => self.lossy.saturating_sub(1),
        };
        way.add(&mut self.losses, loss);
    }

    pub(crate) fn errors(&self) -> Errors {
        Errors { rows: self.lossy, sum: self.losses.value().max(0.0) }
    }

    /// Share of the predictions whose truth is known.
    pub(crate) fn join_rate(&self) -> f64 {
        if self.predicted == 0 { 0.0 } else { self.labelled as f64 / self.predicted as f64 }
    }

    /// What is worse than it may be, where there are enough labels to say so.
    pub(crate) fn breaches(&self, config: &TruthConfig, change: &Change) -> Vec<Breach> {
        if self.tally.rows < config.rows_min {
            return Vec::new();
        }
        let breach = |(metric, value): (Metric, f64)| {
            let (_, limit) = config.limits.iter().find(|(it, _)| *it == metric)?;
            let limit = *limit;
            let breach = Breach { metric, value, limit, reference: None };
            metric.is_worse(value, limit).then_some(breach)
        };
        let beside = |(metric, value): (Metric, f64)| {
            let (_, most) = config.changes.iter().find(|(it, _)| *it == metric)?;
            let reference = change.metric(metric)?;
            let limit = metric.limit_beside(reference, *most);
            let breach = Breach { metric, value, limit, reference: Some(reference) };
            metric.is_worse(value, limit).then_some(breach)
        };
        let metrics = self.tally.metrics();
        let mut breaches: Vec<Breach> = metrics.iter().filter_map(|it| breach(*it)).collect();
        breaches.extend(metrics.iter().filter_map(|it| beside(*it)));
        breaches
    }

    /// As the API shows it.
    pub(crate) fn shown(&self, is_complete: bool) -> Value {
        let metrics: Map<String, Value> = self
            .tally
            .metrics()
            .iter()
            .map(|(it, value)| (it.label().to_owned(), json!(value)))
            .collect();
        let mut shown = json!({
            "from": seconds(self.from_us),
            "to": seconds(self.to_us),
            "complete": is_complete,
            "predicted": self.predicted,
            "labelled": self.labelled,
            "join_rate": self.join_rate(),
            "rows": self.tally.rows,
            "metrics": metrics,
        });
        if let Some((_, error)) = self.tally.auc() {
            shown["auc_error"] = json!(error);
        }
        shown
    }
}

/// Seconds since 1970.
fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}
