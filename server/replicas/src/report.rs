//! What a replica says of itself, once a turn.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use server_base::ModelName;
use server_rollout::{Moment, Observation};

use crate::digests::Digests;
use crate::id::ReplicaId;

/// What it has seen of one rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Which rollout: the number of the record with which it began.
    pub begun: u64,
    /// The record it acts by: the last one, when it has converged.
    pub number: u64,
    /// The versions that are ready here.
    pub ready: Vec<u64>,
    /// Which bytes each of them is, by its number. Nothing where that is not known, as in reports of earlier
    /// releases.
    #[serde(default, skip_serializing_if = "Digests::is_empty")]
    pub digests: Digests,
    /// What it has counted since the stage began here, and how far the candidate is here.
    pub observation: Observation,
}

/// All that it has to say. A report takes the place of the one before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub(crate) format: u32,
    /// Whose.
    pub replica: ReplicaId,
    /// Grows with each report: a leader whose beat stands still is missing.
    pub beat: u64,
    /// When, by its own clock. For readers: nothing rests on it.
    pub at: Moment,
    /// By model's name.
    #[serde(with = "by_name")]
    pub rollouts: BTreeMap<ModelName, Seen>,
}

/// Names of models are checked when they are read.
mod by_name {
    use super::{BTreeMap, Deserialize, ModelName, Seen, Serialize};

    pub(super) fn serialize<S: serde::Serializer>(
        map: &BTreeMap<ModelName, Seen>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        map.iter().map(|(name, it)| (name.as_str(), it)).collect::<BTreeMap<_, _>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<ModelName, Seen>, D::Error> {
        let map = BTreeMap::<String, Seen>::deserialize(from)?;
        let checked = |(name, it): (String, Seen)| Ok((ModelName::new(&name)?, it));
        let checked: Result<_, server_base::IdError> = map.into_iter().map(checked).collect();
        checked.map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_an_earlier_release_is_read() {
        let text = r#"{"format": 1, "replica": "a", "beat": 3, "at": 5, "rollouts": {
            "wine": {"begun": 1, "number": 2, "ready": [1, 2], "observation": {"stage": 2}}}}"#;
        let report: Report = serde_json::from_str(text).expect("readable");
        let seen = report.rollouts.values().next().expect("one");
        assert_eq!((&seen.ready[..], seen.digests.len()), (&[1, 2][..], 0));
        let now = Seen { digests: [(2, "sha256:00".to_owned())].into(), ..seen.clone() };
        let text = serde_json::to_string(&now).expect("JSON");
        assert!(text.contains(r#""digests":{"2":"sha256:00"}"#), "{text}");
        assert_eq!(serde_json::from_str::<Seen>(&text).expect("readable"), now);
    }
}
