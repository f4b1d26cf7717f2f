//! Who takes part in a rollout, as operators see it.

use serde::Serialize;

use crate::id::ReplicaId;

/// A rollout's replicas.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// Who says so.
    pub me: ReplicaId,
    /// Who decides.
    pub leader: ReplicaId,
    /// How often the leader was another.
    pub term: u64,
    /// The last record.
    pub number: u64,
    /// Those that were heard of lately.
    pub replicas: Vec<ReplicaShown>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplicaShown {
    /// Which.
    pub replica: ReplicaId,
    /// The versions of the rollout that are ready there.
    pub ready: Vec<u64>,
    /// The record that it acts by: the last one, when it has converged.
    pub acts_by: Option<u64>,
}
