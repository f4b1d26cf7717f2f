//! The series of regions.

use metrics::{counter, gauge};
use server_base::{Series, SeriesKind};

use crate::error::RegionError;

const REGIONS: &str = "salver_client_memory_regions";
const BYTES: &str = "salver_client_memory_bytes";
const REFUSED: &str = "salver_client_memory_refused_total";

/// Everything this crate shows.
pub const SERIES: &[Series] = &[
    Series {
        name: REGIONS,
        kind: SeriesKind::Gauge,
        labels: &["kind"],
        help: "Regions of memory that clients have registered: system, cuda. This and what follows only with --allow-client-shm.",
        buckets: &[],
    },
    Series {
        name: BYTES,
        kind: SeriesKind::Gauge,
        labels: &["kind"],
        help: "Memory that these regions keep from being given back.",
        buckets: &[],
    },
    Series {
        name: REFUSED,
        kind: SeriesKind::Counter,
        labels: &["reason"],
        help: "Registrations and uses of clients' memory that were refused: unknown, exists, name, key, object (not there, or not allowed), size, full, no_gpu, busy (its driver), outside (of the region), shrunk (the object), too_small (for an output), failed.",
        buckets: &[],
    },
];

/// How many there are of a kind, and what they hold.
pub(crate) fn show(kind: &'static str, regions: usize, bytes: u64) {
    gauge!(REGIONS, "kind" => kind).set(regions as f64);
    gauge!(BYTES, "kind" => kind).set(bytes as f64);
}

/// Counts it, on its way to the caller.
pub(crate) fn refused(error: RegionError) -> RegionError {
    counter!(REFUSED, "reason" => error.reason()).increment(1);
    error
}
