//! The series of the control plane.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use server_base::{ModelName, Series, SeriesKind, Version};

use server_proof::Rule;

use crate::eviction::Cause;
use crate::state::State;

const MODEL_STATE: &str = "salver_model_state";
const LOADS: &str = "salver_model_loads_total";
const LOAD_DURATION: &str = "salver_model_load_duration_seconds";
const SWITCHES: &str = "salver_version_switches_total";
const LOADS_BEGUN: &str = "salver_loads_begun_total";
const EVICTIONS: &str = "salver_evictions_total";
const MODELS: &str = "salver_models";
const MODEL_WARM: &str = "salver_model_warm";
const MODEL_MEMORY: &str = "salver_model_memory_bytes";
const MEMORY_TAKEN: &str = "salver_models_memory_bytes";
const MEMORY_MAX: &str = "salver_models_memory_max_bytes";
const UNTOLD: &str = "salver_audit_lost_total";
const DEVICE_LOSSES: &str = "salver_device_losses_total";
const REFUSALS: &str = "salver_model_refusals_total";
const SCAN_FAULTS: &str = "salver_repository_scan_faults";

/// Everything this crate shows.
pub const SERIES: &[Series] = &[
    Series {
        name: MODEL_STATE,
        kind: SeriesKind::Gauge,
        labels: &["model", "version", "state"],
        help: "1 for the state a version is in, 0 for the others; of two revisions in memory the one \
               that answers counts.",
        buckets: &[],
    },
    Series {
        name: LOADS,
        kind: SeriesKind::Counter,
        labels: &["model", "version", "result"],
        help: "Loads that came to an end: success or failure.",
        buckets: &[],
    },
    Series {
        name: REFUSALS,
        kind: SeriesKind::Counter,
        labels: &["model", "reason"],
        help: "Versions that were not served for what they had to prove: flavor, signature, changed_signature, example, \
               golden, replay, latency.",
        buckets: &[],
    },
    Series {
        name: DEVICE_LOSSES,
        kind: SeriesKind::Counter,
        labels: &["model", "device"],
        help: "Loaded versions whose device has failed, so that they were unloaded and are tried again.",
        buckets: &[],
    },
    Series {
        name: LOAD_DURATION,
        kind: SeriesKind::Histogram,
        labels: &["model", "version"],
        help: "Time from the start of a load until the version is ready, warm-up included.",
        buckets: &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0],
    },
    Series {
        name: SWITCHES,
        kind: SeriesKind::Counter,
        labels: &["model", "reason"],
        help: "Changes of the version that answers requests without a version: promote, rollback.",
        buckets: &[],
    },
    Series {
        name: LOADS_BEGUN,
        kind: SeriesKind::Counter,
        labels: &["cause"],
        help: "Loads of versions that were begun: repository, command, request, retry.",
        buckets: &[],
    },
    Series {
        name: EVICTIONS,
        kind: SeriesKind::Counter,
        labels: &["cause"],
        help: "Models that were unloaded by the server itself: count (others needed the \
               place), memory (others needed it), idle; and versions that were kept for a roll-back: \
               warm (others needed their memory, or a load of their model failed for what may be a \
               lack of it).",
        buckets: &[],
    },
    Series {
        name: MODELS,
        kind: SeriesKind::Gauge,
        labels: &["state"],
        help: "Models of the repository: loaded (something of it answers), registered (loaded on \
               demand, and not now), other (loading, failed, unloaded).",
        buckets: &[],
    },
    Series {
        name: MODEL_WARM,
        kind: SeriesKind::Gauge,
        labels: &["model", "version"],
        help: "1 for a version that was replaced and stays loaded for a roll-back (rollback_window_s \
               of its model.toml), 0 for others.",
        buckets: &[],
    },
    Series {
        name: MODEL_MEMORY,
        kind: SeriesKind::Gauge,
        labels: &["model", "version"],
        help: "Memory that a version in memory takes: what the process grew by when it was loaded, if \
               that could be measured, else an estimate from its size on disk.",
        buckets: &[],
    },
    Series {
        name: MEMORY_TAKEN,
        kind: SeriesKind::Gauge,
        labels: &[],
        help: "The same of all models together, as of the last look; only under --model-memory-max or \
               --loaded-models-max.",
        buckets: &[],
    },
    Series {
        name: MEMORY_MAX,
        kind: SeriesKind::Gauge,
        labels: &[],
        help: "What models may take together: --model-memory-max; 0: no limit.",
        buckets: &[],
    },
    Series {
        name: UNTOLD,
        kind: SeriesKind::Counter,
        labels: &[],
        help: "Lines of the audit log that were not written because the disk was too slow for them.",
        buckets: &[],
    },
    Series {
        name: SCAN_FAULTS,
        kind: SeriesKind::Gauge,
        labels: &[],
        help: "Folders of the repository that the last scan could not read.",
        buckets: &[],
    },
];

