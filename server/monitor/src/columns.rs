//! Which columns of the log are features of the reference, and what they have to show.

use arrow_array::{Array, RecordBatch};
use arrow_schema::Schema;
use serde::{Deserialize, Serialize};
use server_drift::{
    EMBEDDINGS_MAX, Feature, FeatureState, Pane, Profile, Reference, RowHashes, Rule, Shape, Source,
};

use crate::cells::{self, Cells, Type};
use crate::embeddings::{self, Vectors};
use crate::verdict;

/// More are watched of no version: each takes 64 KB, and at most eight of them 4 MB.
pub(crate) const FEATURES_MAX: usize = 512;

/// What a version is held against, column by column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Basis {
    /// Where it comes from.
    pub(crate) source: Source,
    /// Rows of the reference.
    pub(crate) rows: u64,
    /// Those that are different from one another; 0 if the log lacks some of its columns, so that
    /// rows cannot be compared.
    pub(crate) distinct_rows: u64,
    /// Columns of the log, each with the feature as the column shows it.
    pub(crate) columns: Vec<(String, Feature)>,
    /// Features of the reference that the log lacks, and why.
    pub(crate) absent: Vec<String>,
}

impl Basis {
    /// Of a profile and the log's columns. An error: there is nothing to hold against anything.
    pub(crate) fn of(
        profile: &Profile,
        schema: &Schema,
        (wanted, steps): (Option<&[String]>, usize),
    ) -> Result<Basis, String> {
        let is_wanted = |it: &&Feature| wanted.is_none_or(|list| list.contains(&it.name));
        if let Some(stranger) = wanted
            .unwrap_or_default()
            .iter()
            .find(|it| !profile.features.iter().any(|at| at.name == **it))
        {
            let known: Vec<&str> = profile.features.iter().map(|it| it.name.as_str()).collect();
            return Err(format!("features: {stranger:?} is none of {}", known.join(", ")));
        }
        let (mut columns, mut absent) = (Vec::new(), Vec::new());
        for feature in profile.features.iter().filter(is_wanted) {
            if feature.is_embedding() {
                match embedding(feature, schema, steps) {
                    Ok(name) => columns.push((name, feature.clone())),
                    Err(why) => absent.push(why),
                }
                continue;
            }
            match column(feature, schema) {
                Ok((name, kind)) => columns.push((name, shown(feature.clone(), kind))),
                Err(why) => absent.push(why),
            }
        }
        if columns.is_empty() {
            let logged: Vec<&str> = schema
                .fields()
                .iter()
                .map(|it| it.name().as_str())
                .filter(|it| is_value(it))
                .collect();
            return Err(format!(
                "no feature of the reference is in the log: {}; the log has {}",
                absent.join("; "),
                logged.join(", ")
            ));
        }
        if columns.len() > FEATURES_MAX {
            let got = columns.len();
            return Err(format!(
                "features: {got} are more than {FEATURES_MAX}: name those to watch"
            ));
        }
        let got = columns.iter().filter(|it| it.1.is_embedding()).count();
        if got > EMBEDDINGS_MAX {
            return Err(format!(
                "features: {got} embeddings are more than {EMBEDDINGS_MAX}: name those to watch"
            ));
        }
        let whole = columns.len() == profile.features.len();
        // Embeddings are no part of what makes two rows the same.
        let comparable = whole && columns.iter().any(|it| !it.1.is_embedding());
        let distinct_rows = if comparable { profile.distinct_rows } else { 0 };
        let (source, rows) = (profile.source, profile.rows);
        Ok(Basis { source, rows, distinct_rows, columns, absent })
    }

    /// Columns that the rule can never judge.
    pub(crate) fn unjudged(&self, rule: &Rule) -> Vec<&str> {
        let mute = self.columns.iter().filter(|it| !rule.judges(&it.1));
        mute.map(|it| it.0.as_str()).collect()
    }

    /// Ready to be held against, for windows of so many steps.
    pub(crate) fn references(&self, steps: usize) -> Vec<Reference> {
        self.columns.iter().map(|it| Reference::new(it.1.clone(), steps)).collect()
    }
}

/// Is it a value of the model's, not of the request?
pub(crate) fn is_value(column: &str) -> bool {
    column.starts_with("in.") || column.starts_with("out.")
}

/// As in the log.
fn named(feature: &Feature) -> String {
    verdict::named(feature.role, &feature.name)
}

/// The name of an embedding, if the log holds its vectors.
fn embedding(feature: &Feature, schema: &Schema, steps: usize) -> Result<String, String> {
    let name = named(feature);
    let Shape::Vectors(vectors) = &feature.shape else {
        return Err(format!("{name} is no embedding"));
    };
    embeddings::check(&name, schema, (vectors.length, steps)).map(|()| name)
}

