//! What a model has answered, out of the columns of its log: as whoever joins it with labels takes it.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{TimestampMicrosecondType, UInt32Type};
use arrow_array::{
    Array as _, ArrayRef, BooleanArray, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow_schema::{DataType, Field, Schema};
use backend_api::{DType, Dim, Shape, Signature, Tensor, TensorSpec};
use bytes::Bytes;
use server_base::{LogConfig, ModelName, Subject, Version};
use server_truth::Answers;

use crate::cells::{self, Cells};
use crate::embeddings::TENSOR;

/// Keys of a column's metadata, as the log writes them.
const SHAPE: &str = "shape";
const DTYPE: &str = "datatype";
const HASHED: &str = "hashed";

/// Rows that are handed on at a time: whoever asks how right a model is waits no longer than these take.
const PIECE_ROWS: usize = 512;

/// What says of a row which it is, when it came and whether it counts.
const FIXED: [&str; 6] =
    ["request_id", "row_index", "event_time", "status", "sample_reason", "route"];

/// A version as its log describes it: the outputs that are there to be read.
pub(crate) fn subject(model: &ModelName, version: Version, schema: &Schema) -> Subject {
    let mut outputs: Vec<TensorSpec> = Vec::new();
    for field in schema.fields() {
        if let Some(spec) = spec(field)
            && outputs.iter().all(|it| it.name != spec.name)
        {
            outputs.push(spec);
        }
    }
    Subject {
        model: model.clone(),
        version,
        // Its bytes are those of its number: replicas of a fleet may not differ in them.
        digest: None,
        signature: Signature { inputs: Vec::new(), outputs },
        config: LogConfig::default(),
        truth: None,
        backend: None,
        source: None,
    }
}

/// The output that a column is of; `None`: of none whose values are there.
fn spec(field: &Field) -> Option<TensorSpec> {
    let about = field.metadata();
    if !field.name().starts_with("out.") || about.contains_key(HASHED) {
        return None;
    }
    let dim = |text: &str| match text {
        "rows" => Some(Dim::Rows),
        "" => Some(Dim::Free("".into())),
        number => number.parse().ok().map(Dim::Fixed),
    };
    let shape = about.get(SHAPE)?;
    let dims =
        if shape.is_empty() { Some(Vec::new()) } else { shape.split(',').map(dim).collect() };
    Some(TensorSpec {
        name: about.get(TENSOR)?.as_str().into(),
        dtype: DType::parse(about.get(DTYPE)?)?,
        dims: dims?,
        quantization: None,
    })
}

/// Does a column say something of that output, or of the row?
pub(crate) fn is_wanted(schema: &Schema, output: &str, name: &str) -> bool {
    let is_of = |it: &Field| it.name().starts_with("out.") && is_tensor(it, output);
    FIXED.contains(&name) || schema.field_with_name(name).is_ok_and(is_of)
}

fn is_tensor(field: &Field, output: &str) -> bool {
    field.metadata().get(TENSOR).is_some_and(|it| it == output)
}

/// Who a row is.
struct Names<'a> {
    ids: &'a StringArray,
    places: &'a UInt32Array,
    times: &'a TimestampMicrosecondArray,
    status: &'a StringArray,
    reason: &'a StringArray,
    route: &'a StringArray,
}

