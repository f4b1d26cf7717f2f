//! How a metric series is declared.

/// Type of a series, as Prometheus knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// One series: each crate lists its own in its `metrics.rs`, and `/metrics` shows no other.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// Full name, with unit.
    pub name: &'static str,
    /// Its type.
    pub kind: SeriesKind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts, in one sentence.
    pub help: &'static str,
    /// Upper bounds of a histogram's buckets; empty for the others.
    pub buckets: &'static [f64],
}

impl Series {
    /// One without buckets.
    pub const fn plain(
        name: &'static str,
        kind: SeriesKind,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Series {
        Series { name, kind, labels, help, buckets: &[] }
    }
}

/// Buckets for latencies in seconds: a superset of OpenTelemetry's, because models answer in
/// microseconds as well as in minutes.
pub const LATENCY_BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75,
    1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0,
];
