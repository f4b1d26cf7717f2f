//! What a rollout says of a model, over its `model.toml` and for as long as it lasts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use server_base::{ModelName, Version};
use server_serving::{Sticky, Traffic};

/// Which versions are wanted, and how they share the requests that name none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Direction {
    /// Of those that are present.
    pub wanted: BTreeSet<Version>,
    /// Relative to their sum. Nobody: the newest has everything.
    pub weights: BTreeMap<Version, u32>,
    /// The name of the rollout, as long as it is under way.
    pub rollout: Option<String>,
}

/// Versions that rollouts want, whether they are there or not, by model.
pub type Directed = BTreeMap<ModelName, BTreeSet<Version>>;

/// What all of them want.
pub(crate) fn directed(directions: &BTreeMap<ModelName, Direction>) -> Directed {
    directions.iter().map(|(model, it)| (model.clone(), it.wanted.clone())).collect()
}

impl Direction {
    /// The shares. Callers that the model's file makes stay with a version go on doing so.
    pub(crate) fn traffic(&self, model: &ModelName, sticky: Option<&Sticky>) -> Option<Traffic> {
        let traffic = Traffic::new(model, &self.weights, sticky);
        traffic.map(|it| it.of_rollout(self.rollout.as_deref().map(Arc::from)))
    }
}
