//! Vectors out of the log: of a tensor that is logged as one value, or of one that is logged as
//! columns.

use arrow_array::cast::AsArray as _;
use arrow_array::{Array, BinaryArray, BooleanArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use half::{bf16, f16};
use server_drift::{VectorState, vectors_max};

use crate::cells::{self, Type};

/// Keys of a column's metadata, as the log writes them.
pub(crate) const TENSOR: &str = "tensor";
const SHAPE: &str = "shape";
const DTYPE: &str = "datatype";
const HASHED: &str = "hashed";
const VALUE_BYTES_MAX: &str = "salver.value_bytes_max";

/// Rows whose columns are put together at a time.
const CHUNK: usize = 64;

/// Where in a batch the vectors of an embedding are.
pub(crate) enum Vectors<'a> {
    /// Bytes of each row.
    Whole { dtype: &'a StringArray, data: &'a BinaryArray, cut: &'a BooleanArray },
    /// A column for each number.
    Columns(Vec<&'a dyn Array>),
}

/// Numbers in each vector of a tensor, `in.NAME` or `out.NAME`, if the log holds them. An error says why
/// not.
pub(crate) fn length(column: &str, schema: &Schema) -> Result<Option<usize>, String> {
    let fields: Vec<&Field> = of_tensor(column, schema).map(|it| it.1).collect();
    let Some(first) = fields.first() else { return Err(format!("{column} is not there")) };
    if first.metadata().get(HASHED).is_some() {
        return Err(format!("{column} is logged as a keyed hash"));
    }
    if !matches!(first.data_type(), DataType::Struct(_)) {
        let numbers = fields.iter().all(|it| is_float(it.data_type()));
        let wrong = || format!("{column} holds no floating-point numbers");
        return if numbers { Ok(Some(fields.len())) } else { Err(wrong()) };
    }
    let about = |key| first.metadata().get(key).map_or("", String::as_str);
    let size = match about(DTYPE) {
        "FP64" => 8,
        "FP32" | "" => 4,
        "FP16" | "BF16" => 2,
        other => return Err(format!("{column} holds {other}, expected floating-point numbers")),
    };
    let mut dims = about(SHAPE).split(',').filter(|it| *it != "rows");
    let fixed = dims.try_fold(1_usize, |all, it| all.checked_mul(it.parse().ok()?));
    let kept = schema.metadata().get(VALUE_BYTES_MAX).and_then(|it| it.parse::<usize>().ok());
    if let (Some(length), Some(kept)) = (fixed, kept)
        && length.saturating_mul(size) > kept
    {
        return Err(format!(
            "{column} has {} bytes a row, of which the log keeps a digest: max_value_bytes is {kept}",
            length.saturating_mul(size)
        ));
    }
    Ok(fixed)
}

/// Can it be watched as vectors of that length? An error says why not.
pub(crate) fn check(
    column: &str,
    schema: &Schema,
    (wanted, steps): (usize, usize),
) -> Result<(), String> {
    match length(column, schema)? {
        Some(got) if got != wanted => {
            Err(format!("{column} has {got} numbers a row, its reference {wanted}"))
        }
        _ if vectors_max(wanted, steps).is_none() => Err(format!(
            "{column} has {wanted} numbers a row, of which too few vectors have room in a window \
             of {steps} steps"
        )),
        Some(_) | None => Ok(()),
    }
}

fn is_float(kind: &DataType) -> bool {
    matches!(Type::of(kind), Some(Type::Single | Type::Double))
}

/// Columns of a tensor, in the order of its elements.
fn of_tensor<'a>(
    column: &'a str,
    schema: &'a Schema,
) -> impl Iterator<Item = (usize, &'a Field)> + 'a {
    let (side, tensor) = column.split_once('.').unwrap_or(("", column));
    let fields = schema.fields().iter().enumerate();
    fields.map(|(at, field)| (at, field.as_ref())).filter(move |(_, field)| {
        let named = field.metadata().get(TENSOR).map(String::as_str);
        let ours = field.name().split_once('.').is_some_and(|it| it.0 == side);
        field.name() == column || (ours && named == Some(tensor))
    })
}

impl<'a> Vectors<'a> {
    /// None: the batch has nothing of it.
    pub(crate) fn of(column: &str, batch: &'a RecordBatch) -> Option<Vectors<'a>> {
        let schema = batch.schema();
        let places: Vec<usize> = of_tensor(column, &schema).map(|it| it.0).collect();
        let first = batch.columns().get(*places.first()?)?;
        let Some(whole) = first.as_struct_opt() else {
            let columns = places.iter().filter_map(|it| batch.columns().get(*it));
            return Some(Vectors::Columns(columns.map(AsRef::as_ref).collect()));
        };
        Some(Vectors::Whole {
            dtype: whole.column_by_name("dtype")?.as_string_opt()?,
            data: whole.column_by_name("data")?.as_binary_opt()?,
            cut: whole.column_by_name("truncated")?.as_boolean_opt()?,
        })
    }

    /// Shows rows to what is being filled. `lot`: of the first of them.
    pub(crate) fn see(&self, (from, to): (usize, usize), state: &mut VectorState, lot: u64) {
        match self {
            Vectors::Whole { dtype, data, cut } => {
                let mut vector = Vec::new();
                for row in from..to {
                    // A row without the tensor has no bytes.
                    if data.is_null(row) || data.value(row).is_empty() {
                        state.missing += 1;
                    } else if cut.value(row) {
                        state.digests += 1;
                    } else {
                        decode(dtype.value(row), data.value(row), &mut vector);
                        state.add(&vector, lot.wrapping_add((row - from) as u64));
                    }
                }
            }
            Vectors::Columns(columns) => {
                let mut at = from;
                while at < to {
                    let end = to.min(at + CHUNK);
                    see_columns(columns, (at, end), state, lot.wrapping_add((at - from) as u64));
                    at = end;
                }
            }
        }
    }
}

fn see_columns(
    columns: &[&dyn Array],
    (from, to): (usize, usize),
    state: &mut VectorState,
    lot: u64,
) {
    let mut vectors = vec![f32::NAN; (to - from) * columns.len()];
    let mut numbers = Vec::new();
    for (place, column) in columns.iter().enumerate() {
        cells::read(*column, (from, to), &mut numbers);
        for (row, value) in numbers.iter().enumerate() {
            if let Some(it) = vectors.get_mut(row * columns.len() + place) {
                *it = narrow(*value);
            }
        }
    }
    for (row, vector) in vectors.chunks_exact(columns.len().max(1)).enumerate() {
        if columns.first().is_some_and(|it| it.is_null(from + row)) {
            state.missing += 1;
        } else {
            state.add(vector, lot.wrapping_add(row as u64));
        }
    }
}

/// As numbers of single precision; of another type: none.
fn decode(dtype: &str, bytes: &[u8], to: &mut Vec<f32>) {
    to.clear();
    match dtype {
        "FP32" => to.extend(bytes.as_chunks().0.iter().map(|it| f32::from_le_bytes(*it))),
        "FP64" => to.extend(bytes.as_chunks().0.iter().map(|it| narrow(f64::from_le_bytes(*it)))),
        "FP16" => to.extend(bytes.as_chunks().0.iter().map(|it| f16::from_le_bytes(*it).to_f32())),
        "BF16" => to.extend(bytes.as_chunks().0.iter().map(|it| bf16::from_le_bytes(*it).to_f32())),
        _ => {}
    }
}

/// What is too large becomes an infinity, which is broken.
#[expect(clippy::cast_possible_truncation, reason = "embeddings have single precision")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
#[path = "embeddings_tests.rs"]
mod tests;
