//! The series of drift monitors.

use metrics::{Counter, Gauge, counter, gauge};
use server_base::{FindingKind, ModelName, Series, SeriesKind, Version};

use crate::readings::Readings;

/// Features of a version that have series; the others are counted.
const FEATURES_SHOWN_MAX: usize = 64;

const SCORE: &str = "salver_drift_score";
const P_VALUE: &str = "salver_drift_p_value";
const THRESHOLD: &str = "salver_drift_threshold";
const MISSING: &str = "salver_drift_missing_ratio";
const SAMPLES: &str = "salver_drift_samples";
const TIME: &str = "salver_drift_last_evaluation_timestamp_seconds";
const ALARM: &str = "salver_drift_alarm";
const ALARMS: &str = "salver_drift_alarms_total";
const WINDOWS: &str = "salver_drift_windows_total";
const ROWS: &str = "salver_drift_rows_total";
const UNSHOWN: &str = "salver_drift_features_unshown";
const FAILURES: &str = "salver_drift_failures_total";

/// Everything this crate shows.
pub const SERIES: &[Series] = &[
    Series::plain(
        SCORE,
        SeriesKind::Gauge,
        &["model", "version", "feature", "method"],
        "How different the last window was: effect (from 0 to 1: the largest distance of the \
         distribution functions, the total variation, or of embeddings the root of half of the squared \
         maximum mean discrepancy), psi, and with a fixed test what that came to.",
    ),
    Series::plain(
        P_VALUE,
        SeriesKind::Gauge,
        &["model", "version", "feature"],
        "How likely such a difference is without drift.",
    ),
    Series::plain(
        THRESHOLD,
        SeriesKind::Gauge,
        &["model", "version", "method"],
        "What the last window was held against: the level that its features share (level), or the \
         fixed threshold of a statistic.",
    ),
    Series::plain(
        MISSING,
        SeriesKind::Gauge,
        &["model", "version", "feature"],
        "Share of the last window's rows without a usable value.",
    ),
    Series::plain(SAMPLES, SeriesKind::Gauge, &["model", "version"], "Rows of the last window."),
    Series::plain(TIME, SeriesKind::Gauge, &["model", "version"], "When the last window ended."),
    Series::plain(
        ALARM,
        SeriesKind::Gauge,
        &["model", "version", "kind"],
        "1 if the last window was an alarm: drift, prediction_drift, embedding_drift, quality.",
    ),
    Series::plain(
        ALARMS,
        SeriesKind::Counter,
        &["model", "version", "kind"],
        "Windows that were alarms.",
    ),
    Series::plain(
        WINDOWS,
        SeriesKind::Counter,
        &["model", "version"],
        "Windows that are complete.",
    ),
    Series::plain(
        ROWS,
        SeriesKind::Counter,
        &["model", "version", "result"],
        "Rows of the log that a monitor has read: seen, or left_out since they failed, are replays, or are \
         logged by a rule alone.",
    ),
    Series::plain(
        UNSHOWN,
        SeriesKind::Gauge,
        &["model", "version"],
        "Features that are watched and have no series of their own.",
    ),
    Series::plain(
        FAILURES,
        SeriesKind::Counter,
        &["what"],
        "What monitors could not do: read (their state at the start), rows (of the log, left out), write \
         (their state: it goes on in memory), tell (triggers took none of their findings for many windows, and the \
         oldest are lost).",
    ),
];

/// Something went wrong. Seldom, so the handle is looked up.
pub(crate) fn failed(what: &'static str) {
    counter!(FAILURES, "what" => what).increment(1);
}

/// Handles of one version, held while it is loaded.
pub(crate) struct VersionMetrics {
    labels: Labels,
    seen: Counter,
    left_out: Counter,
    windows: Counter,
    samples: Gauge,
    time: Gauge,
    unshown: Gauge,
    thresholds: Vec<(String, Gauge)>,
    kinds: Vec<(FindingKind, (Gauge, Counter))>,
    features: Vec<Feature>,
}

/// Of one feature.
struct Feature {
    name: String,
    effect: Gauge,
    psi: Gauge,
    p: Gauge,
    missing: Gauge,
    /// What a fixed rule went by, each with its test: the one that fits changes with the values.
    scores: Vec<(String, Gauge)>,
}

