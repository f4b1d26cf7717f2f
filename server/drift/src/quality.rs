//! Whether the data is sound, apart from whether it drifted: broken data raises an alert, and must
//! not train a model.

use serde::{Deserialize, Serialize};

use crate::categories::CategoryState;
use crate::numbers::NumberState;
use crate::profile::{Categories, Feature, Numbers};
use crate::vectors::VectorState;

/// From where on a share is a fault.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QualityLimits {
    /// How much the share of missing rows may rise above the reference's.
    pub missing_rise: f64,
    /// Share of NaN and infinities.
    pub not_finite: f64,
    /// Share of values outside the reference's range.
    pub out_of_range: f64,
    /// Share of rows with a category that the reference lacks.
    pub new_categories: f64,
    /// Share of rows that are the same as another, above the reference's.
    pub duplicates_rise: f64,
    /// Rows below which nothing is said.
    pub rows_min: u64,
}

impl Default for QualityLimits {
    fn default() -> QualityLimits {
        QualityLimits {
            missing_rise: 0.05,
            not_finite: 0.01,
            out_of_range: 0.05,
            new_categories: 0.05,
            duplicates_rise: 0.2,
            rows_min: 100,
        }
    }
}

/// What is wrong with a feature.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum QualityFault {
    /// More rows are missing than in the reference.
    Missing {
        /// Share of the reference.
        reference: f64,
        /// Share of the window.
        share: f64,
    },
    /// NaN or infinities.
    NotFinite {
        /// Share of the window.
        share: f64,
    },
    /// Values outside the reference's range.
    OutOfRange {
        /// Share below it.
        below: f64,
        /// Share above it.
        above: f64,
        /// Smallest and largest of the window.
        range: (f64, f64),
    },
    /// Categories that the reference lacks.
    NewCategories {
        /// Share of the window.
        share: f64,
        /// The most frequent, and the least number of their rows.
        top: Vec<(String, u64)>,
    },
    /// A single value where the reference has several.
    Constant,
}

impl QualityFault {
    /// Is the data broken? Values that are gone, or cannot be, say nothing of the world. Values that are
    /// only unusual may be just what a world looks like that has changed.
    pub fn is_broken(&self) -> bool {
        match self {
            QualityFault::Missing { .. }
            | QualityFault::NotFinite { .. }
            | QualityFault::Constant => true,
            QualityFault::OutOfRange { .. } | QualityFault::NewCategories { .. } => false,
        }
    }
}

/// The verdict on one feature in one window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Quality {
    /// Everything that is wrong; empty: sound.
    pub faults: Vec<QualityFault>,
}

impl QualityLimits {
    /// Of numbers.
    pub fn of_numbers(&self, feature: &Feature, profile: &Numbers, state: &NumberState) -> Quality {
        let rows = state.rows();
        let all = rows + state.missing + state.nan + state.infinite;
        let mut faults = Vec::new();
        if all < self.rows_min {
            return Quality { faults };
        }
        let share = |part: u64, of: u64| part as f64 / of.max(1) as f64;
        self.missing(feature, share(state.missing + state.nan, all), &mut faults);
        let not_finite = share(state.nan + state.infinite, all);
        if state.infinite > 0 && not_finite > self.not_finite {
            faults.push(QualityFault::NotFinite { share: not_finite });
        }
        let (below, above) = (share(state.below, rows), share(state.above, rows));
        if let Some(range) = state.range
            && below + above > self.out_of_range
        {
            faults.push(QualityFault::OutOfRange { below, above, range });
        }
        let constant = state.range.is_some_and(|it| it.0 == it.1);
        if constant && profile.distinct > 1 && rows >= self.rows_min {
            faults.push(QualityFault::Constant);
        }
        Quality { faults }
    }

    /// Of categories.
    pub fn of_categories(
        &self,
        feature: &Feature,
        profile: &Categories,
        state: &CategoryState,
    ) -> Quality {
        let rows = state.rows();
        let all = rows + state.missing;
        let mut faults = Vec::new();
        if all < self.rows_min {
            return Quality { faults };
        }
        self.missing(feature, state.missing as f64 / all as f64, &mut faults);
        // What the profile itself had no room for is no news.
        let known = profile.others as f64 / feature.rows.max(1) as f64;
        let new = (state.others as f64 / rows.max(1) as f64 - known).max(0.0);
        if new > self.new_categories {
            let top = state.new.top().into_iter().take(5);
            let top = top.map(|it| (it.0.to_owned(), it.1)).collect();
            faults.push(QualityFault::NewCategories { share: new, top });
        }
        let seen = state.counts.iter().filter(|&&it| it > 0).count();
        let constant = seen == 1 && state.others == 0 && profile.counts.len() > 1;
        if constant && rows >= self.rows_min {
            faults.push(QualityFault::Constant);
        }
        Quality { faults }
    }

    /// Of embeddings. Rows of which only a digest was kept are no fault of the data.
    pub fn of_vectors(&self, feature: &Feature, state: &VectorState) -> Quality {
        let all = state.rows() + state.missing + state.broken;
        let mut faults = Vec::new();
        if all < self.rows_min {
            return Quality { faults };
        }
        let share = |part: u64| part as f64 / all as f64;
        self.missing(feature, share(state.missing), &mut faults);
        if share(state.broken) > self.not_finite {
            faults.push(QualityFault::NotFinite { share: share(state.broken) });
        }
        Quality { faults }
    }

    fn missing(&self, feature: &Feature, share: f64, faults: &mut Vec<QualityFault>) {
        let all = feature.rows + feature.missing;
        let reference = feature.missing as f64 / all.max(1) as f64;
        if share > reference + self.missing_rise {
            faults.push(QualityFault::Missing { reference, share });
        }
    }

    /// Whether rows repeat more often than in the reference; `distinct` is an estimate.
    pub fn duplicated(&self, reference: (u64, u64), window: (u64, u64)) -> bool {
        let repeated =
            |(rows, distinct): (u64, u64)| 1.0 - distinct.min(rows) as f64 / rows.max(1) as f64;
        window.0 >= self.rows_min && repeated(window) > repeated(reference) + self.duplicates_rise
    }
}
