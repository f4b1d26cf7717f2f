//! What can be asked now: an immutable picture of all models, replaced as a whole.
//!
//! The lifecycle builds and publishes it; a request takes one snapshot and routes by it, so that
//! half a change is never seen.

use std::collections::HashMap;
use std::sync::Arc;

use server_base::{ModelName, Version, VersionChoice};

use crate::error::InferError;
use crate::metrics::RequestMetrics;
use crate::servable::Servable;

/// All models by name.
#[derive(Default)]
pub struct Table {
    models: HashMap<ModelName, ModelEntry>,
}

/// One model.
pub struct ModelEntry {
    /// Versions that can answer, oldest first.
    ready: Vec<Arc<Servable>>,
    /// Versions that are known, able to answer or not.
    known: Vec<Version>,
    /// Names for versions.
    labels: Vec<(Box<str>, Version)>,
    /// Counts requests that reach no version.
    requests: Arc<RequestMetrics>,
}

impl ModelEntry {
    /// `ready` in any order; `known` includes them.
    pub fn new(
        mut ready: Vec<Arc<Servable>>,
        known: Vec<Version>,
        labels: Vec<(Box<str>, Version)>,
        requests: Arc<RequestMetrics>,
    ) -> ModelEntry {
        ready.sort_by_key(|it| it.version());
        ModelEntry { ready, known, labels, requests }
    }

    pub(crate) fn requests(&self) -> &Arc<RequestMetrics> {
        &self.requests
    }

    /// Versions that can answer, oldest first.
    pub fn ready(&self) -> &[Arc<Servable>] {
        &self.ready
    }

    fn find(&self, choice: &VersionChoice) -> Result<&Arc<Servable>, Missing> {
        let version = match choice {
            VersionChoice::Any => return self.ready.last().ok_or(Missing::NotReady),
            VersionChoice::Exact(version) => *version,
            VersionChoice::Label(label) => {
                let labelled = self.labels.iter().find(|(it, _)| it == label);
                labelled.map(|(_, version)| *version).ok_or(Missing::Unknown)?
            }
        };
        let ready = self.ready.iter().find(|it| it.version() == version);
        let why = if self.known.contains(&version) { Missing::NotReady } else { Missing::Unknown };
        ready.ok_or(why)
    }
}

enum Missing {
    Unknown,
    NotReady,
}

impl Table {
    /// A table of these models.
    pub fn new(models: HashMap<ModelName, ModelEntry>) -> Table {
        Table { models }
    }

    /// The version that answers such a request now. Without a choice: the newest that is ready.
    pub fn route(&self, model: &str, choice: &VersionChoice) -> Result<&Arc<Servable>, InferError> {
        let Some(entry) = self.models.get(model) else {
            return Err(InferError::UnknownModel { model: model.to_owned() });
        };
        entry.find(choice).map_err(|it| match it {
            Missing::NotReady => InferError::NotReady { model: model.to_owned() },
            Missing::Unknown => {
                InferError::UnknownVersion { model: model.to_owned(), version: choice.clone() }
            }
        })
    }

    /// A model's entry.
    pub fn model(&self, model: &str) -> Option<&ModelEntry> {
        self.models.get(model)
    }

    /// Every version that can answer, in no order.
    pub fn servables(&self) -> impl Iterator<Item = &Arc<Servable>> {
        self.models.values().flat_map(|it| &it.ready)
    }
}
