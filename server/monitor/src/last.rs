//! The last window as series show it, read out of what is shown of it anyway: a process that has just
//! started has nothing else of a window that another one has judged.

use serde::Deserialize;
use serde_json::Value;
use server_drift::{Role, Statistics};

use crate::verdict;

/// See the module.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Last {
    pub(crate) to_s: f64,
    pub(crate) rows: u64,
    windows_between: Option<f64>,
    pub(crate) features: Vec<Feature>,
}

/// Of a window, one feature.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Feature {
    name: String,
    role: Role,
    pub(crate) evidence: Evidence,
    #[serde(default)]
    pub(crate) score: Option<Score>,
    pub(crate) missing: f64,
}

/// A number that is none is null.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Evidence {
    pub(crate) statistics: Statistics,
    pub(crate) p: Option<f64>,
    pub(crate) effect: Option<f64>,
}

/// What a fixed rule goes by.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Score {
    pub(crate) test: String,
    pub(crate) value: Option<f64>,
    threshold: f64,
}

impl Last {
    /// Of a verdict as JSON. None: another release wrote it.
    pub(crate) fn of(last: &Value) -> Option<Last> {
        Last::deserialize(last).ok()
    }

    /// What the features were held against, by method, each once.
    pub(crate) fn thresholds(&self) -> Vec<(&str, f64)> {
        let level = self.windows_between.map(|it| ("level", it.recip()));
        let scores = self.features.iter().filter_map(|it| it.score.as_ref());
        let mut all: Vec<(&str, f64)> =
            level.into_iter().chain(scores.map(|it| (it.test.as_str(), it.threshold))).collect();
        all.sort_by(|a, b| a.0.cmp(b.0));
        all.dedup_by(|a, b| a.0 == b.0);
        all
    }
}

impl Feature {
    /// As in the log.
    pub(crate) fn column(&self) -> String {
        verdict::named(self.role, &self.name)
    }
}
