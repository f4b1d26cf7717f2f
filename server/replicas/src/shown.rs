//! Who takes part in a rollout, as operators see it.

use serde::Serialize;

use crate::digests::Digests;
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
    /// Who has other bytes of the candidate, in words: it is not promoted then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differs: Option<String>,
    /// Why what is shared cannot be read or written now. Nothing is decided then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplicaShown {
    /// Which.
    pub replica: ReplicaId,
    /// The versions of the rollout that are ready there.
    pub ready: Vec<u64>,
    /// Which bytes they are, as far as that is known.
    pub digests: Digests,
    /// Of one of them it has other bytes than the leader.
    pub digest_differs: bool,
    /// So long ago it was heard of here.
    pub seen_ago_ms: u64,
    /// The record that it acts by: the last one, when it has converged.
    pub acts_by: Option<u64>,
}
