//! The reference profile: what data looked like when the model was trained, small enough to lie
//! beside the model. Versioned JSON; a reader refuses a version that it does not know.

use serde::{Deserialize, Serialize};

use crate::bins::{BINS, narrow};
use crate::cast::whole;
use crate::column::{Category, Kind, Values};
use crate::distinct::Distinct;
use crate::hash;
use crate::sample::Sample;
use crate::vectors::{VectorState, Vectors, vectors_max};

/// The version of the JSON that is written, and the only one that is read.
pub const FORMAT: u32 = 1;

/// Categories that are counted by name; all others are one.
const CATEGORIES_MAX: usize = 1000;

/// What the reference looked like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The version of this format.
    pub format: u32,
    /// The model that it belongs to.
    pub model: String,
    /// Where it comes from.
    pub source: Source,
    /// Rows of the reference.
    pub rows: u64,
    /// Rows of the reference that are different from one another, about.
    pub distinct_rows: u64,
    /// Its columns.
    pub features: Vec<Feature>,
}

/// Where a profile comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The data that the model was trained or evaluated on.
    Data,
    /// The first requests: they show what came, not what should have come.
    Learned,
}

/// Which side of the model a column is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What goes in.
    Input,
    /// What comes out.
    Output,
}

/// A column of the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Input or output.
    pub role: Role,
    /// Usable rows.
    pub rows: u64,
    /// Rows that are missing, NaN or infinite.
    pub missing: u64,
    /// What its values look like.
    #[serde(flatten)]
    pub shape: Shape,
}

/// What the values of a column look like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Shape {
    /// Numbers.
    #[serde(rename = "num")]
    Numerical(Numbers),
    /// Categories.
    #[serde(rename = "cat")]
    Categorical(Categories),
    /// Embeddings.
    #[serde(rename = "vec")]
    Vectors(Vectors),
}

/// Numbers of the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// Of an integer type.
    pub whole: bool,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation, divided by n.
    pub deviation: f64,
    /// How many different ones there are.
    pub distinct: u64,
    /// Where one bin ends and the next begins, ascending; the outer bins are open.
    pub edges: Vec<f64>,
    /// Values in each bin: one more than edges.
    pub counts: Vec<u64>,
    /// Values themselves, evenly spread over the ranks, ascending; all of them if there are few.
    pub sample: Vec<f64>,
}

/// Categories of the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Categories {
    /// Categories and counts, the most frequent first.
    pub counts: Vec<(Category, u64)>,
    /// Rows with a category that is not among them.
    pub others: u64,
}

/// Why a profile cannot be made or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A column without values.
    #[error("column {0:?} has no usable value: leave it out")]
    Empty(String),
    /// Written by another version.
    #[error("the profile has format {0}, this version reads {FORMAT}")]
    Format(u32),
    /// What it says contradicts itself.
    #[error("column {0:?}: {1}")]
    Faulty(String, &'static str),
}

impl Feature {
    /// Of a column as it was read. None for text and times, which have no profile.
    pub fn of(
        name: &str,
        role: Role,
        values: &Values,
        kind: Option<Kind>,
    ) -> Result<Option<Feature>, ProfileError> {
        let usable = values.rows() - values.missing();
        if usable == 0 && !matches!(values, Values::Other(_)) {
            return Err(ProfileError::Empty(name.to_owned()));
        }
        if let Values::Vectors(vectors) = values {
            return vectors_of(name, role, vectors).map(Some);
        }
        if let Values::Large(_) = values {
            // The log's own are seen as floats too.
            let kind = kind.unwrap_or_else(|| values.kind());
            return Feature::of(name, role, &values.clone().rounded(), Some(kind));
        }
        let shape = match (kind.unwrap_or_else(|| values.kind()), values) {
            (Kind::Numerical, Values::Numbers { values, whole }) => {
                Shape::Numerical(Numbers::of(&Sample::new(values.iter().copied()), *whole))
            }
            (Kind::Numerical, _) => {
                return Err(ProfileError::Faulty(name.to_owned(), "it does not hold numbers"));
            }
            (Kind::Categorical, _) => Shape::Categorical(Categories::of(values)),
            (Kind::Text | Kind::Other, _) => return Ok(None),
        };
        let missing = values.missing() as u64;
        Ok(Some(Feature { name: name.to_owned(), role, rows: usable as u64, missing, shape }))
    }

