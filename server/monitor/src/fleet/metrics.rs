//! The series of a monitor that follows a log.

use metrics::{Counter, Gauge, counter, gauge};
use server_base::{ModelName, Series, SeriesKind, Version};

const OBJECTS: &str = "salver_fleet_objects_total";
const ROWS: &str = "salver_fleet_rows_total";
const WAITING: &str = "salver_fleet_rows_waiting";
const BYTES: &str = "salver_fleet_waiting_bytes";
const WATERMARK: &str = "salver_fleet_watermark_timestamp_seconds";
const HURRIED: &str = "salver_fleet_hurried_total";
const ROUND: &str = "salver_fleet_round_timestamp_seconds";
const FAILURES: &str = "salver_fleet_failures_total";

const fn series(
    name: &'static str,
    kind: SeriesKind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Series {
    Series { name, kind, labels, help, buckets: &[] }
}

/// Everything that `salver monitor` shows beside the monitors' own.
pub const SERIES: &[Series] = &[
    series(
        OBJECTS,
        SeriesKind::Counter,
        &["result"],
        "`salver monitor`: files of the log: read, unreadable, too_large, gone (before they were read).",
    ),
    series(
        ROWS,
        SeriesKind::Counter,
        &["model", "version", "result"],
        "`salver monitor`: rows of the log: counted, late (their window may be over: left out, and a row \
         that was counted and is shown once more among them), duplicate (left out).",
    ),
    series(
        WAITING,
        SeriesKind::Gauge,
        &["model", "version"],
        "`salver monitor`: rows that wait for those that belong before them.",
    ),
    series(BYTES, SeriesKind::Gauge, &[], "`salver monitor`: memory of all rows that wait."),
    series(
        WATERMARK,
        SeriesKind::Gauge,
        &["model", "version"],
        "`salver monitor`: up to which time of requests rows have been counted.",
    ),
    series(
        HURRIED,
        SeriesKind::Counter,
        &["model", "version"],
        "`salver monitor`: how often rows were counted before their time, since too many waited.",
    ),
    series(
        ROUND,
        SeriesKind::Gauge,
        &[],
        "`salver monitor`: when all that was listed had been read, last.",
    ),
    series(
        FAILURES,
        SeriesKind::Counter,
        &["what"],
        "`salver monitor`: what failed: store (listing or fetching), settings (a model.toml, or a \
         repository), watch (a version cannot be held against its reference), rows, state (writing it \
         down), crowded (more files in an hour than are listed).",
    ),
];

/// Something went wrong. Seldom, so the handle is looked up.
pub(crate) fn failed(what: &'static str) {
    counter!(FAILURES, "what" => what).increment(1);
}

/// A file was dealt with.
pub(crate) fn object(result: &'static str) {
    counter!(OBJECTS, "result" => result).increment(1);
}

/// Everything was read at that time, and so many bytes wait.
#[expect(clippy::cast_precision_loss, reason = "gauges")]
pub(crate) fn round(now_micros: i64) {
    gauge!(ROUND).set(now_micros as f64 / 1e6);
}

/// So much waits.
#[expect(clippy::cast_precision_loss, reason = "gauges")]
pub(crate) fn waiting(bytes: usize) {
    gauge!(BYTES).set(bytes as f64);
}

/// Handles of one version.
pub(crate) struct VersionMetrics {
    pub(crate) counted: Counter,
    pub(crate) late: Counter,
    pub(crate) duplicate: Counter,
    pub(crate) hurried: Counter,
    waiting: Gauge,
    watermark: Gauge,
}

impl VersionMetrics {
    pub(crate) fn new(model: &ModelName, version: Version) -> VersionMetrics {
        let labels = [("model", model.to_string()), ("version", version.to_string())];
        let rows = |result: &'static str| {
            let [(_, model), (_, version)] = labels.clone();
            counter!(ROWS, "model" => model, "version" => version, "result" => result)
        };
        VersionMetrics {
            counted: rows("counted"),
            late: rows("late"),
            duplicate: rows("duplicate"),
            hurried: counter!(HURRIED, &labels),
            waiting: gauge!(WAITING, &labels),
            watermark: gauge!(WATERMARK, &labels),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges")]
    pub(crate) fn stands(&self, waiting: u64, watermark: i64) {
        self.waiting.set(waiting as f64);
        self.watermark.set(watermark as f64 / 1e6);
    }
}
