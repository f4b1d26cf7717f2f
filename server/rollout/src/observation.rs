//! What a driver sees and what it is told to do.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use server_base::Version;

use crate::counts::Counts;
use crate::moment::Moment;
use crate::record::Evidence;
use crate::state::Fault;
use crate::weight::Weight;

/// How far the candidate is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// On its way into memory.
    #[default]
    NotLoaded,
    /// In memory, nothing checked.
    Loaded,
    /// Its signature and its recorded answers are as they should be.
    Validated,
}

/// What a driver has seen. The same may be shown twice, and nothing is lost if one is never shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observation {
    /// How far the candidate is.
    pub readiness: Readiness,
    /// What is wrong with it, seen anywhere and at any stage.
    pub fault: Option<Fault>,
    /// The stage whose counts these are. Those of another than the present one are late, and only
    /// looked through for answers that are not finite.
    pub stage: u32,
    /// Everything counted since that stage began, of all replicas.
    pub counts: Counts,
    /// No more than one in a hundred of the stable version's answers took longer, lately. `None`
    /// while there have been too few to say.
    pub stable_p99: Option<Duration>,
    /// Which replicas have other bytes of the candidate, in words: what was counted is of two models then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differs: Option<String>,
}

/// What a driver has to do, in the order of the list.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Compare the signature, ask for the recorded answers.
    Validate,
    /// Copy this share of the requests to the candidate.
    SetShadow {
        /// The share; none: stop.
        share: Weight,
        /// Counts from here on begin at zero and bear this number.
        stage: u32,
    },
    /// Give the candidate this share of the requests.
    SetWeight {
        /// The share; the rest is the stable version's.
        canary: Weight,
        /// Counts from here on begin at zero and bear this number.
        stage: u32,
        /// An answer of either version that takes longer is slow. `None`: do not count.
        slow_above: Option<Duration>,
    },
    /// The candidate is the stable version now.
    Promote,
    /// The candidate is dropped.
    RollBack,
    /// Keep the old version loaded.
    KeepWarm {
        /// Which.
        version: Version,
        /// Until then.
        until: Moment,
    },
    /// Write down what was decided, and why.
    Record(Box<Evidence>),
}
