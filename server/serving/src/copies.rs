//! The series of copies of requests, whoever has them made: a rollout, or a model's `[traffic]`.

use metrics::{Counter, Gauge, counter, gauge};
use server_base::{Series, SeriesKind};

use crate::compare::Difference;
use crate::servable::Servable;

const COMPARED: &str = "salver_shadow_compared_total";
const DISAGREEMENTS: &str = "salver_shadow_disagreements_total";
const DIFFERENCE: &str = "salver_shadow_mean_difference";
const FAILED: &str = "salver_shadow_failed_total";
const LEFT_OUT: &str = "salver_shadow_left_out_total";

/// Everything that is shown of copies.
pub const SERIES: &[Series] = &[
    Series {
        name: COMPARED,
        kind: SeriesKind::Counter,
        labels: &["model", "version"],
        help: "Copies of requests that this version answered and whose answers were compared with the \
               served ones.",
        buckets: &[],
    },
    Series {
        name: DISAGREEMENTS,
        kind: SeriesKind::Counter,
        labels: &["model", "version", "what"],
        help: "Compared copies that were answered otherwise: answer (another class, label or text), \
               nonfinite (this version's answer holds what is no number, the served one does not).",
        buckets: &[],
    },
    Series {
        name: DIFFERENCE,
        kind: SeriesKind::Gauge,
        labels: &["model", "version"],
        help: "This version's numbers less the served ones: the mean of all compared copies since it has been \
               given any.",
        buckets: &[],
    },
    Series {
        name: FAILED,
        kind: SeriesKind::Counter,
        labels: &["model", "version"],
        help: "Copies on which this version failed where the served one answered.",
        buckets: &[],
    },
    Series {
        name: LEFT_OUT,
        kind: SeriesKind::Counter,
        labels: &["model", "version", "reason"],
        help: "Copies for this version that were left out: busy (too many wait for it), under_way (too many \
               are), refused (its queue did not take it, or it does not fit), unanswered (its time was up, or \
               the version went), uncompared (too many wait for that).",
        buckets: &[],
    },
];

/// Why a copy was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// Others wait for the version already.
    Busy,
    /// As many as may be are on their way.
    UnderWay,
    /// The version's queue did not take it, or it does not fit the version.
    Refused,
    /// Its time was up, or the version went.
    Unanswered,
    /// Both answers came, and too many others waited to be compared.
    Uncompared,
}

impl LeftOut {
    /// Each of them, at its own place.
    pub const ALL: [LeftOut; 5] = [
        LeftOut::Busy,
        LeftOut::UnderWay,
        LeftOut::Refused,
        LeftOut::Unanswered,
        LeftOut::Uncompared,
    ];

    /// As it is shown.
    pub fn label(self) -> &'static str {
        match self {
            LeftOut::Busy => "busy",
            LeftOut::UnderWay => "under_way",
            LeftOut::Refused => "refused",
            LeftOut::Unanswered => "unanswered",
            LeftOut::Uncompared => "uncompared",
        }
    }
}

/// Handles of one version that is given copies.
pub(crate) struct CopyMetrics {
    compared: Counter,
    other: Counter,
    nonfinite: Counter,
    difference: Gauge,
    failed: Counter,
    left_out: [Counter; LeftOut::ALL.len()],
}

impl CopyMetrics {
    pub(crate) fn new(servable: &Servable) -> CopyMetrics {
        let (model, version) = (servable.model().shared(), servable.version().to_string());
        let labels = || [("model", model.to_string()), ("version", version.clone())];
        let disagreements = |what: &'static str| counter!(DISAGREEMENTS, "model" => model.clone(), "version" => version.clone(), "what" => what);
        let left_out = |it: LeftOut| {
            let reason = it.label();
            counter!(LEFT_OUT, "model" => model.clone(), "version" => version.clone(), "reason" => reason)
        };
        CopyMetrics {
            compared: counter!(COMPARED, &labels()),
            other: disagreements("answer"),
            nonfinite: disagreements("nonfinite"),
            difference: gauge!(DIFFERENCE, &labels()),
            failed: counter!(FAILED, &labels()),
            left_out: LeftOut::ALL.map(left_out),
        }
    }

    /// `mean` is that of all so far.
    pub(crate) fn compared(&self, seen: &Difference, mean: f64) {
        self.compared.increment(1);
        self.other.increment(u64::from(seen.flipped));
        self.nonfinite.increment(u64::from(seen.nonfinite));
        self.difference.set(mean);
    }

    pub(crate) fn failed(&self) {
        self.failed.increment(1);
    }

    pub(crate) fn left_out(&self, why: LeftOut) {
        if let Some(counter) = self.left_out.get(why as usize) {
            counter.increment(1);
        }
    }
}
