//! The series of the hot path. Handles are resolved once per version, never per request.
//!
//! Label values are closed enums, plus model and version, which the table bounds. What can be read
//! off at scrape time (depth of a lane, requests in flight) is not counted on the path at all.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use server_base::{Kind, LATENCY_BUCKETS, ModelName, Protocol, Series, SeriesKind, Version};

use crate::policy::Reason;
use crate::tally::Tally;

const REQUESTS: &str = "salver_requests_total";
const REQUEST_DURATION: &str = "salver_request_duration_seconds";
const STAGE_DURATION: &str = "salver_stage_duration_seconds";
const INFERENCES: &str = "salver_inferences_total";
const EXECUTIONS: &str = "salver_batch_executions_total";
const BATCH_SIZE: &str = "salver_batch_size";
const BATCH_ELEMENTS: &str = "salver_batch_elements_total";
const BATCH_PADDING: &str = "salver_batch_padding_elements_total";
const BATCH_CLOSED: &str = "salver_batch_closed_total";
const QUEUE_DEPTH: &str = "salver_queue_depth";
const QUEUE_CAPACITY: &str = "salver_queue_capacity";
const QUEUE_AGE: &str = "salver_queue_oldest_age_seconds";
const QUEUE_REJECTED: &str = "salver_queue_rejected_total";
const IN_FLIGHT: &str = "salver_inflight_requests";
pub(crate) const BUSY: &str = "salver_instance_busy_seconds_total";
const LOAD_WAIT: &str = "salver_load_wait_seconds";

const BATCH_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Everything this crate shows.
pub const SERIES: &[Series] = &[
    Series {
        name: REQUESTS,
        kind: SeriesKind::Counter,
        labels: &["model", "version", "protocol", "code"],
        help: "Requests that came to an end, by how they ended (names of gRPC codes).",
        buckets: &[],
    },
    Series {
        name: REQUEST_DURATION,
        kind: SeriesKind::Histogram,
        labels: &["model", "version", "protocol"],
        help: "Time from the first byte of a request to its encoded answer.",
        buckets: LATENCY_BUCKETS,
    },
    Series {
        name: STAGE_DURATION,
        kind: SeriesKind::Histogram,
        labels: &["model", "version", "stage"],
        help: "Where the time goes: decode, queue and encode for each request; schedule (the \
               wait for a core, on threads), compute_input, compute_infer and compute_output \
               for each batch.",
        buckets: LATENCY_BUCKETS,
    },
    Series {
        name: INFERENCES,
        kind: SeriesKind::Counter,
        labels: &["model", "version"],
        help: "Rows that were answered.",
        buckets: &[],
    },
    Series {
        name: EXECUTIONS,
        kind: SeriesKind::Counter,
        labels: &["model", "version"],
        help: "Runs of the model; rows divided by runs is the mean batch.",
        buckets: &[],
    },
    Series {
        name: BATCH_SIZE,
        kind: SeriesKind::Histogram,
        labels: &["model", "version"],
        help: "Rows of each run.",
        buckets: BATCH_BUCKETS,
    },
    Series {
        name: BATCH_ELEMENTS,
        kind: SeriesKind::Counter,
        labels: &["model", "version"],
        help: "Elements that ran, padding included: rows times the tokens or pixels of a row, where \
               their number varies.",
        buckets: &[],
    },
    Series {
        name: BATCH_PADDING,
        kind: SeriesKind::Counter,
        labels: &["model", "version"],
        help: "How many of them were padding.",
        buckets: &[],
    },
    Series {
        name: BATCH_CLOSED,
        kind: SeriesKind::Counter,
        labels: &["model", "version", "reason"],
        help: "Batches by why they were no larger: full (rows), elements, cost (more would not pay or \
               take too long), shape (what else waited was of another), idle (nothing else waited), \
               delay, deadline, drain.",
        buckets: &[],
    },
    Series {
        name: QUEUE_DEPTH,
        kind: SeriesKind::Gauge,
        labels: &["model", "version"],
        help: "Requests that wait for an instance.",
        buckets: &[],
    },
    Series {
        name: QUEUE_CAPACITY,
        kind: SeriesKind::Gauge,
        labels: &["model", "version"],
        help: "Requests that may wait.",
        buckets: &[],
    },
    Series {
        name: QUEUE_AGE,
        kind: SeriesKind::Gauge,
        labels: &["model", "version"],
        help: "How long the oldest waiting request has waited.",
        buckets: &[],
    },
    Series {
        name: QUEUE_REJECTED,
        kind: SeriesKind::Counter,
        labels: &["model", "version", "reason"],
        help: "Requests that were refused or dropped unrun: full, late, patience, \
               deadline, cancelled.",
        buckets: &[],
    },
    Series {
        name: IN_FLIGHT,
        kind: SeriesKind::Gauge,
        labels: &["model", "version"],
        help: "Requests between admission and answer.",
        buckets: &[],
    },
    Series {
        name: BUSY,
        kind: SeriesKind::Counter,
        labels: &["model", "version", "instance", "device"],
        help: "Whole seconds an instance has spent on batches.",
        buckets: &[],
    },
    Series {
        name: LOAD_WAIT,
        kind: SeriesKind::Histogram,
        labels: &["result"],
        help: "How long requests waited for a model to be loaded on demand, by how that ended: \
               loaded, refused, expired, cancelled.",
        buckets: LATENCY_BUCKETS,
    },
];

