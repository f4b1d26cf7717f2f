//! The series of triggers.

use metrics::{counter, gauge};
use server_base::{Series, SeriesKind};

use crate::event::Event;

const TRIGGERS: &str = "salver_retraining_triggers_total";
const LAST: &str = "salver_retraining_trigger_last_timestamp_seconds";
const DELIVERIES: &str = "salver_trigger_deliveries_total";
const PENDING: &str = "salver_trigger_deliveries_pending";
const DROPPED: &str = "salver_trigger_findings_dropped_total";

/// Everything this crate shows.
pub const SERIES: &[Series] = &[
    Series {
        name: TRIGGERS,
        kind: SeriesKind::Counter,
        labels: &["model", "trigger", "reason", "result"],
        help: "Reasons to ask for retraining or to raise an alert (drift, performance, quality, rows, \
               age, schedule, manual, ..), by what came of it: fired, dry_run, or why not: hysteresis, \
               cooldown, rate, in_flight, muted, duplicate, broken_data, forbidden, full.",
        buckets: &[],
    },
    Series {
        name: LAST,
        kind: SeriesKind::Gauge,
        labels: &["model", "trigger"],
        help: "When a trigger last fired, in seconds since 1970.",
        buckets: &[],
    },
    Series {
        name: DELIVERIES,
        kind: SeriesKind::Counter,
        labels: &["target", "result"],
        help: "Attempts to tell a target: delivered, duplicate (it knew the key already), retried, dead \
               (given up; in the file of dead letters).",
        buckets: &[],
    },
    Series {
        name: PENDING,
        kind: SeriesKind::Gauge,
        labels: &[],
        help: "Events that have fired and are not delivered yet.",
        buckets: &[],
    },
    Series {
        name: DROPPED,
        kind: SeriesKind::Counter,
        labels: &[],
        help: "Findings of monitors that triggers could not take: too many waited, or the server was going down, and they \
               are told again; or too many models.",
        buckets: &[],
    },
];

/// What came of a reason.
pub(crate) fn decided(event: &Event, result: &'static str) {
    let (model, rule) = (event.model.clone(), event.rule.clone());
    let labels = [
        ("model", model.clone()),
        ("trigger", rule.clone()),
        ("reason", event.cause.label().to_owned()),
        ("result", result.to_owned()),
    ];
    counter!(TRIGGERS, &labels).increment(1);
    if result == "fired" {
        gauge!(LAST, "model" => model, "trigger" => rule).set(event.at.0 as f64 / 1_000.0);
    }
}

/// What came of an attempt.
pub(crate) fn tried(target: &str, result: &'static str) {
    counter!(DELIVERIES, "target" => target.to_owned(), "result" => result).increment(1);
}

/// So many wait.
pub(crate) fn pending(count: usize) {
    gauge!(PENDING).set(count as f64);
}

/// So many were not taken.
pub(crate) fn dropped(count: usize) {
    counter!(DROPPED).increment(count as u64);
}
