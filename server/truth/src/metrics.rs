//! The series of ground truth.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use server_base::{Metric, ModelName, Series, SeriesKind, Version};

const LABELS: &str = "salver_labels_total";
const LAG: &str = "salver_label_lag_seconds";
const PREDICTIONS: &str = "salver_truth_predictions_total";
const LABELLED: &str = "salver_truth_labelled_total";
const FORGOTTEN: &str = "salver_truth_forgotten_total";
const BYTES: &str = "salver_truth_bytes";
const FAILURES: &str = "salver_truth_disk_failures_total";
const JOIN: &str = "salver_performance_join_ratio";
const PERFORMANCE: &str = "salver_performance";
const ROWS: &str = "salver_performance_samples";
const EVALUATED: &str = "salver_performance_last_evaluation_timestamp_seconds";

/// From a second to a month.
const LAG_BUCKETS: &[f64] = &[
    1.0,
    5.0,
    15.0,
    60.0,
    300.0,
    900.0,
    3_600.0,
    10_800.0,
    43_200.0,
    86_400.0,
    259_200.0,
    604_800.0,
    2_592_000.0,
];

const fn series(
    name: &'static str,
    kind: SeriesKind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Series {
    Series { name, kind, labels, help, buckets: &[] }
}

/// Everything this crate shows.
pub const SERIES: &[Series] = &[
    series(
        LABELS,
        SeriesKind::Counter,
        &["model", "result"],
        "Labels that came: joined (with a prediction), corrected (there was one before), waiting (no \
         prediction of that id yet), unfit (not what that version answers).",
    ),
    Series {
        name: LAG,
        kind: SeriesKind::Histogram,
        labels: &["model"],
        help: "How long after its prediction a label came.",
        buckets: LAG_BUCKETS,
    },
    series(
        PREDICTIONS,
        SeriesKind::Counter,
        &["model", "version"],
        "Rows of predictions that labels are waited for.",
    ),
    series(
        LABELLED,
        SeriesKind::Counter,
        &["model", "version"],
        "Rows of predictions whose label has come.",
    ),
    series(
        FORGOTTEN,
        SeriesKind::Counter,
        &["what", "reason"],
        "Rows that went unjoined: what is predictions or labels; reason is time, budget (of bytes), queue \
         (too many came at once).",
    ),
    series(BYTES, SeriesKind::Gauge, &[], "Memory of what waits for a label, or to be corrected."),
    series(
        FAILURES,
        SeriesKind::Counter,
        &["what"],
        "Errors of the disk under labels (these were refused), predictions (a restart forgets them) and \
         references (a restart learns them anew).",
    ),
    series(
        JOIN,
        SeriesKind::Gauge,
        &["model", "version"],
        "Share of the predictions of the last complete window whose label has come.",
    ),
    series(
        PERFORMANCE,
        SeriesKind::Gauge,
        &["model", "version", "metric"],
        "How right the answers of the last complete window were: accuracy, log_loss, auc, brier, ece; mae, \
         rmse, bias.",
    ),
    series(
        ROWS,
        SeriesKind::Gauge,
        &["model", "version"],
        "Labelled rows of the last complete window.",
    ),
    series(
        EVALUATED,
        SeriesKind::Gauge,
        &["model", "version"],
        "When the last window was complete.",
    ),
];

/// Handles of one model.
pub(crate) struct ModelMetrics {
    pub(crate) joined: Counter,
    pub(crate) corrected: Counter,
    pub(crate) waiting: Counter,
    pub(crate) unfit: Counter,
    pub(crate) lag: Histogram,
}

impl ModelMetrics {
    pub(crate) fn new(model: &ModelName) -> ModelMetrics {
        let of =
            |result: &'static str| counter!(LABELS, "model" => model.shared(), "result" => result);
        ModelMetrics {
            joined: of("joined"),
            corrected: of("corrected"),
            waiting: of("waiting"),
            unfit: of("unfit"),
            lag: histogram!(LAG, "model" => model.shared()),
        }
    }
}

/// Handles of one version.
pub(crate) struct VersionMetrics {
    pub(crate) predictions: Counter,
    pub(crate) labelled: Counter,
    join: Gauge,
    rows: Gauge,
    evaluated: Gauge,
    metrics: Vec<(Metric, Gauge)>,
}

impl VersionMetrics {
    pub(crate) fn new(model: &ModelName, version: Version) -> VersionMetrics {
        let labels = [("model", model.to_string()), ("version", version.to_string())];
        VersionMetrics {
            predictions: counter!(PREDICTIONS, &labels),
            labelled: counter!(LABELLED, &labels),
            join: gauge!(JOIN, &labels),
            rows: gauge!(ROWS, &labels),
            evaluated: gauge!(EVALUATED, &labels),
            metrics: Vec::new(),
        }
    }

    /// A window is complete.
    pub(crate) fn evaluated(
        &mut self,
        (model, version): (&ModelName, Version),
        (join_rate, rows, now_us): (f64, u64, i64),
        metrics: &[(Metric, f64)],
    ) {
        self.join.set(join_rate);
        self.rows.set(rows as f64);
        self.evaluated.set(now_us as f64 / 1e6);
        let gauge = |metric: Metric| {
            gauge!(PERFORMANCE, "model" => model.shared(), "version" => version.to_string(),
                "metric" => metric.label())
        };
        // What this window could not tell is not shown: it would be the one before.
        self.metrics = metrics.iter().map(|(it, _)| (*it, gauge(*it))).collect();
        self.metrics.iter().zip(metrics).for_each(|((_, gauge), (_, value))| gauge.set(*value));
    }
}

/// What went unjoined.
pub(crate) fn forgotten(what: &'static str, reason: &'static str, rows: u64) {
    if rows > 0 {
        counter!(FORGOTTEN, "what" => what, "reason" => reason).increment(rows);
    }
}

pub(crate) fn bytes(bytes: usize) {
    gauge!(BYTES).set(bytes as f64);
}

pub(crate) fn disk_failed(what: &'static str) {
    counter!(FAILURES, "what" => what).increment(1);
}