/// Label values for requests that named no model of ours: one series, however many names.
const UNKNOWN: &str = "_unknown";

/// Handles for what is counted at the end of a request. Each is made when it is first needed: most
/// codes never are, and nothing but errors ends without a version.
pub struct RequestMetrics {
    model: Arc<str>,
    version: String,
    /// By protocol, then by code.
    done: [[OnceLock<Counter>; Kind::ALL.len() + 1]; Protocol::ALL.len()],
    /// By protocol.
    duration: [OnceLock<Histogram>; Protocol::ALL.len()],
    decode: OnceLock<Histogram>,
    encode: OnceLock<Histogram>,
    tally: Tally,
}

impl RequestMetrics {
    fn new(model: Arc<str>, version: String) -> RequestMetrics {
        RequestMetrics {
            model,
            version,
            done: Default::default(),
            duration: Default::default(),
            decode: OnceLock::new(),
            encode: OnceLock::new(),
            tally: Tally::default(),
        }
    }

    /// For requests that reached no model.
    pub(crate) fn unknown() -> RequestMetrics {
        RequestMetrics::new(UNKNOWN.into(), String::new())
    }

    /// For requests that reached a model, but no version of it.
    pub fn of_model(model: &ModelName) -> RequestMetrics {
        RequestMetrics::new(model.shared(), String::new())
    }

    /// The model refused what the door had let in: see [`Tally::refused`].
    pub(crate) fn refused(&self) {
        self.tally.refused();
    }

    /// The one place where the end of a request is counted. `None` is success.
    pub(crate) fn done(&self, protocol: Protocol, failure: Option<Kind>, took: Duration) {
        self.tally.done(failure, took);
        let place = failure.map_or(Kind::ALL.len(), |it| it as usize);
        let code = failure.map_or("OK", Kind::label);
        if let Some(cell) = self.done.get(protocol as usize).and_then(|it| it.get(place)) {
            let make = || {
                counter!(REQUESTS, "model" => Arc::clone(&self.model), "version" => self.version.clone(),
                    "protocol" => protocol.label(), "code" => code)
            };
            cell.get_or_init(make).increment(1);
        }
        if let Some(cell) = self.duration.get(protocol as usize) {
            let make = || {
                histogram!(REQUEST_DURATION, "model" => Arc::clone(&self.model),
                    "version" => self.version.clone(), "protocol" => protocol.label())
            };
            cell.get_or_init(make).record(took.as_secs_f64());
        }
    }

    /// What comparisons of versions look at.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(crate) fn decoded(&self, took: Duration) {
        self.decode.get_or_init(|| self.stage("decode")).record(took.as_secs_f64());
    }

    pub(crate) fn encoded(&self, took: Duration) {
        self.encode.get_or_init(|| self.stage("encode")).record(took.as_secs_f64());
    }

    fn stage(&self, stage: &'static str) -> Histogram {
        histogram!(STAGE_DURATION, "model" => Arc::clone(&self.model), "version" => self.version.clone(),
            "stage" => stage)
    }
}

/// Handles of one version.
pub struct VersionMetrics {
    pub(crate) requests: Arc<RequestMetrics>,
    queue: Histogram,
    schedule: Histogram,
    compute_input: Histogram,
    compute_infer: Histogram,
    compute_output: Histogram,
    inferences: Counter,
    executions: Counter,
    batch_size: Histogram,
    elements: Counter,
    padding: Counter,
    closed: [Counter; Reason::ALL.len()],
    full: Counter,
    late: Counter,
    patience: Counter,
    deadline: Counter,
    cancelled: Counter,
    depth: Gauge,
    capacity: Gauge,
    age: Gauge,
    in_flight: Gauge,
}