/// Handles of one artifact's series. They live as long as it is remembered.
pub(crate) struct ArtifactMetrics {
    succeeded: Counter,
    failed: Counter,
    duration: Histogram,
}

impl ArtifactMetrics {
    pub(crate) fn new(model: &ModelName, version: Version) -> ArtifactMetrics {
        let version = version.to_string();
        let loads = |result: &'static str| counter!(LOADS, "model" => model.shared(), "version" => version.clone(), "result" => result);
        ArtifactMetrics {
            succeeded: loads("success"),
            failed: loads("failure"),
            duration: histogram!(LOAD_DURATION, "model" => model.shared(), "version" => version.clone()),
        }
    }

    /// A load is over; the time is that of a success.
    pub(crate) fn loaded(&self, took: Option<Duration>) {
        match took {
            Some(took) => {
                self.succeeded.increment(1);
                self.duration.record(took.as_secs_f64());
            }
            None => self.failed.increment(1),
        }
    }
}

/// Handles of one version's states. One for all its revisions, which share the series.
pub(crate) struct StateMetrics {
    states: [Gauge; State::NAMES.len()],
    warm: Gauge,
    memory: Gauge,
}

impl StateMetrics {
    pub(crate) fn new(model: &ModelName, version: Version) -> StateMetrics {
        let version = version.to_string();
        let states = State::NAMES.map(|it| {
            gauge!(MODEL_STATE, "model" => model.shared(), "version" => version.clone(), "state" => it)
        });
        let warm = gauge!(MODEL_WARM, "model" => model.shared(), "version" => version.clone());
        let memory = gauge!(MODEL_MEMORY, "model" => model.shared(), "version" => version);
        StateMetrics { states, warm, memory }
    }

    /// Does it stay loaded though it was replaced?
    pub(crate) fn is_warm(&self, is_warm: bool) {
        self.warm.set(if is_warm { 1.0 } else { 0.0 });
    }

    /// It takes so much memory.
    pub(crate) fn takes(&self, bytes: u64) {
        self.memory.set(bytes as f64);
    }

    /// It is in this state and in no other.
    pub(crate) fn show(&self, state: &State) {
        for (name, gauge) in State::NAMES.iter().zip(&self.states) {
            gauge.set(if *name == state.name() { 1.0 } else { 0.0 });
        }
    }
}

/// Whether a version goes or its whole model: what is left to be seen is that it has ended.
impl Drop for StateMetrics {
    fn drop(&mut self) {
        self.show(&State::End { reason: None });
        self.is_warm(false);
        self.takes(0);
    }
}

/// Why a load is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoadCause {
    /// It is there.
    Repository,
    /// An operator asked for it.
    Command,
    /// A request asked for it.
    Request,
    /// It failed, and that may have passed.
    Retry,
}

/// A load is begun. Rare, as all below, so the handle is looked up.
pub(crate) fn load_begun(cause: LoadCause) {
    let cause = match cause {
        LoadCause::Repository => "repository",
        LoadCause::Command => "command",
        LoadCause::Request => "request",
        LoadCause::Retry => "retry",
    };
    counter!(LOADS_BEGUN, "cause" => cause).increment(1);
}

/// Nobody could be told in time.
pub(crate) fn untold() {
    counter!(UNTOLD).increment(1);
}

/// A version did not prove itself.
pub(crate) fn refused(model: &ModelName, rule: Rule) {
    counter!(REFUSALS, "model" => model.shared(), "reason" => rule.label()).increment(1);
}

/// The device of a loaded version has failed.
pub(crate) fn device_lost(model: &ModelName, device: String) {
    counter!(DEVICE_LOSSES, "model" => model.shared(), "device" => device).increment(1);
}

/// A model is unloaded.
pub(crate) fn evicted(cause: Cause) {
    counter!(EVICTIONS, "cause" => cause.label()).increment(1);
}

/// A version that was kept for a roll-back goes before its time.
pub(crate) fn cooled() {
    counter!(EVICTIONS, "cause" => "warm").increment(1);
}

/// What models take together.
pub(crate) fn memory_taken(bytes: u64) {
    gauge!(MEMORY_TAKEN).set(bytes as f64);
}

/// What they may take.
pub(crate) fn memory_max(bytes: u64) {
    gauge!(MEMORY_MAX).set(bytes as f64);
}

/// How many models are how.
pub(crate) fn models(loaded: usize, registered: usize, all: usize) {
    let show =
        |state: &'static str, count: usize| gauge!(MODELS, "state" => state).set(count as f64);
    show("loaded", loaded);
    show("registered", registered);
    show("other", all.saturating_sub(loaded + registered));
}

/// Another version answers from now on.
pub(crate) fn switched(model: &ModelName, from: Version, to: Version) {
    let reason = if to > from { "promote" } else { "rollback" };
    counter!(SWITCHES, "model" => model.shared(), "reason" => reason).increment(1);
}

/// A scan is over.
pub(crate) fn scanned(faults: usize) {
    gauge!(SCAN_FAULTS).set(faults as f64);
}
