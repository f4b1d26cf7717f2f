//! A reference out of the first rows. They show what came, not what should have come; the profile
//! says so.

use arrow_array::{Array as _, RecordBatch};
use server_drift::profile::{FORMAT, distinct_rows};
use server_drift::{
    FEATURE_BYTES_MAX, Feature, MonitorPlan, Profile, Role, Source, Values, VectorState,
    vectors_max,
};

use crate::cells::{self, Cells, Type};
use crate::columns::{FEATURES_MAX, is_value};
use crate::embeddings::{self, Vectors};

/// What the first rows held.
#[derive(Debug)]
pub(crate) struct Learner {
    rows_max: usize,
    rows: usize,
    features: Option<Vec<String>>,
    columns: Option<Vec<Column>>,
    numbers: Vec<f64>,
    /// Tensors that are learned as vectors, and what they held.
    embeddings: Vec<String>,
    vectors: Vec<(String, VectorState)>,
}

#[derive(Debug)]
struct Column {
    /// In the log.
    name: String,
    values: Values,
    /// Of texts; a column of too many is none that repeats, and is left out.
    bytes: usize,
}

impl Learner {
    /// From so many rows, of those features alone if any are named.
    pub(crate) fn new(rows_max: usize, plan: &MonitorPlan) -> Learner {
        Learner {
            rows_max,
            rows: 0,
            features: plan.features.clone(),
            columns: None,
            numbers: Vec::new(),
            embeddings: plan.embeddings.clone(),
            vectors: Vec::new(),
        }
    }

    /// How many rows are here, and how many it takes.
    pub(crate) fn progress(&self) -> (usize, usize) {
        (self.rows, self.rows_max)
    }

    /// Takes rows `from..to`, but no more than it needs; says up to which.
    pub(crate) fn take(&mut self, batch: &RecordBatch, (from, to): (usize, usize)) -> usize {
        let to = to.min(from + (self.rows_max - self.rows));
        if self.columns.is_none() {
            self.vectors = vectors(batch, &self.embeddings);
        }
        let (features, embeddings) = (self.features.as_deref(), &self.embeddings);
        let columns = self.columns.get_or_insert_with(|| columns(batch, (features, embeddings)));
        for (name, state) in &mut self.vectors {
            match Vectors::of(name, batch) {
                Some(it) => it.see((from, to), state, self.rows as u64),
                None => state.missing += (to - from) as u64,
            }
        }
        for column in columns.iter_mut() {
            let Some(array) = batch.column_by_name(&column.name) else { continue };
            let cells = cells::read(array, (from, to), &mut self.numbers);
            match (&mut column.values, cells) {
                (Values::Numbers { values, .. }, Some(Cells::Numbers(_))) => {
                    values.extend(&self.numbers);
                }
                (Values::Flags(values), Some(Cells::Numbers(_))) => {
                    values
                        .extend(self.numbers.iter().map(|it| (!it.is_nan()).then_some(*it > 0.0)));
                }
                (Values::Words(values), Some(Cells::Words(words))) => {
                    for row in from..to {
                        let word = words.is_valid(row).then(|| words.value(row));
                        column.bytes += word.map_or(0, str::len) + size_of::<Option<Box<str>>>();
                        values.push(word.map(Into::into));
                    }
                }
                _ => column.bytes = usize::MAX,
            }
        }
        columns.retain(|it| it.bytes <= 4 * FEATURE_BYTES_MAX);
        self.rows += to - from;
        to
    }

    /// The profile, when there are rows enough.
    pub(crate) fn learned(&self, model: &str) -> Option<Profile> {
        if self.rows < self.rows_max {
            return None;
        }
        let columns = self.columns.as_deref().unwrap_or_default();
        let (mut features, mut used) = (Vec::new(), Vec::new());
        for column in columns {
            let (role, name) = side(&column.name);
            // A column without a usable value has nothing to teach.
            if let Ok(Some(it)) = Feature::of(name, role, &column.values, None) {
                features.push(it);
                used.push(&column.values);
            }
        }
        for (name, state) in &self.vectors {
            let (role, name) = side(name);
            features.extend(Feature::of_vectors(name, role, state));
        }
        Some(Profile {
            format: FORMAT,
            model: model.to_owned(),
            source: Source::Learned,
            rows: self.rows as u64,
            distinct_rows: distinct_rows(&used),
            features,
        })
    }
}

/// A column's name without its side.
fn side(column: &str) -> (Role, &str) {
    match column.strip_prefix("out.") {
        Some(name) => (Role::Output, name),
        None => (Role::Input, column.trim_start_matches("in.")),
    }
}

/// Those of the named tensors that the log holds as vectors.
fn vectors(batch: &RecordBatch, names: &[String]) -> Vec<(String, VectorState)> {
    let schema = batch.schema();
    let sides = names.iter().flat_map(|it| [format!("in.{it}"), format!("out.{it}")]);
    let found = sides.filter_map(|column| {
        let length = embeddings::length(&column, &schema).ok()??;
        let state = VectorState::new(length, vectors_max(length, 1)?);
        Some((column, state))
    });
    found.collect()
}

/// Those that can be features, one number or text each.
fn columns(
    batch: &RecordBatch,
    (wanted, embeddings): (Option<&[String]>, &[String]),
) -> Vec<Column> {
    let schema = batch.schema();
    let mut columns = Vec::new();
    for field in schema.fields().iter().filter(|it| is_value(it.name())) {
        let tensor = field.metadata().get("tensor");
        if tensor.is_some_and(|it| embeddings.contains(it)) {
            continue;
        }
        let short = field.name().split_once('.').map_or("", |it| it.1);
        let is_wanted = wanted.is_none_or(|list| list.iter().any(|it| it == short));
        let values = match Type::of(field.data_type()) {
            Some(Type::Single | Type::Double) => {
                Values::Numbers { values: Vec::new(), whole: false }
            }
            Some(Type::Whole) => Values::Numbers { values: Vec::new(), whole: true },
            Some(Type::Flags) => Values::Flags(Vec::new()),
            Some(Type::Words) => Values::Words(Vec::new()),
            None => continue,
        };
        if is_wanted && columns.len() < FEATURES_MAX {
            columns.push(Column { name: field.name().clone(), values, bytes: 0 });
        }
    }
    columns
}
