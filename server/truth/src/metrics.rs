//! The series of ground truth.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use server_base::{Finding, Metric, ModelName, Series, SeriesKind, Version};

use crate::change::Judged;

const LABELS: &str = "salver_labels_total";
const LAG: &str = "salver_label_lag_seconds";
const PREDICTIONS: &str = "salver_truth_predictions_total";
const LABELLED: &str = "salver_truth_labelled_total";
const FORGOTTEN: &str = "salver_truth_forgotten_total";
const BYTES: &str = "salver_truth_bytes";
const FAILURES: &str = "salver_truth_disk_failures_total";
const SINK_ROWS: &str = "salver_label_log_rows_total";
const SINK_FAILURES: &str = "salver_label_log_failures_total";
const SINK_LAG: &str = "salver_label_log_lag_bytes";
const JOIN: &str = "salver_performance_join_ratio";
const PERFORMANCE: &str = "salver_performance";
const ROWS: &str = "salver_performance_samples";
const ALARMS: &str = "salver_performance_alarms_total";
const EVIDENCE: &str = "salver_concept_drift_evidence";
const EFFECT: &str = "salver_concept_drift_effect";
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

/// Everything this crate shows.
pub const SERIES: &[Series] = &[
    Series::plain(
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
    Series::plain(
        PREDICTIONS,
        SeriesKind::Counter,
        &["model", "version"],
        "Rows of predictions that labels are waited for.",
    ),
    Series::plain(
        LABELLED,
        SeriesKind::Counter,
        &["model", "version"],
        "Rows of predictions whose label has come.",
    ),
    Series::plain(
        FORGOTTEN,
        SeriesKind::Counter,
        &["what", "reason"],
        "Rows that went unjoined: what is predictions or labels; reason is time, budget (of bytes), queue \
         (too many came at once).",
    ),
    Series::plain(
        BYTES,
        SeriesKind::Gauge,
        &[],
        "Memory of what waits for a label, or to be corrected.",
    ),
    Series::plain(
        FAILURES,
        SeriesKind::Counter,
        &["what"],
        "Errors of the disk under labels (these were refused), predictions (a restart forgets them) and \
         references (a restart learns them anew).",
    ),
    Series::plain(
        SINK_ROWS,
        SeriesKind::Counter,
        &["sink"],
        "Labels that sinks of the log have taken, without those that were left out as too large for a receiver.",
    ),
    Series::plain(
        SINK_FAILURES,
        SeriesKind::Counter,
        &["sink"],
        "Attempts at that which failed; what was tried is tried again.",
    ),
    Series::plain(
        SINK_LAG,
        SeriesKind::Gauge,
        &["sink"],
        "Bytes of labels on the disk that a sink of the log has not taken yet.",
    ),
    Series::plain(
        JOIN,
        SeriesKind::Gauge,
        &["model", "version"],
        "Share of the predictions of the last complete window whose label has come.",
    ),
    Series::plain(
        PERFORMANCE,
        SeriesKind::Gauge,
        &["model", "version", "metric"],
        "How right the answers of the last complete window were: accuracy, log_loss, auc, brier, ece; mae, \
         rmse, bias.",
    ),
    Series::plain(
        ROWS,
        SeriesKind::Gauge,
        &["model", "version"],
        "Labelled rows of the last complete window.",
    ),
    Series::plain(
        EVALUATED,
        SeriesKind::Gauge,
        &["model", "version"],
        "When the last window was complete.",
    ),
    Series::plain(
        ALARMS,
        SeriesKind::Counter,
        &["model", "version", "kind"],
        "Complete windows that are an alarm; kind is performance or concept_drift.",
    ),
    Series::plain(
        EVIDENCE,
        SeriesKind::Gauge,
        &["model", "version"],
        "Concept drift: evidence that errors have become more frequent, with the last complete window. \
         `false_alarm_windows` of it are an alarm.",
    ),
    Series::plain(
        EFFECT,
        SeriesKind::Gauge,
        &["model", "version"],
        "Concept drift: by how much the mean error has risen since the likeliest time of a change.",
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

/// Handles of one sink of labels.
pub(crate) struct SinkMetrics {
    pub(crate) rows: Counter,
    pub(crate) failures: Counter,
    pub(crate) lag: Gauge,
}

impl SinkMetrics {
    pub(crate) fn new(sink: &'static str) -> SinkMetrics {
        SinkMetrics {
            rows: counter!(SINK_ROWS, "sink" => sink),
            failures: counter!(SINK_FAILURES, "sink" => sink),
            lag: gauge!(SINK_LAG, "sink" => sink),
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
    /// Evidence and effect, where errors are held against those before.
    change: Option<(Gauge, Gauge)>,
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
            change: None,
        }
    }

    /// What a complete window says of errors.
    pub(crate) fn changed(&mut self, (model, version): (&ModelName, Version), judged: &Judged) {
        let (evidence, effect) = self.change.get_or_insert_with(|| {
            let labels = [("model", model.to_string()), ("version", version.to_string())];
            (gauge!(EVIDENCE, &labels), gauge!(EFFECT, &labels))
        });
        evidence.set(judged.evidence);
        effect.set(judged.effect());
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

/// A window was told of.
pub(crate) fn told(finding: &Finding) {
    let Finding { model, version, kind, is_alarm, .. } = finding;
    counter!(ALARMS, "model" => model.shared(), "version" => version.to_string(), "kind" => kind.label())
        .increment(u64::from(*is_alarm));
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
