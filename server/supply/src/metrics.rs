//! The series of the supply.

use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge, counter, gauge};
use server_base::{ModelName, Series, SeriesKind};
use server_registry::ErrorKind;

const LOOKS: &str = "salver_registry_looks_total";
const SUCCESS: &str = "salver_registry_last_success_timestamp_seconds";
const VERDICTS: &str = "salver_registry_verdicts_total";
const RECALLED: &str = "salver_registry_recalled_total";
const WEBHOOKS: &str = "salver_registry_webhooks_total";
const FAILING: &str = "salver_registry_failing";

/// Everything this crate shows.
pub const SERIES: &[Series] = &[
    Series {
        name: LOOKS,
        kind: SeriesKind::Counter,
        labels: &["model", "result"],
        help: "Looks at an address of the model: unchanged, changed (and pulled), or why that failed \
               (invalid, unavailable, slow, refused, not_found, answer, too_large, corrupt, policy, local).",
        buckets: &[],
    },
    Series {
        name: SUCCESS,
        kind: SeriesKind::Gauge,
        labels: &["model"],
        help: "When an address of the model was last looked at with success.",
        buckets: &[],
    },
    Series {
        name: FAILING,
        kind: SeriesKind::Gauge,
        labels: &["model"],
        help: "Addresses of the model that cannot be followed now: not asked, not fetched, or not used.",
        buckets: &[],
    },
    Series {
        name: RECALLED,
        kind: SeriesKind::Counter,
        labels: &["model", "result"],
        help: "Versions that no address names and that are wanted all the same: cached, fetched, failed.",
        buckets: &[],
    },
    Series {
        name: WEBHOOKS,
        kind: SeriesKind::Counter,
        labels: &["result"],
        help: "Messages that something has changed in a registry: accepted, repeated, refused (not signed, or not lately), \
               malformed, busy (too many).",
        buckets: &[],
    },
    Series {
        name: VERDICTS,
        kind: SeriesKind::Counter,
        labels: &["result"],
        help: "Verdicts of rollouts for a registry that takes them, and for a place of files: told, failed, lost (too many waited).",
        buckets: &[],
    },
];

/// A verdict of a rollout has come to its registry, or not.
pub(crate) fn told(result: &'static str) {
    counter!(VERDICTS, "result" => result).increment(1);
}

/// A message has come that something has changed.
pub(crate) fn webhook(result: &'static str) {
    counter!(WEBHOOKS, "result" => result).increment(1);
}

/// A version that no address names was had again, or not.
pub(crate) fn recalled(model: &ModelName, result: &'static str) {
    counter!(RECALLED, "model" => model.shared(), "result" => result).increment(1);
}

/// One model's.
pub(crate) struct TargetMetrics {
    model: ModelName,
    success: Gauge,
    failing: Gauge,
}

impl TargetMetrics {
    pub(crate) fn new(model: &ModelName) -> TargetMetrics {
        let success = gauge!(SUCCESS, "model" => model.shared());
        let failing = gauge!(FAILING, "model" => model.shared());
        failing.set(0.0);
        TargetMetrics { model: model.clone(), success, failing }
    }

    pub(crate) fn succeeded(&self, changed: bool) {
        self.looks(if changed { "changed" } else { "unchanged" }).increment(1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.success.set(now.as_secs_f64());
    }

    pub(crate) fn failed(&self, kind: ErrorKind) {
        self.looks(label(kind)).increment(1);
    }

    /// So many addresses cannot be followed.
    pub(crate) fn failing(&self, addresses: usize) {
        self.failing.set(addresses as f64);
    }

    fn looks(&self, result: &'static str) -> Counter {
        counter!(LOOKS, "model" => self.model.shared(), "result" => result)
    }
}

/// A word for it.
pub(crate) fn label(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid => "invalid",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Slow => "slow",
        ErrorKind::Refused => "refused",
        ErrorKind::NotFound => "not_found",
        ErrorKind::Answer => "answer",
        ErrorKind::TooLarge => "too_large",
        ErrorKind::Corrupt => "corrupt",
        ErrorKind::Policy => "policy",
        ErrorKind::Local => "local",
    }
}
