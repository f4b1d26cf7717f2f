//! Where a rollout stands.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::plan::Plan;
use crate::weight::Weight;

/// Where a candidate is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is read into memory.
    Loading,
    /// Its signature and its recorded answers are checked.
    Validating,
    /// It answers copies of requests; nobody sees its answers.
    Shadow,
    /// It answers a share of the requests.
    Canary {
        /// Which of the plan's splits, from 0.
        step: usize,
    },
}

impl Phase {
    /// What follows. `None`: the promotion.
    pub(crate) fn next(self, plan: &Plan) -> Option<Phase> {
        let canary = |step: usize| (step < plan.splits().len()).then_some(Phase::Canary { step });
        match self {
            Phase::Loading => Some(Phase::Validating),
            Phase::Validating if plan.shadow_rows > 0 => Some(Phase::Shadow),
            Phase::Validating | Phase::Shadow => canary(0),
            Phase::Canary { step } => canary(step.saturating_add(1)),
        }
    }

    /// The number that counts of this phase bear; 0 where nothing is counted. Counts that come
    /// late, from a replica that has not heard of a new split yet, bear an older one.
    pub fn stage(self) -> u32 {
        match self {
            Phase::Loading | Phase::Validating => 0,
            Phase::Shadow => 1,
            Phase::Canary { step } => u32::try_from(step).unwrap_or(u32::MAX).saturating_add(2),
        }
    }

    /// The candidate's share of the requests.
    pub fn weight(self, plan: &Plan) -> Weight {
        match self {
            Phase::Loading | Phase::Validating | Phase::Shadow => Weight::NONE,
            Phase::Canary { step } => plan.splits().get(step).copied().unwrap_or_default(),
        }
    }

    /// In words.
    pub(crate) fn words(self, plan: &Plan) -> String {
        match self {
            Phase::Loading => "loading".to_owned(),
            Phase::Validating => "validating".to_owned(),
            Phase::Shadow => "shadow".to_owned(),
            Phase::Canary { .. } => format!("canary at {}", self.weight(plan)),
        }
    }
}

/// Why a rollout rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Its time was over and nothing was proven: inconclusive.
    MaxDuration,
    /// The operator said so.
    Operator,
    /// Replicas have other bytes of the candidate.
    Differs,
}

/// Where a rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum State {
    /// On its way.
    Running {
        /// Where.
        phase: Phase,
    },
    /// Rests where it is, with the split that it has, until the operator says more. It is watched
    /// as before.
    Held {
        /// Where.
        phase: Phase,
        /// Why.
        why: Hold,
    },
    /// The candidate serves everything.
    Promoted {
        /// Until then the old version is ready, and a fault brings it back.
        warm_until: Moment,
    },
    /// The old version serves everything: the end.
    RolledBack,
}

impl State {
    /// In words.
    pub(crate) fn words(self, plan: &Plan) -> String {
        match self {
            State::Running { phase } => phase.words(plan),
            State::Held { phase, .. } => format!("held in {}", phase.words(plan)),
            State::Promoted { .. } => "promoted".to_owned(),
            State::RolledBack => "rolled back".to_owned(),
        }
    }
}

/// What needs no statistics: one is enough to roll back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "reason", rename_all = "snake_case")]
pub enum Fault {
    /// It cannot be loaded.
    LoadFailed(String),
    /// Its inputs or outputs are not those of the version that serves.
    SignatureChanged(String),
    /// A recorded answer is not what it answers.
    GoldenFailed(String),
    /// It answers with infinite or undefined numbers: so many answers.
    NonFinite(u64),
    /// A run of it panicked, or its process ended.
    Crashed(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::LoadFailed(reason) => write!(out, "it cannot be loaded: {reason}"),
            Fault::SignatureChanged(reason) => write!(out, "its signature is another: {reason}"),
            Fault::GoldenFailed(reason) => write!(out, "a recorded answer is another: {reason}"),
            Fault::NonFinite(answers) => {
                write!(out, "{answers} of its answers have an infinite or undefined number")
            }
            Fault::Crashed(reason) => write!(out, "it crashed: {reason}"),
        }
    }
}