/// The column of a feature, and what it holds.
fn column(feature: &Feature, schema: &Schema) -> Result<(String, Type), String> {
    let name = named(feature);
    let field = schema.field_with_name(&name).map_err(|_| format!("{name} is not there"))?;
    let kind = Type::of(field.data_type());
    let kind = kind.ok_or_else(|| format!("{name} is logged as one value, not as columns"))?;
    let reference = Reference::new(feature.clone(), 1);
    let fits = match &feature.shape {
        Shape::Numerical(_) => kind != Type::Words,
        Shape::Categorical(_) => reference.is_words() == (kind == Type::Words),
        Shape::Vectors(_) => false,
    };
    if fits { Ok((name, kind)) } else { Err(format!("{name} holds another type of values")) }
}

/// The feature as a column of that type shows it.
fn shown(mut feature: Feature, kind: Type) -> Feature {
    if let Shape::Numerical(it) = &mut feature.shape {
        *it = it.resolved();
    }
    if kind == Type::Single {
        match &mut feature.shape {
            Shape::Numerical(it) => *it = it.narrowed(),
            Shape::Categorical(it) => *it = it.narrowed(),
            Shape::Vectors(_) => {}
        }
    }
    feature
}

/// Memory that is used again and again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    numbers: Vec<f64>,
    present: Vec<f64>,
    hashes: RowHashes,
}

/// What of a batch belongs to a reference.
pub(crate) enum Found<'a> {
    Column(&'a dyn Array),
    Vectors(Vectors<'a>),
}

/// What of a batch belongs to references, in their order.
pub(crate) fn of_batch<'a>(
    columns: &[(String, Feature)],
    batch: &'a RecordBatch,
) -> Vec<Option<Found<'a>>> {
    let found = |(name, feature): &(String, Feature)| {
        if feature.is_embedding() {
            return Vectors::of(name, batch).map(Found::Vectors);
        }
        batch.column_by_name(name).map(|it| Found::Column(it.as_ref()))
    };
    columns.iter().map(found).collect()
}

/// The lot of a row of a step that began then, from which those behind it count on: no two rows of a step have
/// the same, and those of another step begin elsewhere.
fn lot(row: u64, began: Option<f64>) -> u64 {
    began.map_or(0, f64::to_bits).rotate_left(20).wrapping_add(row)
}

/// Shows rows to the step that is being filled.
pub(crate) fn see(
    references: &[Reference],
    columns: &[Option<Found<'_>>],
    rows: (usize, usize),
    (pane, scratch): (&mut Pane, &mut Scratch),
) {
    let Scratch { numbers, present, hashes } = scratch;
    let count = rows.1 - rows.0;
    let lot = lot(pane.rows, pane.span.map(|it| it.0));
    hashes.begin(count);
    for ((reference, state), column) in references.iter().zip(&mut pane.features).zip(columns) {
        let column = match (column, &mut *state) {
            (Some(Found::Vectors(vectors)), FeatureState::Vectors(it)) => {
                vectors.see(rows, it, lot);
                continue;
            }
            (Some(Found::Column(it)), _) => Some(*it),
            (Some(Found::Vectors(_)) | None, _) => None,
        };
        match column.and_then(|it| cells::read(it, rows, numbers)) {
            Some(Cells::Numbers(0)) => {
                reference.numbers(state, numbers);
                hashes.numbers(numbers);
            }
            Some(Cells::Numbers(missing)) => {
                hashes.numbers(numbers);
                // What is missing is no NaN that somebody sent; which is which the column knows.
                present.clear();
                let column =
                    column.iter().flat_map(|it| (rows.0..rows.1).map(|at| it.is_valid(at)));
                present.extend(numbers.iter().zip(column).filter(|it| it.1).map(|it| *it.0));
                reference.missing(state, missing);
                reference.numbers(state, present);
            }
            Some(Cells::Words(words)) => {
                let all = (rows.0..rows.1).map(|it| words.is_valid(it).then(|| words.value(it)));
                reference.words(state, all.clone().flatten());
                reference.missing(state, all.clone().filter(Option::is_none).count() as u64);
                hashes.words(all);
            }
            None => reference.missing(state, count as u64),
        }
    }
    hashes.end(&mut pane.distinct);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_rows_of_a_step_have_the_same_lot() {
        for began in [None, Some(0.0), Some(1.0), Some(1_700_000_000.123_456)] {
            let mut lots = BTreeSet::new();
            for first in (0..9_000).step_by(90) {
                lots.extend((0..90).map(|row| lot(first, began).wrapping_add(row)));
            }
            assert_eq!(lots.len(), 9_000, "{began:?}");
        }
    }
}
