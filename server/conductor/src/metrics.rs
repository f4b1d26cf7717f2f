//! The series of rollouts.

use metrics::{counter, gauge};
use server_base::{ModelName, Series, SeriesKind};
use server_rollout::{Rollout, State, Verdict};

const STATE: &str = "salver_rollout_state";
const WEIGHT: &str = "salver_rollout_weight";
const DECISIONS: &str = "salver_rollout_decisions_total";
const EVIDENCE: &str = "salver_rollout_log_evidence";
const LEADS: &str = "salver_rollout_leads";
const REPLICAS: &str = "salver_rollout_replicas";
const DIFFERS: &str = "salver_rollout_digest_differs";
const FAILURES: &str = "salver_rollout_share_failures_total";

/// Everything this crate shows.
pub const SERIES: &[Series] = &[
    Series {
        name: STATE,
        kind: SeriesKind::Gauge,
        labels: &["model", "state"],
        help: "1 for the state a model's rollout is in, 0 for the others: running, held, promoted, \
               rolled_back.",
        buckets: &[],
    },
    Series {
        name: WEIGHT,
        kind: SeriesKind::Gauge,
        labels: &["model"],
        help: "The candidate's share of the model's requests, from 0 to 1.",
        buckets: &[],
    },
    Series {
        name: DECISIONS,
        kind: SeriesKind::Counter,
        labels: &["model", "verdict"],
        help: "Decisions of rollouts: advanced, promoted, rolled_back, inconclusive, held.",
        buckets: &[],
    },
    Series {
        name: EVIDENCE,
        kind: SeriesKind::Gauge,
        labels: &["model", "guard"],
        help: "ln of the e-value that the candidate is worse than allowed, by guard; it is rolled back \
               where that reaches ln of guards divided by alpha.",
        buckets: &[],
    },
    Series {
        name: LEADS,
        kind: SeriesKind::Gauge,
        labels: &["model"],
        help: "1 where this replica decides about the model's rollout, 0 where another does.",
        buckets: &[],
    },
    Series {
        name: REPLICAS,
        kind: SeriesKind::Gauge,
        labels: &[],
        help: "Replicas that share rollouts and were heard of lately, this one included.",
        buckets: &[],
    },
    Series {
        name: DIFFERS,
        kind: SeriesKind::Gauge,
        labels: &["model"],
        help: "Replicas that have other bytes than the leader of a version of the model's rollout.",
        buckets: &[],
    },
    Series {
        name: FAILURES,
        kind: SeriesKind::Counter,
        labels: &[],
        help: "Turns in which what replicas share could not be read or written, or not all of it.",
        buckets: &[],
    },
];

/// Where a rollout stands.
pub(crate) fn stands(model: &ModelName, rollout: &Rollout) {
    let now = match rollout.state() {
        State::Running { .. } => "running",
        State::Held { .. } => "held",
        State::Promoted { .. } => "promoted",
        State::RolledBack => "rolled_back",
    };
    for state in ["running", "held", "promoted", "rolled_back"] {
        let is = if state == now { 1.0 } else { 0.0 };
        gauge!(STATE, "model" => model.shared(), "state" => state).set(is);
    }
    gauge!(WEIGHT, "model" => model.shared()).set(rollout.weight().share());
    for finding in rollout.findings() {
        if finding.question == server_rollout::Question::Worse {
            gauge!(EVIDENCE, "model" => model.shared(), "guard" => finding.guard.to_string())
                .set(finding.log_e);
        }
    }
}

/// Something was decided.
pub(crate) fn decided(model: &ModelName, verdict: Verdict) {
    let verdict = match verdict {
        Verdict::Advanced => "advanced",
        Verdict::Promoted => "promoted",
        Verdict::RolledBack => "rolled_back",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Held => "held",
    };
    counter!(DECISIONS, "model" => model.shared(), "verdict" => verdict).increment(1);
}

/// Who decides.
pub(crate) fn leads(model: &ModelName, leads: bool) {
    gauge!(LEADS, "model" => model.shared()).set(if leads { 1.0 } else { 0.0 });
}

/// How many there are.
pub(crate) fn replicas(living: usize) {
    gauge!(REPLICAS).set(living as f64);
}

/// How many have other bytes than who leads.
pub(crate) fn differ(model: &ModelName, replicas: usize) {
    gauge!(DIFFERS, "model" => model.shared()).set(replicas as f64);
}

/// The others were out of reach.
pub(crate) fn share_failed() {
    counter!(FAILURES).increment(1);
}
