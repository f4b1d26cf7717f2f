//! What all features of a model show in one step of a window, side by side: a state for each, the
//! time they span, and how many rows were different from one another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::categories::{CategoryState, Lookup};
use crate::column::Category;
use crate::distinct::Distinct;
use crate::evidence::{Evidence, of_categories_state};
use crate::hash;
use crate::numbers::NumberState;
use crate::numerical::of_numbers_state;
use crate::profile::{Feature, Shape};
use crate::quality::{Quality, QualityLimits};
use crate::vectors::{VectorState, vectors_max};
use crate::window::Merge;

/// What a feature may take with all steps of its window.
pub const FEATURE_BYTES_MAX: usize = 64 << 10;

/// Of it, what the open step and an empty one take beside their counters.
const OPEN_BYTES: usize = 16 << 10;

/// What a step that is over takes for each category that it names.
const NAME_BYTES: usize = 160;

/// A feature of the reference, ready to be held against.
#[derive(Clone, Debug)]
pub struct Reference {
    feature: Arc<Feature>,
    lookup: Lookup,
    /// All its categories are true and false.
    flags: bool,
    /// Vectors that a window keeps.
    kept_max: usize,
}

/// What was seen of one feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FeatureState {
    /// Numbers.
    #[serde(rename = "num")]
    Numbers(Box<NumberState>),
    /// Categories.
    #[serde(rename = "cat")]
    Categories(Box<CategoryState>),
    /// Embeddings.
    #[serde(rename = "vec")]
    Vectors(Box<VectorState>),
}

impl Reference {
    /// For windows of so many steps: the more there are, the fewer categories are counted by name.
    pub fn new(mut feature: Feature, steps: usize) -> Reference {
        let lookup = match &mut feature.shape {
            Shape::Numerical(_) | Shape::Vectors(_) => Lookup::default(),
            Shape::Categorical(it) => {
                let rest = it.counts.split_off(it.counts.len().min(categories_max(steps)));
                it.others += rest.iter().map(|it| it.1).sum::<u64>();
                Lookup::new(it)
            }
        };
        let flags = match &feature.shape {
            Shape::Categorical(it) => it.counts.iter().all(|it| matches!(it.0, Category::Flag(_))),
            Shape::Numerical(_) | Shape::Vectors(_) => false,
        };
        let kept_max = match &feature.shape {
            Shape::Vectors(it) => vectors_max(it.length, steps).unwrap_or(0),
            Shape::Numerical(_) | Shape::Categorical(_) => 0,
        };
        Reference { feature: Arc::new(feature), lookup, flags, kept_max }
    }

    /// What it is of.
    pub fn feature(&self) -> &Arc<Feature> {
        &self.feature
    }

    /// Are its categories text?
    pub fn is_words(&self) -> bool {
        match &self.feature.shape {
            Shape::Categorical(it) => it.counts.iter().any(|it| matches!(it.0, Category::Word(_))),
            Shape::Numerical(_) | Shape::Vectors(_) => false,
        }
    }

    /// Nothing seen yet.
    pub fn state(&self) -> FeatureState {
        match &self.feature.shape {
            Shape::Numerical(it) => FeatureState::Numbers(Box::new(NumberState::lean(it))),
            Shape::Categorical(it) => FeatureState::Categories(Box::new(CategoryState::new(it))),
            Shape::Vectors(it) => {
                FeatureState::Vectors(Box::new(VectorState::new(it.length, self.kept_max)))
            }
        }
    }

    /// Adds numbers.
    pub fn numbers(&self, state: &mut FeatureState, values: &[f64]) {
        match (&self.feature.shape, state) {
            (Shape::Numerical(profile), FeatureState::Numbers(it)) => it.extend(profile, values),
            (_, FeatureState::Categories(it)) => {
                for &value in values {
                    if self.flags && value.is_finite() {
                        it.add_flag(&self.lookup, value != 0.0);
                    } else {
                        it.add_number(&self.lookup, value);
                    }
                }
            }
            (_, FeatureState::Vectors(it)) => it.broken += values.len() as u64,
            (Shape::Categorical(_) | Shape::Vectors(_), FeatureState::Numbers(_)) => {}
        }
    }

    /// Adds texts.
    pub fn words<'a>(&self, state: &mut FeatureState, words: impl Iterator<Item = &'a str>) {
        match state {
            FeatureState::Categories(it) => words.for_each(|word| it.add_word(&self.lookup, word)),
            FeatureState::Numbers(it) => it.missing += words.count() as u64,
            FeatureState::Vectors(it) => it.broken += words.count() as u64,
        }
    }

    /// Adds rows in which the feature is missing.
    pub fn missing(&self, state: &mut FeatureState, rows: u64) {
        match state {
            FeatureState::Numbers(it) => it.missing += rows,
            FeatureState::Categories(it) => it.missing += rows,
            FeatureState::Vectors(it) => it.missing += rows,
        }
    }

    /// What a window shows of it. None if the state is of another feature. `finest`: no
    /// smaller p-value is of use to whoever asks.
    pub fn evidence(&self, state: &FeatureState, finest: f64) -> Option<Evidence> {
        match (&self.feature.shape, state) {
            (Shape::Numerical(profile), FeatureState::Numbers(it)) => {
                Some(of_numbers_state(profile, it))
            }
            (Shape::Categorical(profile), FeatureState::Categories(it)) => {
                Some(of_categories_state(profile, it))
            }
            (Shape::Vectors(profile), FeatureState::Vectors(it)) => {
                Some(profile.evidence(self.feature.rows, it, finest))
            }
            _ => None,
        }
    }

    /// Whether its data is sound.
    pub fn quality(&self, limits: &QualityLimits, state: &FeatureState) -> Quality {
        match (&self.feature.shape, state) {
            (Shape::Numerical(profile), FeatureState::Numbers(it)) => {
                limits.of_numbers(&self.feature, profile, it)
            }
            (Shape::Categorical(profile), FeatureState::Categories(it)) => {
                limits.of_categories(&self.feature, profile, it)
            }
            (_, FeatureState::Vectors(it)) => limits.of_vectors(&self.feature, it),
            _ => Quality::default(),
        }
    }
}

