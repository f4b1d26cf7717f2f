//! The series of a monitor that follows a log.

use metrics::{Counter, Gauge, counter, gauge};
use server_base::{ModelName, Series, SeriesKind, Version};
use server_truth::Seen;

use super::waiting::Came;

const OBJECTS: &str = "salver_fleet_objects_total";
const MESSAGES: &str = "salver_fleet_messages_total";
const ROWS: &str = "salver_fleet_rows_total";
const WAITING: &str = "salver_fleet_rows_waiting";
const BYTES: &str = "salver_fleet_waiting_bytes";
const WATERMARK: &str = "salver_fleet_watermark_timestamp_seconds";
const HURRIED: &str = "salver_fleet_hurried_total";
const ROUND: &str = "salver_fleet_round_timestamp_seconds";
const TRUTH_MESSAGES: &str = "salver_fleet_truth_messages_total";
const TRUTH_ROWS: &str = "salver_fleet_truth_rows_total";
const JUDGED: &str = "salver_fleet_truth_watermark_timestamp_seconds";
const FAILURES: &str = "salver_fleet_failures_total";

/// Everything that `salver monitor` shows beside the monitors' own.
pub const SERIES: &[Series] = &[
    Series::plain(
        OBJECTS,
        SeriesKind::Counter,
        &["result"],
        "`salver monitor`: files of the log: read, unreadable, too_large, gone (before they were \
         read), failed (they could not be had, several times).",
    ),
    Series::plain(
        MESSAGES,
        SeriesKind::Counter,
        &["result"],
        "`salver monitor`: messages of a log in Kafka: read, other (of a version or a time that is not watched), \
         foreign (no row of the log), unreadable, too_large, lost (taken away by the brokers before they were \
         read, or before a process that was killed had counted all in them).",
    ),
    Series::plain(
        ROWS,
        SeriesKind::Counter,
        &["model", "version", "result"],
        "`salver monitor`: rows of the log: counted, late (their window may be over: left out, and a row \
         that was counted and is shown once more among them), ahead (of a time that cannot be yet: left out), \
         duplicate (left out).",
    ),
    Series::plain(
        WAITING,
        SeriesKind::Gauge,
        &["model", "version"],
        "`salver monitor`: rows that wait for those that belong before them.",
    ),
    Series::plain(BYTES, SeriesKind::Gauge, &[], "`salver monitor`: memory of all rows that wait."),
    Series::plain(
        WATERMARK,
        SeriesKind::Gauge,
        &["model", "version"],
        "`salver monitor`: up to which time of requests rows have been counted.",
    ),
    Series::plain(
        HURRIED,
        SeriesKind::Counter,
        &["model", "version"],
        "`salver monitor`: how often rows were counted before their time, since too many waited.",
    ),
    Series::plain(
        TRUTH_MESSAGES,
        SeriesKind::Counter,
        &["what", "result"],
        "`salver monitor`: messages of predictions and labels in Kafka that were read to be joined: read, \
         other (of a model or a time that is not judged), foreign (no row of the log, no label), unreadable, \
         too_large, lost (taken away by the brokers before they were read, or before they were read once more for a \
         window that is not over).",
    ),
    Series::plain(
        TRUTH_ROWS,
        SeriesKind::Counter,
        &["model", "what", "result"],
        "`salver monitor`: predictions and labels of the log that were read to be joined: counted, repeated \
         (left out; of a label, that a later one is known, which may turn out to be too late), late (their \
         window has been judged: left out).",
    ),
    Series::plain(
        JUDGED,
        SeriesKind::Gauge,
        &[],
        "`salver monitor`: windows whose labels had their time by then have been judged.",
    ),
    Series::plain(
        ROUND,
        SeriesKind::Gauge,
        &[],
        "`salver monitor`: when all that was listed had been read, last.",
    ),
    Series::plain(
        FAILURES,
        SeriesKind::Counter,
        &["what"],
        "`salver monitor`: what failed: store (listing or fetching, or Kafka), settings (a model.toml, or a \
         repository), watch (a version cannot be held against its reference), rows, state (writing it \
         down), crowded (more files in the hours of a log than are remembered), clock (rows were counted, or windows \
         judged, up to a time that cannot be yet), tell (triggers took none of what was found for long, and the oldest \
         is lost), panic (an error of the program: start it anew).",
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

/// So many messages were dealt with.
pub(crate) fn messages(result: &'static str, count: u64) {
    counter!(MESSAGES, "result" => result).increment(count);
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

/// So many messages of what is joined were dealt with.
pub(crate) fn truth_messages(what: &'static str, result: &'static str, count: u64) {
    counter!(TRUTH_MESSAGES, "what" => what, "result" => result).increment(count);
}

/// Rows were read to be joined.
pub(crate) fn joined(model: &ModelName, what: &'static str, seen: Seen) {
    let Seen { counted, repeated, late } = seen;
    for (result, rows) in [("counted", counted), ("repeated", repeated), ("late", late)] {
        let labels = [
            ("model", model.to_string()),
            ("what", what.to_owned()),
            ("result", result.to_owned()),
        ];
        counter!(TRUTH_ROWS, &labels).increment(rows);
    }
}

/// Everything was judged up to then.
#[expect(clippy::cast_precision_loss, reason = "gauges")]
pub(crate) fn judged(clock_us: i64) {
    gauge!(JUDGED).set(clock_us as f64 / 1e6);
}

/// Handles of one version.
pub(crate) struct VersionMetrics {
    pub(crate) counted: Counter,
    late: Counter,
    pub(crate) ahead: Counter,
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
            ahead: rows("ahead"),
            duplicate: rows("duplicate"),
            hurried: counter!(HURRIED, &labels),
            waiting: gauge!(WAITING, &labels),
            watermark: gauge!(WATERMARK, &labels),
        }
    }

    /// Those came and were left out.
    pub(crate) fn left(&self, came: &Came) {
        self.late.increment(came.late);
        self.ahead.increment(came.ahead);
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges")]
    pub(crate) fn stands(&self, waiting: u64, watermark: i64) {
        self.waiting.set(waiting as f64);
        self.watermark.set(watermark as f64 / 1e6);
    }
}
