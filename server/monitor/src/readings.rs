//! The last window as series show it. A process that has just started has nothing of a window that another one has
//! judged but what was written down to be shown.

use serde::Deserialize;
use serde_json::Value;
use server_drift::{Role, Statistics};

use crate::verdict::{self, FeatureVerdict, Verdict};

/// See the module.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Readings {
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

impl Readings {
    pub(crate) fn of(verdict: &Verdict) -> Readings {
        Readings {
            to_s: verdict.to_s,
            rows: verdict.rows,
            windows_between: verdict.windows_between,
            features: verdict.features.iter().map(Feature::of).collect(),
        }
    }

    /// Of a verdict as JSON. None: another release wrote it.
    pub(crate) fn read(last: &Value) -> Option<Readings> {
        Readings::deserialize(last).ok()
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
    fn of(verdict: &FeatureVerdict) -> Feature {
        let (evidence, finite) =
            (&verdict.evidence, |it: f64| Some(it).filter(|it| it.is_finite()));
        let score = |it: &verdict::Score| Score {
            test: it.test.to_owned(),
            value: it.value,
            threshold: it.threshold,
        };
        Feature {
            name: verdict.name.clone(),
            role: verdict.role,
            evidence: Evidence {
                statistics: evidence.statistics,
                p: finite(evidence.p),
                effect: finite(evidence.effect),
            },
            score: verdict.score.as_ref().map(score),
            missing: verdict.missing,
        }
    }

    /// As in the log.
    pub(crate) fn column(&self) -> String {
        verdict::named(self.role, &self.name)
    }
}
