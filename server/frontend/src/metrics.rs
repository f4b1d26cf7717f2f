//! The series of the frontend: connections, and calls as the protocols' own conventions name them.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use server_base::{LATENCY_BUCKETS, Series, SeriesKind};

use crate::activity::Overdue;

const CONNECTIONS: &str = "salver_connections";
const ACCEPTED: &str = "salver_connections_accepted_total";
const CLOSED: &str = "salver_connections_closed_total";
const HTTP: &str = "http_server_request_duration_seconds";
const RPC: &str = "rpc_server_call_duration_seconds";

/// Everything this crate shows.
pub const SERIES: &[Series] = &[
    Series {
        name: CONNECTIONS,
        kind: SeriesKind::Gauge,
        labels: &["listener"],
        help: "Open connections.",
        buckets: &[],
    },
    Series {
        name: ACCEPTED,
        kind: SeriesKind::Counter,
        labels: &["listener"],
        help: "Connections that were accepted.",
        buckets: &[],
    },
    Series {
        name: CLOSED,
        kind: SeriesKind::Counter,
        labels: &["listener", "reason"],
        help: "Connections that the server closed because the peer was overdue: first_byte, header, idle.",
        buckets: &[],
    },
    Series {
        name: HTTP,
        kind: SeriesKind::Histogram,
        labels: &["http_route", "http_response_status_code"],
        help: "Time from a request's header to its answer's first byte.",
        buckets: LATENCY_BUCKETS,
    },
    Series {
        name: RPC,
        kind: SeriesKind::Histogram,
        labels: &["rpc_method"],
        help: "Time from a call's header to its answer's first byte.",
        buckets: LATENCY_BUCKETS,
    },
];

/// Connections of one listener.
pub(crate) struct ConnectionMetrics {
    listener: &'static str,
    open: Gauge,
    accepted: Counter,
}

impl ConnectionMetrics {
    pub(crate) fn new(listener: &'static str) -> ConnectionMetrics {
        ConnectionMetrics {
            listener,
            open: gauge!(CONNECTIONS, "listener" => listener),
            accepted: counter!(ACCEPTED, "listener" => listener),
        }
    }

    pub(crate) fn listener(&self) -> &'static str {
        self.listener
    }

    /// One more, until [`OpenConnection::closed`].
    pub(crate) fn open(&self) -> OpenConnection {
        self.accepted.increment(1);
        self.open.increment(1.0);
        OpenConnection { listener: self.listener, open: self.open.clone() }
    }
}

/// A connection that is being counted.
pub(crate) struct OpenConnection {
    listener: &'static str,
    open: Gauge,
}

impl OpenConnection {
    /// It is over; by our hand if something was overdue.
    pub(crate) fn closed(self, overdue: Option<Overdue>) {
        if let Some(overdue) = overdue {
            counter!(CLOSED, "listener" => self.listener, "reason" => overdue.label()).increment(1);
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

/// Histograms by a number that the caller gives each route, and by status: found once, then kept.
pub(crate) struct Durations<const ROUTES: usize> {
    cells: [[OnceLock<Histogram>; STATUSES]; ROUTES],
}

/// The statuses that the frontend answers with; anything else shares the last place.
const STATUS_CODES: [u16; STATUSES - 1] =
    [200, 400, 403, 404, 405, 408, 413, 415, 500, 501, 503, 504];
const STATUSES: usize = 13;

impl<const ROUTES: usize> Durations<ROUTES> {
    pub(crate) fn new() -> Durations<ROUTES> {
        Durations { cells: std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new())) }
    }

    /// One HTTP request.
    pub(crate) fn http(&self, (place, route): (usize, &'static str), status: u16, took: Duration) {
        let code = STATUS_CODES.iter().position(|it| *it == status).unwrap_or(STATUSES - 1);
        let make = || histogram!(HTTP, "http_route" => route, "http_response_status_code" => status.to_string());
        self.record(place, code, make, took);
    }

    /// One gRPC call.
    pub(crate) fn rpc(&self, (place, method): (usize, &'static str), took: Duration) {
        self.record(place, 0, || histogram!(RPC, "rpc_method" => method), took);
    }

    fn record(&self, place: usize, code: usize, make: impl FnOnce() -> Histogram, took: Duration) {
        if let Some(cell) = self.cells.get(place).and_then(|it| it.get(code)) {
            cell.get_or_init(make).record(took.as_secs_f64());
        }
    }
}
