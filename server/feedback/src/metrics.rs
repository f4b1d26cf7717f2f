//! The series of the prediction log.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge, histogram};
use server_base::{LATENCY_BUCKETS, ModelName, Series, SeriesKind, Unlogged, Version};

use crate::catalogue::Catalogue;
use crate::queue::Queue;

const OFFERED: &str = "salver_log_records_offered_total";
const WRITTEN: &str = "salver_log_records_written_total";
const DROPPED: &str = "salver_log_records_dropped_total";
const ROWS: &str = "salver_log_rows_written_total";
const QUEUE_RECORDS: &str = "salver_log_queue_records";
const QUEUE_BYTES: &str = "salver_log_queue_bytes";
const SYNC: &str = "salver_log_sync_duration_seconds";
const FAILURES: &str = "salver_log_disk_failures_total";
const DISK_BYTES: &str = "salver_log_disk_bytes";
const CUT: &str = "salver_log_cut_bytes_total";
const LAG: &str = "salver_log_sink_lag_bytes";
const DELIVERED: &str = "salver_log_sink_rows_total";
const SINK_FAILURES: &str = "salver_log_sink_failures_total";
const UNTOLD: &str = "salver_log_sink_untold_total";

/// Everything this crate shows.
pub const SERIES: &[Series] = &[
    Series::plain(
        OFFERED,
        SeriesKind::Counter,
        &["model", "version"],
        "Records that requests offered to the prediction log: a record is a request. Counted when they leave the queue, or are not let in.",
    ),
    Series::plain(
        WRITTEN,
        SeriesKind::Counter,
        &["model", "version"],
        "Records that are on the disk.",
    ),
    Series::plain(
        DROPPED,
        SeriesKind::Counter,
        &["model", "version", "reason"],
        "Records that were left out: queue (too many wait), disk_budget (sinks are behind), disk (it \
         failed), record (it cannot be a row), closed.",
    ),
    Series::plain(
        ROWS,
        SeriesKind::Counter,
        &["model", "version"],
        "Rows of the records that are on the disk.",
    ),
    Series::plain(QUEUE_RECORDS, SeriesKind::Gauge, &[], "Records that wait for the log's writer."),
    Series::plain(
        QUEUE_BYTES,
        SeriesKind::Gauge,
        &[],
        "What these and those being written take of the budget.",
    ),
    Series {
        name: SYNC,
        kind: SeriesKind::Histogram,
        labels: &["result"],
        help: "How long the disk took to say that a group of records is on it: ok, failed.",
        buckets: LATENCY_BUCKETS,
    },
    Series::plain(
        FAILURES,
        SeriesKind::Counter,
        &["what"],
        "Errors of the disk under the segments, by what failed: write, sync, rewrite, second sync.",
    ),
    Series::plain(DISK_BYTES, SeriesKind::Gauge, &[], "Bytes of the segments on the disk."),
    Series::plain(
        CUT,
        SeriesKind::Counter,
        &[],
        "Bytes at the ends of segments that were torn or damaged when the server started.",
    ),
    Series::plain(
        LAG,
        SeriesKind::Gauge,
        &["sink"],
        "Bytes that are on the disk and that a sink has not delivered for good.",
    ),
    Series::plain(
        DELIVERED,
        SeriesKind::Counter,
        &["sink"],
        "Rows that a sink has delivered for good, without those that are left out: they cannot be told in its form, or are too large for a receiver.",
    ),
    Series::plain(
        SINK_FAILURES,
        SeriesKind::Counter,
        &["sink"],
        "Errors of a sink; what it had taken comes again.",
    ),
    Series::plain(
        UNTOLD,
        SeriesKind::Counter,
        &["sink"],
        "Requests, answers, rows and labels that a sink cannot tell of in its form (hashed, cut, no numbers, too long), or that a receiver finds too large.",
    ),
];

/// Handles of one version.
pub(crate) struct VersionMetrics {
    model: Arc<str>,
    version: String,
    offered: Counter,
    written: Counter,
    rows: Counter,
}

impl VersionMetrics {
    pub(crate) fn new(model: &ModelName, version: Version) -> VersionMetrics {
        let (model, version) = (model.shared(), version.to_string());
        let labels = [("model", model.to_string()), ("version", version.clone())];
        let (offered, written) = (counter!(OFFERED, &labels), counter!(WRITTEN, &labels));
        VersionMetrics { offered, written, rows: counter!(ROWS, &labels), model, version }
    }

    /// So many have come out of the queue: no request waits for a counter.
    pub(crate) fn offered(&self, records: u64) {
        self.offered.increment(records);
    }

    /// One was not let in.
    pub(crate) fn refused(&self, why: Unlogged) {
        self.offered(1);
        self.dropped_many(why, 1);
    }

    pub(crate) fn written(&self, records: u64, rows: u64) {
        self.written.increment(records);
        self.rows.increment(rows);
    }

    /// Seldom, so the handle is looked up.
    pub(crate) fn dropped_many(&self, why: Unlogged, records: u64) {
        counter!(DROPPED, "model" => Arc::clone(&self.model), "version" => self.version.clone(),
            "reason" => why.label())
        .increment(records);
    }
}

/// Of the writer.
pub(crate) struct LogMetrics {
    queue_records: Gauge,
    queue_bytes: Gauge,
    disk_bytes: Gauge,
    lags: Vec<Gauge>,
}

impl LogMetrics {
    pub(crate) fn new(sinks: &[&'static str], cut: u64) -> LogMetrics {
        counter!(CUT).increment(cut);
        LogMetrics {
            queue_records: gauge!(QUEUE_RECORDS),
            queue_bytes: gauge!(QUEUE_BYTES),
            disk_bytes: gauge!(DISK_BYTES),
            lags: sinks.iter().map(|it| gauge!(LAG, "sink" => *it)).collect(),
        }
    }

    pub(crate) fn sinks(&self) -> usize {
        self.lags.len()
    }

    pub(crate) fn synced(&self, well: bool, took: Duration) {
        let result = if well { "ok" } else { "failed" };
        histogram!(SYNC, "result" => result).record(took.as_secs_f64());
    }

    pub(crate) fn disk_failed(&self, what: &str) {
        counter!(FAILURES, "what" => what.to_owned()).increment(1);
    }

    /// Called when metrics are scraped.
    pub(crate) fn observe(&self, queue: &Queue, catalogue: &Catalogue) {
        let (records, bytes) = queue.filled();
        self.queue_records.set(records as f64);
        self.queue_bytes.set(bytes as f64);
        self.disk_bytes.set(catalogue.size() as f64);
        for (place, gauge) in self.lags.iter().enumerate() {
            gauge.set(catalogue.lag(place) as f64);
        }
    }
}

/// Of one sink.
pub(crate) struct SinkMetrics {
    rows: Counter,
    failures: Counter,
}

impl SinkMetrics {
    pub(crate) fn new(sink: &'static str) -> SinkMetrics {
        let failures = counter!(SINK_FAILURES, "sink" => sink);
        SinkMetrics { rows: counter!(DELIVERED, "sink" => sink), failures }
    }

    pub(crate) fn delivered(&self, rows: u64) {
        self.rows.increment(rows);
    }

    pub(crate) fn failed(&self) {
        self.failures.increment(1);
    }

    pub(crate) fn lost(&self, bytes: u64) {
        counter!(CUT).increment(bytes);
    }
}

/// So many requests, answers, rows or labels cannot be told of, and will not be.
pub(crate) fn untold(sink: &'static str, events: usize) {
    if events > 0 {
        counter!(UNTOLD, "sink" => sink).increment(events as u64);
    }
}