impl VersionMetrics {
    pub(crate) fn new(model: &ModelName, version: Version) -> VersionMetrics {
        let labels = [("model", model.to_string()), ("version", version.to_string())];
        let rows = |result: &'static str| {
            let [(_, model), (_, version)] = labels.clone();
            counter!(ROWS, "model" => model, "version" => version, "result" => result)
        };
        VersionMetrics {
            seen: rows("seen"),
            left_out: rows("left_out"),
            windows: counter!(WINDOWS, &labels),
            samples: gauge!(SAMPLES, &labels),
            time: gauge!(TIME, &labels),
            unshown: gauge!(UNSHOWN, &labels),
            thresholds: Vec::new(),
            kinds: Vec::new(),
            features: Vec::new(),
            labels,
        }
    }

    pub(crate) fn rows(&self, seen: u64, left_out: u64) {
        self.seen.increment(seen);
        self.left_out.increment(left_out);
    }

    /// A window is complete.
    pub(crate) fn window(&mut self, last: &Readings) {
        self.windows.increment(1);
        self.show(last);
    }

    /// The last window, which may have been complete before this process began.
    #[expect(clippy::cast_precision_loss, reason = "gauges")]
    pub(crate) fn show(&mut self, last: &Readings) {
        self.samples.set(last.rows as f64);
        self.time.set(last.to_s);
        for (method, threshold) in last.thresholds() {
            self.threshold(method).set(threshold);
        }
        self.unshown.set(last.features.len().saturating_sub(FEATURES_SHOWN_MAX) as f64);
        for it in last.features.iter().take(FEATURES_SHOWN_MAX) {
            let labels = self.labels.clone();
            let feature = self.feature(it.column());
            let evidence = &it.evidence;
            feature.effect.set(evidence.effect.unwrap_or(f64::NAN));
            feature.psi.set(evidence.statistics.psi.unwrap_or(f64::NAN));
            feature.p.set(evidence.p.unwrap_or(f64::NAN));
            feature.missing.set(it.missing);
            feature.score(labels, it.score.as_ref().map(|it| (it.test.as_str(), it.value)));
        }
    }

    /// A window was an alarm of that kind, or was none.
    pub(crate) fn found(&mut self, kind: FindingKind, is_alarm: bool) {
        let (_, counter) = self.stands(kind, is_alarm);
        counter.increment(u64::from(is_alarm));
    }

    /// The last window was, or was none; it has been counted.
    pub(crate) fn stands(&mut self, kind: FindingKind, is_alarm: bool) -> &(Gauge, Counter) {
        let at = self.kinds.iter().position(|it| it.0 == kind).unwrap_or_else(|| {
            let [(_, model), (_, version)] = self.labels.clone();
            let labels =
                [("model", model), ("version", version), ("kind", kind.label().to_owned())];
            self.kinds.push((kind, (gauge!(ALARM, &labels), counter!(ALARMS, &labels))));
            self.kinds.len() - 1
        });
        let (_, handles) = &self.kinds[at];
        handles.0.set(f64::from(u8::from(is_alarm)));
        handles
    }

    fn threshold(&mut self, method: &str) -> &Gauge {
        let at = self.thresholds.iter().position(|it| it.0 == method).unwrap_or_else(|| {
            let [(_, model), (_, version)] = self.labels.clone();
            let labels = [("model", model), ("version", version), ("method", method.to_owned())];
            self.thresholds.push((method.to_owned(), gauge!(THRESHOLD, &labels)));
            self.thresholds.len() - 1
        });
        &self.thresholds[at].1
    }

    fn feature(&mut self, name: String) -> &mut Feature {
        let at = self.features.iter().position(|it| it.name == name).unwrap_or_else(|| {
            let [model, version] = self.labels.clone();
            let labels = [model, version, ("feature", name.clone())];
            let feature = Feature {
                effect: score(&self.labels, &name, "effect"),
                psi: score(&self.labels, &name, "psi"),
                p: gauge!(P_VALUE, &labels),
                missing: gauge!(MISSING, &labels),
                scores: Vec::new(),
                name,
            };
            self.features.push(feature);
            self.features.len() - 1
        });
        &mut self.features[at]
    }
}

type Labels = [(&'static str, String); 2];

fn score(labels: &Labels, feature: &str, method: &str) -> Gauge {
    let [model, version] = labels.clone();
    let labels = [model, version, ("feature", feature.to_owned()), ("method", method.to_owned())];
    gauge!(SCORE, &labels)
}

impl Feature {
    /// By that test, and by no other any more. The PSI is there anyway.
    fn score(&mut self, labels: Labels, judged: Option<(&str, Option<f64>)>) {
        let (test, value) = judged.unwrap_or_default();
        if !["", "psi"].contains(&test) && !self.scores.iter().any(|it| it.0 == test) {
            self.scores.push((test.to_owned(), score(&labels, &self.name, test)));
        }
        for (of, gauge) in &self.scores {
            let value = if of == test { value } else { None };
            gauge.set(value.unwrap_or(f64::NAN));
        }
    }
}