impl VersionMetrics {
    pub(crate) fn new(model: &ModelName, version: Version) -> VersionMetrics {
        let (model, version) = (model.shared(), version.to_string());
        let labels = [("model", model.to_string()), ("version", version.clone())];
        let stage = |stage: &'static str| histogram!(STAGE_DURATION, "model" => Arc::clone(&model), "version" => version.clone(), "stage" => stage);
        let rejected = |reason: &'static str| counter!(QUEUE_REJECTED, "model" => Arc::clone(&model), "version" => version.clone(), "reason" => reason);
        VersionMetrics {
            queue: stage("queue"),
            schedule: stage("schedule"),
            compute_input: stage("compute_input"),
            compute_infer: stage("compute_infer"),
            compute_output: stage("compute_output"),
            inferences: counter!(INFERENCES, &labels),
            executions: counter!(EXECUTIONS, &labels),
            batch_size: histogram!(BATCH_SIZE, &labels),
            elements: counter!(BATCH_ELEMENTS, &labels),
            padding: counter!(BATCH_PADDING, &labels),
            closed: Reason::ALL.map(|it| {
                counter!(BATCH_CLOSED, "model" => Arc::clone(&model), "version" => version.clone(), "reason" => it.label())
            }),
            full: rejected("full"),
            late: rejected("late"),
            patience: rejected("patience"),
            deadline: rejected("deadline"),
            cancelled: rejected("cancelled"),
            depth: gauge!(QUEUE_DEPTH, &labels),
            capacity: gauge!(QUEUE_CAPACITY, &labels),
            age: gauge!(QUEUE_AGE, &labels),
            in_flight: gauge!(IN_FLIGHT, &labels),
            requests: Arc::new(RequestMetrics::new(model, version)),
        }
    }

    pub(crate) fn queue_refused(&self) {
        self.full.increment(1);
    }

    pub(crate) fn queue_refused_late(&self) {
        self.late.increment(1);
    }

    pub(crate) fn queue_refused_long(&self) {
        self.patience.increment(1);
    }

    pub(crate) fn queue_left_expired(&self) {
        self.deadline.increment(1);
    }

    pub(crate) fn queue_left_cancelled(&self) {
        self.cancelled.increment(1);
    }

    pub(crate) fn queued(&self, waited: Duration) {
        self.queue.record(waited.as_secs_f64());
    }

    /// A batch on a thread had to wait so long for the scheduler.
    pub(crate) fn scheduled(&self, waited: Duration) {
        self.schedule.record(waited.as_secs_f64());
    }

    pub(crate) fn closed(&self, reason: Reason) {
        if let Some(counter) = self.closed.get(reason as usize) {
            counter.increment(1);
        }
    }

    /// One run of the model, successful or not.
    pub(crate) fn ran(&self, rows: usize) {
        self.executions.increment(1);
        self.batch_size.record(rows as f64);
    }

    /// Of one successful run.
    pub(crate) fn elements(&self, all: usize, padding: usize) {
        self.elements.increment(all as u64);
        self.padding.increment(padding as u64);
    }

    /// One successful run.
    pub(crate) fn answered(&self, timing: &server_base::Timing) {
        self.inferences.increment(timing.batch_rows as u64);
        self.compute_input.record(timing.compute_input.as_secs_f64());
        self.compute_infer.record(timing.compute_infer.as_secs_f64());
        self.compute_output.record(timing.compute_output.as_secs_f64());
    }

    /// Called at scrape time.
    pub(crate) fn observe(&self, lane: LaneView) {
        self.depth.set(lane.depth as f64);
        self.capacity.set(lane.capacity as f64);
        self.age.set(lane.oldest.as_secs_f64());
        self.in_flight.set(lane.in_flight as f64);
    }
}

/// How a request's wait for a load ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitEnd {
    Loaded,
    Refused,
    Expired,
    Cancelled,
}

/// A request has waited for a load. Rare, so the handle is looked up.
pub(crate) fn waited(end: WaitEnd, took: Duration) {
    let result = match end {
        WaitEnd::Loaded => "loaded",
        WaitEnd::Refused => "refused",
        WaitEnd::Expired => "expired",
        WaitEnd::Cancelled => "cancelled",
    };
    histogram!(LOAD_WAIT, "result" => result).record(took.as_secs_f64());
}

/// What a scrape reads off a version.
pub(crate) struct LaneView {
    pub(crate) depth: usize,
    pub(crate) capacity: usize,
    pub(crate) oldest: Duration,
    pub(crate) in_flight: usize,
}