impl<'a> Names<'a> {
    fn of(batch: &'a RecordBatch) -> Option<Names<'a>> {
        let text = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
        Some(Names {
            ids: text("request_id")?,
            places: batch.column_by_name("row_index")?.as_primitive_opt::<UInt32Type>()?,
            times: batch
                .column_by_name("event_time")?
                .as_primitive_opt::<TimestampMicrosecondType>()?,
            status: text("status")?,
            reason: text("sample_reason")?,
            route: text("route")?,
        })
    }

    /// One that failed has no answer, what was asked before was seen then, and what a rule alone has
    /// logged comes more often than it should.
    fn counts(&self, row: usize) -> bool {
        self.status.value(row) == "OK"
            && self.reason.value(row) == "uniform"
            && self.route.value(row) != "replay"
    }

    fn name(&self, row: usize) -> (&'a str, u32, i64) {
        (self.ids.value(row), self.places.value(row), self.times.value(row))
    }
}

/// Hands on the answers of a batch. `None`: it has no column that says who its rows are.
pub(crate) fn each(
    batch: &RecordBatch,
    output: &str,
    mut take: impl FnMut(&Answers<'_>),
) -> Option<()> {
    let names = Names::of(batch)?;
    let fields = batch.schema();
    let ours = fields.fields().iter().zip(batch.columns());
    let ours: Vec<&ArrayRef> =
        ours.filter(|(it, _)| is_tensor(it, output)).map(|(_, it)| it).collect();
    let Some(first) = ours.first() else { return Some(()) };
    let counts = |it: &usize| names.counts(*it) && first.is_valid(*it);
    if let Some(whole) = first.as_struct_opt() {
        let whole = Whole::of(whole)?;
        for row in (0..batch.num_rows()).filter(counts) {
            if let Some(tensor) = whole.tensor(row) {
                take(&Answers { rows: &[names.name(row)], tensor: &tensor });
            }
        }
        return Some(());
    }
    for from in (0..batch.num_rows()).step_by(PIECE_ROWS) {
        let to = batch.num_rows().min(from + PIECE_ROWS);
        let rows: Vec<usize> = (from..to).filter(counts).collect();
        let known: Vec<(&str, u32, i64)> = rows.iter().map(|it| names.name(*it)).collect();
        if let Some(tensor) = columns(&ours, (from, to), &rows).filter(|_| !rows.is_empty()) {
            take(&Answers { rows: &known, tensor: &tensor });
        }
    }
    Some(())
}

/// Rows of columns within that range, put together: numbers as doubles, or one text each. `None`: something
/// else.
fn columns(columns: &[&ArrayRef], (from, to): (usize, usize), rows: &[usize]) -> Option<Tensor> {
    let (first, width) = (columns.first()?, columns.len());
    if *first.data_type() == DataType::Utf8 {
        let words = first.as_string_opt::<i32>()?;
        let words: Vec<&str> = rows.iter().map(|it| words.value(*it)).collect();
        return Tensor::from_strings(&[rows.len(), width], &words).ok();
    }
    let mut values = vec![f64::NAN; rows.len() * width];
    let mut numbers = Vec::new();
    for (place, column) in columns.iter().enumerate() {
        let Cells::Numbers(_) = cells::read(column.as_ref(), (from, to), &mut numbers)? else {
            return None;
        };
        for (values, row) in values.chunks_exact_mut(width).zip(rows) {
            if let (Some(value), Some(number)) = (values.get_mut(place), numbers.get(row - from)) {
                *value = *number;
            }
        }
    }
    Tensor::from_elements(&[rows.len(), width], &values).ok()
}

/// An output that is logged as one value.
struct Whole<'a> {
    dtype: &'a StringArray,
    data: &'a arrow_array::BinaryArray,
    cut: &'a BooleanArray,
}

impl<'a> Whole<'a> {
    fn of(whole: &'a StructArray) -> Option<Whole<'a>> {
        Some(Whole {
            dtype: whole.column_by_name("dtype")?.as_string_opt()?,
            data: whole.column_by_name("data")?.as_binary_opt()?,
            cut: whole.column_by_name("truncated")?.as_boolean_opt()?,
        })
    }

    /// Of one row; of what was cut off there is a digest alone.
    fn tensor(&self, row: usize) -> Option<Tensor> {
        let dtype = DType::parse(self.dtype.value(row))?;
        let data = self.data.value(row);
        let width = data.len().checked_div(dtype.size()?).filter(|_| !self.cut.value(row))?;
        let shape = Shape::new(&[1, width]).ok()?;
        Tensor::new(dtype, shape, Bytes::copy_from_slice(data)).ok()
    }
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