/// So many that the counters of all steps have room.
fn categories_max(steps: usize) -> usize {
    let names = steps.saturating_sub(1) * (64 / steps.max(1)).max(4) * NAME_BYTES;
    FEATURE_BYTES_MAX.saturating_sub(OPEN_BYTES + names) / (size_of::<u64>() * (steps + 1))
}

impl FeatureState {
    /// Values that can be used.
    pub fn rows(&self) -> u64 {
        match self {
            FeatureState::Numbers(it) => it.rows(),
            FeatureState::Categories(it) => it.rows(),
            FeatureState::Vectors(it) => it.rows(),
        }
    }

    /// Bytes of everything.
    pub fn bytes(&self) -> usize {
        match self {
            FeatureState::Numbers(it) => it.bytes(),
            FeatureState::Categories(it) => it.bytes(),
            FeatureState::Vectors(it) => it.bytes(),
        }
    }
}

/// One step of all features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pane {
    /// Rows that were looked at.
    pub rows: u64,
    /// When the first and the last of them came, in seconds since 1970.
    pub span: Option<(f64, f64)>,
    /// How many rows are different from one another.
    pub distinct: Distinct,
    /// In the order of the references.
    pub features: Vec<FeatureState>,
}

impl Pane {
    /// Nothing seen yet.
    pub fn new(references: &[Reference]) -> Pane {
        let features = references.iter().map(Reference::state).collect();
        Pane { rows: 0, span: None, distinct: Distinct::default(), features }
    }

    /// Rows have come at these times, the first and the last.
    pub fn saw(&mut self, rows: u64, (from_s, to_s): (f64, f64)) {
        self.rows = self.rows.saturating_add(rows);
        self.span = joined(self.span, Some((from_s, to_s)));
    }

    /// Bytes of everything.
    pub fn bytes(&self) -> usize {
        size_of::<Pane>()
            + self.distinct.bytes()
            + self.features.iter().map(FeatureState::bytes).sum::<usize>()
    }
}

fn joined(one: Option<(f64, f64)>, other: Option<(f64, f64)>) -> Option<(f64, f64)> {
    match (one, other) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (it, None) | (None, it) => it,
    }
}

impl Merge for Pane {
    fn merge(&mut self, other: &Pane) {
        self.rows = self.rows.saturating_add(other.rows);
        self.span = joined(self.span, other.span);
        self.distinct.merge(&other.distinct);
        for (ours, theirs) in self.features.iter_mut().zip(&other.features) {
            match (ours, theirs) {
                (FeatureState::Numbers(a), FeatureState::Numbers(b)) => a.merge(b),
                (FeatureState::Categories(a), FeatureState::Categories(b)) => a.merge(b),
                (FeatureState::Vectors(a), FeatureState::Vectors(b)) => a.merge(b),
                // Both were made of the same references.
                _ => {}
            }
        }
    }

    fn seal(&mut self, steps: usize) {
        for feature in &mut self.features {
            match feature {
                FeatureState::Numbers(it) => it.seal(steps),
                FeatureState::Categories(it) => it.seal(steps),
                // What it keeps is what the window needs of it.
                FeatureState::Vectors(_) => {}
            }
        }
    }
}

/// Hashes of whole rows, made column by column in the order of the profile, as
/// [`crate::profile::distinct_rows`] makes them.
#[derive(Clone, Debug, Default)]
pub struct RowHashes(Vec<u64>);

impl RowHashes {
    /// For so many rows.
    pub fn begin(&mut self, rows: usize) {
        self.0.clear();
        self.0.resize(rows, 0);
    }

    /// A column of numbers; NaN is one that is missing.
    pub fn numbers(&mut self, values: &[f64]) {
        for (hash, &value) in self.0.iter_mut().zip(values) {
            *hash = hash::mixed(hash.rotate_left(1) ^ hash::of_number(value));
        }
    }

    /// A column of texts.
    pub fn words<'a>(&mut self, words: impl Iterator<Item = Option<&'a str>>) {
        for (hash, word) in self.0.iter_mut().zip(words) {
            let cell = word.map_or(hash::MISSING, hash::of_word);
            *hash = hash::mixed(hash.rotate_left(1) ^ cell);
        }
    }

    /// Counts the rows.
    pub fn end(&self, distinct: &mut Distinct) {
        self.0.iter().for_each(|&it| distinct.add(it));
    }
}