    /// Of vectors as they were seen. None: of none.
    pub fn of_vectors(name: &str, role: Role, state: &VectorState) -> Option<Feature> {
        let shape = Shape::Vectors(Vectors::of(state)?);
        let missing = state.missing + state.digests + state.broken;
        Some(Feature { name: name.to_owned(), role, rows: state.rows(), missing, shape })
    }

    /// Is it an embedding?
    pub fn is_embedding(&self) -> bool {
        matches!(self.shape, Shape::Vectors(_))
    }

    /// Fails if bins and counts do not fit together.
    fn check(&self) -> Result<(), ProfileError> {
        let faulty = |words| Err(ProfileError::Faulty(self.name.clone(), words));
        let numbers = match &self.shape {
            Shape::Numerical(numbers) => numbers,
            Shape::Categorical(_) => return Ok(()),
            Shape::Vectors(it) => return it.fault().map_or(Ok(()), faulty),
        };
        if numbers.counts.len() != numbers.edges.len() + 1 || numbers.counts.len() > BINS {
            return faulty("there must be one bin more than edges, and at most 128");
        }
        if !numbers.edges.is_sorted_by(|a, b| a < b) || !numbers.sample.is_sorted() {
            return faulty("edges and sample must ascend");
        }
        Ok(())
    }
}

/// An embedding: the length is that of the first vector, and any other is missing.
fn vectors_of(
    name: &str,
    role: Role,
    vectors: &[Option<Box<[f32]>>],
) -> Result<Feature, ProfileError> {
    let length = vectors.iter().flatten().map(|it| it.len()).next().unwrap_or(0);
    let mut state = VectorState::new(length, vectors_max(length, 1).unwrap_or(0));
    for (lot, vector) in vectors.iter().enumerate() {
        match vector {
            Some(it) => state.add(it, lot as u64),
            None => state.missing += 1,
        }
    }
    let feature = Feature::of_vectors(name, role, &state);
    feature.ok_or_else(|| ProfileError::Empty(name.to_owned()))
}

impl Profile {
    /// Fails if it is of another format, or contradicts itself.
    pub fn check(&self) -> Result<(), ProfileError> {
        if self.format != FORMAT {
            return Err(ProfileError::Format(self.format));
        }
        self.features.iter().try_for_each(Feature::check)
    }
}

impl Categories {
    /// For values that come in single precision.
    pub fn narrowed(&self) -> Categories {
        let one = |(category, count): &(Category, u64)| match category {
            Category::Number(it) => {
                (Category::number(narrow(it.get())).unwrap_or(category.clone()), *count)
            }
            Category::Word(_) | Category::Flag(_) => (category.clone(), *count),
        };
        Categories { counts: self.counts.iter().map(one).collect(), others: self.others }
    }

    /// Of values.
    fn of(values: &Values) -> Categories {
        let mut counts: Vec<(Category, u64)> = values.tally().into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let others = counts.iter().skip(CATEGORIES_MAX).map(|it| it.1).sum();
        counts.truncate(CATEGORIES_MAX);
        Categories { counts, others }
    }
}

/// How many different rows columns have, about; all must have the same number of rows.
pub fn distinct_rows(columns: &[&Values]) -> u64 {
    let rows = columns.iter().map(|it| it.rows()).max().unwrap_or(0);
    let mut distinct = Distinct::default();
    for row in 0..rows {
        let mut hash = 0_u64;
        for column in columns.iter().filter(|it| !matches!(it, Values::Vectors(_))) {
            let cell = match column {
                Values::Numbers { values, .. } => values.get(row).map(|&it| hash::of_number(it)),
                #[expect(clippy::cast_precision_loss, reason = "the log's own are seen as floats")]
                Values::Large(values) => values.get(row).map(|&it| hash::of_number(it as f64)),
                Values::Flags(values) => values.get(row).copied().flatten().map(u64::from),
                Values::Words(values) => {
                    values.get(row).and_then(Option::as_deref).map(hash::of_word)
                }
                Values::Vectors(_) | Values::Other(_) => None,
            };
            hash = hash::mixed(hash.rotate_left(1) ^ cell.unwrap_or(hash::MISSING));
        }
        distinct.add(hash);
    }
    whole(distinct.estimate().round()).min(rows as u64)
}
